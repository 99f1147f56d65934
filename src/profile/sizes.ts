/** Sizes of requests: of call paths together, and what their classes are called. */
import type { CallPath, Sizes } from "./profile.ts";

/** What call paths have together. */
export function totalSizes(paths: Iterable<CallPath>): Sizes {
  const requests: number[] = [];
  let slack: number | undefined = 0;
  for (const { sizes } of paths) {
    if (!sizes) continue;
    sizes.requests.forEach((n, i) => requests[i] = (requests[i] ?? 0) + n);
    slack = slack === undefined || sizes.slack === undefined ? undefined : slack + sizes.slack;
  }
  return { requests, slack };
}

/** What two have together; undefined when one was not recorded. */
export function combineSizes(a: Sizes | undefined, b: Sizes | undefined): Sizes | undefined {
  if (!a || !b) return undefined;
  return {
    requests: a.requests.map((n, i) => n + (b.requests[i] ?? 0)),
    slack: a.slack === undefined || b.slack === undefined ? undefined : a.slack + b.slack,
  };
}

/** The largest size of a class, in bytes; the last class, which is what is larger than all others, has none. */
export function largestOfClass(index: number, classes: number): number | undefined {
  return index === classes - 1 ? undefined : 2 ** (index + 3);
}

function binary(n: number): [n: number, unit: string] {
  const unit = Math.floor(Math.log2(n) / 10);
  return [n / 1024 ** unit, ["B", "KiB", "MiB", "GiB"][unit] ?? "B"];
}

/** A class in words: `9-16 B`, `1-2 KiB`. */
export function sizeClassName(index: number, classes: number): string {
  const high = largestOfClass(index, classes);
  const [low, lowUnit] = binary(2 ** (index + 2));
  if (high === undefined) return `above ${low} ${lowUnit}`;
  if (high <= 1024) return `${index === 0 ? 0 : high / 2 + 1}-${high} B`;
  const [n, unit] = binary(high);
  return lowUnit === unit ? `${low}-${n} ${unit}` : `${low} ${lowUnit}-${n} ${unit}`;
}
