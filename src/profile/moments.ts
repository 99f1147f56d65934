/** A recording at an earlier moment, and what came between two: from the moments that `heaptap run` kept of it. */
import { existsSync } from "node:fs";
import { MOMENT_FIELDS, unpackMoments } from "../file/moments.ts";
import type { KeptMoment } from "../file/moments.ts";
import { isRecording } from "../file/reader.ts";
import { RecordingError } from "../file/recording_error.ts";
import { seconds } from "./format.ts";
import { knownSeconds } from "./facts.ts";
import type { CallPath, PathCounters, Profile, ShownMoment } from "./profile.ts";

const WIDTH = MOMENT_FIELDS.length, LIVE = MOMENT_FIELDS.indexOf("liveBytes");

/** How far a moment may be from what was asked for before that is an error, as a part of the run. */
const FAR = 0.1;

/** Figures of all call paths at a moment: {@linkcode MOMENT_FIELDS} side by side. */
function sumsUpTo(moments: readonly KeptMoment[], index: number): Float64Array {
  let most = 0;
  for (const { changes: { ids } } of moments.slice(0, index + 1)) most = Math.max(most, (ids.at(-1) ?? -1) + 1);
  const sums = new Float64Array(Math.min(most, 2 ** 21) * WIDTH);
  for (const { changes: { ids, values } } of moments.slice(0, index + 1)) {
    ids.forEach((id, i) => {
      for (let k = 0; k < WIDTH && id * WIDTH + k < sums.length; k++) {
        sums[id * WIDTH + k] = sums[id * WIDTH + k]! + values[i * WIDTH + k]!;
      }
    });
  }
  return sums;
}

function nearest(moments: readonly KeptMoment[], at: number): number {
  let best = 0;
  moments.forEach(({ time }, i) => {
    if (Math.abs(time / 1e9 - at) < Math.abs((moments[best]?.time ?? 0) / 1e9 - at)) best = i;
  });
  return best;
}

function figuresOf(sums: Float64Array, id: number, less?: Float64Array): PathCounters {
  const n = (k: number) => (sums[id * WIDTH + k] ?? 0) - (less?.[id * WIDTH + k] ?? 0);
  const [allocations, bytes, liveBytes, liveCount] = [n(0), n(1), n(2), n(3)];
  return {
    ...{ allocations, bytes, liveBytes, liveCount },
    ...{ frees: allocations - liveCount, freedBytes: bytes - liveBytes },
    // What a moment does not have.
    ...{ reallocations: 0, carried: 0, temporary: 0, peakBytes: 0, peakCount: 0 },
  };
}

/** A moment of a run, or two. */
export interface MomentChoice {
  /** Seconds since the recording began. */
  readonly at: number;
  /** An earlier one: then what came between. */
  readonly from?: number | undefined;
}

/**
 * A profile as it was at the kept moment that is nearest to what was asked for; with `from`, what came between two.
 *
 * @throws {RecordingError} when the recording has no moments, or the run was not that long.
 */
