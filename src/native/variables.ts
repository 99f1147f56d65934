/** What the library can be told, by options and by environment variables. */

/** Whole numbers that the library takes, lowest and highest. */
export const RANGES = { buckets: [64, 1048576], depth: [4, 8192], sample: [64, 2 ** 30] } as const;

/** The size of a table with room for so many call paths: the next power of two. */
export function tableSize(buckets: number): number {
  return 2 ** Math.ceil(Math.log2(buckets));
}

/** What is recorded, and with which limits. What is left out is as the environment variable of that name says. */
export interface RecordOptions {
  /** Call paths that the table holds, 64 to 1,048,576; `HEAPTAP_BUCKETS`, else 262,144 (65,536 where address space is limited). */
  readonly buckets?: number | undefined;
  /** Frames kept of a stack, 4 to 8,192; `HEAPTAP_DEPTH`, else 128. */
  readonly depth?: number | undefined;
  /**
   * `counters` keeps totals only; `totals` only how many blocks and bytes were allocated, for the least cost: what is live is not
   * known then; `HEAPTAP_MODE`, else `paths`: call paths too.
   */
  readonly mode?: "counters" | "paths" | "totals" | undefined;
  /**
   * Record a block every so many bytes, at random, 64 to 2^30, in place of every one: then an allocation costs next to nothing, and
   * figures of call paths, what is live and the peak are estimates, whose margins reports state. With call paths; `HEAPTAP_SAMPLE`, else 0: every block.
   */
  readonly sample?: number | undefined;
  /** Whether the process's peak is exact with several threads too, at some cost an allocation; `HEAPTAP_PEAK`. */
  readonly exactPeak?: boolean | undefined;
  /** Whether to keep how large requests were, and what the allocator gave beyond them; needs call paths, and takes some 8 ns an allocation; `HEAPTAP_SIZES`. */
  readonly sizes?: boolean | undefined;
  /**
   * Whether to keep how long blocks lived, in time and in allocations; needs call paths, and takes 110 to 160 ns a block, and half as much
   * memory as the heap; `HEAPTAP_LIFETIMES`.
   */
  readonly lifetimes?: boolean | undefined;
}

/** Refuses what does not go together: sizes, lifetimes and samples without call paths, and the first two of blocks that are not all recorded. */
export function checkTogether({ sizes, lifetimes, mode = "paths", sample, exactPeak }: RecordOptions): void {
  for (const [what, wanted] of [["sizes", sizes], ["lifetimes", lifetimes]] as const) {
    if (wanted && mode !== "paths") throw new TypeError(`Cannot record ${what} without call paths: leave out the mode`);
    if (wanted && sample) throw new TypeError(`Cannot record ${what} of samples: leave out the one or the other`);
  }
  if (sample && mode !== "paths") throw new TypeError("Cannot sample without call paths: leave out the mode");
  if (sample !== undefined && typeof sample !== "number") {
    throw new TypeError(`Cannot sample every ${sample}: it takes a number of bytes, 64 to 1073741824`);
  }
  if (mode === "totals" && exactPeak) throw new TypeError("Cannot tell an exact peak of totals: take --mode counters");
  if (sample && exactPeak) throw new TypeError("Cannot tell an exact peak of samples: leave out the one or the other");
  if (sample && !inside(sample, RANGES.sample)) {
    throw new RangeError(`Cannot sample every ${sample} bytes: it takes a whole number from 64 to 1073741824`);
  }
}

/** Whether a number is whole and in a range. */
export function inside(n: number, [low, high]: readonly [number, number]): boolean {
  return Number.isInteger(n) && n >= low && n <= high;
}

