/** The figures of call paths: sums over the records that threads have of them. */
import { CONSTANTS } from "../file/layout.ts";
import type { Snapshot } from "../file/reader.ts";
import { asCounters } from "./figures.ts";
import type { PathCounters, Sizes, ThreadShare } from "./profile.ts";

/** Mean bytes between two recorded blocks, as a header has it: more than a library takes is damage. */
export function intervalOf(number: number): number {
  return number <= LONGEST_INTERVAL ? number : 0;
}

const LONGEST_INTERVAL = 2 ** 30;

const PLAIN = "allocations bytes frees temporary reallocations carried live_bytes moved moved_bytes".split(" ");

/** What every call path has, by its number. */
export class PathSums {
  /** Numbers below this are in use. */
  readonly count: number;
  readonly #sums: Readonly<Record<string, Float64Array>>;
  readonly #sizes: SizeSums | undefined;
  /** The sums of paths that numbers do not hold. */
  readonly #exact: ReadonlyMap<number, Readonly<Record<string, bigint>>>;

  /** Of all threads, or of those with these record numbers. */
  constructor(snapshot: Snapshot, peakIsNow: boolean, threads?: ReadonlySet<number>) {
    const limit = pagesOf(snapshot) * CONSTANTS.PAGE_RECORDS;
    const header = (field: string) => snapshot.header.number(0, field);
    this.count = Math.min(header("buckets_used"), header("buckets"), limit + 1);
    this.#sums = sumPaths(snapshot, this.count, peakIsNow, threads);
    const sampled = intervalOf(header("interval")) > 0;
    this.#exact = sampled ? new Map() : exactSums(snapshot, this.#sums, this.count, threads);
    const kept = header("sizes");
    this.#sizes = kept === CONSTANTS.SIZES_OFF || snapshot.sections.sizes.length < snapshot.sections.paths.length
      ? undefined
      : sumSizes(snapshot, this.count, kept === CONSTANTS.SIZES_SLACK, threads);
  }

