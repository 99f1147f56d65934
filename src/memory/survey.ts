/**
 * A survey of a running process's memory: every resident page gets one use, by its address, and those of the heap are held
 * against the live blocks in them. From outside; the process is not stopped, so figures of a busy one are those of some milliseconds.
 */
import { eachBlock, WINDOW, WINDOW_PAGES } from "./blocks.ts";
import type { BlockSums, WindowFacts } from "./blocks.ts";
import { chunkUse } from "./chunks.ts";
import type { ChunkUse } from "./chunks.ts";
import { firstAbove, heapAt, heapsOf, isGlibc, LARGEST, objectAt, partsOf, wholeUse } from "./layout.ts";
import type { Heap, Part, Use } from "./layout.ts";
import { mappedRanges } from "./mapped_ranges.ts";
import type { MappedRange } from "./mapped_ranges.ts";
import { areasOf, EXCLUSIVE, MemoryError, PAGE, PRESENT, ProcessMemory } from "./process_memory.ts";
import type { Area } from "./process_memory.ts";

/** What is to be known of a recorded process to look at its memory. */
export interface Surveyed {
  /** The process. */
  readonly pid: number;
  /** Path of the recording; "" for one in the process's own memory. */
  readonly recording: string;
  /** Where the library has its table of live blocks; 0 when there is none. */
  readonly shadow: number;
  /** Where it has what the program has mapped; 0 when it does not follow that. */
  readonly mappings: number;
  /** Call paths that the table holds. */
  readonly buckets: number;
  /** Object that the malloc underneath is from. */
  readonly allocator: string;
  /** Whether it ran before the recording began: then there are blocks that no table has. */
  readonly ranBefore: boolean;
  /** Whether the heap may tell what these come to: all blocks are glibc's, and it is another process's, which a walk does not change. Else nobody does. */
  readonly mayWalk: boolean;
  /** Live bytes as counted, for recordings that know no single block. */
  readonly liveBytes: number;
}

/** The account of a process's resident memory, bytes. All but `trimmable`, `swapped` and `untouched` add up to `resident`. */
export interface Account {
  /** Resident set. */
  readonly resident: number;
  /** What is resident of live blocks, as they were requested. */
  readonly live: number;
  /** What the allocator takes for these beyond that, rounding and headers; undefined when it does not tell: then it is in `allocatorFree`. */
  readonly slack: number | undefined;
  /**
   * What is resident of blocks from before the recording began (in a process that was attached to, or a fork's child), with rounding and headers;
   * undefined where it is not known: then it is in `allocatorFree` and `other`.
   */
  readonly before: number | undefined;
  /** Free in the allocator. */
  readonly allocatorFree: number;
  /** Whole pages of that, which `malloc_trim` would give back; undefined when the allocator has no such thing. */
  readonly trimmable: number | undefined;
  /** Memory that the program has mapped itself; undefined when that was not followed: then it is in `other`. */
  readonly mapped: number | undefined;
  /** Threads' stacks. */
  readonly stacks: number;
  /** Mapped files: code, data, and what a program has of its own of them. */
  readonly files: number;
  /** Shared memory. */
  readonly shared: number;
  /** What heaptap costs in the process: library, tables, what is resident of the recording. */
  readonly heaptap: number;
  /** The rest. */
  readonly other: number;
  /** Swapped out, beside the resident set. */
  readonly swapped: number;
  /** Bytes of live blocks that are not resident: never touched, or swapped out. */
  readonly untouched: number;
}

/** Which pages of a window are the heap's and resident, and what is in them. */
interface Window {
  /** Requested bytes of live blocks in each page. */
  readonly live: Uint16Array;
  /** The same with what the allocator takes for each. */
  readonly taken: Uint16Array;
}

/** Allocators whose free memory goes by slabs: a region of so many bytes is theirs when a block lies in it. */
const REGION = 2 ** 22;
/** A thread's stack, where no limit says otherwise. */
const STACK = 2 ** 23;

/** Who is told of pages with live blocks too, as {@linkcode BlockVisitor} is, and wants the sums of call paths. */
export interface AlsoTold {
  /** Gets these. */
  readonly sums: BlockSums;
  /** A window begins: what it knows of it. */
  window(start: number): Pick<WindowFacts, "earlier" | "present">;
  /** A page; `others` are bytes in it of blocks from before. */
  page(page: number, live: number, paths: number, others: number): void;
  /** A block that goes on behind the window. */
  beyond(path: number, live: number, isOld: boolean): void;
}

