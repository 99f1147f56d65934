/** The text report: a pure function from a profile and its names to a string. */
import { styleText } from "node:util";
import { peakExactness, processFacts, unseen, whenLive } from "../profile/facts.ts";
import { asItIs } from "../profile/figures.ts";
import { bytes, clip, count, perCall, plural, printable, seconds, share, wrapped } from "../profile/format.ts";
import { allocationsClassName, endedBlocks, lifetime, timeClassName, totalLifetimes } from "../profile/lifetimes.ts";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Lifetimes, PathCounters, Profile, Sizes, StackEnd } from "../profile/profile.ts";
import { blocksMargin, bytesMargin, estimateText, marginText } from "../profile/sampling.ts";
import { sizeClassName, totalSizes } from "../profile/sizes.ts";
import { FIGURES } from "../profile/select.ts";
import type { SortBy } from "../profile/select.ts";
import { VIEWS } from "../profile/views.ts";
import type { View, ViewName } from "../profile/views.ts";
import { isOwn } from "../symbols/kinds.ts";
import { NOTHING_ASIDE, withoutKept } from "../symbols/suppressions.ts";
import type { SetAside } from "../symbols/suppressions.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { residentLine } from "./memory.ts";
import { rowsOf } from "./rows.ts";
import type { Row } from "./rows.ts";

/** How the report is to look. */
export interface TextOptions {
  /** Call paths a section shows; 0 for all. */
  readonly limit: number;
  /** 0 human units, 1 exact bytes, 2 whole file names, 3 whole stacks. */
  readonly verbosity: number;
  /** Columns of the terminal. */
  readonly width: number;
  /** Whether to use colour. */
  readonly color: boolean;
  /** Whether to keep allocation functions, what starts a program or a thread, and each frame of a recursion. */
  readonly raw?: boolean | undefined;
  /** Whether to show how large requests were, in all and of each call path; they must have been recorded. */
  readonly sizes?: boolean | undefined;
  /** Whether to show how long blocks lived, in all and of each call path; it must have been recorded. */
  readonly lifetimes?: boolean | undefined;
  /** What is live and known to be kept by libraries: it is left out of what is live, and said once. */
  readonly aside?: SetAside | undefined;
  /** What the report begins with, in plain words: see {@linkcode answer}. */
  readonly answer?: readonly string[] | undefined;
  /** The one section to show; all when left out. */
  readonly view?: ViewName | undefined;
  /** What a section is sorted by, its own bytes (`size`) when left out. `name` wants all names resolved. */
  readonly sortBy?: SortBy | "name" | undefined;
}

/** A section of the report: a view of the call paths, and what their figures are shares of. */
interface Section extends View {
  readonly title: string;
  readonly total: number;
  readonly interval: number;
}

function sections(profile: Profile, only: ViewName | undefined): Section[] {
  const { totals, callPaths, moment, limits: { interval } } = profile;
  const about = peakExactness(profile) && `, ${peakExactness(profile)}`;
  const titles: readonly (readonly [ViewName, string])[] = [
    ["allocated", "allocated bytes"],
    ["peak", `live at the peak (${bytes(totals.peakBytes)}${about})`],
    ["live", liveTitle(profile)],
    ["temporary", "temporary allocations"],
  ];
  if (moment?.from !== undefined) return spanSections(profile, only);
  // Of a moment neither the peak nor what was temporary is kept.
  const known = titles.filter(([view]) => !moment || view === "allocated" || view === "live");
  return known.filter(([view]) => only === undefined || view === only)
    .map(([view, title]) => {
      const { of } = VIEWS[view];
      // Estimates are parts of what they come to together.
      const total = interval ? callPaths.reduce((sum, path) => sum + of(path), 0) : of(totals);
      return { ...VIEWS[view], title, total, interval };
    });
}

/** The sections of what came between two moments. */
function spanSections({ callPaths, limits: { interval } }: Profile, only: ViewName | undefined): Section[] {
  const { allocated, live } = VIEWS;
  const shrank: View = { ...live, of: (f) => -f.liveBytes, count: (f) => -f.liveCount };
  const all = [["allocated", "allocated bytes", allocated], ["live", "growth of what is live", live], [
    "live",
    "how much less is live",
    shrank,
  ]] as const;
  return all.filter(([view]) => only === undefined || view === only).map(([, title, view]) => {
    const total = callPaths.reduce((sum, path) => sum + Math.max(0, view.of(path)), 0);
    return { ...view, title, total, interval };
  });
}

