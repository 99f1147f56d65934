/**
 * What only moved between two builds: the same code allocates the same, and its stack reads otherwise, because a function
 * was inlined in one of them or the library in between is another. See docs/decisions/compare.md.
 */
import { isOwn } from "../symbols/kinds.ts";
import { addFigures, FIGURES } from "./run_figures.ts";
import type { ComparedPath } from "./compare.ts";

/** Call paths that are looked at for one: where more go through a function, any would fit. */
const MOST_CANDIDATES = 2000;

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

function differs({ before, after }: ComparedPath): boolean {
  return FIGURES.some((figure) => before[figure] !== after[figure]);
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

/** Whether `part` is the list with some left out. */
function isPart(part: readonly string[], list: readonly string[]): boolean {
  let at = 0;
  for (const name of list) if (name === part[at]) at++;
  return part.length > 0 && at === part.length;
}

/** Those with the same own functions: one row, where a part of them is in one run alone and their sums are the same. */
function settleEqual(rows: readonly ComparedPath[]): readonly ComparedPath[] {
  const all = joined(rows);
  return rows.some(({ state }) => state !== "both") && !differs(all) ? [all] : rows;
}

/** Those parted into gone and new by the way between the user's function and the allocator: one row that grew or shrank. */
function settleParted(rows: readonly ComparedPath[]): readonly ComparedPath[] {
  const parted = rows.filter(({ state }) => state !== "both");
  return new Set(parted.map(({ state }) => state)).size === 2
    ? [joined(parted), ...rows.filter(({ state }) => state === "both")]
    : rows;
}

/**
 * A function that one build inlined: what it had is its caller's there. A row takes those of the other run alone whose own
 * functions are its own and some more, when together they have the same as before.
 */
function settleInlined(rows: readonly ComparedPath[]): ComparedPath[] {
  const sorted = rows.map((row) => ({ row, own: ownNames(row) })).sort((a, b) => b.own.length - a.own.length);
  const through = new Map<string, typeof sorted>();
  for (const one of sorted) {
    if (one.row.state === "both") continue;
    for (const name of new Set(one.own)) {
      const known = through.get(name);
      if (known) known.push(one);
      else through.set(name, [one]);
    }
  }
  const left = new Set(sorted);
  const result: ComparedPath[] = [];
  const take = (one: typeof sorted[number], state: "gone" | "new") => {
    const near = through.get(one.own[0] ?? "") ?? [];
    if (one.row.state === state || near.length > MOST_CANDIDATES) return;
    const found = near.filter((other) =>
      other !== one && other.row.state === state && left.has(other) && isPart(one.own, other.own)
    );
    const fits = (some: typeof sorted) => some.length > 0 && !differs(joined([one.row, ...some.map(({ row }) => row)]));
    const taken = [found, ...found.map((other) => [other])].find(fits);
    if (!taken) return;
    for (const other of [one, ...taken]) left.delete(other);
    result.push(joined([one.row, ...taken.map(({ row }) => row)]));
  };
  for (const one of sorted) {
    for (const state of ["gone", "new"] as const) if (left.has(one)) take(one, state);
  }
  return [...result, ...[...left].map(({ row }) => row)];
}

/** The rows of a comparison, in which what only moved is one row with the same figures in both runs. */
export function settleMoved(rows: readonly ComparedPath[]): ComparedPath[] {
  const bySameOwn = (
    rows: readonly ComparedPath[],
    settle: (rows: readonly ComparedPath[]) => readonly ComparedPath[],
  ) => [...grouped(rows, (row) => ownNames(row).join("\0"))].flatMap(([own, group]) => own ? settle(group) : group);
  const equal = bySameOwn(rows.filter(differs), settleEqual);
  const inlined = settleInlined(equal.filter(differs));
  return [
    ...rows.filter((row) => !differs(row)),
    ...equal.filter((row) => !differs(row)),
    ...inlined.filter((row) => !differs(row)),
    ...bySameOwn(inlined.filter(differs), settleParted),
  ];
}
