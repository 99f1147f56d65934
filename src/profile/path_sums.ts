/** The figures of call paths: sums over the records that threads have of them. */
import { CONSTANTS, LAYOUT } from "../file/layout.ts";
import type { Snapshot } from "../file/reader.ts";
import { giveBuffer, takeBuffer } from "./buffers.ts";
import { asCounters } from "./figures.ts";
import type { Counters, Lifetimes, PathCounters, Sizes, ThreadShare } from "./profile.ts";
import type { SortBy } from "./select.ts";

/** Mean bytes between two recorded blocks, as a header has it: more than a library takes is damage. */
export function intervalOf(number: number): number {
  return number <= LONGEST_INTERVAL ? number : 0;
}

const LONGEST_INTERVAL = 2 ** 30;

/** Fields of a path record that are added up over threads, in the order in which sums have them. */
const FIELDS = [
  "allocations",
  "bytes",
  "frees",
  "temporary",
  "reallocations",
  "carried",
  "live_bytes",
  "moved",
  "moved_bytes",
] as const;
type Field = (typeof FIELDS)[number];
const WIDTH = 9;
const ALLOCATIONS = 0,
  BYTES = 1,
  FREES = 2,
  TEMPORARY = 3,
  REALLOCATIONS = 4,
  CARRIED = 5,
  LIVE = 6,
  MOVED = 7,
  MOVED_BYTES = 8;

/** The field that call paths are sorted by, -1 for the peak's bytes. */
const FIELD_OF: Readonly<Record<SortBy, number>> = {
  size: BYTES,
  count: ALLOCATIONS,
  live: LIVE,
  peak: -1,
  temporary: TEMPORARY,
};

/** Figures of several call paths, a column of each, in the order of the paths. */
export type FigureColumns = Readonly<
  Record<
    "allocations" | "bytes" | "peakCount" | "peakBytes" | "liveCount" | "liveBytes" | "temporary",
    readonly number[]
  >
>;

/** Sums of path records, by the numbers of their call paths. */
interface Sums {
  /** {@linkcode FIELDS} of each path, side by side. In a sampled recording the variance of its blocks is where others have `carried`. */
  readonly fields: Float64Array;
  /** Bytes and blocks that each path had live at the peak. */
  readonly peaks: Float64Array;
  /** Whether not all blocks are recorded. */
  readonly sampled: boolean;
  /** Sums of paths that numbers do not hold. */
  readonly exact: ReadonlyMap<number, Readonly<Record<Field, bigint>>>;
  readonly beside: BesideSums;
}

/** The sums of records at an earlier moment, as they stand there, in as little memory as they need: scripts keep many. */
export interface EarlierSums {
  readonly count: number;
  /** The lower 32 bits of {@linkcode FIELDS}. */
  readonly lower: Uint32Array;
  /** What they are above that, multiples of 2^32, by where they stand; what is not there is nothing. */
  readonly upper: ReadonlyMap<number, number>;
  readonly beside: BesideSums;
}

/** What records have now, to be taken away from later sums: of all threads, or of those with these record numbers. */
export function earlierSums(snapshot: Snapshot, threads?: ReadonlySet<number>): EarlierSums {
  const count = pathsOf(snapshot);
  const lower = new Uint32Array(count * WIDTH);
  const upper = new Map<number, number>();
  const words = wordsOf(snapshot);
  const filled = new Uint8Array(count);
  eachPage(snapshot, count, threads, (record, path, paths) => {
    // Mostly a call path has one record, and no figure has more than 32 bits.
    if (filled[path] || copyRecords(words, record, paths, lower, path)) {
      addLarge(words, record, paths, lower, upper, path, !filled[path]);
    }
    filled.fill(1, path, path + paths);
  });
  return { count, lower, upper, beside: besideOf(snapshot, count, threads) };
}

/** The moment that figures are of: seconds since the recording began, and the process's allocations. */
export interface Now {
  readonly seconds: number;
  readonly allocations: number;
}

/** Bytes that a call path had in use at an earlier moment. */
export function earlierLive({ count, lower, upper }: EarlierSums, id: number): number {
  const at = id * WIDTH + LIVE;
  return id < count ? (lower[at] as number) + (upper.size > 0 ? upper.get(at) ?? 0 : 0) : 0;
}

