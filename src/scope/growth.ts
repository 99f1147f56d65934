/** What grew between several moments: the likely leaks of a process that goes on. */
import { clearInterval, setInterval } from "node:timers";
import { bytes, count, plural, printable } from "../profile/format.ts";
import { earlierLive } from "../profile/path_sums.ts";
import type { EarlierSums } from "../profile/path_sums.ts";
import { CALLED_BY, inLocale } from "../report/signs.ts";
import { leadOf, shortStack } from "../symbols/lead.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import { own } from "./install.ts";
import { notes } from "./notes.ts";
import { checkOptions } from "./options.ts";
import { nameFrames } from "./own_names.ts";
import { byOperation, operationText, rowsOf, shownAs, stopsOf } from "./rows.ts";
import { chosenPaths, Mark, mark, markOf, readingNow, unseen } from "./sites.ts";
import { inBatches, inSlices } from "./slices.ts";
import type { Through } from "./through.ts";

/** Options of {@linkcode growth}. */
export interface GrowthOptions extends Through {
  /** At most so many rows, 20 when left out; 0 for all. */
  readonly limit?: number | undefined;
  /** Bytes that a row must have grown by in all; 1 when left out. */
  readonly minBytes?: number | undefined;
}

function seconds(n: number): string {
  return n < 1 ? `${Math.round(n * 1000)} ms` : `${n.toFixed(1)} s`;
}

/** Call paths that show the same, and whose bytes in use grew from each moment to the next. */
export interface GrowthRow {
  /** Bytes more in use now than at the first mark. */
  readonly bytes: number;
  /** Bytes a second, between the first mark and now. */
  readonly bytesPerSecond: number;
  /** Bytes in use at each mark, and now. */
  readonly liveBytes: readonly number[];
  /** The operation in which they allocated: {@linkcode Operation.run}; undefined when it was none. */
  readonly operation: string | undefined;
  /** Frames from the innermost outwards, without the runtime's and the allocator's own. */
  readonly backtrace: readonly NamedFrame[];
}

/**
 * What grew between marks, what grew most first.
 *
 * @example
 * ```ts
 * import { growth, type GrowthReport, mark } from "./mod.ts";
 *
 * const report: GrowthReport = await growth([mark(), mark()]);
 * console.log(report.rows.length, report.seconds, String(report));
 * ```
 */
export class GrowthReport {
  /** What grew in each interval. */
  readonly rows: readonly GrowthRow[];
  /** Rows that there are, shown or not. */
  readonly matching: number;
  /** Intervals: from each mark to the next, and to now. */
  readonly intervals: number;
  /** Seconds from the first mark to now. */
  readonly seconds: number;
  /** What the report cannot tell, a sentence each. */
  readonly notes: readonly string[];

  /** A report of these rows. */
  constructor(
    rows: readonly GrowthRow[],
    matching: number,
    intervals: number,
    seconds: number,
    notes: readonly string[],
  ) {
    this.rows = rows;
    this.matching = matching;
    this.intervals = intervals;
    this.seconds = seconds;
    this.notes = notes;
  }

  /** The report as text: a line for each row, its callers below. */
  toString(): string {
    return own(() => {
      const lines = [
        `grew in each of ${this.intervals} ${plural(this.intervals, "interval")}, ${seconds(this.seconds)} in all`,
        "",
        "grew by  a second   in use at each moment",
        ...this.rows.flatMap((row) => {
          const levels = row.liveBytes.map(bytes).join(" ");
          const { lead, via, callers } = leadOf(row.backtrace);
          const through = via ? ` via ${frameName(via)}` : "";
          const from = callers.slice(0, 4).map((caller) => ` ${CALLED_BY} ${placed(caller)}`).join("");
          return [
            `${bytes(row.bytes).padStart(8)} ${bytes(Math.round(row.bytesPerSecond)).padStart(9)}   ${levels}`,
            `    ${printable(placed(lead) + through + from + operationText(row.operation))}`,
          ];
        }),
        ...this.rows.length === 0 ? ["nothing did"] : [],
      ];
      const hidden = this.matching - this.rows.length;
      if (hidden > 0) lines.push(`and ${count(hidden)} more ${plural(hidden, "row")}`);
      lines.push(...this.notes.map(printable));
      return inLocale(lines.join("\n") + "\n");
    });
  }
}

/**
 * What grew from each of these marks to the next, and from the last one to now: a leak grows in all intervals, a cache that fills up
 * or a burst of work does not. Two marks or three, some requests or some minutes apart, tell most.
 *
 * @throws {TypeError} when there is no mark, or one that is none.
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { growth, mark } from "./mod.ts";
 *
 * const kept: Uint8Array[] = [];
 * const marks = [];
 * for (let round = 0; round < 3; round++) {
 *   marks.push(mark());
 *   kept.push(new Uint8Array(100_000));
 * }
 * const { rows } = await growth(marks, { limit: 3 });
 * console.log(rows[0]?.bytes, rows[0]?.liveBytes, kept.length);
 * ```
 */
