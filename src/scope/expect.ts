/** Allocation limits in tests. */
import type { CallPath } from "../profile/profile.ts";
import type { Reading } from "../profile/read.ts";
import { bytes, count, plural, printable } from "../profile/format.ts";
import { CALLED_BY, inLocale } from "../report/signs.ts";
import { frameName, sourcePlace } from "../symbols/symbols.ts";
import { attach, ownMoment, ownReading } from "./install.ts";
import { Window } from "./meter.ts";
import type { Figures } from "./meter.ts";
import { checkOptions } from "./options.ts";
import { inSlices } from "./slices.ts";
import { largestPaths, namePaths } from "./sites.ts";
import type { NamedPath } from "./sites.ts";

/** What a function may allocate. */
export interface AllocationLimits {
  /** Allocations at most. */
  readonly maxCount?: number | undefined;
  /** Bytes allocated at most. */
  readonly maxBytes?: number | undefined;
  /** Bytes at most by which the bytes in use may rise above their level at the start. */
  readonly maxPeak?: number | undefined;
  /** Bytes at most by which the bytes in use may have grown at the end. */
  readonly maxLive?: number | undefined;
  /** Whether to count all threads of the process, the runtime's own too; the calling thread alone when left out. */
  readonly process?: boolean | undefined;
  /** Rounds that run before the one that counts, to leave out what a runtime does once; 0 when left out. */
  readonly warmUp?: number | undefined;
}

type LimitName = "maxCount" | "maxBytes" | "maxPeak" | "maxLive";

const LIMITS: Readonly<
  Record<LimitName, readonly [what: string, of: (f: Figures) => number, show: (n: number) => string]>
> = {
  maxCount: ["allocations", (f) => f.allocations, count],
  maxBytes: ["bytes allocated", (f) => f.bytes, (n) => `${count(n)} (${bytes(n)})`],
  maxPeak: ["bytes at the peak above the start", (f) => f.peakBytes, (n) => `${count(n)} (${bytes(n)})`],
  maxLive: ["bytes more in use at the end", (f) => f.liveBytes, (n) => `${count(n)} (${bytes(n)})`],
};

/**
 * A function allocated more than it may; the message names limit, figure and the top call paths.
 *
 * @example
 * ```ts
 * import { AllocationLimitError, expectAllocations } from "./mod.ts";
 *
 * try {
 *   await expectAllocations(() => new Uint8Array(1_000_000), { maxBytes: 1000 });
 * } catch (error) {
 *   if (!(error instanceof AllocationLimitError)) throw error;
 *   console.log(error.limit, error.figures.bytes, error.message); // on Deno
 * }
 * ```
 */
export class AllocationLimitError extends Error {
  /** The class's name. */
  override name = "AllocationLimitError";
  /** Which limit: `maxCount`, `maxBytes`, `maxPeak` or `maxLive`. */
  readonly limit: string;
  /** All figures of the function. */
  readonly figures: Figures;

  /** For {@linkcode expectAllocations}. */
  constructor(message: string, limit: string, figures: Figures) {
    super(message);
    this.limit = limit;
    this.figures = figures;
  }
}

const SHOWN = 3;
const CONSIDERED = 50;

/**
 * The paths that a figure comes from, as far as paths tell: they are read before and after what is counted, and
 * other threads go on meanwhile. One with more than was counted in all is theirs.
 */
