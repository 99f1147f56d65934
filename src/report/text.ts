/** The text report: a pure function from a profile and its names to a string. */
import { styleText } from "node:util";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { FIGURES } from "../profile/select.ts";
import type { SortBy } from "../profile/select.ts";
import { VIEWS } from "../profile/views.ts";
import type { View, ViewName } from "../profile/views.ts";
import { culprit } from "../symbols/allocators.ts";
import { frameName, shortPath, sourcePlace } from "../symbols/symbols.ts";
import type { NamedFrame, Symbols } from "../symbols/symbols.ts";
import { bytes, clip, count, plural, printable, seconds, share } from "./format.ts";

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
  /** The one section to show; all when left out. */
  readonly view?: ViewName | undefined;
  /** What a section is sorted by, its own bytes (`size`) when left out. `name` wants all names resolved. */
  readonly sortBy?: SortBy | "name" | undefined;
}

/** A section of the report: a view of the call paths, and what their figures are shares of. */
interface Section extends View {
  readonly title: string;
  readonly total: number;
}

function sections(profile: Profile, only: ViewName | undefined): Section[] {
  const { totals, process, limits } = profile;
  const ended = !process.running;
  const about = limits.peakError > 0 ? `, exact to ${bytes(limits.peakError)}` : "";
  const titles: readonly (readonly [ViewName, string])[] = [
    ["allocated", "allocated bytes"],
    ["peak", `live at the peak (${bytes(totals.peakBytes)}${about})`],
    ["live", ended ? "live at the end (leaks)" : "live now"],
    ["temporary", "temporary allocations"],
  ];
  return titles.filter(([view]) => only === undefined || view === only)
    .map(([view, title]) => ({ ...VIEWS[view], title, total: VIEWS[view].of(totals) }));
}

function top(profile: Profile, section: Section, options: Shown, symbols?: Symbols): CallPath[] {
  const { limit, sortBy = "size" } = options;
  const kept = profile.callPaths.filter((p) => section.of(p) > 0);
  const figure = sortBy === "size" || sortBy === "name"
    ? section.of
    : sortBy === "count"
    ? section.count
    : FIGURES[sortBy];
  kept.sort((a, b) => figure(b) - figure(a) || a.id - b.id);
  if (sortBy === "name" && symbols) {
    const name = (path: CallPath) => {
      const stack = symbols.stack(path);
      return frameName(stack[culprit(stack)]);
    };
    const names = new Map(kept.map((path) => [path, name(path)]));
    kept.sort((a, b) => (names.get(a) ?? "").localeCompare(names.get(b) ?? "", "en"));
  }
  return limit > 0 ? kept.slice(0, limit) : kept;
}

/** What decides which call paths a report shows. */
export type Shown = Pick<TextOptions, "limit" | "view" | "sortBy">;

/** The call paths that a text report shows: those whose names it needs. */
export function shownPaths(profile: Profile, options: Shown | number): Set<CallPath> {
  const shown = typeof options === "number" ? { limit: options } : options;
  // By name, all have to be known to tell which come first.
  const limited = shown.sortBy === "name" ? { ...shown, limit: 0 } : shown;
  return new Set(sections(profile, shown.view).flatMap((section) => top(profile, section, limited)));
}

const END_NOTES = {
  root: "",
  depth: "(deeper frames cut off, see --depth)",
  lost: "(callers unknown: no unwind table)",
  full: "(further callers not kept: the table was full, see --buckets)",
  none: "(not kept: the table was full, see --buckets)",
} as const;

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

  bytes(n: number): string {
    return this.#options.verbosity >= 1 ? `${count(n)} B` : bytes(n);
  }

  toString(): string {
    return this.#lines.join("\n") + "\n";
  }
}

function place(frame: NamedFrame | undefined, verbosity: number): string {
  if (!frame) return "";
  const whole = verbosity >= 2;
  return sourcePlace(frame, whole) || (frame.function && frame.module ? shortPath(frame.module, whole) : "");
}

function signalName(signal: number): string {
  const names: Record<number, string> = {
    1: "HUP",
    2: "INT",
    3: "QUIT",
    4: "ILL",
    6: "ABRT",
    7: "BUS",
    8: "FPE",
    9: "KILL",
    11: "SEGV",
    13: "PIPE",
    14: "ALRM",
    15: "TERM",
  };
  return names[signal] ? `SIG${names[signal]}` : `signal ${signal}`;
}

