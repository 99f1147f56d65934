/**
 * The layout of a recording, and its only source: `tools/layout.ts` makes `ffi/layout.h` (what the
 * library writes) and `docs/FORMAT.md` (what people read) from these tables, and the reader takes
 * its offsets from them directly. CI fails when the generated files differ.
 *
 * A recording is one little-endian file of fixed layout: a header, then sections that each hold
 * records of one size. Nothing moves once the file exists and nothing has to happen at exit: the
 * tables *are* the data, so a file is valid at every moment of the program's life and after any
 * kind of death.
 */

/** The scalar types that a field may have. */
export type Scalar = "u8" | "u16" | "u32" | "u64" | "i64" | "f64";

/** Bytes that a scalar takes. */
export const SCALAR_SIZE: Readonly<Record<Scalar, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** One field of a record: its type, how often it stands, who writes it, what it means. */
export interface Field {
  readonly type: Scalar;
  /** Elements; 1 when left out. */
  readonly count?: number;
  /** Who stores into the field while the program runs. Everybody may read. */
  readonly writer: "start" | "owner" | "any thread" | "driver";
  readonly doc: string;
  /** Starts a new cache line, so that two writers never share one. */
  readonly line?: true;
}

/** A record: its fields in the order in which they stand. */
export type RecordLayout = Readonly<Record<string, Field>>;

/** The sections in file order. `sections[i]` of the header describes the i-th. */
export const SECTIONS = [
  "strings",
  "modules",
  "threads",
  "nodes",
  "owners",
  "paths",
  "timeline",
  "sizes",
  "resident",
  "accounts",
  "mapped",
  "lifetimes",
] as const;

/** The name of a section. */
export type SectionName = (typeof SECTIONS)[number];

/** The first eight bytes of a recording. */
export const MAGIC = "heaptap\0";
/** Counts up whenever a reader of the version before would misread a file. */
export const VERSION = 4;
/** The oldest version that is read: what has come since is 0 in its files. */
export const OLDEST_VERSION = 2;
/** Reads differently on a machine of the other byte order. */
export const BYTE_ORDER = 0x01020304;
/** Every section starts at a multiple of this; the largest page size that Linux has. */
export const ALIGNMENT = 65536;

