/** The library in this process: put in once, and joined by everything else in this folder. */
import { LibraryError } from "../native/build.ts";
import { runtimeName, variable } from "../native/ffi.ts";
import { openOwnLibrary, UNSET } from "../native/library.ts";
import { tellNames } from "../native/v8_names.ts";
import type { Library } from "../native/library.ts";
import { intervalText } from "../profile/facts.ts";
import { modeOf, readOwn, readOwnMoment } from "../profile/read.ts";
import type { Moment, Reading } from "../profile/read.ts";
import { Places } from "../profile/places.ts";
import { CONSTANTS, FIGURES_LAYOUT, HEADER_SIZE, LAYOUT, VARIABLES } from "../file/layout.ts";
import { whyNotMade } from "../native/errors.ts";
import { checkTogether, checkVariables, RANGES, tableSize } from "../native/variables.ts";
import type { RecordOptions } from "../native/variables.ts";
import { Meter, Window } from "./meter.ts";
import { checkChoice, checkOptions } from "./options.ts";

/** Options of {@linkcode install}. */
export interface InstallOptions extends RecordOptions {
  /** File for the recording, which other processes can then read; `%p` becomes the process's number. `HEAPTAP_OUT`, else the recording is kept in memory. */
  readonly out?: string | undefined;
  /**
   * Whether Node is to tell the names of JavaScript functions, as with `--perf-basic-prof --interpreted-frames-native-stack` at its start:
   * functions that are compiled from here on have names on every stack. Deno takes such flags at its start alone.
   */
  readonly jsNames?: boolean | undefined;
  /** A compiled library, as `heaptap lib` prints; the one in the cache, compiled on first use, when left out. */
  readonly library?: string | undefined;
}

/** What {@linkcode install} did, and what can be seen from now on. */
export interface Installation {
  /** Whether this process was being recorded already: preloaded by `heaptap run`, or installed by another worker. */
  readonly joined: boolean;
  /** Deno or Bun, with its version. */
  readonly runtime: string;
  /** Whether the runtime's own allocations are seen, not those of libraries alone. */
  readonly seesRuntime: boolean;
  /** The same in words. */
  readonly sees: string;
  /** What is not as it was asked for: variables that could not be read, options that came too late. */
  readonly notes: readonly string[];
  /** What is recorded, with which limits. */
  readonly recording: {
    readonly mode: "counters" | "paths" | "totals";
    /** Mean bytes between two recorded blocks, 0 when all are. */
    readonly interval: number;
    readonly buckets: number;
    readonly depth: number;
    readonly exactPeak: boolean;
    /** See {@linkcode RecordOptions}. */
    readonly sizes: boolean;
    /** See {@linkcode RecordOptions}. */
    readonly lifetimes: boolean;
  };
  /** Slots of loaded objects that lead to heaptap now: of the program itself, and of libraries. */
  readonly slots: { readonly program: number; readonly libraries: number };
}

/** The library as it stands in this thread. */
export interface Attached {
  readonly installation: Installation;
  /** Figures of the calling thread. */
  readonly thread: Meter;
  /** Figures of the process. */
  readonly process: Meter;
  readonly library: Library;
  /** The recording where the library has it mapped. */
  readonly memory: Uint8Array;
  /** Number of the calling thread's record in it. */
  readonly slot: number;
}

let attached: Attached | undefined;

function number(name: keyof typeof RANGES, value: number | undefined): number {
  const [low, high] = RANGES[name];
  if (value === undefined) return UNSET;
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`Cannot install with ${name} ${value}: it takes a whole number from ${low} to ${high}`);
  }
  return name === "buckets" ? tableSize(value) : value;
}

/** Modes by their numbers in a recording. */
const MODES = ["counters", "paths", "totals"] as const;

/** The options as the library takes them. Throws when one is none. */
function checked(
  options: InstallOptions,
): readonly [
  buckets: number,
  depth: number,
  mode: number,
  exactPeak: number,
  sizes: number,
  lifetimes: number,
  sample: number,
] {
  checkOptions("install", options, [
    "out",
    "buckets",
    "depth",
    "mode",
    "exactPeak",
    "sizes",
    "lifetimes",
    "sample",
    "jsNames",
    "library",
  ]);
  checkChoice("mode", options.mode, MODES);
  if (options.mode === "totals") {
    throw new TypeError(
      "Cannot install with mode totals: spans tell what is live, which it does not know; take counters",
    );
  }
  checkTogether(options);
  return [
    number("buckets", options.buckets),
    number("depth", options.depth),
    options.mode === undefined ? UNSET : MODES.indexOf(options.mode),
    options.exactPeak === undefined ? UNSET : Number(options.exactPeak),
    options.sizes === undefined ? UNSET : Number(options.sizes),
    options.lifetimes === undefined ? UNSET : Number(options.lifetimes),
    options.sample ?? UNSET,
  ];
}