/** What is live, in a profile of the end, of now, or of a moment. */
function liveTitle({ process, moment }: Profile): string {
  if (moment?.from !== undefined) return "grew";
  if (moment) return `live at ${seconds(moment.seconds)}`;
  return `live ${whenLive(process) || "at the end"}`;
}

/** The largest rows of a section. */
function top(rows: readonly Row[], section: Section, { limit, sortBy = "size" }: Shown): Row[] {
  const kept = rows.filter(({ figures }) => section.of(figures) > 0);
  const figure = sortBy === "size" || sortBy === "name"
    ? section.of
    : sortBy === "count"
    ? section.count
    : FIGURES[sortBy];
  kept.sort((a, b) => figure(b.figures) - figure(a.figures));
  if (sortBy === "name") kept.sort((a, b) => a.name.localeCompare(b.name, "en"));
  return limit > 0 ? kept.slice(0, limit) : kept;
}

/** What decides which call paths a report shows. */
export type Shown = Pick<TextOptions, "limit" | "view" | "sortBy">;

/** The call paths whose names a text report needs: all that it shows, as those that read the same are put together. */
export function shownPaths(profile: Profile, options: Shown | number): Set<CallPath> {
  const only = typeof options === "number" ? undefined : options.view;
  const views = sections(profile, only);
  return new Set(profile.callPaths.filter((path) => views.some((section) => section.of(path) > 0)));
}

const END_NOTES = {
  root: "",
  guessed: "", // said with the frame's name
  depth: "(deeper frames cut off, see --depth)",
  lost: "(callers unknown: no unwind table)",
  full: "(further callers not kept: the table was full, see --buckets)",
  none: "(not kept: the table was full, see --buckets)",
} as const;

/** Where a stack that is not certain begins to be so. */
function guessNote(end: StackEnd, stack: readonly NamedFrame[], verbosity: number): string {
  const guess = stack.find((frame) => frame.way === "guess");
  // Code that was compiled at run time has no tables as a rule: every path of a script would say so.
  if (end !== "guessed" || !guess || (guess.module === "" && verbosity < 3)) return "";
  return `(what called ${printable(frameName(guess))} is a guess: it has no unwind table)`;
}

class Writer {
  readonly #options: TextOptions;
  readonly #lines: string[] = [];

  constructor(options: TextOptions) {
    this.#options = options;
  }

  paint(style: Parameters<typeof styleText>[0], text: string): string {
    return this.#options.color && text ? styleText(style, text, { validateStream: false }) : text;
  }

  line(text = ""): void {
    this.#lines.push(text.trimEnd());
  }

  bytes(n: number | bigint): string {
    return this.#options.verbosity >= 1 ? `${count(n)} B` : bytes(Number(n));
  }

  toString(): string {
    return this.#lines.join("\n") + "\n";
  }
}

