/**
 * The profile: what a recording says, as plain immutable values. Names are not here; they are looked
 * up for what is shown (see `src/symbols`).
 */
import type { Mappings, MemoryUse } from "./memory.ts";

/** Figures that threads, call paths and the process have alike. Bytes are bytes that the program asked for. */
export interface Counters {
  /** Successful allocations, reallocations included. */
  readonly allocations: number;
  /** Bytes asked for; of a reallocation its growth. */
  readonly bytes: number;
  /** Blocks freed. */
  readonly frees: number;
  /** Bytes freed, or given back by reallocations that made a block smaller. */
  readonly freedBytes: number;
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
  /** The figures among these that are above 2^53, which a number does not hold, as they are; undefined when there are none. */
  readonly exact?: Readonly<Partial<Record<CounterName, bigint>>> | undefined;
}

/** The name of a figure of {@linkcode Counters}. */
export type CounterName = Exclude<keyof Counters, "exact">;

/** The process's figures. */
export interface Totals extends Counters {
  /** Highest live bytes. */
  readonly peakBytes: number;
  /** Blocks that were live then; 0 where call paths are not recorded, which tell. */
  readonly peakCount: number;
  /** By how much `liveBytes` and `peakBytes` may be off in 5 of 100 cases at most; undefined where they are no estimates. */
  readonly margins?: { readonly live: number; readonly peak: number } | undefined;
  /** Requests that the allocator refused. */
  readonly failed: number;
  /** Frees of blocks that were never seen allocated. */
  readonly unknownFrees: number;
  /** Blocks whose free was not seen; counted as freed when their address came back. */
  readonly lostFrees: number;
  /** Calls passed through uncounted: signal handlers inside a hook. */
  readonly untracked: number;
  /** Calls that never came to their end: a signal handler left them by longjmp. Each may be off by a block. */
  readonly abandoned: number;
  /** Forks by a signal handler inside a hook: such a child is not recorded. */
  readonly lostChildren: number;
  /**
   * Libraries that were opened past the hooks, by dlmopen, or with RTLD_DEEPBIND where the allocator is not the C library's: what they
   * allocate is not in any figure.
   */
  readonly pastLibraries: number;
  /** Allocations of which only the innermost frames (four, or one) were kept, because the table was full. */
  readonly fallbackAllocations: number;
  /** Allocations of which no frame was kept, because the table was full. */
  readonly overflowAllocations: number;
}

/** A thread, or several that used one record one after the other. */
export interface Thread extends Counters {
  /** Number in the recording. */
  readonly id: number;
  /** Name as the kernel had it. */
  readonly name: string;
  /** Kernel's number. */
  readonly tid: number;
  /** Threads that these figures stand for. */
  readonly merged: number;
  /** Whether all of them are known to have ended. */
  readonly ended: boolean;
  /** Blocks of this thread that others freed or took over by reallocation. */
  readonly freedByOthers: number;
  /** Their bytes. */
  readonly freedByOthersBytes: number;
  /** Blocks of others that this thread freed or took over. */
  readonly freedOfOthers: number;
  /** Their bytes. */
  readonly freedOfOthersBytes: number;
  /** Seconds since the start of the recording at which it first allocated. */
  readonly startSeconds: number;
}

/** A loaded object whose code is on call paths. */
export interface Module {
  /** Path as the dynamic linker had it. */
  readonly path: string;
  /** The same as the system has it, where that is not UTF-8. */
  readonly pathBytes?: Uint8Array | undefined;
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
  /**
   * How its caller was found, where not by an unwind table: `signal`, the kernel's frame of a signal handler, which
   * names what it has interrupted; `guess`, by the frame pointer of code without a table.
   */
  readonly way?: "signal" | "guess" | undefined;
  /** Of code of no object: bytes that the file of its compiler for perf had when it was first met; left out where that is not known. */
  readonly age?: number | undefined;
}

/** How the outer end of a stack came about. */
export type StackEnd = "root" | "guessed" | "depth" | "lost" | "full" | "none";

/** How large requests were, and what the allocator gave beyond them. */
export interface Sizes {
  /** Allocations by what they asked for: up to 8 bytes, 9 to 16, 17 to 32 and so on, 31 figures, the last of what is above 4 GiB. */
  readonly requests: readonly number[];
  /** Usable less requested bytes, over all these allocations; undefined when the allocator does not tell. */
  readonly slack: number | undefined;
}

