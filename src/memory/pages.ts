/**
 * Who holds the heap's pages: a page that has a live block in it stays with the process, however little of it that is.
 *
 * A page's waste, what is not live in it, is split equally among the call paths that have blocks there: these shares add up to
 * all that is held beside live blocks (each is the path's Shapley value). What would go back if one path's blocks went is
 * what it holds alone. By default only old blocks are charged, those that stand in two readings: traffic that comes and goes all the time
 * pins nothing by itself.
 */
import { eachBlock, WINDOW, WINDOW_PAGES } from "./blocks.ts";
import type { Blocks, BlockVisitor } from "./blocks.ts";
import { PAGE, PRESENT, ProcessMemory } from "./process_memory.ts";
import { Survey } from "./survey.ts";
import type { Account, Surveyed } from "./survey.ts";

/** What a call path holds of the heap's pages, bytes. */
export interface PinnedPath {
  /** Number of the call path in the recording. */
  readonly id: number;
  /** Pages on which only this path has blocks: what would go back if these went. Not to be added up. */
  readonly alone: number;
  /** Its part of what is held beside live blocks: adds up to all of that. */
  readonly share: number;
  /** Its live blocks that are resident, bytes as requested. */
  readonly live: number;
  /** How many blocks it has. */
  readonly blocks: number;
  /** How many of these are old. */
  readonly oldBlocks: number;
}

/** The heap's resident pages at one moment. */
export interface PageUse {
  /** The process. */
  readonly pid: number;
  /** Seconds since its recording began, of a moment that was kept; undefined for now. */
  readonly seconds?: number | undefined;
  /** Bytes of resident pages of the heap: the sum of the three that follow. */
  readonly resident: number;
  /** In live blocks. */
  readonly inUse: number;
  /** Beside live blocks, on the same pages. */
  readonly beside: number;
  /** Pages without a live block. */
  readonly empty: number;
  /** Of these what glibc's `malloc_trim` gives back; undefined with another allocator. */
  readonly trimmable: number | undefined;
  /** Pages by how much of them is live: below a tenth, below two tenths and so on. */
  readonly fullness: readonly number[];
  /** Seconds between the two readings that tell old blocks; undefined when there was one: then all blocks are charged. */
  readonly interval: number | undefined;
  /** Call paths, those with the largest share first. */
  readonly paths: readonly PinnedPath[];
  /** The block that keeps the break from sinking, by its call path, and the bytes of empty pages below it; undefined where there is no such heap. */
  readonly uppermost: { readonly id: number; readonly emptyBelow: number } | undefined;
}

/** Bytes of what is kept of a first reading, at most: beyond, no blocks are known to be old. */
const FIRST_MOST = 2 ** 30;
const GRANULE = 32;

/** What stood in each granule of a window. */
class FirstReading implements BlockVisitor {
  readonly #windows = new Map<number, Uint32Array>();
  #now = new Uint32Array();
  #size = 0;

  get isWhole(): boolean {
    return this.#size <= FIRST_MOST;
  }

  window(start: number): void {
    this.#size += 4 * WINDOW / GRANULE;
    this.#now = this.isWhole ? new Uint32Array(WINDOW / GRANULE) : new Uint32Array();
    if (this.isWhole) this.#windows.set(start, this.#now);
  }

  blocks({ count, offsets, sizes, paths }: Blocks): void {
    const now = this.#now;
    if (now.length === 0) return;
    for (let i = 0; i < count; i++) {
      // Of several in one granule all together.
      const at = offsets[i]! >>> 5;
      now[at] = now[at]! ^ signOf(offsets[i]!, sizes[i]!, paths[i]!);
    }
  }

  of(start: number): Uint32Array | undefined {
    return this.#windows.get(start);
  }
}

function signOf(offset: number, size: number, path: number): number {
  return (Math.imul(path + 1, 0x9e3779b1) ^ Math.imul(size + 1, 0x85ebca6b) ^ (offset & 31) | 1) >>> 0;
}

/** Charges pages to the call paths that have blocks there, as blocks come in the order of their addresses. */
class Ledger implements BlockVisitor {
  readonly alone: Float64Array;
  readonly share: Float64Array;
  readonly live: Float64Array;
  readonly counts: Uint32Array;
  readonly old: Uint32Array;
  readonly #memory: ProcessMemory;
  readonly #first: FirstReading | undefined;
  #present: Uint32Array = new Uint32Array(WINDOW_PAGES);
  #earlier: Uint32Array | undefined;
  #page = -1;
  #resident = false;
  #latest = -1;
  #used = 0;
  readonly #paths: number[] = [];

  constructor(paths: number, memory: ProcessMemory, first: FirstReading | undefined) {
    [this.alone, this.share, this.live] = [new Float64Array(paths), new Float64Array(paths), new Float64Array(paths)];
    [this.counts, this.old] = [new Uint32Array(paths), new Uint32Array(paths)];
    this.#memory = memory;
    this.#first = first;
  }

  window(start: number): void {
    this.finish();
    this.#present = this.#memory.presence(start, WINDOW_PAGES);
    this.#earlier = this.#first?.of(start);
  }

