/** Two runs side by side: what grew, what shrank, what is new, what is gone. */
import { basename } from "node:path";
import { unseenBelow } from "../profile/sampling.ts";
import { frameName, moduleName } from "../symbols/named_frame.ts";
import { marginOf } from "./comparable.ts";
import { addFigures, FIGURES, isBytes, isTotals, knownFigures, NO_FIGURES } from "./run_figures.ts";
import type { Comparable, ComparableFrame, ComparablePath } from "./comparable.ts";
import type { RunFigures } from "./run_figures.ts";
import { settleMoved } from "./moved.ts";

/** What runs are compared by. */
export type CompareBy = keyof RunFigures;

/** A call path in a {@linkcode Comparison}. */
export interface ComparedPath {
  /** Whether it is in both runs, or in one alone. */
  readonly state: "both" | "new" | "gone";
  /** Names of its frames from the innermost outwards. */
  readonly names: readonly string[];
  /** The same frames with all that is known of them, as the later run has them; of one that is gone as it was. */
  readonly frames: readonly ComparableFrame[];
  /** The function that explains it. */
  readonly culprit: ComparablePath["culprit"];
  /** Its figures in the earlier run. */
  readonly before: RunFigures;
  /** Its figures in the later run. */
  readonly after: RunFigures;
}

/** What a comparison says of one run. */
export type ComparedRun = Pick<Comparable, "title" | "executable" | "totals" | "timeline" | "limits">;

/** The difference between two runs. */
export interface Comparison {
  /** What the earlier run was. */
  readonly before: ComparedRun;
  /** What the later run was. */
  readonly after: ComparedRun;
  /** Whether they are of one program, as far as can be told: builds of it count as one. */
  readonly sameProgram: boolean;
  /** The figures that are known of both. */
  readonly figures: readonly (keyof RunFigures)[];
  /** Call paths whose figures differ, worst growth first; none where either run has totals alone. */
  readonly paths: readonly ComparedPath[];
  /** Call paths that are the same in both. */
  readonly unchanged: readonly ComparedPath[];
}

/** How far a call path's figure may be off: where it has none, what no sample may have met. */
function marginOfPath(run: Comparable, figure: keyof RunFigures, figures: RunFigures): number {
  const { interval } = run.limits;
  if (interval === 0) return 0;
  if (figures[figure] > 0) return marginOf(run, figure, figures);
  return isBytes(figure) ? unseenBelow(interval) : Infinity;
}

/** Whether a call path of two runs, one of which is sampled at least, may well have done the same in both. */
function isWithinMargins(before: Comparable, after: Comparable, row: ComparedPath): boolean {
  if (before.limits.interval + after.limits.interval === 0) return false;
  return FIGURES.every((figure) =>
    Math.abs(row.after[figure] - row.before[figure]) <=
      Math.hypot(marginOfPath(before, figure, row.before), marginOfPath(after, figure, row.after))
  );
}

/** Whether two have the same figures. */
export function isSame(a: RunFigures, b: RunFigures): boolean {
  return FIGURES.every((figure) => a[figure] === b[figure]);
}

/**
 * What the frames of two runs are known by: a function by its key, under the name that the later run has for it;
 * one without a name by its place where both runs had the same build of its module, else by the module alone.
 */
export function commonNames(before: Comparable, after: Comparable): (frame: ComparableFrame) => string {
  const isSameBuild = (module: string) =>
    Boolean(before.builds.get(module)) && before.builds.get(module) === after.builds.get(module);
  const names = new Map<string, string>();
  for (const run of [after, before]) {
    for (const { frames } of run.paths.values()) {
      for (const { function: name, key } of frames) if (name && !names.has(key)) names.set(key, name);
    }
  }
  return (frame) => {
    if (frame.function) return names.get(frame.key) ?? frame.function;
    const module = moduleName(frame);
    return isSameBuild(module) ? frameName(frame) : `${module}+?`;
  };
}

/** Functions of the program itself, by their keys; those that every program has left out. */
function ownFunctions({ executable, paths }: Comparable): Set<string> {
  const found = new Set<string>();
  for (const { frames } of paths.values()) {
    for (const frame of frames) {
      if (frame.module === executable && frame.function) found.add(frame.key);
    }
  }
  for (const common of ["main", "_start", "_init", "__libc_csu_init"]) found.delete(common);
  return found;
}

/** Whether two runs are of one program: its file has the same name, or most of its functions do. */
function isSameProgram(before: Comparable, after: Comparable): boolean {
  if (!before.executable || !after.executable) return true; // nothing is known that would differ
  if (basename(before.executable) === basename(after.executable)) return true;
  const [fewer, more] = [ownFunctions(before), ownFunctions(after)].sort((a, b) => a.size - b.size);
  if (!fewer || !more || fewer.size === 0) return false;
  return 2 * [...fewer].filter((name) => more.has(name)).length >= fewer.size;
}

/** A call path as it is put together: the earlier and the later run add to it. */
function pair(before: Comparable, after: Comparable): ComparedPath[] {
  const common = commonNames(before, after);
  const rows = new Map<string, ComparedPath>();
  const put = (run: "before" | "after", { frames, culprit, figures }: ComparablePath) => {
    const names = frames.map(common);
    const key = names.join("\0");
    const known = rows.get(key);
    const state = run === "before" ? "gone" as const : "new" as const;
    const row = known ?? { state, names, frames, culprit, before: NO_FIGURES, after: NO_FIGURES };
    rows.set(key, {
      ...row,
      state: row.state === state ? state : "both",
      // Lines are those of the later run.
      ...run === "after" && row.state === "gone" && { frames, culprit },
      [run]: addFigures(row[run], figures),
    });
  };
  for (const path of before.paths.values()) put("before", path);
  for (const path of after.paths.values()) put("after", path);
  return [...rows.values()];
}

/**
 * Compares two runs, worst growth first. Call paths whose names read the same count as one, and what only moved, because a
 * function was inlined in one build and not in the other, is not a difference.
 *
 * @example
 * ```ts
 * import { compare, readComparable } from "./mod.ts";
 *
 * const [before, after] = [await readComparable("sort.heaptap"), await readComparable("sort.heaptap")];
 * const { paths, unchanged } = compare(before, after);
 * console.log(paths.length, unchanged.length); // nothing differs
 * ```
 */
export function compare(before: Comparable, after: Comparable, by: CompareBy = "bytes"): Comparison {
  const rows = isTotals(before) || isTotals(after) ? [] : settleMoved(pair(before, after));
  const same = (row: ComparedPath) => isSame(row.before, row.after) || isWithinMargins(before, after, row);
  const paths = rows.filter((row) => !same(row));
  const unchanged = rows.filter(same);
  const growth = (path: ComparedPath) => path.after[by] - path.before[by];
  paths.sort((a, b) => growth(b) - growth(a) || a.names.join().localeCompare(b.names.join(), "en"));
  return {
    before,
    after,
    sameProgram: isSameProgram(before, after),
    figures: knownFigures(before, after),
    paths,
    unchanged,
  };
}
