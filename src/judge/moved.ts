/**
 * What only moved between two builds: the same code allocates the same, and its stack reads otherwise, because a function
 * was inlined in one of them or the library in between is another. See docs/decisions/compare.md.
 */
import { isOwn } from "../symbols/kinds.ts";
import { addFigures, FIGURES } from "./comparable.ts";
import type { RunFigures } from "./comparable.ts";
import type { ComparedPath } from "./compare.ts";

/** Pairs of call paths that are looked at for one set of figures: of thousands with the same, any would fit. */
const MOST_PAIRS = 1e6;

/** Names of the frames that the user wrote, innermost first, a recursion once. */
function ownNames({ names, frames }: ComparedPath): string[] {
  return names.filter((_, i) => frames[i] && isOwn(frames[i].kind))
    .filter((name, i, kept) => name !== kept[i - 1]);
}

function grouped(rows: Iterable<ComparedPath>, keyOf: (row: ComparedPath) => string): Map<string, ComparedPath[]> {
  const groups = new Map<string, ComparedPath[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

function figuresKey(figures: RunFigures): string {
  return FIGURES.map((figure) => figures[figure]).join(" ");
}

function differs({ before, after }: ComparedPath): boolean {
  return figuresKey(before) !== figuresKey(after);
}

/** Several call paths as one: it is shown as the one that has most in the later run. */
function joined(rows: readonly ComparedPath[]): ComparedPath {
  const shown = rows.reduce((a, b) => b.after.bytes > a.after.bytes ? b : a);
  return {
    ...shown,
    state: "both",
    before: rows.map((row) => row.before).reduce(addFigures),
    after: rows.map((row) => row.after).reduce(addFigures),
  };
}

/** Of call paths with the same own functions: one, where together they have the same as before, or parted into gone and new. */
function settleGroup(rows: readonly ComparedPath[]): readonly ComparedPath[] {
  const all = joined(rows);
  if (rows.some(({ state }) => state !== "both") && !differs(all)) return [all];
  const parted = rows.filter(({ state }) => state !== "both");
  return new Set(parted.map(({ state }) => state)).size === 2
    ? [joined(parted), ...rows.filter(({ state }) => state === "both")]
    : rows;
}

/** Whether the shorter list is the longer one with some left out. */
function isPart(a: readonly string[], b: readonly string[]): boolean {
  const [shorter, longer] = a.length < b.length ? [a, b] : [b, a];
  let at = 0;
  for (const name of longer) if (name === shorter[at]) at++;
  return shorter.length > 0 && at === shorter.length;
}

/** Of call paths that have the same figures in one run alone: pairs whose own functions are the same but for some. */
function settleEqual(rows: readonly ComparedPath[]): readonly ComparedPath[] {
  const later = rows.filter(({ state }) => state === "new").map((row) => ({ row, own: ownNames(row) }));
  const earlier = rows.filter(({ state }) => state === "gone");
  if (later.length * earlier.length > MOST_PAIRS) return rows;
  const left = new Set(later);
  const settled = earlier.map((row) => {
    const own = ownNames(row);
    for (const found of left) {
      if (!isPart(own, found.own)) continue;
      left.delete(found);
      return joined([row, found.row]);
    }
    return row;
  });
  return [...settled, ...[...left].map(({ row }) => row)];
}

/** The rows of a comparison, in which what only moved is one row with the same figures in both runs. */
export function settleMoved(rows: readonly ComparedPath[]): ComparedPath[] {
  const result = rows.filter((row) => !differs(row));
  const changed = rows.filter(differs);
  const alone: ComparedPath[] = [];
  for (const [own, group] of grouped(changed, (row) => ownNames(row).join("\0"))) {
    for (const row of own && group.length > 1 ? settleGroup(group) : group) {
      (row.state === "both" ? result : alone).push(row);
    }
  }
  for (const group of grouped(alone, (row) => figuresKey(row.state === "new" ? row.after : row.before)).values()) {
    result.push(...settleEqual(group));
  }
  return result;
}
