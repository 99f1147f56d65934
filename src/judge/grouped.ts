/** Call paths put together by the user's function and line that they are about. */
import { PathTotals } from "../profile/figures.ts";
import type { CallPath, PathCounters } from "../profile/profile.ts";
import { leadFrame } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";

/** A function, at a line of its, and what its call paths have together. */
export interface Culprit {
  /** Undefined of call paths whose frames were not kept. */
  readonly frame: NamedFrame | undefined;
  readonly figures: PathCounters;
}

interface Growing extends Culprit {
  readonly figures: PathTotals;
}

/** The culprits of call paths, whose names must have been resolved, in no order. */
export function culprits(paths: Iterable<CallPath>, symbols: Symbols): Culprit[] {
  const byPlace = new Map<string, Growing>();
  // Many call paths have the same frame, and making its text is what costs.
  const byFrame = new Map<NamedFrame | undefined, Growing>();
  for (const path of paths) {
    const frame = leadFrame(path, symbols);
    let found = byFrame.get(frame);
    if (!found) {
      const key = frame ? `${frame.key || frame.address}\0${frame.module}\0${frame.file}\0${frame.line}` : "";
      found = byPlace.get(key);
      if (!found) byPlace.set(key, found = { frame, figures: new PathTotals() });
      byFrame.set(frame, found);
    }
    found.figures.add(path);
  }
  return [...byPlace.values()];
}
