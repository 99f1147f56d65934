/**
 * Call paths that show the same, put together: node by node, so that no stack is read and no name looked up twice. A node stands for
 * the first one that shows what it shows: the same frame, below a caller that shows the same.
 */
import type { Frame, PathCounters } from "../profile/profile.ts";
import { PathTotals } from "../profile/figures.ts";
import type { Reading } from "../profile/read.ts";
import type { SortBy } from "../profile/select.ts";
import { isShown, passesOn } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { inBatches, NAME_BATCH } from "./slices.ts";

/** Call paths that show the same. */
export interface Row {
  /** The number of one of them. */
  readonly id: number;
  /** What all of them have. */
  readonly figures: PathCounters;
}

/** The rows of call paths: how many there are, and the largest of them. */
export interface Rows {
  readonly all: number;
  readonly largest: readonly Row[];
}

/**
 * Puts call paths together that have a number in common, from 0 on, and gives the largest of the rows; all when the limit is
 * 0. Two looks at the figures: one figure of all, then all of those that are shown.
 */
export function* largestRows(
  reading: Reading,
  ids: Uint32Array,
  keyOf: (id: number) => number,
  limit: number,
  sortBy: SortBy,
): Generator<undefined, Rows> {
  const { sums } = reading;
  const { rowOf, firsts } = yield* rowsOf(reading, ids, keyOf);
  const figures = new Float64Array(firsts.length);
  yield* inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const row = rowOf[i] as number;
      figures[row] = (figures[row] as number) + (sums?.figure(ids[i] as number, sortBy) ?? 0);
    }
  });
  const chosen = yield* largestOf(firsts.length, (row) => figures[row] as number, limit);
  const shown = new Map(Array.from(chosen, (row) => [row, { id: firsts[row] as number, figures: new PathTotals() }]));
  yield* inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const row = shown.get(rowOf[i] as number);
      if (row && sums) row.figures.add(sums.figures(ids[i] as number));
    }
  });
  return { all: firsts.length, largest: [...shown.values()] };
}

/** What call paths have in common that show the same in the same operation. */
export function byOperation({ nodes }: Reading, keyOf: (id: number) => number): (id: number) => number {
  if (!nodes.hasOperations) return keyOf;
  const operations = new Map<string, number>();
  const pairs = new Pairs(0);
  return (id) => {
    const operation = nodes.operation(id);
    let number = 0;
    if (operation !== undefined) {
      number = operations.get(operation) ?? operations.size + 1;
      operations.set(operation, number);
    }
    return pairs.number(keyOf(id), number);
  };
}

/** How a row tells its operation. */
export function operationText(operation: string | undefined): string {
  return operation === undefined ? "" : `  in ${operation}`;
}

/** Numbers pairs of numbers, from a number on, equal ones alike. No texts in a map: at a hundred thousand that collects garbage while a server waits. */
class Pairs {
  readonly #from: number;
  #table = new Int32Array(1 << 12);
  #pairs = new Int32Array(1 << 11);
  #count = 0;

  constructor(from: number) {
    this.#from = from;
  }

  #place(first: number, second: number): number {
    const mask = this.#table.length - 1;
    const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    let at = (mixed ^ mixed >>> 15) & mask;
    for (let other; (other = this.#table[at] as number) !== 0; at = at + 1 & mask) {
      if (this.#pairs[2 * other - 2] === first && this.#pairs[2 * other - 1] === second) break;
    }
    return at;
  }

  /** Twice as much room: the table is never more than half full. */
  #grow(): void {
    const pairs = new Int32Array(2 * this.#pairs.length);
    pairs.set(this.#pairs);
    this.#pairs = pairs;
    this.#table = new Int32Array(2 * this.#table.length);
    for (let n = 1; n <= this.#count; n++) {
      this.#table[this.#place(pairs[2 * n - 2] as number, pairs[2 * n - 1] as number)] = n;
    }
  }

  /** The number of a pair. */
  number(first: number, second: number): number {
    let at = this.#place(first, second);
    if (this.#table[at] === 0) {
      if (2 * this.#count === this.#pairs.length) {
        this.#grow();
        at = this.#place(first, second);
      }
      this.#pairs[2 * this.#count] = first;
      this.#pairs[2 * this.#count + 1] = second;
      this.#table[at] = ++this.#count;
    }
    return this.#from + (this.#table[at] as number) - 1;
  }
}

/** Numbers the rows of call paths: `rowOf` by the place of a path in `ids`, `firsts` the first path of each row. */
export function* rowsOf(
  { nodes }: Reading,
  ids: Uint32Array,
  keyOf: (id: number) => number,
): Generator<undefined, { rowOf: Int32Array; firsts: readonly number[] }> {
  let numbered = new Int32Array(nodes.length);
  const rowOf = new Int32Array(ids.length);
  const firsts: number[] = [];
  yield* inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const key = keyOf(ids[i] as number);
      if (key >= numbered.length) {
        const more = new Int32Array(2 * key);
        more.set(numbered);
        numbered = more;
      }
      rowOf[i] = (numbered[key] ||= firsts.push(ids[i] as number)) - 1;
    }
  });
  return { rowOf, firsts };
}

