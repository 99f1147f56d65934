/** Counters of this process and of this thread, and the difference between two moments. */
import { attach, own } from "./install.ts";
import { Window } from "./meter.ts";
import type { Figures, Meter } from "./meter.ts";
import { checkOptions } from "./options.ts";
import { ModuleMeter } from "./through.ts";

/**
 * The figures of the process since `install()`: the sums over all its threads.
 *
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { counters } from "./mod.ts";
 *
 * const { allocations, liveBytes, peakBytes } = counters();
 * console.log(allocations, liveBytes, peakBytes);
 * ```
 */
export function counters(): Figures {
  const { process } = attach();
  process.now();
  return { ...process.figures };
}

/**
 * The figures of the calling thread since `install()`. What it freed of other threads' blocks is in
 * its frees, so what is in use may be negative; its peak is since it first asked.
 *
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { threadCounters } from "./mod.ts";
 *
 * const before = threadCounters().bytes;
 * const block = new Uint8Array(10_000); // on Deno
 * console.log(threadCounters().bytes - before, block.length);
 * ```
 */
export function threadCounters(): Figures {
  const { thread } = attach();
  thread.now();
  return { ...thread.figures };
}

/** What is between two moments. */
interface Stretch {
  read(): Figures;
  stop(): Figures;
}

/** The same of a meter. */
class MeterStretch implements Stretch {
  readonly #meter: Meter;
  readonly #window = new Window();

  constructor(meter: Meter) {
    this.#meter = meter;
    meter.open(this.#window);
  }

  read(): Figures {
    this.#meter.look(this.#window);
    return { ...this.#meter.figures };
  }

  stop(): Figures {
    this.#meter.close(this.#window);
    return { ...this.#meter.figures };
  }
}

/** Options of {@linkcode Profiler}. */
export interface ProfilerOptions {
  /** Whether to count the calling thread alone; the whole process when left out. */
  readonly thread?: boolean | undefined;
  /** Count what passes through these modules alone, by their paths; `peakBytes` is NaN then, and a look takes milliseconds. */
  readonly modules?: RegExp | undefined;
}

/**
 * The difference between two moments. Any number of profilers may run at a time, in any order.
 *
 * @example
 * ```ts
 * import { Profiler } from "./mod.ts";
 *
 * const profiler = Profiler.start();
 * const blocks = Array.from({ length: 100 }, () => new Uint8Array(1000));
 * const { allocations, peakBytes } = profiler.stop();
 * console.log(blocks.length, allocations, peakBytes);
 * ```
 */
export class Profiler {
  readonly #begin: () => Stretch;
  #stretch: Stretch | undefined;
  #result: Figures | undefined;

  /**
   * A profiler that has not started.
   *
   * @throws {LibraryError} when the library cannot be installed.
   */
  constructor(options: ProfilerOptions = {}) {
    checkOptions("Profiler", options, ["thread", "modules"]);
    const { thread, process } = attach();
    const { modules } = options;
    const meter = options.thread ? thread : process;
    this.#begin = modules ? () => new ModuleMeter(modules, options.thread ?? false) : () => new MeterStretch(meter);
  }

  /**
   * A profiler that runs from now on.
   *
   * @throws {LibraryError} when the library cannot be installed.
   */
  static start(options: ProfilerOptions = {}): Profiler {
    const profiler = new Profiler(options);
    profiler.start();
    return profiler;
  }

  /** Begins at this moment; does nothing when it runs already. */
  start(): void {
    this.#stretch ??= this.#begin();
  }

  /** The difference between the start and now; it goes on. After {@linkcode Profiler.stop} what that gave. */
  read(): Figures {
    if (this.#stretch) return this.#stretch.read();
    if (this.#result) return this.#result;
    throw new Error("Cannot read the profiler: it has not been started");
  }

  /** Ends, and gives the difference between the start and now. A second call gives the same again. */
  stop(): Figures {
    if (!this.#stretch) return this.read();
    this.#result = this.#stretch.stop();
    this.#stretch = undefined;
    return this.#result;
  }

  /** Begins anew at this moment, whether it runs or not. Nothing else notices. */
  reset(): void {
    own(() => {
      this.#stretch?.stop();
      this.#stretch = this.#result = undefined;
    });
    this.start();
  }

  /** Ends it, for `using`. */
  [Symbol.dispose](): void {
    if (this.#stretch) this.stop();
  }
}
