/** Call paths put together by the user's function and line that they are about. */
import { combine, combineCounters } from "../profile/figures.ts";
import type { CallPath, PathCounters } from "../profile/profile.ts";
import { leadIndex } from "../symbols/lead.ts";
import type { NamedFrame, Symbols } from "../symbols/symbols.ts";

/** A function, at a line of its, and what its call paths have together. */
export interface Culprit {
  /** Undefined of call paths whose frames were not kept. */
  readonly frame: NamedFrame | undefined;
  readonly figures: PathCounters;
}

/** Figures of two call paths together. */
export function addPaths(a: PathCounters, b: PathCounters): PathCounters {
  return { ...combineCounters(a, b), ...combine(["peakBytes", "peakCount"], a, b) };
}

/** The culprits of call paths, whose names must have been resolved, in no order. */
export function culprits(paths: Iterable<CallPath>, symbols: Symbols): Culprit[] {
  const found = new Map<string, { frame: NamedFrame | undefined; figures: PathCounters }>();
  for (const path of paths) {
    const stack = symbols.stack(path);
    const frame = stack[leadIndex(stack)];
    const key = frame ? `${frame.key || frame.address}\0${frame.module}\0${frame.file}\0${frame.line}` : "";
    const known = found.get(key);
    if (known) known.figures = addPaths(known.figures, path);
    else found.set(key, { frame, figures: path });
  }
  return [...found.values()];
}
