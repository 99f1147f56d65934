/** Long work of heaptap's in a script's process, a slice at a time: what serves requests there goes on between two. */
import { setImmediate } from "node:timers";
import { own } from "./install.ts";

/** Milliseconds that the event loop waits for a slice. */
const SLICE = 6;
/** Items after which the clock is looked at, where each is a look at some numbers. */
const BATCH = 512;
/** The same where names of functions are made. */
export const NAME_BATCH = 16;

/**
 * Does something to so many items, waiting where it may. A function for a range of them, and not a loop that yields: engines do
 * not compile one that is inside a generator well.
 */
export function* inBatches(
  count: number,
  part: (from: number, to: number) => void,
  batch: number = BATCH,
): Generator<undefined, void> {
  for (let from = 0; from < count; from += batch) {
    part(from, Math.min(from + batch, count));
    yield;
  }
}

/** Runs a generator that yields where it may wait, and gives what it returns. What it allocates is not the script's. */
export async function inSlices<T>(work: Generator<undefined, T>): Promise<T> {
  for (;;) {
    const last = own(() => {
      const until = performance.now() + SLICE;
      let step = work.next();
      while (!step.done && performance.now() < until) step = work.next();
      return step;
    });
    if (last.done) return last.value;
    await own(() => new Promise((resolve) => setImmediate(resolve)));
  }
}