/** Of so many numbers from 0 on those with the largest figures, the largest first, equal ones in order; all when the limit is 0. */
export function* largestOf(
  count: number,
  figure: (n: number) => number,
  limit: number,
): Generator<undefined, Uint32Array> {
  const most = limit || count;
  const order = (a: number, b: number) => figure(b) - figure(a) || a - b;
  let best = new Uint32Array(0), found: number[] = [], least = -Infinity;
  const settle = () => {
    best = Uint32Array.from([...best, ...found]).sort(order).subarray(0, most);
    found = [];
    if (best.length === most && most > 0) least = figure(best.at(-1) as number);
  };
  yield* inBatches(count, (from, to) => {
    for (let n = from; n < to; n++) {
      if (figure(n) > least) found.push(n);
    }
    // Those that may be among them are put in order when there are twice as many as are wanted.
    if (found.length > most) settle();
  });
  settle();
  return best;
}

/** The frames that call paths have, each once, and those that a signal handler stands on. */
export interface Stops {
  /** 1 for each node that is on one of the stacks. */
  readonly nodes: Uint8Array;
  /** The numbers of the places. */
  readonly places: readonly number[];
  readonly frames: readonly Frame[];
  readonly interrupted: ReadonlySet<Frame>;
}

/** The frames of call paths. */
export function* stopsOf({ nodes }: Reading, ids: Uint32Array): Generator<undefined, Stops> {
  const interrupted = new Set<Frame>();
  const seen = new Uint8Array(nodes.length);
  let known = new Uint8Array(nodes.placeCount);
  const places: number[] = [];
  yield* inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) {
      let handler = false;
      for (let node = nodes.leaf(ids[i] as number); nodes.isFrame(node); node = nodes.parent(node)) {
        const isNew = seen[node] === 0;
        if (!isNew && !handler) break;
        const place = nodes.place(node);
        if (handler) interrupted.add(nodes.frameAt(place));
        if (!isNew) break;
        seen[node] = 1;
        if (place >= known.length) {
          const more = new Uint8Array(2 * nodes.placeCount);
          more.set(known);
          known = more;
        }
        if (!known[place]) places.push(place);
        known[place] = 1;
        handler = nodes.isSignal(node);
      }
    }
  });
  return { nodes: seen, places, frames: places.map((place) => nodes.frameAt(place)), interrupted };
}

/** Gives for each call path a number that those have in common whose short stacks, or whole ones, read the same. */
export function* shownAs(
  { nodes }: Reading,
  stops: Stops,
  symbols: Symbols,
  textOf: (frame: NamedFrame) => string,
  whole: boolean,
): Generator<undefined, (id: number) => number> {
  const texts = new Map<string, number>([["", 0]]);
  const number = (frames: readonly NamedFrame[]) => {
    const text = frames.map(textOf).join("\n");
    let known = texts.get(text);
    if (known === undefined) texts.set(text, known = texts.size);
    return known;
  };
  // By place, numbers of texts, 0 where nothing is shown: of the whole place, of what is left of it when nothing stands further in, and of
  // the innermost function that does more than pass allocations on; -1 where none does.
  const [all, innermost, first] = [0, 1, 2].map(() => new Int32Array(nodes.placeCount)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  yield* inBatches(stops.places.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const place = stops.places[i] as number;
      const named = symbols.frames(stops.frames[i] as Frame);
      const says = whole ? () => true : isShown;
      const at = whole ? 0 : named.findIndex(({ kind }) => !passesOn(kind));
      all[place] = number(named.filter(says));
      innermost[place] = at < 0 ? 0 : number(named.slice(at).filter(says));
      first[place] = at < 0 ? -1 : number(named.slice(at, at + 1));
    }
  }, NAME_BATCH);

  // For each node the first one that shows the same: the same text, below a caller that shows the same. Callers have smaller numbers.
  // Its own table and not Pairs, of a size that is known and with nodes for numbers: with that a report takes a quarter longer on Deno.
  const [same, above, text] = [0, 1, 2].map(() => new Int32Array(nodes.length)) as [Int32Array, Int32Array, Int32Array];
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * nodes.length + 1)));
  const mask = table.length - 1;
  yield* inBatches(nodes.length, (from, to) => {
    for (let node = from; node < to; node++) {
      if (!stops.nodes[node]) continue;
      const parent = same[nodes.parent(node)] as number;
      const says = all[nodes.place(node)] as number;
      if (says === 0) {
        same[node] = parent;
        continue;
      }
      above[node] = parent;
      text[node] = says;
      const mixed = Math.imul(parent, 0x9e3779b1) ^ Math.imul(says, 0x85ebca6b);
      let at = (mixed ^ mixed >>> 15) & mask;
      for (let other; (other = table[at] as number) !== 0; at = at + 1 & mask) {
        if (above[other] === parent && text[other] === says) break;
      }
      same[node] = table[at] ||= node;
    }
  });

  // A node is known by its own number; the rest of a place with what is above it, and an innermost function that stands alone, by others.
  const pairs = new Pairs(nodes.length);
  const alone = (text: number) => pairs.number(0, text);
  return (id) => {
    const leaf = nodes.leaf(id);
    let inner = leaf;
    while (nodes.isFrame(inner) && (first[nodes.place(inner)] as number) < 0) inner = nodes.parent(inner);
    if (!nodes.isFrame(inner)) return same[leaf] ?? 0;
    const place = nodes.place(inner);
    // Where nothing is shown a short stack has its innermost frame.
    if (all[place] === innermost[place]) {
      return same[inner] || alone(first[place] as number);
    }
    const outer = same[nodes.parent(inner)] as number;
    if (innermost[place]) return pairs.number(outer, innermost[place] as number);
    return outer || alone(first[place] as number);
  };
}
