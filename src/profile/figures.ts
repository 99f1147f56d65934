/** Figures put together, field by field. */
import type { CounterName, Counters, PathCounters } from "./profile.ts";

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
] as const satisfies readonly CounterName[];

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

/** Counters, each as it is. */
export type ExactCounters = Readonly<Record<CounterName, bigint>>;

function isLarge(n: number | bigint): boolean {
  return n > Number.MAX_SAFE_INTEGER || n < -Number.MAX_SAFE_INTEGER;
}

/** Whether counters are exact as numbers. */
export function areSafe(counters: Counters): boolean {
  return !counters.exact && !COUNTERS.some((field) => isLarge(counters[field]));
}

/** A counter as it is: a bigint where a number does not hold it. */
export function asItIs(counters: Counters, field: CounterName): number | bigint {
  return counters.exact?.[field] ?? counters[field];
}

/** Exact counters as numbers, beside those that a number does not hold. */
export function countersFrom(exact: ExactCounters): Counters {
  const counters = {} as Record<CounterName, number>;
  for (const field of COUNTERS) counters[field] = Number(exact[field]);
  const large = COUNTERS.filter((field) => isLarge(exact[field]));
  return {
    ...counters,
    exact: large.length > 0 ? Object.fromEntries(large.map((field) => [field, exact[field]])) : undefined,
  };
}

/** The sum of counters, or with -1 their difference. */
export function combineCounters(a: Counters, b: Counters, sign: 1 | -1 = 1): Counters {
  const sum: Counters = combine(COUNTERS, a, b, sign);
  if (!a.exact && !b.exact && areSafe(sum)) return sum;
  const exact = {} as Record<CounterName, bigint>;
  for (const field of COUNTERS) exact[field] = BigInt(asItIs(a, field)) + BigInt(sign) * BigInt(asItIs(b, field));
  return countersFrom(exact);
}

/** The counters of what did nothing. */
export const NOTHING: Counters = {
  allocations: 0,
  bytes: 0,
  frees: 0,
  freedBytes: 0,
  reallocations: 0,
  carried: 0,
  temporary: 0,
  liveBytes: 0,
  liveCount: 0,
};

/**
 * Counters as a record has them. `formulas` makes them of its fields by adding and subtracting, and does so with numbers and
 * with bigints alike.
 */
export function asCounters<Field>(
  formulas: (n: (field: Field) => number) => Counters,
  number: (field: Field) => number,
  exact: (field: Field) => bigint,
): Counters {
  const counters = formulas(number);
  if (areSafe(counters)) return counters;
  return countersFrom(formulas(exact as never) as unknown as ExactCounters);
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
  variance: number | undefined;

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
    if (path.variance !== undefined) this.variance = (this.variance ?? 0) + path.variance;
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