  /** A call path's sizes; undefined when they were not recorded. */
  sizes(id: number): Sizes | undefined {
    if (!this.#sizes) return undefined;
    const { requests, slack } = this.#sizes;
    const at = id * CONSTANTS.SIZE_CLASSES;
    return { requests: [...requests.subarray(at, at + CONSTANTS.SIZE_CLASSES)], slack: slack?.[id] };
  }

  /** Whether anything was counted for a call path. */
  isUsed(id: number): boolean {
    return this.#sums.allocations?.[id] !== 0 || this.#sums.frees?.[id] !== 0;
  }

  /** The figures of a call path. */
  figures(id: number): PathCounters {
    const number = (name: string) => this.#sums[name]?.[id] ?? 0;
    if (this.#sums.variance) {
      const whole = countersOf((name) => Math.round(number(name)));
      return { ...whole, variance: number("variance") };
    }
    const exact = this.#exact.get(id);
    const figures = countersOf(number);
    return exact ? { ...figures, ...asCounters(countersOf, number, (name) => exact[name] ?? 0n) } : figures;
  }
}

/** Blocks are counted in parts where not all are recorded. */
const IN_PARTS = new Set(["allocations", "frees", "temporary", "reallocations", "moved", "peak_count"]);

/**
 * The fields of path records as numbers of what they mean: of a sampled recording blocks, not parts of them, and what stands where
 * others have `carried` as the variance of the blocks.
 */
function columnsOf(snapshot: Snapshot, peakIsNow: boolean): Record<string, (record: number) => number> {
  const { paths } = snapshot.sections;
  const columns: Record<string, (record: number) => number> = {
    ...Object.fromEntries(PLAIN.map((name) => [name, paths.column(name)])),
    ...atPeak(snapshot, peakIsNow),
  };
  if (intervalOf(snapshot.header.number(0, "interval")) === 0) return columns;
  for (const [name, column] of Object.entries(columns)) {
    if (IN_PARTS.has(name)) columns[name] = (record) => column(record) / CONSTANTS.SAMPLED_PARTS;
  }
  const words = [paths.half("carried", 0), paths.half("carried", 1)] as const;
  columns.variance = (record) => {
    const high = words[1](record);
    return ((high & 0xfffff) * 2 ** 32 + words[0](record)) * 2 ** ((high >>> 20) - 20);
  };
  columns.carried = () => 0;
  return columns;
}

/** Figures from what a record, or the sum of several, has of each field. */
function countersOf(n: (field: string) => number): PathCounters {
  return {
    allocations: n("allocations"),
    bytes: n("bytes"),
    frees: n("frees"),
    freedBytes: n("bytes") + n("carried") - n("moved_bytes") - n("live_bytes"),
    reallocations: n("reallocations"),
    carried: n("carried"),
    temporary: n("temporary"),
    liveBytes: n("live_bytes"),
    liveCount: n("allocations") - n("frees") - n("moved"),
    peakBytes: n("peak_bytes"),
    peakCount: n("peak_count"),
  };
}

/** The sums of call paths that have one above 2^53, with all their digits. */
function exactSums(
  snapshot: Snapshot,
  sums: Readonly<Record<string, Float64Array>>,
  paths: number,
  threads: ReadonlySet<number> | undefined,
): ReadonlyMap<number, Readonly<Record<string, bigint>>> {
  const exact = new Map<number, Record<string, bigint>>();
  for (const name of PLAIN) {
    sums[name]?.forEach((sum, id) => {
      if (Math.abs(sum) > Number.MAX_SAFE_INTEGER) exact.set(id, Object.fromEntries(PLAIN.map((field) => [field, 0n])));
    });
  }
  if (exact.size === 0) return exact;
  eachRecord(snapshot, paths, threads, (record, path) => {
    const sum = exact.get(path);
    if (sum) { for (const name of PLAIN) sum[name] = (sum[name] ?? 0n) + snapshot.sections.paths.exact(record, name); }
  });
  return exact;
}

/** What a record had live at the peak: what it saved then, or what it has, when it has not changed since. */
function atPeak(snapshot: Snapshot, peakIsNow: boolean): Readonly<Record<string, (record: number) => number>> {
  const { paths } = snapshot.sections;
  const [seen, bytes, count] = [paths.column("peak_seen"), paths.column("peak_bytes"), paths.column("peak_count")];
  const [allocations, frees, moved] = [paths.column("allocations"), paths.column("frees"), paths.column("moved")];
  const live = paths.column("live_bytes");
  const peakNumber = snapshot.header.number(0, "peak_number");
  const saved = (record: number) => !peakIsNow && seen(record) === peakNumber;
  return {
    peak_bytes: (record) => saved(record) ? bytes(record) : live(record),
    peak_count: (record) => saved(record) ? count(record) : allocations(record) - frees(record) - moved(record),
  };
}

/** The part of each call path, by its number, that each thread has: a record each. */
export function threadShares(snapshot: Snapshot, paths: number, peakIsNow: boolean): Map<number, ThreadShare[]> {
  const { owners } = snapshot.sections;
  const columns = columnsOf(snapshot, peakIsNow);
  const owner = owners.column("thread");
  const shares = new Map<number, ThreadShare[]>();
  eachRecord(snapshot, paths, undefined, (record, path) => {
    const figures = countersOf((name) => Math.round(columns[name]?.(record) ?? 0));
    if (figures.allocations === 0 && figures.frees === 0 && figures.liveBytes === 0) return;
    const thread = owner(Math.floor(record / CONSTANTS.PAGE_RECORDS)) - 1;
    const known = shares.get(path);
    if (known) known.push({ thread, ...figures });
    else shares.set(path, [{ thread, ...figures }]);
  });
  return shares;
}

/** Pages of records: no more than the file has records for, whatever it says. */
function pagesOf({ sections: { owners, paths } }: Snapshot): number {
  return Math.min(owners.length, Math.floor(paths.length / CONSTANTS.PAGE_RECORDS));
}

/** The records in use: each with the call path that it counts for. */
function eachRecord(
  snapshot: Snapshot,
  paths: number,
  threads: ReadonlySet<number> | undefined,
  visit: (record: number, path: number) => void,
): void {
  const { owners } = snapshot.sections;
  const owner = owners.column("thread");
  const firstOf = owners.column("first");
  for (let page = 0; page < pagesOf(snapshot); page++) {
    if (owner(page) === 0 || (threads && !threads.has(owner(page) - 1))) continue;
    const first = firstOf(page);
    for (let i = 0; i < CONSTANTS.PAGE_RECORDS && first + i < paths; i++) {
      visit(page * CONSTANTS.PAGE_RECORDS + i, first + i);
    }
  }
}

interface SizeSums {
  readonly requests: Float64Array;
  readonly slack: Float64Array | undefined;
}

function sumSizes(
  snapshot: Snapshot,
  paths: number,
  hasSlack: boolean,
  threads: ReadonlySet<number> | undefined,
): SizeSums {
  const { sizes } = snapshot.sections;
  const classes = CONSTANTS.SIZE_CLASSES;
  const requests = new Float64Array(paths * classes);
  const slack = new Float64Array(paths);
  const slackOf = sizes.column("slack");
  const requestsOf = Array.from({ length: classes }, (_, i) => sizes.column("requests", i));
  eachRecord(snapshot, paths, threads, (record, path) => {
    slack[path] = (slack[path] ?? 0) + slackOf(record);
    requestsOf.forEach((column, i) => {
      const at = path * classes + i;
      requests[at] = (requests[at] ?? 0) + column(record);
    });
  });
  return { requests, slack: hasSlack ? slack : undefined };
}

function sumPaths(
  snapshot: Snapshot,
  paths: number,
  peakIsNow: boolean,
  threads: ReadonlySet<number> | undefined,
): Record<string, Float64Array> {
  const columns = Object.entries(columnsOf(snapshot, peakIsNow)).map(([name, column]) => ({
    name,
    column,
    sum: new Float64Array(paths),
  }));
  eachRecord(snapshot, paths, threads, (record, path) => {
    for (const { column, sum } of columns) sum[path] = (sum[path] ?? 0) + column(record);
  });
  return Object.fromEntries(columns.map(({ name, sum }) => [name, sum]));
}
