/** The values that options take: little enough to be there before it is known which command is meant. */
import { inside, RANGES } from "../native/variables.ts";

export const SYMBOLISERS = ["llvm-symbolizer", "eu-addr2line", "addr2line"] as const;
export const VIEWS = ["allocated", "live", "peak", "temporary"] as const;
export const GROWTH = {
  size: "bytes",
  count: "allocations",
  peak: "peakBytes",
  live: "liveBytes",
  temporary: "temporary",
} as const;
export const GROUPS = ["path", "function", "module", "file", "line", "thread", "operation"] as const;
export const COMPARED_GROUPS = ["function", "module", "file", "line"] as const;
/** The figure of each view. */
export const VIEW_FIGURES = {
  allocated: "bytes",
  live: "liveBytes",
  peak: "peakBytes",
  temporary: "temporary",
} as const;
/** Views of memory that is not malloc's to show: what the program mapped itself, and who holds the heap's pages. */
export const MEMORY_VIEWS = ["mapped", "pinned"] as const;
export const SORTS = ["size", "count", "name", "live", "peak", "temporary"] as const;

/** Whether samples may be so many bytes apart. */
export function isInterval(bytes: number): boolean {
  return inside(bytes, RANGES.sample);
}

/** Milliseconds between looks: often enough to see what moves, and 1 % of a processor at 20,000 call paths. */
export const REFRESH = 2000;