/** Numbers that are part of the format, under the names they have in `ffi/layout.h`. */
export const CONSTANTS = {
  /** Call paths whose records lie side by side in one page. */
  PAGE_RECORDS: 64,
  /** Node: the stack ends here in good order. */
  NODE_ROOT: 1,
  /** Node: frames further out were cut off by the depth limit. */
  NODE_DEPTH: 2,
  /** Node: the walk found no way on (no unwind rule, unreadable memory). */
  NODE_LOST: 3,
  /** Node: the table was full, only the innermost frames were kept. */
  NODE_FULL: 4,
  /** Node: nothing was kept, not even the innermost frame. */
  NODE_NONE: 5,
  /** Number of the first node that is a real frame. */
  NODE_FIRST: 8,
  /** Call path without a stack: everything in counters mode, otherwise what overflowed. */
  PATH_NONE: 0,
  /** Bits of a node's key that hold the offset in its module; the module's number is above them. */
  KEY_OFFSET_BITS: 48,
  /** Bits of the module's number; those above it tell what is special of the place. */
  KEY_MODULE_BITS: 12,
  /** Bit of a node's key: the kernel's frame of a signal handler; its caller was interrupted. */
  KEY_SIGNAL_BIT: 60,
  /** Bit of a node's key: code without an unwind table, whose caller was found by the frame pointer alone: a guess. */
  KEY_GUESS_BIT: 61,
  /** Bit of a node's key: no frame, but a note on its parent, which is code of no object: how long /tmp/perf-PID.map was when that node was made. */
  KEY_NOTE_BIT: 62,
  /** Thread number of the record that threads share when there is no other. */
  THREAD_SHARED: 0,
  /** Classes of request sizes: the first up to 8 bytes, each next one twice as much, the last whatever is more. */
  SIZE_CLASSES: 31,
  /** Sizes: not recorded. */
  SIZES_OFF: 0,
  /** Sizes: requests by size. */
  SIZES_REQUESTS: 1,
  /** Sizes: requests by size, and slack. */
  SIZES_SLACK: 2,
  /** Classes of lifetimes: the first 0, the next ones 1, 2 to 3, 4 to 7 and so on, the last whatever is more. */
  LIFETIME_CLASSES: 32,
  /** A program that was started and is not recorded: statically linked. */
  UNFOLLOWED_STATIC: 1,
  /** The same: built for another machine. */
  UNFOLLOWED_MACHINE: 2,
  /** The same: setuid or setgid. */
  UNFOLLOWED_OWNER: 3,
  /** The same: has file capabilities. */
  UNFOLLOWED_CAPABILITIES: 4,
  /** The same: no room on a small stack for what a very large environment lacked. */
  UNFOLLOWED_ROOM: 5,
  /** Mode: totals only. */
  MODE_COUNTERS: 0,
  /** Mode: totals and call paths. */
  MODE_PATHS: 1,
  /** Mode: how much was allocated, and how often, alone: no block is known. */
  MODE_TOTALS: 2,
  /** Parts of a block in which a sampled recording counts those of call paths. */
  SAMPLED_PARTS: 1024,
  /** Records of the timeline, and of the resident set beside it. */
  TIMELINE: 1024,
  /** Accounts of the resident set that are kept. */
  ACCOUNTS: 128,
  /** What an account does not know. */
  UNKNOWN: -1,
  /** Call paths that map memory themselves, by kind. */
  MAPPED: 4096,
  /** Kind of a mapping: anonymous memory, or what was won by moving the break. */
  MAPPED_MEMORY: 0,
  /** The same: of a file. */
  MAPPED_FILE: 1,
  /** The same: shared memory. */
  MAPPED_SHARED: 2,
  /** The same: addresses alone, which may not be touched yet. */
  MAPPED_RESERVED: 3,
  /** Why an allocator that is linked in is not counted, among the library's own reasons: its names were stripped. */
  LINKED_NAMELESS: 5,
  /** The same: it ran already. */
  LINKED_RUNS: 7,
  /** Attached: recording began in a process that ran already. */
  ATTACHED_NOW: 1,
  /** Attached: it has ended, and the process went on. */
  ATTACHED_AND_LEFT: 2,
  /** How many kinds there are. */
  MAPPED_KINDS: 4,
} as const;

/** Bits of `rejected`: variables whose value could not be read. */
export const VARIABLES = [
  "HEAPTAP_BUCKETS",
  "HEAPTAP_DEPTH",
  "HEAPTAP_MODE",
  "HEAPTAP_PEAK",
  "HEAPTAP_SIZES",
  "HEAPTAP_FOLLOW",
  "HEAPTAP_COMMAND",
  "HEAPTAP_ONLY",
  "HEAPTAP_PAUSED",
  "HEAPTAP_SAMPLE",
  "HEAPTAP_LIFETIMES",
] as const;

