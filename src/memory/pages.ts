/**
 * Who holds the heap's pages: a page that has a live block in it stays with the process, however little of it that is.
 *
 * A page's waste, what is not live in it, is split equally among the call paths that have blocks there: these shares add up to
 * all that is held beside live blocks (each is the path's Shapley value). What would go back if one path's blocks went is
 * what it holds alone. By default only old blocks are charged, those that stand in two readings: traffic that comes and goes all the time
 * pins nothing by itself.
 */
import { BlockSums, EarlierBlocks, WINDOW, WINDOW_PAGES } from "./blocks.ts";
import type { WindowFacts } from "./blocks.ts";
import { PAGE, PRESENT, ProcessMemory } from "./process_memory.ts";
import { Survey } from "./survey.ts";
import type { Account, AlsoTold, Surveyed } from "./survey.ts";

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
  /** Bytes of resident pages of the heap: the sum of the next three, and of what is in blocks from before. */
  readonly resident: number;
  /** In live blocks. */
  readonly inUse: number;
  /** Beside live blocks, on the same pages. */
  readonly beside: number;
  /** Pages without a live block. */
  readonly empty: number;
  /**
   * What is in blocks from before the recording began, with rounding and headers, and their part of what is beside: whose they are nobody knows.
   * Undefined where that is not known: then they are beside and in empty pages.
   */
  readonly before: { readonly inUse: number; readonly share: number } | undefined;
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

/** Charges pages to the call paths that have blocks there. */
class Ledger implements AlsoTold {
  readonly sums: BlockSums;
  readonly alone: Float64Array;
  readonly share: Float64Array;
  /** The share of blocks from before, on pages where there are others too. */
  beforeShare = 0;
  readonly #memory: ProcessMemory;
  readonly #earlier: EarlierBlocks | undefined;
  #start = 0;
  #present: Uint32Array = new Uint32Array(WINDOW_PAGES);

  constructor(buckets: number, memory: ProcessMemory, earlier: EarlierBlocks | undefined) {
    this.sums = new BlockSums(buckets);
    [this.alone, this.share] = [new Float64Array(buckets), new Float64Array(buckets)];
    this.#memory = memory;
    this.#earlier = earlier;
  }

  window(start: number): Pick<WindowFacts, "earlier" | "present"> {
    this.#start = start;
    this.#present = this.#memory.presence(start, WINDOW_PAGES);
    return { earlier: this.#earlier?.of(start), present: this.#present };
  }

  page(page: number, live: number, paths: number, others: number): void {
    const holders = paths + (others > 0 ? 1 : 0);
    if (holders === 0 || !(this.#present[page]! & PRESENT)) return;
    const { alone, share, sums: { here } } = this;
    const waste = Math.max(0, PAGE - live - others) / holders;
    for (let i = 0; i < paths; i++) share[here[i]!] = share[here[i]!]! + waste;
    if (others > 0) this.beforeShare += waste;
    else if (paths === 1) alone[here[0]!] = alone[here[0]!]! + PAGE;
  }

  /** Whole pages are the block's, and in the last one what it does not fill its waste. */
  beyond(path: number, live: number, isOld: boolean): void {
    for (let from = WINDOW; from < live; from += WINDOW) {
      const present = this.#memory.presence(this.#start + from, Math.ceil(Math.min(WINDOW, live - from) / PAGE));
      present.forEach((word, i) => {
        if (!(word & PRESENT)) return;
        const part = Math.min(PAGE, live - from - i * PAGE);
        this.sums.live[path] = this.sums.live[path]! + part;
        if (!isOld) return;
        this.alone[path] = this.alone[path]! + PAGE;
        this.share[path] = this.share[path]! + PAGE - part;
      });
    }
  }
}

/** The account of a process's memory and its heap's pages, of one reading: all blocks are charged. */
export function accountWithPages(target: Surveyed): { account: Account; pages: PageUse } {
  using memory = ProcessMemory.open(target.pid);
  const ledger = new Ledger(target.buckets, memory, undefined);
  const survey = Survey.of(target, memory, ledger);
  const pages = { ...pagesOf(survey, memory, ledger), pid: target.pid, interval: undefined };
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
  let earlier: EarlierBlocks | undefined;
  let interval: number | undefined;
  if (wait > 0) {
    const begun = performance.now();
    earlier = new EarlierBlocks(memory, target.shadow);
    await new Promise((done) => setTimeout(done, wait));
    if (earlier.isWhole) interval = (performance.now() - begun) / 1000;
    else earlier = undefined;
  }
  const ledger = new Ledger(target.buckets, memory, earlier);
  const survey = Survey.of(target, memory, ledger);
  return { ...pagesOf(survey, memory, ledger), pid: target.pid, interval };
}

function pagesOf(survey: Survey, memory: ProcessMemory, ledger: Ledger): Omit<PageUse, "pid" | "interval"> {
  const fullness = new Array<number>(10).fill(0);
  let [inUse, beside, empty, trimmable, emptyBelow, before, beforeShare] = [0, 0, 0, 0, 0, 0, ledger.beforeShare];
  const { knowsTrim, knowsAll } = survey;
  let uppermost = knowsAll ? survey.uppermost : undefined;
  survey.eachHeapPage(memory, ({ address, live, taken, before: others }) => {
    before += others;
    if (others > 0 && taken === 0) {
      // Nobody else is there.
      beside += PAGE;
      beforeShare += PAGE - others;
      if (uppermost && survey.isBelowBreak(address) && address >= uppermost.end) uppermost = undefined;
      return;
    }
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
  before = Math.max(0, before);
  beside -= before;
  return {
    resident: inUse + before + beside + empty,
    inUse,
    beside,
    empty,
    before: knowsAll ? { inUse: before, share: Math.round(beforeShare) } : undefined,
    trimmable: knowsTrim ? trimmable : undefined,
    fullness,
    paths: pathsOf(ledger),
    uppermost: uppermost && { id: uppermost.path, emptyBelow },
  };
}

function pathsOf(ledger: Ledger): PinnedPath[] {
  const paths: PinnedPath[] = [];
  const { blocks, old, live } = ledger.sums;
  blocks.forEach((count, id) => {
    if (count === 0) return;
    paths.push({
      ...{ id, blocks: count, oldBlocks: old[id]!, live: live[id]! },
      alone: ledger.alone[id]!,
      share: Math.round(ledger.share[id]!),
    });
  });
  return paths.sort((a, b) => b.share - a.share || b.alone - a.alone || a.id - b.id);
}
