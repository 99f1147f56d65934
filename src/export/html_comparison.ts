/** The HTML report of two runs side by side. */
import { inexactRuns } from "../judge/comparable.ts";
import { FIGURES } from "../judge/run_figures.ts";
import type { RunFigures } from "../judge/run_figures.ts";
import type { ComparedPath, ComparedRun, Comparison } from "../judge/compare.ts";
import { count } from "../profile/format.ts";
import { cleanStack } from "../symbols/lead.ts";
import type { Columns, TimelineData } from "./page/data.ts";
import { columns, pageFile } from "./page_file.ts";
import { StackTable } from "./stack_table.ts";
import type { ExportFrame, StackOptions } from "./stacks.ts";

function comparedColumns(paths: readonly ComparedPath[], run: "before" | "after"): Columns {
  return columns(paths, Object.fromEntries(FIGURES.map((name) => [name, (path) => path[run][name]])));
}

/** A compared path's frames, outermost first. */
function framesOf({ names, frames }: ComparedPath, raw = false): ExportFrame[] {
  const known = names.map((name, i): ExportFrame => {
    const { file = "", line = 0, module = "", kind = "own" } = frames[i] ?? {};
    return { name, file, line, module, kind };
  });
  const passes = ({ kind }: ExportFrame) => kind === "allocation" || kind === "wrapper";
  return (raw ? known : cleanStack(known, passes, ({ name }) => name)).reverse();
}

function timelineOf({ timeline }: ComparedRun): TimelineData | undefined {
  if (timeline.length === 0) return undefined;
  return {
    end: timeline.at(-1)?.seconds ?? 0,
    ...columns(timeline, { seconds: (s) => s.seconds, bytes: (s) => s.bytes }),
  };
}

/**
 * The page of a comparison: both runs over time, a flame graph that is red where the later run has more and blue where it
 * has less, or of what changed alone, and a table of what changed.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { compare, comparisonHtml, readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * writeFileSync("change.html", comparisonHtml(compare(run, run)));
 * ```
 */
export function comparisonHtml(comparison: Comparison, { raw }: StackOptions = {}): string {
  const { before, after, unchanged } = comparison;
  const paths = [...comparison.paths, ...unchanged];
  const stacks = new StackTable();
  const ends = paths.map((path) => stacks.add(framesOf(path, raw)));
  const figures = (totals: RunFigures) => Object.fromEntries(comparison.figures.map((name) => [name, totals[name]]));
  return pageFile({
    title: `${before.title} \u2192 ${after.title}`,
    facts: [
      `${count(comparison.paths.length)} ${comparison.paths.length === 1 ? "call path differs" : "call paths differ"}`,
      `${count(unchanged.length)} are the same`,
      "call paths with the same names count as one",
    ],
    answer: [],
    notes: [
      ...comparison.sameProgram ? [] : [`Different programs: ${before.executable} and ${after.executable}`],
      ...inexactRuns(before, after).map((words) => words.replace(/^t/, "T")),
    ],
    program: after.executable,
    view: "allocated",
    live: "Live at the end",
    totals: figures(after.totals),
    before: figures(before.totals),
    timeline: timelineOf(after),
    timelineBefore: timelineOf(before),
    ...stacks.columns(),
    ends,
    figures: comparedColumns(paths, "after"),
    figuresBefore: comparedColumns(paths, "before"),
  });
}