/** The record layouts; `section` stands once per section inside the header. */
export const RECORDS = {
  section: {
    offset: { type: "u64", writer: "start", doc: "Where the section starts, in bytes from the start of the file" },
    capacity: { type: "u32", writer: "start", doc: "Records that fit" },
    record_size: { type: "u32", writer: "start", doc: "Bytes of one record" },
  },
  header: {
    magic: {
      type: "u8",
      count: 8,
      writer: "start",
      doc: "`heaptap` and a zero byte; stored last, a file without it is not a recording yet",
    },
    version: { type: "u32", writer: "start", doc: "Version of the format" },
    byte_order: { type: "u32", writer: "start", doc: "0x01020304" },
    header_size: { type: "u32", writer: "start", doc: "Bytes of this header" },
    section_count: { type: "u32", writer: "start", doc: "Sections described below" },
    file_size: { type: "u64", writer: "start", doc: "Apparent size of the file" },
    start_time: { type: "u64", writer: "start", doc: "Nanoseconds since 1970 at which recording began" },
    unused: {
      type: "u64",
      writer: "start",
      doc: "0; in versions 2 and 3 the highest resident set that the kernel gave when recording began",
    },
    pid: { type: "u32", writer: "start", doc: "Process" },
    parent_pid: { type: "u32", writer: "start", doc: "Its parent when recording began" },
    machine: { type: "u32", writer: "start", doc: "ELF machine number (62 is x86-64)" },
    mode: { type: "u32", writer: "start", doc: "0 counters, 1 call paths, 2 totals" },
    buckets: { type: "u32", writer: "start", doc: "Call paths that fit, `HEAPTAP_BUCKETS`" },
    depth: { type: "u32", writer: "start", doc: "Frames kept of a stack, `HEAPTAP_DEPTH`" },
    rejected: {
      type: "u32",
      writer: "start",
      doc: "Bit per environment variable whose value could not be read; the default held",
    },
    peak_batch: {
      type: "u32",
      writer: "start",
      doc:
        "Bytes by which one thread's view of `current` may lag; the peak is exact to this times the threads, and exact outright while only one thread ever allocated",
    },
    command: { type: "u32", writer: "start", doc: "Command line: where in the strings section" },
    command_length: { type: "u32", writer: "start", doc: "Its bytes; arguments are separated by zero bytes" },
    executable: { type: "u32", writer: "start", doc: "Path of the program: where in the strings section" },
    executable_length: { type: "u32", writer: "start", doc: "Its bytes" },
    allocator: {
      type: "u32",
      writer: "start",
      doc: "Path of the object whose malloc is underneath: where in the strings section",
    },
    allocator_length: { type: "u32", writer: "start", doc: "Its bytes" },
    sizes: {
      type: "u32",
      writer: "start",
      doc: "What the section `sizes` holds: 0 nothing, 1 requests by size, 2 slack too",
    },
    forked: {
      type: "u32",
      writer: "start",
      doc:
        "1 in a fork's child: its frees of blocks that were never seen are of blocks from before the fork, unless its parent had such too",
    },
    interval: {
      type: "u64",
      writer: "start",
      doc:
        "Mean bytes between two blocks that are recorded, `HEAPTAP_SAMPLE`; 0 when all are. A block of s bytes is one with the probability p = 1 - exp(-(s + 1) / interval), and stands in path records for 1 / p blocks and s / p bytes: blocks are counted in 1024ths there (allocations, frees, temporary, reallocations, moved, peak_count), `carried` is something else, and what is live at any time, `current` and `peak` too, is an estimate. Thread records count every allocation and every free",
    },
    shadow: {
      type: "u64",
      writer: "start",
      doc:
        "Address in the process of the table by which its live blocks are known, 0 when there is none: see `How it reads`",
    },
    strings_used: { type: "u32", line: true, writer: "any thread", doc: "Bytes taken of the strings section" },
    modules_used: { type: "u32", writer: "any thread", doc: "Modules taken, the first (unknown code) included" },
    threads_used: { type: "u32", writer: "any thread", doc: "Thread records taken, the shared one included" },
    nodes_used: { type: "u32", writer: "any thread", doc: "Nodes taken, those below the first real one included" },
    buckets_used: { type: "u32", writer: "any thread", doc: "Call paths numbered so far" },
    pages_used: { type: "u32", writer: "any thread", doc: "Pages of path records taken" },
    timeline_used: { type: "u32", writer: "any thread", doc: "Samples in the timeline" },
    timeline_thinned: {
      type: "u32",
      writer: "any thread",
      doc: "How often the timeline was full, and the samples that said least were dropped",
    },
    untracked: {
      type: "u64",
      writer: "any thread",
      doc:
        "Calls of the allocation functions that were passed through uncounted (signal handlers inside a hook, before the recording began)",
    },
    no_space: {
      type: "u32",
      writer: "any thread",
      doc: "Nonzero when the file system had no room for more of the file",
    },
    multi: { type: "u32", writer: "any thread", doc: "Nonzero once a second thread allocated" },
    abandoned: {
      type: "u64",
      writer: "any thread",
      doc:
        "Calls that never came to their end: a signal handler left them by longjmp, or ended the thread. Figures may be off by a block each",
    },
    lost_children: {
      type: "u32",
      writer: "any thread",
      doc: "Forks by a signal handler inside a hook: such a child is not recorded",
    },
    past_libraries: {
      type: "u32",
      writer: "any thread",
      doc:
        "Libraries opened past the hooks: dlmopen; RTLD_DEEPBIND where the allocator underneath is not the C library's. What they allocate is not seen",
    },
    current: {
      type: "i64",
      line: true,
      writer: "any thread",
      doc: "Sum of what the threads have flushed; the exact current is the sum over the thread records",
    },
    mappings: {
      type: "u64",
      writer: "start",
      doc:
        "Address in the process of what the library knows of memory that the program has mapped itself, 0 when it does not follow that: see `How it reads`",
    },
    mapped_current: { type: "i64", writer: "any thread", doc: "Bytes of memory that the program has mapped itself" },
    mapped_peak: { type: "i64", writer: "any thread", doc: "Highest such" },
    mapped_peak_number: { type: "u32", writer: "any thread", doc: "Number of that peak; see `peak_seen` of `mapped`" },
    mapped_used: { type: "u32", writer: "any thread", doc: "Records in `mapped`" },
    lifetimes: { type: "u32", writer: "start", doc: "1 when the section `lifetimes` is kept" },
    finished: {
      type: "u64",
      writer: "any thread",
      doc: "Nanoseconds since recording began at which the process called its destructors, 0 when it did not",
    },
    peak: {
      type: "i64",
      line: true,
      writer: "any thread",
      doc: "Highest current seen; the sum over the thread records is a newer peak when it is above this",
    },
    peak_number: { type: "u32", writer: "any thread", doc: "Number of the peak; see `peak_seen` of a path record" },
    resident_used: { type: "u32", writer: "driver", doc: "Readings of the resident set" },
    accounts_used: { type: "u32", writer: "driver", doc: "Accounts of it" },
    highest_resident: {
      type: "u64",
      writer: "driver",
      doc: "Highest resident set that the kernel told, bytes; 0 when nobody looked",
    },
    folded: {
      type: "u32",
      writer: "any thread",
      doc: "1 when what is live has moved since the last sample of the timeline, in the moment that it stands for",
    },
    folded_level: {
      type: "i64",
      writer: "any thread",
      doc: "Current bytes after the last such move: they hold in place of the sample's",
    },
    folded_highest: { type: "i64", writer: "any thread", doc: "The highest in that moment; 0 for none" },
    ended: { type: "u32", line: true, writer: "driver", doc: "1 when the driver saw the program end" },
    exit_code: { type: "u32", writer: "driver", doc: "Its exit status" },
    exit_signal: { type: "u32", writer: "driver", doc: "The signal that ended it, 0 for none" },
    paused: {
      type: "u32",
      writer: "any thread",
      doc:
        "1 while what is allocated is not counted. Who sets it from outside is heard at the next look, which a thread takes every 1,024 allocations",
    },
    wall_time: { type: "u64", writer: "driver", doc: "Nanoseconds from start to end" },
    image: {
      type: "u64",
      writer: "start",
      doc: "Monotonic clock when recording began, nanoseconds; timeline samples count from here",
    },
    run: {
      type: "u64",
      writer: "start",
      doc: "Number of the run, `HEAPTAP_RUN`: the same in all its processes; 0 when nobody gave one",
    },
    unfollowed: {
      type: "u64",
      writer: "any thread",
      doc:
        "The last program that this process started, or became, that the library does not get into; 0 for none. Bits 0..31: its path, where in the strings section; 32..55: the path's bytes; 56..62: why (1 statically linked, 2 for another machine, 3 setuid or setgid, 4 file capabilities, 5 no room for what its environment lacked); 63: this process became it",
    },
    unfollowed_count: { type: "u32", writer: "any thread", doc: "How many such there were" },
    attached: {
      type: "u32",
      writer: "any thread",
      doc:
        "1 when recording began in a process that ran already, 2 when it ended there and the process went on, after `wall_time`: blocks from before are unknown; 0 else",
    },
    linked: {
      type: "u32",
      writer: "any thread",
      doc:
        "Allocators that are linked into the program or a library, where in the strings section: a line for each, of fields separated by tabs: its name, what its functions' names begin with, how many of them lead to hooks, why none do (0 they do, 1 a function's first instructions, 2 no memory near the object, 3 its pages may not be written, 4 too many at once, 5 its names were stripped, 6 the compiler has made copies of a function, 7 it ran already when heaptap attached), that function, the object's path",
    },
    linked_length: { type: "u32", writer: "any thread", doc: "Bytes of that; 0 while it changes" },
    pauses: { type: "u32", writer: "any thread", doc: "How often counting was paused" },
    pid_namespace: {
      type: "u32",
      writer: "start",
      doc:
        "The namespace of process numbers that `pid` is of, by its number in /proc/self/ns/pid; 0 where that is not known",
    },
    in_use_before: {
      type: "u64",
      writer: "start",
      doc:
        "Bytes that the allocator said were in use when it was attached to; 0 when it does not tell, or was not attached to",
    },
  },
  strings: {
    byte: {
      type: "u8",
      writer: "any thread",
      doc: "Text, UTF-8 as the system had it; others refer to it by offset and length",
    },
  },
  modules: {
    base: {
      type: "u64",
      writer: "any thread",
      doc: "Load bias: address in memory less address in the ELF file, where it was last seen",
    },
    text_start: { type: "u64", writer: "any thread", doc: "First executable segment: address in the ELF file" },
    text_size: { type: "u64", writer: "any thread", doc: "Its bytes" },
    text_offset: { type: "u64", writer: "any thread", doc: "Its offset in the file" },
    path: { type: "u32", writer: "any thread", doc: "Path: where in the strings section" },
    path_length: { type: "u32", writer: "any thread", doc: "Its bytes" },
    build_id_length: { type: "u32", writer: "any thread", doc: "Bytes of the build id, 0 when it has none" },
    ready: { type: "u32", writer: "any thread", doc: "1 when the fields above are complete" },
    build_id: { type: "u8", count: 32, writer: "any thread", doc: "The GNU build id" },
  },
  threads: {
    allocations: { type: "u64", writer: "owner", doc: "Allocations, reallocations of known blocks included" },
    bytes: { type: "u64", writer: "owner", doc: "Bytes asked for; of a reallocation its growth" },
    frees: { type: "u64", writer: "owner", doc: "Known blocks that this thread freed" },
    current: {
      type: "i64",
      writer: "owner",
      doc:
        "`bytes` less the bytes that this thread freed or gave back by reallocation; negative for a thread that frees others' blocks",
    },
    reallocations: { type: "u64", writer: "owner", doc: "Known blocks that this thread moved or resized" },
    carried: { type: "u64", writer: "owner", doc: "Bytes that reallocations kept of the old block" },
    temporary: { type: "u64", writer: "owner", doc: "Blocks freed before the same thread allocated another" },
    failed: { type: "u64", writer: "owner", doc: "Requests that the allocator refused" },
    unknown_frees: { type: "u64", line: true, writer: "owner", doc: "Frees of blocks that were never seen" },
    lost_frees: {
      type: "u64",
      writer: "owner",
      doc: "Known blocks whose end was not seen (the address came back from the allocator); counted as freed then",
    },
    freed_of_others: { type: "u64", writer: "owner", doc: "Blocks of other threads that this one freed or took over" },
    freed_of_others_bytes: { type: "u64", writer: "owner", doc: "Their bytes" },
    start_time: { type: "u64", writer: "owner", doc: "Nanoseconds since recording began at the first call" },
    tid: { type: "u32", writer: "owner", doc: "Kernel's number of the (last) thread" },
    merged: { type: "u32", writer: "owner", doc: "Threads that used this record one after the other" },
    name: {
      type: "u8",
      count: 16,
      writer: "owner",
      doc: "Name as the kernel has it, zero padded; with several threads what their names begin with, and a star",
    },
    freed_by_others: {
      type: "u64",
      line: true,
      writer: "any thread",
      doc: "Blocks of this thread that other threads freed or took over by reallocation",
    },
    freed_by_others_bytes: { type: "u64", writer: "any thread", doc: "Their bytes" },
    ended: { type: "u32", writer: "any thread", doc: "1 once the thread was seen to have ended" },
  },
  nodes: {
    key: {
      type: "u64",
      writer: "any thread",
      doc:
        "From bit 48 the module's number in 12 bits, below it the return address less the module's base (the address itself for module 0), in interrupted code the address plus 1; bit 60 is set in the kernel's frame of a signal handler, bit 61 in a frame whose caller was guessed. With bit 62 it is no frame but a note on its parent, a node of module 0: bytes that /tmp/perf-PID.map had when that was made (compilers at run time write there what their code is, and use its place again)",
    },
    parent: {
      type: "u32",
      writer: "any thread",
      doc: "The caller's node, always a smaller number; below 8 it says how the stack ends",
    },
    bucket: { type: "u32", writer: "any thread", doc: "Call path that ends here, 0 for none" },
  },
  owners: {
    thread: {
      type: "u32",
      writer: "any thread",
      doc: "Thread number plus 1 of the page's owner, 0 while the page is not in use",
    },
    first: { type: "u32", writer: "any thread", doc: "First call path of the page" },
  },
  paths: {
    allocations: { type: "u64", writer: "owner", doc: "Allocations" },
    bytes: { type: "u64", writer: "owner", doc: "Bytes asked for" },
    frees: { type: "u64", writer: "owner", doc: "Blocks of this path freed by the page's thread" },
    live_bytes: {
      type: "i64",
      writer: "owner",
      doc: "Change in live bytes by the page's thread; the sum over all pages is what is live",
    },
    peak_seen: {
      type: "u64",
      writer: "owner",
      doc: "Number of the peak under which the next two were saved; live values stand for any other number",
    },
    peak_bytes: { type: "i64", writer: "owner", doc: "Live bytes at that peak" },
    peak_count: { type: "i64", writer: "owner", doc: "Live blocks at that peak" },
    temporary: { type: "u64", writer: "owner", doc: "Temporary blocks" },
    reallocations: { type: "u64", writer: "owner", doc: "Reallocations by this path" },
    carried: {
      type: "u64",
      writer: "owner",
      doc:
        "Bytes they kept. In a sampled recording the variance of `allocations`, in 2^-20 blocks squared: bits 0..51 times two to the power of bits 52..63",
    },
    moved: {
      type: "u64",
      writer: "owner",
      doc: "Blocks of this path that a reallocation took away; live blocks are `allocations` less `frees` less `moved`",
    },
    moved_bytes: {
      type: "i64",
      writer: "owner",
      doc:
        "Bytes that went with them; freed bytes are `bytes` + `carried` - `moved_bytes` - `live_bytes`. In a sampled recording less what reallocations kept: there `carried` does not come in",
    },
  },
  timeline: {
    time: { type: "u64", writer: "any thread", doc: "Nanoseconds since recording began" },
    current: {
      type: "i64",
      writer: "any thread",
      doc:
        "Current bytes from there to the next sample, but for what moved by less than a hundredth of the peak, or 64 KiB",
    },
    allocations: { type: "u64", writer: "any thread", doc: "Allocations so far, as the sampling thread knew them" },
    highest: {
      type: "i64",
      writer: "any thread",
      doc:
        "Highest current from there to the next sample; 0 where that is `current` as far as is known. In versions 2 and 3 the highest resident set so far",
    },
  },
  sizes: {
    slack: {
      type: "u64",
      writer: "owner",
      doc: "Usable less requested bytes, summed over the path's allocations",
    },
    requests: {
      type: "u64",
      count: CONSTANTS.SIZE_CLASSES,
      writer: "owner",
      doc:
        "Allocations by what they asked for: up to 8 bytes, 9 to 16, 17 to 32 and so on; the last is whatever is above 4 GiB",
    },
  },
  resident: {
    time: { type: "u64", writer: "driver", doc: "Nanoseconds since recording began" },
    resident: { type: "u64", writer: "driver", doc: "Resident set from there on, bytes" },
    mapped: {
      type: "i64",
      writer: "driver",
      doc: "Bytes of anonymous memory that the program had mapped itself; -1 when not known",
    },
  },
  accounts: {
    time: { type: "u64", writer: "driver", doc: "Nanoseconds since recording began" },
    current: { type: "i64", writer: "driver", doc: "Current bytes then" },
    resident: {
      type: "i64",
      writer: "driver",
      doc: "Resident set: the sum of all that follows but for `trimmable` and `swapped`",
    },
    live: { type: "i64", writer: "driver", doc: "What is resident of live blocks, as requested" },
    slack: {
      type: "i64",
      writer: "driver",
      doc: "What the allocator takes for live blocks beyond that: rounding and headers",
    },
    allocator_free: {
      type: "i64",
      writer: "driver",
      doc: "Free in the allocator, pages without a live block among it",
    },
    trimmable: { type: "i64", writer: "driver", doc: "Of that whole pages" },
    mapped: { type: "i64", writer: "driver", doc: "Anonymous memory that the program has mapped itself" },
    stacks: { type: "i64", writer: "driver", doc: "Stacks of threads" },
    files: {
      type: "i64",
      writer: "driver",
      doc: "Mapped files: code and data, and what a program has of its own of them",
    },
    shared: { type: "i64", writer: "driver", doc: "Shared memory" },
    heaptap: {
      type: "i64",
      writer: "driver",
      doc: "heaptap's library, its tables and what is resident of the recording",
    },
    other: {
      type: "i64",
      writer: "driver",
      doc: "The rest: heaps of languages that the library does not see, code made at run time",
    },
    swapped: { type: "i64", writer: "driver", doc: "Swapped out, beside the resident set" },
    untouched: { type: "i64", writer: "driver", doc: "Bytes of live blocks that are not resident" },
    before: {
      type: "i64",
      writer: "driver",
      doc: "Blocks from before the recording began, with rounding and headers; -1 when not known",
    },
  },
  mapped: {
    bucket: { type: "u32", writer: "any thread", doc: "Call path, whose stack stands in `nodes`; 0 for none" },
    kind: {
      type: "u32",
      writer: "any thread",
      doc: "0 memory, 1 a file, 2 shared memory, 3 addresses that are only reserved",
    },
    count: { type: "u64", writer: "any thread", doc: "Mappings that it made, or made usable" },
    bytes: { type: "u64", writer: "any thread", doc: "Their bytes, in whole pages" },
    live_bytes: { type: "i64", writer: "any thread", doc: "Those that are mapped still" },
    peak_bytes: {
      type: "i64",
      writer: "any thread",
      doc: "The same when most memory was mapped, where that was saved",
    },
    given_back: {
      type: "u64",
      writer: "any thread",
      doc: "Bytes that the program said it has no use for (madvise), and left mapped",
    },
    peak_seen: {
      type: "u32",
      writer: "any thread",
      doc: "Number of the peak under which that was saved; `live_bytes` stands for any other",
    },
  },
  lifetimes: {
    time: {
      type: "u64",
      writer: "owner",
      doc: "How long the path's blocks that ended had lived, together, in microseconds",
    },
    allocations: {
      type: "u64",
      writer: "owner",
      doc: "The same in allocations, reallocations among them, that the process made meanwhile",
    },
    live: {
      type: "i64",
      writer: "owner",
      doc:
        "Change by the page's thread in live blocks whose birth is known; of these the next two are sums. A reallocation takes a block with its birth to the path that it goes to",
    },
    born_time: { type: "i64", writer: "owner", doc: "Microseconds since recording began at their births, together" },
    born_allocations: {
      type: "i64",
      writer: "owner",
      doc: "Allocations of the process up to their births, they themselves included, together",
    },
    by_time: {
      type: "u64",
      count: CONSTANTS.LIFETIME_CLASSES,
      writer: "owner",
      doc:
        "Blocks that ended, by how long they had lived: less than 1 microsecond, less than 2, than 4 and so on; the last is 2^30 and more",
    },
    by_allocations: {
      type: "u64",
      count: CONSTANTS.LIFETIME_CLASSES,
      writer: "owner",
      doc: "The same blocks by allocations: none, 1, 2 to 3, 4 to 7 and so on; the last is 2^30 and more",
    },
  },
} as const satisfies Readonly<Record<string, RecordLayout>>;

