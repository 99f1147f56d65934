/**
 * The profile: what a recording says, as plain immutable values. Names are not here; they are looked
 * up for what is shown (see `src/symbols`).
 */
import { readlinkSync } from "node:fs";
import { CONSTANTS, VARIABLES } from "../recording/layout.ts";
import { readSnapshot, text } from "../recording/reader.ts";
import type { Snapshot, Table } from "../recording/reader.ts";

/** Figures that threads, call paths and the process have alike. Bytes are bytes that the program asked for. */
export interface Counters {
  /** Successful allocations, reallocations included. */
  readonly allocations: number;
  /** Bytes asked for; of a reallocation its growth. */
  readonly bytes: number;
  /** Blocks freed. */
  readonly frees: number;
  /** Reallocations of known blocks. */
  readonly reallocations: number;
  /** Bytes that reallocations kept of their old blocks, and may have copied. */
  readonly carried: number;
  /** Blocks freed by the thread that allocated them before it allocated another. */
  readonly temporary: number;
  /** Bytes not freed yet. */
  readonly liveBytes: number;
  /** Blocks not freed yet. */
  readonly liveCount: number;
}

/** The process's figures. */
export interface Totals extends Counters {
  /** Highest live bytes. */
  readonly peakBytes: number;
  /** Requests that the allocator refused. */
  readonly failed: number;
  /** Frees of blocks that were never seen allocated. */
  readonly unknownFrees: number;
  /** Blocks whose free was not seen; counted as freed when their address came back. */
  readonly lostFrees: number;
  /** Calls passed through uncounted: signal handlers inside a hook. */
  readonly untracked: number;
  /** Allocations of which only the innermost frames (four, or one) were kept, because the table was full. */
  readonly fallbackAllocations: number;
  /** Allocations of which no frame was kept, because the table was full. */
  readonly overflowAllocations: number;
}

/** A thread, or several that used one record one after the other. */
export interface Thread extends Counters {
  /** Name as the kernel had it. */
  readonly name: string;
  /** Kernel's number. */
  readonly tid: number;
  /** Threads that these figures stand for. */
  readonly merged: number;
  /** Blocks of this thread that others freed. */
  readonly freedByOthers: number;
  /** Their bytes. */
  readonly freedByOthersBytes: number;
  /** Seconds since the start of the recording at which it first allocated. */
  readonly startSeconds: number;
}

/** A loaded object whose code is on call paths. */
export interface Module {
  /** Path as the dynamic linker had it. */
  readonly path: string;
  /** Build id in hexadecimal, "" when it has none. */
  readonly buildId: string;
  /** Address in memory less address in the ELF file. */
  readonly base: number;
  /** First executable segment: address in the ELF file. */
  readonly textStart: number;
  /** Its bytes. */
  readonly textSize: number;
  /** Its offset in the file. */
  readonly textOffset: number;
}

/** A place in code: an address in a module's ELF file, or in memory when there is no module. */
export interface Frame {
  /** Index into `modules`, or -1 for code of no object (JIT). */
  readonly module: number;
  /** Return address; the call is at least one byte before it. */
  readonly address: number;
}

/** How the outer end of a stack came about. */
export type StackEnd = "root" | "depth" | "lost" | "full" | "none";

/** A call path with its figures. */
export interface CallPath extends Counters {
  /** Number in the recording. */
  readonly id: number;
  /** Live bytes at the process's peak. */
  readonly peakBytes: number;
  /** Live blocks at the process's peak. */
  readonly peakCount: number;
  /** What stands at the outer end: `root` a complete stack, `depth` cut by the limit, `lost` no way on, `full` and `none` not kept because the table was full. */
  readonly end: StackEnd;
  /** Frames from the innermost, which called the allocation function, outwards. */
  readonly stack: readonly Frame[];
}

/** One sample of the timeline. */
export interface Sample {
  /** Seconds since the start. */
  readonly seconds: number;
  /** Live bytes. */
  readonly bytes: number;
  /** Allocations so far. */
  readonly allocations: number;
  /** Highest resident set so far, bytes. */
  readonly maxRss: number;
}

