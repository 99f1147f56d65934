/** A comparison as text. */
import { styleText } from "node:util";
import type { CompareBy, ComparedPath, Comparison } from "../judge/compare.ts";
import type { ComparedGroup } from "../judge/compare_groups.ts";
import { inexactRuns } from "../judge/comparable.ts";
import { isBytes, isTotals } from "../judge/run_figures.ts";
import type { RunFigures } from "../judge/run_figures.ts";
import { leadIndex, leadOf } from "../symbols/lead.ts";
import { fitName, middleOut } from "../symbols/names.ts";
import { frameName } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import { Rows } from "./rows.ts";
import { bytes, clip, count, plural, printable } from "../profile/format.ts";

/** How the text is to look. */
export interface CompareOptions {
  /** Call paths or groups to show; 0 for all. */
  readonly limit: number;
  /** What they are sorted by; the growth of allocated bytes when left out. */
  readonly by?: CompareBy | undefined;
  /** Whether to show the totals of that figure alone. */
  readonly only?: boolean | undefined;
  /** Columns of the terminal. */
  readonly width: number;
  /** Whether to use colour: growth red, the rest green. */
  readonly color: boolean;
}

/** What each figure is called. */
export const TITLES: Readonly<Record<CompareBy, string>> = {
  allocations: "allocations",
  bytes: "allocated",
  peakBytes: "peak",
  liveBytes: "live at the end",
  temporary: "temporary",
};

/** A figure of one kind. */
export function shownFigure(n: number, figure: CompareBy): string {
  return isBytes(figure) ? bytes(n) : count(n);
}

/** The difference between two, with its sign; 0 as it is. */
export function signed(n: number, figure: CompareBy): string {
  return `${n > 0 ? "+" : ""}${shownFigure(n, figure)}`;
}

/** Growth in percent; "" where there is none. */
export function percent(before: number, after: number): string {
  if (before === after) return "";
  return before > 0 ? `${after > before ? "+" : ""}${(100 * (after - before) / before).toFixed(1)}%` : "new";
}

/** What stands in parentheses behind a change: the blocks behind bytes, and the other way round; "" where they are not counted. */
export function behind(before: RunFigures, after: RunFigures, by: CompareBy): string {
  if (by === "bytes") {
    // Where there are as many as before, only their size changed.
    const more = after.allocations - before.allocations;
    const blocks = more === 0 ? count(after.allocations) : signed(more, "allocations");
    return `${blocks} ${plural(Math.abs(more) || after.allocations, "block")}`;
  }
  return by === "allocations" ? signed(after.bytes - before.bytes, "bytes") : "";
}

/** The function that a call path is shown as. */
export function shownName({ culprit, names }: Pick<ComparedPath, "culprit" | "names">): string {
  return printable(culprit.function || names[0] || "(unknown)");
}

/** The frames of a call path as a row tells them: those without a name as they are known in both runs. */
export function shownFrames({ names, frames }: ComparedPath): NamedFrame[] {
  return frames.map((frame, i) => ({ ...frame, function: names[i] ?? frame.function }));
}

/** The rows whose figure, or the blocks behind it, did change; the rest differ in other figures alone. */
export function changedIn<T extends { readonly before: RunFigures; readonly after: RunFigures }>(
  rows: readonly T[],
  by: CompareBy,
): T[] {
  return rows.filter(({ before, after }) =>
    before[by] !== after[by] || (by === "bytes" && before.allocations !== after.allocations)
  );
}

/** How many call paths differ, in words. */
export function differenceText({ before, after, paths, unchanged }: Comparison): string {
  if (isTotals(before) || isTotals(after)) return "call paths are not compared";
  const [n, same] = [paths.length, unchanged.length];
  if (n + same === 0) return "no call path to compare in either run";
  const tell = before.limits.interval + after.limits.interval > 0 ? ", as far as samples tell" : "";
  return `${count(n)} ${plural(n, "call path")} ${n === 1 ? "differs" : "differ"}, ${count(same)} ${
    same === 1 ? "is" : "are"
  } the same${tell}`;
}

