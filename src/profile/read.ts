/** Reads a snapshot of a recording into a profile. */
import { CONSTANTS, VARIABLES } from "../file/layout.ts";
import { bytes, readMemory, readSnapshot, Table, text } from "../file/reader.ts";
import type { Snapshot } from "../file/reader.ts";
import { knownSeconds } from "./facts.ts";
import { copyInBuffer, giveBuffer } from "./buffers.ts";
import { asCounters, combineCounters, NOTHING } from "./figures.ts";
import { finish } from "./finish.ts";
import { pidHere, seesOurFiles } from "./here.ts";
import { readAccounts, readMappings } from "./memory.ts";
import { Nodes } from "./nodes.ts";
import type { Places } from "./places.ts";
import { earlierSums, intervalOf, PathSums, threadShares } from "./path_sums.ts";
import type { EarlierSums, Now } from "./path_sums.ts";
import type {
  CallPath,
  Counters,
  Module,
  PathCounters,
  Process,
  Profile,
  Sample,
  Thread,
  ThreadShare,
} from "./profile.ts";
import { ReadPath } from "./read_path.ts";
import { estimatedTotals } from "./sampling.ts";
import { matches } from "./select.ts";
import { allSince, isLaterPeak } from "./since.ts";
import type { MomentTotals } from "./since.ts";
import { readTimeline, sampleTimes } from "./timeline.ts";
import { readLinked } from "./linked.ts";
import { readUnfollowed } from "./unfollowed.ts";

const decoder = new TextDecoder();

function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function readModules(snapshot: Snapshot): Module[] {
  const t = snapshot.sections.modules;
  const modules: Module[] = [];
  for (let i = 1; i < t.length; i++) {
    const n = (field: string) => t.number(i, field);
    const path = text(snapshot, n("path"), n("path_length"));
    modules.push({
      path,
      ...path.includes("\ufffd") && { pathBytes: bytes(snapshot, n("path"), n("path_length")) },
      buildId: hex(t.bytes(i, "build_id").subarray(0, n("build_id_length"))),
      base: n("base"),
      textStart: n("text_start"),
      textSize: n("text_size"),
      textOffset: n("text_offset"),
    });
  }
  return modules;
}

/** Counters from what a thread's record has of each field; of numbers, or of the same exactly. */
function threadCounters(n: (field: string) => number): Omit<Counters, "exact"> {
  return {
    allocations: n("allocations"),
    bytes: n("bytes"),
    frees: n("frees"),
    freedBytes: n("bytes") - n("current"),
    reallocations: n("reallocations"),
    carried: n("carried"),
    temporary: n("temporary"),
    liveBytes: n("current"),
    liveCount: n("allocations") - n("frees") - n("reallocations"),
  };
}

function readThreads(snapshot: Snapshot): Thread[] {
  const t = snapshot.sections.threads;
  const threads: Thread[] = [];
  for (let i = 0; i < t.length; i++) {
    const n = (field: string) => t.number(i, field);
    const shared = i === CONSTANTS.THREAD_SHARED;
    if (shared && n("allocations") + n("frees") + n("unknown_frees") === 0) continue;
    threads.push({
      id: i,
      name: shared ? "(other threads)" : decoder.decode(t.bytes(i, "name")).replace(/\0.*$/s, ""),
      tid: n("tid"),
      merged: n("merged"),
      ended: n("ended") === 1,
      ...asCounters(threadCounters, n, (field) => t.exact(i, field)),
      freedByOthers: n("freed_by_others"),
      freedByOthersBytes: n("freed_by_others_bytes"),
      freedOfOthers: n("freed_of_others"),
      freedOfOthersBytes: n("freed_of_others_bytes"),
      startSeconds: n("start_time") / 1e9,
    });
  }
  return threads;
}

function processOf(snapshot: Snapshot): Process {
  const h = (field: string) => snapshot.header.number(0, field);
  const string = (name: string) => text(snapshot, h(name), h(`${name}_length`));
  const hasLeft = h("attached") === CONSTANTS.ATTACHED_AND_LEFT;
  const here = pidHere(snapshot);
  return {
    pid: h("pid"),
    pidHere: here ?? h("pid"),
    root: here === undefined || seesOurFiles(here) ? undefined : `/proc/${here}/root`,
    parentPid: h("parent_pid"),
    command: string("command").split("\0"),
    executable: string("executable"),
    allocator: string("allocator"),
    linked: readLinked(snapshot),
    startTime: h("start_time") / 1e6,
    paused: h("paused") === 1,
    pauses: h("pauses"),
    running: here !== undefined && !hasLeft,
    exit: h("ended") === 1
      ? { code: h("exit_code"), signal: h("exit_signal"), seconds: h("wall_time") / 1e9 || undefined }
      : undefined,
    forked: h("forked") === 1,
    attached: h("attached") > 0
      ? { left: hasLeft ? h("wall_time") / 1e9 : undefined, inUse: h("in_use_before") || undefined }
      : undefined,
    unfollowed: readUnfollowed(snapshot),
  };
}

