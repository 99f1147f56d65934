/**
 * Figures of the calling thread and of the process, now and between two moments.
 *
 * A meter asks the library, which leaves the answer in memory of the calling thread (`ffi/api.c`):
 * nothing else writes there, so no figure is ever half old and half new.
 *
 * Peaks come in windows. The library follows one for each meter: every answer says the highest level
 * since the answer before. What is between two answers belongs to everything that is open then, so
 * those stand in a list in the order in which they were opened, each with the highest level between
 * its opening and the next one's. A peak is the highest from the own entry to the end of the list;
 * an entry that leaves gives its highest to the one before. For spans that nest this costs the same
 * whatever else is open.
 */
import { FIGURES_LAYOUT } from "../recording/layout.ts";

/** Allocation figures: of a moment, counted since `install()`, or the difference between two moments. */
export interface Figures {
  /** Successful allocations, reallocations included. */
  readonly allocCount: number;
  /** Bytes asked for; of a reallocation its growth. */
  readonly totalBytes: number;
  /** Blocks freed. */
  readonly freeCount: number;
  /** Bytes freed, or given back by reallocations that made a block smaller. */
  readonly freedBytes: number;
  /** Bytes in use. A difference is signed; so is a thread's figure, when it frees what others allocated. */
  readonly currentBytes: number;
  /** Blocks in use, signed as `currentBytes`. */
  readonly currentCount: number;
  /** Highest `currentBytes`; of a difference, how far it rose above its start. */
  readonly peakBytes: number;
  /** Blocks freed by the thread that allocated them before it allocated another. */
  readonly temporaryCount: number;
}

/** What is open between two moments: their list's entry, and the figures at its start. */
export class Window {
  /** Who was opened before, and after, and is open still. For the meter alone. */
  before: Window | undefined = undefined;
  /** See `before`. */
  after: Window | undefined = undefined;
  /** Highest level from here to the opening of the next. */
  highest = 0;
  /** The level at the start. */
  level = 0;
  /** Figures at the start. */
  allocations = 0;
  /** Figures at the start. */
  bytes = 0;
  /** Figures at the start. */
  frees = 0;
  /** Figures at the start. */
  current = 0;
  /** Figures at the start. */
  reallocations = 0;
  /** Figures at the start. */
  temporary = 0;
}

const word = (field: string) => (FIGURES_LAYOUT.fields[field]?.offset ?? 0) >>> 3;
const WATCH = word("watch");
const ALLOCATIONS = word("allocations");
const BYTES = word("bytes");
const FREES = word("frees");
const CURRENT = word("current");
const REALLOCATIONS = word("reallocations");
const TEMPORARY = word("temporary");
const LEVEL = word("level");
const WINDOW = word("window");
const PEAK = word("peak");
/** Reads figures, of the calling thread or of the process. */
export class Meter {
  /** What the last call said. Only until the next one: who keeps it copies it. */
  readonly figures: { -readonly [Name in keyof Figures]: number } = {
    allocCount: 0,
    totalBytes: 0,
    freeCount: 0,
    freedBytes: 0,
    currentBytes: 0,
    currentCount: 0,
    peakBytes: 0,
    temporaryCount: 0,
  };
  readonly #ask: () => unknown;
  readonly #words: Float64Array;
  readonly #refused: string;
  /** Opened last, and open still. */
  #last: Window | undefined = undefined;

  /** `ask` has the library answer into `words`; `refused` says what it means when it will not. */
  constructor(ask: () => unknown, words: Float64Array, refused: string) {
    this.#ask = ask;
    this.#words = words;
    this.#refused = refused;
  }

  #answer(watch: 0 | 1): void {
    const words = this.#words;
    words[WATCH] = watch;
    if (this.#ask() === 0) throw new Error(this.#refused);
    const last = this.#last;
    if (last !== undefined) {
      const highest = words[WINDOW] as number;
      if (highest > last.highest) last.highest = highest;
    }
  }

  /** Opens a window that begins now. */
  open(window: Window): void {
    this.#answer(1);
    const words = this.#words;
    window.level = window.highest = words[LEVEL] as number;
    window.allocations = words[ALLOCATIONS] as number;
    window.bytes = words[BYTES] as number;
    window.frees = words[FREES] as number;
    window.current = words[CURRENT] as number;
    window.reallocations = words[REALLOCATIONS] as number;
    window.temporary = words[TEMPORARY] as number;
    const last = this.#last;
    window.before = last;
    window.after = undefined;
    if (last !== undefined) last.after = window;
    this.#last = window;
  }

  /** Has `figures` say the difference between a window's start and now. */
  look(window: Window): void {
    this.#answer(1);
    this.#since(window);
  }

  /** Closes a window, and has `figures` say the difference between its start and now. */
  close(window: Window): void {
    const { before, after } = window;
    this.#answer(before === undefined && after === undefined ? 0 : 1);
    this.#since(window);
    if (before !== undefined) {
      before.after = after;
      if (window.highest > before.highest) before.highest = window.highest;
    }
    if (after !== undefined) after.before = before;
    else this.#last = before;
    window.before = window.after = undefined;
  }

  #since(window: Window): void {
    const words = this.#words;
    const f = this.figures;
    let highest = window.highest;
    for (let next = window.after; next !== undefined; next = next.after) {
      if (next.highest > highest) highest = next.highest;
    }
    const allocCount = (words[ALLOCATIONS] as number) - window.allocations;
    const totalBytes = (words[BYTES] as number) - window.bytes;
    const freeCount = (words[FREES] as number) - window.frees;
    const currentBytes = (words[CURRENT] as number) - window.current;
    const rise = highest - window.level;
    f.allocCount = allocCount;
    f.totalBytes = totalBytes;
    f.freeCount = freeCount;
    f.freedBytes = totalBytes - currentBytes;
    f.currentBytes = currentBytes;
    f.currentCount = allocCount - freeCount - ((words[REALLOCATIONS] as number) - window.reallocations);
    // Levels of the process go by what threads have told so far; the ends are exact.
    f.peakBytes = rise > currentBytes ? rise : currentBytes > 0 ? currentBytes : 0;
    f.temporaryCount = (words[TEMPORARY] as number) - window.temporary;
  }

  /** Has `figures` say what was counted since `install()`; a thread's peak is since the thread first asked. */
  now(): void {
    this.#answer(this.#last === undefined ? 0 : 1);
    const words = this.#words;
    const f = this.figures;
    f.allocCount = words[ALLOCATIONS] as number;
    f.totalBytes = words[BYTES] as number;
    f.freeCount = words[FREES] as number;
    f.currentBytes = words[CURRENT] as number;
    f.freedBytes = f.totalBytes - f.currentBytes;
    f.currentCount = f.allocCount - f.freeCount - (words[REALLOCATIONS] as number);
    f.peakBytes = words[PEAK] as number;
    f.temporaryCount = words[TEMPORARY] as number;
  }
}
