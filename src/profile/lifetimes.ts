/** How long blocks lived: call paths' figures together, and what their classes are called. */
import { count } from "./format.ts";
import type { CallPath, Lifetimes } from "./profile.ts";

/** What two have together; undefined when one was not recorded. */
export function combineLifetimes(a: Lifetimes | undefined, b: Lifetimes | undefined): Lifetimes | undefined {
  if (!a || !b) return undefined;
  const sum = (a: readonly number[], b: readonly number[]) => a.map((n, i) => n + (b[i] ?? 0));
  return {
    byTime: sum(a.byTime, b.byTime),
    byAllocations: sum(a.byAllocations, b.byAllocations),
    seconds: a.seconds + b.seconds,
    allocations: a.allocations + b.allocations,
    live: a.live && b.live && {
      blocks: a.live.blocks + b.live.blocks,
      seconds: a.live.seconds + b.live.seconds,
      allocations: a.live.allocations + b.live.allocations,
    },
  };
}

/** What call paths have together; undefined when that was not recorded. */
export function totalLifetimes(paths: readonly CallPath[]): Lifetimes | undefined {
  return paths.length === 0 ? undefined : paths.map(({ lifetimes }) => lifetimes).reduce(combineLifetimes);
}

/** Blocks that ended. */
export function endedBlocks({ byTime }: Lifetimes): number {
  return byTime.reduce((sum, n) => sum + n, 0);
}

/** What the lifetimes of a class are less than, in microseconds or in allocations; the last class, which is what lived longer than all others, has none. */
export function endOfClass(index: number, classes: number): number | undefined {
  return index === classes - 1 ? undefined : 2 ** index;
}

/** A time span of any length with a unit, in three digits. */
export function lifetime(seconds: number): string {
  const [n, unit] = seconds < 999.5e-9
    ? [seconds * 1e9, "ns"]
    : seconds < 999.5e-6
    ? [seconds * 1e6, "\u00b5s"]
    : seconds < 0.9995
    ? [seconds * 1e3, "ms"]
    : [seconds, "s"];
  return `${n >= 1000 ? count(Math.round(n)) : String(Number(n.toPrecision(3)))} ${unit}`;
}

/** A class of times in words: `below 1 µs`, `4-8 µs`, `512 µs-1.02 ms`. */
export function timeClassName(index: number, classes: number): string {
  const end = endOfClass(index, classes);
  const low = lifetime(2 ** (index - 1) / 1e6);
  if (end === undefined) return `${low} and more`;
  const high = lifetime(end / 1e6);
  if (index === 0) return `below ${high}`;
  const [n, unit] = low.split(" ");
  return `${high.endsWith(` ${unit}`) ? n : low}-${high}`;
}

/** A class of allocations in words: `0`, `1`, `2-3`, `4-7`. */
export function allocationsClassName(index: number, classes: number): string {
  const [low, end] = [index === 0 ? 0 : 2 ** (index - 1), endOfClass(index, classes)];
  if (end === undefined) return `${count(low)} and more`;
  return low >= end - 1 ? count(low) : `${count(low)}-${count(end - 1)}`;
}
