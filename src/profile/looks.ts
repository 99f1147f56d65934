/**
 * Looks at a recording, one after the other, while its process writes it: figures of each moment, by how much they moved since the look
 * before, and which call paths did. Nothing of the process is stopped, and it does not know.
 */
import { setTimeout } from "node:timers/promises";
import { readSnapshot, RecordingError } from "../file/reader.ts";
import type { Snapshot } from "../file/reader.ts";
import { residentSet } from "../memory/process_memory.ts";
import { finish } from "./finish.ts";
import type { FigureColumns } from "./path_sums.ts";
import { Places } from "./places.ts";
import type { CallPath, Profile, Totals } from "./profile.ts";
import { Reading } from "./read.ts";
import type { SortBy } from "./select.ts";

/** Options of {@linkcode Recording.watch}. */
export interface LookOptions {
  /** Milliseconds between looks, 10 to 86,400,000; 1,000 when left out. */
  readonly interval?: number | undefined;
  /** Ends it: there is no further look then, not even a last one. */
  readonly signal?: AbortSignal | undefined;
}

/** The sections of a recording that each look reads, and those that are only added to, which it reads when one of the counters moved. */
const MOVING = ["threads", "owners", "paths", "timeline", "accounts", "mapped", "sizes", "lifetimes"] as const;
const ALL = [...MOVING, "strings", "modules", "nodes"] as const;
const COUNTERS = ["strings_used", "modules_used", "nodes_used", "buckets_used"] as const;

const [SHORTEST, LONGEST] = [10, 86_400_000];

/**
 * A recording at one moment: see {@linkcode Recording.watch}. It stays as it is when there are later ones; call paths are made when they are
 * asked for.
 *
 * @example
 * ```ts
 * import { type Look, Recording } from "./mod.ts";
 *
 * const recording = Recording.open("sort.heaptap");
 * let first: Look | undefined;
 * for await (const look of recording.watch({ interval: 200 })) {
 *   first ??= look;
 *   const grew = [...look.used].filter((id) => look.figure(id, "live") > (first as Look).figure(id, "live"));
 *   console.log(look.seconds, look.totals.liveBytes, look.resident, look.allocationsPerSecond, grew.length);
 * }
 * ```
 */
export class Look {
  /** Seconds since the recording began; of one that had ended before, those that it is known to have taken. */
  readonly seconds: number;
  /** Seconds since the look before; 0 of the first. */
  readonly interval: number;
  /** Whether the process still ran; of the last look false, where the process's end is what ended it. */
  readonly running: boolean;
  /** The process's figures. */
  readonly totals: Totals;
  /** Its resident set in bytes, as the kernel counts it; undefined when it has ended. */
  readonly resident: number | undefined;
  /** Allocations a second since the look before; 0 of the first. */
  readonly allocationsPerSecond: number;
  /** Bytes allocated a second since the look before; 0 of the first. */
  readonly bytesPerSecond: number;
  /** All but the call paths, for {@linkcode Symbols}; its `callPaths` are empty. */
  readonly profile: Profile;
  /** The numbers of all call paths for which something was counted, in order. */
  readonly used: Uint32Array;
  /** Those of them whose figures are others than at the look before; of the first all. */
  readonly changed: Uint32Array;
  readonly #reading: Reading;
  readonly #time: number;
  readonly #paths = new Map<number, CallPath>();

  /** A look that comes after another; for {@linkcode Recording.watch}. */
  constructor(reading: Reading, before: Look | undefined) {
    const { profile, used, sums } = reading;
    const { process, totals } = profile;
    this.#reading = reading;
    this.profile = profile;
    this.totals = totals;
    this.used = used;
    this.running = process.running;
    this.#time = performance.now();
    this.interval = before ? (this.#time - before.#time) / 1000 : 0;
    this.seconds = before ? before.seconds + this.interval : profile.timeline.at(-1)?.seconds ?? 0;
    this.resident = process.running ? residentSet(process.pidHere)?.resident : undefined;
    const rate = (now: number, then = 0) => this.interval > 0 ? Math.max(0, now - then) / this.interval : 0;
    this.allocationsPerSecond = rate(totals.allocations, before?.totals.allocations);
    this.bytesPerSecond = rate(totals.bytes, before?.totals.bytes);
    const then = before && before.#reading.sums;
    this.changed = sums && then ? used.filter((id) => sums.differs(id, then)) : used;
  }

  /** One figure of a call path, for a choice among many: no object is made. 0 for a number that is not in use. */
  figure(id: number, figure: SortBy): number {
    return this.#reading.sums?.figure(id, figure) ?? 0;
  }

  /** Figures of call paths, those that moved when left out, as columns in their order: cheaper than a {@linkcode Look.path} of each. */
  columns(ids: Uint32Array = this.changed): FigureColumns {
    const { sums } = this.#reading;
    const none: readonly number[] = [];
    return sums?.columns(ids) ?? {
      allocations: none,
      bytes: none,
      peakCount: none,
      peakBytes: none,
      liveCount: none,
      liveBytes: none,
      temporary: none,
    };
  }

  /**
   * A call path with its stack. Frames are the same objects in all looks of one `watch`.
   *
   * @throws {RangeError} when nothing was counted for a call path of that number.
   */
  path(id: number): CallPath {
    let path = this.#paths.get(id);
    if (!path) {
      if (!(id < (this.#reading.sums?.count ?? 0))) throw new RangeError(`Cannot show call path ${id}: there is none`);
      this.#paths.set(id, path = this.#reading.path(id));
    }
    return path;
  }
}

/** A later snapshot of a recording, with the names that the first found behind it. */
function readNext(path: string, before: Snapshot | undefined): Snapshot {
  if (!before) return readSnapshot(path, ALL);
  const next = readSnapshot(path, MOVING, false);
  if (next.header.exact(0, "start_time") !== before.header.exact(0, "start_time")) {
    throw new RecordingError(`Cannot go on with "${path}": another process records there now`);
  }
  const stays = COUNTERS.every((counter) => next.header.number(0, counter) === before.header.number(0, counter));
  const { names, sections: { strings, modules, nodes } } = before;
  return stays
    ? { ...next, names, sections: { ...next.sections, strings, modules, nodes } }
    : { ...readSnapshot(path, ALL, false), names };
}

/** Looks at a recording until its process has ended, or the signal says so. */
export async function* looksAt(path: string, { interval = 1000, signal }: LookOptions): AsyncGenerator<Look> {
  if (!(interval >= SHORTEST && interval <= LONGEST)) {
    throw new RangeError(`Cannot look every ${interval} ms: it takes ${SHORTEST} to ${LONGEST}`);
  }
  const places = new Places();
  let [snapshot, reading]: [Snapshot | undefined, Reading | undefined] = [undefined, undefined];
  const look = (before?: Look) => {
    const next = readNext(path, snapshot);
    const known = next.sections.nodes === snapshot?.sections.nodes ? reading?.nodes : undefined;
    reading = finish(Reading.of(next, {}, undefined, places, known));
    snapshot = next;
    return new Look(reading, before);
  };
  let last: Look | undefined;
  for (let due = performance.now(); !signal?.aborted; due = Math.max(due + interval, performance.now())) {
    await setTimeout(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => {});
    if (signal?.aborted) return;
    let next = look(last);
    // What it did between that reading and its end is in another one.
    if (!next.running) next = look(last);
    yield last = next;
    if (!last.running) return;
  }
}
