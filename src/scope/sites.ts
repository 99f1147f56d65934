/** Call sites of this process, as the table has them at this moment. */
import type { CallPath, Profile } from "../profile/profile.ts";
import type { Moment } from "../profile/read.ts";
import { selectPaths } from "../profile/select.ts";
import type { Selection } from "../profile/select.ts";
import { profileSince } from "../profile/since.ts";
import { culprit } from "../symbols/allocators.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { NamedFrame } from "../symbols/symbols.ts";
import { own, ownMoment, ownProfile } from "./install.ts";

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
  const now = ownProfile();
  return since ? own(() => profileSince(now, momentOf(since))) : now;
}

/** What to show of the call paths. */
export interface SiteOptions extends Selection {
  /** Leave out what came before this moment. */
  readonly since?: Mark | undefined;
}

/** A bucket of the table: a call path with its figures and its named frames. */
export interface CallSite extends Omit<CallPath, "stack"> {
  /** Function of the innermost frame that is not an allocation function; "" when it is unknown. */
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

/** Call paths with the names of their frames, and what went wrong on the way to those. */
export async function nameSites(
  profile: Profile,
  paths: readonly CallPath[],
): Promise<{ sites: CallSite[]; problem: string }> {
  using symbols = new Symbols(profile);
  await symbols.resolve(paths);
  const sites = own(() =>
    paths.map((path) => {
      const stack = symbols.stack(path);
      const frame = stack[culprit(stack)];
      return {
        ...path,
        function: frame?.function ?? "",
        module: frame?.module ?? "",
        file: frame?.file ?? "",
        line: frame?.line ?? 0,
        stack,
      };
    })
  );
  return { sites, problem: symbols.problem };
}

/**
 * The call sites of this process: the table's buckets with their stacks and figures, the largest first.
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
  const profile = profileNow(options.since);
  return (await nameSites(profile, own(() => selectPaths(profile, options)))).sites;
}
