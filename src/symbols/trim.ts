/** Stacks without the frames that explain nothing. */
import { culprit, isAllocationFunction } from "./allocators.ts";
import type { NamedFrame } from "./symbols.ts";

/** How a thread begins, whatever it does. */
const START = /^(_start|start_thread|(__GI_)?(__)?clone3?)(@|$)/;

/** What calls main: nothing of the program's is further out. */
const ABOVE_MAIN = /^(__GI_)?__libc_start_(call_main|main(_impl)?)(@|$)/;

/** What V8 calls its own compiled code in perf maps. */
const ENGINE = /^(Builtin|BytecodeHandler|RegExp|Stub|Handler|Wasm):/;

/**
 * A stack, innermost first, without the allocation functions at its inner end and what starts a program or a
 * thread at its outer one; a function that calls itself stands once, where it was called last. Where all of
 * it would go, nothing is taken from that end.
 */
export function cleanStack<F>(
  stack: readonly F[],
  nameOf: (frame: F) => string,
  isSame: (a: F, b: F) => boolean = (a, b) => nameOf(a) === nameOf(b),
): F[] {
  const inner = stack.findIndex((frame) => !isAllocationFunction(nameOf(frame)));
  // Whatever calls main stands among the four outermost frames.
  const outermost = Math.max(1, stack.length - 4);
  const above = stack.slice(outermost).findIndex((frame) => ABOVE_MAIN.test(nameOf(frame)));
  const below = above < 0 ? stack : stack.slice(0, outermost + above);
  const outer = below.findLastIndex((frame) => !START.test(nameOf(frame)));
  return stack.slice(Math.max(0, inner), outer < 0 ? undefined : Math.max(outer, inner) + 1)
    .filter((frame, i, kept) => i === 0 || !isSame(frame, kept[i - 1] as F));
}

/**
 * A stack without the allocator's frames at its inner end, the runtime's, which are those of the
 * program's own file (`executable`) and of code without a name, and those that start a thread.
 * Where nothing else is left, the frame that called the allocator stays.
 */
export function shortStack(stack: readonly NamedFrame[], executable: string): NamedFrame[] {
  const inner = stack.slice(culprit(stack));
  const kept = inner.filter((frame) =>
    frame.module !== executable && (frame.function || frame.module) && !START.test(frame.function) &&
    !ABOVE_MAIN.test(frame.function) &&
    !ENGINE.test(frame.function)
  );
  return kept.length > 0 ? kept : inner.slice(0, 1);
}

/** A C++ or Rust function's name without its arguments: what stands in the parentheses at its end, if any. */
export function bareName(name: string): string {
  const end = /\)(?: const)?(?: &&?)?(?: \[clone [^\]]*\])*$/.exec(name)?.index ?? -1;
  for (let at = end, depth = 0; at > 0; at--) {
    if (name[at] === ")") depth++;
    else if (name[at] === "(" && --depth === 0) return name.slice(0, at);
  }
  return name;
}

/** Who called, in one line, from the innermost outwards: `parse < load < main`. */
export function callerLine(names: readonly string[]): string {
  const bare = names.map(bareName);
  return bare.filter((name, i) => i > 0 && name !== bare[i - 1]).join(" < ");
}
