/** How much of what a report shows has no names or no lines. */
import type { CallPath } from "../profile/profile.ts";
import { isOwn } from "./kinds.ts";
import type { NamedFrame } from "./symbols.ts";

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
const LIBC = /^(libc|libpthread|ld-linux-x86-64)\b.*\.so/;
const OUTER = /^(_start|start_thread|(__GI_)?(__)?clone3?|__libc_start_(call_main|main(_impl)?))(@|$)/;

/** A stack without what starts the program or the thread. */
function withoutStart(stack: readonly NamedFrame[]): readonly NamedFrame[] {
  let end = stack.length;
  while (end > 1) {
    const { function: name, module } = stack[end - 1] as NamedFrame;
    const isStart = OUTER.test(name) || (name === "" && LIBC.test(module.replace(/^.*\//, "")));
    if (!isStart) break;
    end--;
  }
  return stack.slice(0, end);
}

/** Shares of one module, by what `of` says of each path. */
export interface Lacking {
  withoutNames: number;
  withoutLines: number;
}

/** Adds up what the stacks of these call paths lack, by module. */
export function lacking(
  paths: Iterable<CallPath>,
  stackOf: (path: CallPath) => readonly NamedFrame[] | undefined,
  of: (path: CallPath) => number,
): Map<string, Lacking> {
  const modules = new Map<string, Lacking>();
  let total = 0;
  const add = (module: string, key: keyof Lacking, figure: number) => {
    let entry = modules.get(module);
    if (!entry) modules.set(module, entry = { withoutNames: 0, withoutLines: 0 });
    entry[key] += figure;
  };
  for (const path of paths) {
    const whole = stackOf(path);
    const figure = of(path);
    if (!whole || figure <= 0) continue;
    total += figure;
    const stack = withoutStart(whole);
    const nameless = new Set(stack.filter((frame) => frame.function === "").map(({ module }) => module));
    for (const module of nameless) add(module, "withoutNames", figure);
    const leads = stack.find(({ kind, function: name }) => name !== "" && isOwn(kind)) ??
      stack.find(({ kind }) => kind !== "allocation" && kind !== "wrapper");
    // A function of a script has its module's line when the runtime tells it.
    if (leads?.function && leads.module && leads.line === 0) add(leads.module, "withoutLines", figure);
  }
  for (const entry of modules.values()) {
    entry.withoutNames /= total;
    entry.withoutLines /= total;
  }
  return modules;
}
