/** What came after a moment: the difference between a recording and an earlier moment of it. Of call paths see path_sums.ts. */
import { combine, combineCounters, NOTHING, UNSEEN } from "./figures.ts";
import { sumOfMargins } from "./sampling.ts";
import type { Counters, Profile, Thread, Totals } from "./profile.ts";

/** The process's figures, but for those that only call paths tell. */
export type MomentTotals = Omit<Totals, "peakCount" | "fallbackAllocations" | "overflowAllocations">;

function less(now: Counters, then: Counters = NOTHING): Counters {
  // Digits that a number does not hold may be those of the one before alone.
  return { exact: undefined, ...combineCounters(now, then, -1) };
}

/** Whether the peak came after an earlier moment. */
export function isLaterPeak(now: MomentTotals, then: MomentTotals): boolean {
  return now.peakBytes > then.peakBytes;
}

/** A profile without call paths, of what came after an earlier moment: differences, and of a later peak what it was above what was live then. */
export function allSince(
  now: Profile,
  then: { readonly totals: MomentTotals; readonly threads: readonly Thread[]; readonly seconds: number },
): Profile {
  const threads = new Map(then.threads.map((thread) => [thread.id, thread]));
  const { totals } = now;
  // As long as no more has been allocated nothing is above it: a sample may have the level of the last step, which came before it.
  const above = (level: number, allocations: number) =>
    Math.min(level - then.totals.liveBytes, allocations > then.totals.allocations ? Infinity : 0);
  // The earlier moment's time is not known, but how far the program was, and when it had last been seen to do something.
  const timeline = now.timeline.filter(({ allocations, seconds }, i) =>
    i + 1 === now.timeline.length || (allocations >= then.totals.allocations && seconds > then.seconds)
  ).map((sample) => ({
    ...sample,
    bytes: above(sample.bytes, sample.allocations),
    highest: above(sample.highest, sample.allocations),
    allocations: sample.allocations - then.totals.allocations,
  }));
  return {
    ...now,
    timeline,
    totals: {
      ...less(totals, then.totals),
      ...totals.margins && { margins: sumOfMargins(totals.margins, then.totals.margins) },
      peakBytes: isLaterPeak(totals, then.totals) ? totals.peakBytes - then.totals.liveBytes : 0,
      ...combine(UNSEEN, totals, then.totals, -1),
      peakCount: 0,
      fallbackAllocations: 0,
      overflowAllocations: 0,
    },
    threads: now.threads.map((thread) => ({ ...thread, ...less(thread, threads.get(thread.id)) })).filter((thread) =>
      thread.allocations !== 0 || thread.frees !== 0 || thread.liveBytes !== 0
    ),
  };
}