/** What is known of the process. */
export interface Process {
  /** Process number. */
  readonly pid: number;
  /** Its parent's. */
  readonly parentPid: number;
  /** Arguments, the program's name first. */
  readonly command: readonly string[];
  /** Path of the program. */
  readonly executable: string;
  /** Object that the malloc underneath is from. */
  readonly allocator: string;
  /** Milliseconds since 1970. */
  readonly startTime: number;
  /** Whether it still runs, on this machine. */
  readonly running: boolean;
  /** How it ended; undefined when that was not seen (it runs, or was not started by heaptap). */
  readonly exit: { readonly code: number; readonly signal: number; readonly seconds: number } | undefined;
}

/** Limits that were in force. */
export interface Limits {
  /** Totals only, or call paths too. */
  readonly mode: "counters" | "paths";
  /** Call paths that the table holds. */
  readonly buckets: number;
  /** Frames kept of a stack. */
  readonly depth: number;
  /** Bytes by which the peak may be off: 0 when it is exact. */
  readonly peakError: number;
  /** Environment variables whose value could not be read. */
  readonly rejected: readonly string[];
  /** Whether the file system had no room for more of the recording. */
  readonly noSpace: boolean;
}

/** A recording's contents at one moment. */
export interface Profile {
  /** The recording. */
  readonly path: string;
  /** What is known of the process. */
  readonly process: Process;
  /** Limits that were in force. */
  readonly limits: Limits;
  /** The process's figures. */
  readonly totals: Totals;
  /** Every thread that allocated or freed. */
  readonly threads: readonly Thread[];
  /** Loaded objects whose code is on call paths. */
  readonly modules: readonly Module[];
  /** Sorted by bytes, largest first. */
  readonly callPaths: readonly CallPath[];
  /** Samples over the whole run, oldest first. */
  readonly timeline: readonly Sample[];
}

const decoder = new TextDecoder();

function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function readModules(snapshot: Snapshot): Module[] {
  const t = snapshot.sections.modules;
  const modules: Module[] = [];
  for (let i = 1; i < t.length; i++) {
    const n = (field: string) => t.number(i, field);
    modules.push({
      path: text(snapshot, n("path"), n("path_length")),
      buildId: hex(t.bytes(i, "build_id").subarray(0, n("build_id_length"))),
      base: n("base"),
      textStart: n("text_start"),
      textSize: n("text_size"),
      textOffset: n("text_offset"),
    });
  }
  return modules;
}

function readThreads(snapshot: Snapshot): Thread[] {
  const t = snapshot.sections.threads;
  const threads: Thread[] = [];
  for (let i = 0; i < t.length; i++) {
    const n = (field: string) => t.number(i, field);
    const shared = i === CONSTANTS.THREAD_SHARED;
    if (shared && n("allocations") + n("frees") + n("unknown_frees") === 0) continue;
    const freedByOthersBytes = n("freed_by_others_bytes");
    threads.push({
      name: shared ? "(other threads)" : decoder.decode(t.bytes(i, "name")).replace(/\0.*$/s, ""),
      tid: n("tid"),
      merged: n("merged"),
      allocations: n("allocations"),
      bytes: n("bytes"),
      frees: n("frees"),
      reallocations: n("reallocations"),
      carried: n("carried"),
      temporary: n("temporary"),
      liveBytes: n("current"),
      liveCount: n("allocations") - n("frees") - n("reallocations"),
      freedByOthers: n("freed_by_others"),
      freedByOthersBytes,
      startSeconds: n("start_time") / 1e9,
    });
  }
  return threads;
}