/** The process's figures, but for those that only call paths tell. */
function readTotals(snapshot: Snapshot, threads: readonly Thread[]): MomentTotals {
  const h = (field: string) => snapshot.header.number(0, field);
  const records = snapshot.sections.threads;
  const column = (name: string) => {
    const value = records.column(name);
    let total = 0;
    for (let i = 0; i < records.length; i++) total += value(i);
    return total;
  };
  const counters = threads.reduce<Counters>((all, thread) => combineCounters(all, thread), NOTHING);
  return {
    ...counters,
    peakBytes: Math.max(h("peak"), counters.liveBytes),
    failed: column("failed"),
    unknownFrees: column("unknown_frees"),
    lostFrees: column("lost_frees"),
    untracked: h("untracked"),
    abandoned: h("abandoned"),
    lostChildren: h("lost_children"),
    pastLibraries: h("past_libraries"),
  };
}

function timelineOf(snapshot: Snapshot, { running, exit, attached }: Process, totals: MomentTotals): Sample[] {
  const { liveBytes, peakBytes, allocations } = totals;
  return readTimeline(snapshot, {
    running,
    seconds: exit?.seconds ?? attached?.left,
    liveBytes,
    peakBytes,
    allocations,
  });
}

/** Whether the peak is now: what is live is more than any thread has told so far. */
function isPeakNow(snapshot: Snapshot, totals: MomentTotals): boolean {
  return totals.liveBytes > snapshot.header.number(0, "peak");
}

/** Options of reading a recording. */
export interface ReadOptions {
  /** Give call paths the figures of these threads alone: those whose name matches, or that have that record number. */
  readonly thread?: RegExp | number | undefined;
  /** Give call paths what each thread has of them, too: the pprof format makes labels of that. Not with `thread` or `since`. */
  readonly byThread?: boolean | undefined;
}

/** The record numbers of the threads that are wanted; undefined for all. */
export function matching(
  threads: readonly Thread[],
  wanted: RegExp | number | ReadonlySet<number> | undefined,
): ReadonlySet<number> | undefined {
  if (wanted === undefined) return undefined;
  if (typeof wanted === "number") return new Set([wanted]);
  if (!(wanted instanceof RegExp)) return wanted;
  return new Set(threads.filter((thread) => matches(wanted, thread.name)).map((thread) => thread.id));
}

/** The mode that a recording says it was made in. */
export function modeOf(number: number): Profile["limits"]["mode"] {
  return number === CONSTANTS.MODE_COUNTERS ? "counters" : number === CONSTANTS.MODE_TOTALS ? "totals" : "paths";
}

/** A recording as it is read: what it says in all, and its call paths, which are made when they are looked at. */
export class Reading {
  /** All but the call paths. */
  readonly profile: Profile;
  /** The figures of call paths. */
  readonly sums: PathSums | undefined;
  /** The numbers of call paths for which something was counted. */
  readonly used: Uint32Array;
  /** Their stacks. */
  readonly nodes: Nodes;
  readonly #shares: ReadonlyMap<number, ThreadShare[]> | undefined;
  readonly #now: Now | undefined;

  private constructor(
    { profile, sums, used, nodes }: Pick<Reading, "profile" | "sums" | "used" | "nodes">,
    shares: ReadonlyMap<number, ThreadShare[]> | undefined,
    now: Now | undefined,
  ) {
    this.profile = profile;
    this.sums = sums;
    this.used = used;
    this.nodes = nodes;
    this.#shares = shares;
    this.#now = now;
  }

