/** Call sites of this process, as the table has them at this moment. */
import type { CallPath, Profile } from "../profile/profile.ts";
import type { Moment, Reading } from "../profile/read.ts";
import { checkSelection } from "../profile/select.ts";
import type { Selection, SortBy } from "../profile/select.ts";
import { shortStack } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import { own, ownMoment, ownReading } from "./install.ts";
import { checkOptions, checkPattern } from "./options.ts";
import { nameFrames } from "./own_names.ts";
import { largestOf, stopsOf } from "./rows.ts";
import { inBatches, inSlices } from "./slices.ts";
import { throughFunctions, throughModules } from "./through.ts";
import type { Through } from "./through.ts";

/** Call paths that are shown when nothing else is said. */
export const DEFAULT_LIMIT = 50;

/** What a mark knows. */
interface Marked {
  readonly moment: Moment;
  /** When it was made, milliseconds of the process's own clock. */
  readonly at: number;
}

let markedOf: (mark: Mark) => Marked;

/** What a mark knows. */
export function markOf(mark: Mark): Marked {
  return markedOf(mark);
}

/**
 * A moment, from {@linkcode mark}: what reports with `since` leave out is what came before it.
 *
 * @example
 * ```ts
 * import { backtraceReport, Mark } from "./mod.ts";
 *
 * const start = Mark.now();
 * const block = new Uint8Array(100_000);
 * console.log(block.length, String(await backtraceReport({ since: start, limit: 1 })));
 * ```
 */
export class Mark {
  readonly #marked: Marked;

  static {
    markedOf = (mark) => mark.#marked;
  }

  private constructor(moment: Moment) {
    this.#marked = { moment, at: performance.now() };
  }

  /** This moment; the same as {@linkcode mark}. */
  static now(): Mark {
    return own(() => new Mark(ownMoment()));
  }
}

/**
 * Notes this moment: the figures of every call path, a millisecond of work for thousands.
 *
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { callSites, mark } from "./mod.ts";
 *
 * const start = mark();
 * const blocks = Array.from({ length: 100 }, () => new Uint8Array(1000));
 * for (const { allocations, bytes, liveBytes } of await callSites({ since: start, limit: 3 })) {
 *   console.log(blocks.length, allocations, bytes, liveBytes);
 * }
 * ```
 */
export function mark(): Mark {
  return Mark.now();
}

/** This process's recording now, of what came after a mark when one is given. */
export function readingNow(since: Mark | undefined): Promise<Reading> {
  if (since !== undefined && !(since instanceof Mark)) {
    throw new TypeError("Cannot start from what is no mark: since takes what mark() gave");
  }
  return inSlices(ownReading({ since: since && markOf(since).moment }));
}

/** What to show of the call paths; at most 50 of them when no limit is given. */
export interface SiteOptions extends Selection, Through {
  /** Leave out what came before this moment. */
  readonly since?: Mark | undefined;
  /** What was allocated in the operation of that name alone: see {@linkcode Operation.run}. */
  readonly operation?: string | undefined;
}

/** Their names. */
export const SITE_OPTIONS = ["limit", "sortBy", "filter", "since", "operation", "modules", "functions"] as const;

/** A bucket of the table: a call path with its figures and its named frames. */
export interface CallSite extends Omit<CallPath, "stack"> {
  /** Function of the innermost frame that is neither an allocation function nor the runtime's; "" when it is unknown. */
  readonly function: string;
  /** Path of its module, "" for code of no object. */
  readonly module: string;
  /** Its source file, "" when unknown. */
  readonly file: string;
  /** Its line, 0 when unknown. */
  readonly line: number;
  /** Frames from the innermost, which called the allocation function, outwards. */
  readonly stack: readonly NamedFrame[];
}

/** What a reading's call paths do not tell, beside what nothing tells ({@linkcode notes}). */
export function unseen({ limits, totals }: Profile): string[] {
  if (limits.mode !== "paths") return [`Call paths are not recorded: the mode is ${limits.mode}`];
  const { fallbackAllocations, overflowAllocations } = totals;
  const [few, none] = [fallbackAllocations, overflowAllocations].map((n) => n.toLocaleString("en-US"));
  if (fallbackAllocations + overflowAllocations === 0) return [];
  return [`The table was full: ${few} allocations are known by their innermost frames alone, ${none} by none`];
}

