/** Places in code, by what a recording's nodes say of them: each has a number, and one frame, for as long as the table is there. */
import { CONSTANTS } from "../file/layout.ts";
import type { Frame } from "./profile.ts";

/** What is above the module's number in the upper half of a key. */
const [SIGNAL, GUESS, NOTE] = [
  1 << CONSTANTS.KEY_SIGNAL_BIT - 32,
  1 << CONSTANTS.KEY_GUESS_BIT - 32,
  1 << CONSTANTS.KEY_NOTE_BIT - 32,
];
const MODULE_BITS = (1 << CONSTANTS.KEY_MODULE_BITS) - 1;

/** A number for a place in a module, with what is special of it. */
export function placeNumber(address: number, way: Frame["way"]): number {
  return way === undefined ? address : way === "signal" ? -address - 0.5 : -address - 1;
}

/** Whether a key's upper half says that the caller was guessed. */
export function isGuess(high: number): boolean {
  return (high & GUESS) !== 0;
}

/** Whether it says that this is the kernel's frame of a signal handler. */
export function isSignal(high: number): boolean {
  return (high & SIGNAL) !== 0;
}

/** The index of a key's module; -1 for code of none. */
export function moduleOf(high: number): number {
  return (high >>> 16 & MODULE_BITS) - 1;
}

/** Whether it is no frame but a note on its parent. */
export function isNote(high: number): boolean {
  return (high & NOTE) !== 0;
}

/** Keys of 64 bits, by halves, and ages: open addressing, for there is a look-up for each node of a recording. */
export class Places {
  #table = new Int32Array(1024);
  /** By place the lower half of its key, the upper, and its age. */
  #keys = new Uint32Array(3 * 512);
  readonly #frames: (Frame | undefined)[] = [];

  /** How many there are; they are numbered from 0. */
  get count(): number {
    return this.#frames.length;
  }

  /** The number of a key's place, of an age; 0 when it has none. */
  number(low: number, high: number, age: number): number {
    const [table, keys] = [this.#table, this.#keys];
    const mask = table.length - 1;
    let at = slot(low, high, age) & mask;
    for (let other; (other = table[at] as number) !== 0; at = at + 1 & mask) {
      const key = 3 * other - 3;
      if (keys[key] === low && keys[key + 1] === high && keys[key + 2] === age) return other - 1;
    }
    return this.#add(low, high, age, at);
  }

  #add(low: number, high: number, age: number, at: number): number {
    const number = this.#frames.push(undefined);
    if (3 * number > this.#keys.length) {
      const keys = new Uint32Array(6 * number);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    this.#keys.set([low, high, age], 3 * number - 3);
    this.#table[at] = number;
    if (2 * number > this.#table.length) this.#grow();
    return number - 1;
  }

  #grow(): void {
    const table = new Int32Array(4 * this.#table.length);
    const mask = table.length - 1;
    for (let number = 1; number <= this.count; number++) {
      const [low = 0, high = 0, age = 0] = this.#keys.subarray(3 * number - 3, 3 * number);
      let at = slot(low, high, age) & mask;
      while (table[at] !== 0) at = at + 1 & mask;
      table[at] = number;
    }
    this.#table = table;
  }

  /** The frame of a place, in a recording with so many modules. */
  frame(number: number, modules: number): Frame {
    const known = this.#frames[number];
    if (known) return known;
    // A key has 64 bits, the module above the offset: taken apart before either passes 2^53.
    const [low = 0, high = 0, age = 0] = this.#keys.subarray(3 * number, 3 * number + 3);
    const module = high >>> 16 & MODULE_BITS;
    const address = low + (high & 0xffff) * 4294967296;
    const way = high & SIGNAL ? "signal" : high & GUESS ? "guess" : undefined;
    const frame: Frame = { module: module - 1, address, ...way && { way }, ...age > 0 && { age } };
    // One that a later reading knows is code of none until then.
    return module > modules ? { ...frame, module: -1 } : this.#frames[number] = frame;
  }
}

function slot(low: number, high: number, age: number): number {
  const mixed = Math.imul(low ^ Math.imul(high ^ Math.imul(age, 0xc2b2ae35), 0x9e3779b1), 0x85ebca6b);
  return mixed ^ mixed >>> 15;
}
