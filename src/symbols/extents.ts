/**
 * Where functions begin and end, as an object's unwind tables say: what stripping leaves there, and what no
 * symbol without a size can tell.
 */
import type { Elf } from "./elf.ts";

/** A stretch of code that one entry of the unwind tables is about. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Pointers relative to their own place, or to the table's, in four bytes: all that linkers write on x86-64. */
const PCREL_SDATA4 = 0x1b;
const TABLE = 0x3b;

/** A look-up in the unwind tables of an object. */
export class Extents {
  readonly #header: DataView | undefined;
  readonly #headerAt: number = 0;
  readonly #frames: DataView | undefined;
  readonly #framesAt: number = 0;
  readonly #table: number = 0;
  readonly #count: number = 0;

  constructor(elf: Elf) {
    const [index, frames] = [".eh_frame_hdr", ".eh_frame"].map((name) => elf.layout.find((s) => s.name === name));
    const header = elf.content(index);
    if (!index || !frames || !header || header.byteLength < 12) return;
    const [pointer, count, table] = [header.getUint8(1), header.getUint8(2), header.getUint8(3)];
    // A pointer of four bytes, a count of four bytes, a sorted table relative to this section.
    if ((pointer & 15) !== 11 || (count & 15) !== 3 || table !== TABLE) return;
    this.#header = header;
    this.#headerAt = index.address;
    this.#frames = elf.content(frames);
    this.#framesAt = frames.address;
    this.#table = 12;
    this.#count = Math.min(header.getUint32(8, true), Math.floor((header.byteLength - 12) / 8));
  }

  /** Whether there are tables that could be read. */
  get known(): boolean {
    return this.#count > 0;
  }

  /** The last stretch that begins at or before an address; it may end before it. */
  before(address: number): Extent | undefined {
    const [header, frames] = [this.#header, this.#frames];
    if (!header || !frames) return undefined;
    let low = 0;
    let high = this.#count;
    const start = (i: number) => this.#headerAt + header.getInt32(this.#table + i * 8, true);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (start(middle) <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const entry = this.#headerAt + header.getInt32(this.#table + (low - 1) * 8 + 4, true) - this.#framesAt;
    // length, distance to its CIE, start, size: an entry of more than 4 GiB has another form.
    if (entry < 0 || entry + 16 > frames.byteLength || frames.getUint32(entry, true) === 0xffffffff) return undefined;
    if (this.#encoding(frames, entry + 4 - frames.getUint32(entry + 4, true)) !== PCREL_SDATA4) return undefined;
    return { start: start(low - 1), end: start(low - 1) + frames.getUint32(entry + 12, true) };
  }

  /** How a CIE says that its entries' pointers are written. */
  #encoding(frames: DataView, cie: number): number {
    if (cie < 0 || cie + 20 > frames.byteLength) return -1;
    let at = cie + 9;
    let augmentation = "";
    for (let byte; at < frames.byteLength && (byte = frames.getUint8(at++)) !== 0;) {
      augmentation += String.fromCharCode(byte);
    }
    if (!augmentation.startsWith("z")) return -1;
    const skip = () => {
      while (at < frames.byteLength && (frames.getUint8(at++) & 0x80) !== 0);
    };
    // Code and data alignment, return register, length of what follows.
    for (let i = 0; i < 4; i++) skip();
    for (const letter of augmentation.slice(1)) {
      if (at >= frames.byteLength) return -1;
      if (letter === "R") return frames.getUint8(at);
      if (letter === "L") at++;
      else if (letter === "P") at += (frames.getUint8(at) & 15) === 11 || (frames.getUint8(at) & 15) === 3 ? 5 : 9;
    }
    return -1;
  }
}