/**
 * How long blocks lived. A reallocation does not end a block: that goes on, with the call path that it goes to. Blocks from before the recording,
 * or before a fork, are not among them.
 */
export interface Lifetimes {
  /** Blocks that ended, by how long they had lived: less than 1 microsecond, less than 2, than 4 and so on, 32 figures, the last of 2^30 and more. */
  readonly byTime: readonly number[];
  /** The same blocks by the allocations that the process made meanwhile: none, 1, 2 to 3, 4 to 7 and so on, 32 figures, the last of 2^30 and more. */
  readonly byAllocations: readonly number[];
  /** Seconds that they had lived, together. */
  readonly seconds: number;
  /** Allocations that the process made meanwhile, together. */
  readonly allocations: number;
  /** Blocks that have not ended, and how long those have lived so far; undefined of a part of the run, or of the threads. */
  readonly live: { readonly blocks: number; readonly seconds: number; readonly allocations: number } | undefined;
}

/** The figures of a call path. */
export interface PathCounters extends Counters {
  /** Live bytes at the process's peak. */
  readonly peakBytes: number;
  /** Live blocks at the process's peak. */
  readonly peakCount: number;
  /** The variance of `allocations` where they are an estimate; undefined where all blocks were recorded. */
  readonly variance?: number | undefined;
}

/** The part of a call path that one thread has. What it has live is what it allocated less what it freed, of others too: it may be negative. */
export interface ThreadShare extends PathCounters {
  /** Number of the thread in the recording: see {@linkcode Thread}. */
  readonly thread: number;
}

/** A call path with its figures. */
export interface CallPath extends PathCounters {
  /** Number in the recording. */
  readonly id: number;
  /** What stands at the outer end: `root` a complete stack, `guessed` the same as far as can be told, beyond a frame whose way is a guess, `depth` cut by the limit, `lost` no way on, `full` and `none` not kept because the table was full. */
  readonly end: StackEnd;
  /** Frames from the innermost, which called the allocation function, outwards. */
  readonly stack: readonly Frame[];
  /** What each thread has of it; undefined when the profile was not read `byThread`. */
  readonly threads?: readonly ThreadShare[] | undefined;
  /** Sizes; undefined when they were not recorded (`heaptap run --sizes`). */
  readonly sizes?: Sizes | undefined;
  /** Lifetimes; undefined when they were not recorded (`heaptap run --lifetimes`). */
  readonly lifetimes?: Lifetimes | undefined;
  /** The operation of a script in which it allocated: {@linkcode Operation.run}. Undefined when it said none. */
  readonly operation?: string | undefined;
}

/** One sample of the timeline: what it says holds until the next. */
export interface Sample {
  /** Seconds since the start of the recording. */
  readonly seconds: number;
  /** Live bytes from then on, but for moves of less than a hundredth of the peak, or 64 KiB. */
  readonly bytes: number;
  /** The highest that was live up to the next sample. */
  readonly highest: number;
  /** Allocations so far. */
  readonly allocations: number;
  /** Resident set of the process, bytes, as the kernel told whoever looked on: `heaptap run`, or a script that records its own process; undefined where nobody did. */
  readonly resident: number | undefined;
  /** Bytes of memory that the program had mapped itself; undefined where nobody looked on. */
  readonly mapped: number | undefined;
}

/**
 * A program that was started and is not recorded.
 *
 * @example
 * ```ts
 * import { profile } from "./mod.ts";
 *
 * const { recording } = await profile(["sh", "-c", "exec busybox true"]);
 * const program = recording?.profile().process.unfollowed;
 * if (program) console.log(`${program.path} is not recorded: ${program.why}`);
 * ```
 */
export interface Unfollowed {
  /** Its file, as the process wrote it; "" when that is not known. */
  readonly path: string;
  /** What keeps the library out, in words that follow the path: `is statically linked`. */
  readonly why: string;
  /** Whether the process itself became it; otherwise a child did. */
  readonly became: boolean;
  /** How many such programs there were; this is the last. */
  readonly count: number;
}

