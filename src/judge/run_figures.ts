/** The figures that runs are compared and judged by. */
import { combine } from "../profile/figures.ts";
import type { Limits } from "../profile/profile.ts";

/** Figures that are compared. */
export interface RunFigures {
  /** Allocations. */
  readonly allocations: number;
  /** Bytes allocated. */
  readonly bytes: number;
  /** Bytes live at the process's peak. */
  readonly peakBytes: number;
  /** Bytes live at the end. */
  readonly liveBytes: number;
  /** Temporary blocks. */
  readonly temporary: number;
}

/** The names of all figures. */
export const FIGURES: readonly (keyof RunFigures)[] = ["allocations", "bytes", "peakBytes", "liveBytes", "temporary"];

/** The figures of a call path that is not there. */
export const NO_FIGURES: RunFigures = { allocations: 0, bytes: 0, peakBytes: 0, liveBytes: 0, temporary: 0 };

/** Whether a figure is bytes, not blocks. */
export function isBytes(figure: keyof RunFigures): boolean {
  return figure !== "allocations" && figure !== "temporary";
}

/** Figures put together. */
export function addFigures(a: RunFigures, b: RunFigures): RunFigures {
  return combine(FIGURES, a, b);
}

/** A run, of which is known what was recorded. */
interface WithMode {
  readonly limits: Pick<Limits, "mode">;
}

/** Whether a run has totals alone: neither call paths nor what is live. */
export function isTotals({ limits }: WithMode): boolean {
  return limits.mode === "totals";
}

/** The figures that are known of all these runs. */
export function knownFigures(...runs: readonly WithMode[]): readonly (keyof RunFigures)[] {
  return runs.some(isTotals) ? ["allocations", "bytes", "temporary"] : FIGURES;
}
