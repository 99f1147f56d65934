/** Stacks as a recording has them: nodes, each a frame below its caller's. */
import { CONSTANTS } from "../file/layout.ts";
import type { Table } from "../file/reader.ts";
import type { Frame, StackEnd } from "./profile.ts";

const ENDS: Readonly<Record<number, StackEnd>> = {
  [CONSTANTS.NODE_ROOT]: "root",
  [CONSTANTS.NODE_DEPTH]: "depth",
  [CONSTANTS.NODE_LOST]: "lost",
  [CONSTANTS.NODE_FULL]: "full",
};

/** The greatest depth that is recorded: a stack is cut here, whatever a file says. */
const LONGEST = 8192;

/** What is above the module's number in a key. */
const [SIGNAL, GUESS] = [1 << CONSTANTS.KEY_SIGNAL_BIT - 32, 1 << CONSTANTS.KEY_GUESS_BIT - 32];
const MODULE_BITS = (1 << CONSTANTS.KEY_MODULE_BITS) - 1;

/** A number for a place in a module, with what is special of it. */
export function placeNumber(address: number, way: Frame["way"]): number {
  return way === undefined ? address : way === "signal" ? -address - 0.5 : -address - 1;
}

/** The nodes of a recording. Parents have smaller numbers: what says otherwise counts as lost. */
export class Nodes {
  readonly #parentOf: (node: number) => number;
  readonly #words: Uint32Array;
  readonly #modules: number;
  readonly #ends: Uint8Array;
  /** Nodes with a guess on the way out, their own or a caller's. */
  readonly #guessed: Uint8Array;
  /** The node of each call path; 0 where it has none. */
  readonly #leaves: Uint32Array;
  readonly #frames: (Frame | undefined)[];
  /** Frames by module and offset, each made once, so that equal places are the same object. */
  readonly #places: readonly Map<number, Frame>[];

  /** The nodes, for call paths with numbers below `paths` in so many modules. */
  constructor(nodes: Table, paths: number, modules: number) {
    const { raw } = nodes;
    this.#words = new Uint32Array(raw.buffer, raw.byteOffset, raw.byteLength >>> 2);
    this.#parentOf = nodes.column("parent");
    this.#modules = modules;
    this.#ends = new Uint8Array(nodes.length);
    this.#guessed = new Uint8Array(nodes.length);
    this.#leaves = new Uint32Array(paths);
    this.#frames = new Array(nodes.length);
    this.#places = Array.from({ length: modules + 1 }, () => new Map());
    const bucketOf = nodes.column("bucket");
    for (let node = CONSTANTS.NODE_FIRST; node < nodes.length; node++) {
      const bucket = bucketOf(node);
      if (bucket > 0 && bucket < paths) this.#leaves[bucket] = node;
      const parent = this.#parentOf(node);
      this.#guessed[node] = (this.#high(node) & GUESS) !== 0 || (parent < node && this.#guessed[parent]) ? 1 : 0;
      if (parent < node) this.#ends[node] = parent < CONSTANTS.NODE_FIRST ? parent : this.#ends[parent] ?? 0;
    }
  }

  /** What stands at the outer end of a call path's stack. */
  end(path: number): StackEnd {
    const leaf = this.#leaves[path] ?? 0;
    const end = leaf === 0 ? "none" : ENDS[this.#ends[leaf] ?? 0] ?? "lost";
    return end === "root" && this.#guessed[leaf] ? "guessed" : end;
  }

  /** A call path's frames from the innermost outwards. */
  stack(path: number): Frame[] {
    const stack: Frame[] = [];
    for (let node = this.#leaves[path] ?? 0; node >= CONSTANTS.NODE_FIRST && stack.length < LONGEST;) {
      stack.push(this.#frame(node));
      const parent = this.#parentOf(node);
      node = parent < node ? parent : 0;
    }
    return stack;
  }

  #high(node: number): number {
    return this.#words[node * 4 + 1] ?? 0;
  }

  #frame(node: number): Frame {
    const known = this.#frames[node];
    if (known) return known;
    // A key has 64 bits, the module above the offset: taken apart before either passes 2^53.
    const [low, high] = [this.#words[node * 4] ?? 0, this.#high(node)];
    const number = high >>> 16 & MODULE_BITS;
    const offset = low + (high & 0xffff) * 4294967296;
    const way = high & SIGNAL ? "signal" : high & GUESS ? "guess" : undefined;
    const module = number <= this.#modules ? number - 1 : -1;
    const places = this.#places[module + 1] as Map<number, Frame>;
    const place = placeNumber(offset, way);
    let frame = places.get(place);
    if (!frame) places.set(place, frame = way ? { module, address: offset, way } : { module, address: offset });
    return this.#frames[node] = frame;
  }
}
