/** Sessions: what named operations of a script allocate, span by span. */
import { backtraceReport } from "./backtraces.ts";
import type { BacktraceOptions, BacktraceReport } from "./backtraces.ts";
import { attach, own } from "./install.ts";
import { runIn } from "./operate.ts";
import { callSites } from "./sites.ts";
import type { CallSite, SiteOptions } from "./sites.ts";
import { Window } from "./meter.ts";
import type { Figures, Meter } from "./meter.ts";
import { checkOptions } from "./options.ts";
import { MemoryWindow } from "./runtime_memory.ts";
import type { SpanMemory } from "./runtime_memory.ts";
import { ModuleMeter } from "./through.ts";
import { OperationTally, SessionReport } from "./session_report.ts";

/**
 * A span was used in a way that it cannot be: ended twice, or for a number of rounds that is none.
 *
 * @example
 * ```ts
 * import { Session, SpanError } from "./mod.ts";
 *
 * const span = new Session().operation("once").measureThread();
 * span.end();
 * try {
 *   span.end();
 * } catch (error) {
 *   console.log(error instanceof SpanError, String(error));
 * }
 * ```
 */
export class SpanError extends Error {
  /** The class's name. */
  override name = "SpanError";
}

/** What a span counted. */
export interface SpanFigures extends Figures {
  /** Rounds that it stands for. */
  readonly iterations: number;
  /** The runtime's own view before and after, when the span was to give it. */
  readonly runtime: SpanMemory | undefined;
}

/** Options of a span. */
export interface SpanOptions {
  /** Whether to take the runtime's own view of its memory too, to see which side grew; costs some microseconds. */
  readonly runtime?: boolean | undefined;
  /** Count what passes through these modules alone, by their paths; `peakBytes` is NaN then, and the span costs milliseconds where there are many call paths. */
  readonly modules?: RegExp | undefined;
}

/**
 * A span of an operation, from `measureThread()` or `measureProcess()` to its end: `using`,
 * {@linkcode Span.end} or {@linkcode Span.iterations}. Spans may nest and overlap, those of one operation
 * too, and an `await` inside is fine: what other tasks of the thread allocate meanwhile counts as well.
 *
 * @example
 * ```ts
 * import { Session, type Span } from "./mod.ts";
 *
 * const operation = new Session().operation("fill");
 * const span: Span = operation.measureProcess({ runtime: true });
 * for (let round = 0; round < 50; round++) new Uint8Array(10_000).fill(round);
 * const { bytes, peakBytes, runtime } = span.iterations(50);
 * console.log(bytes / 50, peakBytes, runtime?.after.external);
 * ```
 */
export class Span {
  readonly #meter: Meter;
  readonly #tally: OperationTally;
  readonly #window = new Window();
  readonly #memory: MemoryWindow | undefined;
  readonly #ofModules: ModuleMeter | undefined;
  #open = true;