/** The two runs in a line. */
export function runsText({ before, after }: Comparison): string {
  return printable(before.title === after.title ? after.title : `${before.title} \u2192 ${after.title}`);
}

class Writer {
  readonly #options: CompareOptions;
  readonly lines: string[] = [];

  constructor(options: CompareOptions) {
    this.#options = options;
  }

  paint(style: Parameters<typeof styleText>[0], text: string): string {
    return this.#options.color && text ? styleText(style, text, { validateStream: false }) : text;
  }

  /** Growth is red, and what shrank green. */
  judged(growth: number, text: string): string {
    return growth > 0 ? this.paint("red", text) : growth < 0 ? this.paint("green", text) : text;
  }

  line(text = ""): this {
    this.lines.push(text.trimEnd());
    return this;
  }

  toString(): string {
    return this.lines.join("\n") + "\n";
  }
}

/** Titles and the table of totals. */
function head(comparison: Comparison, out: Writer, { by = "bytes", only, width }: CompareOptions): void {
  const { before, after } = comparison;
  out.line(out.paint("bold", clip(`heaptap compare: ${runsText(comparison)}`, width)));
  if (!comparison.sameProgram) {
    out.line(out.paint("dim", printable(`different programs: ${before.executable} and ${after.executable}`)));
  }
  for (const words of inexactRuns(before, after)) out.line(out.paint("yellow", words));
  out.line();
  const row = (label: string, cells: readonly string[]) =>
    `  ${label.padEnd(16)}${cells.map((cell) => cell.padStart(12)).join("")}`;
  out.line(out.paint("dim", row("", ["before", "after", "change", "%"])));
  for (const figure of only ? [by] : comparison.figures) {
    const [was, is] = [before.totals[figure], after.totals[figure]];
    const change = [signed(is - was, figure), percent(was, is)].map((cell) => cell.padStart(12));
    out.line(
      row(TITLES[figure], [shownFigure(was, figure), shownFigure(is, figure)]) +
        out.judged(is - was, change.join("")),
    );
  }
  out.line();
}

/** Below this many columns a name has a line of its own. */
const LEAST_ROOM = 24;

/** A table of changes: figures in columns, then what each is of, then lines that belong to it. */
function table(
  out: Writer,
  rows: readonly { readonly before: RunFigures; readonly after: RunFigures }[],
  what: string,
  { by = "bytes", width }: CompareOptions,
  labelOf: (row: number, room: number) => readonly string[],
): void {
  const cells = rows.map(({ before, after }) => {
    // Of a group that changed only by what goes through it.
    if (changedIn([{ before, after }], by).length === 0) return ["", "", "", ""] as const;
    const inner = behind(before, after, by);
    return [
      shownFigure(before[by], by),
      shownFigure(after[by], by),
      signed(after[by] - before[by], by),
      inner && `(${inner})`,
    ] as const;
  });
  const counted = cells.some(([, , , inner]) => inner);
  const titles = ["before", "after", "change", counted ? (by === "bytes" ? "(blocks)" : "(bytes)") : ""] as const;
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => Math.max(...[titles, ...cells].map((row) => row[i]?.length ?? 0)));
  const line = ([was, is, change, inner]: readonly string[]) =>
    [
      `  ${was?.padStart(a ?? 0)} ${was && is ? "\u2192" : " "} ${is?.padEnd(b ?? 0)}`,
      `  ${change?.padStart(c ?? 0)}${counted ? `  ${inner?.padStart(d ?? 0)}` : ""}  `,
    ] as const;
  const left = line(titles).join("").length;
  const own = width - left < LEAST_ROOM;
  out.line(out.paint("dim", line(titles).join("") + (own ? "" : what)));
  cells.forEach((row, i) => {
    const growth = (rows[i]?.after[by] ?? 0) - (rows[i]?.before[by] ?? 0);
    const [place, change] = line(row);
    const [label = "", ...more] = labelOf(i, own ? width - 6 : width - left);
    out.line(place + out.judged(growth, change) + (own ? "" : label));
    for (const text of own ? [label, ...more] : more) out.line(`      ${text}`);
  });
}

