/** Allocation limits in tests. */
import { writeSync } from "node:fs";
import type { Reading } from "../profile/read.ts";
import { bytes, count, plural, printable } from "../profile/format.ts";
import { CALLED_BY, inLocale } from "../report/signs.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import { attach, ownMoment, ownReading } from "./install.ts";
import { Window } from "./meter.ts";
import type { Figures } from "./meter.ts";
import { checkFunction, checkOptions, checkPattern } from "./options.ts";
import { notes } from "./notes.ts";
import { inSlices } from "./slices.ts";
import { chosenPaths, largestPaths, namePaths } from "./sites.ts";
import { committedByBun } from "./runtime_memory.ts";
import { checkModules, figuresOf } from "./through.ts";
import type { NamedPath } from "./sites.ts";
import { isThenable } from "./thenable.ts";

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
  /** Count what passes through these modules alone, by their paths: `/libsqlite3/`. Not with `maxPeak`. */
  readonly modules?: RegExp | undefined;
  /** The same of functions, by their names. */
  readonly functions?: RegExp | undefined;
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
  /** The first limit that was passed: `maxCount`, `maxBytes`, `maxPeak` or `maxLive`. */
  readonly limit: string;
  /** All that were. */
  readonly limits: readonly string[];
  /** All figures of the function. */
  readonly figures: Figures;

  /** For {@linkcode expectAllocations}. */
  constructor(message: string, limits: readonly string[], figures: Figures) {
    super(message);
    this.limit = limits[0] ?? "";
    this.limits = limits;
    this.figures = figures;
  }
}

const SHOWN = 3;
const CONSIDERED = 50;

/**
 * The paths that a figure comes from, as far as paths tell: they are read before and after what is counted, and
 * other threads go on meanwhile. One with more than was counted in all is theirs.
 */
async function topPaths(reading: Reading, ids: Uint32Array, limit: LimitName, figures: Figures): Promise<string> {
  const sortBy = limit === "maxCount" ? "count" : limit === "maxLive" ? "live" : "size";
  const possible = ids.filter((id) => {
    const path = reading.sums?.figures(id);
    return path && path.allocations > 0 && path.allocations <= figures.allocations && path.bytes <= figures.bytes;
  });
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
  return inLocale(lines.join("") + note + notes().map((sentence) => `\n  ${printable(sentence)}`).join(""));
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
  const caller = callerOf(new Error());
  checkFunction("expectAllocations", run);
  checkLimits(limits);
  const names = Object.keys(LIMITS) as LimitName[];
  const { thread, process, installation: { seesRuntime, sees } } = attach();
  const { modules, functions } = limits;
  const meter = limits.process ? process : thread;
  for (let round = 0; round < (limits.warmUp ?? 0); round++) await run();
  const before = ownMoment(!limits.process);
  const committed = committedByBun();
  const window = new Window();
  let figures: Figures;
  meter.open(window);
  try {
    const result = run();
    if (isThenable(result)) await result;
  } finally {
    meter.close(window);
    figures = { ...meter.figures };
  }
  const grown = committedByBun() - committed;
  if (!seesRuntime) warnOnce(sees);
  const over = (of: Figures) => names.filter((name) => LIMITS[name][1](of) > (limits[name] ?? Infinity));
  const outside = names.filter((name) => name !== "maxCount" && grown > UNNOTED + (limits[name] ?? Infinity));
  if (!modules && !functions && over(figures).length + outside.length === 0) return figures;
  using reading = await inSlices(ownReading({ thread: !limits.process, since: before }));
  const ids = await chosenPaths(reading, { modules, functions });
  checkModules(modules);
  if (modules || functions) figures = figuresOf(reading, ids);
  const passed = over(figures);
  const texts = passed.map((name) => {
    const [what, of, show] = LIMITS[name];
    return `${show(of(figures))} ${what}, where ${name} allows ${show(limits[name] ?? 0)}`;
  });
  const [first] = outside;
  if (first && !modules && !functions) {
    const [, , show] = LIMITS[first];
    texts.push(
      `the runtime's own memory, which is not counted, grew by ${show(grown)}, where ${first} allows ${
        show(limits[first] ?? 0)
      }`,
    );
  }
  if (texts.length === 0) return figures;
  const [shown = first ?? "maxBytes"] = passed;
  throw new AllocationLimitError(
    `Expected fewer allocations${caller}: ${texts.join("; ")}${await topPaths(reading, ids, shown, figures)}`,
    [...new Set([...passed, ...outside])],
    figures,
  );
}

/** Growth of the runtime's own memory that is not worth a word, bytes: it takes some at a time, and its heap grows by itself. */
const UNNOTED = 1 << 22;

let warned = false;

/** A limit that passes says nothing of what is not seen. */
function warnOnce(sees: string): void {
  if (warned) return;
  warned = true;
  writeSync(2, `heaptap: expectAllocations: ${sees}\n`);
}

/** Where a test asked, ` at file:line`; "" when the stack does not tell. */
function callerOf({ stack = "" }: Error): string {
  // As a URL and as a path: over a network it has none.
  const own = [import.meta.url, import.meta.filename ?? import.meta.url];
  const line = stack.split("\n").find((line) => /:\d+:\d+\)?$/.test(line) && !own.some((file) => line.includes(file)));
  const place = /\(?((?:file:\/\/)?\/[^()\s]+:\d+):\d+\)?$/.exec(line ?? "")?.[1];
  return place ? ` at ${place.startsWith("file://") ? decodeURI(place.slice(7)) : place}` : "";
}

/** Throws when limits are none. */
function checkLimits(limits: AllocationLimits): void {
  checkOptions("expectAllocations", limits, [...Object.keys(LIMITS), "process", "warmUp", "modules", "functions"]);
  const names = Object.keys(LIMITS) as LimitName[];
  for (const name of [...names, "warmUp"] as const) {
    const limit = limits[name];
    if (limit !== undefined && !(limit >= 0)) {
      throw new RangeError(`Cannot expect ${name} ${limit}: it takes 0 or more`);
    }
  }
  const { recording } = attach().installation;
  const unknown = names.find((name) => limits[name] !== undefined && (name === "maxPeak" || name === "maxLive"));
  if (unknown && (recording.mode === "totals" || recording.interval > 0)) {
    const why = recording.interval > 0
      ? "it is sampled, and what is live an estimate"
      : "of totals what is live is not known";
    throw new TypeError(`Cannot expect ${unknown}: ${why}`);
  }
  checkPattern("modules", limits.modules);
  checkPattern("functions", limits.functions);
  if ((limits.modules || limits.functions) && limits.maxPeak !== undefined) {
    throw new TypeError("Cannot expect maxPeak of modules or functions: how much they had in use at most is not known");
  }
}
