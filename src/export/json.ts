/** The JSON report: documented in docs/JSON.md, versioned by its `version`. */
import { Blocks } from "../file/whole_file.ts";
import { inUseBefore, threadCount } from "../profile/facts.ts";
import { endedBlocks, endOfClass, totalLifetimes } from "../profile/lifetimes.ts";
import type { CallPath, Counters, Frame, Lifetimes, Profile, Sizes } from "../profile/profile.ts";
import { blocksMargin, bytesMargin, CONFIDENCE } from "../profile/sampling.ts";
import { largestOfClass, totalSizes } from "../profile/sizes.ts";
import { frameJson } from "./frame_json.ts";
import { mappingsJson, memoryJson } from "./memory_json.ts";
import type { MappedJson, MemoryJson } from "./memory_json.ts";
import { leadIndex } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { JSON_VERSION } from "../judge/comparable.ts";
import type { RunFigures } from "../judge/run_figures.ts";
import type { Comparison } from "../judge/compare.ts";
import type { Change, ComparedGroup } from "../judge/compare_groups.ts";

/** Counters that are written with all their digits, whatever a number holds. */
function withDigits<C extends Counters>(counters: C): C {
  if (!counters.exact) return counters;
  const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };
  const digits = Object.entries(counters.exact).map(([field, n]) => [field, rawJSON(String(n))]);
  return { ...counters, ...Object.fromEntries(digits) };
}

function counters(c: Counters) {
  return {
    allocations: c.allocations,
    bytes: c.bytes,
    frees: c.frees,
    freed_bytes: c.freedBytes,
    reallocations: c.reallocations,
    carried_bytes: c.carried,
    temporary: c.temporary,
    live_bytes: c.liveBytes,
    live_count: c.liveCount,
  };
}

/** Slack, and allocations by the largest size of their class. */
export interface SizesJson {
  /** Usable less requested bytes; null when the allocator does not tell. */
  readonly slack_bytes: number | null;
  /** Allocations by the largest size of their class, `larger` above 4 GiB. */
  readonly request_sizes: Readonly<Record<string, number>>;
}

function sizesJson({ requests, slack }: Sizes): SizesJson {
  const sizes = requests.flatMap((n, i) =>
    n === 0 ? [] : [[String(largestOfClass(i, requests.length) ?? "larger"), n] as const]
  );
  return { slack_bytes: slack ?? null, request_sizes: Object.fromEntries(sizes) };
}

/** Lifetimes of blocks that ended, and of those that have not. */
export interface LifetimesJson {
  /** Blocks that ended. */
  readonly ended: number;
  /** Seconds that they had lived, together. */
  readonly seconds: number;
  /** Allocations that the process made meanwhile, together. */
  readonly allocations: number;
  /** The same blocks by what they lived less than, in microseconds; `longer` 2^30 and more. */
  readonly by_microseconds: Readonly<Record<string, number>>;
  /** The same blocks by what they lived less than, in allocations; `longer` 2^30 and more. */
  readonly by_allocations: Readonly<Record<string, number>>;
  /** Blocks that have not ended, and how long they have lived so far, together; null of a part of the run, or of threads. */
  readonly live: { readonly blocks: number; readonly seconds: number; readonly allocations: number } | null;
}

function lifetimesJson(lifetimes: Lifetimes): LifetimesJson {
  const { byTime, byAllocations, seconds, allocations, live } = lifetimes;
  const round = (seconds: number) => Math.round(seconds * 1e6) / 1e6;
  const byEnd = (classes: readonly number[]) =>
    Object.fromEntries(
      classes.flatMap((n, i) => n === 0 ? [] : [[String(endOfClass(i, classes.length) ?? "longer"), n] as const]),
    );
  return {
    ended: endedBlocks(lifetimes),
    seconds: round(seconds),
    allocations,
    by_microseconds: byEnd(byTime),
    by_allocations: byEnd(byAllocations),
    live: live ? { ...live, seconds: round(live.seconds) } : null,
  };
}

