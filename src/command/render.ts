/** A recording as the report that was asked for. */
import type { Report } from "../file/whole_file.ts";
import { answer } from "../judge/answer.ts";
import { JSON_VERSION } from "../judge/comparable.ts";
import type { HtmlOptions } from "../export/html.ts";
import { count, plural } from "../profile/format.ts";
import type { Profile } from "../profile/profile.ts";
import type { Recording } from "../profile/recording.ts";
import type { ViewName } from "../profile/views.ts";
import { filterByFigures, ofOperations, ofThreads, selectPaths } from "../profile/select.ts";
import { groupsText, treeText } from "../report/groups.ts";
import { asCallPath } from "../profile/memory.ts";
import { shownPaths, textReport } from "../report/text.ts";
import { OutputError } from "../file/output_error.ts";
import { filterByName } from "../symbols/filter.ts";
import { callTree, groupPaths } from "../symbols/group.ts";
import { programSuppressions } from "../symbols/lsan.ts";
import { knownLeaks, NOTHING_ASIDE, suppressLeaks } from "../symbols/suppressions.ts";
import { Symbols } from "../symbols/symbols.ts";
import { naming, suppressions } from "./plan.ts";
import type { ReportOptions } from "./plan.ts";
import { looks, progressBar, shownAt } from "./terminal.ts";
import type { Target } from "../native/terminals.ts";
import type { Bar } from "./terminal.ts";

/** Options of a report of what malloc hands out. */
type HeapOptions = ReportOptions & { readonly view?: ViewName | undefined };

/** A report of groups or of a tree, when the options ask for one. */
async function groups(
  profile: Profile,
  symbols: Symbols,
  { format, groupBy, callers, callees, view, inclusive }: HeapOptions,
  limit: number,
  bar: Bar,
  to: Target,
): Promise<string | undefined> {
  const [functions, direction] = callers ? [callers, "callers" as const] : [callees, "callees" as const];
  const by = groupBy === "path" ? undefined : groupBy;
  if (!by && !functions) return undefined;
  if (format !== "text" && (functions || format !== "json")) {
    throw new OutputError(
      `Cannot write ${functions ? `--${direction}` : "--group-by"} as ${format}: trees are text, groups text or json`,
    );
  }
  if (by === "thread" && view === "peak") {
    throw new OutputError("Cannot show threads at the peak: what each had live then is not recorded");
  }
  await symbols.resolve(profile.callPaths, bar.step);
  bar.end();
  const look = looks(to);
  const shown = { limit, view, inclusive, width: look.width, interval: profile.limits.interval };
  if (functions) return shownAt(look, treeText(callTree(profile, symbols, functions, direction), direction, shown));
  if (!by) return undefined;
  const found = groupPaths(profile, symbols, by);
  if (format === "text") return shownAt(look, groupsText(profile, by, found, shown));
  return JSON.stringify({ version: JSON_VERSION, group_by: by, groups: found }, null, 2) + "\n";
}

/** Refuses what there is nothing for in a recording of totals alone. */
function checkMode(mode: Profile["limits"]["mode"], { format, groupBy, callers, callees, view }: ReportOptions): void {
  if (mode !== "totals") return;
  const asked = groupBy
    ? `show --group-by ${groupBy}`
    : callers || callees
    ? `show --${callers ? "callers" : "callees"}`
    : view
    ? `show --view ${view}`
    : ["text", "json", "html"].includes(format)
    ? ""
    : `write ${format}`;
  if (asked) throw new OutputError(`Cannot ${asked}: the recording has totals only (--mode totals)`);
}

/** Reads a recording and writes it as the options say; `to` is where a text goes. */
export async function render(
  recording: Recording,
  options: ReportOptions,
  to: Target,
): Promise<Report> {
  const { view } = options;
  return view === "mapped" || view === "pinned"
    ? await (await import("./memory.ts")).memoryReport(recording, view, options, to)
    : await renderHeap(recording, { ...options, view }, to);
}

