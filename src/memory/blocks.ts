/**
 * The live blocks of a process that runs, from the library's table of them in its memory (ffi/shadow.c), read from outside while
 * the process goes on: a block that comes or goes meanwhile is there or not.
 */
import { PAGE, PRESENT } from "./process_memory.ts";
import type { ProcessMemory } from "./process_memory.ts";

/** Bits of the addresses that one leaf of the table is for, and that one word of it is for. */
const LEAF_BITS = 26, GRANULE = 32;
/** Words of a leaf. */
const LEAF_WORDS = 2 ** LEAF_BITS / GRANULE;
/** Leaves: addresses have 47 bits. */
const LEAVES = 2 ** (47 - LEAF_BITS);
/** Bytes of addresses that a leaf is for. */
export const WINDOW = 2 ** LEAF_BITS;
/** Pages of such a window. */
export const WINDOW_PAGES = WINDOW / PAGE;
const WORDS_PER_PAGE = PAGE / 8;
const LEAF_PAGES = LEAF_WORDS / WORDS_PER_PAGE;

/** A word's upper half: the thread's number in the upper 12 bits, the call path in the others. */
const TAG_LARGE = 0x7ff, PATH_MASK = 0xfffff;
/** Shared granules have several blocks: half words, whose lower bits are sizes. */
const HALF = 0x7fffffff, SIZE_BITS = 5, SIZE_MASK = 31, LONG = 31, BEYOND = HALF;

/** What is to be known of a window before its blocks are told of. */
export interface WindowFacts {
  /** From where to where in it glibc has a heap, in which a block is preceded by its size and takes a multiple of 16 bytes. */
  readonly low: number;
  /** See `low`. */
  readonly high: number;
  /** Whether all others are glibc's too, which maps them by themselves: they take whole pages. */
  readonly alone: boolean;
  /** What stood there in an earlier reading; undefined when all blocks are taken for old. */
  readonly earlier: EarlierWindow | undefined;
  /** Of each page whether it is resident, as {@linkcode ProcessMemory.presence} says; not wanted without sums of call paths. */
  readonly present: Uint32Array | undefined;
}

/** Sums of call paths, by their numbers. */
export class BlockSums {
  /** Their live blocks. */
  readonly blocks: Uint32Array;
  /** How many of these are old. */
  readonly old: Uint32Array;
  /** Their bytes as requested, of blocks in resident pages. */
  readonly live: Float64Array;
  /** The call paths that have old blocks in the page that is told of: as many of these as {@linkcode BlockVisitor.page} says. */
  readonly here: Uint32Array = new Uint32Array(PAGE);
  /** In which page each was last. */
  readonly seen: Uint32Array;
  /** A number for each page that was told of. */
  page = 0;

  /** @param buckets Call paths that the recording's table holds. */
  constructor(buckets: number) {
    this.blocks = new Uint32Array(buckets);
    this.old = new Uint32Array(buckets);
    this.live = new Float64Array(buckets);
    this.seen = new Uint32Array(buckets);
  }
}

/** Who is told of pages with live blocks, in the order of their addresses. A call for each block would take longer than all else. */
export interface BlockVisitor {
  /** A window begins: its first address. */
  window(start: number): WindowFacts;
  /**
   * What is in a page; it may come again, with what more there is.
   *
   * @param page Its number in the window.
   * @param live Bytes of blocks as requested.
   * @param taken The same with what the allocator takes for each.
   * @param last The call path of the last block in it.
   * @param paths How many call paths have old blocks there: {@linkcode BlockSums.here}.
   */
  page(page: number, live: number, taken: number, last: number, paths: number): void;
  /** A block goes on behind the window: to where, from the window's start, as requested and as taken. Its last page is told of with the others. */
  beyond(path: number, live: number, taken: number, isOld: boolean): void;
}

/** The last page of a block that began in an earlier window. */
interface Tail {
  readonly window: number;
  readonly page: number;
  readonly path: number;
  readonly live: number;
  readonly taken: number;
  readonly isOld: boolean;
}

