/**
 * What glibc's allocator itself says of its memory: which of it is in chunks that are in use, whoever asked for them. Of a process that was attached to
 * nothing else tells what is in blocks from before. Read from outside, with nothing of it stopped: each chunk's header leads to the next, up to where
 * the heap has to end, so that a walk which met something that was being changed is noticed, and made anew.
 *
 * Not in use is also what threads keep for themselves (tcache, up to glibc 2.41) and what stands in fast bins, which the headers do not tell.
 */
import { WINDOW, WINDOW_PAGES } from "./blocks.ts";
import { firstAbove, heapAt, isAnonymous, isGlibc, isOwnTable, LARGEST, SIZE_AT } from "./layout.ts";
import type { Heap } from "./layout.ts";
import { PAGE, PRESENT } from "./process_memory.ts";
import type { Area, ProcessMemory } from "./process_memory.ts";

/** Windows of which that is kept: a quarter of a terabyte. */
const MOST_WINDOWS = 4096;

/** Bytes in use by page. */
export class UsedPages {
  readonly #windows = new Map<number, Uint16Array>();
  // The window of the last range: mostly that of the next one too.
  #base = -WINDOW;
  #pages: Uint16Array = new Uint16Array();

  /** Those of the page that begins at an address. */
  at(address: number): number {
    const base = Math.floor(address / WINDOW) * WINDOW;
    return this.#windows.get(base)?.[(address - base) / PAGE] ?? 0;
  }

  /** Whether all could be kept. */
  get isWhole(): boolean {
    return this.#windows.size <= MOST_WINDOWS;
  }

  #open(base: number): void {
    let pages = this.#windows.get(base);
    if (!pages) this.#windows.set(base, pages = new Uint16Array(WINDOW_PAGES));
    [this.#base, this.#pages] = [base, pages];
  }

  /** Adds a range, or, with a sign of -1, takes it away again. */
  add(start: number, end: number, sign: 1 | -1): void {
    for (let from = start; from < end && this.isWhole;) {
      if (from < this.#base || from >= this.#base + WINDOW) this.#open(Math.floor(from / WINDOW) * WINDOW);
      const pages = this.#pages;
      const until = end < this.#base + WINDOW ? end - this.#base : WINDOW;
      for (let at = from - this.#base; at < until;) {
        const page = at >>> 12;
        const edge = (page + 1) * PAGE;
        const to = edge < until ? edge : until;
        const sum = pages[page]! + sign * (to - at);
        pages[page] = sum < 0 ? 0 : sum > PAGE ? PAGE : sum;
        at = to;
      }
      from = this.#base + until;
    }
  }

  /** Adds others. */
  merge(others: UsedPages): void {
    for (const [base, pages] of others.#windows) {
      const mine = this.#windows.get(base);
      if (mine) pages.forEach((n, i) => mine[i] = Math.min(PAGE, mine[i]! + n));
      else this.#windows.set(base, pages);
    }
  }
}

/** Bytes of a chunk's header, of the smallest chunk, and what sizes and addresses are multiples of. */
const HEADER = 16, SMALLEST = 32, ALIGN = 16;
/** Bits of a chunk's size: the one below is in use; it was mapped by itself. */
const BELOW_IN_USE = 1, MAPPED = 2, FLAGS = 7;
/** Bins of an arena, of which that many must be well: others may be changing. */
const BINS = 127, WELL = 112;
/** Lists of small free chunks before `top`, which is two words before the bins. */
const FAST_BINS = 10;
/** Bytes of the rest of an arena's state behind the bins: since glibc 2.23, and before. */
const BEHIND_BINS = [56, 48] as const;
/** Bytes of an arena's state, at most. */
const ARENA = 256 + 16 * BINS + 56;
/** Sizes of a chunk with what a thread keeps for itself, its 64 counts of two bytes (since glibc 2.30) or of one (from 2.26 on) and as many lists. */
const KEPT = 0x290, KEPT_BEFORE = 0x250, KEPT_BINS = 64;
/** Entries that are followed of all lists. */
const MOST_ENTRIES = 2 ** 21;
/** The least that is mapped by itself where nobody has set another limit. */
const LEAST_MAPPED = 2 ** 17;
/** By how much a break may have been moved since somebody looked. */
const BREAK_MOVES = 2 ** 32;
/** The C library's own data is smaller; and how many such there may be, of namespaces of their own. */
const DATA = 2 ** 20, MOST_LIBCS = 8;
/** How often something is tried that is changed meanwhile. */
const TRIES = 8;
/** Bytes that are read at once by a walk, and pages that are kept of what goes to and fro. */
const STRIDE = 2 ** 20, SPOTS = 2 ** 14;

/** Resident bytes from a page's start on, as many as there is room for: what is swapped out stays where it is. */
function resident(memory: ProcessMemory, start: number, into: ArrayBuffer): Int32Array {
  const present = memory.presence(start, into.byteLength / PAGE);
  const gap = present.findIndex((page) => !(page & PRESENT));
  const bytes = new Uint8Array(into, 0, (gap < 0 ? present.length : gap) * PAGE);
  return new Int32Array(into, 0, memory.read(start, bytes) >> 2);
}

/** Words of a process's memory in no order: pieces of it as they were when they were read first. */
class Spots {
  readonly #memory: ProcessMemory;
  readonly #read = new Map<number, Int32Array>();
  /** Halves of the word that was read last. */
  low = 0;
  high = 0;