async function topPaths(reading: Reading, limit: LimitName, figures: Figures): Promise<string> {
  const sortBy = limit === "maxCount" ? "count" : limit === "maxLive" ? "live" : "size";
  const possible = (path: CallPath) =>
    path.allocations > 0 && path.allocations <= figures.allocations && path.bytes <= figures.bytes;
  const paths = await inSlices(largestPaths(reading, possible, CONSIDERED, sortBy));
  const { named, problem } = await namePaths(reading, paths);
  // What runs through code of the test's before what the runtime does by itself.
  const isRuntime = ({ short }: NamedPath) =>
    short.every((frame) => frame.module === reading.profile.process.executable);
  const top = [...named.filter((path) => !isRuntime(path)), ...named.filter(isRuntime)].slice(0, SHOWN);
  const note = problem && top.some(({ short }) => !short[0]?.function) ? `\n  (${printable(problem)})` : "";
  const lines = top.map(({ path, short: [frame, ...callers] }) => {
    const place = frame && sourcePlace(frame);
    const from = callers.slice(0, 4).map((caller) => ` ${CALLED_BY} ${frameName(caller)}`).join("");
    const blocks = `${count(path.allocations)} ${plural(path.allocations, "allocation")}`;
    const calls = `${frameName(frame)}${place && ` (${place})`}${from}`;
    return `\n  ${blocks}, ${bytes(path.bytes)}, ${bytes(path.liveBytes)} in use: ${printable(calls)}`;
  });
  return inLocale(lines.join("") + note);
}

/**
 * Runs a function and fails when it allocates more than it may. For `Deno.test`, `bun:test` and
 * `node:test` alike; await it.
 *
 * The calling thread is counted, so that what the runtime does beside it is left out; work that a
 * library or an asynchronous operation does in other threads needs `process: true`. On Deno the
 * runtime's own allocations in the thread count: ArrayBuffers, and what the engine does when it compiles
 * a function, which some rounds of `warmUp` leave out.
 *
 * @param run The function; what it returns is awaited.
 * @returns The figures of the round that counted.
 * @throws {AllocationLimitError} when a limit is passed. What the function throws goes through.
 * @throws {RangeError} when a limit is negative.
 * @throws {TypeError} when a limit is about what is live, and the recording is sampled or of totals alone.
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { expectAllocations } from "./mod.ts";
 *
 * const { allocations } = await expectAllocations(() => JSON.parse('{"a": [1, 2, 3]}'), {
 *   maxBytes: 1_000_000,
 *   warmUp: 3,
 * });
 * console.log(allocations);
 * ```
 */
export async function expectAllocations(run: () => unknown, limits: AllocationLimits = {}): Promise<Figures> {
  checkOptions("expectAllocations", limits, [...Object.keys(LIMITS), "process", "warmUp"]);
  const names = Object.keys(LIMITS) as LimitName[];
  for (const name of [...names, "warmUp"] as const) {
    const limit = limits[name];
    if (limit !== undefined && !(limit >= 0)) {
      throw new RangeError(`Cannot expect ${name} ${limit}: it takes 0 or more`);
    }
  }
  const { thread, process, installation: { recording } } = attach();
  const unknown = names.find((name) => limits[name] !== undefined && (name === "maxPeak" || name === "maxLive"));
  if (unknown && (recording.mode === "totals" || recording.interval > 0)) {
    const why = recording.interval > 0
      ? "it is sampled, and what is live an estimate"
      : "of totals what is live is not known";
    throw new TypeError(`Cannot expect ${unknown}: ${why}`);
  }
  const meter = limits.process ? process : thread;
  for (let round = 0; round < (limits.warmUp ?? 0); round++) await run();
  const before = ownMoment(!limits.process);
  const window = new Window();
  let figures: Figures;
  meter.open(window);
  try {
    const result = run();
    // An await takes turns of the event loop, which allocate: only where there is something to wait for.
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") await result;
  } finally {
    meter.close(window);
    figures = { ...meter.figures };
  }
  const passed = names.find((name) => LIMITS[name][1](figures) > (limits[name] ?? Infinity));
  if (!passed) return figures;
  using reading = await inSlices(ownReading({ thread: !limits.process, since: before }));
  const [what, of, show] = LIMITS[passed];
  const text = `${show(of(figures))} ${what}, where ${passed} allows ${show(limits[passed] ?? 0)}`;
  throw new AllocationLimitError(
    `Expected fewer allocations: ${text}${await topPaths(reading, passed, figures)}`,
    passed,
    figures,
  );
}
