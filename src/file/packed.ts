/**
 * Compressed recordings. What the compressor says is read as a stream, which takes an `await`; everything else that reads
 * recordings does not. So one is unpacked into this process's memory first ({@linkcode unpackRecording}), without its
 * holes, and read from there.
 *
 * Nothing in the file is trusted: how much may come out of it is bounded by how large it is.
 */
import { Buffer } from "node:buffer";
import { closeSync, createReadStream, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import type { Transform } from "node:stream";
import type { Zlib } from "node:zlib";
import { zlib } from "./builtin.ts";
import { HEADER_SIZE, LAYOUT, MAGIC } from "./layout.ts";
import { RecordingError } from "./recording_error.ts";

/** How a file is compressed. */
export type Packing = "gzip" | "zstd";

/** The largest recording there is, its holes included: what 1,048,576 buckets need with sizes and lifetimes, and room. */
export const MAX_SIZE = 2 ** 33;

/** So much may be in any recording, and in a larger one so many times what it takes packed. */
const MOST_BYTES = 1 << 28;
const MOST_RATIO = 100;

/** More than the names of any program that a recording carries, packed. */
const MOST_NAMES = 1 << 28;

/** Bytes of which all are kept, or, where all are zero, none. */
const PAGE = 65536;
const ZEROS = new Uint8Array(PAGE);

/** Bytes of a recording, wherever they are. */
export interface Source {
  /** Apparent size. */
  readonly size: number;
  /** Bytes that may be taken of it in all. */
  readonly most: number;
  /** A copy of a part; zeros where there is nothing. */
  readonly read: (offset: number, length: number) => Uint8Array;
}

/** What the first bytes of a file say of its compression. */
export function packingOf(head: Uint8Array): Packing | undefined {
  const [a, b, c, d] = head;
  if (a === 0x1f && b === 0x8b) return "gzip";
  return a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd ? "zstd" : undefined;
}

/** Whether this runtime can unpack it. */
export function canUnpack(packing: Packing): boolean {
  return packing === "gzip" || typeof zlib().createZstdDecompress === "function";
}

/** Bytes up to the end of the first block of a zstd frame, which is all that its first bytes come from; 0 when it is none. */
function firstBlockEnd(head: Uint8Array): number {
  const descriptor = head[4] ?? 0;
  const single = (descriptor >> 5) & 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const content = [single, 2, 4, 8][descriptor >> 6] ?? 0;
  const at = 5 + (single ? 0 : 1) + dictionary + content;
  if (at + 3 > head.length) return 0;
  const block = (head[at] ?? 0) | (head[at + 1] ?? 0) << 8 | (head[at + 2] ?? 0) << 16;
  // A block of one repeated byte takes one.
  return at + 3 + (((block >> 1) & 3) === 1 ? 1 : block >> 3);
}

/** The first bytes of what an open file unpacks to; undefined when it cannot be unpacked. */
export function packedHead(fd: number, packing: Packing): Uint8Array | undefined {
  const read = (length: number) => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, 0));
  };
  try {
    if (packing === "gzip") {
      return zlib().gunzipSync(read(4096), { finishFlush: zlib().constants.Z_SYNC_FLUSH, maxOutputLength: 1 << 23 });
    }
    if (!canUnpack(packing)) return undefined;
    const part = read(firstBlockEnd(read(32)));
    return zlib().zstdDecompressSync(part, { finishFlush: zlib().constants.ZSTD_e_flush, maxOutputLength: 1 << 18 });
  } catch {
    return undefined;
  }
}

/** How large a recording says that it is, but for the names behind it. */
function describedSize(head: Uint8Array): number {
  const bytes = new Uint8Array(HEADER_SIZE);
  bytes.set(head.subarray(0, HEADER_SIZE));
  return Number(new DataView(bytes.buffer).getBigUint64(LAYOUT.header.fields.file_size?.offset ?? 0, true));
}

/** Whether bytes begin as a recording does. */
export function hasMagic(bytes: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(bytes.subarray(0, MAGIC.length)) === MAGIC;
}

/** Bytes of which most are zero: pages of zeros are left out. */
class SparseBytes implements Source {
  readonly most: number;
  readonly #pages = new Map<number, Uint8Array>();
  #page = new Uint8Array(PAGE);
  #size = 0;

  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds what comes next. */
  add(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length;) {
      const at = this.#size % PAGE;
      const part = chunk.subarray(done, done + PAGE - at);
      this.#page.set(part, at);
      this.#size += part.length;
      done += part.length;
      if (this.#size % PAGE === 0) this.#keep();
    }
  }