  constructor(memory: ProcessMemory) {
    this.#memory = memory;
  }

  /** Reads a word; -1 where nothing is. */
  word(address: number): number {
    const start = Math.floor(address / PAGE) * PAGE;
    let words = this.#read.get(start);
    if (!words) {
      if (this.#read.size >= SPOTS) this.#read.clear();
      this.#read.set(start, words = resident(this.#memory, start, new ArrayBuffer(PAGE)));
    }
    const at = (address - start) >> 2;
    if (at + 1 >= words.length) return -1;
    [this.low, this.high] = [words[at]! >>> 0, words[at + 1]! >>> 0];
    return this.low + this.high * 2 ** 32;
  }

  /** The size of a chunk, without its flags. */
  size(chunk: number): number {
    const word = this.word(chunk + 8);
    return word < 0 ? word : word - (this.low & FLAGS);
  }
}

/** glibc's chunks at one moment. */
class Chunks {
  readonly #memory: ProcessMemory;
  readonly #heaps: readonly Heap[];
  /** What is in use. */
  readonly used = new UsedPages();
  /** What threads keep for themselves of what is not: glibc gives no page of that back. */
  readonly kept = new UsedPages();
  #spots: Spots;
  #entries = 0;
  readonly #stride = new ArrayBuffer(STRIDE);
  /** Where the bins of arenas are. */
  readonly #bins: number[] = [];
  /** Chunks that may have what a thread keeps for itself. */
  readonly #keepers: number[] = [];

  constructor(memory: ProcessMemory, heaps: readonly Heap[]) {
    this.#memory = memory;
    this.#heaps = heaps;
    this.#spots = new Spots(memory);
  }

  #isInHeap(address: number): boolean {
    return address % ALIGN === 0 && heapAt(this.#heaps, address) !== undefined;
  }

  /** Whether the two words at an address can be a bin: a list in a circle, of itself alone or of free chunks. */
  #isBin(at: number): boolean {
    const [first, last] = [this.#spots.word(at), this.#spots.word(at + 8)];
    return first === at - HEADER ? last === first : this.#isInHeap(first) && this.#isInHeap(last);
  }

  /** Where an arena's uppermost chunk ends, and its heap with it, as it is just now; undefined where it has none. */
  #topEnd(bins: number): number | undefined {
    // It may be moved between the two.
    for (let tries = 0; tries < TRIES; tries++) {
      const start = this.#memory.word(bins - 16);
      const size = start === undefined ? undefined : this.#memory.word(start + 8);
      if (start === undefined || size === undefined) return undefined;
      const end = start + size - BELOW_IN_USE;
      if (end > start && end % PAGE === 0) return end;
    }
    return undefined;
  }

