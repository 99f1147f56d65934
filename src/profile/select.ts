/** Which call paths of a profile, and in which order. Works without names. */
import type { CallPath, PathCounters, Profile } from "./profile.ts";
import { VIEWS } from "./views.ts";
import type { ViewName } from "./views.ts";

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

/** Whether a pattern is found in a text. Unlike `test` the same each time for patterns with the flags `g` and `y`. */
export function matches(pattern: RegExp, text: string): boolean {
  return text.search(pattern) >= 0;
}

/** The figure that each means. */
export const FIGURES: Readonly<Record<SortBy, (path: PathCounters) => number>> = {
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

/** Checks what a selection names. */
export function checkSelection({ limit, sortBy = "size", filter }: Selection): void {
  if (filter !== undefined && typeof filter !== "function") {
    throw new TypeError("Cannot filter with what is no function: filter is asked for each call path");
  }
  checkLimit("limit", limit);
  if (!Object.hasOwn(FIGURES, sortBy)) {
    throw new TypeError(`Cannot sort by "${sortBy}": it takes ${Object.keys(FIGURES).join(", ")}`);
  }
}

/**
 * The call paths that a selection names.
 *
 * @example
 * ```ts
 * import { Recording, selectPaths } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * console.log(selectPaths(profile, { sortBy: "peak", limit: 3, filter: (path) => path.allocations > 1 }).length);
 * ```
 *
 * @throws {RangeError} when the limit is negative or no whole number.
 * @throws {TypeError} when `sortBy` is no figure.
 */
export function selectPaths(profile: Profile, selection: Selection): CallPath[] {
  checkSelection(selection);
  const { limit, sortBy = "size", filter } = selection;
  const figure = FIGURES[sortBy];
  const kept = filter ? profile.callPaths.filter((path) => filter(path, profile)) : [...profile.callPaths];
  kept.sort((a, b) => figure(b) - figure(a) || a.id - b.id);
  return limit ? kept.slice(0, limit) : kept;
}

/** Which call paths to keep, by figures: no name is needed. */
export interface FigureFilter {
  /** Keep those with at least so many blocks in the view. */
  readonly minCount?: number | undefined;
  /** Keep those with at least so many bytes in the view; of temporary blocks bytes are not known, and nothing is dropped. */
  readonly minBytes?: number | undefined;
  /** The view that the two are about, `allocated` when left out; those that have nothing in it are dropped. */
  readonly view?: ViewName | undefined;
}

/**
 * A profile of the threads whose names match, of one that was read for them (`ProfileReadOptions.thread`). What they have
 * live is left out: any thread may free what they allocated, and they what others did.
 *
 * @example
 * ```ts
 * import { ofThreads, Recording } from "./mod.ts";
 *
 * const profile = ofThreads(Recording.open("sort.heaptap").profile({ thread: /^sort/ }), /^sort/);
 * console.log(profile.threads.length, profile.callPaths.length);
 * ```
 */
export function ofThreads(profile: Profile, thread: RegExp | undefined): Profile {
  if (!thread) return profile;
  const unknown = { liveBytes: 0, liveCount: 0, peakBytes: 0, peakCount: 0 };
  return {
    ...profile,
    threads: profile.threads.filter(({ name }) => name.search(thread) >= 0),
    callPaths: profile.callPaths.map((path) => ({ ...path, ...unknown })).filter((path) => path.allocations > 0),
  };
}

/**
 * A profile of the call paths through which operations whose names match allocated: see {@linkcode Operation.run}; of `heaptap test`
 * an operation is a test. Its totals stay those of the process.
 *
 * @example
 * ```ts
 * import { ofOperations, Recording } from "./mod.ts";
 *
 * const profile = ofOperations(Recording.open("sort.heaptap").profile(), /^parse/);
 * console.log(profile.callPaths.length);
 * ```
 */
export function ofOperations(profile: Profile, operation: RegExp | undefined): Profile {
  if (!operation) return profile;
  const callPaths = profile.callPaths.filter((path) =>
    path.operation !== undefined && matches(operation, path.operation)
  );
  return { ...profile, callPaths };
}

/**
 * The profile with the call paths that a filter keeps. Its totals stay those of the process.
 *
 * @example
 * ```ts
 * import { filterByFigures, Recording } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * console.log(filterByFigures(profile, { view: "peak", minBytes: 1000 }).callPaths.length);
 * ```
 */
export function filterByFigures(profile: Profile, { minCount = 0, minBytes = 0, view }: FigureFilter): Profile {
  if (minCount === 0 && minBytes === 0 && view === undefined) return profile;
  const { of, unit, count } = VIEWS[view ?? "allocated"];
  const callPaths = profile.callPaths.filter((path) =>
    count(path) >= minCount && (unit === "blocks" || of(path) >= minBytes) &&
    (view === undefined || count(path) > 0 || of(path) > 0)
  );
  return { ...profile, callPaths };
}
