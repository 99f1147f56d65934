/** The timeline: what was live when, a row of steps, and the resident set beside it. */
import type { Snapshot, Table } from "../file/reader.ts";
import type { Sample } from "./profile.ts";

/** What a timeline ends with, and what it has to show. */
interface Ending {
  /** Whether the process still runs. */
  readonly running: boolean;
  /** Seconds that it ran, where that is known. */
  readonly seconds: number | undefined;
  /** Live bytes at the end, or now. */
  readonly liveBytes: number;
  /** Highest live bytes. */
  readonly peakBytes: number;
  /** Allocations. */
  readonly allocations: number;
}

type Step = Omit<Sample, "resident" | "mapped">;

/** Samples in the order of their times: a reader may have come while the ring was thinned. */
function inOrder<T extends { readonly seconds: number }>(samples: readonly T[]): T[] {
  let latest = -1;
  return samples.filter(({ seconds }) => seconds >= latest && (latest = seconds) >= 0);
}

function stepsOf(snapshot: Snapshot): Step[] {
  const t = snapshot.sections.timeline;
  // Versions 2 and 3 have something else in the place of the highest level.
  const h = (field: string) => snapshot.header.number(0, field);
  const hasHighest = h("version") >= 4;
  const folded = hasHighest && h("folded") === 1 ? t.length - 1 : -1;
  return inOrder(Array.from({ length: t.length }, (_, i) => {
    // What moved in the moment of the last sample goes into it when the next is made.
    if (i === folded) {
      const bytes = h("folded_level");
      const highest = Math.max(bytes, t.number(i, "current"), t.number(i, "highest"), h("folded_highest"));
      return { seconds: t.number(i, "time") / 1e9, bytes, highest, allocations: t.number(i, "allocations") };
    }
    const bytes = t.number(i, "current");
    return {
      seconds: t.number(i, "time") / 1e9,
      bytes,
      highest: hasHighest ? Math.max(bytes, t.number(i, "highest")) : bytes,
      allocations: t.number(i, "allocations"),
    };
  }));
}

/** Seconds at which the process did something. */
export function sampleTimes(snapshot: Snapshot): number[] {
  return stepsOf(snapshot).map(({ seconds }) => seconds);
}

interface Reading {
  readonly seconds: number;
  readonly resident: number | undefined;
  readonly mapped: number | undefined;
}

function readingsOf(t: Table): Reading[] {
  return inOrder(Array.from({ length: t.length }, (_, i) => {
    const mapped = t.number(i, "mapped");
    return {
      seconds: t.number(i, "time") / 1e9,
      resident: t.number(i, "resident") || undefined,
      mapped: mapped < 0 ? undefined : mapped,
    };
  }));
}

/** Seconds since the recording of a process that runs began. */
export function secondsSoFar(snapshot: Snapshot): number {
  return Math.max(0, Date.now() / 1000 - snapshot.header.number(0, "start_time") / 1e9);
}

/** The first and the last moment belong to it, and the highest, which may lie between two samples. */
function complete(steps: Step[], snapshot: Snapshot, { running, seconds, liveBytes, peakBytes, allocations }: Ending) {
  if ((steps[0]?.seconds ?? 1) > 0) steps.unshift({ seconds: 0, bytes: 0, highest: 0, allocations: 0 });
  const last = steps[steps.length - 1] as Step;
  const end = Math.max(last.seconds, running ? secondsSoFar(snapshot) : seconds ?? 0);
  const highest = steps.reduce((most, step) => Math.max(most, step.highest), liveBytes);
  // What is higher than all that samples say of the time up to the next one came after the last.
  if (peakBytes > highest) steps[steps.length - 1] = { ...last, highest: peakBytes };
  steps.push({ seconds: end, bytes: liveBytes, highest: liveBytes, allocations });
}

/** Reads the timeline of a recording: samples of what is live, and, where somebody looked at it, of the resident set. */
export function readTimeline(snapshot: Snapshot, ending: Ending): Sample[] {
  const steps = stepsOf(snapshot);
  complete(steps, snapshot, ending);
  const readings = readingsOf(snapshot.sections.resident);
  const samples: Sample[] = [];
  let [step, reading]: [Step | undefined, Reading | undefined] = [undefined, undefined];
  const put = (seconds: number, highest: number | undefined) =>
    step && samples.push({
      ...step,
      ...{ seconds, highest: highest ?? step.bytes, resident: reading?.resident, mapped: reading?.mapped },
    });
  let next = 0;
  for (const now of steps) {
    for (let r; (r = readings[next]) && r.seconds <= now.seconds; next++) {
      reading = r;
      if (r.seconds < now.seconds) put(r.seconds, undefined);
    }
    step = now;
    put(now.seconds, now.highest);
  }
  // Nobody sees how a process ends: what was read last need not hold any more.
  const last = samples.at(-1);
  if (last && !ending.running && samples.length > 1) {
    samples[samples.length - 1] = { ...last, resident: undefined, mapped: undefined };
  }
  return samples;
}
