/** A comparison as text. */
import { styleText } from "node:util";
import type { CompareBy, ComparedPath, Comparison } from "../judge/compare.ts";
import { isBytes } from "../judge/comparable.ts";
import { sourcePlace } from "../symbols/symbols.ts";
import { callerLine, cleanStack } from "../symbols/trim.ts";
import { bytes, clip, count, plural, printable } from "../profile/format.ts";

/** How the text is to look. */
export interface CompareOptions {
  /** Call paths to show; 0 for all. */
  readonly limit: number;
  /** What they are sorted by; the growth of allocated bytes when left out. */
  readonly by?: CompareBy | undefined;
  /** Columns of the terminal. */
  readonly width: number;
  /** Whether to use colour: growth red, the rest green. */
  readonly color: boolean;
}

/** What each figure is called. */
const TITLES: Readonly<Record<CompareBy, string>> = {
  allocations: "allocations",
  bytes: "allocated",
  peakBytes: "peak",
  liveBytes: "live at the end",
  temporary: "temporary",
};

const shown = (n: number, figure: CompareBy) => isBytes(figure) ? bytes(n) : count(n);
const signed = (n: number, figure: CompareBy) => `${n > 0 ? "+" : ""}${shown(n, figure)}`;

function percent(before: number, after: number): string {
  return before > 0 ? ` (${after >= before ? "+" : ""}${(100 * (after - before) / before).toFixed(1)}%)` : "";
}

/** `10 → 5  -5 (-2.50 KB)`: blocks, and the bytes that they make. */
function change(path: ComparedPath, by: CompareBy): string {
  // Of a figure in bytes the blocks behind it stand first, where they are counted; else the figure itself.
  const counted = by === "temporary" ? "temporary" : "allocations";
  const figure = isBytes(by) ? by : "bytes";
  const [was, is] = [path.before[counted], path.after[counted]];
  const grown = path.after[figure] - path.before[figure];
  return `${count(was)} \u2192 ${count(is)}  ${signed(is - was, counted)} (${signed(grown, figure)})`;
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
  const { before, after, paths, unchanged } = comparison;
  const by = options.by ?? "bytes";
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    options.color && text ? styleText(style, text, { validateStream: false }) : text;
  const judged = (growth: number, text: string) =>
    growth > 0 ? paint("red", text) : growth < 0 ? paint("green", text) : text;
  const lines = [
    paint("bold", clip(`heaptap compare: ${printable(before.title)} \u2192 ${printable(after.title)}`, options.width)),
  ];
  if (!comparison.sameProgram) {
    lines.push(paint("dim", printable(`different programs: ${before.executable} and ${after.executable}`)));
  }
  lines.push("");
  for (const [figure, title] of Object.entries(TITLES) as [CompareBy, string][]) {
    const [was, is] = [before.totals[figure], after.totals[figure]];
    const values = `${shown(was, figure).padStart(12)} \u2192 ${shown(is, figure).padEnd(12)}`;
    lines.push(`  ${title.padEnd(16)} ${values} ${judged(is - was, signed(is - was, figure) + percent(was, is))}`);
  }
  lines.push(
    "",
    `${count(paths.length)} ${plural(paths.length, "call path")} differ, ${count(unchanged.length)} ${
      unchanged.length === 1 ? "is" : "are"
    } the same`,
  );
  const kept = options.limit > 0 ? paths.slice(0, options.limit) : paths;
  if (kept.length > 0) lines.push("", paint(["bold", "underline"], `Call paths by growth, ${TITLES[by]}`));
  const changes = kept.map((path) => change(path, by));
  const wide = Math.max(0, ...changes.map((text) => text.length));
  kept.forEach((path, i) => {
    const { culprit, names, state } = path;
    const growth = path.after[by] - path.before[by];
    const name = printable(culprit.function || names[0] || "(unknown)");
    const place = sourcePlace(culprit);
    const mark = state === "both" ? "" : `${state}  `;
    lines.push(
      `  ${judged(growth, (changes[i] ?? "").padEnd(wide))}  ${paint("yellow", mark)}${
        paint("cyan", clip(name, options.width - 10))
      }${paint("dim", place && `  ${printable(place)}`)}`,
    );
    const callers = printable(callerLine(cleanStack(names, (n) => n)));
    if (callers) lines.push(paint("dim", clip(`      from ${callers}`, options.width)));
  });
  const hidden = paths.length - kept.length;
  if (hidden > 0) lines.push("", `and ${count(hidden)} more, see --limit`);
  return lines.map((line) => line.trimEnd()).join("\n") + "\n";
}
