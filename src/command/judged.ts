/** Budgets and comparisons of runs, as commands judge and show them. */
import { comparisonHtml } from "../export/html_comparison.ts";
import { comparisonJson } from "../export/json.ts";
import { judge } from "../judge/budget.ts";
import { knownFigures } from "../judge/run_figures.ts";
import type { Comparable } from "../judge/comparable.ts";
import { compare } from "../judge/compare.ts";
import type { CompareBy, Comparison } from "../judge/compare.ts";
import { compareGroups } from "../judge/compare_groups.ts";
import { LIMITS } from "../judge/limit.ts";
import { readComparable } from "../judge/read_comparable.ts";
import { compareGroupsText, compareText } from "../report/compare.ts";
import { compareMarkdown } from "../report/review.ts";
import { annotations, breachesText, junitReport } from "../report/verdicts.ts";
import { OutputError } from "../file/output_error.ts";
import { budgetsOf, earlier, heapView, naming, suppressions } from "./plan.ts";
import type { BudgetOptions, NameOptions, ReportOptions } from "./plan.ts";
import { looks, progressBar, shownAt } from "./terminal.ts";
import type { Target } from "../native/terminals.ts";
import { GROWTH, VIEW_FIGURES } from "./values.ts";
import type { COMPARED_GROUPS } from "./values.ts";

/** What was judged, as it is to be put. */
export interface Judgement {
  /** Whether all budgets were kept. */
  readonly kept: boolean;
  /** The comparison and the budgets that were not kept, as text. */
  readonly text: string;
  /** The same for a workflow's summary; "" where nothing was compared. */
  readonly markdown: string;
  /** The budgets as a JUnit file; undefined when none was asked for. */
  readonly junit: string | undefined;
}

/** Rows of a comparison where nobody says how many. */
const ROWS = 10;

/** Judges a run; `inWorkflow`: with annotations, which are read from what a step prints. */
function pronounce(run: Comparable, before: Comparable | undefined, options: BudgetOptions, inWorkflow: boolean) {
  if (run.limits.mode === "totals") {
    const known = knownFigures(run);
    const asked = budgetsOf(options).find(({ limit, part }) => part || !known.includes(LIMITS[limit]));
    if (asked) {
      const what = asked.part ? "call paths" : asked.limit;
      throw new OutputError(`Cannot judge ${what}: the recording has totals only (--mode totals)`);
    }
  }
  const growth = before && options.maxGrowth !== undefined ? { before, percent: options.maxGrowth } : undefined;
  const verdicts = judge(run, budgetsOf(options), growth);
  return {
    verdicts,
    kept: verdicts.every(({ kept }) => kept),
    text: breachesText(verdicts) + (inWorkflow ? annotations(verdicts) : ""),
    junit: options.junit === undefined ? undefined : junitReport(run.title, verdicts),
  };
}

/** Compares and judges a recording as the options say. */
export async function judged(
  path: string,
  options: BudgetOptions & ReportOptions,
  to: Target,
  inWorkflow: boolean,
): Promise<Judgement> {
  const names = { ...naming(options), setAside: options.defaultSuppressions !== false, all: options.all };
  const { thread, operation, since, process } = options;
  const run = await readComparable(path, {
    ...names,
    thread,
    operation,
    since,
    process,
    suppressions: suppressions(options),
  });
  const before = options.compare === undefined
    ? undefined
    : await readComparable(earlier(options.compare, options), names);
  const { verdicts, ...judgement } = pronounce(run, before, options, inWorkflow);
  if (!before) return { ...judgement, markdown: "" };
  const comparison = compare(before, run);
  const limit = options.limit ?? ROWS;
  const look = looks(to);
  return {
    ...judgement,
    text: shownAt(look, compareText(comparison, { limit, ...look })) + judgement.text,
    markdown: compareMarkdown(comparison, { limit, verdicts }),
  };
}

/** The options of a comparison. */
export interface CompareOptions extends
  NameOptions,
  Omit<BudgetOptions, "compare">,
  Pick<
    ReportOptions,
    | "filter"
    | "exclude"
    | "thread"
    | "operation"
    | "view"
    | "suppressions"
    | "defaultSuppressions"
    | "all"
    | "since"
    | "limit"
  > {
  format: "text" | "markdown" | "json" | "html";
  sortBy?: keyof typeof GROWTH | undefined;
  groupBy?: typeof COMPARED_GROUPS[number] | undefined;
  process?: readonly [older: number, newer: number] | undefined;
}

/** A comparison of what changed in one figure alone. */
function ofFigure(comparison: Comparison, figure: CompareBy): Comparison {
  return { ...comparison, paths: comparison.paths.filter((path) => path.before[figure] !== path.after[figure]) };
}

/** Compares two runs: the report, and what was judged. */
export async function compared(
  older: string,
  newer: string,
  options: CompareOptions,
  to: Target,
  inWorkflow: boolean,
): Promise<{ report: string; judgement: Judgement }> {
  const { groupBy, view, format, sortBy, thread, operation, filter, exclude, since, all } = options;
  if (groupBy && format === "html") {
    throw new OutputError("Cannot write --group-by as html: groups are text, markdown or json");
  }
  if (thread && (sortBy === "peak" || sortBy === "live")) {
    throw new OutputError(`Cannot sort by ${sortBy} of threads: any thread may free what they allocated`);
  }
  const by = sortBy ? GROWTH[sortBy] : VIEW_FIGURES[heapView(view) ?? "allocated"];
  const bar = progressBar();
  const read = (path: string, process: number | undefined) =>
    readComparable(earlier(path, { all, process }), {
      ...naming(options),
      ...{ filter, exclude, thread, operation, since, all, process, progress: bar.step },
      suppressions: suppressions(options),
      setAside: options.defaultSuppressions !== false,
    });
  const before = await read(older, options.process?.[0]);
  const after = await read(newer, options.process?.[1]);
  bar.end();
  const comparison = compare(before, after, by);
  const groups = groupBy && { what: groupBy, rows: compareGroups(before, after, groupBy, by) };
  const { verdicts, ...judgement } = pronounce(after, before, options, inWorkflow);
  const limit = options.limit ?? (format === "text" || format === "markdown" ? ROWS : 0);
  const look = looks(to);
  const shown = { limit, by, only: view !== undefined, ...look };
  const write = {
    text: () =>
      shownAt(
        look,
        groups ? compareGroupsText(comparison, groups.rows, groups.what, shown) : compareText(comparison, shown),
      ),
    markdown: () => compareMarkdown(comparison, { limit, by, verdicts, groups }),
    html: () => comparisonHtml(comparison),
    json: () =>
      JSON.stringify(comparisonJson(view ? ofFigure(comparison, by) : comparison, limit, groups), null, 2) + "\n",
  };
  const markdown = compareMarkdown(comparison, { limit: limit || ROWS, by, verdicts, groups });
  return { report: write[format](), judgement: { ...judgement, markdown } };
}
