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

const word = (field: string) => (FIGURES_LAYOUT.fields[field]?.offset ?? 0) >>> 2;
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
const HIGH = 4294967296;

/** The whole number at a place, exact up to 2^53. All figures read right as signed ones. */
function at(words: Uint32Array, i: number): number {
  return (words[i] as number) + ((words[i + 1] as number) | 0) * HIGH;
}

/** Reads figures, of the calling thread or of the process. */
export class Meter {
  readonly #ask: () => unknown;
  readonly #words: Uint32Array;
  readonly #refused: string;
  /** Opened last, and open still. */
  #last: Window | undefined = undefined;

  /** `ask` has the library answer into `words`; `refused` says what it means when it will not. */
  constructor(ask: () => unknown, words: Uint32Array, refused: string) {
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
      const highest = at(words, WINDOW);
      if (highest > last.highest) last.highest = highest;
    }
  }

  /** Opens a window that begins now. */
  open(window: Window): void {
    this.#answer(1);
    const words = this.#words;
    window.level = window.highest = at(words, LEVEL);
    window.allocations = at(words, ALLOCATIONS);
    window.bytes = at(words, BYTES);
    window.frees = at(words, FREES);
    window.current = at(words, CURRENT);
    window.reallocations = at(words, REALLOCATIONS);
    window.temporary = at(words, TEMPORARY);
    const last = this.#last;
    window.before = last;
    window.after = undefined;
    if (last !== undefined) last.after = window;
    this.#last = window;
  }

  /** The difference between a window's start and now. */
  look(window: Window): Figures {
    this.#answer(1);
    return this.#since(window);
  }

  /** Closes a window, and gives the difference between its start and now. */
  close(window: Window): Figures {
    const { before, after } = window;
    this.#answer(before === undefined && after === undefined ? 0 : 1);
    const figures = this.#since(window);
    if (before !== undefined) {
      before.after = after;
      if (window.highest > before.highest) before.highest = window.highest;
    }
    if (after !== undefined) after.before = before;
    else this.#last = before;
    window.before = window.after = undefined;
    return figures;
  }

  #since(window: Window): Figures {
    const words = this.#words;
    let highest = window.highest;
    for (let next = window.after; next !== undefined; next = next.after) {
      if (next.highest > highest) highest = next.highest;
    }
    const allocCount = at(words, ALLOCATIONS) - window.allocations;
    const totalBytes = at(words, BYTES) - window.bytes;
    const freeCount = at(words, FREES) - window.frees;
    const currentBytes = at(words, CURRENT) - window.current;
    const rise = highest - window.level;
    return {
      allocCount,
      totalBytes,
      freeCount,
      freedBytes: totalBytes - currentBytes,
      currentBytes,
      currentCount: allocCount - freeCount - (at(words, REALLOCATIONS) - window.reallocations),
      // Levels of the process go by what threads have told so far; the ends are exact.
      peakBytes: rise > currentBytes ? rise : currentBytes > 0 ? currentBytes : 0,
      temporaryCount: at(words, TEMPORARY) - window.temporary,
    };
  }

  /** The figures since `install()`; a thread's peak is since the thread first asked. */
  now(): Figures {
    this.#answer(this.#last === undefined ? 0 : 1);
    const words = this.#words;
    const allocCount = at(words, ALLOCATIONS);
    const totalBytes = at(words, BYTES);
    const freeCount = at(words, FREES);
    const currentBytes = at(words, CURRENT);
    return {
      allocCount,
      totalBytes,
      freeCount,
      freedBytes: totalBytes - currentBytes,
      currentBytes,
      currentCount: allocCount - freeCount - at(words, REALLOCATIONS),
      peakBytes: at(words, PEAK),
      temporaryCount: at(words, TEMPORARY),
    };
  }
}
