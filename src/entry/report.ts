/**
 * `heaptap/report`: recordings and what is made of them: names, reports, formats, comparisons, limits.
 *
 * @example
 * ```ts
 * import { Recording, Symbols, textReport } from "heaptap/report";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(textReport(profile, symbols, { limit: 3, verbosity: 0, width: 80, color: false }));
 * ```
 *
 * @module
 */
export { isRecording, RecordingError } from "../file/reader.ts";
export { unpackRecording } from "../file/packed.ts";
export { packRecording } from "../file/copy.ts";
export type { Packed } from "../file/copy.ts";
export { writeReport } from "../file/whole_file.ts";
export type { Report } from "../file/whole_file.ts";
export type {
  CallPath,
  CounterName,
  Counters,
  Frame,
  Lifetimes,
  Limits,
  LinkedAllocator,
  MergedProcess,
  Module,
  PathCounters,
  Process,
  Profile,
  Sample,
  ShownMoment,
  Sizes,
  StackEnd,
  Thread,
  ThreadShare,
  Totals,
  Unfollowed,
} from "../profile/profile.ts";
export { Recording } from "../profile/recording.ts";
export type { ChosenRecording, ProfileReadOptions } from "../profile/recording.ts";
export { Look } from "../profile/looks.ts";
export type { FigureColumns } from "../profile/path_sums.ts";
export type { LookOptions } from "../profile/looks.ts";
export type { ProcessRow } from "../profile/process_tree.ts";
export type { TimelineMark } from "../profile/marks.ts";
export { unpackRun } from "../profile/unpack.ts";
export type { ReadOptions } from "../profile/read.ts";
export { Symbols } from "../symbols/symbols.ts";
export type { NamedFrame } from "../symbols/named_frame.ts";
export type { Progress, SymbolOptions } from "../symbols/symbols.ts";
export type { Coverage } from "../symbols/coverage.ts";
export { namesText } from "../symbols/foresee.ts";
export type { ForeseenNames } from "../symbols/foresee.ts";
export type { Name } from "../symbols/backend.ts";
export { isOwn } from "../symbols/kinds.ts";
export type { FrameKind, KindOptions } from "../symbols/kinds.ts";
export { bytes, count, parseBytes, plural, printable } from "../profile/format.ts";
export { blocksMargin, bytesMargin, CONFIDENCE } from "../profile/sampling.ts";
export type { Estimate } from "../profile/sampling.ts";
export type { AccountJson, MappedJson, MemoryJson } from "../export/memory_json.ts";
export { mappedText, pagesText } from "../report/memory.ts";
export type { MemoryOptions } from "../report/memory.ts";
export type { Account } from "../memory/survey.ts";
export type { PageUse, PinnedPath } from "../memory/pages.ts";
export type { MappedKind, MappedPath, Mappings, MemoryUse, MomentAccount } from "../profile/memory.ts";
export { shownPaths, textReport } from "../report/text.ts";
export type { Shown, TextOptions } from "../report/text.ts";
export { comparisonJson, jsonPaths, jsonReport } from "../export/json.ts";
export type { ComparisonJson, JsonRecord, JsonReport, LifetimesJson, SizesJson } from "../export/json.ts";
export { FORMAT_NAMES } from "../export/format_names.ts";
export type { FormatName } from "../export/format_names.ts";
export { exportBlocks, exportProfile } from "../export/formats.ts";
export type { ExportOptions } from "../export/formats.ts";
export type { StackOptions } from "../export/stacks.ts";
export { collapsedStacks } from "../export/collapsed.ts";
export { csvReport } from "../export/csv.ts";
export { dhatReport } from "../export/dhat.ts";
export { htmlReport } from "../export/html.ts";
export type { HtmlOptions } from "../export/html.ts";
export { comparisonHtml } from "../export/html_comparison.ts";
export { massifReport } from "../export/massif.ts";
export { pprofProfile } from "../export/pprof.ts";
export { speedscopeReport } from "../export/speedscope.ts";
export type { Viewed, ViewName, Weighed } from "../profile/views.ts";
export { filterByFigures, ofOperations, ofThreads, selectPaths } from "../profile/select.ts";
export type { FigureFilter, Selection, SortBy } from "../profile/select.ts";
export { filterByName } from "../symbols/filter.ts";
export type { NameFilter } from "../symbols/filter.ts";
export { comparable, JSON_VERSION } from "../judge/comparable.ts";
export type { Comparable, ComparableFrame, ComparablePath } from "../judge/comparable.ts";
export type { RunFigures } from "../judge/run_figures.ts";
export { readComparable } from "../judge/read_comparable.ts";
export type { ComparableOptions } from "../judge/read_comparable.ts";
export { compare } from "../judge/compare.ts";
export type { CompareBy, ComparedPath, ComparedRun, Comparison } from "../judge/compare.ts";
export { judge } from "../judge/budget.ts";
export type { Verdict } from "../judge/budget.ts";
export { parseBudget } from "../judge/limit.ts";
export type { Budget, LimitName } from "../judge/limit.ts";
export { compareGroups } from "../judge/compare_groups.ts";
export type { Change, ComparedGroup, CompareGroupBy } from "../judge/compare_groups.ts";
export { compareGroupsText, compareText } from "../report/compare.ts";
export { compareMarkdown } from "../report/review.ts";
export type { ReviewOptions } from "../report/review.ts";
export type { CompareOptions } from "../report/compare.ts";
export { annotations, breachesText, junitReport } from "../report/verdicts.ts";
export { callTree, groupPaths } from "../symbols/group.ts";
export type { Group, GroupBy, GroupFigures, TreeNode } from "../symbols/group.ts";
export { processesJson, processesText } from "../report/processes.ts";
export { groupsText, treeText } from "../report/groups.ts";
export type { GroupOptions } from "../report/groups.ts";
export { programSuppressions } from "../symbols/lsan.ts";
export { knownLeaks, parseSuppressions, suppressLeaks } from "../symbols/suppressions.ts";
export type { SetAside, Suppression } from "../symbols/suppressions.ts";
export { answer } from "../judge/answer.ts";
export { completions } from "../report/completions.ts";
export type { CompletionCommand, CompletionOption, Shell } from "../report/completions.ts";
export { carryNames } from "../symbols/carry.ts";
