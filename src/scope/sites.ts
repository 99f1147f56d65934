/** Call sites of this process, as the table has them at this moment. */
import type { CallPath, Profile } from "../profile/profile.ts";
import type { Moment } from "../profile/read.ts";
import { selectPaths } from "../profile/select.ts";
import type { Selection } from "../profile/select.ts";
import { profileSince } from "../profile/since.ts";
import { Symbols } from "../symbols/symbols.ts";
import { shortStack } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/symbols.ts";
import { own, ownMoment, ownProfile } from "./install.ts";
import { checkOptions } from "./options.ts";

/** Call paths that are shown when nothing else is said. */
export const DEFAULT_LIMIT = 50;

let momentOf: (mark: Mark) => Moment;

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
  readonly #moment: Moment;

  static {
    momentOf = (mark) => mark.#moment;
  }

  private constructor(moment: Moment) {
    this.#moment = moment;
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

/** This process's profile, of what came after a mark when one is given. */
export function profileNow(since: Mark | undefined): Profile {
  if (since !== undefined && !(since instanceof Mark)) {
    throw new TypeError("Cannot start from what is no mark: since takes what mark() gave");
  }
  const now = ownProfile();
  return since ? own(() => profileSince(now, momentOf(since))) : now;
}

/** What to show of the call paths; at most 50 of them when no limit is given. */
export interface SiteOptions extends Selection {
  /** Leave out what came before this moment. */
  readonly since?: Mark | undefined;
}

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

/** What a profile's call paths do not tell, in words; "" when they tell everything. */
export function unseen(profile: Profile): string {
  if (profile.limits.mode !== "paths") return `Call paths are not recorded: the mode is ${profile.limits.mode}`;
  const { fallbackAllocations, overflowAllocations } = profile.totals;
  const [few, none] = [fallbackAllocations, overflowAllocations].map((n) => n.toLocaleString("en-US"));
  if (fallbackAllocations + overflowAllocations === 0) return "";
  return `The table was full: ${few} allocations are known by their innermost frames alone, ${none} by none; raise buckets (HEAPTAP_BUCKETS)`;
}

/** A call path with its named stack, whole and without what explains nothing. */
export interface NamedPath {
  readonly path: CallPath;
  readonly stack: readonly NamedFrame[];
  readonly short: readonly NamedFrame[];
}

/** Call paths with the names of their frames, and what they do not tell. */
export async function namePaths(
  profile: Profile,
  paths: readonly CallPath[],
): Promise<{ named: NamedPath[]; problem: string }> {
  using symbols = new Symbols(profile, { within: (part) => own(part) });
  await symbols.resolve(paths);
  const named = own(() =>
    paths.map((path) => {
      const stack = symbols.stack(path);
      return { path, stack, short: shortStack(stack) };
    })
  );
  return { named, problem: unseen(profile) || symbols.problem };
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
  checkOptions("callSites", options, ["limit", "sortBy", "filter", "since"]);
  const profile = profileNow(options.since);
  const paths = own(() => selectPaths(profile, { ...options, limit: options.limit ?? DEFAULT_LIMIT }));
  const { named } = await namePaths(profile, paths);
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
