/** A live view as text: functions from what there is to lines, which whoever has a terminal draws. */
import { endedText } from "../profile/facts.ts";
import { bytes, clip, count, plural, printable } from "../profile/format.ts";
import { programName } from "../profile/launchers.ts";
import { Rows } from "../report/rows.ts";
import { frameName, moduleName, shortPath, sourcePlace } from "../symbols/named_frame.ts";
import type { Names } from "./names.ts";
import type { Row, RowFigures } from "./rows.ts";
import { selectedRow, SORT_KEYS } from "./state.ts";
import type { LiveSort, LiveState, LiveView, Past } from "./state.ts";

/** How a part of a line is to look. */
export type Style = "strong" | "dim" | "head" | "selected" | "grows" | "alarm";

/** A part of a line; names in it have no control characters. */
export interface Part {
  readonly text: string;
  readonly style?: Style | undefined;
}

/** A line: as long as the terminal is wide, or shorter. */
export type Line = readonly Part[];

/** A terminal's size, in columns and lines. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What stands around the view and is no matter of its state. */
export interface Surroundings {
  /** What is shown beside the process's name: that others are not. */
  readonly beside: string;
  /** The keys that mean something here, beside those of every view. */
  readonly keys: string;
}

/** A number of three digits: 999, 1.23k, 45.6M. */
export function short(n: number): string {
  if (Math.abs(n) < 999.5) return n !== 0 && Math.abs(n) < 9.95 && !Number.isInteger(n) ? n.toFixed(1) : n.toFixed(0);
  return bytes(n).replace(/ ?B$/, "").replace(" ", "").replace("K", "k");
}

/** Bytes as short, of a difference with its sign. */
function size(n: number): string {
  return bytes(Math.round(n));
}

function difference(n: number): string {
  return n > 0 ? `+${size(n)}` : size(n);
}

const LEVELS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588";

/** The last figures as a row of bars from zero to the highest of them. */
export function sparkline(figures: readonly number[], columns: number): string {
  const shown = figures.slice(-Math.max(0, columns));
  const highest = Math.max(...shown, 0);
  return shown.map((n) => LEVELS[highest > 0 ? Math.round(Math.max(0, n) / highest * (LEVELS.length - 1)) : 0]).join(
    "",
  );
}

interface Column {
  readonly sort: LiveSort;
  readonly head: string;
  readonly width: number;
  readonly text: (figures: RowFigures) => string;
}

/** The columns, what can be done without last. */
const COLUMNS: readonly Column[] = [
  { sort: "live", head: "LIVE", width: 8, text: ({ live }) => size(live) },
  { sort: "growth", head: "GROWTH", width: 10, text: ({ growth }) => difference(growth) },
  { sort: "bytes", head: "BYTES/S", width: 9, text: ({ bytes }) => size(bytes) },
  { sort: "allocations", head: "ALLOCS/S", width: 9, text: ({ allocations }) => short(allocations) },
  { sort: "peak", head: "AT PEAK", width: 9, text: ({ peak }) => peak === undefined ? "" : size(peak) },
];
/** Columns that names have at least. */
const LEAST_NAME = 40;

/** Those that there is room for: the one that rows are sorted by, and as many others as leave names theirs. */
function columnsFor(width: number, sort: LiveSort): readonly Column[] {
  const sorted = COLUMNS.filter((column) => column.sort === sort);
  let room = width - LEAST_NAME - sorted.reduce((sum, column) => sum + column.width, 0);
  return COLUMNS.filter((column) => sorted.includes(column) || (room -= column.width) >= 0);
}

const HEADS: Readonly<Record<LiveView, string>> = {
  paths: "CALL PATH",
  functions: "FUNCTION",
  modules: "MODULE",
  threads: "THREAD",
  operations: "OPERATION",
};

/** A line without what does not fit. */
function within(line: Line, width: number): Line {
  let left = width;
  return line.flatMap(({ text, style }) => {
    const shown = left > 0 ? clip(text, left) : "";
    left -= text.length;
    return shown ? [{ text: shown, style }] : [];
  });
}

