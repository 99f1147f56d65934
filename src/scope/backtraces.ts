/** What each call path of this process allocated, freed and has in use, with its backtrace. */
import type { Frame, PathCounters, Profile } from "../profile/profile.ts";
import { checkSelection } from "../profile/select.ts";
import { bytes, count, plural, printable } from "../profile/format.ts";
import { inLocale } from "../report/signs.ts";
import { shortStack } from "../symbols/lead.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import { own } from "./install.ts";
import { checkChoice, checkOptions } from "./options.ts";
import { notes } from "./notes.ts";
import { nameFrames } from "./own_names.ts";
import { byOperation, largestRows, operationText, shownAs, stopsOf } from "./rows.ts";
import { inSlices } from "./slices.ts";
import { chosenPaths, DEFAULT_LIMIT, readingNow, SITE_OPTIONS, unseen } from "./sites.ts";
import type { SiteOptions } from "./sites.ts";

/** How much of a backtrace to give; see {@linkcode backtraceReport}. */
export type BacktraceMode = "none" | "short" | "full";

/** Options of {@linkcode backtraceReport}. */
export interface BacktraceOptions extends SiteOptions {
  /** `short` when left out. */
  readonly mode?: BacktraceMode | undefined;
}

/** A call path in a {@linkcode BacktraceReport}, or several that show the same. */
export interface BacktraceRow {
  /** Bytes allocated. */
  readonly bytes: number;
  /** Bytes freed. */
  readonly freedBytes: number;
  /** Allocations. */
  readonly allocations: number;
  /** Bytes per allocation; 0 without any. */
  readonly averageBytes: number;
  /** Bytes in use. */
  readonly liveBytes: number;
  /** Blocks in use. */
  readonly liveCount: number;
  /** The operation in which they allocated: {@linkcode Operation.run}; undefined when it was none. */
  readonly operation: string | undefined;
  /** Where it is: the innermost frame of `backtrace`, or module and address without a look-up. */
  readonly place: string;
  /** Frames from the innermost outwards; empty with mode `none`. */
  readonly backtrace: readonly NamedFrame[];
}

function row(
  figures: PathCounters,
  operation: string | undefined,
  place: string,
  backtrace: readonly NamedFrame[],
): BacktraceRow {
  return {
    bytes: figures.bytes,
    freedBytes: figures.freedBytes,
    allocations: figures.allocations,
    averageBytes: figures.allocations > 0 ? figures.bytes / figures.allocations : 0,
    liveBytes: figures.liveBytes,
    liveCount: figures.liveCount,
    operation,
    place,
    backtrace,
  };
}

/** A frame in one line. */
function frameText(frame: Omit<NamedFrame, "key" | "kind"> | undefined): string {
  const place = frame && sourcePlace(frame, true);
  return printable(place ? `${frameName(frame)}  ${place}` : frameName(frame));
}

/** The same without a look-up. */
function addressText(profile: Profile, frame: Frame | undefined): string {
  const module = profile.modules[frame?.module ?? -1]?.path ?? "";
  return frameText(frame && { function: "", file: "", line: 0, inlined: false, module, address: frame.address });
}

/**
 * Call paths of this process with their figures and backtraces.
 *
 * @example
 * ```ts
 * import { type BacktraceReport, backtraceReport } from "./mod.ts";
 *
 * const report: BacktraceReport = await backtraceReport({ mode: "none", limit: 3 });
 * for (const { place, bytes, freedBytes } of report.rows) console.log(place, bytes, freedBytes);
 * ```
 */
export class BacktraceReport {
  /** The selected call paths. */
  readonly rows: readonly BacktraceRow[];
  /** Rows that the filter left, shown or not. */
  readonly matching: number;
  /** What the report cannot tell, and why, a sentence each; empty when it tells everything. */
  readonly notes: readonly string[];

  /** A report of these rows. */
  constructor(rows: readonly BacktraceRow[], matching: number, notes: readonly string[]) {
    this.rows = rows;
    this.matching = matching;
    this.notes = notes;
  }