/** Sums of the path records of every page, by call path. */
function readPathSums(snapshot: Snapshot, paths: number, peakIsNow: boolean): Record<string, Float64Array> {
  const { owners, paths: records } = snapshot.sections;
  const plain = ["allocations", "bytes", "frees", "temporary", "reallocations", "carried", "live_bytes", "moved"];
  const sums: Record<string, Float64Array> = {};
  for (const name of [...plain, "peak_bytes", "peak_count"]) sums[name] = new Float64Array(paths);
  const columns = plain.map((name) => [records.column(name), sums[name] as Float64Array] as const);
  const seen = records.column("peak_seen");
  const savedBytes = records.column("peak_bytes");
  const savedCount = records.column("peak_count");
  const [allocations, frees, moved, live] = ["allocations", "frees", "moved", "live_bytes"].map((c) =>
    records.column(c)
  );
  const peakBytes = sums.peak_bytes as Float64Array;
  const peakCount = sums.peak_count as Float64Array;
  const peakNumber = snapshot.header.number(0, "peak_number");
  const owner = owners.column("thread");
  const firstOf = owners.column("first");
  for (let page = 0; page < owners.length; page++) {
    if (owner(page) === 0) continue;
    const first = firstOf(page);
    for (let i = 0; i < CONSTANTS.PAGE_RECORDS && first + i < paths; i++) {
      const record = page * CONSTANTS.PAGE_RECORDS + i;
      const path = first + i;
      for (const [column, sum] of columns) sum[path] = (sum[path] ?? 0) + column(record);
      const saved = !peakIsNow && seen(record) === peakNumber;
      const bytes = saved ? savedBytes(record) : live?.(record) ?? 0;
      const count = saved
        ? savedCount(record)
        : (allocations?.(record) ?? 0) - (frees?.(record) ?? 0) - (moved?.(record) ?? 0);
      peakBytes[path] = (peakBytes[path] ?? 0) + bytes;
      peakCount[path] = (peakCount[path] ?? 0) + count;
    }
  }
  return sums;
}

const ENDS: Readonly<Record<number, StackEnd>> = {
  [CONSTANTS.NODE_ROOT]: "root",
  [CONSTANTS.NODE_DEPTH]: "depth",
  [CONSTANTS.NODE_LOST]: "lost",
  [CONSTANTS.NODE_FULL]: "full",
};

const OFFSET_SPAN = 2 ** CONSTANTS.KEY_OFFSET_BITS;

/** Frames by node, each made once, so that equal places are the same object. */
function frameReader(nodes: Table, modules: readonly Module[]): (node: number) => Frame {
  const made: (Frame | undefined)[] = [];
  const places = new Map<string, Frame>();
  // A key has 64 bits: the two halves are taken apart before either passes 2^53.
  const bytes = nodes.raw;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (node) => {
    const known = made[node];
    if (known) return known;
    const at = node * 16;
    const number = view.getUint16(at + 6, true);
    const offset = view.getUint32(at, true) + view.getUint16(at + 4, true) * 4294967296;
    const module = number > 0 && number <= modules.length ? number - 1 : -1;
    // An address below its module's base wrapped around: it is not one.
    const key = `${module}:${offset % OFFSET_SPAN}`;
    let frame = places.get(key);
    if (!frame) places.set(key, frame = { module, address: offset });
    return made[node] = frame;
  };
}

/** The frames of a node outwards, and how they end. Parents have smaller numbers, so this ends. */
function readStack(
  parentOf: (node: number) => number,
  frame: (node: number) => Frame,
  leaf: number,
): [Frame[], StackEnd] {
  const stack: Frame[] = [];
  let node = leaf;
  while (node >= CONSTANTS.NODE_FIRST && stack.length < 4096) {
    stack.push(frame(node));
    const parent = parentOf(node);
    if (parent >= node) return [stack, "lost"];
    node = parent;
  }
  return [stack, ENDS[node] ?? "lost"];
}