/** What stands before a name that is in one run alone. */
function markOf({ state }: Pick<ComparedPath, "state">): string {
  return state === "both" ? "" : `${state}  `;
}

function note(out: Writer, hidden: number, elsewhere: number): void {
  if (hidden > 0) out.line().line(`and ${count(hidden)} more, see --limit`);
  if (elsewhere > 0) {
    out.line().line(
      `${count(elsewhere)} more ${elsewhere === 1 ? "differs" : "differ"} in other figures alone, see --sort-by`,
    );
  }
}

/**
 * Writes the comparison: totals, then the call paths that differ, worst growth first.
 *
 * @example
 * ```ts
 * import { compare, compareText, readComparable } from "./mod.ts";
 *
 * const comparison = compare(await readComparable("sort.heaptap"), await readComparable("sort.heaptap"));
 * console.log(compareText(comparison, { limit: 10, width: 100, color: false }));
 * ```
 */
export function compareText(comparison: Comparison, options: CompareOptions): string {
  const { by = "bytes", limit, width } = options;
  const out = new Writer(options);
  head(comparison, out, options);
  out.line(differenceText(comparison));
  const changed = changedIn(comparison.paths, by);
  const kept = limit > 0 ? changed.slice(0, limit) : changed;
  if (kept.length > 0) {
    out.line().line(out.paint(["bold", "underline"], `Call paths by growth, ${TITLES[by]}`));
    table(out, kept, "function", options, (i, room) => {
      const path = kept[i];
      if (!path) return [];
      const mark = markOf(path);
      const stack = shownFrames(path);
      const { via } = leadOf(stack);
      // It has more room where the callers are.
      const way = via ? `via ${fitName(printable(frameName(via)), Math.floor(width / 2))} ` : "";
      const words = { width: Math.max(LEAST_ROOM, room - mark.length), callersWidth: width - 6 - way.length };
      const { name, place, callers } = new Rows({ ...words, wholeFiles: false, raw: false, apart: false })
        .say(leadOf(stack.slice(leadIndex(stack))));
      return [
        out.paint("yellow", mark) + out.paint("cyan", name) + out.paint("dim", place && ` ${place}`),
        ...way || callers ? [out.paint("dim", way + callers)] : [],
      ];
    });
  }
  note(out, changed.length - kept.length, comparison.paths.length - changed.length);
  return out.toString();
}

/**
 * Writes a comparison by groups: totals, then the groups that differ, their own growth and that of all that goes through
 * them.
 *
 * @example
 * ```ts
 * import { compare, compareGroups, compareGroupsText, readComparable } from "./mod.ts";
 *
 * const [before, after] = [await readComparable("sort.heaptap"), await readComparable("sort.heaptap")];
 * const groups = compareGroups(before, after, "module");
 * console.log(compareGroupsText(compare(before, after), groups, "module", { limit: 10, width: 80, color: false }));
 * ```
 */
export function compareGroupsText(
  comparison: Comparison,
  groups: readonly ComparedGroup[],
  what: string,
  options: CompareOptions,
): string {
  const { by = "bytes", limit } = options;
  const out = new Writer(options);
  head(comparison, out, options);
  const rows = groups.filter(({ self, inclusive }) =>
    self.before[by] !== self.after[by] || inclusive.before[by] !== inclusive.after[by]
  );
  const kept = limit > 0 ? rows.slice(0, limit) : rows;
  out.line(
    rows.length === 0
      ? `nothing changed by ${what}, ${TITLES[by]}`
      : `${TITLES[by]} by ${what}: ${count(rows.length)} changed`,
  );
  if (kept.length > 0) {
    out.line();
    table(out, kept.map(({ self }) => self), `inclusive  ${what}`, options, (i, room) => {
      const group = kept[i];
      if (!group) return [];
      const through = signed(group.inclusive.after[by] - group.inclusive.before[by], by).padStart(9);
      const mark = markOf(group);
      const name = middleOut(printable(group.name), Math.max(LEAST_ROOM, room - 11 - mark.length));
      return [`${through}  ${out.paint("yellow", mark)}${out.paint("cyan", name)}`];
    });
  }
  note(out, rows.length - kept.length, 0);
  return out.toString();
}