/** A call path without its stack. */
function pathJson(path: CallPath, stack: readonly NamedFrame[], interval: number) {
  const frame = stack[leadIndex(stack)];
  return {
    function: frame?.function ?? "",
    module: frame?.module ?? "",
    file: frame?.file ?? "",
    line: frame?.line ?? 0,
    count: path.allocations,
    total_bytes: path.bytes,
    frees: path.frees,
    freed_bytes: path.freedBytes,
    live_bytes: path.liveBytes,
    live_count: path.liveCount,
    peak_bytes: path.peakBytes,
    peak_count: path.peakCount,
    ...interval > 0 && {
      count_margin: Math.round(
        blocksMargin({ blocks: path.allocations, bytes: path.bytes, variance: path.variance }, interval),
      ),
      total_bytes_margin: Math.round(bytesMargin({ blocks: path.allocations, bytes: path.bytes }, interval)),
      live_bytes_margin: Math.round(bytesMargin({ blocks: path.liveCount, bytes: path.liveBytes }, interval)),
      peak_bytes_margin: Math.round(bytesMargin({ blocks: path.peakCount, bytes: path.peakBytes }, interval)),
    },
    temporary: path.temporary,
    reallocations: path.reallocations,
    carried_bytes: path.carried,
    stack_end: path.end,
    ...path.operation !== undefined && { operation: path.operation },
    ...path.sizes && sizesJson(path.sizes),
    ...path.lifetimes && { lifetimes: lifetimesJson(path.lifetimes) },
  };
}

/** The call paths that a JSON report holds: the largest by bytes, all of them when limit is 0. */
export function jsonPaths(profile: Profile, limit: number): readonly CallPath[] {
  return limit > 0 ? profile.callPaths.slice(0, limit) : profile.callPaths;
}

/** A flat object of the report. */
export type JsonRecord = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** The report: what its keys mean stands in docs/JSON.md. */
export interface JsonReport {
  /** {@linkcode JSON_VERSION}. */
  readonly version: number;
  /** What was recorded. */
  readonly process: JsonRecord;
  /** Allocators that are linked into the program or a library. */
  readonly linked_allocators: readonly JsonRecord[];
  /** The processes that were put together, where there are several. */
  readonly processes?: readonly JsonRecord[];
  /** Limits that were in force. */
  readonly limits: JsonRecord;
  /** Slack and sizes of requests of all call paths, where they were recorded. */
  readonly sizes?: SizesJson;
  /** Lifetimes of the blocks of all call paths, where they were recorded. */
  readonly lifetimes?: LifetimesJson;
  /** The process's totals. */
  readonly summary: Readonly<Record<string, number | null>>;
  /** Threads. */
  readonly threads: readonly JsonRecord[];
  /** Loaded objects whose code is on call paths. */
  readonly modules: readonly JsonRecord[];
  /** Modules of which names or lines are missing. */
  readonly coverage: readonly JsonRecord[];
  /** Samples of the run. */
  readonly timeline: readonly Readonly<Record<string, number | null>>[];
  /** The moment that it is of, where that is not the last. */
  readonly moment?: JsonRecord;
  /** Where the resident memory was; null when nobody looked on. */
  readonly memory: MemoryJson | null;
  /** What the program mapped itself, by call path; null when that was not followed. */
  readonly mappings: readonly MappedJson[] | null;
  /** Call paths. */
  readonly allocations: readonly Readonly<
    Record<string, string | number | null | Readonly<Record<string, number>> | LifetimesJson | readonly JsonRecord[]>
  >[];
}

/**
 * The report as a value. The names of {@linkcode jsonPaths} must have been resolved.
 *
 * @example
 * ```ts
 * import { JSON_VERSION, jsonPaths, jsonReport, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(jsonPaths(profile, 10));
 * const report = jsonReport(profile, symbols, 10);
 * console.log(report.version === JSON_VERSION, report.allocations.length);
 * ```
 */
export function jsonReport(profile: Profile, symbols: Symbols, limit: number): JsonReport {
  const paths = jsonPaths(profile, limit);
  const allocations = paths.map((path) => {
    const stack = symbols.stack(path);
    return { ...pathJson(path, stack, profile.limits.interval), stack: stack.map(frameJson) };
  });
  return { ...headJson(profile, symbols, paths), allocations };
}