  /** Where the bins are of an arena whose state is somewhere in a part of memory; undefined when it has none. */
  #binsIn(start: number, end: number): number | undefined {
    const length = Math.floor((end - start) / 8);
    const isBin = Array.from({ length }, (_, i) => this.#isBin(start + 8 * i));
    let [best, most] = [-1, WELL];
    for (let i = 0; i < length; i++) {
      let well = 0;
      for (let bin = 0; bin < BINS && well + BINS - bin >= most; bin++) if (isBin[i + 2 * bin]) well++;
      // The two words before them look like one, those behind them do not.
      if (well >= most) [best, most] = [i, well];
    }
    return best < 0 ? undefined : start + 8 * best;
  }

  /** Walks from chunk to chunk of a heap; where it met something that is none, undefined when it came to where the heap ends. */
  #walk(from: number, heap: Heap, bins: number, used: UsedPages, keepers: number[]): number | undefined {
    // Where the chunk begins, the one below it, and the run of used ones that this may belong to.
    let [at, below, run] = [from, from, -1];
    let limit = this.#limit(heap, bins);
    for (;;) {
      const base = Math.floor(at / PAGE) * PAGE;
      const words = resident(this.#memory, base, this.#stride);
      if (at + HEADER - base > words.byteLength) {
        // Where it ends by now what we came from was the uppermost chunk.
        if (at !== this.#limit(heap, bins)) return at;
        if (run >= 0) used.add(run, below, 1);
        return undefined;
      }
      // Of small chunks, which nearly all are, in whole numbers of 32 bits: places of their sizes among the words.
      const place = (address: number) => (address - base) / 4 + 2;
      const address = (place: number) => base + 4 * (place - 2);
      const stop = Math.min(words.length - 1, Math.max(0, place(limit)));
      let [i, last] = [place(at), place(below)];
      for (;;) {
        const low = words[i]!;
        const size = low & ~FLAGS;
        if (low & BELOW_IN_USE) {
          if (run < 0) run = address(last);
          const length = i - last;
          if (length === KEPT / 4 || length === KEPT_BEFORE / 4) keepers.push(address(last));
        } else if (run >= 0) {
          used.add(run, address(last), 1);
          run = -1;
        }
        if (words[i + 1] !== 0 || size < SMALLEST || low & (MAPPED | ALIGN >> 1) || i + (size >> 2) >= stop) break;
        last = i;
        i += size >> 2;
      }
      [at, below] = [address(i), address(last)];
      const [low, high] = [words[i]! >>> 0, words[i + 1]! >>> 0];
      const size = low - (low & FLAGS) + high * 2 ** 32;
      if (size <= HEADER || at + size >= limit) {
        // A heap that its arena has gone on from ends with two that are too small to be chunks; the last one with the uppermost chunk, which moves.
        limit = this.#limit(heap, bins);
        const isEnd = size <= HEADER ? limit > at && limit - at <= 4 * HEADER : at + size === limit;
        if (isEnd && run >= 0) used.add(run, at, 1);
        if (isEnd || size <= HEADER || at + size > limit) return isEnd ? undefined : at;
      }
      if (size < SMALLEST || size % ALIGN !== 0 || low & MAPPED || !used.isWhole) return at;
      below = at;
      at += size;
    }
  }

  /** Where a heap ends just now; 0 when that cannot be had. */
  #limit({ arena, start }: Heap, bins: number): number {
    if (arena === undefined) return this.#topEnd(bins) ?? 0;
    return start + Math.min(WINDOW, this.#memory.word(start + SIZE_AT) ?? 0);
  }

  /** Adds a heap's chunks, when one of the places where they may begin leads to its end. */
  #heap(begins: readonly number[], heap: Heap, bins: number): boolean {
    for (const begin of begins) {
      let earlier: number | undefined;
      for (let tries = 0; tries < TRIES; tries++) {
        const used = new UsedPages(), keepers: number[] = [];
        const failed = this.#walk(begin, heap, bins, used, keepers);
        if (failed === undefined) {
          this.used.merge(used);
          for (const keeper of keepers) this.#keepers.push(keeper);
          return true;
        }
        // Where two walks end in the same place nothing is being changed.
        if (failed === earlier) break;
        earlier = failed;
      }
    }
    return false;
  }

