/**
 * Opens a recording and takes a snapshot of it: a finished one, or one that a program is writing.
 *
 * Nothing in the file is trusted. Every count is held to the section's capacity, every section to
 * the file, every reference to what it refers to, so that a damaged or hostile file can give wrong
 * figures but never a crash, a hang or unbounded memory.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import {
  BYTE_ORDER,
  CONSTANTS,
  HEADER_SIZE,
  headerSize,
  LAYOUT,
  MAGIC,
  MOMENT_MAGIC,
  NAMES_MAGIC,
  OLDEST_VERSION,
  PAGES_MAGIC,
  SCALAR_SIZE,
  SECTION_TABLE,
  sectionCount,
  SECTIONS,
  TRAILER_LAYOUT,
  VERSION,
} from "./layout.ts";
import type { RecordName, SectionName } from "./layout.ts";
import { checkCanUnpack, hasMagic, headSource, MAX_SIZE, packedHead, packingOf, unpackedSource } from "./packed.ts";
import type { Source } from "./packed.ts";
import { RecordingError } from "./recording_error.ts";

export { RecordingError };

/**
 * Whether a file begins as a recording does, compressed or not. False when it cannot be read, and of what is no file:
 * opening a pipe would wait for its other end.
 *
 * @example
 * ```ts
 * import { isRecording } from "./mod.ts";
 *
 * console.log(isRecording("sort.heaptap"), isRecording("mod.ts")); // true false
 * ```
 */
