/** What the figures of this process do not tell, in words: every report of it ends with them. */
import { notCounted } from "../profile/facts.ts";
import { printable } from "../profile/format.ts";
import { readLinked } from "../profile/linked.ts";
import { readMemory } from "../file/reader.ts";
import { NO_NAMES } from "../native/v8_names.ts";
import { own } from "./install.ts";
import { operationNotes } from "./operate.ts";

/**
 * What cannot be seen of this process at this moment, and what is not as it was asked for, a sentence each; empty when everything
 * is seen. Reports, spans' tables and the messages of expectations end with it.
 *
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { notes } from "./mod.ts";
 *
 * for (const note of notes()) console.error(note); // on Bun: that its own memory is not seen
 * ```
 */
export function notes(): string[] {
  return [...unseenNow(), ...operationNotes()];
}

/** The same but for what operations do not tell. */
export function unseenNow(): string[] {
  return own(({ installation, memory }) => {
    const snapshot = readMemory(memory, ["strings"]);
    const h = (field: string) => snapshot.header.number(0, field);
    const past = h("past_libraries");
    return [
      ...installation.seesRuntime ? [] : [installation.sees],
      ...readLinked(snapshot).filter(({ why }) => why).map((allocator) => printable(notCounted(allocator))),
      ...past > 0 ? [`Libraries were opened past the hooks (dlmopen), and are not seen: ${past}`] : [],
      ...installation.recording.mode === "paths" && h("buckets_used") >= h("buckets")
        ? [
          "The table of call paths is full: totals are exact, new paths are not told apart; raise buckets (HEAPTAP_BUCKETS)",
        ]
        : [],
      // Reports have a word of their own where names are missing.
      ...installation.notes.filter((note) => !note.startsWith(NO_NAMES)),
    ];
  });
}