/**
 * What a call of the library tells the thread that made it (`ffi/api.c`), in that thread's own
 * memory, not in the file. Doubles, so that JavaScript takes each with one load; exact up to 2^53.
 */
export const FIGURES = {
  slot: { type: "u64", writer: "owner", doc: "Number of the calling thread's record" },
  watch: { type: "u64", writer: "driver", doc: "Set before a call: 1 to have a window follow, 0 to end it" },
  allocations: { type: "f64", writer: "owner", doc: "As in a thread record" },
  bytes: { type: "f64", writer: "owner", doc: "As in a thread record" },
  frees: { type: "f64", writer: "owner", doc: "As in a thread record" },
  current: { type: "f64", writer: "owner", doc: "As in a thread record" },
  reallocations: { type: "f64", writer: "owner", doc: "As in a thread record" },
  temporary: { type: "f64", writer: "owner", doc: "As in a thread record" },
  level: { type: "f64", writer: "owner", doc: "The current that windows go by, now" },
  window: { type: "f64", writer: "owner", doc: "The highest level since the call before; `level` when none followed" },
  peak: { type: "f64", writer: "owner", doc: "The process's peak, or the thread's since it first asked" },
} as const satisfies RecordLayout;

/** The name of a record layout. */
export type RecordName = keyof typeof RECORDS;

