/** A comparison as Markdown, for a review comment or a workflow's summary. */
import type { CompareBy, ComparedPath, Comparison } from "../judge/compare.ts";
import type { ComparedGroup } from "../judge/compare_groups.ts";
import { inexactRuns } from "../judge/comparable.ts";
import type { Verdict } from "../judge/budget.ts";
import { count, plural, printable } from "../profile/format.ts";
import { middleOut } from "../symbols/names.ts";
import { leadOf } from "../symbols/lead.ts";
import { sourcePlace } from "../symbols/named_frame.ts";
import {
  behind,
  changedIn,
  differenceText,
  percent,
  runsText,
  shownFigure,
  shownFrames,
  shownName,
  signed,
  TITLES,
} from "./compare.ts";
import { Rows } from "./rows.ts";
import { markdownTable } from "./table.ts";
import { breachText } from "./verdicts.ts";

/** What goes into the comment. */
export interface ReviewOptions {
  /** Rows of the table; 0 for all. */
  readonly limit: number;
  /** What is sorted by; the growth of allocated bytes when left out. */
  readonly by?: CompareBy | undefined;
  /** Budgets that were judged. */
  readonly verdicts?: readonly Verdict[] | undefined;
  /** Show these in place of call paths. */
  readonly groups?: { readonly what: string; readonly rows: readonly ComparedGroup[] } | undefined;
}

/** Columns of a name, and of who called it. */
const LONGEST = 120;

/** Names may hold any sign that means something in Markdown or HTML: as code they mean nothing. */
function code(text: string): string {
  const shown = middleOut(printable(text).trim(), 2 * LONGEST);
  if (!shown) return "";
  const longest = Math.max(0, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  const space = /^`|`$/.test(shown) ? " " : "";
  return fence + space + shown + space + fence;
}

/** The budgets: broken ones with what they come from, then how many were kept. */
function verdictLines(verdicts: readonly Verdict[]): string[] {
  const broken = verdicts.filter(({ kept }) => !kept);
  const strays = verdicts.filter(({ matched }) => !matched);
  const kept = verdicts.length - broken.length - strays.length;
  return [
    ...broken.flatMap((verdict) => [
      `- **Over budget**: ${code(verdict.name)}${breachText(verdict).slice(verdict.name.length)}`,
      ...verdict.responsible.slice(0, 3).map(({ culprit, names, figures }) =>
        `  - ${shownFigure(figures[verdict.figure], verdict.figure)} ${code(shownName({ culprit, names }))} ${
          code(sourcePlace(culprit))
        }`.trimEnd()
      ),
    ]),
    ...strays.map(({ name }) => `- Budget of nothing: ${code(name)}: no call path has such a function`),
    ...kept > 0 ? [`- ${count(kept)} ${plural(kept, "budget")} kept`] : [],
  ];
}

/** The first line: what a reviewer has to know. */
function heading({ before, after }: Comparison, by: CompareBy, verdicts: readonly Verdict[]): string {
  if (verdicts.some(({ kept }) => !kept)) return "over budget";
  const [was, is] = [before.totals[by], after.totals[by]];
  if (was === is) return `${TITLES[by]}: no change`;
  const share = percent(was, is);
  return `${TITLES[by]} ${signed(is - was, by)}${share && share !== "new" ? ` (${share})` : ""}`;
}

function totalsTable({ before, after, figures }: Comparison): string {
  return markdownTable(
    [
      { title: "", figures: false },
      ...["before", "after", "change", "%"].map((title) => ({ title, figures: true })),
    ],
    figures.map((figure) => {
      const [was, is] = [before.totals[figure], after.totals[figure]];
      return [
        TITLES[figure],
        shownFigure(was, figure),
        shownFigure(is, figure),
        signed(is - was, figure),
        percent(was, is),
      ];
    }),
  );
}

/** A row: its change, and what it is of. */
function changesTable(
  rows: readonly (Parameters<typeof changedIn>[0][number] & { readonly cells: readonly string[] })[],
  titles: readonly string[],
  by: CompareBy,
): string {
  const inner = by === "bytes" ? ["blocks"] : by === "allocations" ? ["bytes"] : [];
  return markdownTable(
    [
      ...["change", "before", "after", ...inner].map((title) => ({ title, figures: true })),
      ...titles.map((title) => ({ title, figures: false })),
    ],
    rows.map(({ before, after, cells }) => [
      signed(after[by] - before[by], by),
      shownFigure(before[by], by),
      shownFigure(after[by], by),
      ...inner.map(() => behind(before, after, by).replace(/ blocks?$/, "")),
      ...cells,
    ]),
  );
}

/** A call path in words: its function, where that is, and how it came there. */
function wordsOf(path: ComparedPath): string[] {
  const widths = { width: 2 * LONGEST, callersWidth: LONGEST };
  const { name, place, via, callers } = new Rows({ ...widths, wholeFiles: false, raw: false, apart: false })
    .say(leadOf(shownFrames(path)));
  const mark = path.state === "both" ? "" : `${path.state} `;
  return [`${mark}${code(name)}`, code(place), code(`${via.trim()} ${callers}`)];
}

/** What changed, as a table that opens on demand. */
function details(comparison: Comparison, { limit, by = "bytes", groups }: ReviewOptions): string {
  const changed = groups
    ? groups.rows.filter(({ inclusive: { before, after } }) => before[by] !== after[by])
      .map(({ name, state, self, inclusive }) => ({
        ...self,
        cells: [signed(inclusive.after[by] - inclusive.before[by], by), code(name), state === "both" ? "" : state],
      }))
    : changedIn(comparison.paths, by).map((path) => ({
      ...path,
      cells: [
        ...wordsOf(path),
      ],
    }));
  const kept = limit > 0 ? changed.slice(0, limit) : changed;
  const hidden = changed.length - kept.length;
  const what = groups ? `${count(changed.length)} changed by ${groups.what}` : differenceText(comparison);
  if (kept.length === 0) return `${what}\n`;
  const titles = groups ? ["inclusive", groups.what, ""] : ["function", "line", "on the way"];
  return `<details>\n<summary>${what}</summary>\n\n${changesTable(kept, titles, by)}${
    hidden > 0 ? `\nand ${count(hidden)} more\n` : ""
  }\n</details>\n`;
}

/**
 * A comparison for a review comment: verdicts, totals, and what changed most in a table that opens on demand.
 *
 * @example
 * ```ts
 * import { compare, compareMarkdown, judge, readComparable } from "./mod.ts";
 *
 * const [before, after] = [await readComparable("sort.heaptap"), await readComparable("sort.heaptap")];
 * const verdicts = judge(after, [], { before, percent: 5 });
 * console.log(compareMarkdown(compare(before, after), { limit: 10, verdicts }));
 * ```
 */
export function compareMarkdown(comparison: Comparison, options: ReviewOptions): string {
  const { by = "bytes", verdicts = [] } = options;
  const { before, after, sameProgram } = comparison;
  const programs = sameProgram ? [] : [`different programs: ${code(before.executable)} and ${code(after.executable)}`];
  return [
    `### heaptap: ${heading(comparison, by, verdicts)}`,
    [code(runsText(comparison)), ...programs, ...inexactRuns(before, after)].join("  \n"),
    verdictLines(verdicts).join("\n"),
    totalsTable(comparison).trimEnd(),
    details(comparison, options),
  ].filter(Boolean).join("\n\n");
}
