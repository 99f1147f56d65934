/** What a report is to show, and which limits it is to keep: the options of commands, and what can be refused beforehand. */
import { readFileSync, statSync } from "node:fs";
import { isRecording } from "../file/reader.ts";
import type { FormatName } from "../export/format_names.ts";
import { LIMITS } from "../judge/limit.ts";
import type { Budget, LimitName } from "../judge/limit.ts";
import { knownFigures } from "../judge/run_figures.ts";
import { momentIn } from "../profile/moments.ts";
import { Recording } from "../profile/recording.ts";
import type { ViewName } from "../profile/views.ts";
import { checkTogether } from "../native/variables.ts";
import type { RecordOptions } from "../native/variables.ts";
import { OutputError } from "../file/output_error.ts";
import { parseSuppressions } from "../symbols/suppressions.ts";
import type { Suppression } from "../symbols/suppressions.ts";
import type { SymbolOptions } from "../symbols/symbols.ts";
import { checkReportPath } from "./terminal.ts";
import type { GROUPS, MEMORY_VIEWS, SORTS } from "./values.ts";

/**
 * A view of what malloc hands out.
 *
 * @throws {OutputError} when it is one of other memory.
 */
export function heapView(view: ReportOptions["view"]): ViewName | undefined {
  if (view === "mapped" || view === "pinned") {
    throw new OutputError(`Cannot compare by --view ${view}: it is for reports`);
  }
  return view;
}

/** How names are looked up, and whose code frames are. */
export interface NameOptions {
  symboliser?: string | undefined;
  debugDir?: string[] | undefined;
  debuginfod?: boolean | undefined;
  nameCache?: boolean | undefined;
  own?: RegExp | undefined;
  notOwn?: RegExp | undefined;
  allocFn?: RegExp | undefined;
}

/** The same as functions take them. */
export function naming(options: NameOptions): SymbolOptions {
  const { symboliser, debugDir, debuginfod, nameCache, own, notOwn, allocFn } = options;
  return {
    symboliser,
    debugFolders: debugDir,
    debuginfod,
    cache: nameCache,
    own,
    notOwn,
    allocationFunctions: allocFn,
  };
}

/** What a report shows. */
export interface ReportOptions extends NameOptions {
  format: "text" | FormatName;
  filter?: RegExp | undefined;
  exclude?: RegExp | undefined;
  thread?: RegExp | undefined;
  operation?: RegExp | undefined;
  minCount?: number | undefined;
  thresholdBytes?: number | undefined;
  view?: ViewName | typeof MEMORY_VIEWS[number] | undefined;
  sortBy?: typeof SORTS[number] | undefined;
  groupBy?: typeof GROUPS[number] | undefined;
  callers?: RegExp | undefined;
  callees?: RegExp | undefined;
  suppressions?: string | undefined;
  /** Whether what libraries are known to keep is set aside. */
  defaultSuppressions?: boolean | undefined;
  /** Whether groups are sorted by what goes through them. */
  inclusive?: boolean | undefined;
  since?: string | undefined;
  at?: number | string | undefined;
  between?: [number, number] | undefined;
  process?: number | undefined;
  all?: boolean | undefined;
  limit?: number | undefined;
  raw?: boolean | undefined;
  compact?: boolean | undefined;
  sizes?: boolean | undefined;
  lifetimes?: boolean | undefined;
  source?: boolean | undefined;
  verbose: number | true;
}

/** Limits to keep. */
export interface BudgetOptions {
  maxAllocations?: number | undefined;
  maxBytes?: number | undefined;
  maxPeak?: number | undefined;
  maxLive?: number | undefined;
  maxTemporary?: number | undefined;
  budget: Budget[];
  compare?: string | undefined;
  maxGrowth?: number | undefined;
  junit?: string | undefined;
}

/** The limits that the options set. */
export function budgetsOf(
  { maxAllocations, maxBytes, maxPeak, maxLive, maxTemporary, budget }: BudgetOptions,
): Budget[] {
  const limits: [LimitName, number | undefined][] = [
    ["max-allocations", maxAllocations],
    ["max-bytes", maxBytes],
    ["max-peak", maxPeak],
    ["max-live", maxLive],
    ["max-temporary", maxTemporary],
  ];
  return [
    ...limits.flatMap(([limit, allowed]): Budget[] => allowed === undefined ? [] : [{ limit, allowed }]),
    ...budget,
  ];
}

/** Refuses what a mode does not record, and what does not go together, before the program runs. */
export function checkRecording(options: BudgetOptions & RecordOptions): void {
  const { mode = "paths", budget } = options;
  try {
    checkTogether(options);
  } catch (error) {
    throw new OutputError((error as Error).message, { cause: error });
  }
  if (mode !== "paths" && budget.length > 0) {
    throw new OutputError(`Cannot judge --budget without call paths: leave out --mode ${mode}`);
  }
  const known = knownFigures({ limits: { mode } });
  const unknown = budgetsOf(options).find(({ limit }) => !known.includes(LIMITS[limit]));
  if (unknown) {
    throw new OutputError(`Cannot judge --${unknown.limit} of totals: take --mode counters, or none`);
  }
}

/** The known leaks that the options name a file of. */
export function suppressions({ suppressions: path }: Pick<ReportOptions, "suppressions">): Suppression[] {
  if (path === undefined) return [];
  try {
    return parseSuppressions(readFileSync(path, "utf8"));
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    const why = code === "ENOENT" ? "there is no such file" : message;
    throw new OutputError(`Cannot read the suppressions "${path}": ${why}`, { cause });
  }
}

/** Refuses what can be told before a program runs or a recording is read. */
export function checkPlan(
  options: BudgetOptions & Pick<ReportOptions, "thread" | "view" | "suppressions">,
  outputs: readonly (string | undefined)[],
): void {
  const { thread, view } = options;
  const asked = [
    ...view === "live" || view === "peak" ? [`show --view ${view}`] : [],
    ...budgetsOf(options).filter(({ limit }) => limit === "max-live" || limit === "max-peak")
      .map(({ limit }) => `judge ${limit}`),
  ];
  if (thread && asked[0]) {
    throw new OutputError(`Cannot ${asked[0]} of threads: any thread may free what they allocated`);
  }
  if (options.maxGrowth !== undefined && options.compare === undefined) {
    throw new OutputError("Cannot judge --max-growth by itself: name the earlier run with --compare");
  }
  if (options.compare !== undefined) {
    const found = statSync(momentIn(options.compare).path, { throwIfNoEntry: false });
    const why = !found ? "there is no such file" : found.isFile() ? "" : "it is not a regular file";
    if (why) throw new OutputError(`Cannot compare with "${options.compare}": ${why}`);
  }
  suppressions(options);
  const named = [...outputs, options.junit].filter((path) => path !== undefined);
  for (const [i, path] of named.entries()) {
    checkReportPath(path);
    if (path !== "-" && named.indexOf(path) !== i) throw new OutputError(`Cannot write two reports to "${path}"`);
  }
}

/** The recording of an earlier run to compare with: of the process that `run` would have reported. */
export function earlier(path: string, { all, process }: Pick<ReportOptions, "all" | "process"> = {}): string {
  const moment = momentIn(path);
  if (all || process !== undefined || !isRecording(moment.path)) return path;
  return Recording.open(moment.path).chosen().recording.path + path.slice(moment.path.length);
}
