/** What a profile says of its process in words, for the head of a report: how it ended, what could not be seen. */
import { basename } from "node:path";
import { bytes, count, plural, printable, seconds } from "./format.ts";
import { marginText, unseenBelow } from "./sampling.ts";
import type { LinkedAllocator, Process, Profile, Unfollowed } from "./profile.ts";

const SIGNALS: Readonly<Record<number, string>> = {
  ...{ 1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1" },
  ...{ 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ", 31: "SYS" },
};

/** How a process ended, in a word or two. */
export function exitText({ code, signal }: { readonly code: number; readonly signal: number }): string {
  if (!signal) return `exit ${code}`;
  return SIGNALS[signal] ? `SIG${SIGNALS[signal]}` : `signal ${signal}`;
}

/** Nothing of a process whose end nobody saw: its parent was told of it, and not we. */
export function processEnding({ exit, running }: Process): string {
  if (!exit) return running ? "running" : "";
  return exit.signal ? `ended by ${exitText(exit)}` : exitText(exit);
}

/** When it is that blocks are live which it may free yet: of a process that goes on; "" of one that has ended. */
export function whenLive({ running, attached }: Process): string {
  if (running) return "now";
  return attached?.left === undefined ? "" : "at detach";
}

/** Seconds from the start of the recording to the last that is known of it. */
export function knownSeconds({ process, timeline }: Pick<Profile, "process" | "timeline">): number {
  return Math.max(process.exit?.seconds ?? process.attached?.left ?? 0, timeline.at(-1)?.seconds ?? 0);
}

/** Threads that allocated or freed. */
export function threadCount(profile: Profile): number {
  return profile.threads.reduce((n, thread) => n + Math.max(1, thread.merged), 0);
}

/** How many threads there were, and how many of them allocated where that is known and not all. */
function threadsText(profile: Profile): string {
  const threads = threadCount(profile);
  const allocated = profile.threads.filter((thread) => thread.allocations > 0).length;
  // Of those whose records were put together it is not known which ones did.
  const known = profile.threads.every((thread) => thread.merged <= 1);
  return known && allocated > 0 && allocated < threads
    ? `${count(allocated)} of ${count(threads)} threads allocated`
    : `${count(threads)} ${plural(threads, "thread")}`;
}

/** Bytes between samples as they are given, `512 KiB`, `1.00 MB`. */
export function intervalText(interval: number): string {
  const power = [3, 2, 1].find((n) => interval % 1024 ** n === 0);
  return power === undefined ? bytes(interval) : `${interval / 1024 ** power} ${["", "KiB", "MiB", "GiB"][power]}`;
}

/** Which moment a profile shows: that may be another than was asked for. */
function momentText({ moment }: Profile): string {
  if (!moment) return "";
  const kept = `of ${count(moment.moments)} kept ${plural(moment.moments, "moment")}`;
  return moment.from === undefined
    ? `as it was after ${seconds(moment.seconds)}, the nearest ${kept}`
    : `between ${seconds(moment.from)} and ${seconds(moment.seconds)}, the nearest ${kept}`;
}

/** When and how the process ran, a few words each. */
export function processFacts(profile: Profile): string[] {
  const { process, limits, callPaths } = profile;
  // One that ran several programs has a profile of each.
  const processes = profile.merged && new Set(profile.merged.map(({ pid }) => pid)).size;
  return [
    new Date(process.startTime).toISOString().replace("T", " ").slice(0, 19) + " UTC",
    process.exit?.seconds === undefined ? "" : seconds(process.exit.seconds),
    attachedText(process),
    processEnding(process),
    processes === undefined ? pidText(process) : `${count(processes)} ${processes === 1 ? "process" : "processes"}`,
    profile.moment ? "" : threadsText(profile),
    limits.mode === "paths"
      ? `${count(callPaths.length)} ${plural(callPaths.length, "call path")}`
      : `${limits.mode} only`,
    limits.interval ? `sampled every ${intervalText(limits.interval)}` : "",
    momentText(profile),
  ].filter(Boolean);
}

/** That recording began in a process that ran, and how long it went on. */
function pidText({ pid, pidHere }: Process): string {
  return pid === pidHere ? `pid ${pid}` : `pid ${pidHere}, ${pid} in its container`;
}

/** What has become of a process whose recording is over. */
export function endedText({ attached }: Process): string {
  return attached?.left === undefined ? "ended" : "let go";
}

function attachedText({ attached }: Process): string {
  if (!attached) return "";
  return attached.left === undefined ? "attached" : `attached for ${seconds(attached.left)}, and it went on`;
}

/** What is to be said of frees of blocks that were never seen. */
function unknownFrees(processes: readonly Process[]): string {
  if (processes.every(({ attached }) => attached)) return "of a block from before heaptap was attached";
  return processes.every(({ forked }) => forked) ? "of a block from before the fork" : "of a block that was never seen";
}

function notRecorded({ path, why, became, count: n }: Unfollowed): string {
  const program = path ? `"${path}"` : "A program";
  const others = n > 1 ? `, as ${count(n - 1)} more that this process started` : "";
  return `${program}, which this process ${became ? "became" : "started"}, is not recorded: it ${why}${others}`;
}

function pausedText({ paused, pauses, running }: Process): string {
  const times = pauses > 1 ? `, ${count(pauses)} times` : "";
  const now = paused ? (running ? "; it is now: heaptap resume goes on" : "; it was at the end") : "";
  return `Recording was paused${times}${now}. What was allocated meanwhile is not counted`;
}

/** An allocator that is linked in, and not seen. */
export function notCounted({ name, path, why }: Pick<LinkedAllocator, "name" | "path" | "why">): string {
  const allocator = name === "malloc" || name === "operator new" ? `its own ${name}` : `${name} linked in`;
  return `"${path.replace(/^.*\//, "")}" has ${allocator}, and what that hands out is not seen: ${why}`;
}

/**
 * Allocators whose functions lead to the hooks and whom nobody called by them, where calls come from the object itself: a compiler
 * that has both before it may put them into their callers.
 */
function uncalled({ process, callPaths, modules, limits }: Profile): string[] {
  if (limits.mode !== "paths") return [];
  const callers = new Set(callPaths.map(({ stack }) => modules[stack[0]?.module ?? -1]?.path));
  return process.linked
    .filter(({ name, why, path }) => !why && name !== "malloc" && name !== "operator new" && !callers.has(path))
    .map(({ name, path }) =>
      `Nobody called ${name}, which "${
        path.replace(/^.*\//, "")
      }" has linked in, by its functions: a compiler may put them into their callers, and what these take is not seen`
    );
}

/** With fewer samples than this a report has little to say. */
const COARSE = 100;

/** What a sampled recording's figures are. */
function estimated({ limits: { interval }, totals }: Profile): string {
  const moved = totals.reallocations > 0 ? "; reallocations count by how much of their blocks is usable" : "";
  const coarse = totals.bytes < COARSE * interval
    ? `. That is coarse for a program of this size: take a smaller --sample`
    : "";
  return `A block every ${
    intervalText(interval)
  } was recorded: allocations, frees and bytes allocated of the process and its threads ` +
    `are exact${moved}, all else is estimated, with \u00b1 what holds in 95 of 100 cases; what has less than ${
      bytes(unseenBelow(interval))
    } may be missing${coarse}`;
}

/** For so many seconds what is seen tells of the beginning. */
const AT_FIRST = 3;

/** What was in use when a process was attached to: what its allocator said, or its heap did; undefined where neither is known. */
export function inUseBefore({ process, memory }: Pick<Profile, "process" | "memory">): number | undefined {
  const [first] = memory?.accounts ?? [];
  return process.attached && (process.attached.inUse ?? (first && first.seconds < AT_FIRST ? first.before : undefined));
}

/** What is not known of a process that ran before. */
function fromBefore(profile: Profile): string {
  const { timeline, memory, process } = profile;
  const { resident } = timeline.find((sample) => sample.resident !== undefined && sample.seconds < AT_FIRST) ?? {};
  const [then, inUse] = [resident ? `: ${bytes(resident)} was resident then` : "", inUseBefore(profile)];
  const known = inUse === undefined
    ? ""
    : process.attached?.inUse
    ? `, and ${bytes(inUse)} in use, as ${printable(basename(process.allocator))} has it`
    : `, ${bytes(inUse)} of it in such blocks, and ${
      bytes(memory?.accounts[0]?.allocatorFree ?? 0)
    } free in the allocator`;
  return `Blocks from before heaptap was attached are not known${then}${then && known}`;
}

/** What could not be seen, and what was odd: a sentence each, the figure it begins with apart; names in them are a recording's. */
export function unseen(profile: Profile): (readonly [figure: string, words: string])[] {
  const { process, totals, limits, merged } = profile;
  const overflow = limits.mode === "paths" ? totals.overflowAllocations : 0;
  const figures: [number, noun: string, words: string][] = [
    [totals.fallbackAllocations, "allocation", "with the innermost frames only: the table was full, raise --buckets"],
    [overflow, "allocation", "without a call path: the table was full, raise --buckets"],
    [totals.untracked, "call", "not counted (before the recording, inside a signal handler, or under seccomp)"],
    [totals.abandoned, "call", "left by a signal handler's longjmp: figures may be off by a block each"],
    [totals.lostChildren, "fork", "by a signal handler inside a hook: the child is not recorded"],
    [
      totals.pastLibraries,
      "library opening",
      "past the hooks (dlmopen, RTLD_DEEPBIND): what is allocated there is not seen",
    ],
    [totals.unknownFrees, "free", unknownFrees(merged ?? [process])],
    [totals.lostFrees, "block", "whose free was not seen"],
    [totals.failed, "request", "refused by the allocator"],
  ];
  const found: (readonly [figure: string, words: string])[] = [
    ...limits.interval ? [["", estimated(profile)] as const] : [],
    ...!merged && process.attached ? [["", fromBefore(profile)] as const] : [],
    ...limits.mode === "totals" ? [["", "Totals only: what is live, and the peak, are not known"] as const] : [],
    ...merged && limits.mode !== "totals"
      ? [["", "The peak is the sum of the processes' peaks, each at its own time"] as const]
      : [],
    ...figures.filter(([n]) => n > 0).map(([n, noun, words]) => [count(n), `${plural(n, noun)} ${words}`] as const),
    ...(merged ?? [process]).flatMap(({ unfollowed }) => unfollowed ? [["", notRecorded(unfollowed)] as const] : []),
    ...(merged ?? [process]).filter(({ pauses }) => pauses > 0).map((paused) => ["", pausedText(paused)] as const),
    ...(merged ?? [process]).flatMap(({ linked }) => linked.filter(({ why }) => why))
      .map((allocator) => ["", notCounted(allocator)] as const),
    ...uncalled(profile).map((words) => ["", words] as const),
    ...limits.noSpace
      ? [["", "The file system had no room for the whole recording: call paths are incomplete"] as const]
      : [],
    ...limits.rejected.map((name) => ["", `${name} could not be read; the default was used`] as const),
  ];
  return found.map(([figure, words]) => [figure, printable(words)]);
}

/** An error of the peak that is worth a word, as a part of it. */
const NOTABLE = 0.01;

/** How exact the peak is, `exact to 8.19 KB`; "" when it is exact, or as good as that. */
export function peakExactness(profile: Profile): string {
  const { limits, totals } = profile;
  if (limits.mode === "totals") return "";
  if (limits.interval > 0) return marginText(totals.margins?.peak ?? 0, totals.peakBytes);
  if (limits.peakError >= totals.peakBytes && limits.peakError > 0) {
    return `known to ${bytes(limits.peakError)} only: see --exact-peak`;
  }
  return limits.peakError > NOTABLE * totals.peakBytes ? `exact to ${bytes(limits.peakError)}` : "";
}
