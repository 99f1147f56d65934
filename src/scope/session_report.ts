/** What a session's operations allocated: figures, and the table of them. */
import { writeSync } from "node:fs";
import { count, plural, printable } from "../profile/format.ts";
import { inLocale } from "../report/signs.ts";
import { markdownTable } from "../report/table.ts";
import type { Column } from "../report/table.ts";
import { attach, own } from "./install.ts";
import { notes } from "./notes.ts";
import type { Figures } from "./meter.ts";
import type { RuntimeMemory, SpanMemory } from "./runtime_memory.ts";
import { Tally } from "./statistics.ts";
import type { Spread, TallyData } from "./statistics.ts";

/** An operation in a {@linkcode SessionReport}, and in its JSON. */
export interface OperationReport {
  /** Its name. */
  readonly name: string;
  /** Spans that have ended. */
  readonly spans: number;
  /** Rounds that they stand for. */
  readonly iterations: number;
  /** Spans that were begun and have not ended; they are in no other figure. */
  readonly openSpans: number;
  /** How often it was run for its call paths alone, which is in no other figure: see {@linkcode Operation.run}. */
  readonly runs: number;
  /** Whether spans of the process are among them: other threads' part of a peak is known to some KiB. */
  readonly ofProcess: boolean;
  /** Bytes allocated. */
  readonly bytes: number;
  /** Allocations. */
  readonly allocations: number;
  /** Bytes allocated per iteration. */
  readonly meanBytes: number;
  /** Allocations per iteration. */
  readonly meanAllocations: number;
  /** Highest rise of the bytes in use above a span's start; NaN, in JSON null, when a span was of modules. */
  readonly peakBytes: number;
  /** By how much the bytes in use grew from the starts of the spans to their ends, in all. */
  readonly grownLiveBytes: number;
  /** How bytes and allocations per iteration spread over the spans. */
  readonly spread: { readonly bytes: Spread; readonly count: Spread };
  /** Growth of the runtime's own figures over the spans that took them; undefined when none did. */
  readonly runtime: RuntimeMemory | undefined;
  /** The process's resident set at its highest within those spans, bytes; undefined where that is not known. */
  readonly peakRss: number | undefined;
  /** What `merge` needs. */
  readonly tallies: { readonly bytes: TallyData; readonly count: TallyData };
}

/** The JSON of a {@linkcode SessionReport}. */
export interface SessionReportJson {
  /** Operations in the order in which they were named. */
  readonly operations: readonly OperationReport[];
  /** What the figures do not tell: see {@linkcode notes}. */
  readonly notes: readonly string[];
}

/** What is known of an operation so far. */
export class OperationTally {
  readonly name: string;
  /** Spans that have been begun. */
  begun = 0;
  /** How often it was run, for its call paths alone. */
  runs = 0;
  /** Whether one of them was of the process. */
  ofProcess = false;
  #peakBytes = 0;
  #grownLiveBytes = 0;
  readonly #bytes = new Tally();
  readonly #count = new Tally();
  #runtime: RuntimeMemory | undefined;
  #peakRss: number | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Adds a span. */
  add(
    figures: Figures,
    iterations: number,
    runtime: SpanMemory | undefined,
  ): void {
    this.#bytes.add(figures.bytes, iterations);
    this.#count.add(figures.allocations, iterations);
    this.#grownLiveBytes += figures.liveBytes;
    // NaN, where it is not known, stays.
    if (!(figures.peakBytes <= this.#peakBytes)) this.#peakBytes = Math.max(this.#peakBytes, figures.peakBytes);
    if (runtime) {
      const { before, after } = runtime;
      this.#runtime = addMemory(this.#runtime, {
        heapUsed: after.heapUsed - before.heapUsed,
        external: after.external - before.external,
        rss: after.rss - before.rss,
      });
      this.#peakRss = higher(this.#peakRss, runtime.peakRss);
    }
  }

  /** The figures so far. */
  toReport(): OperationReport {
    return operationReport(this.name, this.#bytes, this.#count, {
      openSpans: this.begun - this.#bytes.spans,
      runs: this.runs,
      ofProcess: this.ofProcess,
      peakBytes: this.#peakBytes,
      grownLiveBytes: this.#grownLiveBytes,
      runtime: this.#runtime,
      peakRss: this.#peakRss,
    });
  }
}

function higher(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? a ?? b : Math.max(a, b);
}

function addMemory(a: RuntimeMemory | undefined, b: RuntimeMemory | undefined): RuntimeMemory | undefined {
  if (!a || !b) return a ?? b;
  return { heapUsed: a.heapUsed + b.heapUsed, external: a.external + b.external, rss: a.rss + b.rss };
}

function operationReport(
  name: string,
  bytes: Tally,
  count: Tally,
  rest: Pick<
    OperationReport,
    "openSpans" | "runs" | "ofProcess" | "peakBytes" | "grownLiveBytes" | "runtime" | "peakRss"
  >,
): OperationReport {
  return {
    name,
    spans: bytes.spans,
    iterations: bytes.iterations,
    bytes: bytes.total,
    allocations: count.total,
    meanBytes: bytes.mean,
    meanAllocations: count.mean,
    ...rest,
    spread: { bytes: bytes.spread(), count: count.spread() },
    tallies: { bytes: bytes.toJSON(), count: count.toJSON() },
  };
}

