/**
 * heaptap, the allocation profiler you script: runs any dynamically linked Linux program with its
 * allocation functions intercepted and reads what it recorded, or puts the same hooks into the Deno or
 * Bun process that a script runs in.
 *
 * @example Fail when a program's peak grows
 * ```ts
 * import { profile } from "./mod.ts";
 *
 * const { recording } = await profile(["sort", "-n", "numbers.txt"], { stdio: "ignore" });
 * const peak = recording?.profile().totals.peakBytes ?? 0;
 * if (peak > 100e6) throw new Error(`sort needs ${peak} bytes`);
 * ```
 *
 * @example See what an operation of this script allocates
 * ```ts
 * import { Session } from "./mod.ts";
 *
 * const session = new Session();
 * const parse = session.operation("parse");
 * for (let round = 0; round < 100; round++) {
 *   using _span = parse.measureThread();
 *   JSON.parse("[1, 2, 3]");
 * }
 * session.toReport().print();
 * ```
 *
 * @module
 */
export { headerFolder, LibraryError, libraryPath } from "./src/native/build.ts";
export { isRecording, RecordingError } from "./src/file/reader.ts";
export { unpackRecording } from "./src/file/packed.ts";
export { packRecording } from "./src/file/copy.ts";
export type { Packed } from "./src/file/copy.ts";
export { writeReport } from "./src/file/whole_file.ts";
export type { Report } from "./src/file/whole_file.ts";
export type {
  CallPath,
  CounterName,
  Counters,
  Frame,
  Limits,
  LinkedAllocator,
  MergedProcess,
  Module,
  PathCounters,
  Process,
  Profile,
  Sample,
  Sizes,
  StackEnd,
  Thread,
  ThreadShare,
  Totals,
  Unfollowed,
} from "./src/profile/profile.ts";
export { Recording } from "./src/profile/recording.ts";
export type { ChosenRecording, ProfileReadOptions } from "./src/profile/recording.ts";
export type { ProcessRow } from "./src/profile/process_tree.ts";
export type { TimelineMark } from "./src/profile/marks.ts";
export { unpackRun } from "./src/profile/unpack.ts";
export type { ReadOptions } from "./src/profile/read.ts";
export { Symbols } from "./src/symbols/symbols.ts";
export type { NamedFrame, Progress, SymbolOptions } from "./src/symbols/symbols.ts";
export type { Coverage } from "./src/symbols/coverage.ts";
export { namesText } from "./src/symbols/foresee.ts";
export type { ForeseenNames } from "./src/symbols/foresee.ts";
export type { Name } from "./src/symbols/backend.ts";
export { isOwn } from "./src/symbols/kinds.ts";
export type { FrameKind, KindOptions } from "./src/symbols/kinds.ts";
export { bytes, count, parseBytes, plural, printable } from "./src/profile/format.ts";
export { blocksMargin, bytesMargin, CONFIDENCE } from "./src/profile/sampling.ts";
export type { Estimate } from "./src/profile/sampling.ts";
export { shownPaths, textReport } from "./src/report/text.ts";
export type { Shown, TextOptions } from "./src/report/text.ts";
export { comparisonJson, jsonPaths, jsonReport } from "./src/export/json.ts";
export type { ComparisonJson, JsonRecord, JsonReport, SizesJson } from "./src/export/json.ts";
export { exportBlocks, exportProfile, FORMAT_NAMES } from "./src/export/formats.ts";
export type { ExportOptions, FormatName } from "./src/export/formats.ts";
export type { StackOptions } from "./src/export/stacks.ts";
export { collapsedStacks } from "./src/export/collapsed.ts";
export { csvReport } from "./src/export/csv.ts";
export { dhatReport } from "./src/export/dhat.ts";
export { htmlReport } from "./src/export/html.ts";
export type { HtmlOptions } from "./src/export/html.ts";
export { comparisonHtml } from "./src/export/html_comparison.ts";
export { massifReport } from "./src/export/massif.ts";
export { pprofProfile } from "./src/export/pprof.ts";
export { speedscopeReport } from "./src/export/speedscope.ts";
export type { Viewed, ViewName, Weighed } from "./src/profile/views.ts";
export { notInherited } from "./src/run/inherited.ts";
export type { InterpreterOptions } from "./src/run/interpreters.ts";
export { meantCommand } from "./src/run/meant.ts";
export { inspectProgram } from "./src/run/program.ts";
export { ProgramError } from "./src/run/recordable.ts";
export type { Program } from "./src/run/program.ts";
export { OutputError } from "./src/run/output.ts";
export { profile } from "./src/run/profile.ts";
export type { ProfileOptions, ProfileResult } from "./src/run/profile.ts";
export type { Escaped } from "./src/run/watch.ts";
export { examine, whyNoRecording } from "./src/run/doctor.ts";
export type { Diagnosis } from "./src/run/doctor.ts";
export { checkVariables, isPathPattern } from "./src/native/variables.ts";
export type { RecordOptions } from "./src/native/variables.ts";
export { install, pause, resume } from "./src/scope/install.ts";
export { notes } from "./src/scope/notes.ts";
export { measure, Measurement } from "./src/scope/measure.ts";
export type { MeasureOptions, PerCall } from "./src/scope/measure.ts";
export { growth, GrowthReport, watch } from "./src/scope/growth.ts";
export type { GrowthOptions, GrowthRow, Watch, WatchOptions } from "./src/scope/growth.ts";
export { heapHandler, nodeListener } from "./src/scope/server.ts";
export type { HeapHandler, HeapHandlerOptions, NodeRequest, NodeResponse } from "./src/scope/server.ts";
export { openMetrics } from "./src/scope/open_metrics.ts";
export { profileNow } from "./src/scope/own_profile.ts";
export type { NamedProfile } from "./src/scope/own_profile.ts";
export type { Through } from "./src/scope/through.ts";
export type { Installation, InstallOptions } from "./src/scope/install.ts";
export { counters, Profiler, threadCounters } from "./src/scope/counters.ts";
export type { ProfilerOptions } from "./src/scope/counters.ts";
export type { Figures } from "./src/scope/meter.ts";
export { Operation, Session, Span, SpanError } from "./src/scope/session.ts";
export type { SpanFigures, SpanOptions } from "./src/scope/session.ts";
export type { RuntimeMemory, SpanMemory } from "./src/scope/runtime_memory.ts";
export { SessionReport } from "./src/scope/session_report.ts";
export type { OperationReport, SessionReportJson } from "./src/scope/session_report.ts";
export type { Spread, TallyData } from "./src/scope/statistics.ts";
export { callSites, Mark, mark } from "./src/scope/sites.ts";
export type { CallSite, SiteOptions } from "./src/scope/sites.ts";
export { BacktraceReport, backtraceReport } from "./src/scope/backtraces.ts";
export type { BacktraceMode, BacktraceOptions, BacktraceRow } from "./src/scope/backtraces.ts";
export { ThreadReport, threadReport } from "./src/scope/threads.ts";
export type { ThreadOptions, ThreadRow } from "./src/scope/threads.ts";
export { AllocationLimitError, expectAllocations } from "./src/scope/expect.ts";
export type { AllocationLimits } from "./src/scope/expect.ts";
export { filterByFigures, ofOperations, ofThreads, selectPaths } from "./src/profile/select.ts";
export type { FigureFilter, Selection, SortBy } from "./src/profile/select.ts";
export { filterByName } from "./src/symbols/filter.ts";
export type { NameFilter } from "./src/symbols/filter.ts";
export { comparable, JSON_VERSION } from "./src/judge/comparable.ts";
export type { Comparable, ComparableFrame, ComparablePath, RunFigures } from "./src/judge/comparable.ts";
export { readComparable } from "./src/judge/read_comparable.ts";
export type { ComparableOptions } from "./src/judge/read_comparable.ts";
export { compare } from "./src/judge/compare.ts";
export type { CompareBy, ComparedPath, ComparedRun, Comparison } from "./src/judge/compare.ts";
export { judge, parseBudget } from "./src/judge/budget.ts";
export type { Budget, LimitName, Verdict } from "./src/judge/budget.ts";
export { compareGroups } from "./src/judge/compare_groups.ts";
export type { Change, ComparedGroup, CompareGroupBy } from "./src/judge/compare_groups.ts";
export { compareGroupsText, compareText } from "./src/report/compare.ts";
export { compareMarkdown } from "./src/report/review.ts";
export type { ReviewOptions } from "./src/report/review.ts";
export type { CompareOptions } from "./src/report/compare.ts";
export { annotations, breachesText, junitReport } from "./src/report/verdicts.ts";
export { callTree, groupPaths } from "./src/symbols/group.ts";
export type { Group, GroupBy, GroupFigures, TreeNode } from "./src/symbols/group.ts";
export { processesJson, processesText } from "./src/report/processes.ts";
export { groupsText, treeText } from "./src/report/groups.ts";
export type { GroupOptions } from "./src/report/groups.ts";
export { programSuppressions } from "./src/symbols/lsan.ts";
export { knownLeaks, parseSuppressions, suppressLeaks } from "./src/symbols/suppressions.ts";
export type { SetAside, Suppression } from "./src/symbols/suppressions.ts";
export { answer } from "./src/judge/answer.ts";
export { completions } from "./src/report/completions.ts";
export type { CompletionCommand, CompletionOption, Shell } from "./src/report/completions.ts";
export { carryNames } from "./src/symbols/carry.ts";
