/** Fields of a recording's records, written. */
import { writeSync } from "node:fs";
import { LAYOUT } from "./layout.ts";
import type { PlacedRecord, RecordName } from "./layout.ts";

/** Puts the number of a field into a record that begins at a place. */
export function putField(bytes: Uint8Array, at: number, record: PlacedRecord, field: string, value: number): void {
  const placed = record.fields[field];
  if (!placed) throw new TypeError(`No field ${field}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (placed.size === 8) view.setBigInt64(at + placed.offset, BigInt(Math.round(value)), true);
  else view.setUint32(at + placed.offset, value, true);
}

/** Writes a whole record of a file, all of whose fields are given. */
export function writeRecord(fd: number, at: number, name: RecordName, values: Readonly<Record<string, number>>): void {
  const bytes = new Uint8Array(LAYOUT[name].size);
  for (const [field, value] of Object.entries(values)) putField(bytes, 0, LAYOUT[name], field, value);
  writeSync(fd, bytes, 0, bytes.length, at);
}

/** Writes fields of a file's header, in that order, where its process has it mapped. */
export function writeHeader(fd: number, values: Readonly<Record<string, number>>): void {
  for (const [field, value] of Object.entries(values)) {
    const { size = 0, offset = 0 } = LAYOUT.header.fields[field] ?? {};
    const bytes = new Uint8Array(offset + size);
    putField(bytes, 0, LAYOUT.header, field, value);
    writeSync(fd, bytes, offset, size, offset);
  }
}