/** What {@linkcode Survey.eachHeapPage} tells. */
export interface HeapPage {
  /** Its address. */
  readonly address: number;
  /** Requested bytes of live blocks in it. */
  readonly live: number;
  /** The same with rounding and headers. */
  readonly taken: number;
  /**
   * What blocks from before have of it, with rounding and headers: what is in use less `taken`. Below zero where a block of these was made
   * between the two readings: then one that went stands for it elsewhere.
   */
  readonly before: number;
}

/** A survey of one moment. */
export class Survey {
  /** What is mapped. */
  readonly areas: readonly Area[];
  /** glibc's heaps. */
  readonly heaps: readonly Heap[];
  /** What the program has mapped itself; undefined when that is not known. */
  readonly ranges: readonly MappedRange[] | undefined;
  /** The call path of the block that lies highest below the break, and the end of its page; undefined when there is none. */
  uppermost: { readonly path: number; readonly end: number } | undefined;
  readonly #target: Surveyed;
  readonly #windows = new Map<number, Window>();
  readonly #parts: readonly Part[];
  readonly #own: { readonly recording: string; readonly library: string };
  readonly #glibc: boolean;
  readonly #break: Heap | undefined;
  readonly #chunks: ChunkUse | undefined;
  #liveBytes = 0;
  #base = -1;
  #here: Window | undefined;

  private constructor(target: Surveyed, memory: ProcessMemory) {
    this.#target = target;
    this.#glibc = isGlibc(target.allocator);
    this.areas = areasOf(target.pid);
    if (this.areas.length === 0) {
      throw new MemoryError(`Cannot look at the memory of process ${target.pid}: it has ended`);
    }
    this.heaps = heapsOf(this.areas, memory);
    const { start } = this.areas.find(({ path }) => path === "[heap]") ?? {};
    this.#break = this.heaps.find((heap) => heap.start === start);
    this.ranges = mappedRanges(memory, target.mappings);
    const library = target.shadow || target.mappings ? objectAt(this.areas, target.shadow || target.mappings) : "";
    this.#own = { recording: target.recording, library };
    const ranges = this.ranges ?? [];
    this.#parts = partsOf(this.areas, memory, this.heaps, ranges, { library, stackLimit: STACK });
    this.#chunks = target.ranBefore && target.mayWalk ? chunkUse(memory, this.areas, this.heaps) : undefined;
  }

  /**
   * Makes one.
   *
   * @param also Who is told of the heap's pages too.
   * @throws {MemoryError} when the process is gone or may not be looked at.
   */
  static of(target: Surveyed, memory: ProcessMemory, also?: AlsoTold): Survey {
    const survey = new Survey(target, memory);
    if (target.shadow) survey.#readBlocks(memory, also);
    return survey;
  }

