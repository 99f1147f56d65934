/**
 * The live blocks of a process that runs, from the library's table of them in its memory (ffi/shadow.c), read from outside while
 * the process goes on: a block that comes or goes meanwhile is there or not.
 */
import { PAGE } from "./process_memory.ts";
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

/** A word's upper half: the thread's number in the upper 12 bits, the call path in the others. */
const TAG_LARGE = 0x7ff, PATH_MASK = 0xfffff;
/** Shared granules have several blocks: half words, whose lower bits are sizes. */
const HALF = 0x7fffffff, SIZE_BITS = 5, SIZE_MASK = 31, LONG = 31, BEYOND = HALF;

/** Blocks side by side, in the order of their addresses: as many as `count` says. A call for each would take longer than all else. */
export interface Blocks {
  count: number;
  /** Their addresses less the window's. */
  readonly offsets: Uint32Array;
  /** Their bytes as requested. */
  readonly sizes: Float64Array;
  /** The numbers of their call paths. */
  readonly paths: Uint32Array;
}

/** Who is told of blocks, those of a window after one another. */
export interface BlockVisitor {
  /** A window begins: its first address. */
  window(start: number): void;
  /** Some of its blocks. */
  blocks(some: Blocks): void;
}

/** Blocks that are told of at a time. */
const SOME = 8192;

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

/** Pages that are read at once. */
const AT_ONCE = 256;

/** Words of a leaf as far as they are there, the rest zero; undefined when none is. Used again for the next. */
class LeafWords {
  readonly words = new Uint32Array(2 * LEAF_WORDS + 8);
  /** Runs of pages that were read. */
  runs: (readonly [first: number, count: number])[] = [];
  readonly #bytes = new Uint8Array(this.words.buffer);

  read(memory: ProcessMemory, address: number): void {
    for (const [first, count] of this.runs) this.words.fill(0, first * PAGE / 4, (first + count) * PAGE / 4);
    this.runs = [...memory.runs(address, LEAF_WORDS * 8 / PAGE)];
    for (const [first, count] of this.runs) {
      for (let at = first; at < first + count; at += AT_ONCE) {
        const end = Math.min(first + count, at + AT_ONCE);
        memory.read(address + at * PAGE, this.#bytes.subarray(at * PAGE, end * PAGE));
      }
    }
  }
}

/**
 * Tells a visitor of all live blocks of the windows that `wanted` says yes to. Blocks that the program itself told of (pools), which
 * lie in others, are not among them: their windows are none that anything is mapped in.
 *
 * @param table Where the library has its table: `shadow` of the recording's header.
 * @param buckets Call paths that the recording's table holds: so many bits their numbers have in shared granules.
 */
export function eachBlock(
  memory: ProcessMemory,
  table: number,
  buckets: number,
  wanted: (start: number) => boolean,
  visitor: BlockVisitor,
): void {
  const [leaf, second] = [new LeafWords(), new LeafWords()];
  const pathBits = Math.ceil(Math.log2(Math.max(2, buckets)));
  for (const [number, address] of leavesOf(memory, table)) {
    const start = number * WINDOW;
    if (!wanted(start)) continue;
    leaf.read(memory, address);
    const other = memory.word(address + LEAF_WORDS * 8);
    if (other) second.read(memory, other);
    visitor.window(start);
    walk(leaf, other ? second.words : undefined, pathBits, visitor);
  }
}

function walk(leaf: LeafWords, second: Uint32Array | undefined, pathBits: number, visitor: BlockVisitor): void {
  const words = leaf.words;
  const some: Blocks = {
    count: 0,
    ...{ offsets: new Uint32Array(SOME), sizes: new Float64Array(SOME), paths: new Uint32Array(SOME) },
  };
  const { offsets, sizes, paths } = some;
  // In no closure: then it is in a register, where there are tens of millions of blocks.
  let count = 0;
  // Of a long block in a shared granule the size stands where the next granule's first block would.
  let sizeAt = -1;
  for (const [first, pages] of leaf.runs) {
    const end = (first + pages) * WORDS_PER_PAGE;
    for (let g = first * WORDS_PER_PAGE; g < end; g++) {
      const upper = words[2 * g + 1]!;
      if (upper === 0) continue;
      // A granule has four blocks at most.
      if (count > SOME - 4) {
        some.count = count;
        visitor.blocks(some);
        count = 0;
      }
      if (upper >>> 31 === 0) {
        const tag = upper >>> 20;
        if (tag === 0) continue;
        offsets[count] = g * GRANULE;
        sizes[count] = tag === TAG_LARGE ? words[2 * g + 4]! + words[2 * g + 5]! * 2 ** 32 : words[2 * g]!;
        paths[count++] = upper & PATH_MASK;
        continue;
      }
      for (let place = 0; place < 4; place++) {
        const half = place === 0
          ? upper & HALF
          : place === 2
          ? words[2 * g]! & HALF
          : second
          ? second[2 * g + (place === 3 ? 1 : 0)]! & HALF
          : 0;
        if (half === 0 || (place === 0 && sizeAt === g)) continue;
        if (half >>> SIZE_BITS >>> pathBits === 0) continue; // not counted
        let size = half & SIZE_MASK;
        if (size === LONG) {
          sizeAt = g + 1;
          size = words[2 * g + 3]! & HALF;
          if (size === BEYOND) size = words[2 * g + 4]! + words[2 * g + 5]! * 2 ** 32;
        }
        offsets[count] = g * GRANULE + 8 * place;
        sizes[count] = size;
        paths[count++] = half >>> SIZE_BITS & (2 ** pathBits - 1);
      }
    }
  }
  some.count = count;
  if (count > 0) visitor.blocks(some);
}