/** Where a field stands in its record. */
export interface PlacedField extends Field {
  readonly offset: number;
  readonly size: number;
}

/** A record layout with its offsets worked out. */
export interface PlacedRecord {
  readonly size: number;
  readonly fields: Readonly<Record<string, PlacedField>>;
}

function place(layout: RecordLayout): PlacedRecord {
  const fields: Record<string, PlacedField> = {};
  let at = 0;
  let widest = 1;
  for (const [name, field] of Object.entries(layout)) {
    const unit = SCALAR_SIZE[field.type];
    const to = field.line ? 64 : unit;
    at = Math.ceil(at / to) * to;
    widest = Math.max(widest, field.line ? 64 : unit);
    const size = unit * (field.count ?? 1);
    fields[name] = { ...field, offset: at, size };
    at += size;
  }
  return { size: Math.ceil(at / widest) * widest, fields };
}

const sectionSize = place(RECORDS.section).size;

/** Where the section descriptors start: behind the header's own fields. */
export const SECTION_TABLE: number = place(RECORDS.header).size;

/** Bytes of the header with its section descriptors. */
export const HEADER_SIZE: number = SECTION_TABLE + SECTIONS.length * sectionSize;

/** How many sections a version has: the first so many. */
export function sectionCount(version: number): number {
  return version < 4 ? 8 : SECTIONS.length;
}

