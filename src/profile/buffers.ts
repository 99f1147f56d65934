/**
 * Buffers of numbers that are used again: in a process whose allocator gives memory back, first touching fresh memory takes longer than
 * what is done with it. Nobody has one of these twice: who takes one may give it back, once, and does not look at it again.
 */

/** Buffers that wait; no more than a report needs. */
const waiting: Float64Array[] = [];
const MOST = 4;

/** One that is as long at least; the shortest of those that wait. */
function waitingBuffer(length: number): Float64Array | undefined {
  let best = -1;
  for (const [at, { length: has }] of waiting.entries()) {
    if (has >= length && (best < 0 || has < (waiting[best] as Float64Array).length)) best = at;
  }
  return best < 0 ? undefined : waiting.splice(best, 1)[0];
}

/** So many zeros. */
export function takeBuffer(length: number): Float64Array {
  return waitingBuffer(length)?.subarray(0, length).fill(0) ?? new Float64Array(length);
}

/** A copy of bytes, and what there is behind them up to a whole number. */
export function copyInBuffer(bytes: Uint8Array): Float64Array {
  const length = Math.ceil(bytes.length / 8);
  const copy = waitingBuffer(length)?.subarray(0, length) ?? new Float64Array(length);
  new Uint8Array(copy.buffer).set(bytes);
  return copy;
}

/** Gives a buffer back. */
export function giveBuffer({ buffer }: Float64Array): void {
  waiting.push(new Float64Array(buffer as ArrayBuffer));
  if (waiting.length > MOST) waiting.sort((a, b) => b.length - a.length).length = MOST;
}
