/** Where the marks of a recording stand on its timeline. */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Profile, Sample } from "./profile.ts";
import { readMoment } from "./read.ts";

/** A moment of a recording that was kept under a name. */
export interface TimelineMark {
  /** The name. */
  readonly name: string;
  /** Seconds since the start of the recording, as well as the samples beside it tell. */
  readonly seconds: number;
}

/** The file of a recording's mark. */
export function markPath(recording: string, name: string): string {
  return `${recording.replace(/\.heaptap(\.gz|\.zst)?$/, "")}.${name}.mark`;
}

/** When a program had made so many allocations. A mark has no clock, but knows how far the program was. */
function secondsAt(allocations: number, timeline: readonly Sample[]): number {
  const next = timeline.findIndex((sample) => sample.allocations >= allocations);
  const [before, after] = [timeline[next - 1], timeline[next]];
  if (!after) return timeline.at(-1)?.seconds ?? 0;
  if (!before) return after.seconds;
  // Back from the later one, so that a mark at a sample, or at the end, is of its very time.
  const part = (after.allocations - allocations) / Math.max(1, after.allocations - before.allocations);
  return after.seconds - part * (after.seconds - before.seconds);
}

/** The marks that lie beside a recording, the earliest first. What is no moment of it is left out. */
export function marksBeside(path: string, { process, timeline }: Profile): TimelineMark[] {
  const [beginning = "", ending = ""] = basename(markPath(path, "\0")).split("\0");
  const marks: TimelineMark[] = [];
  for (const file of readdirSync(dirname(path))) {
    if (!file.startsWith(beginning) || !file.endsWith(ending)) continue;
    const name = file.slice(beginning.length, -ending.length);
    if (!/^[\w.-]+$/.test(name)) continue;
    try {
      const then = readMoment(join(dirname(path), file));
      if (then.pid !== process.pid || then.startTime !== process.startTime) continue;
      marks.push({ name, seconds: secondsAt(then.totals.allocations, timeline) });
    } catch {
      // No recording, or one of another version: it marks nothing here.
    }
  }
  return marks.sort((a, b) => a.seconds - b.seconds);
}