/** Who is looked at, since when, and what is not shown. */
function titleLine({ look, base, marked, paused }: LiveState, { beside }: Surroundings): Line {
  if (!look) return [{ text: "the recording is about to begin" }];
  const { process } = look.profile;
  const { exit } = process;
  const name = printable(shortPath(programName(process.executable, process.command), false));
  const state = !look.running
    ? `${endedText(process)}${exit ? exit.signal ? ` by signal ${exit.signal}` : `, exit ${exit.code}` : ""}`
    : paused
    ? "the view is paused"
    : process.paused
    ? "counts nothing now (heaptap resume)"
    : "";
  const ago = base && look.running ? (look.seconds - base.seconds).toFixed(0) : "";
  const since = ago && `growth of ${ago} s${marked ? ", since the mark" : ""}`;
  const { before = 0 } = look.profile.memory?.end ?? {};
  const earlier = before > 0 && `${size(before)} in blocks from before`;
  const parts = [`${look.seconds.toFixed(1)} s`, beside, since, earlier].filter(Boolean);
  return [
    { text: `${name} (pid ${process.pid})`, style: "strong" },
    { text: state && ` \u00b7 ${state}`, style: "alarm" },
    { text: parts.map((part) => ` \u00b7 ${part}`).join("") },
  ];
}

/** What is live and what is allocated, each with its past. */
function figureLines({ look, past }: LiveState, width: number): Line[] {
  if (!look) return [[], []];
  const { totals, resident, profile: { limits } } = look;
  const known = limits.mode !== "totals";
  const first = [
    ["live", known ? size(totals.liveBytes) : "not recorded"],
    ["allocated", `${size(look.bytesPerSecond)}/s`],
  ] as const;
  const last = [
    [
      ...known ? [`peak ${size(totals.peakBytes)}`] : [],
      ...resident === undefined ? [] : [`resident ${size(resident)}`],
    ],
    [`${short(look.allocationsPerSecond)} allocations/s`, `${short(totals.allocations)} in all`],
  ].map((parts) => parts.join("   "));
  const pasts: ((of: Past) => number)[] = [({ live }) => live, ({ bytesPerSecond }) => bytesPerSecond];
  const labels = 9, figures = 11, right = Math.max(...last.map((text) => text.length));
  const bars = width - labels - figures - right - 4;
  return first.map(([label, figure], i): Line => {
    const text = `${label.padEnd(labels)}${figure.padStart(figures)}  `;
    if (bars < 4) return [{ text: `${text}${last[i]}` }];
    const line = sparkline(past.map(pasts[i] as (of: Past) => number), bars);
    return [{ text }, { text: line.padEnd(bars + 2), style: "grows" }, { text: last[i] as string }];
  });
}

function headLine({ view, sort }: LiveState, columns: readonly Column[], width: number): Line {
  const figures = columns.map((column): Part => ({
    text: column.head.padStart(column.width),
    style: column.sort === sort ? "selected" : "head",
  }));
  const used = columns.reduce((sum, column) => sum + column.width, 0);
  return [...figures, {
    text: `  ${HEADS[view]}`.padEnd(width - used).slice(0, Math.max(0, width - used)),
    style: "head",
  }];
}

/** What a row is called, in so many columns. */
function nameOf(row: Row, { look, view }: LiveState, names: Names, width: number): Part[] {
  if (row.path === undefined || !look) {
    const name = printable(row.name);
    // Of a path the end tells most.
    const isLong = view === "modules" && name.length > width;
    return [{ text: isLong ? `\u2026${name.slice(1 - width)}` : clip(name, width) }];
  }
  const options = { width, wholeFiles: false, raw: false, apart: true };
  const lead = names.lead(look.path(row.path), Math.max(1, width / 12));
  const { name, place, via } = new Rows({ ...options, callersWidth: 0 }).say(lead);
  const text = clip(`${name}${place && ` ${place}`}${via}`, width);
  const left = width - text.length - 1;
  const callers = left > 16 ? new Rows({ ...options, callersWidth: left }).callers(lead.callers) : "";
  return [{ text }, { text: callers && ` ${callers}`, style: "dim" }];
}

function rowLine(
  row: Row,
  state: LiveState,
  names: Names,
  columns: readonly Column[],
  width: number,
  selected: boolean,
): Line {
  const figures = columns.map(({ sort, width, text }): Part => ({
    text: text(row.figures).padStart(width),
    style: sort === "growth" && row.figures.growth > 0 ? "grows" : undefined,
  }));
  const used = columns.reduce((sum, column) => sum + column.width, 2);
  const parts = [...figures, { text: "  " }, ...nameOf(row, state, names, Math.max(1, width - used))];
  if (!selected) return parts;
  return [{ text: parts.map(({ text }) => text).join("").padEnd(width).slice(0, width), style: "selected" }];
}

