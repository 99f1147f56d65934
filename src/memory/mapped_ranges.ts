/** What the library knows of memory that a running program has mapped itself (ffi/mappings.c), read from outside. */
import type { ProcessMemory } from "./process_memory.ts";

/** A range of addresses that the program has mapped. */
export interface MappedRange {
  /** First address. */
  readonly start: number;
  /** End. */
  readonly end: number;
  /** Its record in the recording. */
  readonly record: number;
}

const WORDS = 6;
const TRIES = 40;
/** Tries without a pause of a millisecond. */
const AT_ONCE = 5;

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

/** The ranges in the order of addresses; undefined when they cannot be had. */
export function mappedRanges(memory: ProcessMemory, table: number): MappedRange[] | undefined {
  if (table === 0) return undefined;
  const head = new Uint8Array(24);
  const view = new DataView(head.buffer);
  const look = () => memory.read(table, head) === head.length ? [...head].join() : undefined;
  // They change under our eyes: an odd number says that they do, another one that they have.
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > AT_ONCE) pause();
    const before = look();
    if (before === undefined) return undefined;
    const [from, used] = [Number(view.getBigUint64(0, true)), view.getUint32(8, true)];
    if (view.getUint32(16, true) % 2 === 1) continue;
    if (used > 2 ** 20) return undefined;
    const words = new Uint32Array(used * WORDS);
    const whole = memory.read(from, new Uint8Array(words.buffer)) === words.byteLength;
    if (look() !== before || !whole) continue;
    const number = (i: number) => words[i]! + words[i + 1]! * 2 ** 32;
    return Array.from({ length: used }, (_, i) => ({
      start: number(i * WORDS),
      end: number(i * WORDS + 2),
      record: number(i * WORDS + 4),
    }));
  }
  return undefined;
}
