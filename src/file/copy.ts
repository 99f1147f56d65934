/** Recordings written anew: as copies that keep their layout, and packed, without holes, compressed. */
import { ftruncateSync, statSync, writeFileSync, writeSync } from "node:fs";
import { zlib } from "./builtin.ts";
import {
  ALIGNMENT,
  HEADER_SIZE,
  LAYOUT,
  MOMENT_MAGIC,
  NAMES_MAGIC,
  PAGES_MAGIC,
  SECTION_TABLE,
  SECTIONS,
  TRAILER_LAYOUT,
} from "./layout.ts";
import { putField } from "./fields.ts";
import { canUnpack } from "./packed.ts";
import { readSnapshot } from "./reader.ts";
import type { Snapshot } from "./reader.ts";
import { RecordingError } from "./recording_error.ts";
import { writeWhole } from "./whole_file.ts";

/** Bytes as they stand behind what a header describes, with what says how many they are and of what. */
export function trailed(bytes: Uint8Array, magic: string): Uint8Array {
  const all = new Uint8Array(bytes.length + TRAILER_LAYOUT.size);
  all.set(bytes);
  putField(all, bytes.length, TRAILER_LAYOUT, "length", bytes.length);
  all.set(new TextEncoder().encode(magic), bytes.length + (TRAILER_LAYOUT.fields.magic?.offset ?? 0));
  return all;
}

/** What a copy has behind what its header describes. */
function trailing({ moments, pages }: Snapshot, names: Uint8Array | undefined): Uint8Array[] {
  return [
    ...moments ? [trailed(moments, MOMENT_MAGIC)] : [],
    ...pages ? [trailed(pages, PAGES_MAGIC)] : [],
    ...names ? [trailed(names, NAMES_MAGIC)] : [],
  ];
}

/** The header of a snapshot, with the table of sections. */
function headerOf({ header, descriptors }: Snapshot): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  bytes.set(header.raw);
  bytes.set(descriptors.raw, SECTION_TABLE);
  return bytes;
}

/**
 * Copies a recording, finished or growing: what is in use of it, and nothing of its holes; with names behind it
 * when there are any.
 *
 * @throws {RecordingError} when it is none.
 */
export function copyRecording(path: string, to: number, names?: Uint8Array): void {
  // The header was read first, and says how much of each section there is: what comes later is not in the copy.
  const snapshot = readSnapshot(path);
  const described = snapshot.header.number(0, "file_size");
  const put = (bytes: Uint8Array, at: number) => {
    for (let done = 0; done < bytes.length;) done += writeSync(to, bytes, done, bytes.length - done, at + done);
  };
  put(headerOf(snapshot), 0);
  SECTIONS.forEach((name, i) => put(snapshot.sections[name].raw, snapshot.descriptors.number(i, "offset")));
  let end = described;
  // A mark is a moment by itself.
  for (const part of names ? trailing(snapshot, names) : []) {
    put(part, end);
    end += part.length;
  }
  ftruncateSync(to, end);
}

/** A recording of which nothing is left out but its holes: sections are as large as what is in use of them. */
function withoutHoles(snapshot: Snapshot): Uint8Array {
  const header = headerOf(snapshot);
  let size = HEADER_SIZE;
  const places = SECTIONS.map((name, i) => {
    const { raw, length } = snapshot.sections[name];
    const offset = Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    const at = SECTION_TABLE + i * LAYOUT.section.size;
    putField(header, at, LAYOUT.section, "offset", offset);
    putField(header, at, LAYOUT.section, "capacity", length);
    size = offset + raw.length;
    return { raw, offset };
  });
  putField(header, 0, LAYOUT.header, "file_size", size);
  const parts = trailing(snapshot, snapshot.names);
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, size));
  all.set(header);
  for (const { raw, offset } of places) all.set(raw, offset);
  for (const part of parts) {
    all.set(part, size);
    size += part.length;
  }
  return all;
}

/** What packing did. */
export interface Packed {
  /** Bytes that the recording takes on disk. */
  readonly before: number;
  /** Bytes that it takes packed. */
  readonly after: number;
}

/**
 * Packs a recording: without holes, and compressed as the name that it gets says, `.gz` or `.zst`. Names that it carries
 * stay in it. One that a program still writes is packed as it is at this moment.
 *
 * @throws {RecordingError} when `from` is no recording, or `to` is called otherwise, or is the same file.
 *
 * @example
 * ```ts
 * import { packRecording } from "./mod.ts";
 *
 * const { before, after } = packRecording("sort.heaptap", "sort.heaptap.gz");
 * console.log(before > after);
 * ```
 */
export function packRecording(from: string, to: string): Packed {
  const [, ending] = /\.(gz|zst)$/.exec(to) ?? [];
  if (!ending) throw new RecordingError(`Cannot pack into "${to}": call it .heaptap.gz or .heaptap.zst`);
  if (ending === "zst" && !canUnpack("zstd")) {
    throw new RecordingError(`Cannot pack into "${to}": this runtime has no zstd; call it .heaptap.gz`);
  }
  const snapshot = readSnapshot(from);
  const [source, old] = [statSync(from), statSync(to, { throwIfNoEntry: false })];
  if (old && old.dev === source.dev && old.ino === source.ino) {
    throw new RecordingError(`Cannot pack "${from}" into itself: name another file`);
  }
  const bytes = withoutHoles(snapshot);
  const packed = ending === "gz" ? zlib().gzipSync(bytes) : zlib().zstdCompressSync(bytes);
  writeWhole(to, (fd) => writeFileSync(fd, packed), { mode: 0o600 });
  return { before: source.blocks * 512, after: packed.length };
}