/** The numbers of the call paths that a filter keeps. Figures alone are looked at, unless the filter looks at more. */
function* keptPaths(reading: Reading, filter: Selection["filter"]): Generator<undefined, Uint32Array> {
  if (!filter) return reading.used;
  const { used } = reading;
  // Few filters look at more than the path that they are asked about.
  const profile = Object.defineProperty({ ...reading.profile }, "callPaths", {
    enumerable: true,
    get: () => reading.whole().callPaths,
  });
  const kept = new Uint32Array(used.length);
  let n = 0;
  yield* inBatches(used.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const id = used[i] as number;
      if (filter(reading.path(id), profile)) kept[n++] = id;
    }
  });
  return kept.subarray(0, n);
}

/** The numbers of the call paths that options choose. */
export async function chosenPaths(
  reading: Reading,
  { filter, operation, modules, functions }: SiteOptions,
): Promise<Uint32Array> {
  checkPattern("modules", modules);
  checkPattern("functions", functions);
  let ids = await inSlices(keptPaths(reading, filter));
  if (operation !== undefined) ids = await inSlices(pathsOf(reading, operation, ids));
  ids = await inSlices(throughModules(reading, ids, modules));
  return await throughFunctions(reading, ids, functions);
}

function* pathsOf({ nodes }: Reading, operation: string, ids: Uint32Array): Generator<undefined, Uint32Array> {
  const found: number[] = [];
  yield* inBatches(ids.length, (from, to) => {
    for (const id of ids.subarray(from, to)) if (nodes.operation(id) === operation) found.push(id);
  });
  return Uint32Array.from(found);
}

/** The numbers of the largest of call paths, the largest first. */
export function* largestPaths(
  reading: Reading,
  ids: Uint32Array,
  limit: number,
  sortBy: SortBy,
): Generator<undefined, Uint32Array> {
  const figure = (i: number) => reading.sums?.figure(ids[i] as number, sortBy) ?? 0;
  return (yield* largestOf(ids.length, figure, limit)).map((i) => ids[i] as number);
}

/** A call path with its named stack, whole and without what explains nothing. */
export interface NamedPath {
  readonly path: CallPath;
  readonly stack: readonly NamedFrame[];
  readonly short: readonly NamedFrame[];
}

/** Call paths of a reading with the names of their frames, and what those do not tell. */
export async function namePaths(
  reading: Reading,
  ids: Uint32Array,
): Promise<{ named: NamedPath[]; problem: string }> {
  const symbols = await nameFrames(reading, await inSlices(stopsOf(reading, ids)));
  const named = own(() =>
    Array.from(ids, (id) => {
      const path = reading.path(id);
      const stack = symbols.stack(path);
      return { path, stack, short: shortStack(stack) };
    })
  );
  return { named, problem: symbols.problemOf(named.map(({ stack }) => stack)) };
}

/**
 * The call sites of this process: the table's buckets with their stacks and figures, the largest first, 50
 * of them when no limit is given.
 * Names are looked up for those that are returned alone; of code that the runtime has compiled they
 * are known when it writes a perf map (`deno run --v8-flags=--perf-basic-prof`).
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {RangeError} when the limit is negative.
 *
 * @example
 * ```ts
 * import { callSites } from "./mod.ts";
 *
 * for (const site of await callSites({ limit: 5, sortBy: "live" })) {
 *   console.log(site.liveBytes, site.function || site.module, site.stack.length);
 * }
 * ```
 */
export async function callSites(options: SiteOptions = {}): Promise<CallSite[]> {
  checkOptions("callSites", options, SITE_OPTIONS);
  const { limit = DEFAULT_LIMIT, sortBy = "size" } = options;
  checkSelection(options);
  using reading = await readingNow(options.since);
  const ids = await inSlices(largestPaths(reading, await chosenPaths(reading, options), limit, sortBy));
  const { named } = await namePaths(reading, ids);
  return own(() =>
    named.map(({ path, stack, short: [frame] }) => ({
      ...path,
      function: frame?.function ?? "",
      module: frame?.module ?? "",
      file: frame?.file ?? "",
      line: frame?.line ?? 0,
      stack,
    }))
  );
}