  /** For {@linkcode Operation}. */
  constructor(
    meter: Meter,
    tally: OperationTally,
    memory: MemoryWindow | undefined,
    ofModules: ModuleMeter | undefined,
  ) {
    this.#ofModules = ofModules;
    this.#meter = meter;
    this.#tally = tally;
    this.#memory = memory;
    tally.begun++;
    meter.open(this.#window);
  }

  /**
   * Ends the span; it stands for one round.
   *
   * @throws {SpanError} when it has ended already.
   */
  end(): SpanFigures {
    return this.iterations(1);
  }

  /**
   * Ends the span; it stands for `rounds` rounds, over which the report takes its means.
   *
   * @throws {SpanError} when it has ended already, or `rounds` is not a whole number above 0; it goes on then.
   */
  iterations(rounds: number): SpanFigures {
    if (!this.#open) throw new SpanError(`Cannot end the span of "${this.#tally.name}" twice: it has ended already`);
    if (!(rounds >= 1) || !Number.isInteger(rounds)) {
      throw new SpanError(
        `Cannot end the span of "${this.#tally.name}" with ${rounds} iterations: it takes a whole number, 1 or more`,
      );
    }
    this.#open = false;
    this.#meter.close(this.#window);
    const figures = this.#ofModules?.read() ?? this.#meter.figures;
    const runtime = this.#memory?.end();
    this.#tally.add(figures, rounds, runtime);
    return {
      allocations: figures.allocations,
      bytes: figures.bytes,
      frees: figures.frees,
      freedBytes: figures.freedBytes,
      liveBytes: figures.liveBytes,
      liveCount: figures.liveCount,
      peakBytes: figures.peakBytes,
      temporary: figures.temporary,
      reallocations: figures.reallocations,
      iterations: rounds,
      runtime,
    };
  }

  /** Ends the span, for `using`; does nothing when it has ended. */
  [Symbol.dispose](): void {
    if (this.#open) this.iterations(1);
  }
}

/**
 * A named operation of a session.
 *
 * @example
 * ```ts
 * import { type Operation, Session } from "./mod.ts";
 *
 * const session = new Session();
 * const operation: Operation = session.operation("decode");
 * operation.measureThread().end();
 * console.log(operation.name, session.toReport().operations[0]?.spans); // decode 1
 * ```
 */
export class Operation {
  readonly #tally: OperationTally;

  /** For {@linkcode Session}. */
  constructor(tally: OperationTally) {
    this.#tally = tally;
  }

  /** Its name. */
  get name(): string {
    return this.#tally.name;
  }

  /**
   * Runs a function in this operation: the call paths through which it allocates are this operation's, in every report, in JSON and as labels
   * in pprof. An asynchronous function is followed over its awaits on Deno and Node, so that two requests at once are told apart; on Bun it is
   * known until its first one. Costs 170 to 560 ns, and on Node 300 for every await of the process once it was used.
   *
   * @returns What the function returns.
   */
  run<T>(run: () => T): T {
    this.#tally.runs++;
    return runIn(this.#tally.name, run);
  }

  /** The call sites at which {@linkcode Operation.run} allocated, of all sessions: see {@linkcode callSites}. */
  callSites(options: Omit<SiteOptions, "operation"> = {}): Promise<CallSite[]> {
    return callSites({ ...options, operation: this.#tally.name });
  }

  /** The same with backtraces: see {@linkcode backtraceReport}. */
  backtraceReport(options: Omit<BacktraceOptions, "operation"> = {}): Promise<BacktraceReport> {
    return backtraceReport({ ...options, operation: this.#tally.name });
  }

  /** What its spans that have ended allocated per iteration, bytes and allocations; 0 without any. */
  mean(): { readonly bytes: number; readonly allocations: number } {
    const { meanBytes, meanAllocations } = own(() => this.#tally.toReport());
    return { bytes: meanBytes, allocations: meanAllocations };
  }

  /** Begins a span that counts the calling thread. */
  measureThread(options?: SpanOptions): Span {
    return this.#begin(attach().thread, true, options);
  }

  /** Begins a span that counts all threads of the process. */
  measureProcess(options?: SpanOptions): Span {
    this.#tally.ofProcess = true;
    return this.#begin(attach().process, false, options);
  }

  #begin(meter: Meter, thread: boolean, options: SpanOptions | undefined): Span {
    if (!options) return new Span(meter, this.#tally, undefined, undefined);
    checkOptions("a span", options, ["runtime", "modules"]);
    const { runtime, modules } = options;
    return new Span(
      meter,
      this.#tally,
      runtime ? new MemoryWindow() : undefined,
      modules && new ModuleMeter(modules, thread),
    );
  }
}

const NAME_LIMIT = 200;

let warm = false;

/** Has the runtime compile what a span runs, which allocates, before the first one does. */
function warmUp(): void {
  if (warm) return;
  warm = true;
  own(() => {
    const operation = new Operation(new OperationTally("warm-up"));
    for (let round = 0; round < 20; round++) {
      operation.measureThread().end();
      operation.measureProcess().iterations(2);
      operation.measureThread()[Symbol.dispose]();
    }
  });
}

/**
 * Measures what named operations allocate, as often as they run.
 *
 * @example
 * ```ts
 * import { Session } from "./mod.ts";
 *
 * const session = new Session();
 * const scan = session.operation("scan");
 * for (let round = 0; round < 10; round++) {
 *   using _span = scan.measureThread();
 *   new Uint8Array(10_000).fill(round);
 * }
 * session.toReport().print();
 * ```
 */
export class Session {
  readonly #operations = new Map<string, { operation: Operation; tally: OperationTally }>();

  /**
   * A session without operations yet. Installs the library when the script did not.
   *
   * @throws {LibraryError} when the library cannot be installed.
   */
  constructor() {
    attach();
    warmUp();
  }

  /**
   * The operation of a name: a new one, or the one that has it.
   *
   * @throws {TypeError} when the name is empty or no text.
   * @throws {RangeError} when it has more than 200 characters.
   */
  operation(name: string): Operation {
    if (typeof name !== "string" || name.trim() === "") {
      throw new TypeError("Cannot make an operation without a name: reports list operations by it");
    }
    if (name.length > NAME_LIMIT) {
      throw new RangeError(`Cannot make an operation with a name of ${name.length} characters: at most ${NAME_LIMIT}`);
    }
    const known = this.#operations.get(name);
    if (known) return known.operation;
    const tally = new OperationTally(name);
    const operation = new Operation(tally);
    this.#operations.set(name, { operation, tally });
    return operation;
  }

  /** Prints the report, for `using`. */
  [Symbol.dispose](): void {
    this.toReport().print();
  }

  /** What the spans that have ended so far say. */
  toReport(): SessionReport {
    return own(() => new SessionReport([...this.#operations.values()].map(({ tally }) => tally.toReport())));
  }
}