function header(profile: Profile, out: Writer, options: TextOptions): void {
  const { process, totals, threads, limits } = profile;
  const command = printable(commandLine(process));
  out.line(out.paint("bold", clip(`heaptap: ${command}`, options.width)));
  const threadCount = threads.reduce((n, t) => n + Math.max(1, t.merged), 0);
  const exit = process.exit;
  const facts = [
    new Date(process.startTime).toISOString().replace("T", " ").slice(0, 19) + " UTC",
    exit ? seconds(exit.seconds) : "",
    exit
      ? (exit.signal ? `ended by ${signalName(exit.signal)}` : `exit ${exit.code}`)
      : process.running
      ? "running"
      : "exit not seen",
    `pid ${process.pid}`,
    `${count(threadCount)} ${plural(threadCount, "thread")}`,
    limits.mode === "paths" ? `${count(profile.callPaths.length)} call paths` : "counters only",
  ];
  out.line(out.paint("dim", facts.filter(Boolean).join(" \u00b7 ")));
  out.line();
  const pairs: [string, string, string][] = [
    [
      "allocations",
      count(totals.allocations),
      `${count(totals.reallocations)} ${plural(totals.reallocations, "reallocation")}, ${
        share(totals.temporary, totals.allocations) || "0%"
      } temporary`,
    ],
    [
      "allocated",
      out.bytes(totals.bytes),
      totals.carried > 0 ? `and ${out.bytes(totals.carried)} carried over by reallocations` : "",
    ],
    ["peak", out.bytes(totals.peakBytes), limits.peakError > 0 ? `exact to ${bytes(limits.peakError)}` : ""],
    [
      process.running ? "live now" : "live at the end",
      out.bytes(totals.liveBytes),
      `in ${count(totals.liveCount)} ${plural(totals.liveCount, "block")}`,
    ],
  ];
  const width = Math.max(...pairs.map(([, value]) => value.length));
  for (const [label, value, note] of pairs) {
    out.line(`  ${label.padEnd(16)} ${out.paint("bold", value.padStart(width))}  ${out.paint("dim", note)}`);
  }
  const kept = (of: (path: CallPath) => number) => profile.callPaths.reduce((n, path) => n + of(path), 0);
  const allocations = kept((p) => p.allocations);
  if (limits.mode === "paths" && allocations < totals.allocations) {
    const figures = [
      `${count(profile.callPaths.length)} ${plural(profile.callPaths.length, "call path")}`,
      `${count(allocations)} ${plural(allocations, "allocation")}`,
      `${out.bytes(kept((p) => p.bytes))} allocated`,
      `${out.bytes(kept((p) => p.peakBytes))} at the peak`,
      `${out.bytes(kept((p) => p.liveBytes))} live`,
    ];
    out.line(`  ${"selected".padEnd(16)} ${out.paint("bold", figures.join(", "))}`);
  }
  const unseen: [number, string][] = [
    [
      totals.fallbackAllocations,
      "allocations known by their innermost frames only: the table was full, raise --buckets",
    ],
    [totals.overflowAllocations, "allocations without a call path: the table was full, raise --buckets"],
    [totals.untracked, "calls not counted (before the recording, or inside a signal handler)"],
    [totals.unknownFrees, "frees of blocks that were never seen"],
    [totals.lostFrees, "blocks whose free was not seen"],
    [totals.failed, "requests refused by the allocator"],
  ];
  const shown = unseen.filter(([n]) => limits.mode === "paths" ? n > 0 : n > 0 && !(n === totals.overflowAllocations));
  if (shown.length > 0) out.line();
  for (const [n, what] of shown) out.line(`  ${out.paint("yellow", count(n))} ${what}`);
  if (limits.noSpace) {
    out.line(
      `  ${out.paint("yellow", "The file system had no room for the whole recording: call paths are incomplete")}`,
    );
  }
  for (const name of limits.rejected) {
    out.line(`  ${out.paint("yellow", `${name} could not be read; the default was used`)}`);
  }
}

function row(out: Writer, options: TextOptions, view: Section, path: CallPath, stack: readonly NamedFrame[]): void {
  const at = culprit(stack);
  const frame = stack[at];
  const figure = view.unit === "blocks" ? count(view.of(path)) : out.bytes(view.of(path));
  const wide = options.verbosity >= 1 ? 20 : 9;
  const left = `${figure.padStart(wide)} ${share(view.of(path), view.total).padStart(6)} ${
    (view.unit === "blocks" ? "" : count(view.count(path))).padStart(view.unit === "blocks" ? 0 : 11)
  }  `;
  const room = Math.max(20, options.width - left.length);
  const where = printable(place(frame, options.verbosity));
  const name = printable(frameName(frame));
  const space = options.verbosity >= 2 ? Infinity : room;
  const fits = name.length + 2 + where.length <= space;
  const nameRoom = fits ? name.length : Math.max(Math.min(name.length, 16), room - where.length - 2);
  out.line(
    left + out.paint("cyan", clip(name, nameRoom)) +
      (where ? "  " + out.paint("dim", clip(where, Math.max(0, space - nameRoom - 2))) : ""),
  );
  const indent = "    ";
  if (options.verbosity >= 3) {
    for (const f of stack) {
      const name = `${f === frame ? ">" : " "} ${printable(frameName(f))}${f.inlined ? " (inlined)" : ""}`;
      out.line(`${indent}${name}  ${out.paint("dim", printable(place(f, 2)))}`);
    }
  } else {
    const callers = callerNames(stack.slice(at), frameName(frame));
    if (callers) out.line(indent + out.paint("dim", clip(`from ${callers}`, options.width - indent.length)));
  }
  const note = END_NOTES[path.end];
  if (note && (options.verbosity >= 3 || path.end !== "depth")) out.line(indent + out.paint("dim", note));
}

/** The callers of a function in one line, without arguments; one that calls itself stands once. */
function callerNames(stack: readonly NamedFrame[], name: string): string {
  const bare = (text: string) => text.replace(/\(.*$/, "");
  const names = stack.map((f) => printable(bare(frameName(f))));
  return names.filter((n, i) => n !== (i === 0 ? bare(name) : names[i - 1])).join(" < ");
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
  header(profile, out, options);
  for (const view of sections(profile, options.view)) {
    const paths = top(profile, view, options, symbols);
    if (paths.length === 0) continue;
    out.line();
    out.line(out.paint(["bold", "underline"], `Top call paths by ${view.title}`));
    const wide = options.verbosity >= 1 ? 20 : 9;
    out.line(
      out.paint(
        "dim",
        `${view.unit.padStart(wide)} ${"share".padStart(6)} ${
          view.unit === "blocks" ? "" : "blocks".padStart(11)
        }  function`,
      ),
    );
    for (const path of paths) row(out, options, view, path, symbols.stack(path));
  }
  if (symbols.problem) {
    out.line();
    out.line(out.paint("yellow", printable(symbols.problem)));
  }
  return out.toString();
}
