/**
 * Reads what heaptap needs of an ELF file: what kind of program it is, its build id, its symbols.
 * Only 64-bit little-endian files; every offset is held to the file's size.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** A function symbol. */
export interface ElfSymbol {
  readonly name: string;
  readonly address: number;
  readonly size: number;
}

/** What an ELF file says of itself. */
export interface Elf {
  /** 1 for 32-bit, 2 for 64-bit files. */
  readonly bits: 32 | 64;
  /** ELF machine number; 62 is x86-64. */
  readonly machine: number;
  /** Path of the dynamic linker, undefined for static programs and for libraries. */
  readonly interpreter: string | undefined;
  /** Whether it has a dynamic section. */
  readonly dynamic: boolean;
  /** Build id in hexadecimal, "" when it has none. */
  readonly buildId: string;
  /** Names of its sections. */
  readonly sections: readonly string[];
  /** The file that its debug information was moved to: name, and checksum of the contents. */
  readonly debugLink: { readonly name: string; readonly crc: number } | undefined;
  /** The contents of its sections of that name, or of that type; those without any in the file are left out. Reads the file again. */
  contents(wanted: string | number): DataView[];
  /** Function symbols that are defined in it, sorted by address. Reads the file again. */
  symbols(): ElfSymbol[];
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const SYMTAB = 2;
const DYNSYM = 11;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const PT_NOTE = 4;
const MAX_READ = 2 ** 30;

class File {
  readonly #fd: number;
  readonly size: number;