  /**
   * Takes back what a list of free chunks has, of which the headers say that they are in use; each points `from` its start on to the next. What was read at
   * different times may lead in a circle.
   */
  #free(first: number, size: number, from: number, isKept: boolean): void {
    const seen = new Set<number>();
    let at = first;
    while (this.#isInHeap(at - from + HEADER) && this.#spots.size(at - from) === size && !seen.has(at)) {
      if (++this.#entries > MOST_ENTRIES) return;
      seen.add(at);
      const chunk = at - from, link = chunk + HEADER;
      this.used.add(chunk, chunk + size, -1);
      if (isKept) this.kept.add(chunk, chunk + size, 1);
      at = this.#spots.word(link);
      // Since glibc 2.32 a link is mixed with where it stands.
      if (!this.#isInHeap(at) || this.#spots.size(at - from) !== size) {
        this.#spots.word(link);
        const low = (this.#spots.low ^ (link / 4096)) >>> 0, high = (this.#spots.high ^ (link / 2 ** 44)) >>> 0;
        at = low + high * 2 ** 32;
      }
    }
  }

  /** Takes back what an arena has in fast bins. */
  #fastBins(bins: number): void {
    for (let i = 0; i < FAST_BINS; i++) {
      this.#free(this.#spots.word(bins - 16 - 8 * (FAST_BINS - i)), SMALLEST + ALIGN * i, 0, false);
    }
  }

