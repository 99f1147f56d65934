/** What each thread of this process allocated and freed. */
import type { Thread } from "../profile/profile.ts";
import { readOwnThreads } from "../profile/read.ts";
import { checkLimit } from "../profile/select.ts";
import { csvText } from "../profile/csv.ts";
import { bytes, count, printable } from "../profile/format.ts";
import { markdownTable } from "../report/table.ts";
import { own } from "./install.ts";
import type { Attached } from "./install.ts";
import { checkOptions } from "./options.ts";

/** Of the comma-separated values. */
const COLUMNS = [
  "name",
  "tid",
  "threads",
  "running",
  "ended",
  "allocations",
  "bytes",
  "frees",
  "freedBytes",
  "freedByOthers",
  "freedByOthersBytes",
  "liveCount",
  "liveBytes",
] as const;

/** Options of {@linkcode threadReport}. */
export interface ThreadOptions {
  /** Rows at most; what is beyond is merged by name. 64 when left out, 0 for all. */
  readonly limit?: number | undefined;
}

/** A thread in a {@linkcode ThreadReport}, or several that were merged. */
export interface ThreadRow {
  /** Name as the kernel has it; of merged threads what their names begin with, and a star. */
  readonly name: string;
  /** Kernel's number; 0 when several were merged. */
  readonly tid: number;
  /** Threads that the row stands for. */
  readonly threads: number;
  /** How many of them run. */
  readonly running: number;
  /** Whether all of them have ended. */
  readonly ended: boolean;
  /** Allocations. */
  readonly allocations: number;
  /** Bytes allocated. */
  readonly bytes: number;
  /** Blocks freed, whoever had allocated them. */
  readonly frees: number;
  /** Bytes freed, whoever had allocated them. */
  readonly freedBytes: number;
  /** Blocks of its own that other threads freed. */
  readonly freedByOthers: number;
  /** Bytes of its own blocks that other threads freed. */
  readonly freedByOthersBytes: number;
  /** Blocks of its own that are in use. */
  readonly liveCount: number;
  /** Bytes of its own blocks that are in use. */
  readonly liveBytes: number;
}

function row(t: Thread): ThreadRow {
  return {
    name: t.name,
    tid: t.merged > 1 ? 0 : t.tid,
    threads: Math.max(1, t.merged),
    running: t.ended ? 0 : 1,
    ended: t.ended,
    allocations: t.allocations,
    bytes: t.bytes,
    frees: t.frees,
    freedBytes: t.freedBytes,
    freedByOthers: t.freedByOthers,
    freedByOthersBytes: t.freedByOthersBytes,
    // Its net, less what others took of its blocks, and with what it took of theirs put back.
    liveCount: t.liveCount + t.freedOfOthers - t.freedByOthers,
    liveBytes: t.liveBytes + t.freedOfOthersBytes - t.freedByOthersBytes,
  };
}

function merge(rows: readonly ThreadRow[], name: string): ThreadRow {
  const [only] = rows;
  if (only && rows.length === 1) return only;
  const sum = (of: (row: ThreadRow) => number) => rows.reduce((total, r) => total + of(r), 0);
  return {
    name,
    tid: 0,
    threads: sum((r) => r.threads),
    running: sum((r) => r.running),
    ended: rows.every((r) => r.ended),
    allocations: sum((r) => r.allocations),
    bytes: sum((r) => r.bytes),
    frees: sum((r) => r.frees),
    freedBytes: sum((r) => r.freedBytes),
    freedByOthers: sum((r) => r.freedByOthers),
    freedByOthersBytes: sum((r) => r.freedByOthersBytes),
    liveCount: sum((r) => r.liveCount),
    liveBytes: sum((r) => r.liveBytes),
  };
}

function mergeBy(rows: readonly ThreadRow[], nameOf: (row: ThreadRow) => string): ThreadRow[] {
  const groups = new Map<string, ThreadRow[]>();
  for (const row of rows) {
    const name = nameOf(row);
    const group = groups.get(name);
    if (group) group.push(row);
    else groups.set(name, [row]);
  }
  return [...groups].map(([name, group]) => merge(group, name));
}

