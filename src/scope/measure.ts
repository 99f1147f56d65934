/** What one call of a function allocates: for benchmarks, as Go's `-benchmem` tells it. */
import type { PerCall } from "../judge/suite.ts";
import { bytesPerCall, perCall } from "../profile/format.ts";
import { Profiler } from "./counters.ts";
import { attach } from "./install.ts";
import type { Figures } from "./meter.ts";
import { notes } from "./notes.ts";
import { checkFunction, checkOptions, checkPattern } from "./options.ts";
import { isThenable } from "./thenable.ts";

/** Options of {@linkcode measure}. */
export interface MeasureOptions {
  /** Rounds that are measured, 15 when left out. */
  readonly rounds?: number | undefined;
  /** Calls in a round, 100 when left out. */
  readonly calls?: number | undefined;
  /** Calls before the first round, for the engine to compile the function; 500 when left out. */
  readonly warmUp?: number | undefined;
  /** Whether to count all threads of the process; the calling thread alone when left out. */
  readonly process?: boolean | undefined;
  /** Count what passes through these modules alone, by their paths: exact on every runtime. */
  readonly modules?: RegExp | undefined;
}

/** What is counted of calls. */
type CallFigures = Pick<Figures, "allocations" | "bytes" | "liveBytes">;

/**
 * What a call of a function allocates.
 *
 * @example
 * ```ts
 * import { type Measurement, measure } from "./mod.ts";
 *
 * const measurement: Measurement = await measure(() => structuredClone({ a: [1, 2, 3] }));
 * console.log(`${measurement}`, measurement.allocations.least, measurement.exact);
 * ```
 */
export class Measurement {
  /** Allocations a call. */
  readonly allocations: PerCall;
  /** Bytes a call. */
  readonly bytes: PerCall;
  /** Bytes that a call left in use. */
  readonly liveBytes: PerCall;
  /** Whether every round said the same. */
  readonly exact: boolean;
  /** Rounds that were measured. */
  readonly rounds: number;
  /** What the figures do not tell, a sentence each. */
  readonly notes: readonly string[];
  /** Whether they are of modules alone, which are seen on every runtime. */
  readonly #ofModules: boolean;

  /** For {@linkcode measure}. */
  constructor(rounds: readonly CallFigures[], calls: number, notes: readonly string[], ofModules: boolean) {
    this.#ofModules = ofModules;
    const per = (of: (figures: CallFigures) => number): PerCall => {
      const sorted = rounds.map((figures) => of(figures) / calls).sort((a, b) => a - b);
      const middle = sorted.length >> 1;
      const median = sorted.length % 2 ? sorted[middle] : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
      return { least: sorted[0] ?? 0, median: median ?? 0 };
    };
    this.allocations = per((f) => f.allocations);
    this.bytes = per((f) => f.bytes);
    this.liveBytes = per((f) => f.liveBytes);
    this.exact = rounds.every((f) => f.allocations === rounds[0]?.allocations && f.bytes === rounds[0]?.bytes);
    this.rounds = rounds.length;
    this.notes = notes;
  }

  /** `12 allocs/op  345 B/op`, of the round with the least; with the median where it differs, and whose memory is not seen. */
  toString(): string {
    const [least, median] = [perCallText(this, "least"), perCallText(this, "median")];
    const { seesRuntime, runtime } = attach().installation;
    const unseen = seesRuntime || this.#ofModules ? "" : `  (of native libraries: ${runtime}'s own memory is not seen)`;
    return (least === median ? least : `${least}  (median ${median})`) + unseen;
  }
}

function perCallText({ allocations, bytes }: Measurement, of: keyof PerCall): string {
  return `${perCall(allocations[of])} allocs/op  ${bytesPerCall(bytes[of])}/op`;
}

/** What is between any number of starts and stops, together. */
export class Stretches {
  readonly #profiler: Profiler;
  readonly #sum = { allocations: 0, bytes: 0, liveBytes: 0 };
  #open = false;

  /** For {@linkcode measureRounds}. */
  constructor(profiler: Profiler) {
    this.#profiler = profiler;
  }

  /** Counts from here on; what was counted since an earlier start that no stop has followed does not count. */
  start(): void {
    if (this.#open) this.#profiler.reset();
    else this.#profiler.start();
    this.#open = true;
  }

  /** Counts up to here. */
  stop(): void {
    if (!this.#open) return;
    this.#open = false;
    const { allocations, bytes, liveBytes } = this.#profiler.stop();
    this.#sum.allocations += allocations;
    this.#sum.bytes += bytes;
    this.#sum.liveBytes += liveBytes;
  }

  /** What was counted since it was last asked. */
  take(): CallFigures {
    this.stop();
    const taken = { ...this.#sum };
    this.#sum.allocations = this.#sum.bytes = this.#sum.liveBytes = 0;
    return taken;
  }
}

/** A benchmark: so many calls, of which what is between starts and stops counts. */
export type Calls = (calls: number, stretches: Pick<Stretches, "start" | "stop">) => Promise<void>;

/** Calls of a function, counted as one. */
export function plainCalls(run: () => unknown): Calls {
  return async (calls, stretches) => {
    stretches.start();
    for (let i = 0; i < calls; i++) {
      const result = run();
      if (isThenable(result)) await result;
    }
    stretches.stop();
  };
}

/** For calls that do not count. */
export const UNCOUNTED: Pick<Stretches, "start" | "stop"> = { start() {}, stop() {} };

/** Has rounds of so many calls run. */
export async function measureRounds(
  run: Calls,
  { rounds, calls, process, modules }: Omit<MeasureOptions, "warmUp"> & {
    readonly rounds: number;
    readonly calls: number;
  },
): Promise<Measurement> {
  const stretches = new Stretches(new Profiler({ thread: !process, modules }));
  const figures: CallFigures[] = [];
  for (let n = 0; n < rounds; n++) {
    try {
      await run(calls, stretches);
    } finally {
      figures.push(stretches.take());
    }
  }
  return new Measurement(figures, calls, notes(), modules !== undefined);
}

/**
 * Calls a function many times and says what a call allocates, natively: beside `Deno.bench`, mitata or any other benchmark, or by
 * itself. An asynchronous function is awaited; what the event loop allocates meanwhile is in its figures.
 *
 * @throws {RangeError} when a number is no whole one above 0; `warmUp` may be 0.
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { measure } from "./mod.ts";
 *
 * const encoder = new TextEncoder();
 * console.log("encode", `${await measure(() => encoder.encode("x".repeat(1000)))}`); // encode 3 allocs/op  1.05 KB/op
 * ```
 */
export async function measure(run: () => unknown, options: MeasureOptions = {}): Promise<Measurement> {
  checkFunction("measure", run);
  checkPattern("modules", options.modules);
  checkOptions("measure", options, ["rounds", "calls", "warmUp", "process", "modules"]);
  const { rounds = 15, calls = 100, warmUp = 500, process, modules } = options;
  for (const [name, n, least] of [["rounds", rounds, 1], ["calls", calls, 1], ["warmUp", warmUp, 0]] as const) {
    if (!Number.isInteger(n) || n < least) {
      throw new RangeError(`Cannot measure with ${name} ${n}: it takes a whole number, ${least} or more`);
    }
  }
  const all = plainCalls(run);
  await all(warmUp, UNCOUNTED);
  return await measureRounds(all, { rounds, calls, process, modules });
}
