/** The figures of several processes put together. */
import { placeNumber } from "./places.ts";
import { combine, combineCounters, UNSEEN } from "./figures.ts";
import { sumOfMargins } from "./sampling.ts";
import { combineLifetimes } from "./lifetimes.ts";
import { combineSizes } from "./sizes.ts";
import type { CallPath, Frame, Module, Process, Profile, Totals } from "./profile.ts";

const REST = [...UNSEEN, "peakBytes", "peakCount", "fallbackAllocations", "overflowAllocations"] as const;

function addTotals(a: Totals, b: Totals): Totals {
  const margins = sumOfMargins(a.margins, b.margins);
  return { ...combineCounters(a, b), ...combine(REST, a, b), ...margins && { margins } };
}

/** Modules of several processes under one numbering: the same file and build is the same module. */
class Modules {
  readonly all: Module[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #frames: Map<number | string, Frame>[] = [];

  number(module: Module): number {
    const key = `${module.path}\0${module.buildId}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      this.#numbers.set(key, number = this.all.push(module) - 1);
      this.#frames.push(new Map());
    }
    return number;
  }

  /** A place in a module: the same object for each process that has it. */
  frame(module: number, other: Frame): Frame {
    const frames = this.#frames[module];
    const place = placeNumber(other.address, other.way);
    const key = other.age === undefined ? place : `${place} ${other.age}`;
    let frame = frames?.get(key);
    if (!frame) frames?.set(key, frame = { ...other, module });
    return frame ?? { ...other, module };
  }
}

/** Call paths of several processes, each known by its stack. */
class Paths {
  readonly #paths = new Map<string, CallPath>();
  readonly #numbers = new Map<Frame, number>();

  add(path: CallPath, stack: readonly Frame[]): void {
    const key = `${path.end} ${path.operation ?? ""}\0${stack.map((frame) => this.#number(frame)).join(" ")}`;
    const known = this.#paths.get(key);
    this.#paths.set(key, {
      ...path,
      ...known && {
        ...combineCounters(known, path),
        ...combine(["peakBytes", "peakCount"], known, path),
      },
      sizes: known ? combineSizes(known.sizes, path.sizes) : path.sizes,
      lifetimes: known ? combineLifetimes(known.lifetimes, path.lifetimes) : path.lifetimes,
      threads: known?.threads && path.threads ? [...known.threads, ...path.threads] : path.threads,
      id: known?.id ?? this.#paths.size,
      stack,
    });
  }

  sorted(): CallPath[] {
    return [...this.#paths.values()].sort((a, b) => b.bytes - a.bytes || a.id - b.id);
  }

  #number(frame: Frame): number {
    let number = this.#numbers.get(frame);
    if (number === undefined) this.#numbers.set(frame, number = this.#numbers.size);
    return number;
  }
}

/**
 * The profiles of several processes as one: their sums. The peak is the sum of their peaks, which they may have had at
 * different times; a timeline there is none. The same place in the same build of a module is one place; code of no
 * object (JIT) is each process's own, and has no name.
 */
export function mergeProfiles(profiles: readonly [Profile, ...Profile[]]): Profile {
  const [first] = profiles;
  if (profiles.length === 1) return first;
  const modules = new Modules();
  const paths = new Paths();
  const threads: Profile["threads"][number][] = [];
  for (const profile of profiles) {
    const numbers = profile.modules.map((module) => modules.number(module));
    const renumbered = new Map(profile.threads.map((thread, i) => [thread.id, threads.length + i]));
    const own = new Map<Frame, Frame>();
    const frameOf = (frame: Frame): Frame => {
      const module = numbers[frame.module];
      let here = own.get(frame);
      if (!here) own.set(frame, here = module === undefined ? { ...frame } : modules.frame(module, frame));
      return here;
    };
    for (const path of profile.callPaths) {
      const shares = path.threads?.map((share) => ({ ...share, thread: renumbered.get(share.thread) ?? share.thread }));
      paths.add({ ...path, threads: shares }, path.stack.map(frameOf));
    }
    threads.push(...profile.threads.map((thread) => ({ ...thread, id: renumbered.get(thread.id) ?? thread.id })));
  }
  const limits = profiles.map((profile) => profile.limits);
  // No perf map is that of all processes.
  const process: Process = { ...first.process, pid: 0, running: profiles.some((p) => p.process.running) };
  return {
    ...first,
    process,
    merged: profiles.map(({ process, path, totals, timeline }) => ({ ...process, path, totals, timeline })),
    limits: {
      ...first.limits,
      peakError: limits.reduce((sum, { peakError }) => sum + peakError, 0),
      sizes: limits.every(({ sizes }) => sizes),
      lifetimes: limits.every(({ lifetimes }) => lifetimes),
      noSpace: limits.some(({ noSpace }) => noSpace),
      rejected: [...new Set(limits.flatMap(({ rejected }) => rejected))],
    },
    totals: profiles.map((profile) => profile.totals).reduce(addTotals),
    threads,
    modules: modules.all,
    callPaths: paths.sorted(),
    timeline: [],
    // Each has an address space of its own.
    ...{ memory: undefined, mappings: undefined },
    names: undefined,
  };
}
