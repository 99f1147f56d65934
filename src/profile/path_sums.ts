/** The figures of call paths: sums over the records that threads have of them. */
import { CONSTANTS } from "../recording/layout.ts";
import type { Snapshot } from "../recording/reader.ts";
import type { PathCounters, Sizes } from "./profile.ts";

const PLAIN = "allocations bytes frees temporary reallocations carried live_bytes moved moved_bytes".split(" ");

/** What every call path has, by its number. */
export class PathSums {
  /** Numbers below this are in use. */
  readonly count: number;
  readonly #sums: Readonly<Record<string, Float64Array>>;
  readonly #sizes: SizeSums | undefined;

  /** Of all threads, or of those with these record numbers. */
  constructor(snapshot: Snapshot, peakIsNow: boolean, threads?: ReadonlySet<number>) {
    const limit = snapshot.sections.owners.length * CONSTANTS.PAGE_RECORDS;
    const header = (field: string) => snapshot.header.number(0, field);
    this.count = Math.min(header("buckets_used"), header("buckets"), limit + 1);
    this.#sums = sumPaths(snapshot, this.count, peakIsNow, threads);
    const kept = header("sizes");
    this.#sizes = kept === CONSTANTS.SIZES_OFF
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

  /** The figures of a call path. */
  figures(id: number): PathCounters {
    const n = (name: string) => this.#sums[name]?.[id] ?? 0;
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
  for (let page = 0; page < owners.length; page++) {
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
  const { paths: records } = snapshot.sections;
  const sums: Record<string, Float64Array> = {};
  for (const name of [...PLAIN, "peak_bytes", "peak_count"]) sums[name] = new Float64Array(paths);
  const columns = PLAIN.map((name) => [records.column(name), sums[name] as Float64Array] as const);
  const seen = records.column("peak_seen");
  const savedBytes = records.column("peak_bytes");
  const savedCount = records.column("peak_count");
  const [allocations, frees, moved, live] = ["allocations", "frees", "moved", "live_bytes"].map((c) =>
    records.column(c)
  );
  const peakBytes = sums.peak_bytes as Float64Array;
  const peakCount = sums.peak_count as Float64Array;
  const peakNumber = snapshot.header.number(0, "peak_number");
  eachRecord(snapshot, paths, threads, (record, path) => {
    for (const [column, sum] of columns) sum[path] = (sum[path] ?? 0) + column(record);
    const saved = !peakIsNow && seen(record) === peakNumber;
    const bytes = saved ? savedBytes(record) : live?.(record) ?? 0;
    const count = saved
      ? savedCount(record)
      : (allocations?.(record) ?? 0) - (frees?.(record) ?? 0) - (moved?.(record) ?? 0);
    peakBytes[path] = (peakBytes[path] ?? 0) + bytes;
    peakCount[path] = (peakCount[path] ?? 0) + count;
  });
  return sums;
}