/** The lines of a stack, innermost frame first, from as far down as is looked at. */
function stackLines({ look, open, down }: LiveState, names: Names, { columns, rows }: Size): Line[] {
  if (!look || open === undefined) return [];
  const path = look.path(open);
  const told = (n: number, of: number) => `${size(of)} in ${count(n)} ${plural(n, "block")}`;
  const head = `live ${told(path.liveCount, path.liveBytes)}, allocated ${told(path.allocations, path.bytes)}`;
  const frames = names.stack(path).map((frame): Line => [
    { text: `  ${printable(frameName(frame))}` },
    { text: `  ${printable(sourcePlace(frame) || moduleName(frame))}`, style: "dim" },
  ]);
  const end: Line[] = path.end === "root" ? [] : [[{ text: `  (the stack ends: ${path.end})`, style: "dim" }]];
  const all = [...frames, ...end];
  const from = Math.max(0, Math.min(down, all.length - (rows - 1)));
  return [[{ text: head.padEnd(columns), style: "head" }], ...all.slice(from, from + rows - 1)];
}

const HELP = [
  "g l b a p      sort by growth, live, bytes a second, allocations a second, peak",
  "tab, 1 to 5    call paths, functions, modules, threads, operations",
  "/              filter: a regular expression; enter keeps it, escape drops it",
  "enter          the whole stack of a call path; the call paths of a function",
  "\u2191 \u2193 page home end, wheel   go through the rows",
  "m              set a mark: growth is counted from there",
  "space          hold the view still; the program goes on",
  "s              save a report of this moment, as a page",
  "q, ctrl-c      leave",
];

function footLine(state: LiveState, { keys }: Surroundings, rows: readonly Row[]): Line {
  const { typing, filter, problem, message, open } = state;
  if (typing) {
    const said = problem || `${count(rows.length)} ${plural(rows.length, "row")}`;
    return [{ text: `/${printable(filter)}\u2588`, style: "strong" }, {
      text: `  ${printable(said)}`,
      style: problem ? "alarm" : "dim",
    }];
  }
  if (message) return [{ text: printable(message), style: "strong" }];
  const sorts = Object.keys(SORT_KEYS).join(" ");
  const all = open === undefined
    ? `q quit  / filter  enter stack  ${sorts} sort  tab view  m mark  space pause  s save  ${keys}? help`
    : "esc back  \u2191 \u2193 scroll  q quit";
  return [{ text: filter && open === undefined ? `/${printable(filter)} (esc)  ` : "", style: "alarm" }, {
    text: all,
    style: "dim",
  }];
}

/** Lines above the rows, in a terminal of so many. */
function above(rows: number): number {
  return rows >= 8 ? 4 : rows >= 5 ? 2 : 1;
}

/** Rows that a terminal of that size has room for. */
export function pageOf({ rows }: Size): number {
  return Math.max(1, rows - above(rows) - 1);
}

/** Which of the rows are on the screen: the chosen one is in the middle, but for the ends. */
export function shownRows(state: LiveState, rows: readonly Row[], size: Size): readonly Row[] {
  const page = pageOf(size);
  const from = Math.max(0, Math.min(selectedRow(state, rows) - Math.floor(page / 2), rows.length - page));
  return rows.slice(from, from + page);
}

/** Why there are no rows. */
function nothing({ look, view, pattern, filter }: LiveState): string {
  if (!look) return "";
  if (view !== "threads" && look.profile.limits.mode !== "paths") {
    return `call paths are not recorded (--mode ${look.profile.limits.mode}); 4 shows threads`;
  }
  return pattern ? `nothing here matches ${printable(filter)}` : "nothing is allocated yet";
}

/** The whole view, in as many lines as the terminal has. */
export function viewLines(
  state: LiveState,
  rows: readonly Row[],
  names: Names | undefined,
  size: Size,
  around: Surroundings = { beside: "", keys: "" },
): Line[] {
  const { columns: width, rows: height } = size;
  const head = above(height);
  const lines: Line[] = head > 1 ? [titleLine(state, around)] : [];
  if (head > 2) lines.push(...figureLines(state, width));
  const room = { columns: width, rows: height - lines.length - 1 };
  if (state.help) lines.push(...HELP.map((text): Line => [{ text }]));
  else if (state.open !== undefined && names) lines.push(...stackLines(state, names, room));
  else {
    const columns = columnsFor(width, state.sort);
    lines.push(headLine(state, columns, width));
    const chosen = rows[selectedRow(state, rows)];
    const isChosen = (row: Row) => state.selected !== undefined && row === chosen;
    if (rows.length === 0) lines.push([{ text: nothing(state), style: "dim" }]);
    for (const row of names ? shownRows(state, rows, size) : []) {
      lines.push(rowLine(row, state, names as Names, columns, width, isChosen(row)));
    }
  }
  while (lines.length < height - 1) lines.push([]);
  return [...lines.slice(0, height - 1), footLine(state, around, rows)].map((line) => within(line, width));
}

/** A view without its looks. */
export function plain(lines: readonly Line[]): string {
  return lines.map((parts) => parts.map(({ text }) => text).join("").trimEnd()).join("\n");
}
