/** The HTML report of a profile: one file that needs no network. */
import { CONSTANTS } from "../file/layout.ts";
import { unpackMoments } from "../file/moments.ts";
import type { KeptMoment } from "../file/moments.ts";
import { knownSeconds, peakExactness, processEnding, processFacts, unseen, whenLive } from "../profile/facts.ts";
import { count, plural } from "../profile/format.ts";
import type { TimelineMark } from "../profile/marks.ts";
import { asCallPath } from "../profile/memory.ts";
import type { MappedPath, MomentAccount } from "../profile/memory.ts";
import { liveOverTime } from "../profile/moments.ts";
import { commandLine } from "../profile/profile.ts";
import { marginText } from "../profile/sampling.ts";
import type { CallPath, Lifetimes, MergedProcess, PathCounters, Profile } from "../profile/profile.ts";
import { allocationsClassName, timeClassName } from "../profile/lifetimes.ts";
import { sizeClassName } from "../profile/sizes.ts";
import type { ViewName } from "../profile/views.ts";
import { leadFrame } from "../symbols/lead.ts";
import { NOTHING_ASIDE } from "../symbols/suppressions.ts";
import type { SetAside } from "../symbols/suppressions.ts";
import { frameName } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { momentsOf } from "./html_moments.ts";
import type { LayerData, MappedData, MemoryData, PageData, ProcessData, TimelineData } from "./page/data.ts";
import { columns, pageFile } from "./page_file.ts";
import { sourceLines } from "./source_lines.ts";
import { StackTable } from "./stack_table.ts";
import { outwardIn } from "./stacks.ts";
import type { StackOptions } from "./stacks.ts";

/** Options of {@linkcode htmlReport}. */
export interface HtmlOptions extends StackOptions {
  /** The view that the page begins with; `peak` when left out. */
  readonly view?: ViewName | undefined;
  /** Sentences that stand above everything, at most four. */
  readonly answer?: readonly string[] | undefined;
  /** What is live and known to be kept by libraries, which is no leak: see {@linkcode knownLeaks}. */
  readonly aside?: SetAside | undefined;
  /** Moments for the timeline: see {@linkcode Recording.marks}. */
  readonly marks?: readonly TimelineMark[] | undefined;
  /** What call paths had live at moments of the run: see {@linkcode Recording.packedMoments}. */
  readonly moments?: Uint8Array | undefined;
  /** Whether to put source lines of this machine into the page, a few around each place. */
  readonly source?: boolean | undefined;
}

/** The figures of call paths that a page has. */
export const FIGURES: Readonly<Record<string, (path: PathCounters) => number>> = {
  allocations: (p) => p.allocations,
  bytes: (p) => p.bytes,
  peakCount: (p) => p.peakCount,
  peakBytes: (p) => p.peakBytes,
  liveCount: (p) => p.liveCount,
  liveBytes: (p) => p.liveBytes,
  temporary: (p) => p.temporary,
};

function timelineOf(run: Parameters<typeof knownSeconds>[0]): TimelineData {
  const { timeline } = run;
  return {
    end: knownSeconds(run),
    ...columns(timeline, {
      seconds: (s) => s.seconds,
      bytes: (s) => s.bytes,
      highest: (s) => s.highest,
      rss: (s) => s.resident ?? -1,
      mapped: (s) => s.mapped ?? -1,
    }),
  };
}

/** Functions that have an area of their own, and how many moments there must be. */
const LAYERS = 10, FEWEST_MOMENTS = 3;

/** What was live by the functions that rows of call paths lead with. */
function layersOf(moments: readonly KeptMoment[], { callPaths }: Profile, symbols: Symbols): LayerData | undefined {
  if (moments.length < FEWEST_MOMENTS) return undefined;
  const numbers = new Map<string, number>();
  const functions: { readonly name: string; path: number }[] = [];
  const parts = new Map<number, number>();
  callPaths.forEach((path, p) => {
    const lead = leadFrame(path, symbols);
    const name = lead ? frameName(lead) : "(not kept)";
    const key = `${lead?.module ?? ""} ${name}`;
    const number = numbers.get(key) ?? functions.push({ name, path: p }) - 1;
    numbers.set(key, number);
    parts.set(path.id, number);
    const known = functions[number]!;
    if (path.peakBytes > callPaths[known.path]!.peakBytes) known.path = p;
  });
  const { seconds, parts: chosen, bytes, other } = liveOverTime(moments, (id) => parts.get(id), LAYERS);
  const shown = chosen.map((number) => functions[number]!);
  return { seconds, names: shown.map(({ name }) => name), paths: shown.map(({ path }) => path), bytes, other };
}

