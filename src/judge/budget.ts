/** Limits that a run has to keep, for CI: of the whole program, of a part of it, and against an earlier run. */
import { matches } from "../profile/select.ts";
import { marginOf } from "./comparable.ts";
import { addFigures, knownFigures, NO_FIGURES } from "./run_figures.ts";
import { marginText } from "../profile/sampling.ts";
import { compare } from "./compare.ts";
import type { Comparable, ComparablePath } from "./comparable.ts";
import type { RunFigures } from "./run_figures.ts";
import { LIMITS } from "./limit.ts";
import type { Budget } from "./limit.ts";

/** What may not grow by more than `max-growth`. */
const GROWTH = [["allocations", "allocations"], ["bytes", "bytes"], ["peak", "peakBytes"]] as const;

/** A limit that was kept, or was not. */
export interface Verdict {
  /** The limit in words: `max-bytes`, `max-bytes of /parse/`, `max-growth of bytes`. */
  readonly name: string;
  /** The figure that it is about. */
  readonly figure: keyof RunFigures;
  /** What was allowed. */
  readonly allowed: number;
  /** What it was. */
  readonly actual: number;
  /** Whether it was kept. */
  readonly kept: boolean;
  /** Whether any call path has a function that the budget names. */
  readonly matched: boolean;
  /** The call paths that the figure comes from, largest share first. */
  readonly responsible: readonly ComparablePath[];
}

/** What is to be said of a figure that may be off. */
function estimateWords({ limits: { interval } }: Comparable, margin: number, actual: number): string {
  if (margin > 0) return ` (an estimate, ${marginText(margin, actual)})`;
  return interval > 0 && actual === 0 ? " (no sample)" : "";
}

function responsible(paths: readonly ComparablePath[], share: (path: ComparablePath) => number): ComparablePath[] {
  return paths.filter((path) => share(path) > 0).sort((a, b) => share(b) - share(a));
}

/**
 * Judges a run by its budgets and, when an earlier one is given, by how much it may have grown: `maxGrowth`
 * percent of each of allocations, bytes and peak.
 *
 * @example
 * ```ts
 * import { judge, readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * const [verdict] = judge(run, [{ limit: "max-bytes", allowed: 1e9 }]);
 * console.log(verdict?.kept, verdict?.actual);
 * ```
 */
export function judge(
  run: Comparable,
  budgets: readonly Budget[],
  growth?: { readonly before: Comparable; readonly percent: number },
): Verdict[] {
  const all = [...run.paths.values()];
  const verdicts = budgets.map(({ limit, allowed, part }): Verdict => {
    const figure = LIMITS[limit];
    const paths = part ? all.filter((path) => path.names.some((name) => matches(part, name))) : all;
    const sum = part ? paths.reduce((total, path) => addFigures(total, path.figures), NO_FIGURES) : run.totals;
    const actual = sum[figure];
    const margin = marginOf(run, figure, part && sum);
    const name = (part ? `${limit} of /${part.source}/` : limit) + estimateWords(run, margin, actual);
    const shares = responsible(paths, (path) => path.figures[figure]);
    return {
      name,
      figure,
      allowed,
      actual,
      // An estimate breaks a limit when it is above it for certain, as far as that goes.
      kept: actual - margin <= allowed,
      matched: !part || paths.length > 0,
      responsible: shares,
    };
  });
  if (!growth) return verdicts;
  const { before, percent } = growth;
  // Paired as a comparison pairs them: functions without names are found again in another build.
  const was = new Map<ComparablePath, RunFigures>();
  for (const { names, frames, culprit, before: earlier, after } of compare(before, run).paths) {
    was.set({ names, frames, culprit, figures: after }, earlier);
  }
  const known = knownFigures(before, run);
  const grown = GROWTH.filter(([, figure]) => known.includes(figure)).map(([what, figure]): Verdict => {
    const allowed = before.totals[figure] * (1 + percent / 100);
    const actual = run.totals[figure];
    const shares = responsible([...was.keys()], (path) => path.figures[figure] - (was.get(path)?.[figure] ?? 0));
    const margin = Math.hypot(marginOf(run, figure), marginOf(before, figure) * (1 + percent / 100));
    const kept = actual - margin <= allowed;
    const name = `max-growth of ${what}${estimateWords(run, margin, actual)}`;
    return { name, figure, allowed, actual, kept, matched: true, responsible: shares };
  });
  return [...verdicts, ...grown];
}
