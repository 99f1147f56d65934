/**
 * Reads what heaptap needs of an ELF file: what kind of program it is, its build id, its sections.
 * Only 64-bit little-endian files; every offset is held to the file's size.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { zlib } from "../file/builtin.ts";

/** A section of an ELF file. */
export interface Section {
  /** Its name. */
  readonly name: string;
  /** ELF's number of its type. */
  readonly type: number;
  /** ELF's flags. */
  readonly flags: number;
  /** Where it is in memory, before the object is moved. */
  readonly address: number;
  /** Where it is in the file. */
  readonly offset: number;
  /** Its bytes. */
  readonly size: number;
  /** Index of the section that it refers to. */
  readonly link: number;
}

/** Whether a section holds code. */
export function isCode(section: Section | undefined): boolean {
  return section !== undefined && (section.flags & 4) !== 0;
}

/** What an ELF file says of itself. */
export interface Elf {
  /** Its path. */
  readonly path: string;
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
  /** The same with all that is said of them. */
  readonly layout: readonly Section[];
  /** The first segment with code: address, bytes, and offset in the file. */
  readonly text: { readonly start: number; readonly size: number; readonly offset: number } | undefined;
  /** The file that its debug information was moved to: name, and checksum of the contents. */
  readonly debugLink: { readonly name: string; readonly crc: number } | undefined;
  /** Contents of a section, decompressed; undefined when it has none, or they cannot be had. Reads the file again. */
  content(section: Section | undefined): DataView | undefined;
  /**
   * At most `length` bytes of what is loaded at an address and never written to; none when there is no such place. Reads
   * the file again.
   */
  loaded(address: number, length: number): DataView;
}

export const SYMTAB = 2;
export const DYNSYM = 11;
export const RELA = 4;
const NOBITS = 8;
const SHF_COMPRESSED = 0x800;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PF_X = 1;
const PF_W = 2;
const MAX_READ = 2 ** 30;

/** What is mapped of the file when it is loaded. */
interface Segment {
  readonly offset: number;
  readonly address: number;
  /** Bytes in the file. */
  readonly size: number;
  readonly writable: boolean;
}

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

/** An unsigned number of eight bytes. */
export function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
}

const decoder = new TextDecoder();

/** The text at an offset, up to a zero byte. */
export function zeroTerminated(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (at >= bytes.length) return "";
  const end = bytes.indexOf(0, at);
  return decoder.decode(bytes.subarray(at, end < 0 ? undefined : end));
}

function readSections(file: File, header: DataView): Section[] {
  const [offset, size, count, names] = [
    u64(header, 40),
    header.getUint16(58, true),
    header.getUint16(60, true),
    header.getUint16(62, true),
  ];
  if (size !== 64) return [];
  const table = file.view(offset, size * count);
  const raw = Array.from({ length: Math.floor(table.byteLength / size) }, (_, i) => ({
    nameAt: table.getUint32(i * 64, true),
    type: table.getUint32(i * 64 + 4, true),
    flags: u64(table, i * 64 + 8),
    address: u64(table, i * 64 + 16),
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

/** How a section's contents are compressed: by what, and where the compressed bytes begin. */
function compression(
  section: Section,
  view: DataView,
): { readonly by: "zlib" | "zstd"; readonly at: number } | undefined {
  if ((section.flags & SHF_COMPRESSED) !== 0 && view.byteLength >= 24) {
    const type = view.getUint32(0, true);
    return type === 1 ? { by: "zlib", at: 24 } : type === 2 ? { by: "zstd", at: 24 } : undefined;
  }
  const old = section.name.startsWith(".zdebug") && view.byteLength >= 12 && view.getUint32(0, false) === 0x5a4c4942;
  return old ? { by: "zlib", at: 12 } : undefined;
}

/** What compresses a file's debug information; undefined when nothing does. */
export function debugCompression(elf: Elf): "zlib" | "zstd" | undefined {
  const section = elf.layout.find(({ name }) => /^\.z?debug_info$/.test(name));
  if (!section || section.type === NOBITS) return undefined;
  using file = new File(elf.path);
  return compression(section, file.view(section.offset, Math.min(section.size, 24)))?.by;
}

function readContent(path: string, section: Section | undefined): DataView | undefined {
  if (!section || section.type === NOBITS) return undefined;
  using file = new File(path);
  const view = file.view(section.offset, section.size);
  const packed = compression(section, view);
  if (!packed) return (section.flags & SHF_COMPRESSED) === 0 ? view : undefined;
  const unpack = packed.by === "zlib" ? zlib().inflateSync : zlib().zstdDecompressSync;
  try {
    const bytes = unpack(new Uint8Array(view.buffer, packed.at), { maxOutputLength: MAX_READ });
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch {
    return undefined; // broken, or by a way that this runtime does not know
  }
}

function readLoaded(path: string, segments: readonly Segment[], address: number, length: number): DataView {
  const segment = segments.find((s) => !s.writable && address >= s.address && address < s.address + s.size);
  if (!segment) return new DataView(new ArrayBuffer(0));
  using file = new File(path);
  const skipped = address - segment.address;
  return file.view(segment.offset + skipped, Math.min(length, segment.size - skipped));
}

/** Reads an ELF file; undefined when it is not one. Throws what the file system throws. */
export function readElf(path: string): Elf | undefined {
  using file = new File(path);
  const header = file.view(0, 64);
  if (header.byteLength < 52 || header.getUint32(0, false) !== 0x7f454c46) return undefined;
  const bits = header.getUint8(4) === 2 ? 64 : 32;
  const machine = header.getUint16(18, header.getUint8(5) === 1);
  const layout: Section[] = [];
  const segments: Segment[] = [];
  let interpreter: string | undefined;
  let dynamic = false;
  let buildId = "";
  let text: Elf["text"];
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
      if (type !== PT_LOAD) continue;
      const flags = table.getUint32(at + 4, true);
      const [offset, address] = [u64(table, at + 8), u64(table, at + 16)];
      segments.push({ offset, address, size: u64(table, at + 32), writable: (flags & PF_W) !== 0 });
      if ((flags & PF_X) !== 0) text ??= { start: address, size: u64(table, at + 40), offset };
    }
    layout.push(...readSections(file, header));
    debugLink = readDebugLink(file, layout);
  }
  return {
    path,
    bits,
    machine,
    interpreter,
    dynamic,
    buildId,
    sections: layout.map((s) => s.name),
    layout,
    text,
    debugLink,
    content: (section) => readContent(path, section),
    loaded: (address, length) => readLoaded(path, segments, address, length),
  };
}

/** Contents of the sections of a name, or of a type; those without any in the file are left out. */
export function contentsOf(elf: Elf, wanted: string | number): DataView[] {
  return elf.layout.filter(({ name, type }) => name === wanted || type === wanted)
    .map((section) => elf.content(section)).filter((view) => view !== undefined);
}