  /** Whether it is known what the allocator takes for blocks beyond what was requested. */
  get #knowsSlack(): boolean {
    return this.knowsBlocks && this.#glibc;
  }

  /** Whether free pages are known that the allocator would give back when asked. */
  get knowsTrim(): boolean {
    return this.#chunks !== undefined || (this.#knowsSlack && !this.#target.ranBefore);
  }

  /** Whether all blocks are known, or what those from before come to. */
  get knowsAll(): boolean {
    return !this.#target.ranBefore || this.#chunks !== undefined;
  }

  /** Whether an address is in the heap below the break. */
  isBelowBreak(address: number): boolean {
    return this.#break !== undefined && address >= this.#break.start && address < this.#break.end;
  }

  /** Whether single blocks are known. */
  get knowsBlocks(): boolean {
    return this.#target.shadow !== 0;
  }

  /** Whether anything is mapped in a window. */
  isMapped(start: number): boolean {
    const area = this.areas[firstAbove(this.areas, start)];
    return area !== undefined && area.start < start + WINDOW;
  }

  #windowAt(start: number): Window {
    let window = this.#windows.get(start);
    if (!window) {
      window = { live: new Uint16Array(WINDOW_PAGES), taken: new Uint16Array(WINDOW_PAGES) };
      this.#windows.set(start, window);
    }
    return window;
  }

  /** The window of an address, and where it begins in `#base`: mostly that of the last one that was asked for. */
  #windowOf(address: number): Window | undefined {
    const base = Math.floor(address / WINDOW) * WINDOW;
    if (base !== this.#base) [this.#base, this.#here] = [base, this.#windows.get(base)];
    return this.#here;
  }

  #readBlocks(memory: ProcessMemory, also: AlsoTold | undefined): void {
    let start = 0;
    let { live, taken }: Window = { live: new Uint16Array(), taken: new Uint16Array() };
    // The window's part that is one of glibc's heaps.
    let [low, high] = [0, 0];
    const alone = this.#glibc;
    eachBlock(memory, this.#target.shadow, this.#target.buckets, (at) => this.isMapped(at), {
      window: (at) => {
        start = at;
        ({ live, taken } = this.#windowAt(at));
        // Below the break there may be another allocator's blocks, which have no headers.
        const heap = this.#glibc && this.heaps.find((heap) => heap.end > at && heap.start < at + WINDOW);
        [low, high] = heap ? [heap.start - at, heap.end - at] : [0, 0];
        return { low, high, alone, earlier: undefined, present: undefined, ...also?.window(at) };
      },
      page: (page, inUse, inAll, last, paths) => {
        live[page] = Math.min(PAGE, live[page]! + inUse);
        taken[page] = Math.min(PAGE, taken[page]! + inAll);
        this.#liveBytes += inUse;
        also?.page(page, inUse, paths, Math.max(0, this.#usedAt(start + page * PAGE) - inAll));
        // They come in the order of their addresses.
        const address = start + page * PAGE;
        if (inUse > 0 && this.isBelowBreak(address)) this.uppermost = { path: last, end: address + PAGE };
      },
      beyond: (path, inUse, inAll, isOld) => {
        this.#liveBytes += Math.max(0, inUse - WINDOW);
        this.#spread("live", start + WINDOW, start + inUse);
        this.#spread("taken", start + WINDOW, start + inAll);
        also?.beyond(path, inUse, isOld);
      },
    }, also?.sums);
  }

  #spread(what: "live" | "taken", from: number, end: number): void {
    for (let at = from; at < end;) {
      const start = Math.floor(at / WINDOW) * WINDOW;
      const pages = this.#windowAt(start)[what];
      const page = Math.floor((at - start) / PAGE);
      const to = Math.min(end, start + (page + 1) * PAGE);
      pages[page] = Math.min(PAGE, pages[page]! + (to - at));
      at = to;
    }
  }

  /** Whether a block lies in a part of memory that is not glibc's: then it is some allocator's. */
  #hasBlocks(start: number, end: number): boolean {
    for (let at = Math.floor(start / WINDOW) * WINDOW; at < end; at += WINDOW) {
      const live = this.#windows.get(at)?.taken;
      if (!live) continue;
      const [from, to] = [Math.max(0, (start - at) / PAGE), Math.min(WINDOW_PAGES, Math.ceil((end - at) / PAGE))];
      for (let page = from; page < to; page++) if (live[page]! > 0) return true;
    }
    return false;
  }

  /** Resident pages of an area: told with their addresses. What the kernel does not count, the page of zeros that all share, is left out. */
  #eachPage(area: Area, memory: ProcessMemory, visit: (address: number) => void): void {
    const most = area.resident / PAGE;
    const parts: [start: number, upper: Uint32Array][] = [];
    let [present, exclusive] = [0, 0];
    for (let at = area.start; at < area.end && exclusive < most; at += WINDOW) {
      const upper = memory.presence(at, Math.min(WINDOW, area.end - at) / PAGE);
      for (const word of upper) {
        if (word & PRESENT) present++;
        if ((word & PRESENT) && (word & EXCLUSIVE)) exclusive++;
      }
      parts.push([at, upper]);
    }
    // Beside a fork's child pages are shared with it, and counted; else those that are nobody's own are zeros.
    let zeros = Math.max(0, present - most);
    for (const [start, upper] of parts) {
      for (let i = 0; i < upper.length; i++) {
        const word = upper[i]!;
        if (!(word & PRESENT)) continue;
        if (!(word & EXCLUSIVE) && zeros > 0) zeros--;
        else visit(start + i * PAGE);
      }
    }
  }

  /** Tells of each resident page of private memory what its use is; of whole areas at once. */
  #eachUse(
    memory: ProcessMemory,
    area: (use: Use, bytes: number) => void,
    page: (use: Use, address: number) => void,
  ): void {
    const owns = new Map<number, boolean>();
    const isAllocators = (key: number, start: number, end: number) => {
      let found = owns.get(key);
      if (found === undefined) owns.set(key, found = this.#hasBlocks(start, end));
      return found;
    };
    for (const entry of this.areas) {
      if (entry.resident === 0) continue;
      const whole = wholeUse(entry, this.#own);
      if (whole) {
        area(whole, entry.resident);
        continue;
      }
      if (entry.end - entry.start > LARGEST) {
        const part = this.#parts[firstAbove(this.#parts, entry.start)];
        area(part && part.start < entry.end ? part.use : "other", entry.resident);
        continue;
      }
      let next = firstAbove(this.#parts, entry.start);
      this.#eachPage(entry, memory, (address) => {
        while ((this.#parts[next]?.end ?? Infinity) <= address) next++;
        const part = this.#parts[next];
        const use = part && part.start <= address ? part.use : "other";
        if (use === "heap") return page("heap", address);
        const window = this.#windowOf(address);
        if (window && window.taken[(address - this.#base) / PAGE]! > 0) return page("heap", address);
        if (this.#usedAt(address) > 0) return page("heap", address);
        if (use === "mapped" && part && isAllocators(part.start, part.start, part.end)) return page("heap", address);
        const region = Math.floor(address / REGION) * REGION;
        if (use === "other" && !this.#glibc && window && isAllocators(region, region, region + REGION)) {
          return page("heap", address);
        }
        page(use, address);
      });
    }
  }

  /** Tells of each resident page of the heap. */
  eachHeapPage(memory: ProcessMemory, visit: (page: HeapPage) => void): void {
    this.#eachUse(memory, () => {}, (use, address) => {
      if (use === "heap") visit(this.#heapPage(address));
    });
  }

  #heapPage(address: number): HeapPage {
    const window = this.#windowOf(address);
    const page = (address - this.#base) / PAGE;
    const live = Math.min(PAGE, window?.live[page] ?? 0);
    const taken = Math.max(live, Math.min(PAGE, window?.taken[page] ?? 0));
    const before = this.#usedAt(address) - taken;
    // Elsewhere a block whose chunk was not found is no sign of another.
    return { address, live, taken, before: this.#chunks && (before > 0 || heapAt(this.heaps, address)) ? before : 0 };
  }

  /** Bytes of a page that the allocator says are in use, by blocks from before too; 0 where it was not asked. */
  #usedAt(address: number): number {
    return this.#chunks?.used.at(address) ?? 0;
  }

  /** Whether glibc would give a page back that has no live block: not what stands above an arena's last chunk, nor what threads keep for themselves. */
  isTrimmable(address: number): boolean {
    const heap = heapAt(this.heaps, address);
    return heap !== undefined && address < Math.floor(heap.top / PAGE) * PAGE && !this.#chunks?.kept.at(address);
  }

  /** The account. */
  account(memory: ProcessMemory): Account {
    const sums: Record<Use, number> = { heap: 0, stacks: 0, files: 0, shared: 0, heaptap: 0, mapped: 0, other: 0 };
    let [live, slack, before, trimmable] = [0, 0, 0, 0];
    this.#eachUse(memory, (use, bytes) => sums[use] += bytes, (use, address) => {
      sums[use] += PAGE;
      if (use !== "heap") return;
      const page = this.#heapPage(address);
      live += page.live;
      slack += page.taken - page.live;
      before += page.before;
      if (page.taken === 0 && page.before === 0 && this.isTrimmable(address)) trimmable += PAGE;
    });
    const counted = Math.max(0, this.#target.liveBytes);
    if (!this.knowsBlocks) {
      // Blocks are not known: of a heap that is, what is live is in it; else it is somewhere in the rest.
      const where: Use = sums.heap > 0 ? "heap" : "other";
      live = Math.min(counted, sums[where]);
      if (where === "other") sums.other -= live;
      // What is in use is that, with what the allocator takes for it, and what is from before.
      before -= live;
    }
    before = Math.max(0, before);
    const inHeap = this.knowsBlocks || sums.heap > 0 ? live : 0;
    const parts = {
      live,
      slack: this.#knowsSlack ? slack : undefined,
      before: this.knowsAll ? before : undefined,
      allocatorFree: Math.max(0, sums.heap - inHeap - before - (this.#knowsSlack ? slack : 0)),
      mapped: this.ranges ? sums.mapped : undefined,
      stacks: sums.stacks,
      files: sums.files,
      shared: sums.shared,
      heaptap: sums.heaptap,
      other: sums.other + (this.ranges ? 0 : sums.mapped),
    };
    return {
      // Of a process that goes on what the kernel said before is another moment's.
      resident: Object.values(parts).reduce((sum: number, n) => sum + (n ?? 0), 0),
      ...parts,
      trimmable: this.knowsTrim ? trimmable : undefined,
      swapped: this.areas.reduce((sum, { swapped }) => sum + swapped, 0),
      untouched: this.knowsBlocks ? Math.max(0, this.#liveBytes - live) : 0,
    };
  }
}

/** Looks at a process's memory once. */
export function surveyed<T>(target: Surveyed, look: (survey: Survey, memory: ProcessMemory) => T): T {
  using memory = ProcessMemory.open(target.pid);
  return look(Survey.of(target, memory), memory);
}