function header(profile: Profile, out: Writer, options: TextOptions): void {
  const { process, totals, limits } = profile;
  const command = printable(commandLine(process));
  out.line(out.paint("bold", clip(`heaptap: ${command}`, options.width)));
  out.line(out.paint("dim", processFacts(profile).join(" \u00b7 ")));
  const { answer = [] } = options;
  if (answer.length > 0) out.line();
  for (const line of answer.flatMap((text) => wrapped(text, options.width))) out.line(out.paint("bold", line));
  out.line();
  const pairs: [string, string, string][] = [
    [
      "allocations",
      count(asItIs(totals, "allocations")),
      profile.moment
        ? ""
        : `${count(totals.reallocations)} ${plural(totals.reallocations, "reallocation")}, ${
          share(totals.temporary, totals.allocations) || "0%"
        } temporary`,
    ],
    [
      "allocated",
      out.bytes(asItIs(totals, "bytes")),
      totals.carried > 0 ? `and ${out.bytes(asItIs(totals, "carried"))} carried over by reallocations` : "",
    ],
    [
      "peak",
      estimateText(totals.peakBytes, limits.interval, (n) => out.bytes(n)),
      [
        peakExactness(profile),
        totals.peakCount > 0 ? `in ${count(totals.peakCount)} ${plural(totals.peakCount, "block")}` : "",
      ].filter(Boolean).join(" "),
    ],
    [
      liveTitle(profile),
      estimateText(totals.liveBytes, limits.interval, (n) => out.bytes(n)),
      [
        marginText(totals.margins?.live ?? 0, totals.liveBytes),
        `in ${count(totals.liveCount)} ${plural(totals.liveCount, "block")}`,
      ].filter(Boolean).join(" "),
    ],
  ];
  if (limits.mode === "totals") pairs.splice(2);
  if (profile.moment) pairs.splice(2, 1);
  const resident = profile.moment ? undefined : residentLine(profile);
  if (resident) pairs.push(["resident", out.bytes(resident.figure), resident.when]);
  const width = Math.max(...pairs.map(([, value]) => value.length));
  for (const [label, value, note] of pairs) {
    out.line(`  ${label.padEnd(16)} ${out.paint("bold", value.padStart(width))}  ${out.paint("dim", note)}`);
  }
  for (const line of resident?.words.flatMap((words) => wrapped(words, options.width - 4)) ?? []) {
    out.line(`    ${out.paint("dim", line)}`);
  }
  const kept = (of: (path: CallPath) => number) => profile.callPaths.reduce((n, path) => n + of(path), 0);
  const allocations = kept((p) => p.allocations);
  if (limits.mode === "paths" && !limits.interval && allocations < totals.allocations) {
    const figures = [
      `${count(profile.callPaths.length)} ${plural(profile.callPaths.length, "call path")}`,
      `${count(allocations)} ${plural(allocations, "allocation")}`,
      `${out.bytes(kept((p) => p.bytes))} allocated`,
      // Of threads neither is known.
      ...kept((p) => p.peakCount) > 0 ? [`${out.bytes(kept((p) => p.peakBytes))} at the peak`] : [],
      ...kept((p) => p.liveCount) > 0 ? [`${out.bytes(kept((p) => p.liveBytes))} live`] : [],
    ];
    out.line(`  ${"selected".padEnd(16)} ${out.paint("bold", figures.join(", "))}`);
  }
  const notes = unseen(profile);
  if (notes.length > 0) out.line();
  for (const [figure, words] of notes) {
    const [first = "", ...more] = wrapped(figure ? `${figure} ${words}` : words, options.width - 2);
    const rest = first.slice(figure.length);
    out.line(figure ? `  ${out.paint("yellow", figure)}${rest}` : `  ${out.paint("yellow", first)}`);
    for (const line of more) out.line(`  ${figure ? line : out.paint("yellow", line)}`);
  }
}

/** By how much a section's estimate may be off. */
function marginOf({ of, unit, count: counted, interval }: Section, figures: PathCounters): number {
  const { bytes, allocations, variance = 0 } = figures;
  // Of a part of the blocks the variance is that part of it.
  const part = allocations > 0 ? counted(figures) / allocations : 0;
  return unit === "blocks"
    ? blocksMargin({ blocks: of(figures), bytes: bytes * part, variance: variance * part }, interval)
    : bytesMargin({ blocks: counted(figures), bytes: of(figures) }, interval);
}

/** The figures of a section's rows, in columns as wide as they need; `title` stands above the last. */
class FigureColumns {
  readonly #out: Writer;
  readonly #view: Section;
  readonly #widths: readonly number[];

  constructor(out: Writer, view: Section, paths: Iterable<PathCounters>) {
    this.#out = out;
    this.#view = view;
    // No row has more than all together: the columns do not move when rows are put together or left out.
    let sum = { of: 0, count: 0 };
    for (const path of paths) sum = { of: sum.of + view.of(path), count: sum.count + view.count(path) };
    this.#widths = [
      Math.max(8, this.#figure(sum.of).length),
      6,
      ...view.interval ? [6] : [],
      view.unit === "blocks" ? 0 : Math.max(6, count(sum.count).length),
    ];
  }