/** Parts of an account, which add up to its resident set. */
const PARTS = [
  "live",
  "slack",
  "before",
  "allocatorFree",
  "mapped",
  "stacks",
  "files",
  "shared",
  "heaptap",
  "other",
] as const;

/** The resident set of a process by what it is, where somebody looked. */
export function memoryOf({ memory, merged }: Profile): MemoryData | undefined {
  // Of several processes there is no account of all.
  if (!memory || merged) return undefined;
  return {
    seconds: memory.accounts.map(({ seconds }) => seconds),
    parts: columns(
      memory.accounts,
      Object.fromEntries(PARTS.map((part) => [part, (account: MomentAccount) => account[part] ?? 0])),
    ),
  };
}

const MAPPED_FIGURES: Readonly<Record<string, (path: MappedPath) => number>> = {
  count: (p) => p.count,
  bytes: (p) => p.bytes,
  liveBytes: (p) => p.liveBytes,
  peakBytes: (p) => p.peakBytes,
};

/** What a program mapped itself; `ends` are the innermost nodes of its call paths. */
export function mappedOf(paths: readonly MappedPath[], ends: readonly number[]): MappedData {
  return { kinds: paths.map(({ kind }) => kind), ends, figures: columns(paths, MAPPED_FIGURES) };
}

function processesOf(merged: readonly MergedProcess[]): ProcessData[] {
  const first = merged.reduce((least, { startTime }) => Math.min(least, startTime), Infinity);
  return merged.map((process) => ({
    pid: process.pid,
    parent: process.parentPid,
    command: commandLine(process),
    program: process.executable,
    file: process.path,
    // A process that ran one program after the other has a recording of each.
    exit: merged.some(({ pid, startTime }) => pid === process.pid && startTime > process.startTime)
      ? "went on as another program"
      : processEnding(process),
    allocations: process.totals.allocations,
    bytes: process.totals.bytes,
    peakBytes: process.totals.peakBytes,
    liveBytes: process.totals.liveBytes,
    begun: (process.startTime - first) / 1000,
    timeline: timelineOf({ process, timeline: process.timeline }),
  }));
}

/**
 * The page of a profile: timeline, what the resident set is made of, flame graph, tables of call paths, functions, leaks,
 * threads and mappings. Names must have been resolved, those of `mappings` too if they are to be seen.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { htmlReport, Recording, Symbols } from "./mod.ts";
 *
 * const recording = Recording.open("sort.heaptap");
 * const profile = recording.profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * const [marks, moments] = [recording.marks(), recording.packedMoments()];
 * writeFileSync("sort.html", htmlReport(profile, symbols, { marks, moments }));
 * ```
 */
export function htmlReport(profile: Profile, symbols: Symbols, options: HtmlOptions = {}): string {
  const stacks = new StackTable();
  const ends = profile.callPaths.map((path) => stacks.add(outwardIn(path, symbols, options)));
  // Of several processes those of one alone are known.
  const mapped = profile.merged ? [] : profile.mappings?.paths ?? [];
  const mappedEnds = mapped.map((path) => stacks.add(outwardIn(asCallPath(path), symbols, options)));
  const data = pageData(profile, symbols, { ...stacks.columns(), ends }, options);
  return pageFile({ ...data, mapped: mapped.length > 0 ? mappedOf(mapped, mappedEnds) : undefined });
}

/** Names and stacks of a page. */
export type PageStacks = Pick<PageData, "modules" | "files" | "kinds" | "functions" | "places" | "nodes" | "ends">;

