/**
 * How far figures of a sampled recording may be off. Of a sampled recording the figures of call paths, what is live and the peak are
 * sums of what the recorded blocks stand for (`ffi/sampling.c`): unbiased, with a variance that follows from which they were.
 */
import type { CallPath, Totals } from "./profile.ts";

/** The share of estimates that are off by no more than their margin. */
export const CONFIDENCE = 0.95;

/** The normal distribution's quantile for that. */
const QUANTILE = 1.96;

/** Blocks and bytes, and the variance of the number of blocks. */
export interface Estimate {
  /** Blocks. */
  readonly blocks: number;
  /** Their bytes. */
  readonly bytes: number;
  /** Variance of `blocks`; when left out they are taken for blocks of one size. */
  readonly variance?: number | undefined;
}

/**
 * Half the width of the interval that holds the true value, as a part of an estimate that is as certain as `samples` blocks picked
 * at random: Wilson and Hilferty's bound for a Poisson number, above which the value lies in 2.5 of 100 cases. The bound below is nearer.
 */
function relativeMargin(samples: number): number {
  if (samples <= 0 || samples === Infinity) return 0;
  const next = samples + 1;
  const upper = next * (1 - 1 / (9 * next) + QUANTILE / (3 * Math.sqrt(next))) ** 3;
  return (upper - samples) / samples;
}

/**
 * The variance that a block adds to an estimate of bytes is s^2 / (exp(s / R) - 1): it grows up to blocks of 1.59 R, and goes down from
 * there, as hardly one of those is missed.
 */
const MOST_UNCERTAIN = 1.5936;

/** As how many samples an estimate of bytes is as certain, at least: among blocks of a mean size there may be those that add most. */
function samplesBehind(blocks: number, bytes: number, interval: number): number {
  const size = (bytes / blocks + 1) / interval;
  const [certain, unlike] = [Math.expm1(size), (size / MOST_UNCERTAIN) ** 2 * Math.expm1(MOST_UNCERTAIN)];
  return blocks * (size > MOST_UNCERTAIN ? unlike : certain);
}

/**
 * By how much an estimate of bytes may be off, at {@linkcode CONFIDENCE}; 0 where each block is recorded. It follows from
 * their number and mean size, and is no less whatever the sizes are.
 *
 * @example
 * ```ts
 * import { bytesMargin } from "./mod.ts";
 *
 * // A hundred thousand blocks of 100 bytes, one sample every 512 KiB: some 19 were recorded.
 * console.log((bytesMargin({ blocks: 1e5, bytes: 1e7 }, 524288) / 1e7).toFixed(2)); // 0.56
 * ```
 */
export function bytesMargin({ blocks, bytes }: Estimate, interval: number): number {
  if (interval === 0 || blocks <= 0 || bytes <= 0) return 0;
  return bytes * relativeMargin(samplesBehind(blocks, bytes, interval));
}

/**
 * The same for their number.
 *
 * @example
 * ```ts
 * import { blocksMargin, CONFIDENCE, Recording } from "./mod.ts";
 *
 * const { callPaths: [first], limits: { interval } } = Recording.open("sort.heaptap").profile();
 * if (first) {
 *   const { allocations, bytes, variance } = first;
 *   console.log(allocations, blocksMargin({ blocks: allocations, bytes, variance }, interval), CONFIDENCE);
 * }
 * ```
 */
export function blocksMargin({ blocks, bytes, variance }: Estimate, interval: number): number {
  if (interval === 0 || blocks <= 0) return 0;
  if (variance === undefined) return blocks * relativeMargin(samplesBehind(blocks, bytes, interval));
  return variance > 0 ? blocks * relativeMargin(blocks * blocks / variance) : 0;
}

/** `±12%`: a margin beside what it is of; "" when there is none. */
export function marginText(margin: number, of: number): string {
  if (margin <= 0 || of <= 0) return "";
  const percent = 100 * margin / of;
  if (percent > 100) return ">\u00b1100%";
  return `\u00b1${percent >= 9.95 ? Math.round(percent) : percent < 0.05 ? "0.0" : percent.toFixed(1)}%`;
}

/** What the estimates of a process's call paths say of it: its live blocks, and how far what is live and the peak may be off. */
export function estimatedTotals(
  callPaths: readonly Pick<CallPath, "liveCount" | "peakCount">[],
  { liveBytes, peakBytes }: Pick<Totals, "liveBytes" | "peakBytes">,
  interval: number,
): Pick<Totals, "liveCount" | "margins"> {
  const blocks = (of: "liveCount" | "peakCount") => callPaths.reduce((sum, path) => sum + path[of], 0);
  const [liveCount, peakCount] = [blocks("liveCount"), blocks("peakCount")];
  return {
    liveCount,
    margins: {
      live: bytesMargin({ blocks: liveCount, bytes: liveBytes }, interval),
      peak: bytesMargin({ blocks: peakCount, bytes: peakBytes }, interval),
    },
  };
}

/** An estimate in words: below what it is where no block of it was recorded. */
export function estimateText(bytes: number, interval: number, show: (bytes: number) => string): string {
  return interval > 0 && bytes <= 0 ? `below ${show(unseenBelow(interval))}` : show(bytes);
}

/** Below what an amount lies of which no block was recorded, at {@linkcode CONFIDENCE}. */
export function unseenBelow(interval: number): number {
  return -Math.log(1 - CONFIDENCE) * interval;
}

/** How far the sum, or the difference, of two estimates may be off that were made each by itself. */
export function sumOfMargins(a: Totals["margins"], b: Totals["margins"]): Totals["margins"] {
  return a && b && { live: Math.hypot(a.live, b.live), peak: Math.hypot(a.peak, b.peak) };
}
