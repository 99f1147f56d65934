/** Allocators that are linked into the program or a library, as the library found them and noted in the recording. */
import { text } from "../file/reader.ts";
import type { Snapshot } from "../file/reader.ts";
import type { LinkedAllocator } from "./profile.ts";

/** Why an allocator is not seen in a process that was attached to. */
const RUNS_ALREADY = "it ran already when heaptap attached; heaptap run shows it";

/** The same of one whose functions nobody can find. */
export const NAMELESS = "its names were stripped (a build with symbols, or its debug file, shows it)";

/** Why an allocator's functions do not lead to the hooks, by number in the recording. */
const REASONS: readonly ((about: string) => string)[] = [
  () => "",
  (about) => `the first instructions of its ${about || "functions"} cannot be moved`,
  () => "there is no memory near its code",
  () => "the system forbids to change its code",
  () => "there are too many allocators at once",
  () => NAMELESS,
  (about) => `the compiler has made copies of its ${about} for some of its callers`,
  () => RUNS_ALREADY,
];

/** Those that a recording's process has. */
export function readLinked(snapshot: Snapshot): LinkedAllocator[] {
  const h = (field: string) => snapshot.header.number(0, field);
  const lines = text(snapshot, h("linked"), h("linked_length")).split("\n").filter(Boolean);
  return lines.map((line) => {
    const [name = "", prefix = "", functions = "", why = "", about = "", path = ""] = line.split("\t");
    const reason = REASONS[Number(why)] ?? (() => "it could not be followed");
    return { name, prefix, functions: Number(functions), path, why: reason(about) };
  });
}
