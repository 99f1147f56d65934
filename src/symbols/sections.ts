/**
 * Sections and bytes of an ELF file, for what is read of its code: 64-bit little-endian files, every offset held to
 * the file's size.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** A section of an ELF file. */
export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  /** Number of the section that it refers to. */
  readonly link: number;
}

/** Section types. */
export const SECTION = { symbols: 2, strings: 3, relocations: 4, none: 8, dynamicSymbols: 11 } as const;

interface Segment {
  readonly offset: number;
  readonly address: number;
  readonly size: number;
  readonly writable: boolean;
}

/** More sections, segments or bytes than any file that is looked at has. */
const [MOST_SECTIONS, MOST_BYTES] = [65536, 2 ** 28];

/** An open ELF file. */
export class ElfFile {
  readonly #fd: number;
  readonly #size: number;
  readonly #segments: Segment[] = [];
  /** Its sections, by number. */
  readonly sections: readonly ElfSection[];

  private constructor(fd: number) {
    this.#fd = fd;
    this.#size = fstatSync(fd).size;
    const header = this.bytes(0, 64);
    if (header.getUint32(0) !== 0x7f454c46 || header.getUint16(4) !== 0x0201) throw new RangeError("no such ELF file");
    const [segments, sections] = [number(header, 32), number(header, 40)];
    for (let i = 0; i < header.getUint16(56, true); i++) {
      const at = this.bytes(segments + 56 * i, 56);
      if (at.getUint32(0, true) !== 1) continue; // PT_LOAD
      this.#segments.push({
        offset: number(at, 8),
        address: number(at, 16),
        size: number(at, 32),
        writable: (at.getUint32(4, true) & 2) !== 0,
      });
    }
    const count = Math.min(header.getUint16(60, true), MOST_SECTIONS);
    const raw = Array.from({ length: count }, (_, i) => this.bytes(sections + 64 * i, 64));
    const named = raw[header.getUint16(62, true)];
    const names = named ? this.bytes(number(named, 24), number(named, 32)) : undefined;
    this.sections = raw.map((at) => ({
      name: names ? text(names, at.getUint32(0, true)) : "",
      type: at.getUint32(4, true),
      address: number(at, 16),
      offset: number(at, 24),
      size: number(at, 32),
      link: at.getUint32(40, true),
    }));
  }

  /** Opens a file; undefined when it is none that can be read. */
  static open(path: string): ElfFile | undefined {
    let fd = -1;
    try {
      // A recording may name anything: a pipe would wait for its writer, and devices do things when they are opened.
      if (!statSync(path).isFile()) return undefined;
      fd = openSync(path, "r");
      return new ElfFile(fd);
    } catch {
      if (fd >= 0) closeSync(fd);
      return undefined;
    }
  }

  /** Bytes of the file. @throws {RangeError} when they are not all there. */
  bytes(offset: number, length: number): DataView {
    if (length > MOST_BYTES || offset + length > this.#size) throw new RangeError("outside the file");
    const bytes = new Uint8Array(length);
    if (readSync(this.#fd, bytes, 0, length, offset) !== length) throw new RangeError("outside the file");
    return new DataView(bytes.buffer);
  }

  /** What a section holds. */
  contents(section: ElfSection): DataView {
    return section.type === SECTION.none ? new DataView(new ArrayBuffer(0)) : this.bytes(section.offset, section.size);
  }

  /** At most `length` bytes of what is loaded at an address and never written to; none when there is no such place. */
  loaded(address: number, length: number): DataView {
    const segment = this.#segments.find((s) => !s.writable && address >= s.address && address < s.address + s.size);
    if (!segment) return new DataView(new ArrayBuffer(0));
    const skipped = address - segment.address;
    return this.bytes(segment.offset + skipped, Math.min(length, segment.size - skipped));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Eight bytes; what is above 2^53 is nothing that a file has. */
export function number(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/** The text at an offset, up to its zero byte; undefined bytes make it end. */
export function text(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const end = bytes.indexOf(0, at);
  return new TextDecoder().decode(bytes.subarray(at, end < 0 ? bytes.length : end));
}