  /**
   * Reads a snapshot; with `since` what came after an earlier moment of the same recording. `places` are those that earlier readings of
   * it have made, `known` what one has made of the same nodes. Figures are read in one go; then it yields now and then: a script that reads
   * its own process need not wait.
   */
  static *of(
    snapshot: Snapshot,
    { thread, byThread }: ReadOptions = {},
    since?: (now: Pick<Profile, "process" | "threads">) => Moment,
    places?: Places,
    known?: Nodes,
  ): Generator<undefined, Reading> {
    const h = (field: string) => snapshot.header.number(0, field);
    const [process, threads, modules] = [processOf(snapshot), readThreads(snapshot), readModules(snapshot)];
    const totals = readTotals(snapshot, threads);
    const [mode, interval] = [modeOf(h("mode")), intervalOf(h("interval"))];
    const peakIsNow = isPeakNow(snapshot, totals);
    const sums = mode === "paths" ? yield* PathSums.of(snapshot, peakIsNow, matching(threads, thread)) : undefined;
    const paths = sums?.count ?? 0;
    const then = since?.({ process, threads });
    const shares = byThread && thread === undefined && !then ? threadShares(snapshot, paths, peakIsNow) : undefined;
    yield;
    const estimated = interval > 0 && sums && thread === undefined
      ? estimatedTotals(allFigures(sums), totals, interval)
      : {};
    if (then) sums?.startAt(then.paths, isLaterPeak(totals, then.totals));
    yield;
    // Paths that only map memory have no figures among the others.
    const numbers = Math.max(paths, Math.min(h("buckets_used"), snapshot.sections.nodes.length));
    const nodes = known ?? new Nodes(snapshot.sections.nodes, numbers, modules, places);
    yield;
    const used = sums?.used() ?? new Uint32Array();
    const profile: Profile = {
      path: snapshot.path,
      process,
      limits: {
        mode,
        buckets: h("buckets"),
        depth: h("depth"),
        interval,
        peakError: h("multi") ? h("peak_batch") * threads.length : 0,
        sizes: h("sizes") !== CONSTANTS.SIZES_OFF,
        lifetimes: h("lifetimes") !== 0,
        rejected: VARIABLES.filter((_, i) => h("rejected") & (1 << i)),
        noSpace: h("no_space") !== 0,
      },
      totals: { ...totals, ...estimated, peakCount: 0, fallbackAllocations: 0, overflowAllocations: 0 },
      threads,
      modules,
      callPaths: [],
      timeline: timelineOf(snapshot, process, totals),
      memory: readAccounts(snapshot),
      mappings: readMappings(snapshot, nodes),
      names: snapshot.names,
    };
    const shown = then ? allSince(profile, then) : profile;
    const ending = (isIt: (id: number) => boolean) =>
      used.reduce((n, id) => isIt(id) ? n + (sums?.figures(id).allocations ?? 0) : n, 0);
    const fallbackAllocations = nodes.hasFull ? ending((id) => nodes.end(id) === "full") : 0;
    const overflowAllocations = ending((id) => nodes.leaf(id) === 0);
    const peakCount = sums?.peakCount() ?? 0;
    const whole = { ...shown, totals: { ...shown.totals, peakCount, fallbackAllocations, overflowAllocations } };
    const isWhole = !then && thread === undefined;
    const seconds = h("finished") / 1e9 || secondsOf(profile);
    const now = isWhole ? { seconds, allocations: totals.allocations } : undefined;
    return new Reading({ profile: whole, sums, used, nodes }, shares, now);
  }