/** What a variable may hold, in words and as a test. */
const VARIABLES: Readonly<Record<string, readonly [string, (value: string) => boolean]>> = {
  HEAPTAP_BUCKETS: ["a whole number from 64 to 1048576; 262144 is used", (v) => inRange(v, RANGES.buckets)],
  HEAPTAP_DEPTH: ["a whole number from 4 to 8192; 128 is used", (v) => inRange(v, RANGES.depth)],
  HEAPTAP_MODE: ["counters, paths or totals; paths is used", (v) => /^(counters|paths|totals)$/.test(v)],
  HEAPTAP_SAMPLE: [
    "a size from 64 to 1 GiB, as 512KiB, or 0; every block is recorded",
    isInterval,
  ],
  HEAPTAP_PEAK: ["batched or exact; batched is used", (v) => v === "batched" || v === "exact"],
  HEAPTAP_SIZES: ["off or on; off is used", (v) => v === "off" || v === "on"],
  HEAPTAP_LIFETIMES: ["off or on; off is used", (v) => v === "off" || v === "on"],
  HEAPTAP_PAUSED: ["off or on; off is used", (v) => v === "off" || v === "on"],
  HEAPTAP_COMMAND: ["whole or name; whole is used", (v) => v === "whole" || v === "name"],
  HEAPTAP_ONLY: [
    "a regular expression without look-around, {counts} and names; all programs are recorded",
    isPathPattern,
  ],
  HEAPTAP_FOLLOW: ["all, exec or none; all is used", (v) => /^(all|exec|none)$/.test(v)],
};

/**
 * Whether the library can match a path with an expression (`ffi/match.c`): literals, classes, groups, alternatives,
 * repetitions and anchors. The library has room for 500 of them.
 *
 * @example
 * ```ts
 * import { isPathPattern } from "./mod.ts";
 *
 * console.log(isPathPattern("/bin/(sort|awk)$"), isPathPattern("sort(?=ed)")); // true false
 * ```
 */
export function isPathPattern(pattern: string): boolean {
  try {
    new RegExp(pattern);
  } catch {
    return false;
  }
  // The library goes by bytes, and takes no class for an end of a range.
  if (/[^\x20-\x7e]|-\\[dwsDWS]|\\[dwsDWS]-/.test(pattern)) return false;
  const part =
    /\\[dwsDWS]|\\[^A-Za-z0-9]|\[(?:\\[dwsDWS]|\\[^A-Za-z0-9]|[^\]\\])+\]|\((?:\?:)?|\)|[*+?]\??|[^\\[\](){}*+?]/y;
  const repeated = /[\^$|(][*+?]|^[*+?]|\(\?[^:]/;
  let classes = 0;
  for (let at = 0; at < pattern.length; at = part.lastIndex) {
    part.lastIndex = at;
    const [found] = part.exec(pattern) ?? [];
    if (found === undefined) return false;
    if (/^(\[|\.$|\\[dwsDWS])/.test(found)) classes++;
  }
  return !repeated.test(pattern.replace(/\\./g, "x").replace(/\[[^\]]*\]/g, "x")) && classes <= 32 &&
    pattern.length <= 200;
}

/** Whether a text is a size that the library takes for an interval: ffi/process.c reads the same. */
function isInterval(text: string): boolean {
  const [, digits = "", unit = " ", binary] = /^(\d+)(?:([kmg])(i?))?b?$/i.exec(text) ?? [];
  if (!digits) return false;
  const size = Number(digits) * (binary ? 1024 : 1000) ** " kmg".indexOf(unit.toLowerCase());
  return size === 0 || inside(size, RANGES.sample);
}

function inRange(text: string, [low, high]: readonly [number, number]): boolean {
  return /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high;
}

/**
 * A line for each variable whose value the library will not be able to read.
 *
 * @example
 * ```ts
 * import { checkVariables } from "./mod.ts";
 *
 * console.log(checkVariables({ HEAPTAP_BUCKETS: "many" }).length); // 1
 * ```
 */
export function checkVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(VARIABLES).flatMap(([name, [meaning, fits]]) => {
    const value = env[name];
    return value && !fits(value) ? [`${name}=${value} cannot be read: it takes ${meaning}`] : [];
  });
}