type Started = Omit<Installation, "notes" | "recording">;

function start(library: Library, options: InstallOptions): Started {
  const slots = new Uint32Array(2);
  const out = new TextEncoder().encode(`${options.out ?? ""}\0`);
  const result = library.functions.heaptap_install(out, ...checked(options), slots) as number;
  if (result === 2) {
    throw new LibraryError(
      "Cannot install: this process was started with heaptap preloaded and is not to be recorded (HEAPTAP_OUT is empty, or the recording could not be made)",
    );
  }
  if (result === 3) {
    throw new LibraryError(
      "Cannot install: the C library of this process is neither glibc nor musl",
    );
  }
  if (result < 0) {
    const path = options.out ?? variable("HEAPTAP_OUT");
    const why = whyNotMade(-result);
    throw new LibraryError(`Cannot install: the recording ${path ? `"${path}" ` : ""}cannot be made: ${why}`);
  }
  const [program = 0, libraries = 0] = slots;
  const runtime = runtimeName();
  // Bun has mimalloc and JavaScriptCore's heaps; before 1.2.20 it took a little of malloc's too.
  const seesRuntime = program > 0 && !("Bun" in globalThis);
  return {
    joined: result === 1,
    runtime,
    seesRuntime,
    sees: seesRuntime
      ? `${runtime} allocates through the C library: ArrayBuffers, the runtime's own and every native library's allocations are seen`
      : `${runtime} has an allocator of its own linked in: only what native libraries allocate is seen, not ArrayBuffers or the runtime`,
    slots: { program, libraries },
  };
}

/** What a recording that was under way does not do, though the options say so. */
function ignored(options: InstallOptions, recording: Installation["recording"]): string[] {
  const different = (name: keyof typeof recording, wanted: unknown) =>
    wanted !== undefined && wanted !== recording[name];
  const buckets = options.buckets === undefined ? undefined : tableSize(options.buckets);
  const names = [
    ...options.out !== undefined ? ["out"] : [],
    ...different("mode", options.mode) ? ["mode"] : [],
    ...different("buckets", buckets) ? ["buckets"] : [],
    ...different("depth", options.depth) ? ["depth"] : [],
    ...different("exactPeak", options.exactPeak) ? ["exactPeak"] : [],
    ...different("sizes", options.sizes) ? ["sizes"] : [],
    ...different("lifetimes", options.lifetimes) ? ["lifetimes"] : [],
    ...different("interval", options.sample) ? ["sample"] : [],
  ];
  return names.map((name) => `the option ${name} came too late: this process was being recorded already`);
}

/** Opens the library and has it record, once a thread. */
export function attach(options: InstallOptions = {}): Attached {
  if (attached) return attached;
  const library = openOwnLibrary(options.library);
  const started = start(library, options);
  const view = (pointer: unknown, size: number): ArrayBuffer => {
    const memory = library.view(pointer, size);
    if (!memory) throw new LibraryError("Cannot install: this thread cannot be counted");
    return memory;
  };
  const recording = library.functions.heaptap_recording();
  const header = new DataView(view(recording, HEADER_SIZE));
  const size = Number(header.getBigUint64(LAYOUT.header.fields.file_size?.offset ?? 0, true));
  const figures = view(library.functions.heaptap_figures(), FIGURES_LAYOUT.size);
  const words = new Float64Array(figures);
  const { heaptap_thread, heaptap_process } = library.functions;
  const field = (name: string) => header.getUint32(LAYOUT.header.fields[name]?.offset ?? 0, true);
  const rejected = VARIABLES.filter((_, i) => field("rejected") & (1 << i));
  const recorded = {
    mode: modeOf(field("mode")),
    interval: field("interval"),
    buckets: field("buckets"),
    depth: field("depth"),
    exactPeak: field("peak_batch") === 0,
    sizes: field("sizes") !== CONSTANTS.SIZES_OFF,
    lifetimes: field("lifetimes") !== 0,
  } as const;
  const notes = [
    ...rejected.flatMap((name) => checkVariables({ [name]: variable(name) })),
    ...started.joined ? ignored(options, recorded) : [],
    ...options.jsNames
      ? [tellNames(library.functions.heaptap_code_events(), options.out !== undefined)].filter(Boolean)
      : [],
    ...recorded.interval > 0
      ? [
        `a block every ${
          intervalText(recorded.interval)
        } is recorded: call paths, what is live and peaks are estimates`,
      ]
      : [],
    ...recorded.mode === "totals" ? ["totals alone are counted: what is live, and peaks, are not known"] : [],
  ];
  attached = {
    installation: { ...started, recording: recorded, notes },
    library,
    memory: new Uint8Array(view(recording, size)),
    slot: new DataView(figures).getUint32(FIGURES_LAYOUT.fields.slot?.offset ?? 0, true),
    thread: new Meter(
      () => heaptap_thread(),
      words,
      "Cannot measure this thread: more than 4,094 threads are recorded",
    ),
    process: new Meter(() => heaptap_process(), words, "Cannot measure: 64 threads have spans of the process open"),
  };
  own((here) => warmUp([here.thread, here.process]));
  return attached;
}