  #figure(n: number): string {
    return this.#view.unit === "blocks" ? count(n) : this.#out.bytes(n);
  }

  #line(cells: readonly string[]): string {
    return cells.map((cell, i) => cell.padStart(this.#widths[i] ?? 0)).join(" ") + "  ";
  }

  /** Columns that they take. */
  get width(): number {
    return this.#line(this.#widths.map(() => "")).length;
  }

  heading(): string {
    const { unit, interval } = this.#view;
    return this.#line([unit, "share", ...interval ? ["\u00b1"] : [], unit === "blocks" ? "" : "blocks"]) + "function";
  }

  row(figures: PathCounters): string {
    const { of, unit, count: counted, interval, total } = this.#view;
    const blocks = unit === "blocks" ? "" : count(counted(figures));
    return this.#line([
      this.#figure(of(figures)),
      share(of(figures), total),
      ...interval ? [marginText(marginOf(this.#view, figures), of(figures))] : [],
      blocks,
    ]);
  }
}

function drawRow(
  out: Writer,
  symbols: Symbols,
  options: TextOptions,
  view: Section,
  columns: FigureColumns,
  row: Row,
): void {
  const { figures, name, place, via, callers, path, end, sizes, lifetimes } = row;
  out.line(columns.row(figures) + out.paint("cyan", name) + out.paint("dim", (place && ` ${place}`) + via));
  const indent = "    ";
  if (options.verbosity >= 3) {
    for (const frame of symbols.stack(path)) {
      const where = printable(sourcePlace(frame, true) || (frame.function && frame.module));
      const whole = printable(frame.key || frameName(frame)) + (frame.inlined ? " (inlined)" : "");
      out.line(`${indent}  ${whole}  ${out.paint("dim", where)}`);
    }
  } else if (callers) {
    out.line(indent + out.paint("dim", callers));
  }
  if (options.sizes && sizes && view.of === VIEWS.allocated.of) {
    out.line(indent + out.paint("dim", clip(sizesLine(sizes), options.width - indent.length)));
  }
  const isTold = view.of === VIEWS.allocated.of || view.of === VIEWS.live.of;
  const lived = options.lifetimes && lifetimes && isTold ? lifetimesText(lifetimes) : "";
  for (const line of wrapped(lived, options.width - indent.length)) out.line(indent + out.paint("dim", line));
  const note = END_NOTES[end] || guessNote(end, symbols.stack(path), options.verbosity);
  if (note && (options.verbosity >= 3 || end !== "depth")) out.line(indent + out.paint("dim", note));
}

/** The commonest sizes of a call path's requests, and its slack: `sizes: 17-32 B 80.0%, 33-64 B 20.0%; slack 1.20 KB`. */
function sizesLine({ requests, slack }: Sizes): string {
  const all = requests.reduce((sum, n) => sum + n, 0);
  const common = requests.map((n, i) => ({ n, name: sizeClassName(i, requests.length) })).filter(({ n }) => n > 0)
    .sort((a, b) => b.n - a.n).slice(0, 3).map(({ n, name }) => `${name} ${share(n, all)}`);
  return `sizes: ${common.join(", ")}; slack ${slack === undefined ? "not known" : bytes(slack)}`;
}

/** Columns of the bars of a histogram. */
const BAR = 40;

/** Classes as bars: those that have something. */
function histogram(
  out: Writer,
  title: string,
  classes: readonly number[],
  nameOf: (index: number, classes: number) => string,
): void {
  const all = classes.reduce((sum, n) => sum + n, 0);
  const most = Math.max(...classes);
  out.line();
  out.line(out.paint(["bold", "underline"], title));
  classes.forEach((n, i) => {
    if (n === 0) return;
    const bar = "#".repeat(Math.ceil(BAR * n / most));
    const name = nameOf(i, classes.length).padStart(16);
    out.line(`${name} ${count(n).padStart(14)} ${share(n, all).padStart(6)}  ${out.paint("cyan", bar)}`);
  });
}

/** The last class of times that are short: below 1.02 ms. */
const YOUNG = 10;

/** Averages, and who died young: `lived 12.3 µs (3.1 allocations), 98.0% < 1.02 ms; 40 not freed, 3.2 s old`. */
function lifetimesText(lifetimes: Lifetimes): string {
  const { byTime, seconds, allocations, live } = lifetimes;
  const ended = endedBlocks(lifetimes);
  const between = Number((allocations / ended).toPrecision(3));
  const young = share(byTime.slice(0, YOUNG + 1).reduce((sum, n) => sum + n, 0), ended);
  const lived = `lived ${lifetime(seconds / ended)} (${perCall(between)} ${plural(between, "allocation")})`;
  return [
    ...ended > 0 ? [`${lived}, ${young} < ${lifetime(2 ** YOUNG / 1e6)}`] : [],
    ...live && live.blocks > 0 ? [`${count(live.blocks)} not freed, ${lifetime(live.seconds / live.blocks)} old`] : [],
  ].join("; ");
}

/** How long the blocks of these call paths lived. */
function lifetimesOf(out: Writer, paths: readonly CallPath[]): void {
  const sum = totalLifetimes(paths);
  if (!sum) return;
  if (endedBlocks(sum) > 0) {
    histogram(out, "Lifetimes of blocks that were freed", sum.byTime, timeClassName);
    histogram(out, "Allocations of the process meanwhile", sum.byAllocations, allocationsClassName);
  }
  out.line();
  out.line(`  ${lifetimesText(sum)}`);
}

/** How large the requests of these call paths were. */
function sizesOf(out: Writer, paths: readonly CallPath[]): void {
  const { requests, slack } = totalSizes(paths);
  const all = requests.reduce((sum, n) => sum + n, 0);
  if (all === 0) return;
  histogram(out, "Sizes of requests", requests, sizeClassName);
  const asked = paths.reduce((sum, path) => sum + path.bytes + path.carried, 0);
  out.line(
    slack === undefined
      ? "  slack is not known: the allocator does not tell how large its blocks are"
      : `  slack ${out.bytes(slack)}, ${share(slack, asked) || "0.0%"} of what was asked for, ${
        bytes(Math.round(slack / all))
      } an allocation`,
  );
}

/**
 * Writes the report. The names of {@linkcode shownPaths} must have been resolved.
 *
 * @example
 * ```ts
 * import { Recording, shownPaths, Symbols, textReport } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(shownPaths(profile, 3));
 * console.log(textReport(profile, symbols, { limit: 3, verbosity: 0, width: 100, color: false }));
 * ```
 */
export function textReport(profile: Profile, symbols: Symbols, options: TextOptions): string {
  const out = new Writer(options);
  const { aside = NOTHING_ASIDE } = options;
  header(profile, out, options);
  if (options.sizes) sizesOf(out, profile.callPaths);
  if (options.lifetimes) lifetimesOf(out, profile.callPaths);
  const raw = options.raw === true;
  const wholeFiles = options.verbosity >= 2;
  // What is set aside is in no row of what is live.
  const paths = withoutKept(profile.callPaths, aside);
  const shown = sections(profile, options.view).map((view) => ({ view, columns: new FigureColumns(out, view, paths) }));
  const rows = rowsOf(paths, symbols, {
    width: wholeFiles ? Infinity : Math.max(40, options.width - Math.max(...shown.map(({ columns }) => columns.width))),
    callersWidth: wholeFiles ? Infinity : options.width - "    ".length,
    wholeFiles,
    raw,
    apart: raw || options.verbosity >= 3,
  });
  for (const { view, columns } of shown) {
    const live = view.of === VIEWS.live.of;
    const largest = top(rows, view, options);
    if (largest.length > 0) {
      out.line();
      out.line(out.paint(["bold", "underline"], `Top call paths by ${view.title}`));
      out.line(out.paint("dim", columns.heading()));
      for (const row of largest) drawRow(out, symbols, options, view, columns, row);
    }
    if (live && aside.blocks > 0) {
      const who = `${aside.whose} keep${aside.whose.includes(" and ") ? "" : "s"}`;
      const blocks = `${count(aside.blocks)} ${plural(aside.blocks, "block")}`;
      const text = `set aside: ${out.bytes(aside.bytes)} in ${blocks} that ${who} (--no-default-suppressions)`;
      for (const line of wrapped(text, options.width - 2)) out.line(`  ${out.paint("dim", line)}`);
    }
  }
  const folded = raw ? "" : foldedWrappers(profile, symbols);
  const remarks = [folded, ...symbols.remarks(profile.callPaths, options.view)].filter(Boolean);
  if (remarks.length > 0) out.line();
  for (const line of remarks.flatMap((remark) => wrapped(printable(remark), options.width))) {
    out.line(out.paint("yellow", line));
  }
  return out.toString();
}

/** The wrappers that rows were led past, said once: a name that is taken for one by mistake must be seen. */
function foldedWrappers(profile: Profile, symbols: Symbols): string {
  const bytesOf = new Map<string, number>();
  for (const path of profile.callPaths) {
    // Nothing that the user wrote stands below a wrapper.
    for (const frame of path.stack.slice(0, DEEPEST_WRAPPER).flatMap((place) => symbols.frames(place))) {
      if (isOwn(frame.kind)) break;
      if (frame.kind !== "wrapper" || frame.module !== profile.process.executable) continue;
      bytesOf.set(frame.function, (bytesOf.get(frame.function) ?? 0) + path.bytes);
    }
  }
  const names = [...bytesOf].sort(([, a], [, b]) => b - a).map(([name]) => printable(name));
  if (names.length === 0) return "";
  const more = names.length > WRAPPERS_NAMED ? ` and ${count(names.length - WRAPPERS_NAMED)} more` : "";
  return `allocations through ${
    names.slice(0, WRAPPERS_NAMED).join(", ")
  }${more} are shown as their callers' (--raw shows all)`;
}

/** Frames from the inner end where wrappers are looked for. */
const DEEPEST_WRAPPER = 6;

/** Wrappers that are named. */
const WRAPPERS_NAMED = 4;