/** At most `limit` rows: merged by name, then by what names begin with, then what is left in one. None is lost. */
export function limitRows(rows: readonly ThreadRow[], limit: number): ThreadRow[] {
  const bySize = (a: ThreadRow, b: ThreadRow) => b.bytes - a.bytes || a.tid - b.tid;
  let merged = [...rows].sort(bySize);
  const steps = [
    (r: ThreadRow) => r.name,
    (r: ThreadRow) => r.name.replace(/[\d*]+$/, "") + "*",
    () => "(other threads)",
  ];
  for (const nameOf of steps) {
    if (limit === 0 || merged.length <= limit) return merged;
    // The largest stay for themselves, half of the rows; the rest is what is merged.
    const kept = Math.max(limit >> 1, nameOf === steps[2] ? limit - 1 : 0);
    merged = [...merged.slice(0, kept), ...mergeBy(merged.slice(kept), nameOf)].sort(bySize);
  }
  return merged;
}

/**
 * The threads of this process with their figures.
 *
 * @example
 * ```ts
 * import { type ThreadReport, threadReport } from "./mod.ts";
 *
 * const report: ThreadReport = threadReport();
 * for (const { name, ended, liveBytes } of report.rows) console.log(name, ended, liveBytes);
 * ```
 */
export class ThreadReport {
  /** The largest by bytes allocated first. */
  readonly rows: readonly ThreadRow[];

  /** A report of these rows. */
  constructor(rows: readonly ThreadRow[]) {
    this.rows = rows;
  }

  /** The same as comma-separated values (RFC 4180): a heading, then a line for each row, figures in full. */
  toCSV(): string {
    return own(() => {
      const cell = (value: string | number | boolean) => typeof value === "string" ? printable(value) : value;
      return csvText(COLUMNS, this.rows.map((row) => COLUMNS.map((name) => cell(row[name]))));
    });
  }

  /** A table of the threads, in the form that Markdown reads too. */
  toString(): string {
    return own(() =>
      markdownTable(
        [
          { title: "Thread", figures: false },
          { title: "Id", figures: true },
          { title: "State", figures: false },
          ...["Allocations", "Allocated", "Freed", "Freed by others", "In use"].map((title) => ({
            title,
            figures: true,
          })),
        ],
        this.rows.map((r) => [
          printable(r.name) || "(no name)",
          r.threads > 1 ? `${count(r.threads)} threads` : String(r.tid),
          r.ended ? "ended" : r.threads > 1 ? `${count(r.running)} running` : "running",
          count(r.allocations),
          ...[r.bytes, r.freedBytes, r.freedByOthersBytes, r.liveBytes].map(bytes),
        ]),
      )
    );
  }
}

/**
 * What each thread allocated, what it freed, what others freed of it, and what of it is in use. Threads
 * that have ended stay; past the limit rows are merged by name, and none is lost.
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {RangeError} when the limit is negative.
 *
 * @example
 * ```ts
 * import { threadReport } from "./mod.ts";
 *
 * const report = threadReport({ limit: 10 });
 * console.log(String(report), report.rows.length <= 10);
 * ```
 */
export function threadReport(options: ThreadOptions = {}): ThreadReport {
  checkOptions("threadReport", options, ["limit"]);
  const { limit = 64 } = options;
  checkLimit("limit", limit);
  return own((here) => new ThreadReport(limitRows(threadsNow(here).map(row), limit)));
}

function threadsNow({ memory, library }: Attached): Thread[] {
  library.functions.heaptap_threads();
  return readOwnThreads(memory);
}

/** The same of all threads but the one that calls, none merged. */
export function otherThreads(): ThreadRow[] {
  return own((here) => threadsNow(here).filter(({ id }) => id !== here.slot).map(row));
}