  /** A call path. */
  path(id: number): CallPath {
    return new ReadPath(id, { sums: this.sums as PathSums, nodes: this.nodes, now: this.#now }, this.#shares?.get(id));
  }

  /** Gives the memory of figures back; no path can be had then. */
  [Symbol.dispose](): void {
    this.sums?.release();
  }

  /** With all call paths, the largest first. */
  whole(): Profile {
    const callPaths = Array.from(this.used, (id) => this.path(id));
    return { ...this.profile, callPaths: callPaths.sort((a, b) => b.bytes - a.bytes || a.id - b.id) };
  }
}

/** Seconds of the run, up to now where it goes on. */
function secondsOf(profile: Profile): number {
  const { running, startTime } = profile.process;
  return running ? (Date.now() - startTime) / 1000 : knownSeconds(profile);
}

function allFigures(sums: PathSums): PathCounters[] {
  return Array.from({ length: sums.count }, (_, id) => sums.figures(id));
}

/**
 * Reads a recording, finished or live, as it is at this moment; with `since` what came after the moment that it gives.
 *
 * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
 */
export function readProfile(
  path: string,
  options?: ReadOptions,
  since?: (now: Pick<Profile, "process" | "threads">) => Moment,
): Profile {
  return finish(Reading.of(readSnapshot(path), options, since)).whole();
}

/** What is needed of an earlier moment to tell what came after it: figures, no stacks. */
export interface Moment {
  /** The process, and when its recording began, as in a profile: which recording it is of. */
  readonly pid: number;
  /** See `pid`. */
  readonly startTime: number;
  /** The process's figures. */
  readonly totals: MomentTotals;
  /** Every thread's. */
  readonly threads: readonly Thread[];
  /** Every call path's. */
  readonly paths: EarlierSums;
  /** Seconds since the recording began at which it ended, or was last seen to do something; 0 when that is not known. */
  readonly seconds: number;
}

/** The sections that figures without stacks are in. */
const FIGURE_SECTIONS = ["threads", "owners", "paths", "sizes", "lifetimes", "timeline"] as const;

function momentOf(snapshot: Snapshot, wanted?: RegExp | number | ReadonlySet<number>): Moment {
  const threads = readThreads(snapshot);
  const totals = readTotals(snapshot, threads);
  const h = (field: string) => snapshot.header.number(0, field);
  const interval = intervalOf(h("interval"));
  const estimated = interval > 0 && wanted === undefined
    ? estimatedTotals(allFigures(finish(PathSums.of(snapshot, isPeakNow(snapshot, totals)))), totals, interval)
    : {};
  const paths = earlierSums(snapshot, matching(threads, wanted));
  return {
    ...{ pid: h("pid"), startTime: h("start_time") / 1e6, totals: { ...totals, ...estimated }, threads, paths },
    seconds: Math.max(sampleTimes(snapshot).at(-1) ?? 0, h("wall_time") / 1e9),
  };
}

/**
 * Reads the recording of this process where the library has it mapped, as it is at this moment; see {@linkcode Reading}.
 *
 * @throws {RecordingError} when it is of another version.
 */
export function* readOwn(
  memory: Uint8Array,
  { thread, since, places }: { thread?: number | undefined; since?: Moment | undefined; places: Places },
): Generator<undefined, Reading> {
  const { snapshot, release } = standStill(readMemory(memory));
  try {
    return yield* Reading.of(snapshot, { thread }, since && (() => since), places);
  } finally {
    release();
  }
}

/** The snapshot with copies of what is written in place: the rest is only added to. */
function standStill(snapshot: Snapshot): { snapshot: Snapshot; release: () => void } {
  const { owners, paths, sizes, lifetimes } = snapshot.sections;
  const [ownersCopy, pathsCopy] = [owners, paths].map(({ raw }) => copyInBuffer(raw)) as [Float64Array, Float64Array];
  const bytes = (copy: Float64Array, { raw }: Table) => new Uint8Array(copy.buffer, copy.byteOffset, raw.length);
  return {
    snapshot: {
      ...snapshot,
      sections: {
        ...snapshot.sections,
        owners: new Table("owners", bytes(ownersCopy, owners)),
        paths: new Table("paths", bytes(pathsCopy, paths)),
        sizes: new Table("sizes", sizes.raw.slice()),
        lifetimes: new Table("lifetimes", lifetimes.raw.slice()),
      },
    },
    release: () => [ownersCopy, pathsCopy].forEach(giveBuffer),
  };
}

/** The threads of the recording that the library has mapped in this process. */
export function readOwnThreads(memory: Uint8Array): Thread[] {
  return readThreads(readMemory(memory, ["threads"]));
}

/** Reads the figures of this process's recording, without its stacks, as they are at this moment. */
export function readOwnMoment(memory: Uint8Array, { thread }: ReadOptions = {}): Moment {
  return momentOf(readMemory(memory, FIGURE_SECTIONS), thread);
}

/**
 * Reads the figures of a recording, without its stacks; of call paths those of these threads alone, by the numbers
 * of their records.
 *
 * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
 */
export function readMoment(path: string, threads?: ReadonlySet<number>): Moment {
  return momentOf(readSnapshot(path, FIGURE_SECTIONS), threads);
}

/** A recording without its call paths: whose it is, and how much that did. */
export interface Outline {
  /** The process. */
  readonly process: Process;
  /** Its allocations. */
  readonly allocations: number;
  /** Highest live bytes. */
  readonly peakBytes: number;
  /** Live bytes at the end, or now. */
  readonly liveBytes: number;
  /** What was recorded. */
  readonly limits: Pick<Profile["limits"], "mode" | "interval">;
  /** Seconds from the start of the recording at which the timeline has samples. */
  readonly moments: readonly number[];
  /** Loaded objects whose code is on call paths. */
  readonly modules: readonly string[];
}

/**
 * Reads the outline of a recording: of each of the many that a run may have.
 *
 * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
 */
export function readOutline(path: string): Outline {
  const snapshot = readSnapshot(path, ["threads", "strings", "modules", "timeline"]);
  const totals = readTotals(snapshot, readThreads(snapshot));
  const process = processOf(snapshot);
  return {
    process,
    allocations: totals.allocations,
    peakBytes: totals.peakBytes,
    liveBytes: totals.liveBytes,
    limits: {
      mode: modeOf(snapshot.header.number(0, "mode")),
      interval: intervalOf(snapshot.header.number(0, "interval")),
    },
    moments: sampleTimes(snapshot),
    modules: readModules(snapshot).map((module) => module.path),
  };
}