/** The report but for the call paths. */
function headJson(
  profile: Profile,
  symbols: Symbols,
  paths: readonly CallPath[],
): Omit<JsonReport, "allocations"> {
  const { process, limits, totals } = profile;
  const lifetimes = totalLifetimes(profile.callPaths);
  let rss = 0;
  const highestRss = profile.timeline.map(({ resident = 0 }) => (rss = Math.max(rss, resident)) || null);
  // Of totals alone what is live is not known, and so are frees' bytes.
  const known = (n: number) => limits.mode === "totals" ? null : n;
  return {
    version: JSON_VERSION,
    process: {
      command: process.command,
      executable: process.executable,
      pid: process.pid,
      allocator: process.allocator,
      pauses: process.pauses,
      start_time: new Date(process.startTime).toISOString(),
      exit_code: process.exit?.code ?? null,
      exit_signal: process.exit?.signal ?? null,
      seconds: process.exit?.seconds ?? process.attached?.left ?? null,
      attached: process.attached !== undefined,
      in_use_before: inUseBefore(profile) ?? null,
    },
    linked_allocators: process.linked.map(({ name, prefix, functions, path, why }) => ({
      name,
      prefix,
      functions,
      object: path,
      not_seen: why || null,
    })),
    ...profile.merged &&
      { processes: profile.merged.map(({ pid, command, executable }) => ({ pid, command, executable })) },
    ...limits.sizes && { sizes: sizesJson(totalSizes(profile.callPaths)) },
    ...lifetimes && { lifetimes: lifetimesJson(lifetimes) },
    limits: {
      mode: limits.mode,
      interval_bytes: limits.interval || null,
      confidence: limits.interval ? CONFIDENCE : null,
      buckets: limits.buckets,
      depth: limits.depth,
      peak_error: limits.peakError,
      rejected: limits.rejected,
      no_space: limits.noSpace,
    },
    summary: {
      allocations: totals.allocations,
      frees: totals.frees,
      bytes: totals.bytes,
      freed_bytes: known(totals.freedBytes),
      peak_bytes: known(totals.peakBytes),
      peak_count: limits.mode === "paths" ? totals.peakCount : null,
      live_bytes: known(totals.liveBytes),
      ...limits.interval > 0 &&
        {
          peak_bytes_margin: Math.round(totals.margins?.peak ?? 0),
          live_bytes_margin: Math.round(totals.margins?.live ?? 0),
        },
      live_count: totals.liveCount,
      temporary: totals.temporary,
      reallocations: totals.reallocations,
      carried_bytes: limits.interval > 0 ? null : known(totals.carried),
      failed: totals.failed,
      unknown_frees: totals.unknownFrees,
      lost_frees: totals.lostFrees,
      untracked: totals.untracked,
      abandoned: totals.abandoned,
      lost_children: totals.lostChildren,
      past_libraries: totals.pastLibraries,
      threads: threadCount(profile),
      call_paths: profile.callPaths.length,
      fallback_allocations: totals.fallbackAllocations,
      overflow_allocations: totals.overflowAllocations,
    },
    threads: profile.threads.map((t) => ({
      name: t.name,
      tid: t.tid,
      merged: t.merged,
      ended: t.ended,
      ...counters(t),
      freed_by_others: known(t.freedByOthers),
      freed_by_others_bytes: known(t.freedByOthersBytes),
      freed_of_others: known(t.freedOfOthers),
      freed_of_others_bytes: known(t.freedOfOthersBytes),
      ...limits.mode === "totals" && { freed_bytes: null, live_bytes: null, carried_bytes: null },
      start_seconds: t.startSeconds,
    })),
    modules: profile.modules.map(({ path, buildId }) => ({ path, build_id: buildId })),
    coverage: symbols.coverage(paths).map((c) => ({
      module: c.module,
      without_names: Number(c.withoutNames.toFixed(4)),
      without_lines: Number(c.withoutLines.toFixed(4)),
      remedy: c.remedy,
    })),
    timeline: profile.timeline.map((s, i) => ({
      seconds: s.seconds,
      bytes: s.bytes,
      allocations: s.allocations,
      resident: s.resident ?? null,
      mapped: s.mapped ?? null,
      highest: s.highest,
      max_rss: highestRss[i] ?? null,
    })),
    ...profile.moment && { moment: { seconds: profile.moment.seconds, from_seconds: profile.moment.from ?? null } },
    memory: memoryJson(profile.memory),
    mappings: mappingsJson(profile, symbols),
  };
}

/** Options of JSON as text. */
export interface JsonOptions {
  /** So many call paths, the largest; all when left out or 0. */
  readonly limit?: number | undefined;
  /** Whether each frame stands once, in `frames`, and stacks are their numbers: what a program is to read again. */
  readonly compact?: boolean | undefined;
}

/**
 * The same report as text, a line for each call path, in blocks: a hundred thousand stacks are more than a string
 * may hold, and more than should be in memory at once.
 */
