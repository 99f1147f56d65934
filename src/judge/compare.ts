/** Two runs side by side: what grew, what shrank, what is new, what is gone. */
import { NO_FIGURES, withoutPlaces } from "./comparable.ts";
import type { Comparable, ComparablePath, RunFigures } from "./comparable.ts";

/** What runs are compared by. */
export type CompareBy = keyof RunFigures;

/** A call path in a {@linkcode Comparison}. */
export interface ComparedPath {
  /** Whether it is in both runs, or in one alone. */
  readonly state: "both" | "new" | "gone";
  /** Names of its frames from the innermost outwards. */
  readonly names: readonly string[];
  /** The function that explains it. */
  readonly culprit: ComparablePath["culprit"];
  /** Its figures in the earlier run. */
  readonly before: RunFigures;
  /** Its figures in the later run. */
  readonly after: RunFigures;
}

/** The difference between two runs. */
export interface Comparison {
  /** What the earlier run was. */
  readonly before: Pick<Comparable, "title" | "executable" | "totals">;
  /** What the later run was. */
  readonly after: Pick<Comparable, "title" | "executable" | "totals">;
  /** Call paths whose figures differ, worst growth first. */
  readonly paths: readonly ComparedPath[];
  /** Call paths that are the same in both. */
  readonly unchanged: readonly ComparedPath[];
}

function isSame(a: RunFigures, b: RunFigures): boolean {
  return a.allocations === b.allocations && a.bytes === b.bytes && a.peakBytes === b.peakBytes &&
    a.liveBytes === b.liveBytes && a.temporary === b.temporary;
}

/**
 * Compares two runs, worst growth first.
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
  const paths: ComparedPath[] = [];
  const unchanged: ComparedPath[] = [];
  const isSameBuild = (module: string) =>
    Boolean(before.builds.get(module)) && before.builds.get(module) === after.builds.get(module);
  const [earlier, later] = [withoutPlaces(before.paths, isSameBuild), withoutPlaces(after.paths, isSameBuild)];
  for (const key of new Set([...earlier.keys(), ...later.keys()])) {
    const [a, b] = [earlier.get(key), later.get(key)];
    const present = b ?? a;
    if (!present) continue;
    const [was, is] = [a?.figures ?? NO_FIGURES, b?.figures ?? NO_FIGURES];
    const { names, culprit } = present;
    const state = a && b ? "both" : a ? "gone" : "new";
    (isSame(was, is) ? unchanged : paths).push({ state, names, culprit, before: was, after: is });
  }
  const growth = (path: ComparedPath) => path.after[by] - path.before[by];
  paths.sort((a, b) => growth(b) - growth(a) || a.names.join().localeCompare(b.names.join(), "en"));
  return { before, after, paths, unchanged };
}
