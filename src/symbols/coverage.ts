/** How much of what a report shows has no names or no lines. */
import type { CallPath, Frame } from "../profile/profile.ts";
import { isOwn } from "./kinds.ts";
import type { NamedFrame } from "./named_frame.ts";

/** What a report lacks of one module. */
export interface Coverage {
  /** Path of the module; "" for code that was made while the program ran. */
  readonly module: string;
  /** Share, 0 to 1, of the shown figures that is of stacks with a function of it that has no name. */
  readonly withoutNames: number;
  /** Share whose leading function is of it and has no file and line. */
  readonly withoutLines: number;
  /** What to do about it; "" when nothing is known that would help. */
  readonly remedy: string;
}

/** The C library's own functions around `main` and a thread's first function: nobody misses their names. */
const LIBC = /^(libc|libpthread|ld-linux-x86-64|ld-musl)\b.*\.so/;
const OUTER = /^(_start|start_thread|(__GI_)?(__)?clone3?|__libc_start_(call_main|main(_impl)?))(@|$)/;

/** What one place in code, with all that is inlined there, says. */
interface Place {
  /** Whether it only starts the program or a thread. */
  readonly isStart: boolean;
  /** The module whose function has no name. */
  readonly nameless: string | undefined;
  /** The innermost function of the user's own, and the innermost that is no allocation function. */
  readonly own: NamedFrame | undefined;
  readonly other: NamedFrame | undefined;
}

function placeOf(frames: readonly NamedFrame[]): Place {
  const isStart = ({ function: name, module }: NamedFrame) =>
    OUTER.test(name) || (name === "" && LIBC.test(module.replace(/^.*\//, "")));
  return {
    isStart: frames.every(isStart),
    nameless: frames.find((frame) => frame.function === "")?.module,
    own: frames.find(({ kind, function: name }) => name !== "" && isOwn(kind)),
    other: frames.find(({ kind }) => kind !== "allocation" && kind !== "wrapper"),
  };
}

/** Shares of one module. */
interface Lacking {
  withoutNames: number;
  withoutLines: number;
}

/**
 * Adds up what the stacks of these call paths lack, by module, as shares of what `of` says of all of them. `framesOf` gives
 * undefined for a place that was not looked up: such call paths are left out.
 */
export function lacking(
  paths: Iterable<CallPath>,
  framesOf: (frame: Frame) => readonly NamedFrame[] | undefined,
  of: (path: CallPath) => number,
): Map<string, Lacking> {
  const modules = new Map<string, Lacking>();
  const places = new Map<Frame, Place>();
  const placeAt = (frame: Frame): Place | undefined => {
    let place = places.get(frame);
    if (place) return place;
    const frames = framesOf(frame);
    if (frames) places.set(frame, place = placeOf(frames));
    return place;
  };
  let total = 0;
  const add = (module: string, key: keyof Lacking, figure: number) => {
    let entry = modules.get(module);
    if (!entry) modules.set(module, entry = { withoutNames: 0, withoutLines: 0 });
    entry[key] += figure;
  };
  for (const path of paths) {
    const figure = of(path);
    if (figure <= 0) continue;
    const frames = path.stack;
    const stack: Place[] = [];
    for (const frame of frames) {
      const place = placeAt(frame);
      if (!place) break;
      stack.push(place);
    }
    if (stack.length < frames.length) continue;
    total += figure;
    let end = stack.length;
    while (end > 1 && stack[end - 1]?.isStart) end--;
    let own: NamedFrame | undefined;
    let other: NamedFrame | undefined;
    const nameless: string[] = [];
    for (let i = 0; i < end; i++) {
      const place = stack[i] as Place;
      own ??= place.own;
      other ??= place.other;
      if (place.nameless !== undefined && !nameless.includes(place.nameless)) nameless.push(place.nameless);
    }
    for (const module of nameless) add(module, "withoutNames", figure);
    const leads = own ?? other;
    // A function of a script has its module's line when the runtime tells it.
    if (leads?.function && leads.module && leads.line === 0) add(leads.module, "withoutLines", figure);
  }
  for (const entry of modules.values()) {
    entry.withoutNames /= total;
    entry.withoutLines /= total;
  }
  return modules;
}