function mergeOperations(a: OperationReport, b: OperationReport): OperationReport {
  const merge = (x: TallyData, y: TallyData) => new Tally(x).merge(new Tally(y));
  return operationReport(
    a.name,
    merge(a.tallies.bytes, b.tallies.bytes),
    merge(a.tallies.count, b.tallies.count),
    {
      openSpans: a.openSpans + b.openSpans,
      runs: a.runs + b.runs,
      ofProcess: a.ofProcess || b.ofProcess,
      peakBytes: Math.max(a.peakBytes, b.peakBytes),
      grownLiveBytes: a.grownLiveBytes + b.grownLiveBytes,
      runtime: addMemory(a.runtime, b.runtime),
      peakRss: higher(a.peakRss, b.peakRss),
    },
  );
}

/** A mean or median, with as many digits as tell something. */
function figure(n: number): string {
  if (Number.isNaN(n)) return "";
  return Number.isInteger(n) ? count(n) : n.toLocaleString("en-US", { maximumFractionDigits: n < 100 ? 2 : 0 });
}

const figures = (...titles: string[]): Column[] => titles.map((title) => ({ title, figures: true }));
const COLUMNS: readonly Column[] = [
  { title: "Operation", figures: false },
  ...figures("Mean bytes", "Mean count", "Peak bytes", "Growth bytes", "Spans", "Iterations"),
  ...figures("Min bytes", "Median bytes", "Max bytes", "Mean \u00b1 95 %"),
];
const RUNTIME_COLUMNS = figures("JS heap bytes", "External bytes", "RSS bytes", "Peak RSS bytes");

/**
 * What the operations of a session allocated. Reports of several workers come together with
 * {@linkcode SessionReport.merge}; they travel as JSON.
 *
 * @example
 * ```ts
 * import { Session, SessionReport } from "./mod.ts";
 *
 * const session = new Session();
 * session.operation("nothing").measureThread().end();
 * const report = session.toReport();
 * const both = report.merge(SessionReport.fromJSON(JSON.parse(JSON.stringify(report))));
 * console.log(both.operations[0]?.spans); // 2
 * ```
 */
export class SessionReport {
  /** Operations in the order in which they were named. */
  readonly operations: readonly OperationReport[];

  /** A report of these operations. */
  constructor(operations: readonly OperationReport[]) {
    this.operations = operations;
  }

  /** The report of which {@linkcode SessionReport.toJSON} gave the value. */
  static fromJSON(json: SessionReportJson): SessionReport {
    if (!Array.isArray(json?.operations)) throw new TypeError("Cannot read a report: it takes what toJSON() gave");
    return new SessionReport(
      json.operations.map((o) => ({
        ...o,
        runtime: o.runtime ?? undefined,
        peakRss: o.peakRss ?? undefined,
        runs: o.runs ?? 0,
        peakBytes: o.peakBytes ?? NaN,
      })),
    );
  }

  /** This report and another's spans together: operations of one name become one. */
  merge(other: SessionReport): SessionReport {
    const merged = new Map(this.operations.map((operation) => [operation.name, operation]));
    for (const operation of other.operations) {
      const known = merged.get(operation.name);
      merged.set(operation.name, known ? mergeOperations(known, operation) : operation);
    }
    return new SessionReport([...merged.values()]);
  }

  /**
   * A table of the operations, in the form that Markdown reads too. Min, median and max are the spans' bytes
   * per iteration, the last column half the 95 % interval of their mean.
   */
  toString(): string {
    return own(() => {
      const runtime = this.operations.some((o) => o.runtime);
      const rows = this.operations.map((o) => {
        const { min, median, max, interval } = o.spread.bytes;
        const memory = o.runtime
          ? [
            ...[o.runtime.heapUsed, o.runtime.external, o.runtime.rss].map(count),
            o.peakRss === undefined ? "" : count(o.peakRss),
          ]
          : [];
        return [
          printable(o.name),
          ...[o.meanBytes, o.meanAllocations, o.peakBytes, o.grownLiveBytes, o.spans, o.iterations].map(figure),
          ...o.spans > 0 ? [min, median, max].map(figure) : ["", "", ""],
          interval ? figure((interval[1] - interval[0]) / 2) : "",
          ...memory,
        ];
      });
      const columns = (runtime ? [...COLUMNS, ...RUNTIME_COLUMNS] : COLUMNS)
        .map(({ title, figures }) => ({ title: inLocale(title), figures }));
      const table = markdownTable(columns, rows);
      return table + this.#notes().map((note) => `\n${note}\n`).join("");
    });
  }

  /** What a reader of the table should know. */
  #notes(): string[] {
    const { recording } = attach().installation;
    const open = this.operations.filter((o) => o.openSpans > 0);
    return [
      ...open.map((o) =>
        `${count(o.openSpans)} ${plural(o.openSpans, "span")} of "${printable(o.name)}" not ended yet`
      ),
      ...this.operations.filter((o) => o.runs > 0 && o.spans === 0).map((o) =>
        `"${printable(o.name)}" was run ${count(o.runs)} ${
          plural(o.runs, "time")
        } without a span: its figures are its call paths'`
      ),
      ...this.operations.some((o) => o.ofProcess) && !recording.exactPeak
        ? [
          "Peaks of process spans: of each other thread up to 32 KiB may be missing; install({ exactPeak: true }) has all",
        ]
        : [],
      ...notes(),
    ];
  }

  /** Writes the table to stderr: stdout is the script's. */
  print(): void {
    own(() => {
      try {
        writeSync(2, this.toString());
      } catch {
        // A full disk or a closed pipe behind stderr is not the script's to end by.
      }
    });
  }

  /** The report as a plain value. */
  toJSON(): SessionReportJson {
    return { operations: this.operations, notes: notes() };
  }
}
