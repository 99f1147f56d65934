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
const SHARED = 0x80000000, HALF = 0x7fffffff, SIZE_BITS = 5, SIZE_MASK = 31, LONG = 31, BEYOND = HALF;

/** Who is told of blocks, those of a window after one another and in the order of their addresses. */
export interface BlockVisitor {
  /** A window begins: its first address. */
  window(start: number): void;
  /** A block: its address less the window's, its bytes as requested, and its call path's number. */
  block(offset: number, size: number, path: number): void;
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
 */
export function eachBlock(
  memory: ProcessMemory,
  table: number,
  pathBits: number,
  wanted: (start: number) => boolean,
  visitor: BlockVisitor,
): void {
  const [leaf, second] = [new LeafWords(), new LeafWords()];
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
  // Of a long block in a shared granule the size stands where the next granule's first block would.
  let sizeAt = -1;
  for (const [first, count] of leaf.runs) {
    const end = (first + count) * WORDS_PER_PAGE;
    for (let g = first * WORDS_PER_PAGE; g < end; g++) {
      const upper = words[2 * g + 1]!;
      if (upper === 0) continue;
      const offset = g * GRANULE;
      if (upper & SHARED) {
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
          visitor.block(offset + 8 * place, size, half >>> SIZE_BITS & (2 ** pathBits - 1));
        }
        continue;
      }
      const tag = upper >>> 20;
      if (tag === 0) continue;
      const size = tag === TAG_LARGE ? words[2 * g + 4]! + words[2 * g + 5]! * 2 ** 32 : words[2 * g]!;
      visitor.block(offset, size, upper & PATH_MASK);
    }
  }
}
