/** Stacks as a recording has them: nodes, each a frame below its caller's. */
import { CONSTANTS, LAYOUT } from "../file/layout.ts";
import type { Table } from "../file/reader.ts";
import { isGuess, isNote, isSignal, moduleOf, Places } from "./places.ts";
import type { Frame, Module, StackEnd } from "./profile.ts";

const ENDS: Readonly<Record<number, StackEnd>> = {
  [CONSTANTS.NODE_ROOT]: "root",
  [CONSTANTS.NODE_DEPTH]: "depth",
  [CONSTANTS.NODE_LOST]: "lost",
  [CONSTANTS.NODE_FULL]: "full",
};

/** The greatest depth that is recorded: a stack is cut here, whatever a file says. */
const LONGEST = 8192;
/** Ends that are looked for one by one, before all are. */
const FEW = 256;

/** Words of a node, and where its fields begin among them, written out: see path_sums.ts. */
const WORDS = 4;
const KEY = 0, PARENT = 2, BUCKET = 3;
{
  const { size, fields } = LAYOUT.nodes;
  const isHere = fields.key?.offset === 4 * KEY && fields.parent?.offset === 4 * PARENT;
  if (size !== 4 * WORDS || !isHere || fields.bucket?.offset !== 4 * BUCKET) {
    throw new TypeError("nodes.ts does not have the layout of nodes");
  }
}
/** Below this a node's number says how a stack ends. */
const FIRST = CONSTANTS.NODE_FIRST;

/** The nodes of a recording. Parents have smaller numbers: what says otherwise counts as lost. */
export class Nodes {
  /** Numbers below this are in use. */
  readonly length: number;
  /** Whether some were made when the table was full. */
  readonly hasFull: boolean;
  readonly #words: Uint32Array;
  readonly #modules: number;
  readonly #places: Places;
  /** The node of each call path; 0 where it has none. */
  readonly #leaves: Uint32Array;
  /** Of code of no object, how much its compiler had written when a node was made. */
  readonly #ages: Uint32Array | undefined;
  /** Nodes that are no frames but operations of a script, between a stack's root and its outermost frame, and their names. */
  readonly #operations: ReadonlyMap<number, string> | undefined;
  #frames: (Frame | undefined)[] | undefined;
  #ends: readonly StackEnd[] | undefined;
  #asked = 0;

  /** The nodes, for call paths with numbers below `paths` in so many modules; `places` are those that other readings have made. */
  constructor(nodes: Table, paths: number, modules: readonly Module[], places = new Places()) {
    const { raw, length } = nodes;
    const words = new Uint32Array(raw.buffer, raw.byteOffset, raw.byteLength >>> 2);
    const leaves = new Uint32Array(paths);
    const full = CONSTANTS.NODE_FULL;
    let hasFull = false;
    let ages: Uint32Array | undefined;
    for (let node = FIRST; node < length; node++) {
      const bucket = words[node * WORDS + BUCKET] as number;
      if (bucket > 0 && bucket < paths) leaves[bucket] = node;
      if (words[node * WORDS + PARENT] === full) hasFull = true;
      if (isNote(words[node * WORDS + KEY + 1] as number)) {
        ages ??= new Uint32Array(length);
        ages[words[node * WORDS + PARENT] as number] = ageOf(words, node);
      }
    }
    this.#ages = ages;
    this.#operations = operationsOf(words, length, modules);
    this.length = length;
    this.hasFull = hasFull;
    this.#words = words;
    this.#modules = modules.length;
    this.#places = places;
    this.#leaves = leaves;
  }

  /** Whether a node is a frame, not the end of a stack. */
  isFrame(node: number): boolean {
    return node >= FIRST;
  }

  /** The innermost node of a call path's stack; below `NODE_FIRST` when it has none. */
  leaf(path: number): number {
    return this.#leaves[path] ?? 0;
  }

  /** The node of a node's caller, smaller than its own number; below `NODE_FIRST` when there is none. */
  parent(node: number): number {
    const parent = this.#words[node * WORDS + PARENT] ?? 0;
    if (parent >= node) return 0;
    return this.#operations?.has(parent) ? this.#words[parent * WORDS + PARENT] ?? 0 : parent;
  }