/** Bytes of a version's header, with the descriptors. */
export function headerSize(version: number): number {
  return SECTION_TABLE + sectionCount(version) * sectionSize;
}

/** Every record with its offsets. */
export const LAYOUT: Readonly<Record<RecordName, PlacedRecord>> = Object.fromEntries(
  Object.entries(RECORDS).map(([name, record]) => [name, place(record)]),
) as unknown as Record<RecordName, PlacedRecord>;

/** The figures with their offsets. */
export const FIGURES_LAYOUT: PlacedRecord = place(FIGURES);

/**
 * What stands behind the file that the header describes: moments that the driver kept, the heap's pages at one, and names
 * (`heaptap resolve`), each followed by this record.
 */
export const TRAILER = {
  length: { type: "u64", writer: "driver", doc: "Bytes of what stands right before" },
  magic: { type: "u8", count: 8, writer: "driver", doc: "`htnames`, `htmomnt` or `htpages`, and a zero byte" },
} as const satisfies RecordLayout;

/** What follows names. */
export const NAMES_MAGIC = "htnames\0";
/** What follows moments. */
export const MOMENT_MAGIC = "htmomnt\0";
/** What follows the heap's pages of a moment. */
export const PAGES_MAGIC = "htpages\0";

/** The trailer with its offsets. */
export const TRAILER_LAYOUT: PlacedRecord = place(TRAILER);

/** How many records a section holds, from the number of buckets. Floors keep tiny tables usable. */
export const CAPACITY: Readonly<Record<SectionName, string>> = {
  strings: "clamp(buckets * 8, 65536, 1048576)",
  modules: "clamp(buckets / 16, 256, 4096)",
  threads: "clamp(buckets / 16, 64, 2046)",
  nodes: "buckets * 8",
  owners: "pages",
  paths: "pages = max(buckets * 7 / 64, buckets / 64 + threads), of 64 records each",
  timeline: String(CONSTANTS.TIMELINE),
  sizes: "as many as `paths`, whose records they belong to, or none",
  resident: String(CONSTANTS.TIMELINE),
  accounts: String(CONSTANTS.ACCOUNTS),
  mapped: String(CONSTANTS.MAPPED),
  lifetimes: "as many as `paths`, whose records they belong to, or none",
};