export function atMoment(profile: Profile, packed: Uint8Array | undefined, { at, from }: MomentChoice): Profile {
  const when = from === undefined ? `as it was after ${at} s` : `between ${from} s and ${at} s`;
  const cannot = (why: string) => new RecordingError(`Cannot show "${profile.path}" ${when}: ${why}`);
  if (from !== undefined && from >= at) throw cannot("the first moment is to be the earlier one");
  const whole = Math.max(knownSeconds(profile), profile.timeline.at(-1)?.seconds ?? 0);
  if (at > whole * (1 + FAR / 10) || at < 0 || (from ?? 0) < 0) throw cannot(`the run took ${seconds(whole)}`);
  const moments = packed ? unpackMoments(packed) : [];
  if (moments.length === 0) {
    throw cannot("it has no moments; heaptap run keeps them while it looks on, heaptap mark keeps one under a name");
  }
  const index = nearest(moments, at);
  const [now, then] = [moments[index] as KeptMoment, from === undefined ? undefined : nearest(moments, from)];
  if (then !== undefined && then >= index) {
    const kept = moments.map(({ time }) => time / 1e9);
    throw cannot(
      `no two moments were kept there; there are ${kept.length}, from ${seconds(kept[0] ?? 0)} to ${
        seconds(kept.at(-1) ?? 0)
      }`,
    );
  }
  const sums = sumsUpTo(moments, index);
  const less = then === undefined ? undefined : sumsUpTo(moments, then);
  const callPaths = profile.callPaths.map((path): CallPath => ({
    ...path,
    ...figuresOf(sums, path.id, less),
    ...{ exact: undefined, sizes: undefined, lifetimes: undefined, threads: undefined },
  })).filter((path) => path.allocations !== 0 || path.liveBytes !== 0 || path.frees !== 0);
  callPaths.sort((a, b) => b.bytes - a.bytes || a.id - b.id);
  const sum = (of: (path: CallPath) => number) => callPaths.reduce((n, path) => n + of(path), 0);
  const begun = then === undefined ? undefined : moments[then];
  const moment: ShownMoment = {
    seconds: now.time / 1e9,
    from: begun && begun.time / 1e9,
    resident: now.resident,
    moments: moments.length,
  };
  return {
    ...profile,
    moment,
    callPaths,
    threads: [],
    totals: {
      ...profile.totals,
      exact: undefined,
      allocations: sum((p) => p.allocations),
      bytes: sum((p) => p.bytes),
      frees: sum((p) => p.frees),
      freedBytes: sum((p) => p.freedBytes),
      liveBytes: sum((p) => p.liveBytes),
      liveCount: sum((p) => p.liveCount),
      ...{ reallocations: 0, carried: 0, temporary: 0, peakBytes: 0, peakCount: 0 },
    },
  };
}

/** A recording and the moment of it that is meant: `app.heaptap@2.5s`, `app.heaptap@warm`. */
export function momentIn(named: string): { readonly path: string; readonly at?: number | string | undefined } {
  const [, path = "", time, mark] = /^(.+)@(?:(\d+(?:\.\d+)?)s|([\w.-]+))$/.exec(named) ?? [];
  if (path === "" || existsSync(named) || !isRecording(path)) return { path: named };
  return { path, at: time === undefined ? mark : Number(time) };
}

/** Seconds of the moments that a recording has. */
export function momentTimes(packed: Uint8Array | undefined): number[] {
  return packed ? unpackMoments(packed).map(({ time }) => time / 1e9) : [];
}

/** What parts of a program had live at the moments of a run. */
export interface LiveParts {
  /** When the moments were, in seconds since the recording began. */
  readonly seconds: number[];
  /** Numbers of those parts that had most at any moment, the one with most first. */
  readonly parts: number[];
  /** Live bytes of each of them at each moment. */
  readonly bytes: number[][];
  /** Those of all others. */
  readonly other: number[];
}

/**
 * What had most live over a run. Of each part only the moments at which it changed are held: there may be as many parts as call paths.
 *
 * @param partOf the part that a call path is of; undefined leaves it to the others
 * @param most how many parts are told
 */
export function liveOverTime(
  moments: readonly KeptMoment[],
  partOf: (path: number) => number | undefined,
  most: number,
): LiveParts {
  const all: number[] = [];
  const steps = new Map<number, { at: number[]; live: number[] }>();
  let sum = 0;
  moments.forEach(({ changes: { ids, values } }, moment) => {
    ids.forEach((id, i) => {
      const change = values[i * WIDTH + LIVE]!;
      sum += change;
      const part = change === 0 ? undefined : partOf(id);
      if (part === undefined) return;
      let step = steps.get(part);
      if (!step) steps.set(part, step = { at: [], live: [] });
      const live = (step.live.at(-1) ?? 0) + change;
      if (step.at.at(-1) === moment) step.live.pop();
      else step.at.push(moment);
      step.live.push(live);
    });
    all.push(sum);
  });
  const chosen = [...steps]
    .map(([part, step]) => ({ part, ...step, highest: step.live.reduce((n, live) => Math.max(n, live), 0) }))
    .filter(({ highest }) => highest > 0)
    .sort((a, b) => b.highest - a.highest || a.part - b.part)
    .slice(0, most);
  const bytes = chosen.map(({ at, live }) => {
    let next = 0;
    return moments.map((_, moment) => {
      if (at[next] === moment) next++;
      return Math.max(0, live[next - 1] ?? 0);
    });
  });
  return {
    seconds: moments.map(({ time }) => time / 1e9),
    parts: chosen.map(({ part }) => part),
    bytes,
    other: all.map((whole, moment) => Math.max(0, bytes.reduce((rest, of) => rest - of[moment]!, whole))),
  };
}
