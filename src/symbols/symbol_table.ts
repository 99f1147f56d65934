/**
 * Which function a symbol table says an address is in. A symbol covers what its size says, never what comes after it: a
 * function whose symbol was stripped has no name, and least of all its neighbour's.
 */
import { DYNSYM, isCode, readElf, SYMTAB, u64, zeroTerminated } from "./elf.ts";
import type { Elf, Section } from "./elf.ts";
import { Extents } from "./extents.ts";

/** A symbol that stands for code. */
export interface CodeSymbol {
  readonly name: string;
  readonly address: number;
  /** Bytes; 0 when it does not say. */
  readonly size: number;
  /** The file that it stands in. */
  readonly file: string;
}

const UNDEFINED = 0;
const ABSOLUTE = 0xfff1;
const FUNCTION_TYPES = new Set([2, 10]);

interface Table {
  readonly file: string;
  readonly entries: DataView;
  readonly names: DataView;
  readonly sections: readonly Section[];
  readonly isFull: boolean;
}

/** The symbols of one object: of its own file, and of its debug file where there is one. */
export class SymbolTable {
  readonly #tables: Table[] = [];
  /** Symbols by address: table and offset of the entry in it. */
  #refs: Float64Array = new Float64Array();
  #addresses: Float64Array = new Float64Array();
  /** The furthest end of all symbols up to here, so that one around others is found. */
  #reach: Float64Array = new Float64Array();
  #hasLocals = false;
  readonly #own: Elf | undefined;
  #extents: Extents | undefined;

  /** `own` is the object itself, when it is there; `others` are files that were split off it. */
  constructor(own: Elf | undefined, others: readonly Elf[] = []) {
    this.#own = own;
    for (const elf of own ? [own, ...others] : others) this.#read(elf);
    this.#sort();
  }

  /** The same for a file by itself; empty when it cannot be read. */
  static of(path: string): SymbolTable {
    try {
      return new SymbolTable(readElf(path));
    } catch {
      return new SymbolTable(undefined); // gone or unreadable: its frames stay addresses
    }
  }

