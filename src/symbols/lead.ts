/** What of a stack is shown: the user's frame that it is about, how that got to the allocator, and who called it. */
import { isOwn } from "./kinds.ts";
import type { FrameKind } from "./kinds.ts";
import type { CallPath, Frame } from "../profile/profile.ts";
import type { NamedFrame } from "./named_frame.ts";
import type { Symbols } from "./symbols.ts";

/** How a thread begins, whatever it does. */
const START = /^(_start|start_thread|(__)?clone3?|std::rt::lang_start.*|std::sys::.*__rust_begin_short_backtrace.*)$/;

/** What calls main: nothing of the program's is further out. */
const ABOVE_MAIN = /^__libc_start_(call_main|main(_impl)?)$/;

/** Whether a frame only passes allocations on. */
export function passesOn(kind: FrameKind): boolean {
  return kind === "allocation" || kind === "wrapper";
}

/**
 * Index of the frame that a stack is known by: the innermost of the user's own code; without any, the innermost that is
 * neither an allocation function, nor a wrapper, nor the standard library's; then the innermost that does more than pass an
 * allocation on; 0 when none does.
 */
export function leadIndex(stack: readonly Pick<NamedFrame, "kind">[]): number {
  const own = stack.findIndex(({ kind }) => isOwn(kind));
  if (own >= 0) return own;
  const other = stack.findIndex(({ kind }) => !passesOn(kind) && kind !== "standard");
  return other >= 0 ? other : Math.max(0, stack.findIndex(({ kind }) => !passesOn(kind)));
}

/** The frame that a call path is known by: see {@linkcode leadIndex}. */
export function leadFrame(path: CallPath, symbols: Symbols): NamedFrame | undefined {
  for (const place of path.stack) {
    for (const frame of symbols.frames(place)) if (isOwn(frame.kind)) return frame;
  }
  const stack = symbols.stack(path);
  return stack[leadIndex(stack)];
}

/** A stack as a row tells it. */
export interface Lead {
  /** The frame that the row is about; undefined when the stack is empty. */
  readonly lead: NamedFrame | undefined;
  /** What it called, on the way to the allocator; undefined when that was the allocator itself or a wrapper. */
  readonly via: NamedFrame | undefined;
  /** The user's own frames that led to it, from the inner one outwards; without any of those, all that did. */
  readonly callers: readonly NamedFrame[];
}

/** What a row tells of a stack, innermost frame first. */
export function leadOf(stack: readonly NamedFrame[]): Lead {
  const at = leadIndex(stack);
  const lead = stack[at];
  let via: NamedFrame | undefined;
  for (let i = at - 1; i >= 0 && !via; i--) {
    const frame = stack[i] as NamedFrame;
    // An interpreter's own functions stand below every script's: what matters is the library that the script called.
    if (!passesOn(frame.kind) && frame.kind !== "runtime" && frame.function !== "") via = frame;
  }
  const ownOnly = lead && isOwn(lead.kind);
  const callers: NamedFrame[] = [];
  let before = lead;
  for (let i = at + 1; i < stack.length; i++) {
    const frame = stack[i] as NamedFrame;
    if (ownOnly ? !isOwn(frame.kind) : isOuterEnd(frame)) continue;
    // A recursion once.
    if (frame.function !== before?.function || frame.function === "") callers.push(frame);
    before = frame;
  }
  return { lead, via, callers };
}

/**
 * The same of a call path, without a look at every frame of a deep stack: at most `most` callers, the innermost ones, and after
 * them the outermost.
 */
export function leadOfPath(path: CallPath, symbols: Symbols, most: number): Lead {
  const { stack } = path;
  let lead: NamedFrame | undefined;
  let via: NamedFrame | undefined;
  let before: NamedFrame | undefined;
  const callers: NamedFrame[] = [];
  let at = 0;
  for (; at < stack.length && callers.length < most; at++) {
    for (const frame of symbols.frames(stack[at] as Frame)) {
      if (!lead) {
        if (isOwn(frame.kind)) before = lead = frame;
        else if (!passesOn(frame.kind) && frame.kind !== "runtime" && frame.function !== "") via = frame;
      } else if (isOwn(frame.kind)) {
        if (frame.function !== before?.function || frame.function === "") callers.push(frame);
        before = frame;
      }
    }
  }
  if (!lead) return leadOf(symbols.stack(path));
  for (let outer = stack.length - 1; outer >= at; outer--) {
    const last = symbols.frames(stack[outer] as Frame).findLast(({ kind }) => isOwn(kind));
    if (!last) continue;
    if (last.function !== before?.function) callers.push(last);
    break;
  }
  return { lead, via, callers };
}

/** What starts a program or a thread. */
function isOuterEnd({ function: name, kind }: NamedFrame): boolean {
  return kind === "standard" && (START.test(name) || ABOVE_MAIN.test(name));
}

/**
 * A stack, innermost first, without what passes allocations on at its inner end and what starts a program or a thread at its
 * outer one; a function that calls itself stands once, where it was called last. Where all of it would go, nothing is
 * taken from that end.
 */
export function cleanStack<F>(
  stack: readonly F[],
  passes: (frame: F) => boolean,
  nameOf: (frame: F) => string,
  isSame: (a: F, b: F) => boolean = (a, b) => nameOf(a) === nameOf(b),
): F[] {
  const inner = stack.findIndex((frame) => !passes(frame));
  // Whatever calls main stands among the four outermost frames.
  const outermost = Math.max(1, stack.length - 4);
  const above = stack.slice(outermost).findIndex((frame) => ABOVE_MAIN.test(nameOf(frame)));
  const below = above < 0 ? stack : stack.slice(0, outermost + above);
  const outer = below.findLastIndex((frame) => !START.test(nameOf(frame)));
  return stack.slice(Math.max(0, inner), outer < 0 ? undefined : Math.max(outer, inner) + 1)
    .filter((frame, i, kept) => i === 0 || !isSame(frame, kept[i - 1] as F));
}

/** The same of named frames. */
export function cleanFrames(stack: readonly NamedFrame[]): NamedFrame[] {
  return cleanStack(
    stack,
    ({ kind }) => passesOn(kind),
    (frame) => frame.function,
    (a, b) => a.function !== "" ? a.function === b.function : a === b,
  );
}

/** A stack without the allocator's frames at its inner end, the runtime's, and those that start a program or a thread. Where nothing else is left, the frame that called the allocator stays. */
export function shortStack(stack: readonly NamedFrame[]): NamedFrame[] {
  const inner = stack.slice(Math.max(0, stack.findIndex(({ kind }) => !passesOn(kind))));
  const kept = inner.filter(isShown);
  return kept.length > 0 ? kept : inner.slice(0, 1);
}

/** Whether a frame says something in a short stack: it is no runtime's, and does not start a program or a thread. */
export function isShown({ kind, function: name }: Pick<NamedFrame, "kind" | "function">): boolean {
  return kind !== "runtime" && !START.test(name) && !ABOVE_MAIN.test(name);
}
