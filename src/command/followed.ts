/** Which recording is looked at: the first, and what it goes over to when its process becomes another program, waits for another, or ends. */
import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { readSnapshot } from "../file/reader.ts";
import type { Look } from "../profile/looks.ts";
import { processesBeside } from "../profile/processes.ts";
import { readOutline } from "../profile/read.ts";
import { Recording } from "../profile/recording.ts";
import { recordingsOfProcess } from "./memory.ts";

/** What is looked at. */
export interface Followed {
  /** The recordings to choose from, as they are now. */
  readonly recordings: () => readonly Recording[];
  /** Of a program that was started for it: what it recorded, when it has ended, if anything. */
  readonly ended?: Promise<Recording | undefined> | undefined;
}

/** The same in a terminal. */
export interface Subject extends Followed {
  /** Ctrl-C, when it is not for the view. */
  readonly interrupt?: (() => void) | undefined;
  /** Where lines go. */
  readonly lines: NodeJS.WriteStream;
}

/** Looks at which a process did nothing, after which another of its run is looked at. */
const IDLE = 2;

/** The process of a recording's run that allocated most, of those that run beside it. */
function busiest(beside: Recording): Recording | undefined {
  const all = withOthers([beside]).filter((other) => other !== beside);
  const figures = new Map(all.map((other) => [other, readOutline(other.path).allocations]));
  return all.sort((a, b) => (figures.get(b) ?? 0) - (figures.get(a) ?? 0))[0];
}

/**
 * Looks at a recording, the first that there is where none is named, and, where its process goes on with another program, at that one's. Of a
 * program that was started for it there is a last look when it has ended, at whichever process its report is of.
 */
export async function* followed(
  { recordings, ended }: Followed,
  interval: number,
  signal: AbortSignal = new AbortController().signal,
  from?: Recording,
): AsyncGenerator<readonly [Recording, Look]> {
  const over = new AbortController();
  ended?.then(() => over.abort(), () => over.abort());
  const either = AbortSignal.any([signal, over.signal]);
  let recording = from ?? recordings()[0];
  while (!recording && ended && !either.aborted) {
    await setTimeout(20, undefined, { signal: either }).catch(() => {});
    recording = recordings()[0];
  }
  while (recording && !either.aborted) {
    const now: Recording = recording;
    let idle = 0;
    let busy: Recording | undefined;
    for await (const look of now.watch({ interval, signal: either })) {
      yield [now, look];
      idle = look.interval > 0 && look.changed.length === 0 ? idle + 1 : 0;
      // What a program was started for may be done by another that it waits for.
      if (ended && !from && idle >= IDLE) busy = busiest(now);
      if (busy) break;
    }
    recording = busy ??
      recordings().find((other) => other.path !== now.path && (ended && !from || pidOf(other) === pidOf(now)));
  }
  const last = signal.aborted ? undefined : await ended;
  if (last) { for await (const look of last.watch()) yield [last, look]; }
}

/** The recordings that a process writes, or those of a name; none while they do not. */
export function recordingsNow(named: string): Recording[] {
  try {
    return recordingsOfProcess(named);
  } catch {
    return [];
  }
}

/** Recordings, and behind them those of other processes of the same runs, as far as they still run. */
export function withOthers(recordings: readonly Recording[]): Recording[] {
  const found = new Map(recordings.map((recording) => [pidOf(recording), recording]));
  for (const { path } of recordings) {
    // Of one that ran several programs the last.
    for (const { pid, path: other } of processesBeside(path).toSorted((a, b) => b.image - a.image)) {
      if (found.has(pid) || !existsSync(`/proc/${pid}`)) continue;
      if (readOutline(other).process.running) found.set(pid, Recording.open(other));
    }
  }
  return [...found.values()];
}

function pidOf({ path }: Recording): number {
  return readSnapshot(path, []).header.number(0, "pid");
}

/** What is looked for, as often as that costs nothing to speak of. */
export function nowAndThen<T>(look: () => T): () => T {
  let [known, due]: [T | undefined, number] = [undefined, 0];
  return () => {
    const begun = performance.now();
    if (known !== undefined && begun < due) return known;
    known = look();
    const end = performance.now();
    due = end + Math.max(OTHERS_APART, OTHERS_COST * (end - begun));
    return known;
  };
}

/** Milliseconds between two looks for other processes, and how many times what that costs. */
const OTHERS_APART = 2000, OTHERS_COST = 100;