/** The leaves that there are: which window each is for, and where it is. */
function leavesOf(memory: ProcessMemory, table: number): (readonly [number: number, address: number])[] {
  const leaves: (readonly [number, number])[] = [];
  const page = new Uint8Array(PAGE);
  const words = new Uint32Array(page.buffer);
  for (const [first, count] of memory.runs(table, LEAVES * 8 / PAGE)) {
    for (let i = first; i < first + count; i++) {
      if (memory.read(table + i * PAGE, page) < PAGE) continue;
      for (let k = 0; k < WORDS_PER_PAGE; k++) {
        const address = words[2 * k]! + words[2 * k + 1]! * 2 ** 32;
        if (address !== 0) leaves.push([i * WORDS_PER_PAGE + k, address]);
      }
    }
  }
  return leaves;
}

/** Pages that are read at once: as many as stay in a processor's cache until they have been walked through. */
const AT_ONCE = 256;

/** Words of a leaf as far as they are there, the rest zero. Used again for the next. */
class LeafWords {
  readonly words = new Int32Array(2 * LEAF_WORDS + 8);
  /** Parts that are there, in pages. */
  parts: (readonly [first: number, count: number])[] = [];
  readonly #bytes = new Uint8Array(this.words.buffer);
  #memory: ProcessMemory | undefined;
  #address = 0;

