/** What came after a moment: the difference between a profile and an earlier moment of its recording. */
import { combine, combineCounters, NOTHING, UNSEEN } from "./figures.ts";
import { sumOfMargins } from "./sampling.ts";
import type { CallPath, Counters, Profile, Sizes } from "./profile.ts";
import type { Moment } from "./read.ts";

function less(now: Counters, then: Counters = NOTHING): Counters {
  return combineCounters(now, then, -1);
}

function lessSizes(now: Sizes, then: Sizes | undefined): Sizes {
  return {
    requests: now.requests.map((n, i) => n - (then?.requests[i] ?? 0)),
    slack: now.slack === undefined ? undefined : now.slack - (then?.slack ?? 0),
  };
}

function changed(figures: Counters): boolean {
  return figures.allocations !== 0 || figures.frees !== 0 || figures.liveBytes !== 0;
}

/**
 * What a recording says of the time between an earlier moment and a profile of it. Counts and bytes are
 * differences; what is live may be negative, where more of a path was freed than allocated. The peak is the
 * process's: of a path, what it had live at the peak above what it had live at the earlier moment when the
 * peak is a later one, else 0.
 */
export function profileSince(now: Profile, then: Moment): Profile {
  const threads = new Map(then.threads.map((thread) => [thread.id, thread]));
  const newPeak = now.totals.peakBytes > then.totals.peakBytes;
  const difference = (path: CallPath): CallPath => {
    const before = then.paths.figures(path.id);
    return {
      ...path,
      ...less(path, before),
      threads: undefined,
      ...path.sizes && { sizes: lessSizes(path.sizes, then.paths.sizes(path.id)) },
      peakBytes: newPeak ? path.peakBytes - before.liveBytes : 0,
      peakCount: newPeak ? path.peakCount - before.liveCount : 0,
    };
  };
  const { totals } = now;
  const callPaths = now.callPaths.map(difference).filter(changed).sort((a, b) => b.bytes - a.bytes || a.id - b.id);
  const ending = (end: string) => callPaths.reduce((n, path) => path.end === end ? n + path.allocations : n, 0);
  // The earlier moment's time is not known, but how far the program was.
  const timeline = now.timeline.filter((sample) => sample.allocations >= then.totals.allocations).map((sample) => ({
    ...sample,
    bytes: sample.bytes - then.totals.liveBytes,
    allocations: sample.allocations - then.totals.allocations,
  }));
  return {
    ...now,
    timeline,
    totals: {
      ...less(totals, then.totals),
      ...totals.margins && { margins: sumOfMargins(totals.margins, then.totals.margins) },
      peakBytes: newPeak ? totals.peakBytes - then.totals.liveBytes : 0,
      ...combine(UNSEEN, totals, then.totals, -1),
      fallbackAllocations: ending("full"),
      overflowAllocations: ending("none"),
    },
    threads: now.threads.map((thread) => ({ ...thread, ...less(thread, threads.get(thread.id)) })).filter(changed),
    callPaths,
  };
}
