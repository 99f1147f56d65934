/** What a live view shows: a value that looks at the recording and keys make the next one of. Nothing here draws, or waits. */
import type { Look } from "../profile/looks.ts";
import type { Row } from "./rows.ts";

/** What rows are. */
export const VIEWS = ["paths", "functions", "modules", "threads", "operations"] as const;
export type LiveView = typeof VIEWS[number];

/** What comes first, by the key that asks for it. */
export const SORT_KEYS = { g: "growth", l: "live", b: "bytes", a: "allocations", p: "peak" } as const;
export type LiveSort = typeof SORT_KEYS[keyof typeof SORT_KEYS];

/** What only whoever draws can do. */
export type Wish = "quit" | "interrupt" | "suspend" | "save" | "next" | "redraw";

/** The figures of one look, for the lines of the past. */
export type Past = Pick<Look, "bytesPerSecond"> & { readonly live: number };

/** The state of a view. */
export interface LiveState {
  /** The look that is shown, and the one before it: rates are between the two. */
  readonly look: Look | undefined;
  readonly before: Look | undefined;
  /** The newest look, and the one before it: others than those that are shown while these stand still. */
  readonly latest: Look | undefined;
  readonly beforeLatest: Look | undefined;
  /** From which look on growth is counted: the first, or that of a mark. */
  readonly base: Look | undefined;
  readonly marked: boolean;
  /** Looks so far, the last ones. */
  readonly past: readonly Past[];
  readonly view: LiveView;
  readonly sort: LiveSort;
  /** As it was typed; `pattern` is the last of it that was a regular expression, `problem` why this is none. */
  readonly filter: string;
  readonly pattern: RegExp | undefined;
  readonly problem: string;
  readonly typing: boolean;
  /** The row that is chosen, which stays chosen wherever it goes; undefined for whatever comes first. */
  readonly selected: string | undefined;
  /** The number of the call path whose stack is open, and how far down it is looked at. */
  readonly open: number | undefined;
  readonly down: number;
  readonly paused: boolean;
  readonly help: boolean;
  /** A line that stays until the next key. */
  readonly message: string;
  readonly wish: Wish | undefined;
}

/** Before the first look. */
export const START: LiveState = {
  ...{ look: undefined, before: undefined, latest: undefined, beforeLatest: undefined },
  ...{ base: undefined, marked: false, past: [] },
  ...{ view: "paths", sort: "growth", filter: "", pattern: undefined, problem: "", typing: false },
  ...{ selected: undefined, open: undefined, down: 0, paused: false, help: false, message: "", wish: undefined },
};

/** Looks that are remembered: more than any screen has columns. */
const REMEMBERED = 512;

/** After another look. One that is paused shows the same, and remembers. */
export function looked(state: LiveState, look: Look): LiveState {
  const { bytesPerSecond, totals: { liveBytes: live } } = look;
  const past = [...state.past, { live, bytesPerSecond }].slice(-REMEMBERED);
  const next = { ...state, latest: look, beforeLatest: state.latest, base: state.base ?? look, past };
  return state.paused && look.running ? next : current(next);
}

/** With the newest look on the screen. */
function current(state: LiveState): LiveState {
  return { ...state, paused: false, look: state.latest, before: state.beforeLatest };
}

/** With the regular expression that was typed; what is none yet leaves the rows as they are, and says why. */
function filtered(state: LiveState, filter: string): LiveState {
  try {
    const pattern = filter === "" ? undefined : new RegExp(filter, /[A-Z]/.test(filter) ? "" : "i");
    return { ...state, filter, pattern, problem: "", selected: undefined };
  } catch (error) {
    return {
      ...state,
      filter,
      problem: (error as Error).message.replace(/^Invalid regular expression: (\/.*\/\w*: )?/s, ""),
    };
  }
}