export async function growth(marks: readonly Mark[], options: GrowthOptions = {}): Promise<GrowthReport> {
  checkOptions("growth", options, ["limit", "minBytes", "modules", "functions"]);
  if (!Array.isArray(marks) || marks.length === 0 || marks.some((m) => !(m instanceof Mark))) {
    throw new TypeError("Cannot tell what grew without marks: it takes a list of what mark() gave");
  }
  const { limit = 20, minBytes = 1, modules, functions } = options;
  using reading = await readingNow(undefined);
  const moments = marks.map(markOf).sort((a, b) => a.at - b.at);
  const seconds = (performance.now() - (moments[0]?.at ?? 0)) / 1000;
  const ids = await chosenPaths(reading, { modules, functions });
  const stops = await inSlices(stopsOf(reading, ids));
  const symbols = await nameFrames(reading, stops);
  const { rowOf, firsts } = await inSlices(
    rowsOf(reading, ids, byOperation(reading, await inSlices(shownAs(reading, stops, symbols, lineOf, false)))),
  );
  const paths = moments.map(({ moment }) => moment.paths);
  // By row what was in use at each moment.
  const levels = moments.map(() => new Float64Array(firsts.length));
  const now = new Float64Array(firsts.length);
  await inSlices(inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const [id, row] = [ids[i] as number, rowOf[i] as number];
      now[row] = (now[row] as number) + (reading.sums?.figure(id, "live") ?? 0);
      for (const [m, level] of levels.entries()) {
        level[row] = (level[row] as number) + earlierLive(paths[m] as EarlierSums, id);
      }
    }
  }));
  return own(() => {
    const all = [...levels, now];
    const by = (row: number) => (now[row] as number) - (levels[0]?.[row] as number);
    const grew = firsts.map((_, row) => row).filter((row) =>
      all.every((level, m) => m === 0 || (level[row] as number) > (all[m - 1]?.[row] as number)) &&
      by(row) >= minBytes
    );
    grew.sort((a, b) => by(b) - by(a));
    const shown = limit > 0 ? grew.slice(0, limit) : grew;
    const stacks = shown.map((row) => symbols.stack(reading.path(firsts[row] as number)));
    const problem = symbols.problemOf(stacks);
    const rows = shown.map((row, i) => ({
      bytes: by(row),
      bytesPerSecond: by(row) / seconds,
      liveBytes: all.map((level) => level[row] as number),
      operation: reading.nodes.operation(firsts[row] as number),
      backtrace: shortStack(stacks[i] ?? []),
    }));
    return new GrowthReport(rows, grew.length, moments.length, seconds, [
      ...unseen(reading.profile),
      ...problem ? [problem] : [],
      ...notes(),
    ]);
  });
}

/** A frame with its place. */
function placed(frame: NamedFrame | undefined): string {
  const place = frame && sourcePlace(frame);
  return `${frameName(frame)}${place && ` (${place})`}`;
}

function lineOf(frame: NamedFrame): string {
  return `${frameName(frame)} ${sourcePlace(frame, true)}`;
}

/** Bytes by which a watch wants something to have grown: less is a runtime's own to and fro. */
const NOTABLE = 100_000;

/** Options of {@linkcode watch}; `minBytes` is 100,000 when left out. */
export interface WatchOptions extends GrowthOptions {
  /** Milliseconds between two marks; a minute when left out. */
  readonly every?: number | undefined;
  /** How many intervals a row must have grown in; 3 when left out. */
  readonly intervals?: number | undefined;
  /** Told what grew, whenever something did. */
  readonly onGrowth: (report: GrowthReport) => void;
}

/** A watch that is under way. */
export interface Watch {
  /** Ends it. */
  stop(): void;
  /** Ends it, for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Marks a moment now and then, and tells what grew in each of the last intervals. It does not keep the process from ending.
 *
 * @throws {RangeError} when a number is not above 0.
 *
 * @example
 * ```ts
 * import { watch } from "./mod.ts";
 *
 * using _watch = watch({
 *   every: 60_000,
 *   minBytes: 1_000_000,
 *   onGrowth: (report) => console.error(String(report)),
 * });
 * ```
 */
export function watch(options: WatchOptions): Watch {
  if (typeof options !== "object") throw new TypeError("Cannot watch without options: onGrowth is told what grew");
  checkOptions("watch", options, ["every", "intervals", "onGrowth", "limit", "minBytes", "modules", "functions"]);
  const { every = 60_000, intervals = 3, onGrowth, minBytes = NOTABLE, ...others } = options;
  const rest = { ...others, minBytes };
  if (typeof onGrowth !== "function") throw new TypeError("Cannot watch without onGrowth, which is told what grew");
  for (const [name, n] of Object.entries({ every, intervals })) {
    if (!(n > 0)) throw new RangeError(`Cannot watch with ${name} ${n}: it takes more than 0`);
  }
  const marks = [mark()];
  let isBusy = false;
  const look = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const report = marks.length >= intervals ? await growth(marks, rest) : undefined;
      marks.push(mark());
      if (marks.length > intervals) marks.shift();
      if (report && report.rows.length > 0) onGrowth(report);
    } catch (error) {
      // A watch is not worth the process that it watches.
      console.error(`heaptap: watch: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(look, every);
  timer.unref();
  const stop = () => clearInterval(timer);
  return { stop, [Symbol.dispose]: stop };
}