/** An allocator that is linked into the program or a library: its functions are called past the C library's. */
export interface LinkedAllocator {
  /** What it is: `jemalloc`, `mimalloc`, `tcmalloc`, `rpmalloc`, `snmalloc`; `malloc` or `operator new` when it is another. */
  readonly name: string;
  /** What its functions' names begin with, `_rjem_`; "" for none. */
  readonly prefix: string;
  /** How many of its functions are counted; 0 when none is. */
  readonly functions: number;
  /** Path of the program or library. */
  readonly path: string;
  /** Why what it hands out is not seen; "" when it is counted. */
  readonly why: string;
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
  /** Allocators that are linked into the program or a library, those that came later too. */
  readonly linked: readonly LinkedAllocator[];
  /** Milliseconds since 1970. */
  readonly startTime: number;
  /** The number that it has here while it runs: another one than `pid` where it is in a container, and this process is not. */
  readonly pidHere: number;
  /** Where its files are found here while it runs, when it sees others under the same paths: in a container. */
  readonly root?: string | undefined;
  /** Whether it still runs, on this machine. */
  readonly running: boolean;
  /** Whether nothing that it allocates is counted now. */
  readonly paused: boolean;
  /** How often that was so. */
  readonly pauses: number;
  /** How it ended, and after how many seconds where heaptap started it; undefined when that was not seen. */
  readonly exit:
    | { readonly code: number; readonly signal: number; readonly seconds: number | undefined }
    | undefined;
  /** Whether it is a fork's child: blocks that it frees and that were never seen are from before the fork. */
  readonly forked: boolean;
  /**
   * Set where recording began when it ran already, with `heaptap attach`: blocks from before are unknown. `left` is the seconds after which it
   * ended there and the process went on; undefined where it did not. `inUse` are the bytes that the allocator said were in use when it began;
   * undefined where it does not tell: of glibc's see {@linkcode Account.before}.
   */
  readonly attached: { readonly left: number | undefined; readonly inUse: number | undefined } | undefined;
  /** The last program that it started, or became, and that is not recorded. */
  readonly unfollowed: Unfollowed | undefined;
}

/** The command line as a title: the program's path when it is not known. */
export function commandLine({ command, executable }: Process): string {
  return command.join(" ").trim() || executable;
}

/** Limits that were in force. */
export interface Limits {
  /** `counters` totals only, `paths` call paths too, `totals` only how much was allocated and how often: what is live is not known. */
  readonly mode: "counters" | "paths" | "totals";
  /** Mean bytes between two blocks that were recorded; 0 when all were. Then figures of call paths, what is live and the peak are estimates. */
  readonly interval: number;
  /** Call paths that the table holds. */
  readonly buckets: number;
  /** Frames kept of a stack. */
  readonly depth: number;
  /** Whether sizes of requests were recorded. */
  readonly sizes: boolean;
  /** Whether lifetimes were recorded. */
  readonly lifetimes: boolean;
  /** Bytes by which the peak may be off: 0 when it is exact. */
  readonly peakError: number;
  /** Environment variables whose value could not be read. */
  readonly rejected: readonly string[];
  /** Whether the file system had no room for more of the recording. */
  readonly noSpace: boolean;
}

/** A process of several whose figures are put together, with its own. */
export interface MergedProcess extends Process {
  /** Its recording's file. */
  readonly path: string;
  /** Its figures. */
  readonly totals: Totals;
  /** Samples over its run, oldest first; their seconds count from its own start. */
  readonly timeline: readonly Sample[];
}

/** The moment that a profile shows, where that is not the last. */
export interface ShownMoment {
  /** Seconds since the recording began. */
  readonly seconds: number;
  /** The earlier moment, where the profile is what came between: then what is live is by how much it grew. */
  readonly from: number | undefined;
  /** Resident set then, bytes. */
  readonly resident: number;
  /** How many moments the recording has to choose from. */
  readonly moments: number;
}

/** A recording's contents at one moment, or those of several processes together. */
export interface Profile {
  /** The recording's file, "" for one in this process's memory. */
  readonly path: string;
  /** What is known of the process; of several, of the one with most allocations. */
  readonly process: Process;
  /** The processes whose figures are put together; undefined for one alone. Its peak is then the sum of their peaks, which they may have had at different times. */
  readonly merged?: readonly MergedProcess[] | undefined;
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
  /** The moment that it shows; undefined for the last, the end or now. */
  readonly moment?: ShownMoment | undefined;
  /** Where the resident memory was; undefined when nobody looked on (`heaptap run` does), or the process ended too soon. */
  readonly memory?: MemoryUse | undefined;
  /** Memory that the program mapped itself; undefined when that was not followed. */
  readonly mappings?: Mappings | undefined;
  /** Names that the recording carries, gzipped; undefined when it carries none. */
  readonly names: Uint8Array | undefined;
}
