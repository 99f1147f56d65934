/**
 * The programs that break profilers: each with what it does by itself and the figures that stand in its head comment.
 * Figures are those of the program's own calls: call paths whose innermost frame, but for the C++ library's, is the
 * program's. survive.test.ts runs them, tools/reliability.ts puts other profilers beside them.
 */
import type { Profile } from "../mod.ts";
import type { UNSEEN } from "../src/profile/figures.ts";
import { plugin, target } from "./helpers.ts";

/** Figures of a program's own calls. */
export interface OwnFigures {
  readonly allocations: number;
  readonly bytes: number;
  readonly frees: number;
}

/** A program of a family, and how it is run. */
export interface Case {
  /** What is special about it, in a few words. */
  readonly name: string;
  /** Its source in tests/targets. */
  readonly source: string;
  readonly flags?: readonly string[];
  readonly args?: (folder: string) => readonly string[];
  /** Preloaded behind heaptap: the allocator that signal handlers may call. */
  readonly bump?: true;
  /** What it prints differs from run to run. */
  readonly prints?: true;
  /** Whether it can run as a library's function in a script's process too. */
  readonly inProcess?: true;
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** What its own calls come to, in the process with most allocations. */
  readonly own?: OwnFigures;
  /** The same of the library that is its first argument. */
  readonly library?: OwnFigures;
  /** Counts that are not seen, by their names in `Profile.totals`; none when left out. */
  readonly unseen?: readonly (typeof UNSEEN)[number][];
  /** Own allocations in each recording, sorted from the largest, where there are several. */
  readonly processes?: readonly number[];
}

export interface Family {
  readonly number: number;
  readonly title: string;
  readonly cases: readonly Case[];
}

const first = (folder: string) => plugin(folder, "first_plugin", 1000);
const second = (folder: string) => plugin(folder, "second_plugin", 2000);

/** The allocator that may be interrupted, as a library. */
export function bump(folder: string): string {
  return target(folder, "bump.c", "-shared", "-fPIC");
}

const times = (n: number, value: number): number[] => new Array(n).fill(value);