function readCallPaths(snapshot: Snapshot, modules: readonly Module[], peakIsNow: boolean): CallPath[] {
  const { nodes, owners } = snapshot.sections;
  const limit = owners.length * CONSTANTS.PAGE_RECORDS;
  const count = Math.min(snapshot.header.number(0, "buckets_used"), snapshot.header.number(0, "buckets"), limit + 1);
  const sums = readPathSums(snapshot, count, peakIsNow);
  const leaves = new Uint32Array(count);
  const bucketOf = nodes.column("bucket");
  for (let node = CONSTANTS.NODE_FIRST; node < nodes.length; node++) {
    const bucket = bucketOf(node);
    if (bucket > 0 && bucket < count) leaves[bucket] = node;
  }
  const frame = frameReader(nodes, modules);
  const parentOf = nodes.column("parent");
  const callPaths: CallPath[] = [];
  for (let id = 0; id < count; id++) {
    const n = (name: string) => sums[name]?.[id] ?? 0;
    if (n("allocations") === 0 && n("frees") === 0) continue;
    const leaf = leaves[id] ?? 0;
    const [stack, end] = leaf === 0 ? [[], "none" as const] : readStack(parentOf, frame, leaf);
    callPaths.push({
      id,
      allocations: n("allocations"),
      bytes: n("bytes"),
      frees: n("frees"),
      reallocations: n("reallocations"),
      carried: n("carried"),
      temporary: n("temporary"),
      liveBytes: n("live_bytes"),
      liveCount: n("allocations") - n("frees") - n("moved"),
      peakBytes: n("peak_bytes"),
      peakCount: n("peak_count"),
      end,
      stack,
    });
  }
  return callPaths.sort((a, b) => b.bytes - a.bytes || a.id - b.id);
}

function readTimeline(snapshot: Snapshot): Sample[] {
  const t = snapshot.sections.timeline;
  return Array.from({ length: t.length }, (_, i) => ({
    seconds: t.number(i, "time") / 1e9,
    bytes: t.number(i, "current"),
    allocations: t.number(i, "allocations"),
    maxRss: t.number(i, "max_rss"),
  }));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** Whether a process of that number and program runs here. */
function runs(pid: number, executable: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === executable;
  } catch {
    return false;
  }
}

/** Reads a snapshot into a profile. */
export function profileOf(snapshot: Snapshot): Profile {
  const h = (field: string) => snapshot.header.number(0, field);
  const string = (name: string) => text(snapshot, h(name), h(`${name}_length`));
  const threads = readThreads(snapshot);
  const records = snapshot.sections.threads;
  const column = (name: string) => {
    const value = records.column(name);
    let total = 0;
    for (let i = 0; i < records.length; i++) total += value(i);
    return total;
  };
  const liveBytes = sum(threads, (t) => t.liveBytes);
  const peakIsNow = liveBytes > h("peak");
  const modules = readModules(snapshot);
  const mode = h("mode") === CONSTANTS.MODE_COUNTERS ? "counters" : "paths";
  const callPaths = mode === "paths" ? readCallPaths(snapshot, modules, peakIsNow) : [];
  const ending = (end: StackEnd) => sum(callPaths, (p) => p.end === end ? p.allocations : 0);
  return {
    path: snapshot.path,
    process: {
      pid: h("pid"),
      parentPid: h("parent_pid"),
      command: string("command").split("\0"),
      executable: string("executable"),
      allocator: string("allocator"),
      startTime: h("start_time") / 1e6,
      running: runs(h("pid"), string("executable")),
      exit: h("ended") === 1
        ? { code: h("exit_code"), signal: h("exit_signal"), seconds: h("wall_time") / 1e9 }
        : undefined,
    },
    limits: {
      mode,
      buckets: h("buckets"),
      depth: h("depth"),
      peakError: h("multi") ? h("peak_batch") * sum(threads, () => 1) : 0,
      rejected: VARIABLES.filter((_, i) => h("rejected") & (1 << i)),
      noSpace: h("no_space") !== 0,
    },
    totals: {
      allocations: sum(threads, (t) => t.allocations),
      bytes: sum(threads, (t) => t.bytes),
      frees: sum(threads, (t) => t.frees),
      reallocations: sum(threads, (t) => t.reallocations),
      carried: sum(threads, (t) => t.carried),
      temporary: sum(threads, (t) => t.temporary),
      liveBytes,
      liveCount: sum(threads, (t) => t.liveCount),
      peakBytes: Math.max(h("peak"), liveBytes),
      failed: column("failed"),
      unknownFrees: column("unknown_frees"),
      lostFrees: column("lost_frees"),
      untracked: h("untracked"),
      fallbackAllocations: ending("full"),
      overflowAllocations: ending("none"),
    },
    threads,
    modules,
    callPaths,
    timeline: readTimeline(snapshot),
  };
}

/**
 * Reads a recording, finished or live, as it is at this moment.
 *
 * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
 */
export function readProfile(path: string): Profile {
  return profileOf(readSnapshot(path));
}
