/** The figures of call paths: sums over the records that threads have of them. */
import { CONSTANTS } from "../recording/layout.ts";
import type { Snapshot } from "../recording/reader.ts";
import type { PathCounters } from "./profile.ts";

const PLAIN = "allocations bytes frees temporary reallocations carried live_bytes moved moved_bytes".split(" ");

/** What every call path has, by its number. */
export class PathSums {
  /** Numbers below this are in use. */
  readonly count: number;
  readonly #sums: Readonly<Record<string, Float64Array>>;

  /** Of all threads, or of those with these record numbers. */
  constructor(snapshot: Snapshot, peakIsNow: boolean, threads?: ReadonlySet<number>) {
    const limit = snapshot.sections.owners.length * CONSTANTS.PAGE_RECORDS;
    const header = (field: string) => snapshot.header.number(0, field);
    this.count = Math.min(header("buckets_used"), header("buckets"), limit + 1);
    this.#sums = sumPaths(snapshot, this.count, peakIsNow, threads);
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

function sumPaths(
  snapshot: Snapshot,
  paths: number,
  peakIsNow: boolean,
  threads: ReadonlySet<number> | undefined,
): Record<string, Float64Array> {
  const { owners, paths: records } = snapshot.sections;
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
  const owner = owners.column("thread");
  const firstOf = owners.column("first");
  for (let page = 0; page < owners.length; page++) {
    if (owner(page) === 0 || (threads && !threads.has(owner(page) - 1))) continue;
    const first = firstOf(page);
    for (let i = 0; i < CONSTANTS.PAGE_RECORDS && first + i < paths; i++) {
      const record = page * CONSTANTS.PAGE_RECORDS + i;
      const path = first + i;
      for (const [column, sum] of columns) sum[path] = (sum[path] ?? 0) + column(record);
      const saved = !peakIsNow && seen(record) === peakNumber;
      const bytes = saved ? savedBytes(record) : live?.(record) ?? 0;
      const count = saved
        ? savedCount(record)
        : (allocations?.(record) ?? 0) - (frees?.(record) ?? 0) - (moved?.(record) ?? 0);
      peakBytes[path] = (peakBytes[path] ?? 0) + bytes;
      peakCount[path] = (peakCount[path] ?? 0) + count;
    }
  }
  return sums;
}
