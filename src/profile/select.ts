/** Which call paths of a profile, and in which order. Works without names. */
import type { CallPath, Profile } from "./profile.ts";

/** What call paths can be sorted by, the largest first. */
export type SortBy = "size" | "count" | "live" | "peak" | "temporary";

/** A selection of call paths. */
export interface Selection {
  /** At most so many; 0 for all. */
  readonly limit?: number | undefined;
  /** `size`, bytes allocated, when left out. */
  readonly sortBy?: SortBy | undefined;
  /** Which to keep. It is asked before any name is looked up. */
  readonly filter?: ((path: CallPath, profile: Profile) => boolean) | undefined;
}

const FIGURE: Readonly<Record<SortBy, (path: CallPath) => number>> = {
  size: (p) => p.bytes,
  count: (p) => p.allocations,
  live: (p) => p.liveBytes,
  peak: (p) => p.peakBytes,
  temporary: (p) => p.temporary,
};

/** Checks that a limit is a whole number that is not negative. */
export function checkLimit(name: string, limit: number | undefined): void {
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
    throw new RangeError(`Cannot use ${name} ${limit}: it takes a whole number, 0 for all`);
  }
}

/**
 * The call paths that a selection names.
 *
 * @throws {RangeError} when the limit is negative or no whole number.
 * @throws {TypeError} when `sortBy` is no figure.
 */
export function selectPaths(profile: Profile, { limit, sortBy = "size", filter }: Selection): CallPath[] {
  checkLimit("limit", limit);
  const figure = FIGURE[sortBy];
  if (!figure) throw new TypeError(`Cannot sort by "${sortBy}": it takes ${Object.keys(FIGURE).join(", ")}`);
  const kept = filter ? profile.callPaths.filter((path) => filter(path, profile)) : [...profile.callPaths];
  kept.sort((a, b) => figure(b) - figure(a) || a.id - b.id);
  return limit ? kept.slice(0, limit) : kept;
}