/** What every call path has, by its number. */
export class PathSums {
  /** Numbers below this are in use. */
  readonly count: number;
  #sums: Sums;
  readonly #slackKnown: boolean;

  private constructor(count: number, sums: Sums, slackKnown: boolean) {
    this.count = count;
    this.#sums = sums;
    this.#slackKnown = slackKnown;
  }

  /** Of all threads, or of those with these record numbers. It yields where it may wait, if nothing writes in the snapshot meanwhile. */
  static *of(snapshot: Snapshot, peakIsNow: boolean, threads?: ReadonlySet<number>): Generator<undefined, PathSums> {
    const count = pathsOf(snapshot);
    const beside = besideOf(snapshot, count, threads);
    const slackKnown = snapshot.header.number(0, "sizes") === CONSTANTS.SIZES_SLACK;
    return new PathSums(count, { ...yield* sumPaths(snapshot, count, peakIsNow, threads), beside }, slackKnown);
  }

  /**
   * Takes away what was counted up to an earlier moment of the same recording: counts and bytes are differences then. The peak is the
   * process's: of a path what it had live then above what it had live at the earlier moment when the peak is a later one, else 0.
   */
  startAt(then: EarlierSums, newPeak: boolean): void {
    const { fields, peaks, sampled, exact, beside } = this.#sums;
    const paths = Math.min(this.count, then.count);
    const whole = new Map(
      [...exact].map(([id, sums]) => [
        id,
        Object.fromEntries(FIELDS.map((field) => {
          const at = id * WIDTH + FIELDS.indexOf(field);
          const known = id < paths ? BigInt(then.lower[at] as number) + BigInt(then.upper.get(at) ?? 0) : 0n;
          return [field, sums[field] - known];
        })) as Record<Field, bigint>,
      ]),
    );
    if (!newPeak) peaks.fill(0);
    const takeAway = (at: number, words: number) => {
      const [id, field] = [Math.floor(at / WIDTH), at % WIDTH];
      // How far an estimate may be off does not shrink with what it is compared with.
      if (sampled && field === CARRIED) return;
      const value = sampled && IN_PARTS.has(FIELDS[field] as Field) ? words / CONSTANTS.SAMPLED_PARTS : words;
      fields[at] = (fields[at] as number) - value;
      if (!newPeak) return;
      const blocks = field === ALLOCATIONS ? 1 : field === FREES || field === MOVED ? -1 : 0;
      if (field === LIVE) peaks[2 * id] = (peaks[2 * id] as number) - value;
      else if (blocks !== 0) peaks[2 * id + 1] = (peaks[2 * id + 1] as number) - blocks * value;
    };
    const { lower } = then;
    if (sampled) lower.subarray(0, paths * WIDTH).forEach((words, at) => takeAway(at, words));
    else takeLower(fields, newPeak ? peaks : undefined, lower, paths);
    for (const [at, words] of then.upper) if (at < paths * WIDTH) takeAway(at, words);
    this.#sums = { fields, peaks, sampled, exact: whole, beside: lessBeside(beside, then.beside) };
  }