export function isRecording(path: string): boolean {
  try {
    if (!statSync(path).isFile()) return false;
    const fd = openSync(path, "r");
    try {
      const bytes = readAt(fd, 0, MAGIC.length);
      const packing = packingOf(bytes);
      return hasMagic((packing && packedHead(fd, packing)) ?? bytes);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/** Records of one section, as far as they are in use. */
export class Table {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #record: RecordName;
  /** Number of records. */
  readonly length: number;

  constructor(record: RecordName, bytes: Uint8Array) {
    this.#record = record;
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    this.length = Math.floor(bytes.byteLength / LAYOUT[record].size);
  }

  /** The number that a field holds, exact up to 2^53. */
  number(index: number, field: string): number {
    return this.column(field)(index);
  }

  /** The same whatever its size. */
  exact(index: number, field: string): bigint {
    const bytes = this.bytes(index, field);
    if (bytes.length !== 8) return BigInt(this.number(index, field));
    const value = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    return LAYOUT[this.#record].fields[field]?.type === "i64" ? BigInt.asIntN(64, value) : value;
  }

  /** A reader of one field, or of an element of one that is an array, for loops over many records. Records out of range read as 0. */
  column(field: string, element = 0): (index: number) => number {
    const { size, fields } = LAYOUT[this.#record];
    const placed = fields[field];
    if (!placed) throw new TypeError(`No field ${field} in ${this.#record}`);
    const words = this.#words;
    const stride = size >>> 2;
    const at = (placed.offset + element * SCALAR_SIZE[placed.type]) >>> 2;
    switch (placed.type) {
      case "u64":
        return (i) => (words[i * stride + at] ?? 0) + (words[i * stride + at + 1] ?? 0) * 4294967296;
      case "i64":
        return (i) => (words[i * stride + at] ?? 0) + ((words[i * stride + at + 1] ?? 0) | 0) * 4294967296;
      case "u32":
        return (i) => words[i * stride + at] ?? 0;
      default:
        return (i) => this.#bytes[i * size + placed.offset] ?? 0;
    }
  }

  /** A reader of the lower or upper 32 bits of a field of 64. */
  half(field: string, upper: 0 | 1): (index: number) => number {
    const { size, fields } = LAYOUT[this.#record];
    const placed = fields[field];
    if (!placed) throw new TypeError(`No field ${field} in ${this.#record}`);
    const words = this.#words;
    const [stride, at] = [size >>> 2, (placed.offset >>> 2) + upper];
    return (i) => words[i * stride + at] ?? 0;
  }

  /** The bytes of a field that is an array. */
  bytes(index: number, field: string): Uint8Array {
    const { size, fields } = LAYOUT[this.#record];
    const placed = fields[field];
    if (!placed) throw new TypeError(`No field ${field} in ${this.#record}`);
    const at = index * size + placed.offset;
    return this.#bytes.subarray(at, at + placed.size);
  }

  /** All bytes of the section. */
  get raw(): Uint8Array {
    return this.#bytes;
  }
}

/** A recording as it was at one moment. */
export interface Snapshot {
  /** The file, "" for a recording in this process's own memory. */
  readonly path: string;
  readonly header: Table;
  /** Where each section is in the file. */
  readonly descriptors: Table;
  readonly sections: Readonly<Record<SectionName, Table>>;
  /** Names that it carries, gzipped; undefined when it carries none. */
  readonly names: Uint8Array | undefined;
  /** Moments that it carries (moments.ts); undefined when it carries none. */
  readonly moments: Uint8Array | undefined;
  /** The heap's pages at one, as gzipped JSON; undefined when it carries none. */
  readonly pages: Uint8Array | undefined;
}

/** Which counter of the header says how many records of a section are in use. */
const USED: Readonly<Record<SectionName, string>> = {
  strings: "strings_used",
  modules: "modules_used",
  threads: "threads_used",
  nodes: "nodes_used",
  owners: "pages_used",
  paths: "pages_used",
  timeline: "timeline_used",
  sizes: "pages_used",
  resident: "resident_used",
  accounts: "accounts_used",
  mapped: "mapped_used",
  lifetimes: "pages_used",
};

function refuse(path: string, why: string): never {
  throw new RecordingError(`Cannot read "${path}": ${why}`);
}

/** Reads as much of [offset, offset + length) as the file has; the rest stays zero. */
function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8);
  let done = 0;
  while (done < length) {
    const n = readSync(fd, bytes, done, length - done, offset + done);
    if (n === 0) break;
    done += n;
  }
  return bytes.subarray(0, length);
}

function open(path: string): number {
  try {
    // Not even opened: a pipe would wait for its writer.
    const stat = statSync(path);
    if (!stat.isFile()) refuse(path, stat.isDirectory() ? "it is a folder" : "it is not a regular file");
    return openSync(path, "r");
  } catch (cause) {
    if (cause instanceof RecordingError) throw cause;
    const code = (cause as { code?: string }).code;
    const why = code === "ENOENT"
      ? "there is no such file"
      : code === "EACCES"
      ? "permission denied"
      : String((cause as Error).message ?? cause);
    throw new RecordingError(`Cannot read "${path}": ${why}`, { cause });
  }
}

function checkHeader(path: string, size: number, header: Table): void {
  if (!hasMagic(header.bytes(0, "magic"))) {
    const empty = header.raw.every((byte) => byte === 0);
    refuse(
      path,
      empty ? "it is empty; the program ended before its first allocation" : "it is not a heaptap recording",
    );
  }
  const version = header.number(0, "version");
  if (version < OLDEST_VERSION || version > VERSION) {
    refuse(
      path,
      `it has version ${version} and this heaptap reads versions ${OLDEST_VERSION} to ${VERSION}; use the heaptap that made it`,
    );
  }
  if (header.number(0, "byte_order") !== BYTE_ORDER) refuse(path, "it comes from a machine of the other byte order");
  const [bytes, sections] = [header.number(0, "header_size"), header.number(0, "section_count")];
  if (bytes !== headerSize(version) || sections !== sectionCount(version)) {
    refuse(
      path,
      `its header has ${bytes} bytes and ${sections} sections where version ${version} has ${headerSize(version)} and ${
        sectionCount(version)
      }`,
    );
  }
  const expected = header.number(0, "file_size");
  if (size < expected) refuse(path, `it is truncated: ${size} of ${expected} bytes`);
}

/** Bytes of a section that are in use. */
function usedBytes(path: string, size: number, header: Table, descriptors: Table, name: SectionName): [number, number] {
  const index = SECTIONS.indexOf(name);
  const offset = descriptors.number(index, "offset");
  const capacity = descriptors.number(index, "capacity");
  const recordSize = descriptors.number(index, "record_size");
  if (recordSize !== LAYOUT[name].size) {
    refuse(path, `its ${name} records have ${recordSize} bytes where version ${VERSION} has ${LAYOUT[name].size}`);
  }
  if (offset < HEADER_SIZE || offset % 4 !== 0 || offset + capacity * recordSize > size) {
    refuse(path, `its section ${name} lies outside the file`);
  }
  const unit = USED[name] === "pages_used" && name !== "owners" ? CONSTANTS.PAGE_RECORDS : 1;
  const used = Math.min(header.number(0, USED[name]) * unit, capacity);
  return [offset, used * recordSize];
}

/** The parts of a recording, from whatever gives its bytes. */
function takeSnapshot(
  path: string,
  source: Source,
  wanted: readonly SectionName[] = SECTIONS,
  behind: boolean = wanted.length > 0,
): Snapshot {
  const { size, read } = source;
  if (size > MAX_SIZE) refuse(path, `it has ${size} bytes, more than any recording`);
  if (size < HEADER_SIZE) refuse(path, size === 0 ? "it is empty" : "it is not a heaptap recording");
  const bytes = read(0, HEADER_SIZE);
  const header = new Table("header", bytes.subarray(0, SECTION_TABLE));
  checkHeader(path, size, header);
  const descriptors = new Table("section", bytes.subarray(SECTION_TABLE));
  let most = source.most;
  const count = sectionCount(header.number(0, "version"));
  const section = (name: SectionName) => {
    if (SECTIONS.indexOf(name) >= count) return new Table(name, new Uint8Array());
    const [offset, length] = usedBytes(path, size, header, descriptors, name);
    if (!wanted.includes(name)) return new Table(name, new Uint8Array());
    // Holes that are said to be in use would take memory for nothing.
    if ((most -= length) < 0) refuse(path, "it is damaged: more of it is said to be in use than can have been packed");
    return new Table(name, read(offset, length));
  };
  const sections = Object.fromEntries(SECTIONS.map((s) => [s, section(s)])) as Snapshot["sections"];
  const trailing = behind ? readTrailing(size, header.number(0, "file_size"), read) : undefined;
  return { path, header, descriptors, sections, ...NOTHING_BEHIND, ...trailing };
}

type Behind = Pick<Snapshot, "names" | "moments" | "pages">;
const NOTHING_BEHIND: Behind = { names: undefined, moments: undefined, pages: undefined };
const BEHIND: Readonly<Record<string, keyof Behind | undefined>> = {
  [NAMES_MAGIC]: "names",
  [MOMENT_MAGIC]: "moments",
  [PAGES_MAGIC]: "pages",
};

/** What stands behind what the header describes, from the end on: each part says how long it is. */
function readTrailing(
  size: number,
  described: number,
  read: (offset: number, length: number) => Uint8Array,
): Behind {
  const found: { -readonly [part in keyof Behind]: Behind[part] } = { ...NOTHING_BEHIND };
  for (let end = size;;) {
    const trailer = end - TRAILER_LAYOUT.size;
    if (trailer < described) return found;
    const bytes = read(trailer, TRAILER_LAYOUT.size);
    const at = TRAILER_LAYOUT.fields.magic?.offset ?? 0;
    const magic = new TextDecoder("latin1").decode(bytes.subarray(at, at + 8));
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const what = BEHIND[magic];
    if (!what || found[what] || length > trailer - described) return found;
    found[what] = read(trailer - length, length);
    end = trailer - length;
  }
}

/** The bytes of an open recording: its file's, or those that it was unpacked to. */
function sourceOf(path: string, fd: number, headOnly: boolean): Source {
  const stat = fstatSync(fd);
  const packing = packingOf(readAt(fd, 0, 4));
  if (!packing) {
    return { size: stat.size, most: Infinity, read: (offset, length) => readAt(fd, offset, length) };
  }
  checkCanUnpack(path, packing);
  const source = unpackedSource(path, stat) ?? (headOnly ? headSource(fd, packing) : undefined);
  if (source) return source;
  return refuse(
    path,
    hasMagic(packedHead(fd, packing) ?? new Uint8Array())
      ? "it is compressed; await unpackRecording() first"
      : "it is not a heaptap recording",
  );
}

/**
 * Takes a snapshot of a recording; sections that are not wanted stay empty. Of a compressed one the header can be had at
 * any time, sections when it has been unpacked.
 *
 * @param behind Whether what stands behind the sections is read too; where sections are wanted it is when left out.
 * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
 */
export function readSnapshot(path: string, wanted?: readonly SectionName[], behind?: boolean): Snapshot {
  const fd = open(path);
  try {
    return takeSnapshot(path, sourceOf(path, fd, wanted?.length === 0), wanted, behind);
  } finally {
    closeSync(fd);
  }
}

/**
 * Takes a snapshot of the recording of this process, where the library has it mapped; sections that are
 * not wanted stay empty.
 *
 * @throws {RecordingError} when it is of another version.
 */
export function readMemory(memory: Uint8Array, wanted?: readonly SectionName[]): Snapshot {
  // Sections are read where they are: what is there is never taken away. The header says how much of them is.
  const read = (offset: number, length: number) =>
    offset === 0 ? memory.slice(0, length) : memory.subarray(offset, offset + length);
  return takeSnapshot("", { size: memory.length, most: Infinity, read }, wanted);
}

/** Text of the strings section. Out of range reads as "". */
export function text(snapshot: Snapshot, offset: number, length: number): string {
  return new TextDecoder().decode(bytes(snapshot, offset, length));
}

/** The same as it stands there: a path may be no text. */
export function bytes(snapshot: Snapshot, offset: number, length: number): Uint8Array {
  return snapshot.sections.strings.raw.slice(offset, offset + length);
}