/** What such a page holds, but for what the program mapped itself. */
export function pageData(
  profile: Profile,
  symbols: Symbols,
  stacks: PageStacks,
  { view = "peak", answer = [], aside = NOTHING_ASIDE, marks = [], moments, source = false }: HtmlOptions,
): PageData {
  const { totals, process, callPaths, merged } = profile;
  // Moments are of one process, and of all of its run.
  const kept = moments && !merged && !profile.moment ? unpackMoments(moments) : [];
  const shown = callPaths.reduce((n, path) => n + path.allocations, 0);
  const notes = unseen(profile).map(([figure, words]) => `${figure} ${words}`.trim());
  if (peakExactness(profile) && !profile.limits.interval) notes.unshift(`The peak is ${peakExactness(profile)}`);
  notes.push(...symbols.remarks(callPaths, view));
  if (profile.limits.mode === "paths" && !profile.limits.interval && shown < totals.allocations) {
    notes.push(
      `Selected: ${count(callPaths.length)} ${plural(callPaths.length, "call path")} with ${
        count(shown)
      } of the allocations`,
    );
  }
  return {
    title: commandLine(process),
    facts: processFacts(profile),
    answer: answer.slice(0, 4),
    notes,
    program: process.executable,
    view,
    live: `Live ${whenLive(process) || "at the end"}`,
    totals: totalsOf(profile),
    margins: profile.limits.interval > 0
      ? {
        peakBytes: marginText(totals.margins?.peak ?? 0, totals.peakBytes),
        liveBytes: marginText(totals.margins?.live ?? 0, totals.liveBytes),
      }
      : undefined,
    timeline: timelineOf(profile),
    layers: layersOf(kept, profile, symbols),
    moments: momentsOf(kept, callPaths),
    memory: memoryOf(profile),
    aside: {
      paths: callPaths.flatMap((path, p) => aside.paths.has(path) ? [p] : []),
      bytes: aside.bytes,
      blocks: aside.blocks,
      whose: aside.whose,
    },
    marks: marks.map(({ name, seconds }) => ({ name, seconds })),
    processes: merged && processesOf(merged),
    threads: threadsOf(profile),
    ...stacks,
    sizes: profile.limits.sizes ? sizesOf(callPaths) : undefined,
    lifetimes: profile.limits.lifetimes ? lifetimesOf(callPaths) : undefined,
    source: source ? sourceLines(stacks, process.startTime) : undefined,
    figures: columns(callPaths, FIGURES),
  };
}

/** The threads that a page shows. */
export function threadsOf({ threads }: Pick<Profile, "threads">): NonNullable<PageData["threads"]> {
  return threads.map((t) => ({
    name: t.merged > 1 ? `${t.name} (${count(t.merged)} threads)` : t.name,
    tid: t.tid,
    allocations: t.allocations,
    bytes: t.bytes,
    frees: t.frees,
    liveBytes: t.liveBytes,
    temporary: t.temporary,
    freedByOthersBytes: t.freedByOthersBytes,
  }));
}

/** The process's figures that a page shows. */
export function totalsOf({ totals, limits }: Pick<Profile, "totals" | "limits">): Record<string, number> {
  return {
    allocations: totals.allocations,
    bytes: totals.bytes,
    ...limits.mode !== "totals" && { peakBytes: totals.peakBytes, liveBytes: totals.liveBytes },
    liveCount: totals.liveCount,
    temporary: totals.temporary,
  };
}

/** Lifetimes of call paths, as the page has them; undefined where not all have some: of a moment they were not kept. */
export function lifetimesOf(paths: readonly CallPath[]): PageData["lifetimes"] {
  const all = paths.flatMap(({ lifetimes }) => lifetimes ?? []);
  if (all.length < paths.length) return undefined;
  const { LIFETIME_CLASSES: classes } = CONSTANTS;
  const named = (of: (lifetimes: Lifetimes) => readonly number[], name: (i: number, classes: number) => string) => ({
    names: Array.from({ length: classes }, (_, i) => name(i, classes)),
    classes: all.map(of),
  });
  return {
    times: named(({ byTime }) => byTime, timeClassName),
    allocations: named(({ byAllocations }) => byAllocations, allocationsClassName),
    seconds: all.map(({ seconds }) => seconds),
    live: all.every(({ live }) => live)
      ? { blocks: all.map(({ live }) => live?.blocks ?? 0), seconds: all.map(({ live }) => live?.seconds ?? 0) }
      : undefined,
  };
}

/** How large the requests of call paths were, as the page has it. */
export function sizesOf(paths: readonly CallPath[]): NonNullable<PageData["sizes"]> {
  const { SIZE_CLASSES: classes } = CONSTANTS;
  return {
    names: Array.from({ length: classes }, (_, i) => sizeClassName(i, classes)),
    requests: paths.map(({ sizes }) => sizes?.requests ?? []),
    slack: paths.map(({ sizes }) => sizes?.slack ?? -1),
  };
}