  /** Whether any call path is of an operation. */
  get hasOperations(): boolean {
    return this.#operations !== undefined;
  }

  /** The operation of a script in which a call path allocated; undefined when it said none. */
  operation(path: number): string | undefined {
    if (!this.#operations) return undefined;
    let node = this.leaf(path);
    for (let parent; (parent = this.#words[node * WORDS + PARENT] ?? 0) >= FIRST && parent < node;) node = parent;
    return this.#operations.get(node);
  }

  /** What stands at the outer end of a call path's stack. */
  end(path: number): StackEnd {
    const leaf = this.leaf(path);
    if (leaf === 0) return "none";
    if (!this.#ends && this.#asked++ < FEW) return this.#endOf(leaf);
    return (this.#ends ??= this.#allEnds())[leaf] ?? "lost";
  }

  #endOf(leaf: number): StackEnd {
    let guessed = false;
    for (let node = leaf;;) {
      guessed ||= isGuess(this.#high(node));
      const parent = this.#words[node * WORDS + PARENT] as number;
      if (parent >= node) return "lost";
      if (parent < FIRST) return endingAs(parent, guessed);
      node = parent;
    }
  }

  #allEnds(): StackEnd[] {
    const ends = new Array<StackEnd>(this.length).fill("lost");
    for (let node = FIRST; node < this.length; node++) {
      const parent = this.#words[node * WORDS + PARENT] as number;
      if (parent >= node) continue;
      const guessed = isGuess(this.#high(node));
      const beyond = parent < FIRST ? ENDS[parent] ?? "lost" : ends[parent] as StackEnd;
      ends[node] = beyond === "root" && guessed ? "guessed" : beyond;
    }
    return ends;
  }

  /** A call path's frames from the innermost outwards. */
  stack(path: number): Frame[] {
    const frames = this.#frames ??= new Array<Frame | undefined>(this.length);
    const stack: Frame[] = [];
    for (let node = this.leaf(path); node >= FIRST && stack.length < LONGEST; node = this.parent(node)) {
      stack.push(frames[node] ??= this.frame(node));
    }
    return stack;
  }

  #high(node: number): number {
    return this.#words[node * WORDS + KEY + 1] ?? 0;
  }

  /** Whether it is the kernel's frame of a signal handler. */
  isSignal(node: number): boolean {
    return isSignal(this.#high(node));
  }

  /** The number of the place where a node is: the same for all nodes of that place, in every reading with the same places. */
  place(node: number): number {
    return this.#places.number(this.#words[node * WORDS + KEY] ?? 0, this.#high(node), this.#ages?.[node] ?? 0);
  }

  /** The frame of a node. */
  frame(node: number): Frame {
    return this.frameAt(this.place(node));
  }

  /** The frame of a place. */
  frameAt(place: number): Frame {
    return this.#places.frame(place, this.#modules);
  }

  /** Numbers of places are below this. */
  get placeCount(): number {
    return this.#places.count;
  }
}

/** What the path of a module that stands for an operation begins with. */
const OPERATION = "operation ";

function operationsOf(words: Uint32Array, length: number, modules: readonly Module[]): Map<number, string> | undefined {
  if (!modules.some(({ path }) => path.startsWith(OPERATION))) return undefined;
  const operations = new Map<number, string>();
  for (let node = FIRST; node < length; node++) {
    if ((words[node * WORDS + PARENT] as number) >= FIRST) continue;
    const path = modules[moduleOf(words[node * WORDS + KEY + 1] as number)]?.path ?? "";
    if (path.startsWith(OPERATION)) operations.set(node, path.slice(OPERATION.length));
  }
  return operations;
}

/** Bytes of a file, as a note has them; as many as 32 bits hold. */
function ageOf(words: Uint32Array, node: number): number {
  const [low, high] = [words[node * WORDS + KEY] as number, words[node * WORDS + KEY + 1] as number];
  return (high & 0xffff) > 0 ? 0xffffffff : low;
}

function endingAs(root: number, guessed: boolean): StackEnd {
  const end = ENDS[root] ?? "lost";
  return end === "root" && guessed ? "guessed" : end;
}