export function* jsonBlocks(
  profile: Profile,
  symbols: Symbols,
  { limit = 0, compact }: JsonOptions,
): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  const paths = jsonPaths(profile, limit);
  const frames: string[] = [];
  const texts = new Map<Frame, Uint8Array>();
  const frameText = (frame: Frame): Uint8Array => {
    let text = texts.get(frame);
    if (!text) {
      const named = symbols.frames(frame).map((named) => JSON.stringify(frameJson(named)));
      const shown = compact ? named.map((text) => frames.push(text) - 1) : named;
      texts.set(frame, text = encoder.encode(shown.join(",")));
    }
    return text;
  };
  const [comma, end] = [encoder.encode(","), encoder.encode("]}")];
  const out = new Blocks();
  const exact = { ...profile, totals: withDigits(profile.totals), threads: profile.threads.map(withDigits) };
  const head = headJson(exact, symbols, paths);
  out.put(encoder.encode(JSON.stringify(head, null, 1).replace(/\n\}$/, ',\n "allocations": [')));
  let between = "\n";
  for (const path of paths) {
    const figures = JSON.stringify(pathJson(withDigits(path), symbols.stack(path), profile.limits.interval));
    out.put(encoder.encode(`${between}${figures.slice(0, -1)},"stack":[`));
    between = ",\n";
    path.stack.forEach((frame, i) => {
      if (i > 0) out.put(comma);
      out.put(frameText(frame));
    });
    out.put(end);
    if (out.isFull) yield out.take();
  }
  out.put(encoder.encode(compact ? `\n],\n "frames": [\n${frames.join(",\n")}\n]}\n` : "\n]}\n"));
  yield out.take();
}

/** A run that is compared. */
function runJson({ title, totals, limits }: Comparison["before"]) {
  const { peak_bytes, live_bytes, ...rest } = figuresJson(totals);
  const known = limits.mode !== "totals";
  return {
    title,
    ...rest,
    peak_bytes: known ? peak_bytes : null,
    live_bytes: known ? live_bytes : null,
    interval_bytes: limits.interval || null,
  };
}

/** Figures of a run that is compared. */
function figuresJson(f: RunFigures) {
  return {
    allocations: f.allocations,
    bytes: f.bytes,
    peak_bytes: f.peakBytes,
    live_bytes: f.liveBytes,
    temporary: f.temporary,
  };
}

/**
 * A comparison as a value: totals of both runs, and the call paths that differ, worst growth first; in their place
 * groups, when these are given.
 *
 * @example
 * ```ts
 * import { compare, comparisonJson, readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * console.log(comparisonJson(compare(run, run), 0).same);
 * ```
 */
export function comparisonJson(
  comparison: Comparison,
  limit: number,
  groups?: { readonly what: string; readonly rows: readonly ComparedGroup[] },
): ComparisonJson {
  const { before, after, sameProgram, paths, unchanged } = comparison;
  const shown = <T>(rows: readonly T[]) => limit > 0 ? rows.slice(0, limit) : rows;
  const change = (of: Change) => ({ before: figuresJson(of.before), after: figuresJson(of.after) });
  return {
    version: JSON_VERSION,
    before: runJson(before),
    after: runJson(after),
    same_program: sameProgram,
    same: unchanged.length,
    ...groups
      ? {
        group_by: groups.what,
        groups: shown(groups.rows).map(({ name, state, self, inclusive }) => ({
          state,
          name,
          self: change(self),
          inclusive: change(inclusive),
        })),
      }
      : {
        paths: shown(paths).map((path) => ({
          state: path.state,
          function: path.culprit.function,
          file: path.culprit.file,
          line: path.culprit.line,
          stack: path.names,
          ...change(path),
        })),
      },
  };
}

/** The shape of {@linkcode comparisonJson}. */
export interface ComparisonJson {
  /** {@linkcode JSON_VERSION}. */
  readonly version: number;
  /** Title and totals of the earlier run. */
  readonly before: JsonRecord;
  /** Title and totals of the later run. */
  readonly after: JsonRecord;
  /** Whether both are of one program, as far as can be told. */
  readonly same_program: boolean;
  /** Call paths that are the same in both. */
  readonly same: number;
  /** Call paths that differ: state (both, new, gone), place, stack from the innermost name, figures before and after. Not with groups. */
  readonly paths?: readonly Readonly<Record<string, string | number | readonly string[] | JsonRecord>>[];
  /** What the call paths were put together by. */
  readonly group_by?: string;
  /** Groups that differ: state, name, and figures before and after, of their own and inclusive. */
  readonly groups?: readonly {
    readonly state: string;
    readonly name: string;
    readonly self: Readonly<Record<"before" | "after", JsonRecord>>;
    readonly inclusive: Readonly<Record<"before" | "after", JsonRecord>>;
  }[];
}