  /** Takes back what a thread keeps for itself, if a chunk of that size is this: all of its lists begin with such as belong there. */
  #kept(chunk: number): void {
    const bytes = this.#spots.size(chunk) === KEPT ? 2 : 1;
    const counts = chunk + HEADER, entries = counts + bytes * KEPT_BINS;
    // A program may have many blocks of that size, with zeros in them.
    let isEmpty = true;
    for (let at = counts; at < entries && isEmpty; at += 8) isEmpty = this.#spots.word(at) === 0;
    if (isEmpty) return;
    const firsts: number[] = [];
    for (let i = 0; i < KEPT_BINS; i++) {
      const offset = bytes * i;
      this.#spots.word(counts + offset - offset % 8);
      const word = offset % 8 < 4 ? this.#spots.low : this.#spots.high;
      const count = (word >>> (8 * (offset % 4))) & (2 ** (8 * bytes) - 1);
      const first = this.#spots.word(entries + 8 * i);
      if ((count === 0) !== (first === 0)) return;
      if (first !== 0 && (!this.#isInHeap(first) || this.#spots.size(first - HEADER) !== SMALLEST + ALIGN * i)) return;
      firsts.push(first);
    }
    firsts.forEach((first, i) => first !== 0 && this.#free(first, SMALLEST + ALIGN * i, HEADER, true));
  }

  /** Adds all heaps; false where one cannot be walked through. */
  heaps(libc: readonly Area[]): boolean {
    let main: number | undefined;
    for (const { start, end } of libc.slice(0, MOST_LIBCS)) main ??= this.#binsIn(start, end);
    // Until it is needed the uppermost chunk is a bin of its own. Where the break cannot be moved it is in memory that was mapped for it, which is not looked for.
    const top = main === undefined ? undefined : this.#memory.word(main - 16);
    const below = this.#heaps.find(({ arena }) => arena === undefined);
    const isMoved = main !== undefined && top !== main - HEADER;
    if (isMoved && !(below && top !== undefined && top >= below.start && top < below.end + BREAK_MOVES)) return false;
    for (const heap of this.#heaps) {
      const { start, end, arena: state } = heap;
      // An arena says which it is at the start of each of its heaps; that of the break is in the library's own data.
      const bins = state === undefined ? main : this.#binsIn(state, state + ARENA);
      if (bins === undefined) return false;
      const isFirst = state === undefined || (state >= start && state < end);
      if (isFirst) this.#bins.push(bins);
      const behind = BEHIND_BINS.map((bytes) => Math.ceil((bins + 16 * BINS + bytes) / ALIGN) * ALIGN);
      // What stands before the state in the arena's first heap stands at the start of each.
      const begins = state === undefined ? [start] : isFirst ? behind : [start + state % WINDOW];
      if (!this.#heap(begins, heap, bins)) return false;
    }
    this.#spots = new Spots(this.#memory);
    for (const bins of this.#bins) this.#fastBins(bins);
    for (const chunk of this.#keepers) this.#kept(chunk);
    return true;
  }

  /** Adds chunks that were mapped by themselves: they begin with a page that says how long they are. */
  mapped({ start, end }: Range): void {
    const words = new Int32Array(this.#stride), bytes = new Uint8Array(this.#stride);
    let next = start;
    while (next < end && this.used.isWhole) {
      const base = next, pages = Math.min(WINDOW, end - base) / PAGE;
      for (const [first, count] of this.#memory.runs(base, pages)) {
        const stop = base + (first + count) * PAGE;
        next = Math.max(next, base + first * PAGE);
        while (next < stop) {
          const read = this.#memory.read(next, bytes.subarray(0, Math.min(STRIDE, stop - next)));
          next = this.#mappedIn(words, next, Math.max(1, Math.floor(read / PAGE)) * PAGE, end);
        }
      }
      next = Math.max(next, base + pages * PAGE);
    }
  }

  /** Adds those whose heads are among so many bytes that have been read; where the next may be. */
  #mappedIn(words: Int32Array, from: number, length: number, end: number): number {
    let at = from;
    while (at < from + length) {
      const i = (at - from) >> 2;
      const isHead = words[i] === 0 && words[i + 1] === 0 && (words[i + 2]! & (PAGE - 1)) === MAPPED;
      const size = isHead ? (words[i + 2]! >>> 0) + (words[i + 3]! >>> 0) * 2 ** 32 - MAPPED : 0;
      const isChunk = size >= LEAST_MAPPED && at + size <= end;
      if (isChunk) this.used.add(at, at + size, 1);
      at += isChunk ? size : PAGE;
    }
    return at;
  }
}

type Range = Pick<Area, "start" | "end">;

/** Where chunks may be that were mapped by themselves: neighbours together, as the kernel parts them for reasons of its own, without heaps. */
function mappable(areas: readonly Area[], heaps: readonly Heap[]): Range[] {
  const ranges: { start: number; end: number }[] = [];
  const add = (start: number, end: number) => {
    const last = ranges.at(-1);
    if (last?.end === start) last.end = end;
    else if (end > start) ranges.push({ start, end });
  };
  for (const area of areas) {
    const isLikely = area.path !== "[heap]" && area.access.startsWith("rw") && area.end - area.start <= LARGEST;
    if (!isLikely || !isAnonymous(area) || isOwnTable(area)) continue;
    let at = area.start;
    for (const heap of heaps.slice(firstAbove(heaps, at))) {
      if (heap.start >= area.end) break;
      add(at, Math.max(at, heap.start));
      at = heap.end;
    }
    add(at, Math.max(at, area.end));
  }
  return ranges;
}

/** What is in use of glibc's memory, and what of the rest threads keep for themselves. */
export type ChunkUse = Pick<Chunks, "used" | "kept">;

/**
 * All memory in chunks that are in use.
 *
 * @returns It; undefined where it cannot be known: a heap whose chunks are being changed all the time, or swapped out, cannot be walked through.
 */
export function chunkUse(
  memory: ProcessMemory,
  areas: readonly Area[],
  heaps: readonly Heap[],
): ChunkUse | undefined {
  const isData = ({ path, access, start, end }: Area) =>
    isGlibc(path) && access.startsWith("rw") && end - start <= DATA;
  const libc = areas.filter(isData);
  const chunks = new Chunks(memory, heaps);
  // What is swapped out may be the head of a chunk.
  const isSwapped = areas.some((area) => isAnonymous(area) && area.swapped > 0);
  if (libc.length === 0 || isSwapped || !chunks.heaps(libc)) return undefined;
  for (const range of mappable(areas, heaps)) chunks.mapped(range);
  const { used, kept } = chunks;
  return used.isWhole ? { used, kept } : undefined;
}