  constructor(path: string) {
    // A recording may name anything: a pipe would wait for its writer, and devices do things when they are opened.
    if (!statSync(path).isFile()) throw new Error(`"${path}" is no regular file`);
    this.#fd = openSync(path, "r");
    this.size = fstatSync(this.#fd).size;
  }

  view(offset: number, length: number): DataView {
    const bounded = Math.max(0, Math.min(length, this.size - offset, MAX_READ));
    const bytes = new Uint8Array(bounded);
    let done = 0;
    while (done < bounded) {
      const n = readSync(this.#fd, bytes, done, bounded - done, offset + done);
      if (n === 0) break;
      done += n;
    }
    return new DataView(bytes.buffer);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
}

function zeroTerminated(view: DataView, at: number): string {
  if (at >= view.byteLength) return "";
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, view.byteLength - at);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function readSections(file: File, header: DataView): Section[] {
  const [offset, size, count, names] = [
    u64(header, 40),
    header.getUint16(58, true),
    header.getUint16(60, true),
    header.getUint16(62, true),
  ];
  if (size !== 64 || offset === 0) return [];
  const table = file.view(offset, size * count);
  const raw = Array.from({ length: Math.floor(table.byteLength / size) }, (_, i) => ({
    nameAt: table.getUint32(i * 64, true),
    type: table.getUint32(i * 64 + 4, true),
    offset: u64(table, i * 64 + 24),
    size: u64(table, i * 64 + 32),
    link: table.getUint32(i * 64 + 40, true),
  }));
  const strings = raw[names] ? file.view(raw[names].offset, raw[names].size) : new DataView(new ArrayBuffer(0));
  return raw.map(({ nameAt, ...section }) => ({ ...section, name: zeroTerminated(strings, nameAt) }));
}

function buildIdIn(notes: DataView): string {
  let at = 0;
  while (at + 12 <= notes.byteLength) {
    const nameSize = notes.getUint32(at, true);
    const textSize = notes.getUint32(at + 4, true);
    const text = at + 12 + Math.ceil(nameSize / 4) * 4;
    if (notes.getUint32(at + 8, true) === 3 && nameSize === 4 && text + textSize <= notes.byteLength) {
      const bytes = new Uint8Array(notes.buffer, text, textSize);
      return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
    }
    at = text + Math.ceil(textSize / 4) * 4;
  }
  return "";
}

function readDebugLink(file: File, sections: readonly Section[]): Elf["debugLink"] {
  const section = sections.find(({ name }) => name === ".gnu_debuglink");
  if (!section) return undefined;
  const view = file.view(section.offset, Math.min(section.size, 4096));
  const name = zeroTerminated(view, 0);
  const at = Math.ceil((new TextEncoder().encode(name).length + 1) / 4) * 4;
  // A name is of one part: anything else would lead out of the folders that are searched.
  if (!name || name.includes("/") || at + 4 > view.byteLength) return undefined;
  return { name, crc: view.getUint32(at, true) };
}

const NOBITS = 8;

function readContents(path: string, sections: readonly Section[], wanted: string | number): DataView[] {
  using file = new File(path);
  return sections.filter(({ name, type }) => (name === wanted || type === wanted) && type !== NOBITS)
    .map(({ offset, size }) => file.view(offset, size));
}

function readSymbols(path: string, sections: readonly Section[]): ElfSymbol[] {
  using file = new File(path);
  const byAddress = new Map<number, ElfSymbol>();
  // The full table last, so that its names win over the dynamic one's.
  for (const type of [DYNSYM, SYMTAB]) {
    const table = sections.find((s) => s.type === type);
    const strings = table && sections[table.link];
    if (!table || !strings) continue;
    const view = file.view(table.offset, table.size);
    const names = file.view(strings.offset, strings.size);
    for (let at = 0; at + 24 <= view.byteLength; at += 24) {
      const kind = view.getUint8(at + 4) & 15;
      if ((kind !== 2 && kind !== 10) || view.getUint16(at + 6, true) === 0) continue;
      const name = zeroTerminated(names, view.getUint32(at, true));
      const address = u64(view, at + 8);
      if (name) byAddress.set(address, { name, address, size: u64(view, at + 16) });
    }
  }
  return [...byAddress.values()].sort((a, b) => a.address - b.address);
}

/** Reads an ELF file; undefined when it is not one. Throws what the file system throws. */
export function readElf(path: string): Elf | undefined {
  using file = new File(path);
  const header = file.view(0, 64);
  if (header.byteLength < 52 || header.getUint32(0, false) !== 0x7f454c46) return undefined;
  const bits = header.getUint8(4) === 2 ? 64 : 32;
  const machine = header.getUint16(18, header.getUint8(5) === 1);
  const sections: Section[] = [];
  let interpreter: string | undefined;
  let dynamic = false;
  let buildId = "";
  let debugLink: Elf["debugLink"];
  if (bits === 64 && header.getUint8(5) === 1 && header.byteLength === 64) {
    const [offset, size, count] = [u64(header, 32), header.getUint16(54, true), header.getUint16(56, true)];
    const table = file.view(offset, size * count);
    for (let at = 0; size === 56 && at + 56 <= table.byteLength; at += 56) {
      const type = table.getUint32(at, true);
      const content = () => file.view(u64(table, at + 8), u64(table, at + 32));
      if (type === PT_INTERP) interpreter = zeroTerminated(content(), 0);
      if (type === PT_DYNAMIC) dynamic = true;
      if (type === PT_NOTE) buildId ||= buildIdIn(content());
    }
    sections.push(...readSections(file, header));
    debugLink = readDebugLink(file, sections);
  }
  return {
    bits,
    machine,
    interpreter,
    dynamic,
    buildId,
    sections: sections.map((s) => s.name),
    debugLink,
    contents: (wanted) => readContents(path, sections, wanted),
    symbols: () => readSymbols(path, sections),
  };
}

/** The symbol that covers an address. */
export function symbolAt(symbols: readonly ElfSymbol[], address: number): ElfSymbol | undefined {
  let low = 0;
  let high = symbols.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((symbols[middle]?.address ?? Infinity) <= address) low = middle + 1;
    else high = middle;
  }
  const found = symbols[low - 1];
  return found && (found.size === 0 || address < found.address + found.size) ? found : undefined;
}
