/** Reads runs to compare, and what is to be compared of them. */
import { isRecording, RecordingError } from "../file/reader.ts";
import { unpackRun } from "../profile/unpack.ts";
import { momentIn } from "../profile/moments.ts";
import { Recording } from "../profile/recording.ts";
import type { ProfileReadOptions } from "../profile/recording.ts";
import { ofOperations, ofThreads } from "../profile/select.ts";
import type { NameFilter } from "../symbols/filter.ts";
import { programSuppressions } from "../symbols/lsan.ts";
import { keeper, suppressLeaks } from "../symbols/suppressions.ts";
import type { Suppression } from "../symbols/suppressions.ts";
import { frameMatches } from "../symbols/named_frame.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { Progress, SymbolOptions } from "../symbols/symbols.ts";
import { comparable } from "./comparable.ts";
import { addFigures, NO_FIGURES } from "./run_figures.ts";
import type { Comparable, ComparablePath } from "./comparable.ts";
import { readSaved } from "./saved_report.ts";

/** Options of {@linkcode readComparable}. A JSON report knows neither threads nor operations nor earlier moments nor other processes. */
export interface ComparableOptions
  extends SymbolOptions, NameFilter, Pick<ProfileReadOptions, "since" | "process" | "all"> {
  /** Only what threads with such a name allocated; what of it is live is not known then. */
  readonly thread?: RegExp | undefined;
  /** Only what operations with such a name allocated. */
  readonly operation?: RegExp | undefined;
  /** Known leaks, which are left out of what is live. */
  readonly suppressions?: readonly Suppression[] | undefined;
  /** Whether what libraries are known to keep is left out of what is live too. */
  readonly setAside?: boolean | undefined;
  /** Called while names are looked up. */
  readonly progress?: Progress | undefined;
}

/** The call paths that a filter keeps, and their sums as totals. */
function selected(run: Comparable, { filter, exclude }: NameFilter): Comparable {
  if (!filter && !exclude) return run;
  const has = ({ frames }: ComparablePath, pattern: RegExp) => frames.some((frame) => frameMatches(frame, pattern));
  const paths = new Map(
    [...run.paths].filter(([, path]) => (!filter || has(path, filter)) && !(exclude && has(path, exclude))),
  );
  return { ...run, paths, totals: sumOf(paths.values()), timeline: [] };
}

function sumOf(paths: Iterable<ComparablePath>) {
  let sum = NO_FIGURES;
  for (const { figures } of paths) sum = addFigures(sum, figures);
  return sum;
}

/** A run without what is live in call paths that are known to keep it. */
function withoutLeaks(run: Comparable, isKnown: (path: ComparablePath) => boolean): Comparable {
  let left = 0;
  const paths = new Map([...run.paths].map(([key, path]) => {
    const { figures } = path;
    if (figures.liveBytes <= 0 || !isKnown(path)) return [key, path];
    left += figures.liveBytes;
    return [key, { ...path, figures: { ...figures, liveBytes: 0 } }];
  }));
  return { ...run, paths, totals: { ...run.totals, liveBytes: run.totals.liveBytes - left } };
}

function fromSaved(path: string, options: ComparableOptions): Comparable {
  const run = readSaved(path);
  const unknown = [
    [options.thread, "threads", "what each thread allocated"],
    [options.operation, "operations", "what each operation allocated"],
    [options.since, "what came before a moment", "earlier moments"],
    [options.process, "another process", "other processes than the one that it was saved of"],
  ] as const;
  for (const [asked, what, known] of unknown) {
    if (asked === undefined) continue;
    throw new RecordingError(
      `Cannot tell ${what} apart in "${path}": a saved report does not have ${known}; compare the recordings`,
    );
  }
  const { suppressions = [] } = options;
  if (suppressions.length === 0) return run;
  return withoutLeaks(
    run,
    ({ frames }) => frames.some((frame) => suppressions.some(({ pattern }) => frameMatches(frame, pattern))),
  );
}

/** The run as its options want it. */
function finished(run: Comparable, options: ComparableOptions): Comparable {
  const own = options.setAside ? withoutLeaks(run, ({ frames }) => keeper(frames) !== undefined) : run;
  return selected(own, options);
}

/**
 * Reads a run to compare: a recording, whose names are looked up, or a JSON report of all call paths
 * (`heaptap run --save`, `heaptap report --format json`). A recording's moment is `FILE@2.5s`, or `FILE@MARK`. With a filter, or of threads, its totals are those of the
 * call paths that are kept.
 *
 * @throws {RecordingError} when it is neither, or a JSON report is asked for what it does not have.
 *
 * @example
 * ```ts
 * import { readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * console.log(run.totals.allocations, run.paths.size);
 * ```
 */
export async function readComparable(named: string, options: ComparableOptions = {}): Promise<Comparable> {
  const { path, at } = momentIn(named);
  if (!isRecording(path)) return finished(fromSaved(path, options), options);
  await unpackRun(path);
  const profile = ofOperations(
    ofThreads(Recording.open(path).profile({ ...options, at }), options.thread),
    options.operation,
  );
  using symbols = new Symbols(profile, options);
  await symbols.resolve(profile.callPaths, options.progress);
  const run = comparable(
    suppressLeaks(profile, symbols, [...options.suppressions ?? [], ...programSuppressions(profile)]),
    symbols,
  );
  const whole = options.thread || options.operation ? { ...run, totals: sumOf(run.paths.values()), timeline: [] } : run;
  return finished(whole, options);
}