  /** Gives the memory back, after the last look at these figures. */
  release(): void {
    giveBuffer(this.#sums.fields);
    giveBuffer(this.#sums.peaks);
    this.#sums = { ...this.#sums, fields: new Float64Array(), peaks: new Float64Array() };
  }

  /** A call path's sizes; undefined when they were not recorded. */
  sizes(id: number): Sizes | undefined {
    const { sizes } = this.#sums.beside;
    if (!sizes) return undefined;
    const fields = besideFields("sizes", sizes, id);
    return { requests: fields("requests"), slack: this.#slackKnown ? fields("slack")[0] : undefined };
  }

  /** How long a call path's blocks lived; undefined when that was not recorded. Of live ones where it is known what the time is. */
  lifetimes(id: number, now: Now | undefined): Lifetimes | undefined {
    const { lifetimes } = this.#sums.beside;
    if (!lifetimes) return undefined;
    const fields = besideFields("lifetimes", lifetimes, id);
    const [time = 0, allocations = 0, live = 0, bornTime = 0, bornAllocations = 0] = [
      ...["time", "allocations", "live", "born_time", "born_allocations"].flatMap(fields),
    ];
    return {
      byTime: fields("by_time"),
      byAllocations: fields("by_allocations"),
      seconds: time / 1e6,
      allocations,
      live: now && {
        blocks: live,
        seconds: Math.max(0, live * now.seconds - bornTime / 1e6),
        allocations: Math.max(0, live * now.allocations - bornAllocations),
      },
    };
  }

  /** The numbers of the call paths for which anything was counted. */
  used(): Uint32Array {
    const { fields } = this.#sums;
    const used = new Uint32Array(this.count);
    let n = 0;
    for (let id = 0; id < this.count; id++) {
      const at = id * WIDTH;
      if (fields[at + ALLOCATIONS] !== 0 || fields[at + FREES] !== 0 || fields[at + LIVE] !== 0) used[n++] = id;
    }
    return used.subarray(0, n);
  }

  /** Blocks that all call paths had live at the peak. */
  peakCount(): number {
    const { peaks } = this.#sums;
    let sum = 0;
    for (let at = 1; at < 2 * this.count; at += 2) sum += peaks[at] as number;
    return Math.round(sum);
  }

  /** One figure of a call path, for a choice among many; in a sampled recording not rounded. */
  figure(id: number, figure: SortBy): number {
    const { fields, peaks } = this.#sums;
    const field = FIELD_OF[figure];
    return (field < 0 ? peaks[2 * id] : fields[id * WIDTH + field]) ?? 0;
  }

  /** Whether a call path has other figures than in earlier sums of the same recording, the peak's too. */
  differs(id: number, then: PathSums): boolean {
    if (id >= then.count) return true;
    const [now, before] = [this.#sums, then.#sums];
    for (let at = id * WIDTH; at < (id + 1) * WIDTH; at++) if (now.fields[at] !== before.fields[at]) return true;
    return now.peaks[2 * id] !== before.peaks[2 * id] || now.peaks[2 * id + 1] !== before.peaks[2 * id + 1];
  }

  /** Figures of call paths side by side: of many at once no object is made of each. */
  columns(ids: Uint32Array): FigureColumns {
    const { fields, peaks, sampled } = this.#sums;
    const whole = (n = 0) => sampled ? Math.round(n) : n;
    const field = (id: number, field: number) => whole(fields[id * WIDTH + field]);
    const column = (of: (id: number) => number) => {
      const column: number[] = [];
      for (let i = 0; i < ids.length; i++) column.push(of(ids[i] as number));
      return column;
    };
    return {
      allocations: column((id) => field(id, ALLOCATIONS)),
      bytes: column((id) => field(id, BYTES)),
      peakCount: column((id) => whole(peaks[2 * id + 1])),
      peakBytes: column((id) => whole(peaks[2 * id])),
      liveCount: column((id) => field(id, ALLOCATIONS) - field(id, FREES) - field(id, MOVED)),
      liveBytes: column((id) => field(id, LIVE)),
      temporary: column((id) => field(id, TEMPORARY)),
    };
  }

  /** The figures of a call path. */
  figures(id: number): PathCounters {
    return figuresOf(this.#sums, id);
  }
}

function figuresOf({ fields, peaks, sampled, exact }: Omit<Sums, "beside">, id: number): PathCounters {
  const at = id * WIDTH;
  const [peakBytes, peakCount] = [peaks[2 * id] ?? 0, peaks[2 * id + 1] ?? 0];
  if (sampled) {
    const whole = countersOf((field) => field === CARRIED ? 0 : Math.round(fields[at + field] ?? 0));
    const variance = fields[at + CARRIED] ?? 0;
    return { ...whole, peakBytes: Math.round(peakBytes), peakCount: Math.round(peakCount), variance };
  }
  const field = (field: number) => fields[at + field] ?? 0;
  const large = exact.size > 0 ? exact.get(id) : undefined;
  const figures = large ? asCounters(countersOf, field, (field) => large[FIELDS[field] as Field]) : countersOf(field);
  return Object.assign(figures, { peakBytes, peakCount });
}

/** Blocks are counted in parts where not all are recorded. */
const IN_PARTS = new Set<Field>(["allocations", "frees", "temporary", "reallocations", "moved"]);

/** Figures from what a record, or the sum of several, has of each field, by its number. */
function countersOf(n: (field: number) => number): Counters {
  const [allocations, bytes, frees, carried, liveBytes] = [n(ALLOCATIONS), n(BYTES), n(FREES), n(CARRIED), n(LIVE)];
  return {
    allocations,
    bytes,
    frees,
    freedBytes: bytes + carried - n(MOVED_BYTES) - liveBytes,
    reallocations: n(REALLOCATIONS),
    carried,
    temporary: n(TEMPORARY),
    liveBytes,
    liveCount: allocations - frees - n(MOVED),
  };
}

/** The sums of call paths that have one above 2^53, with all their digits. */
function exactSums(
  snapshot: Snapshot,
  sums: Float64Array,
  paths: number,
  threads: ReadonlySet<number> | undefined,
): Sums["exact"] {
  const exact = new Map<number, Record<Field, bigint>>();
  for (let at = 0; at < sums.length; at++) {
    if (Math.abs(sums[at] as number) <= Number.MAX_SAFE_INTEGER) continue;
    exact.set(Math.floor(at / WIDTH), Object.fromEntries(FIELDS.map((field) => [field, 0n])) as Record<Field, bigint>);
  }
  if (exact.size === 0) return exact;
  eachPage(snapshot, paths, threads, (record, path, count) => {
    for (let i = 0; i < count; i++) {
      const sum = exact.get(path + i);
      if (sum) { for (const name of FIELDS) sum[name] += snapshot.sections.paths.exact(record + i, name); }
    }
  });
  return exact;
}

/**
 * Words of a path record, and where its fields begin among them. They are written out: loops over a hundred thousand records, for which
 * a server waits that asks for a report of itself, take twice as long with numbers that the engine does not know when it compiles them.
 */
const STRIDE = 24;
const A = 0, B = 2, F = 4, T = 14, R = 16, C = 18, L = 6, M = 20, V = 22;
const SEEN = 8, PEAK_BYTES = 10, PEAK_COUNT = 12;
const PLACES = [A, B, F, T, R, C, L, M, V];
{
  const { size, fields } = LAYOUT.paths;
  const names = [...FIELDS, "peak_seen", "peak_bytes", "peak_count"];
  const places = [...PLACES, SEEN, PEAK_BYTES, PEAK_COUNT];
  const differs = names.findIndex((name, i) => fields[name]?.offset !== 4 * (places[i] ?? NaN));
  if (size !== 4 * STRIDE || FIELDS.length !== WIDTH || differs >= 0) {
    throw new TypeError(`path_sums.ts does not have the layout of path records: ${names[differs] ?? "their size"}`);
  }
}
/** Above this, in units of 2^32, a record's figure may come to more than 2^53 with those of 4,096 threads. */
const LARGE = 2 ** 9;

/** A word's weight when it is the upper half of a number. */
const UPPER = 4294967296;

/**
 * Adds so many records, from a number on, to the sums of as many paths, from `path` on. A server that asks for a report of its own process
 * waits for this loop, which therefore is written out. `peak` is the number of the peak under which what was live then was saved, -1 when the
 * peak is now. Returns whether a sum may be one that a number does not hold.
 */
function addRecords(
  w: Uint32Array,
  peak: number,
  record: number,
  count: number,
  fields: Float64Array,
  peaks: Float64Array,
  path: number,
): boolean {
  let highest = 0;
  for (let i = 0; i < count; i++) {
    const r = (record + i) * STRIDE;
    const [to, at] = [(path + i) * WIDTH, 2 * (path + i)];
    highest |= w[r + A + 1]! | w[r + B + 1]! | w[r + F + 1]! | w[r + C + 1]!;
    const allocations = w[r + A]! + w[r + A + 1]! * UPPER;
    const frees = w[r + F]! + w[r + F + 1]! * UPPER;
    const moved = w[r + M]! + w[r + M + 1]! * UPPER;
    const live = w[r + L]! + (w[r + L + 1]! | 0) * UPPER;
    fields[to] = fields[to]! + allocations;
    fields[to + 1] = fields[to + 1]! + (w[r + B]! + w[r + B + 1]! * UPPER);
    fields[to + 2] = fields[to + 2]! + frees;
    fields[to + 3] = fields[to + 3]! + (w[r + T]! + w[r + T + 1]! * UPPER);
    fields[to + 4] = fields[to + 4]! + (w[r + R]! + w[r + R + 1]! * UPPER);
    fields[to + 5] = fields[to + 5]! + (w[r + C]! + w[r + C + 1]! * UPPER);
    fields[to + 6] = fields[to + 6]! + live;
    fields[to + 7] = fields[to + 7]! + moved;
    fields[to + 8] = fields[to + 8]! + (w[r + V]! + (w[r + V + 1]! | 0) * UPPER);
    // What it saved at the peak, or what it has, when it has not changed since.
    const saved = w[r + SEEN]! + w[r + SEEN + 1]! * UPPER === peak;
    peaks[at] = peaks[at]! + (saved ? w[r + PEAK_BYTES]! + (w[r + PEAK_BYTES + 1]! | 0) * UPPER : live);
    peaks[at + 1] = peaks[at + 1]! +
      (saved ? w[r + PEAK_COUNT]! + (w[r + PEAK_COUNT + 1]! | 0) * UPPER : allocations - frees - moved);
  }
  return highest < 0 || highest >= LARGE;
}

/** Takes the lower halves of earlier sums away from later ones. */
function takeLower(fields: Float64Array, peaks: Float64Array | undefined, lower: Uint32Array, paths: number): void {
  for (let at = 0; at < paths * WIDTH; at++) fields[at] = fields[at]! - lower[at]!;
  for (let id = 0; peaks && id < paths; id++) {
    const at = id * WIDTH;
    peaks[2 * id] = peaks[2 * id]! - lower[at + LIVE]!;
    peaks[2 * id + 1] = peaks[2 * id + 1]! - (lower[at + ALLOCATIONS]! - lower[at + FREES]! - lower[at + MOVED]!);
  }
}

/** Copies the lower halves of records, of paths that have nothing yet; returns whether any has an upper one. */
function copyRecords(w: Uint32Array, record: number, count: number, lower: Uint32Array, path: number): boolean {
  let upper = 0;
  for (let i = 0; i < count; i++) {
    const r = (record + i) * STRIDE;
    const to = (path + i) * WIDTH;
    upper |= w[r + A + 1]! | w[r + B + 1]! | w[r + F + 1]! | w[r + T + 1]! | w[r + R + 1]! | w[r + C + 1]! |
      w[r + L + 1]! | w[r + M + 1]! | w[r + V + 1]!;
    lower[to] = w[r + A]!;
    lower[to + 1] = w[r + B]!;
    lower[to + 2] = w[r + F]!;
    lower[to + 3] = w[r + T]!;
    lower[to + 4] = w[r + R]!;
    lower[to + 5] = w[r + C]!;
    lower[to + 6] = w[r + L]!;
    lower[to + 7] = w[r + M]!;
    lower[to + 8] = w[r + V]!;
  }
  return upper !== 0;
}

/** Adds records, with what they are above 32 bits; `copied` when their lower halves are there. */
function addLarge(
  words: Uint32Array,
  record: number,
  count: number,
  lower: Uint32Array,
  upper: Map<number, number>,
  path: number,
  copied: boolean,
): void {
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < WIDTH; k++) {
      const from = (record + i) * STRIDE + (PLACES[k] as number);
      const at = (path + i) * WIDTH + k;
      const sum = copied ? words[from] as number : (lower[at] as number) + (words[from] as number);
      lower[at] = sum;
      const word = words[from + 1] as number;
      const more = (k === LIVE || k === MOVED_BYTES ? word | 0 : word) + Math.floor(sum / UPPER);
      if (more !== 0) upper.set(at, (upper.get(at) ?? 0) + more * UPPER);
    }
  }
}

/** Makes blocks of the parts of them that a sampled recording has. */
function toEstimates({ fields, peaks }: Pick<Sums, "fields" | "peaks">): void {
  const inParts = FIELDS.map((field) => IN_PARTS.has(field));
  for (let at = 0; at < fields.length; at++) {
    if (inParts[at % WIDTH]) fields[at] = (fields[at] as number) / CONSTANTS.SAMPLED_PARTS;
    else if (at % WIDTH === CARRIED) fields[at] = 0;
  }
  for (let at = 1; at < peaks.length; at += 2) peaks[at] = (peaks[at] as number) / CONSTANTS.SAMPLED_PARTS;
}

/** Adds the variances of blocks, which a sampled recording has where others have what was carried. */
function addVariances(words: Uint32Array, record: number, count: number, fields: Float64Array, path: number): void {
  for (let i = 0; i < count; i++) {
    const from = (record + i) * STRIDE + C;
    const [lower, upper] = [words[from] as number, words[from + 1] as number];
    const at = (path + i) * WIDTH + CARRIED;
    fields[at] = (fields[at] as number) + ((upper & 0xfffff) * UPPER + lower) * 2 ** ((upper >>> 20) - 20);
  }
}

/** The part of each call path, by its number, that each thread has: a record each. */
export function threadShares(snapshot: Snapshot, paths: number, peakIsNow: boolean): Map<number, ThreadShare[]> {
  const [words, peak] = [wordsOf(snapshot), peakIsNow ? -1 : snapshot.header.number(0, "peak_number")];
  const sampled = isSampled(snapshot);
  const shares = new Map<number, ThreadShare[]>();
  eachPage(snapshot, paths, undefined, (record, path, count, thread) => {
    const page = { fields: new Float64Array(count * WIDTH), peaks: new Float64Array(2 * count) };
    addRecords(words, peak, record, count, page.fields, page.peaks, 0);
    if (sampled) toEstimates(page);
    for (let i = 0; i < count; i++) {
      const { variance: _, ...figures } = figuresOf({ ...page, sampled, exact: new Map() }, i);
      if (figures.allocations === 0 && figures.frees === 0 && figures.liveBytes === 0) continue;
      const known = shares.get(path + i);
      if (known) known.push({ thread, ...figures });
      else shares.set(path + i, [{ thread, ...figures }]);
    }
  });
  return shares;
}

/**
 * What moments keep of each call path, side by side: see MOMENT_FIELDS of src/file/moments.ts. Whoever looks on does this again and again: the
 * loop is written out.
 */
export function momentSums(snapshot: Pick<Snapshot, "header"> & Owned): Float64Array<ArrayBuffer> {
  const paths = pathsOf(snapshot);
  const sums = new Float64Array(4 * paths);
  const w = wordsOf(snapshot);
  const sampled = isSampled(snapshot);
  eachPage(snapshot, paths, undefined, (record, path, count) => {
    for (let i = 0; i < count; i++) {
      const r = (record + i) * STRIDE;
      const to = 4 * (path + i);
      const allocations = w[r + A]! + w[r + A + 1]! * UPPER;
      const frees = w[r + F]! + w[r + F + 1]! * UPPER;
      const live = w[r + L]! + (w[r + L + 1]! | 0) * UPPER;
      if (allocations === 0 && frees === 0 && live === 0) continue;
      sums[to] = sums[to]! + allocations;
      sums[to + 1] = sums[to + 1]! + w[r + B]! + w[r + B + 1]! * UPPER;
      sums[to + 2] = sums[to + 2]! + live;
      sums[to + 3] = sums[to + 3]! + allocations - frees - w[r + M]! - w[r + M + 1]! * UPPER;
    }
  });
  for (let at = 0; sampled && at < sums.length; at += 4) {
    sums[at] = Math.round(sums[at]! / CONSTANTS.SAMPLED_PARTS);
    sums[at + 3] = Math.round(sums[at + 3]! / CONSTANTS.SAMPLED_PARTS);
  }
  return sums;
}

/** The sections that figures of call paths are in. */
type Owned = { readonly sections: Pick<Snapshot["sections"], "owners" | "paths"> };

/** Numbers of call paths that are in use: below this. */
function pathsOf(snapshot: Pick<Snapshot, "header"> & Owned): number {
  const header = (field: string) => snapshot.header.number(0, field);
  return Math.min(header("buckets_used"), header("buckets"), pagesOf(snapshot) * CONSTANTS.PAGE_RECORDS + 1);
}

/** Pages of records: no more than the file has records for, whatever it says. */
function pagesOf({ sections: { owners, paths } }: Owned): number {
  return Math.min(owners.length, Math.floor(paths.length / CONSTANTS.PAGE_RECORDS));
}

/** The pages in use: their first records, the call paths that those count for, and how many. */
function eachPage(
  snapshot: Owned,
  paths: number,
  threads: ReadonlySet<number> | undefined,
  visit: (record: number, path: number, count: number, thread: number) => void,
): void {
  const { owners } = snapshot.sections;
  const owner = owners.column("thread");
  const firstOf = owners.column("first");
  for (let page = 0; page < pagesOf(snapshot); page++) {
    const thread = owner(page) - 1;
    if (thread < 0 || (threads && !threads.has(thread))) continue;
    const first = firstOf(page);
    const count = Math.min(CONSTANTS.PAGE_RECORDS, paths - first);
    if (count > 0) visit(page * CONSTANTS.PAGE_RECORDS, first, count, thread);
  }
}

/** Sections whose records lie beside those of call paths. */
const BESIDE = ["sizes", "lifetimes"] as const;

/** Sums of such records, their 64-bit words side by side, by the numbers of call paths; undefined of what was not recorded. */
type BesideSums = Readonly<Record<(typeof BESIDE)[number], Float64Array | undefined>>;

function besideOf(snapshot: Snapshot, paths: number, threads: ReadonlySet<number> | undefined): BesideSums {
  const sumsOf = (name: (typeof BESIDE)[number]) => {
    const { raw, length } = snapshot.sections[name];
    if (length === 0 || length < snapshot.sections.paths.length) return undefined;
    const words = new Uint32Array(raw.buffer, raw.byteOffset, raw.byteLength >>> 2);
    const width = LAYOUT[name].size / 8;
    const sums = new Float64Array(paths * width);
    eachPage(snapshot, paths, threads, (record, path, count) => {
      const [from, to] = [2 * record * width, path * width];
      for (let i = 0; i < count * width; i++) {
        sums[to + i] = sums[to + i]! + words[from + 2 * i]! + (words[from + 2 * i + 1]! | 0) * UPPER;
      }
    });
    return sums;
  };
  return { sizes: sumsOf("sizes"), lifetimes: sumsOf("lifetimes") };
}

function lessBeside(now: BesideSums, then: BesideSums): BesideSums {
  const less = (a: Float64Array | undefined, b: Float64Array | undefined) => a?.map((n, i) => n - (b?.[i] ?? 0));
  return { sizes: less(now.sizes, then.sizes), lifetimes: less(now.lifetimes, then.lifetimes) };
}

/** What a call path has of a field, or of each of a field's elements. */
function besideFields(name: (typeof BESIDE)[number], sums: Float64Array, id: number): (field: string) => number[] {
  const { size, fields } = LAYOUT[name];
  return (field) => {
    const { offset = 0, count = 1 } = fields[field] ?? {};
    const at = (id * size + offset) / 8;
    return [...sums.subarray(at, at + count)];
  };
}

/** Pages of records that are added up before it may wait: some tenths of a millisecond. */
const AT_ONCE = 4096 / CONSTANTS.PAGE_RECORDS;

function* sumPaths(
  snapshot: Snapshot,
  paths: number,
  peakIsNow: boolean,
  threads: ReadonlySet<number> | undefined,
): Generator<undefined, Omit<Sums, "beside">> {
  const sums = { fields: takeBuffer(paths * WIDTH), peaks: takeBuffer(2 * paths) };
  const [words, peak] = [wordsOf(snapshot), peakIsNow ? -1 : snapshot.header.number(0, "peak_number")];
  const sampled = isSampled(snapshot);
  const pages: (readonly [record: number, path: number, count: number])[] = [];
  eachPage(snapshot, paths, threads, (record, path, count) => pages.push([record, path, count]));
  let large = false;
  for (const [i, [record, path, count]] of pages.entries()) {
    if (i % AT_ONCE === 0) yield;
    large = addRecords(words, peak, record, count, sums.fields, sums.peaks, path) || large;
  }
  if (sampled) {
    toEstimates(sums);
    for (const [record, path, count] of pages) addVariances(words, record, count, sums.fields, path);
  }
  const exact = large && !sampled ? exactSums(snapshot, sums.fields, paths, threads) : new Map();
  return { ...sums, sampled, exact };
}

function isSampled(snapshot: Pick<Snapshot, "header">): boolean {
  return intervalOf(snapshot.header.number(0, "interval")) > 0;
}

function wordsOf({ sections: { paths: { raw } } }: Owned): Uint32Array {
  return new Uint32Array(raw.buffer, raw.byteOffset, raw.byteLength >>> 2);
}