function typed(state: LiveState, key: string): LiveState {
  if (key === "enter") return { ...state, typing: false };
  if (key === "escape") return { ...filtered(state, ""), typing: false };
  if (key === "backspace") return filtered(state, [...state.filter].slice(0, -1).join(""));
  if (key === "ctrl-u") return filtered(state, "");
  return [...key].length === 1 ? filtered(state, state.filter + key) : state;
}

/** How many rows each of these keys goes on. */
function steps(key: string, page: number): number | undefined {
  const far = { up: -1, k: -1, down: 1, j: 1, "wheel-up": -3, "wheel-down": 3, pageup: -page, pagedown: page };
  return key === "home" ? -Infinity : key === "end" ? Infinity : far[key as keyof typeof far];
}

/** The row that is chosen: its place among those that are shown. */
export function selectedRow({ selected }: Pick<LiveState, "selected">, rows: readonly Row[]): number {
  return Math.max(0, rows.findIndex(({ key }) => key === selected));
}

function opened(state: LiveState, row: Row | undefined): LiveState {
  if (row?.path !== undefined) return { ...state, open: row.path, down: 0 };
  if (!row || (state.view !== "functions" && state.view !== "modules")) return state;
  const literal = row.name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return { ...filtered(state, `^${literal}$`), view: "paths" };
}

/** What is on the screen, as far as keys depend on it. */
export interface Shown {
  /** The rows in their order. */
  readonly rows: readonly Row[];
  /** How many of them there is room for. */
  readonly page: number;
  /** Frames of the stack that is open. */
  readonly depth: number;
}

/** After a key: a character, or the name of another key. */
export function pressed(before: LiveState, key: string, { rows, page, depth }: Shown): LiveState {
  const state: LiveState = { ...before, message: "", wish: undefined };
  if (key === "ctrl-c") return { ...state, wish: "interrupt" };
  if (key === "ctrl-z") return { ...state, wish: "suspend" };
  if (key === "ctrl-l") return { ...state, wish: "redraw" };
  const wheel = key.startsWith("wheel-");
  if (state.typing && !wheel && !["up", "down", "pageup", "pagedown"].includes(key)) return typed(state, key);
  if (state.help) return key === "q" ? { ...state, wish: "quit" } : { ...state, help: false };
  const step = steps(key, page);
  if (step !== undefined) {
    const most = Math.max(0, depth - page);
    if (state.open !== undefined) return { ...state, down: Math.min(most, Math.max(0, state.down + step)) };
    const at = Math.min(rows.length - 1, Math.max(0, selectedRow(state, rows) + step));
    return { ...state, selected: rows[at]?.key };
  }
  if (key === "escape" && state.open === undefined) {
    return state.filter === "" ? { ...state, selected: undefined } : filtered(state, "");
  }
  if (state.open !== undefined && ["enter", "escape", "left"].includes(key)) return { ...state, open: undefined };
  if (Object.hasOwn(SORT_KEYS, key)) {
    return { ...state, sort: SORT_KEYS[key as keyof typeof SORT_KEYS], selected: undefined };
  }
  const turn = key === "tab" ? 1 : key === "shift-tab" ? VIEWS.length - 1 : undefined;
  const at = turn === undefined ? "12345".indexOf(key) : (VIEWS.indexOf(state.view) + turn) % VIEWS.length;
  const view = VIEWS[at];
  if (view) return { ...state, view, selected: undefined, open: undefined };
  switch (key) {
    case "q":
      return { ...state, wish: "quit" };
    case "s":
      return { ...state, wish: "save" };
    case "n":
      return { ...state, wish: "next" };
    case "/":
      return { ...state, typing: true, open: undefined };
    case "enter":
    case "right":
      return opened(state, rows[selectedRow(state, rows)]);
    case "m":
      return { ...state, base: state.look, marked: true, message: "growth is counted from here on" };
    case " ":
      return state.paused ? current(state) : { ...state, paused: true };
    case "?":
    case "h":
      return { ...state, help: true };
    default:
      return state;
  }
}
