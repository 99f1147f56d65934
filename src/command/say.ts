/** heaptap's own words, which go to stderr, and what the command ends with. */
import { writeSync } from "node:fs";
import { printable } from "../profile/format.ts";

/** Exit status for what the user can mend; a program's own status is passed on. */
export const USAGE = 2;

/** Exit status when a budget was not kept and nothing else failed. */
export const OVER_BUDGET = 3;

/** Our own words, a line. Names in them may hold anything. */
export function say(text: string): void {
  tell(`heaptap: ${printable(text)}\n`);
}

/** To stderr, as far as that can be written: nothing depends on it. */
export function tell(text: string): void {
  try {
    write(2, text);
  } catch {
    // There is nobody to tell.
  }
}

/** Milliseconds until a pipe that somebody made non-blocking is tried again when it is full. */
const AGAIN = 2;

/**
 * Writes all of it, at once, to stdout or stderr.
 *
 * @throws {Error} when it cannot be written.
 */
export function write(descriptor: 1 | 2, text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      const { code } = error as { code?: string };
      // Deno does not tell how much was written before, and keeps a part of what was refused: a second try would write that twice.
      if (code !== "EAGAIN" || "Deno" in globalThis) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN);
    }
  }
}