  /** Begins with another one. */
  open(memory: ProcessMemory, address: number): void {
    const before = this.parts;
    [this.#memory, this.#address, this.parts] = [memory, address, []];
    const isThere = new Uint8Array(LEAF_PAGES);
    for (const [first, count] of memory.runs(address, LEAF_PAGES)) {
      isThere.fill(1, first, first + count);
      for (let at = 0; at < count; at += AT_ONCE) this.parts.push([first + at, Math.min(AT_ONCE, count - at)]);
    }
    // What is read anew need not be cleared, which takes as long.
    for (const [first, count] of before) {
      for (let page = first; page < first + count; page++) {
        if (!isThere[page]) this.#bytes.fill(0, page * PAGE, (page + 1) * PAGE);
      }
    }
  }

  /** Reads a part, if it is one. */
  read(number: number): void {
    const [first, count] = this.parts[number] ?? [0, 0];
    const bytes = this.#bytes.subarray(first * PAGE, (first + count) * PAGE);
    // What has gone meanwhile has no blocks.
    bytes.fill(0, this.#memory?.read(this.#address + first * PAGE, bytes));
  }
}

/** Bytes of what is kept of an earlier reading, at most: beyond, no blocks are known to be old. */
const EARLIER_MOST = 2 ** 30;

/** What stood in each granule of a window; nothing where it had none. */
export type EarlierWindow = Int32Array;

/** The words of a granule as one: the same blocks have the same, of several in a granule all together. */
function signOf(lower: number, upper: number, first: number, other: number): number {
  return Math.imul(lower ^ Math.imul(first, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(upper ^ other, 0xc2b2ae35) | 1;
}

/** What stood in each granule at one time: a block of the same call path and size that stands there later is old. */
export class EarlierBlocks {
  /** Whether all could be kept. */
  readonly isWhole: boolean;
  readonly #windows = new Map<number, EarlierWindow>();

  /** Reads it: the same arguments as of {@linkcode eachBlock}. */
  constructor(memory: ProcessMemory, table: number) {
    let size = 0;
    eachLeaf(memory, table, () => (size += 4 * LEAF_WORDS) <= EARLIER_MOST, (start, leaf, second) => {
      const [signs, { words }] = [new Int32Array(LEAF_WORDS), leaf];
      for (const [part, [first, pages]] of leaf.parts.entries()) {
        leaf.read(part);
        for (let g = first * WORDS_PER_PAGE; g < (first + pages) * WORDS_PER_PAGE; g++) {
          const upper = words[2 * g + 1]!;
          if (upper !== 0) signs[g] = signOf(words[2 * g]!, upper, second?.[2 * g] ?? 0, second?.[2 * g + 1] ?? 0);
        }
      }
      this.#windows.set(start, signs);
    });
    this.isWhole = size <= EARLIER_MOST;
  }

  /** What stood in a window. */
  of(start: number): EarlierWindow {
    return this.#windows.get(start) ?? new Int32Array();
  }
}

function eachLeaf(
  memory: ProcessMemory,
  table: number,
  wanted: (start: number) => boolean,
  visit: (start: number, leaf: LeafWords, second: Int32Array | undefined) => void,
): void {
  const [leaf, second] = [new LeafWords(), new LeafWords()];
  for (const [number, address] of leavesOf(memory, table)) {
    const start = number * WINDOW;
    if (!wanted(start)) continue;
    leaf.open(memory, address);
    const other = memory.word(address + LEAF_WORDS * 8);
    if (other) {
      second.open(memory, other);
      second.parts.forEach((_, part) => second.read(part));
    }
    visit(start, leaf, other ? second.words : undefined);
  }
}

/**
 * Tells a visitor of the pages of all live blocks in the windows that `wanted` says yes to. Blocks that the program itself told of (pools), which
 * lie in others, are not among them: their windows are none that anything is mapped in.
 *
 * @param table Where the library has its table: `shadow` of the recording's header.
 * @param buckets Call paths that the recording's table holds: so many bits their numbers have in shared granules.
 * @param sums Gets the sums of call paths, where these are wanted.
 */
export function eachBlock(
  memory: ProcessMemory,
  table: number,
  buckets: number,
  wanted: (start: number) => boolean,
  visitor: BlockVisitor,
  sums?: BlockSums,
): void {
  const pathBits = Math.ceil(Math.log2(Math.max(2, buckets)));
  let tail: Tail | undefined;
  eachLeaf(memory, table, wanted, (start, leaf, second) => {
    // Nothing begins in the window in which it ends.
    if (tail && tail.window < start) {
      tail = walk(new LeafWords(), undefined, pathBits, tail.window, tail, visitor, sums);
    }
    const here = tail?.window === start ? tail : undefined;
    const after = walk(leaf, second, pathBits, start, here, visitor, sums);
    if (here || after) tail = after;
  });
  if (tail) walk(new LeafWords(), undefined, pathBits, tail.window, tail, visitor, sums);
}

/** All in one loop and no closure, and of whole numbers of 32 bits: then they are in registers, where there are tens of millions of blocks. */
function walk(
  leaf: LeafWords,
  second: Int32Array | undefined,
  pathBits: number,
  start: number,
  before: Tail | undefined,
  visitor: BlockVisitor,
  sums: BlockSums | undefined,
): Tail | undefined {
  const { low, high, alone, earlier, present } = visitor.window(start);
  const { blocks, old, live, here, seen } = sums ?? UNWANTED;
  const pathMask = 2 ** pathBits - 1;
  // What is in the page that blocks are in now.
  let [page, inUse, inAll, last, paths] = [
    before?.page ?? -1,
    before?.live ?? 0,
    before?.taken ?? 0,
    before?.path ?? 0,
    0,
  ];
  let number = (sums?.page ?? 0) + 1;
  let isResident = before !== undefined && (present === undefined || (present[page]! & PRESENT) !== 0);
  if (before && sums) {
    if (isResident) live[before.path] = live[before.path]! + before.live;
    if (before.isOld) [seen[before.path], here[paths++]] = [number, before.path];
  }
  let after: Tail | undefined;
  // Of a long block in a shared granule the size stands where the next granule's first block would.
  let sizeAt = -1;
  const { words } = leaf;
  leaf.read(0);
  for (const [part, [first, pages]] of leaf.parts.entries()) {
    // What a large block has in the words behind its own may stand there.
    leaf.read(part + 1);
    const end = (first + pages) * WORDS_PER_PAGE;
    for (let g = first * WORDS_PER_PAGE; g < end; g++) {
      const upper = words[2 * g + 1]!;
      if (upper >>> 20 === 0) continue;
      const lower = words[2 * g]!;
      const isOld = earlier === undefined ||
        earlier[g] === signOf(lower, upper, second?.[2 * g] ?? 0, second?.[2 * g + 1] ?? 0);
      if (lower >= 0 && lower < PAGE && upper > 0 && upper < TAG_LARGE << 20) {
        // As nearly all are: small, in a granule of its own, in the same page as the one before.
        const at = g * GRANULE;
        const isHeap = at >= low && at < high;
        const chunk = isHeap ? lower + 23 & -16 : lower;
        const length = isHeap && chunk < 32 ? 32 : chunk;
        const offset = (at & PAGE - 1) - (isHeap ? 8 : 0);
        if (at >>> 12 === page && offset >= 0 && offset + length <= PAGE && (isHeap || !alone)) {
          inUse += lower;
          inAll += length;
          last = upper & PATH_MASK;
          if (sums) {
            blocks[last] = blocks[last]! + 1;
            if (isResident) live[last] = live[last]! + lower;
            if (isOld) {
              old[last] = old[last]! + 1;
              if (seen[last] !== number) {
                seen[last] = number;
                here[paths++] = last;
              }
            }
          }
          continue;
        }
      }
      const isShared = upper < 0;
      for (let place = 0; place < (isShared ? 4 : 1); place++) {
        let at = g * GRANULE;
        let path = upper & PATH_MASK;
        // Below zero when it has 31 bits or more.
        let size = lower;
        let whole = 0;
        if (isShared) {
          const half = place === 0
            ? upper & HALF
            : place === 2
            ? lower & HALF
            : second
            ? second[2 * g + (place === 3 ? 1 : 0)]! & HALF
            : 0;
          if (half === 0 || (place === 0 && sizeAt === g)) continue;
          if (half >>> SIZE_BITS >>> pathBits === 0) continue; // not counted
          size = half & SIZE_MASK;
          if (size === LONG) {
            sizeAt = g + 1;
            size = words[2 * g + 3]! & HALF;
            if (size === BEYOND) whole = (words[2 * g + 4]! >>> 0) + (words[2 * g + 5]! >>> 0) * 2 ** 32;
          }
          at += 8 * place;
          path = half >>> SIZE_BITS & pathMask;
        } else if (upper >>> 20 === TAG_LARGE) {
          whole = (words[2 * g + 4]! >>> 0) + (words[2 * g + 5]! >>> 0) * 2 ** 32;
        }
        // From where to where it is the block's, and the allocator's for it: within this window.
        let from = at;
        let until = at + size;
        let to = until;
        if (size >= WINDOW - at || size < 0 || whole > 0) {
          until = to = WINDOW;
          const length = whole > 0 ? whole : size >>> 0;
          const isMapped = alone && !(at >= low && at < high);
          after = tailOf(start, path, at + length, isMapped, isOld);
          if (isMapped) from = at & -PAGE;
        } else if (at >= low && at < high) {
          const chunk = size + 23 & -16;
          if (at > 0) from = at - 8;
          to = at - 8 + (chunk < 32 ? 32 : chunk);
        } else if (alone) {
          from = at & -PAGE;
          to = until + PAGE - 1 & -PAGE;
        }
        if (sums) {
          blocks[path] = blocks[path]! + 1;
          if (isOld) old[path] = old[path]! + 1;
        }
        // Of glibc's it is known to 16 bytes where they begin: pages that were told of are not gone back to.
        if (from >>> 12 < page) from = page * PAGE;
        if (to <= from && size > 0) continue; // one that has gone, whose memory is another's already
        // Mostly once.
        do {
          const next = from >>> 12;
          if (next !== page) {
            if (page >= 0) visitor.page(page, inUse, inAll, last, paths);
            page = next;
            inUse = inAll = paths = 0;
            number++;
            isResident = present === undefined || (present[next]! & PRESENT) !== 0;
          }
          last = path;
          const edge = (next + 1) * PAGE;
          const stop = to < edge ? to : edge;
          const part = (until < stop ? until : stop) - (at > from ? at : from);
          inAll += stop - from;
          if (part > 0 || (size === 0 && at >>> 12 === next)) {
            inUse += part;
            if (sums) {
              if (isResident) live[path] = live[path]! + part;
              if (isOld && seen[path] !== number) {
                seen[path] = number;
                here[paths++] = path;
              }
            }
          }
          from = stop;
        } while (from < to);
      }
    }
  }
  if (page >= 0) visitor.page(page, inUse, inAll, last, paths);
  if (sums) sums.page = number;
  if (after) {
    // Told of once, and not where it may still change.
    const edge = after.window + after.page * PAGE - start;
    visitor.beyond(after.path, Math.min(edge, edge + after.live), edge, after.isOld);
  }
  return after;
}

function tailOf(start: number, path: number, end: number, alone: boolean, isOld: boolean): Tail | undefined {
  const edge = Math.ceil(end / PAGE) * PAGE - PAGE;
  if (edge < WINDOW) return undefined;
  const [window, page] = [start + Math.floor(edge / WINDOW) * WINDOW, edge % WINDOW / PAGE];
  return { window, page, path, live: end - edge, taken: alone ? PAGE : end - edge, isOld };
}

const UNWANTED = new BlockSums(0);