async function renderHeap(recording: Recording, options: HeapOptions, to: Target): Promise<Report> {
  const { format, view, minCount, thresholdBytes, sortBy, raw, sizes, lifetimes } = options;
  const profile = recording.profile({ ...options, byThread: format === "pprof" });
  const isNow = options.since === undefined && !profile.moment;
  const read = ofThreads(isNow ? recording.withAccount(profile) : profile, options.thread);
  const recorded = filterByFigures(ofOperations(read, options.operation), { view, minCount, minBytes: thresholdBytes });
  for (const [what, wanted] of [["sizes", sizes], ["lifetimes", lifetimes]] as const) {
    if (!wanted || (recorded.limits[what] && !recorded.moment)) continue;
    const remedy = recorded.limits.interval ? "it is sampled, and has none" : `record with heaptap run --${what}`;
    const why = recorded.limits[what] ? "of moments they are not kept" : `they were not recorded; ${remedy}`;
    throw new OutputError(`Cannot show ${what} of "${recording.path}": ${why}`);
  }
  checkMode(recorded.limits.mode, options);
  // What a run comes to is told of a whole run.
  const isPart = [
    ...[options.filter, options.exclude, options.thread, options.operation, options.since, options.at, options.between],
    ...[minCount, thresholdBytes, options.suppressions],
  ]
    .some((option) => option !== undefined);
  const limit = options.limit ?? (format === "text" ? 10 : 0);
  // Of all call paths: which functions are wrappers is seen by who calls them.
  using symbols = new Symbols(read, naming(options));
  const bar = progressBar();
  const own = programSuppressions(read);
  const byName = own.length > 0 ||
    [options.filter, options.exclude, options.suppressions].some((option) => option !== undefined);
  if (byName) await symbols.resolve(recorded.callPaths, bar.step);
  const selected = suppressLeaks(filterByName(recorded, symbols, options), symbols, [
    ...suppressions(options),
    ...own,
  ]);
  const left = own.length === 0 ? 0 : recorded.totals.liveCount - selected.totals.liveCount;
  const named = left > 0 && options.suppressions === undefined
    ? [
      `${count(left)} live ${plural(left, "block")} ${
        left === 1 ? "is" : "are"
      } left out: named in the program's own __lsan_default_suppressions`,
    ]
    : [];
  const grouped = await groups(selected, symbols, options, limit, bar, to);
  if (grouped !== undefined) return grouped;
  const setAside = (profile: Profile) =>
    options.defaultSuppressions === false ? NOTHING_ASIDE : knownLeaks(profile, symbols);
  /** The first lines, of a profile whose names are known. */
  const firstLines = () =>
    options.filter && selected.callPaths.length === 0
      ? [
        `no call path${
          view ? " of this view" : ""
        } has a function, module or file that matches --filter "${options.filter.source}"`,
      ]
      : options.operation && selected.callPaths.length === 0
      ? [`no call path is of an operation whose name matches --operation "${options.operation.source}"`]
      : options.thread && selected.threads.length === 0
      ? [`no thread has a name that matches --thread "${options.thread.source}"`]
      : isPart
      ? []
      : [...answer(suppressLeaks(read, symbols, own), symbols, setAside(read)), ...named];
  if (format === "text") {
    const shown = { limit, view, sortBy, raw, sizes, lifetimes };
    await symbols.resolve(isPart ? shownPaths(selected, shown) : read.callPaths, bar.step);
    bar.end();
    const look = looks(to);
    const settings = { ...shown, aside: setAside(selected), answer: firstLines(), verbosity: Number(options.verbose) };
    return shownAt(look, textReport(selected, symbols, { ...settings, ...look }));
  }
  const figure = sortBy === "name" ? undefined : sortBy;
  const ordered = { ...selected, callPaths: selectPaths(selected, { sortBy: figure }) };
  await symbols.resolve(limit > 0 ? ordered.callPaths.slice(0, limit) : ordered.callPaths, bar.step);
  if (format === "json" || format === "html") await symbols.resolve((read.mappings?.paths ?? []).map(asCallPath));
  bar.end();
  const { exportBlocks } = await import("../export/formats.ts");
  const { compact } = options;
  if (format !== "html") return exportBlocks(ordered, symbols, format, { view, limit, raw, compact });
  // The first lines are of all call paths, also where fewer are shown.
  await symbols.resolve(isPart ? selected.callPaths : read.callPaths);
  const of = options.process === undefined ? recording : recording.process(options.process);
  const page: HtmlOptions = {
    source: options.source,
    marks: options.all ? [] : of.marks(),
    // Moments are of all threads and of the whole run.
    moments: options.all || options.thread || options.since !== undefined ? undefined : of.packedMoments(),
    aside: setAside(selected),
    answer: firstLines(),
  };
  return exportBlocks(ordered, symbols, format, { view, limit, raw, ...page });
}

/** The options of a report without what leaves call paths out. */
export function everything(options: ReportOptions): ReportOptions {
  const { format, symboliser, debugDir, debuginfod, nameCache, all, process } = options;
  return { format, verbose: 0 as number, symboliser, debugDir, debuginfod, nameCache, all, process, limit: 0 };
}
