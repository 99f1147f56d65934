/** Figures put together, field by field. */
import type { Counters, PathCounters } from "./profile.ts";

const COUNTERS = [
  "allocations",
  "bytes",
  "frees",
  "freedBytes",
  "reallocations",
  "carried",
  "temporary",
  "liveBytes",
  "liveCount",
] as const satisfies readonly (keyof Counters)[];

/** What several have of the fields named: the sum, or with -1 the difference. */
export function combine<Field extends string>(
  fields: readonly Field[],
  a: Readonly<Record<Field, number>>,
  b: Readonly<Record<Field, number>>,
  sign: 1 | -1 = 1,
): Record<Field, number> {
  const result = {} as Record<Field, number>;
  for (const field of fields) result[field] = a[field] + sign * b[field];
  return result;
}

/** The sum of counters, or with -1 their difference. */
export function combineCounters(a: Counters, b: Counters, sign: 1 | -1 = 1): Counters {
  return combine(COUNTERS, a, b, sign);
}

/** Figures of call paths that are added up one by one, of which there may be a hundred thousand. */
export class PathTotals implements PathCounters {
  allocations = 0;
  bytes = 0;
  frees = 0;
  freedBytes = 0;
  reallocations = 0;
  carried = 0;
  temporary = 0;
  liveBytes = 0;
  liveCount = 0;
  peakBytes = 0;
  peakCount = 0;

  /** Adds a call path. */
  add(path: PathCounters): void {
    this.allocations += path.allocations;
    this.bytes += path.bytes;
    this.frees += path.frees;
    this.freedBytes += path.freedBytes;
    this.reallocations += path.reallocations;
    this.carried += path.carried;
    this.temporary += path.temporary;
    this.liveBytes += path.liveBytes;
    this.liveCount += path.liveCount;
    this.peakBytes += path.peakBytes;
    this.peakCount += path.peakCount;
  }
}

/** Counts of what could not be seen, beside the counters in the totals. */
export const UNSEEN = [
  "failed",
  "unknownFrees",
  "lostFrees",
  "untracked",
  "abandoned",
  "lostChildren",
  "pastLibraries",
] as const;
