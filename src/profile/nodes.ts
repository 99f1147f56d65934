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
const LONGEST = 1024;

/** The nodes of a recording. Parents have smaller numbers: what says otherwise counts as lost. */
export class Nodes {
  readonly #parentOf: (node: number) => number;
  readonly #words: Uint32Array;
  readonly #modules: number;
  readonly #ends: Uint8Array;
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
    this.#leaves = new Uint32Array(paths);
    this.#frames = new Array(nodes.length);
    this.#places = Array.from({ length: modules + 1 }, () => new Map());
    const bucketOf = nodes.column("bucket");
    for (let node = CONSTANTS.NODE_FIRST; node < nodes.length; node++) {
      const bucket = bucketOf(node);
      if (bucket > 0 && bucket < paths) this.#leaves[bucket] = node;
      const parent = this.#parentOf(node);
      if (parent < node) this.#ends[node] = parent < CONSTANTS.NODE_FIRST ? parent : this.#ends[parent] ?? 0;
    }
  }

  /** What stands at the outer end of a call path's stack. */
  end(path: number): StackEnd {
    const leaf = this.#leaves[path] ?? 0;
    return leaf === 0 ? "none" : ENDS[this.#ends[leaf] ?? 0] ?? "lost";
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

  #frame(node: number): Frame {
    const known = this.#frames[node];
    if (known) return known;
    // A key has 64 bits, the module above the offset: taken apart before either passes 2^53.
    const [low, high] = [this.#words[node * 4] ?? 0, this.#words[node * 4 + 1] ?? 0];
    const number = high >>> 16;
    const offset = low + (high & 0xffff) * 4294967296;
    const module = number <= this.#modules ? number - 1 : -1;
    const places = this.#places[module + 1] as Map<number, Frame>;
    let frame = places.get(offset);
    if (!frame) places.set(offset, frame = { module, address: offset });
    return this.#frames[node] = frame;
  }
}
