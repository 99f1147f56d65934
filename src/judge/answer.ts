/** What a run's figures come to, in plain words: the first lines of a report. */
import { whenLive } from "../profile/facts.ts";
import { bytes, count, plural, printable } from "../profile/format.ts";
import type { PathCounters, Profile } from "../profile/profile.ts";
import { unseenBelow } from "../profile/sampling.ts";
import { withoutKept } from "../symbols/suppressions.ts";
import type { SetAside } from "../symbols/suppressions.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { culprits } from "./grouped.ts";
import type { Culprit } from "./grouped.ts";

/** A culprit is worth naming when it has as much of the whole. */
const WORTH_NAMING = 0.2;
/** What was live at the peak and still is, as good as all of it. */
const AS_GOOD_AS_ALL = 0.9;
/** Less than so much of the peak, and of 1 KB, is not worth a sentence. */
const LITTLE = 0.001;

function named({ frame }: Culprit): string {
  const place = frame && sourcePlace(frame);
  return printable(place ? `${frameName(frame)} ${place}` : frameName(frame));
}

function percent(part: number, whole: number): string {
  const share = 100 * part / whole;
  return `${share >= 99.5 && part < whole ? "over 99" : share < 1 ? share.toFixed(1) : Math.round(share)} %`;
}

function by(culprits: readonly Culprit[], figure: (figures: PathCounters) => number): Culprit[] {
  return culprits.filter(({ figures }) => figure(figures) > 0).sort((a, b) => figure(b.figures) - figure(a.figures));
}

function ofPeak(profile: Profile, all: readonly Culprit[]): { line: string; leaking: Culprit | undefined } {
  const { totals, process } = profile;
  const sorted = by(all, (f) => f.peakBytes);
  const [first, second] = sorted;
  if (!first || totals.peakBytes <= 0) return { line: "", leaking: undefined };
  const share = (culprit: Culprit) => percent(culprit.figures.peakBytes, totals.peakBytes);
  if (first.figures.peakBytes < WORTH_NAMING * totals.peakBytes) {
    const largest = sorted.slice(0, 3).map((culprit) => `${named(culprit)} (${share(culprit)})`).join(", ");
    return {
      line: `the peak of ${bytes(totals.peakBytes)} comes from many places, most from ${largest}`,
      leaking: undefined,
    };
  }
  const leaks = !whenLive(process) && first.figures.liveBytes >= AS_GOOD_AS_ALL * first.figures.peakBytes;
  const leaking = leaks ? first : undefined;
  const made = first.figures.peakBytes === totals.peakBytes
    ? `all of the peak (${bytes(totals.peakBytes)}) was made by ${named(first)}`
    : `${share(first)} of the peak (${bytes(first.figures.peakBytes)} of ${bytes(totals.peakBytes)}) was made by ${
      named(first)
    }`;
  const also = second && second.figures.peakBytes >= WORTH_NAMING * totals.peakBytes
    ? `; ${share(second)} by ${named(second)}`
    : "";
  return { line: `${made}${leaking ? ", and never freed" : ""}${also}`, leaking };
}

function ofLive(profile: Profile, all: readonly Culprit[], aside: SetAside, leaking: Culprit | undefined): string {
  const { totals, process, limits: { interval } } = profile;
  const when = whenLive(process), is = process.running ? "is" : "was";
  const rest = totals.liveBytes - aside.bytes - (leaking?.figures.liveBytes ?? 0);
  const known = aside.bytes > 0
    ? `${bytes(aside.bytes)} ${aside.blocks === 1 ? "is" : "are"} ${aside.whose}'s own`
    : "";
  const [first] = by(all.filter((culprit) => culprit !== leaking), (f) => f.liveBytes);
  const blocks = totals.liveCount - aside.blocks - (leaking?.figures.liveCount ?? 0);
  if (!first || rest <= Math.max(1000, LITTLE * totals.peakBytes)) {
    if (interval > 0 && !when) {
      const least = bytes(unseenBelow(interval));
      return [
        `no ${leaking || aside.bytes > 0 ? "other " : ""}sampled block was left: what ${
          leaking || aside.bytes > 0 ? "else " : ""
        }leaks is likely below ${least}`,
        known,
      ]
        .filter(Boolean).join("; ");
    }
    const little = `${bytes(rest)} in ${count(blocks)} ${plural(blocks, "block")}`;
    const nothing = when
      ? rest > 0 ? "" : `nothing ${is} live ${when}`
      : rest > 0
      ? `next to nothing ${leaking ? "else " : ""}leaks (${little})`
      : `nothing ${leaking ? "else " : ""}leaks`;
    return [nothing, known].filter(Boolean).join(rest > 0 ? "; " : ": ");
  }
  const be = blocks === 1 ? is : process.running ? "are" : "were";
  const end = when ? `${be} live ${when}` : `${be} never freed`;
  const amount = `${leaking ? "another " : ""}${bytes(rest)} in ${count(blocks)} ${plural(blocks, "block")}`;
  const whose = first.figures.liveBytes === rest
    ? `made by ${named(first)}`
    : `${bytes(first.figures.liveBytes)} of them made by ${named(first)}`;
  return `${amount} ${end}, ${whose}${known && `; ${known}`}`;
}

function ofAllocations({ totals, limits, callPaths }: Profile, all: readonly Culprit[]): string {
  const [first] = by(all, (f) => f.allocations);
  // Estimates are parts of what they come to together.
  const whole = limits.interval ? callPaths.reduce((n, path) => n + path.allocations, 0) : totals.allocations;
  if (!first || totals.allocations < 1000 || first.figures.allocations < WORTH_NAMING * whole) return "";
  const { allocations, temporary } = first.figures;
  const freed = temporary > allocations / 2 ? ", most of them temporary: freed before the next" : "";
  return `${percent(allocations, whole)} of the ${count(totals.allocations)} allocations were made by ${
    named(first)
  }${freed}`;
}

/**
 * What a profile says, at most four lines in plain words: who made the peak, what was never freed, who allocates most. Names of
 * all call paths must have been resolved. `aside` is what is live and known to be kept by libraries.
 *
 * @example
 * ```ts
 * import { answer, knownLeaks, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(answer(profile, symbols, knownLeaks(profile, symbols)).join("\n"));
 * ```
 */
export function answer(profile: Profile, symbols: Symbols, aside: SetAside): string[] {
  if (profile.limits.mode !== "paths") return [];
  if (profile.totals.allocations === 0) {
    const { paused, attached } = profile.process;
    if (paused) return ["nothing is counted yet: it is paused"];
    return [`nothing was allocated through malloc${attached ? " since heaptap was attached" : ""}`];
  }
  const all = culprits(withoutKept(profile.callPaths, aside), symbols);
  const { line, leaking } = ofPeak(profile, all);
  const lines = [line, ofLive(profile, all, aside, leaking), ofAllocations(profile, all)].filter(Boolean);
  return profile.limits.interval > 0 ? lines.map((text) => /^\d/.test(text) ? `about ${text}` : text) : lines;
}
