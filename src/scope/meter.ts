/**
 * Figures of the calling thread and of the process, now and between two moments.
 *
 * A meter asks the library, which leaves the answer in memory of the calling thread (`ffi/api.c`):
 * nothing else writes there, so no figure is ever half old and half new.
 *
 * Peaks come in stretches. The library follows one highest level for each meter: every answer says the
 * highest since the answer before. A window's peak is the highest of all stretches since it was opened,
 * in whatever order windows are closed. Of the stretches only those are kept that are higher than all
 * later ones: the first of them that is not older than a window is its highest.
 */
import { FIGURES_LAYOUT } from "../file/layout.ts";

/** Allocation figures: of a moment, counted since `install()`, or the difference between two moments. */
export interface Figures {
  /** Successful allocations, reallocations included. */
  readonly allocations: number;
  /** Bytes asked for; of a reallocation its growth. */
  readonly bytes: number;
  /** Blocks freed. */
  readonly frees: number;
  /** Bytes freed, or given back by reallocations that made a block smaller. */
  readonly freedBytes: number;
  /** Bytes in use. A difference is signed; so is a thread's figure, when it frees what others allocated. */
  readonly liveBytes: number;
  /** Blocks in use, signed as `liveBytes`. */
  readonly liveCount: number;
  /** Highest `liveBytes`; of a difference, how far it rose above its start. */
  readonly peakBytes: number;
  /** Blocks freed by the thread that allocated them before it allocated another. */
  readonly temporary: number;
  /** Reallocations of known blocks; they are among the allocations. */
  readonly reallocations: number;
}

/** What is open between two moments: the figures at its start. */
export class Window {
  /** The first stretch that is its own. */
  stretch = 0;
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
    allocations: 0,
    bytes: 0,
    frees: 0,
    freedBytes: 0,
    liveBytes: 0,
    liveCount: 0,
    peakBytes: 0,
    temporary: 0,
    reallocations: 0,
  };
  readonly #ask: () => unknown;
  readonly #words: Float64Array;
  readonly #refused: string;
  /** Windows that are open. */
  #open = 0;
  /** Number of the stretch that goes on. */
  #stretch = 0;
  /** Stretches that were higher than all later ones, oldest first: their numbers and highest levels. */
  readonly #stretches: number[] = [];
  readonly #highest: number[] = [];
  /** How many of those there are. The arrays stay as long as they were: to shorten them costs. */
  #kept = 0;

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
    if (this.#open === 0) return;
    const highest = words[WINDOW] as number;
    const [stretches, levels] = [this.#stretches, this.#highest];
    let kept = this.#kept;
    while (kept > 0 && (levels[kept - 1] as number) <= highest) kept--;
    stretches[kept] = this.#stretch++;
    levels[kept] = highest;
    this.#kept = kept + 1;
  }

  /** Opens a window that begins now. */
  open(window: Window): void {
    this.#answer(1);
    this.#open++;
    const words = this.#words;
    window.stretch = this.#stretch;
    window.level = words[LEVEL] as number;
    window.allocations = words[ALLOCATIONS] as number;
    window.bytes = words[BYTES] as number;
    window.frees = words[FREES] as number;
    window.current = words[CURRENT] as number;
    window.reallocations = words[REALLOCATIONS] as number;
    window.temporary = words[TEMPORARY] as number;
  }

  /** Has `figures` say the difference between a window's start and now. */
  look(window: Window): void {
    this.#answer(1);
    this.#since(window);
  }

  /** Closes a window, and has `figures` say the difference between its start and now. */
  close(window: Window): void {
    this.#answer(this.#open > 1 ? 1 : 0);
    this.#since(window);
    if (--this.#open === 0) this.#kept = 0;
  }

  /** The highest level since a window was opened. */
  #highestSince(window: Window): number {
    const stretches = this.#stretches;
    // Mostly the window that was opened last, and the stretch that has just ended.
    let low = this.#kept - 1;
    if (low > 0 && (stretches[low - 1] as number) >= window.stretch) {
      let high = low;
      low = 0;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((stretches[middle] as number) >= window.stretch) high = middle;
        else low = middle + 1;
      }
    }
    return this.#highest[low] as number;
  }

  #since(window: Window): void {
    const words = this.#words;
    const f = this.figures;
    const allocations = (words[ALLOCATIONS] as number) - window.allocations;
    const bytes = (words[BYTES] as number) - window.bytes;
    const frees = (words[FREES] as number) - window.frees;
    const liveBytes = (words[CURRENT] as number) - window.current;
    const reallocations = (words[REALLOCATIONS] as number) - window.reallocations;
    const rise = this.#highestSince(window) - window.level;
    f.allocations = allocations;
    f.bytes = bytes;
    f.frees = frees;
    f.freedBytes = bytes - liveBytes;
    f.liveBytes = liveBytes;
    f.liveCount = allocations - frees - reallocations;
    f.reallocations = reallocations;
    // Levels of the process go by what threads have told so far; the ends are exact.
    f.peakBytes = rise > liveBytes ? rise : liveBytes > 0 ? liveBytes : 0;
    f.temporary = (words[TEMPORARY] as number) - window.temporary;
  }

  /** Has `figures` say what was counted since `install()`; a thread's peak is since the thread first asked. */
  now(): void {
    this.#answer(this.#open > 0 ? 1 : 0);
    const words = this.#words;
    const f = this.figures;
    f.allocations = words[ALLOCATIONS] as number;
    f.bytes = words[BYTES] as number;
    f.frees = words[FREES] as number;
    f.liveBytes = words[CURRENT] as number;
    f.freedBytes = f.bytes - f.liveBytes;
    f.reallocations = words[REALLOCATIONS] as number;
    f.liveCount = f.allocations - f.frees - f.reallocations;
    f.peakBytes = words[PEAK] as number;
    f.temporary = words[TEMPORARY] as number;
  }
}