  /** Nothing more comes. */
  end(): void {
    if (this.#size % PAGE !== 0) this.#keep();
  }

  #keep(): void {
    if (isZero(this.#page)) return;
    this.#pages.set(Math.ceil(this.#size / PAGE) - 1, this.#page);
    this.#page = new Uint8Array(PAGE);
    if (this.#pages.size * PAGE > this.most) throw new RangeError(`more than ${this.most} bytes come out of it`);
  }

  read = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(Math.ceil(length / 8) * 8);
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + length; page++) {
      const from = this.#pages.get(page);
      if (!from) continue;
      const start = Math.max(offset, page * PAGE);
      const end = Math.min(offset + length, (page + 1) * PAGE, this.#size);
      if (end > start) bytes.set(from.subarray(start - page * PAGE, end - page * PAGE), start - offset);
    }
    return bytes.subarray(0, length);
  };
}

function isZero(page: Uint8Array): boolean {
  return Buffer.compare(page, ZEROS) === 0;
}

/** What was unpacked, by path, and which file it was. */
const unpacked = new Map<string, { readonly file: string; readonly source: Source }>();

function fileOf({ dev, ino, size, mtimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs}`;
}

/** The bytes of a recording that was unpacked; undefined when it was not, or is another file now. */
export function unpackedSource(path: string, stat: Stats): Source | undefined {
  const known = unpacked.get(resolve(path));
  return known?.file === fileOf(stat) ? known.source : undefined;
}

/** What damaged data are called. */
function whyDamaged(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  // A runtime that has run out of memory says so in the same class, with a code.
  if (error instanceof RangeError && !code) return `it is no recording: ${message}`;
  return code === "Z_BUF_ERROR" ? "it is truncated: its compressed data end too early" : `it is damaged (${message})`;
}

/**
 * Runs what reads from a stream so that it learns of all errors. Deno (2.9) throws what is wrong with a later block of zstd
 * data in a tick of its own, where nobody but the process can catch it.
 */
async function catching(stream: Transform, packing: Packing, run: () => Promise<void>): Promise<void> {
  if (packing !== "zstd" || !("Deno" in globalThis)) return await run();
  const onError = (error: Error) => {
    if (!/^Zstd decompress/.test(error.message)) throw error;
    stream.destroy(error);
  };
  process.on("uncaughtException", onError);
  try {
    await run();
  } finally {
    process.off("uncaughtException", onError);
  }
}

/**
 * Unpacks a compressed recording (`heaptap pack`, gzip, zstd) into this process's memory, so that whatever reads
 * recordings can read it. Does nothing with other files.
 *
 * @returns Whether it is a compressed recording.
 * @throws {RecordingError} when it is damaged, or this runtime cannot unpack it.
 *
 * @example
 * ```ts
 * import { packRecording, Recording, unpackRecording } from "./mod.ts";
 *
 * packRecording("sort.heaptap", "sort.heaptap.gz");
 * await unpackRecording("sort.heaptap.gz");
 * console.log(Recording.open("sort.heaptap.gz").profile().totals.allocations);
 * ```
 */
export async function unpackRecording(path: string): Promise<boolean> {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return false; // whoever reads it says why
  }
  let stat: Stats;
  let packing: Packing | undefined;
  let described: number;
  try {
    stat = fstatSync(fd);
    const head = new Uint8Array(4);
    readSync(fd, head, 0, 4, 0);
    packing = packingOf(head);
    if (!packing) return false;
    checkCanUnpack(path, packing);
    const start = packedHead(fd, packing) ?? head;
    if (!hasMagic(start)) return false;
    described = describedSize(start);
  } finally {
    closeSync(fd);
  }
  if (unpackedSource(path, stat)) return true;
  const bytes = new SparseBytes(Math.max(MOST_BYTES, MOST_RATIO * stat.size));
  const through: Transform & Zlib = packing === "gzip"
    ? zlib().createGunzip({ chunkSize: PAGE })
    : zlib().createZstdDecompress({ chunkSize: PAGE });
  const most = Math.min(MAX_SIZE, described + MOST_NAMES);
  const from = createReadStream(path);
  from.on("error", (error) => through.destroy(error));
  try {
    await catching(through, packing, async () => {
      for await (const chunk of from.pipe(through)) {
        bytes.add(chunk);
        if (bytes.size > most) throw new RangeError(`more than ${most} bytes come out of it`);
      }
    });
    bytes.end();
  } catch (cause) {
    throw new RecordingError(`Cannot read "${path}": ${whyDamaged(cause)}`, { cause });
  } finally {
    from.destroy();
  }
  // Deno (2.9) ends with the first of several frames of zstd, unless that comes to whole pages: what it leaves may be of the recording.
  if (through.bytesWritten < stat.size) {
    throw new RecordingError(
      `Cannot read "${path}": it has several frames, of which this runtime unpacks the first alone; unpack it with zstd -d, or use Bun or Node`,
    );
  }
  unpacked.set(resolve(path), { file: fileOf(stat), source: bytes });
  return true;
}

/** Refuses what this runtime cannot unpack. */
export function checkCanUnpack(path: string, packing: Packing): void {
  if (canUnpack(packing)) return;
  throw new RecordingError(
    `Cannot read "${path}": this runtime cannot unpack zstd; unpack it with zstd -d, or use a newer Deno or Bun`,
  );
}

/** A packed recording's first bytes alone, enough for its header. */
export function headSource(fd: number, packing: Packing): Source | undefined {
  const head = packedHead(fd, packing);
  if (!head || head.length < HEADER_SIZE) return undefined;
  return { size: MAX_SIZE, most: 0, read: (offset, length) => head.slice(offset, offset + length) };
}
