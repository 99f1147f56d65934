/** The text report: a pure function from a profile and its names to a string. */
import { styleText } from "node:util";
import { peakExactness, processFacts, unseen } from "../profile/facts.ts";
import { bytes, clip, count, plural, printable, share } from "../profile/format.ts";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Profile, Sizes } from "../profile/profile.ts";
import { sizeClassName, totalSizes } from "../profile/sizes.ts";
import { FIGURES } from "../profile/select.ts";
import type { SortBy } from "../profile/select.ts";
import { VIEWS } from "../profile/views.ts";
import type { View, ViewName } from "../profile/views.ts";
import { culprit } from "../symbols/allocators.ts";
import { frameName, shortPath, sourcePlace } from "../symbols/symbols.ts";
import type { NamedFrame, Symbols } from "../symbols/symbols.ts";
import { callerLine, cleanStack } from "../symbols/trim.ts";

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
  const { totals, process } = profile;
  const ended = !process.running;
  const about = peakExactness(profile) && `, ${peakExactness(profile)}`;
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
  guessed: "", // said with the frame's name
  depth: "(deeper frames cut off, see --depth)",
  lost: "(callers unknown: no unwind table)",
  full: "(further callers not kept: the table was full, see --buckets)",
  none: "(not kept: the table was full, see --buckets)",
} as const;

/** Where a stack that is not certain begins to be so. */
function guessNote({ end }: CallPath, stack: readonly NamedFrame[]): string {
  const guess = stack.find((frame) => frame.way === "guess");
  return end === "guessed" && guess
    ? `(what called ${printable(frameName(guess))} is a guess: it has no unwind table)`
    : "";
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

function header(profile: Profile, out: Writer, options: TextOptions): void {
  const { process, totals, limits } = profile;
  const command = printable(commandLine(process));
  out.line(out.paint("bold", clip(`heaptap: ${command}`, options.width)));
  out.line(out.paint("dim", processFacts(profile).join(" \u00b7 ")));
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
    ["peak", out.bytes(totals.peakBytes), peakExactness(profile)],
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
      // Of threads neither is known.
      ...kept((p) => p.peakCount) > 0 ? [`${out.bytes(kept((p) => p.peakBytes))} at the peak`] : [],
      ...kept((p) => p.liveCount) > 0 ? [`${out.bytes(kept((p) => p.liveBytes))} live`] : [],
    ];
    out.line(`  ${"selected".padEnd(16)} ${out.paint("bold", figures.join(", "))}`);
  }
  const notes = unseen(profile);
  if (notes.length > 0) out.line();
  for (const [figure, words] of notes) {
    out.line(figure ? `  ${out.paint("yellow", figure)} ${words}` : `  ${out.paint("yellow", words)}`);
  }
}

function row(out: Writer, options: TextOptions, view: Section, path: CallPath, whole: readonly NamedFrame[]): void {
  const stack = options.raw ? whole : cleanStack(whole, frameName);
  const [frame] = stack;
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
      const name = `${printable(frameName(f))}${f.inlined ? " (inlined)" : ""}`;
      out.line(`${indent}  ${name}  ${out.paint("dim", printable(place(f, 2)))}`);
    }
  } else {
    const callers = printable(callerLine(stack.map(frameName)));
    if (callers) out.line(indent + out.paint("dim", clip(`from ${callers}`, options.width - indent.length)));
  }
  if (options.sizes && path.sizes && view.of === VIEWS.allocated.of) {
    out.line(indent + out.paint("dim", clip(sizesLine(path.sizes), options.width - indent.length)));
  }
  const note = END_NOTES[path.end] || guessNote(path, whole);
  if (note && (options.verbosity >= 3 || path.end !== "depth")) out.line(indent + out.paint("dim", note));
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

/** How large the requests of these call paths were. */
function histogram(out: Writer, paths: readonly CallPath[]): void {
  const { requests, slack } = totalSizes(paths);
  const all = requests.reduce((sum, n) => sum + n, 0);
  const most = Math.max(...requests);
  if (all === 0) return;
  out.line();
  out.line(out.paint(["bold", "underline"], "Sizes of requests"));
  requests.forEach((n, i) => {
    if (n === 0) return;
    const bar = "#".repeat(Math.ceil(BAR * n / most));
    const name = sizeClassName(i, requests.length).padStart(16);
    out.line(`${name} ${count(n).padStart(14)} ${share(n, all).padStart(6)}  ${out.paint("cyan", bar)}`);
  });
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
  header(profile, out, options);
  if (options.sizes) histogram(out, profile.callPaths);
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