/** Has the runtime compile what spans run, which allocates, before the first span does. */
function warmUp(meters: readonly Meter[]): void {
  for (let round = 0; round < 100; round++) {
    for (const meter of meters) {
      const [outer, inner] = [new Window(), new Window()];
      meter.open(outer);
      meter.open(inner);
      meter.close(inner);
      meter.close(outer);
    }
  }
}

/**
 * Loads heaptap's library into this process and puts its hooks in: `malloc` and the rest lead through
 * it in every loaded object, and in those that are loaded later. Blocks from before are unknown and
 * stay as they are. It is done by the first profiler when a script did not do it; a second call only
 * says what the first one did. It cannot be taken back; see {@linkcode pause}.
 *
 * @throws {LibraryError} when the library cannot be had, opened or started: no compiler, no permission
 * (Deno needs `--allow-ffi`, and to find or compile the library `--allow-env --allow-read --allow-run
 * --allow-write --allow-sys`), a platform that is not supported, a recording that cannot be made.
 * @throws {RangeError} when a number is out of range.
 *
 * @example
 * ```ts
 * import { install } from "./mod.ts";
 *
 * const { sees, slots } = install({ buckets: 4096 });
 * console.log(sees, slots.libraries > 0);
 * ```
 */
export function install(options: InstallOptions = {}): Installation {
  if (!attached) return attach(options).installation;
  checked(options);
  const { installation } = attached;
  const late = [
    ...ignored(options, installation.recording),
    ...options.jsNames ? ["the option jsNames came too late: the library was installed already"] : [],
  ];
  return late.length > 0 ? { ...installation, notes: [...installation.notes, ...late] } : installation;
}

/**
 * Stops counting allocations, in all threads, until {@linkcode resume}. Frees of known blocks go on
 * being counted, so that what is in use stays right; blocks allocated meanwhile are not counted, nor their frees. It does
 * not nest: one `resume` ends any number of pauses.
 *
 * @example
 * ```ts
 * import { counters, pause, resume } from "./mod.ts";
 *
 * pause();
 * const before = counters().allocations;
 * new Uint8Array(1000);
 * console.log(counters().allocations - before); // 0
 * resume();
 * ```
 */
export function pause(): void {
  attach().library.functions.heaptap_pause(1);
}

/**
 * Counts allocations again after {@linkcode pause}.
 *
 * @example
 * ```ts
 * import { pause, resume } from "./mod.ts";
 *
 * pause();
 * resume();
 * ```
 */
export function resume(): void {
  attach().library.functions.heaptap_pause(0);
}

/** Runs a part of heaptap whose allocations, made by this thread, are not the script's. */
export function own<T>(part: (library: Attached) => T): T {
  const here = attach();
  const { heaptap_own_begin, heaptap_own_end } = here.library.functions;
  heaptap_own_begin();
  try {
    return part(here);
  } finally {
    heaptap_own_end();
  }
}

/** Frames of this process's recording, each made once: names are kept by them. */
const places = new Places();

/** What this process's recording says at this moment, or of what came after an earlier one; `thread` gives the call paths of the calling thread alone. */
export function* ownReading(
  { thread = false, since }: { thread?: boolean; since?: Moment | undefined } = {},
): Generator<undefined, Reading> {
  const { memory, library, slot } = attach();
  library.functions.heaptap_threads();
  return yield* readOwn(memory, { thread: thread ? slot : undefined, since, places });
}

/** This process's figures at this moment, without stacks; `thread` as above. */
export function ownMoment(thread = false): Moment {
  return own(({ memory, library, slot }) => {
    library.functions.heaptap_threads();
    return readOwnMoment(memory, { thread: thread ? slot : undefined });
  });
}
