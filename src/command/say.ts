/** heaptap's own words, which go to stderr, and what the command ends with. */
import process from "node:process";
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
    process.stderr.write(text);
  } catch {
    // Deno throws here; elsewhere the stream says so, which the command line listens for.
  }
}
