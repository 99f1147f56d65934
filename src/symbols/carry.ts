/** Writes recordings that carry their names. */
import { statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { unpackRecording } from "../file/packed.ts";
import { Recording } from "../profile/recording.ts";
import { copyRecording } from "../file/copy.ts";
import { RecordingError } from "../file/reader.ts";
import { writeWhole } from "../file/whole_file.ts";
import { keyOf } from "./carried.ts";
import type { Carried } from "./carried.ts";
import { Symbols } from "./symbols.ts";
import type { Progress, SymbolOptions } from "./symbols.ts";

/**
 * Writes a copy of a recording that carries the names of all its frames, as this machine knows them.
 *
 * @returns What went wrong with the names, "" when nothing did.
 * @throws {RecordingError} when `from` is no recording.
 *
 * @example
 * ```ts
 * import { carryNames } from "./mod.ts";
 *
 * console.log(await carryNames("sort.heaptap", "sort-named.heaptap"));
 * ```
 */
export async function carryNames(
  from: string,
  to: string,
  options: SymbolOptions = {},
  progress?: Progress,
): Promise<string> {
  await unpackRecording(from);
  const profile = Recording.open(from).profile();
  const [source, old] = [statSync(from), statSync(to, { throwIfNoEntry: false })];
  if (old && old.dev === source.dev && old.ino === source.ino) {
    throw new RecordingError(`Cannot write the names into "${from}" itself: the program may still write to it`);
  }
  using symbols = new Symbols(profile, options);
  await symbols.resolve(profile.callPaths, progress);
  const carried: Carried = {};
  for (const path of profile.callPaths) {
    for (const frame of path.stack) {
      const key = keyOf(frame);
      if (Object.hasOwn(carried, key)) continue;
      carried[key] = symbols.names(frame).map((n) => [n.function, n.file, n.line]);
    }
  }
  writeWhole(to, (fd) => copyRecording(from, fd, gzipSync(JSON.stringify(carried))), { mode: 0o600 });
  return symbols.problem;
}
