/** Figures put together, field by field. */
import type { Counters } from "./profile.ts";

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
