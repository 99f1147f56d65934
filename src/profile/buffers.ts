/**
 * Buffers of numbers that are used again: in a process whose allocator gives memory back, first touching fresh memory takes longer than
 * what is done with it. Nobody has one of these twice: who takes one may give it back, once, and does not look at it again.
 */

/** Buffers that wait; no more than a report needs. */
const waiting: Float64Array[] = [];
const MOST = 2;

/** So many zeros. */
export function takeBuffer(length: number): Float64Array {
  const at = waiting.findIndex((buffer) => buffer.length >= length);
  if (at < 0) return new Float64Array(length);
  return (waiting.splice(at, 1)[0] as Float64Array).subarray(0, length).fill(0);
}

/** Gives a buffer back. */
export function giveBuffer({ buffer }: Float64Array): void {
  waiting.push(new Float64Array(buffer as ArrayBuffer));
  if (waiting.length > MOST) waiting.sort((a, b) => b.length - a.length).length = MOST;
}