  /** The report as text: a line of figures for each call path, its backtrace below. */
  toString(): string {
    return own(() => {
      const lines = [
        "allocated       freed  allocations     average      in use  call path",
        ...this.rows.flatMap((r) => [
          `${bytes(r.bytes).padStart(9)} ${bytes(r.freedBytes).padStart(11)} ${count(r.allocations).padStart(12)} ${
            bytes(Math.round(r.averageBytes)).padStart(11)
          } ${bytes(r.liveBytes).padStart(11)}  ${r.place}${printable(operationText(r.operation))}`,
          ...r.backtrace.slice(1).map((frame) => `${" ".repeat(62)}${frameText(frame)}`),
        ]),
      ];
      if (this.rows.length === 0) lines.push("no call path matches");
      const hidden = this.matching - this.rows.length;
      if (hidden > 0) lines.push(`and ${count(hidden)} more ${plural(hidden, "call path")}`);
      lines.push(...this.notes.map(printable));
      return inLocale(lines.join("\n") + "\n");
    });
  }
}

/**
 * What each call path allocated and has in use, the largest first, as rows and as text; 50 rows when no
 * limit is given. Paths that show the same are one row.
 *
 * - `none`: figures and the address that called the allocator; no name is looked up
 * - `short`: backtraces without the runtime's and the allocator's own frames
 * - `full`: whole backtraces
 *
 * A `filter` is asked for each call path before names are looked up, so that a report on demand costs
 * what passes it.
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {RangeError} when the limit is negative.
 * @throws {TypeError} when the mode is none of the three.
 *
 * @example
 * ```ts
 * import { backtraceReport } from "./mod.ts";
 *
 * const report = await backtraceReport({ limit: 5, sortBy: "live", filter: (path) => path.liveBytes > 1000 });
 * console.log(String(report), report.rows.length);
 * ```
 */
export async function backtraceReport(options: BacktraceOptions = {}): Promise<BacktraceReport> {
  const { mode = "short", limit = DEFAULT_LIMIT, sortBy = "size" } = options;
  checkSelection(options);
  checkChoice("mode", mode, ["none", "short", "full"]);
  checkOptions("backtraceReport", options, [...SITE_OPTIONS, "mode"]);
  using reading = await readingNow(options.since);
  const ids = await chosenPaths(reading, options);
  if (mode === "none") {
    const { nodes } = reading;
    const leaf = (id: number) => nodes.isFrame(nodes.leaf(id)) ? nodes.leaf(id) : 0;
    const keyOf = (id: number) => leaf(id) && nodes.place(leaf(id)) + 1;
    const rows = await inSlices(largestRows(reading, ids, byOperation(reading, keyOf), limit, sortBy));
    return own(() => {
      const named = rows.largest.map(({ id, figures }) =>
        row(
          figures,
          nodes.operation(id),
          addressText(reading.profile, leaf(id) ? nodes.frame(leaf(id)) : undefined),
          [],
        )
      );
      return new BacktraceReport(named, rows.all, [...unseen(reading.profile), ...notes()]);
    });
  }
  const stops = await inSlices(stopsOf(reading, ids));
  const symbols = await nameFrames(reading, stops);
  const keyOf = await inSlices(shownAs(reading, stops, symbols, frameText, mode === "full"));
  const rows = await inSlices(largestRows(reading, ids, byOperation(reading, keyOf), limit, sortBy));
  return own(() => {
    const stacks = rows.largest.map(({ id }) => symbols.stack(reading.path(id)));
    const problem = symbols.problemOf(stacks);
    const named = rows.largest.map(({ id, figures }, i) => {
      const stack = stacks[i] ?? [];
      const backtrace = mode === "full" ? stack : shortStack(stack);
      return row(figures, reading.nodes.operation(id), frameText(backtrace[0]), backtrace);
    });
    return new BacktraceReport(named, rows.all, [...unseen(reading.profile), ...problem ? [problem] : [], ...notes()]);
  });
}