  #read(elf: Elf): void {
    for (const section of elf.layout.filter(({ type }) => type === SYMTAB || type === DYNSYM)) {
      const entries = elf.content(section);
      const names = elf.content(elf.layout[section.link]);
      if (!entries || !names) continue;
      this.#tables.push({ file: elf.path, entries, names, sections: elf.layout, isFull: section.type === SYMTAB });
    }
  }

  #sort(): void {
    const refs: number[] = [];
    this.#tables.forEach(({ entries, names, sections, isFull }, table) => {
      for (let at = 24; at + 24 <= entries.byteLength; at += 24) {
        const info = entries.getUint8(at + 4);
        const type = info & 15;
        const section = entries.getUint16(at + 6, true);
        if (section === UNDEFINED || section === ABSOLUTE || !(type === 0 || FUNCTION_TYPES.has(type))) continue;
        if (!isCode(sections[section])) continue;
        const name = entries.getUint32(at, true);
        if (name >= names.byteLength || names.getUint8(name) === 0) continue;
        if (isFull && (info >> 4) === 0) this.#hasLocals = true;
        refs.push(table * 2 ** 32 + at);
      }
    });
    const addressOf = (ref: number) => u64(this.#table(ref).entries, ref % 2 ** 32 + 8);
    const order = Float64Array.from(refs, addressOf);
    const index = Uint32Array.from(refs, (_, i) => i).sort((a, b) => (order[a] ?? 0) - (order[b] ?? 0));
    this.#refs = Float64Array.from(index, (i) => refs[i] ?? 0);
    this.#addresses = Float64Array.from(index, (i) => order[i] ?? 0);
    let reach = 0;
    this.#reach = Float64Array.from(index, (i) => reach = Math.max(reach, (order[i] ?? 0) + this.#size(refs[i] ?? 0)));
  }

  #table(ref: number): Table {
    return this.#tables[Math.floor(ref / 2 ** 32)] as Table;
  }

  #size(ref: number): number {
    return u64(this.#table(ref).entries, ref % 2 ** 32 + 16);
  }

  #symbol(i: number): CodeSymbol {
    const ref = this.#refs[i] ?? 0;
    const { entries, names, file } = this.#table(ref);
    const name = zeroTerminated(names, entries.getUint32(ref % 2 ** 32, true));
    return { name, address: this.#addresses[i] ?? 0, size: this.#size(ref), file };
  }

  #isFunction(i: number): boolean {
    const ref = this.#refs[i] ?? 0;
    return FUNCTION_TYPES.has(this.#table(ref).entries.getUint8(ref % 2 ** 32 + 4) & 15);
  }

  /** Where the section ends that a symbol is in. */
  #sectionEnd(i: number): number {
    const ref = this.#refs[i] ?? 0;
    const { entries, sections } = this.#table(ref);
    const section = sections[entries.getUint16(ref % 2 ** 32 + 6, true)];
    return section ? section.address + section.size : 0;
  }

  /** Index of the last symbol at or before an address, -1 when there is none. */
  #last(address: number): number {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#addresses[middle] ?? Infinity) <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The symbols of one place from a list of their indices: the one that people know it by. */
  #best(indices: readonly number[]): CodeSymbol | undefined {
    const weigh = (i: number): string => {
      const { name } = this.#symbol(i);
      const ref = this.#refs[i] ?? 0;
      const isLocal = (this.#table(ref).entries.getUint8(ref % 2 ** 32 + 4) >> 4) === 0;
      const rank = [!this.#isFunction(i), /^_[^ZRD]/.test(name), isLocal].map(Number).join("");
      return `${rank}${String(name.length).padStart(6, "0")}${name}`;
    };
    const [best] = indices.map((i) => [weigh(i), i] as const).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
    return best && this.#symbol(best[1]);
  }

  /** The function that an address is in; undefined when no symbol says so. */
  covering(address: number): CodeSymbol | undefined {
    const last = this.#last(address);
    for (let i = last; i >= 0 && (this.#reach[i] ?? 0) > address; i--) {
      const start = this.#addresses[i] ?? 0;
      if (start + this.#size(this.#refs[i] ?? 0) <= address) continue;
      const same = [];
      for (let j = i; j >= 0 && this.#addresses[j] === start; j--) {
        if (start + this.#size(this.#refs[j] ?? 0) > address) same.push(j);
      }
      return this.#best(same);
    }
    return this.#sizeless(address, last);
  }

  /**
   * The same of symbols without a size, as assembly has them. The unwind tables tell where the function begins that the
   * address is in: that symbol it is, or the nearest inside. Code that they do not know, as assembly often is, is the nearest
   * symbol's when nothing lies between and no symbol of the file's own functions was stripped.
   */
  #sizeless(address: number, last: number): CodeSymbol | undefined {
    const sizelessAt = (i: number): number[] => {
      const found = [];
      for (let j = i; j >= 0 && this.#addresses[j] === this.#addresses[i]; j--) {
        if (this.#size(this.#refs[j] ?? 0) > 0) return []; // it says where it ends, and that is before the address
        if (address < this.#sectionEnd(j)) found.push(j);
      }
      return found;
    };
    if (last < 0) return undefined;
    const nearest = sizelessAt(last);
    if (nearest.length === 0) return undefined;
    this.#extents ??= this.#own && new Extents(this.#own);
    const extent = this.#extents?.before(address);
    const start = this.#addresses[last] ?? 0;
    if (extent && address < extent.end) {
      if (start < extent.start) return undefined;
      const first = this.#last(extent.start);
      const whole = this.#addresses[first] === extent.start ? sizelessAt(first) : [];
      return this.#best(whole.length > 0 ? whole : nearest);
    }
    return this.#hasLocals && !(extent && extent.start > start) ? this.#best(nearest) : undefined;
  }

  /**
   * The symbols before an address that end before it: what a tool that does not look at sizes takes for its function. The
   * nearest of all, and the nearest function.
   */
  misleading(address: number): CodeSymbol[] {
    const found: CodeSymbol[] = [];
    const last = this.#last(address);
    if (last < 0) return found;
    const nearest = this.#symbol(last);
    const covers = this.covering(address);
    if (nearest.address !== covers?.address) found.push(nearest);
    let i = last;
    while (i >= 0 && last - i < 64 && !this.#isFunction(i)) i--;
    const fn = i >= 0 && this.#isFunction(i) ? this.#symbol(i) : undefined;
    if (fn && fn.address !== covers?.address && fn.address !== nearest.address) found.push(fn);
    return found;
  }
}