  blocks(some: Blocks): void {
    const { count, offsets, sizes, paths } = some;
    const earlier = this.#earlier;
    const all = !this.#first;
    const { live, counts, old } = this;
    // Of the page and the path that blocks are of until another comes: mostly it is the same again.
    let page = this.#page;
    let latest = this.#latest;
    let used = 0;
    for (let i = 0; i < count; i++) {
      const offset = offsets[i]!;
      const size = sizes[i]!;
      const path = paths[i]!;
      counts[path] = counts[path]! + 1;
      // Not of a shared granule with several, when one of them is another: then neither is, most likely.
      const isOld = all || (earlier !== undefined && earlier[offset >>> 5] === signOf(offset, size, path));
      if (isOld) old[path] = old[path]! + 1;
      if (offset >>> 12 !== page) {
        this.#used += used;
        used = 0;
        page = offset >>> 12;
        latest = -1;
        this.#turn(page);
      }
      if ((offset & 4095) + size <= PAGE) {
        used += size;
        if (this.#resident) live[path] = live[path]! + size;
        if (isOld && path !== latest) this.#charge(latest = path);
        continue;
      }
      this.#used += used;
      used = 0;
      this.#beyond(path, offset, size, isOld);
      page = this.#page;
      latest = -1;
    }
    this.#used += used;
    this.#latest = latest;
  }

  /** A block that goes on in further pages. */
  #beyond(path: number, offset: number, size: number, isOld: boolean): void {
    const first = offset >>> 12;
    const end = offset + size;
    this.#put(path, (first + 1) * PAGE - offset, isOld);
    const last = Math.floor((end - 1) / PAGE);
    for (let page = first + 1; page < last && page < WINDOW_PAGES; page++) {
      if (!(this.#present[page]! & PRESENT)) continue;
      this.live[path] = this.live[path]! + PAGE;
      if (isOld) this.alone[path] = this.alone[path]! + PAGE;
    }
    if (last < WINDOW_PAGES) {
      this.#turn(last);
      this.#put(path, end - last * PAGE, isOld);
    }
  }

  #put(path: number, bytes: number, isOld: boolean): void {
    this.#used += bytes;
    if (this.#resident) this.live[path] = this.live[path]! + bytes;
    if (isOld) this.#charge(path);
  }

  #charge(path: number): void {
    if (!this.#paths.includes(path)) this.#paths.push(path);
  }

  #turn(page: number): void {
    this.finish();
    this.#page = page;
    this.#resident = (this.#present[page]! & PRESENT) !== 0;
  }

  /** The page is complete. */
  finish(): void {
    const paths = this.#paths;
    if (this.#page >= 0 && paths.length > 0 && this.#resident) {
      const waste = Math.max(0, PAGE - this.#used) / paths.length;
      for (const path of paths) this.share[path] = this.share[path]! + waste;
      if (paths.length === 1) this.alone[paths[0]!] = this.alone[paths[0]!]! + PAGE;
    }
    this.#page = -1;
    this.#latest = -1;
    this.#used = 0;
    paths.length = 0;
  }
}

/** The account of a process's memory and its heap's pages, of one reading: all blocks are charged. */
export function accountWithPages(target: Surveyed): { account: Account; pages: PageUse } {
  using memory = ProcessMemory.open(target.pid);
  const ledger = new Ledger(target.buckets, memory, undefined);
  const survey = Survey.of(target, memory, ledger);
  ledger.finish();
  const pages = { ...pagesOf(survey, memory), pid: target.pid, interval: undefined, paths: pathsOf(ledger) };
  return { account: survey.account(memory), pages };
}

/**
 * Looks at the heap's pages of a process that runs; nothing of it is stopped.
 *
 * @param wait Milliseconds between the two readings that tell which blocks are old; 0 for one reading, which charges all.
 * @throws {MemoryError} when it has ended, or may not be looked at.
 */
export async function pageUse(target: Surveyed, wait: number): Promise<PageUse> {
  using memory = ProcessMemory.open(target.pid);
  let first: FirstReading | undefined;
  let interval: number | undefined;
  if (wait > 0) {
    first = new FirstReading();
    const begun = performance.now();
    eachBlock(memory, target.shadow, target.buckets, () => true, first);
    await new Promise((done) => setTimeout(done, wait));
    if (first.isWhole) interval = (performance.now() - begun) / 1000;
    else first = undefined;
  }
  const ledger = new Ledger(target.buckets, memory, first);
  const survey = Survey.of(target, memory, ledger);
  ledger.finish();
  return { ...pagesOf(survey, memory), pid: target.pid, interval, paths: pathsOf(ledger) };
}

function pagesOf(survey: Survey, memory: ProcessMemory): Omit<PageUse, "pid" | "interval" | "paths"> {
  const fullness = new Array<number>(10).fill(0);
  let [inUse, beside, empty, trimmable, emptyBelow] = [0, 0, 0, 0, 0];
  const { uppermost, knowsTrim } = survey;
  survey.eachHeapPage(memory, ({ address, live, taken }) => {
    if (taken === 0) {
      empty += PAGE;
      if (survey.isTrimmable(address)) trimmable += PAGE;
      if (uppermost && survey.isBelowBreak(address) && address < uppermost.end) emptyBelow += PAGE;
      return;
    }
    inUse += live;
    beside += PAGE - live;
    const tenth = Math.min(9, Math.floor(10 * live / PAGE));
    fullness[tenth] = fullness[tenth]! + 1;
  });
  return {
    resident: inUse + beside + empty,
    inUse,
    beside,
    empty,
    trimmable: knowsTrim ? trimmable : undefined,
    fullness,
    uppermost: uppermost && { id: uppermost.path, emptyBelow },
  };
}

function pathsOf(ledger: Ledger): PinnedPath[] {
  const paths: PinnedPath[] = [];
  ledger.counts.forEach((blocks, id) => {
    if (blocks === 0) return;
    paths.push({
      ...{ id, blocks, oldBlocks: ledger.old[id]!, live: ledger.live[id]! },
      alone: ledger.alone[id]!,
      share: Math.round(ledger.share[id]!),
    });
  });
  return paths.sort((a, b) => b.share - a.share || b.alone - a.alone || a.id - b.id);
}
