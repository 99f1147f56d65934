/** The limits that a run can be held to, and how they are written. */
import type { RunFigures } from "./run_figures.ts";

/** The names of limits, as the command line has them, and the figure of each. */
export const LIMITS: Readonly<Record<LimitName, keyof RunFigures>> = {
  "max-allocations": "allocations",
  "max-bytes": "bytes",
  "max-peak": "peakBytes",
  "max-live": "liveBytes",
  "max-temporary": "temporary",
};

/** The name of a limit. */
export type LimitName = "max-allocations" | "max-bytes" | "max-peak" | "max-live" | "max-temporary";

/** A limit: of the whole program, or of the call paths with a function that matches. */
export interface Budget {
  /** Which figure is limited. */
  readonly limit: LimitName;
  /** What it may be at most. */
  readonly allowed: number;
  /** The part of the program; all of it when left out. */
  readonly part?: RegExp | undefined;
}

/**
 * Reads `REGEX:max-bytes=1MiB`. Undefined when it is none. `size` reads numbers with units.
 *
 * @throws {SyntaxError} when the regular expression does not parse.
 *
 * @example
 * ```ts
 * import { parseBudget, parseBytes } from "./mod.ts";
 *
 * console.log(parseBudget("^parse_:max-bytes=1MiB", parseBytes)?.allowed); // 1048576
 * ```
 */
export function parseBudget(text: string, size: (text: string) => number | undefined): Budget | undefined {
  const parts = /^(.*):(max-[a-z]+)=([^:=]+)$/.exec(text);
  const allowed = size(parts?.[3] ?? "");
  if (!parts?.[1] || !Object.hasOwn(LIMITS, parts[2] ?? "") || allowed === undefined) return undefined;
  return { limit: parts[2] as LimitName, allowed, part: new RegExp(parts[1]) };
}