/** All of them, in the order of the list that they come from. */
export const FAMILIES: readonly Family[] = [
  {
    number: 1,
    title: "symbols looked up and blocks allocated before the program starts",
    cases: [{
      name: "dlsym that allocates",
      source: "early.c",
      own: { allocations: 200, bytes: 30000, frees: 200 },
    }],
  },
  {
    number: 2,
    title: "malloc in .preinit_array and early constructors, freed later",
    cases: [{ name: "freed by main", source: "early.c", own: { allocations: 200, bytes: 30000, frees: 200 } }],
  },
  {
    number: 3,
    title: "realloc to 0, of NULL",
    cases: [{
      name: "no false leak",
      source: "reallocs.c",
      inProcess: true,
      own: { allocations: 400, bytes: 50000, frees: 300 },
    }],
  },
  {
    number: 4,
    title: "aligned allocation functions",
    cases: [{
      name: "memalign, valloc, pvalloc, aligned_alloc",
      source: "aligned.c",
      inProcess: true,
      own: { allocations: 500, bytes: 50000, frees: 500 },
    }],
  },
  {
    number: 5,
    title: "refused requests",
    cases: [{
      name: "NULL and errno",
      source: "refused.c",
      inProcess: true,
      own: { allocations: 1, bytes: 100, frees: 1 },
      unseen: ["failed"],
    }],
  },
  {
    number: 6,
    title: "malloc_usable_size, all of it written",
    cases: [{
      name: "1,000 blocks",
      source: "usable.c",
      inProcess: true,
      own: { allocations: 1000, bytes: 500500, frees: 1000 },
    }],
  },
  {
    number: 7,
    title: "C++ operators and exceptions",
    cases: [{
      name: "aligned, sized, nothrow",
      source: "operators.cc",
      inProcess: true,
      own: { allocations: 600, bytes: 100 * (400 + 256) + 100 * 144, frees: 600 },
    }],
  },
  {
    number: 8,
    title: "free_sized and free_aligned_sized",
    cases: [{
      name: "where libc has them or lacks them",
      source: "sized.c",
      inProcess: true,
      own: { allocations: 200, bytes: 20000, frees: 200 },
    }],
  },
  {
    number: 9,
    title: "destructors at a thread's end",
    cases: [{
      name: "of keys and of thread-local storage",
      source: "thread_ends.c",
      inProcess: true,
      own: { allocations: 500, bytes: 50000, frees: 500 },
    }],
  },
  {
    number: 10,
    title: "threads that outlive main",
    cases: ["detached", "main", "other"].map((how) => ({
      name: how,
      source: "last_thread.c",
      args: () => [how],
      own: { allocations: 4000, bytes: 400000, frees: 0 },
    })),
  },
  {
    number: 11,
    title: "every kind of end",
    cases: ["exit", "_exit", "_Exit", "quick_exit", "abort", "kill", "segv"].map((how) => ({
      name: how,
      source: "ends.c",
      args: () => [how],
      own: { allocations: 1000, bytes: 100000, frees: 0 },
    })),
  },
  {
    number: 12,
    title: "all descriptors closed",
    cases: [{
      name: "from 0 up",
      source: "fds.c",
      own: { allocations: 30, bytes: 3000, frees: 0 },
      processes: [30, 5],
    }],
  },
  {
    number: 13,
    title: "fork of a threaded program",
    cases: [
      {
        name: "children, theirs, exec",
        source: "fork_tree.c",
        processes: [...times(20, 10), ...times(20, 5), ...times(20, 3)],
      },
      { name: "300 forks", source: "forks.c", processes: times(300, 10) },
    ],
  },
  {
    number: 14,
    title: "vfork, posix_spawn, clone(CLONE_VM)",
    cases: [{
      name: "children in this memory and programs",
      source: "spawns.c",
      own: { allocations: 17, bytes: 1700, frees: 0 },
      processes: [17, 3, 3, 3],
    }],
  },
  {
    number: 15,
    title: "processes that start others",
    cases: [{
      name: "fork and posix_spawn",
      source: "starts.c",
      prints: true,
      args: () => ["late"],
      processes: [10, 5, 3],
    }],
  },
  {
    number: 17,
    title: "libraries loaded and unloaded",
    cases: [{
      name: "another at the same address",
      source: "plugins.c",
      flags: ["-ldl"],
      args: (folder) => [first(folder), second(folder)],
    }],
  },
  {
    number: 18,
    title: "RTLD_DEEPBIND and dlmopen",
    cases: ([["deep", "RTLD_DEEPBIND", 10, 100], ["own", "dlmopen", 10, 0], [
      "handle",
      "dlsym in the C library",
      110,
      0,
    ]] as const)
      .map(([how, name, mine, theirs]) => ({
        name,
        source: "namespaces.c",
        flags: ["-ldl"],
        args: (folder: string) => [first(folder), how],
        own: { allocations: mine, bytes: 1000 + (mine - 10) * 1000, frees: mine },
        library: { allocations: theirs, bytes: 1000 * theirs, frees: theirs },
        unseen: how === "own" ? ["pastLibraries"] : [],
      })),
  },
  {
    number: 19,
    title: "signal handlers that allocate",
    cases: [{
      name: "a storm of SIGPROF, an alternate stack, the smallest thread stack",
      source: "storm.c",
      bump: true,
      prints: true,
      unseen: ["untracked"],
    }, {
      name: "the first allocation on 8 KB, a library's first on 4 KB",
      source: "narrow.c",
      own: { allocations: 102, bytes: 10200, frees: 102 },
    }, {
      name: "SIGTRAP while call paths are made",
      source: "held.c",
      args: () => ["5"],
      own: { allocations: 1200000, bytes: 48000000, frees: 1200000 },
      unseen: ["failed", "untracked"],
    }, {
      name: "SIGUSR1 there, where the kernel blocks no signals",
      source: "held.c",
      args: () => ["10", "refused"],
      unseen: ["failed", "untracked", "unknownFrees", "lostFrees"],
    }],
  },
  {
    number: 20,
    title: "stacks that jump",
    cases: [
      {
        name: "a handler leaves hooks by siglongjmp",
        source: "jumps.c",
        args: () => ["3000"],
        bump: true,
        unseen: ["abandoned", "untracked", "unknownFrees"],
      },
      {
        name: "a handler forks inside hooks",
        source: "handler_forks.c",
        args: () => ["300"],
        bump: true,
        unseen: ["lostChildren", "untracked", "unknownFrees"],
      },
      ...["_Fork", "fork", "clone"].map((how) => ({
        name: `handlers of several threads fork, by ${how === "_Fork" ? how : `the system call ${how}`}`,
        source: "thread_forks.c",
        args: () => [how],
        bump: true as const,
        unseen: ["lostChildren", "untracked", "unknownFrees", "lostFrees"] as const,
      })),
      {
        name: "coroutines",
        source: "coroutines.c",
        inProcess: true,
        own: { allocations: 1000, bytes: 100000, frees: 1000 },
      },
      {
        name: "recursion past the depth",
        source: "recursion.c",
        inProcess: true,
        own: { allocations: 50000, bytes: 500000, frees: 50000 },
      },
    ],
  },
  {
    number: 21,
    title: "code without unwind tables",
    cases: [
      { name: "made at run time", source: "jit.c", inProcess: true },
      {
        name: "assembly that uses rbp",
        source: "norules.c",
        inProcess: true,
        own: { allocations: 4, bytes: 400, frees: 0 },
      },
      {
        name: "no tables, no frame pointers, no symbols",
        source: "counts.c",
        flags: ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fomit-frame-pointer", "-s", "-O2"],
        own: { allocations: 1111, bytes: 121000, frees: 1090 },
      },
    ],
  },
  {
    number: 23,
    title: "threads that share blocks, thousands of threads",
    cases: [
      {
        name: "full speed",
        source: "pingpong.c",
        inProcess: true,
        own: { allocations: 230257, bytes: 14132388, frees: 210257 },
      },
      {
        name: "frees by others",
        source: "threads.c",
        inProcess: true,
        own: { allocations: 20000, bytes: 1280000, frees: 20000 },
      },
    ],
  },
  {
    number: 24,
    title: "seccomp",
    cases: [
      ...["filter", "syscall", "call", "strict"].map((how) => ({
        name: how,
        source: "confined.c",
        args: () => [how],
        own: { allocations: 2000, bytes: 300000, frees: 500 },
      })),
      {
        name: "threads and vfork children that confine themselves alone",
        source: "deaf.c",
        unseen: ["untracked", "unknownFrees", "lostFrees"],
      },
    ],
  },
  {
    number: 25,
    title: "programs with signals and an allocator of their own tuning",
    cases: [{
      name: "SIGUSR1, SIGUSR2, mallopt, malloc_trim",
      source: "owns.c",
      inProcess: true,
      own: { allocations: 1000, bytes: 1000000, frees: 1000 },
    }],
  },
  {
    number: 26,
    title: "a full table",
    cases: [{
      name: "64 buckets, a million call paths",
      source: "manypaths.c",
      args: () => ["20"],
      env: { HEAPTAP_BUCKETS: "64" },
    }],
  },
];

/** The figures of the program's own calls. */
export function ownFigures(profile: Profile, program: string): OwnFigures {
  const library = new Set(profile.modules.flatMap(({ path }, i) => /\/libstdc\+\+/.test(path) ? [i] : []));
  const figures = { allocations: 0, bytes: 0, frees: 0 };
  for (const path of profile.callPaths) {
    const frame = path.stack.find(({ module }) => !library.has(module));
    if (!frame || profile.modules[frame.module]?.path !== program) continue;
    figures.allocations += path.allocations;
    figures.bytes += path.bytes;
    figures.frees += path.frees;
  }
  return figures;
}
