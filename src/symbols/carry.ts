/** Writes recordings that carry their names. */
import { closeSync, openSync, renameSync, rmSync } from "node:fs";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { Recording } from "../profile/recording.ts";
import { copyWithNames } from "../recording/reader.ts";
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
  const profile = Recording.open(from).profile();
  using symbols = new Symbols(profile, options);
  await symbols.resolve(profile.callPaths, progress);
  const carried: Carried = {};
  for (const path of profile.callPaths) {
    for (const frame of path.stack) {
      const key = keyOf(frame);
      if (Object.hasOwn(carried, key)) continue;
      carried[key] = symbols.frames(frame).filter((n) => n.function || n.file).map((n) => [n.function, n.file, n.line]);
    }
  }
  const made = `${to}.${process.pid}.part`;
  const fd = openSync(made, "wx", 0o600);
  try {
    copyWithNames(from, fd, gzipSync(JSON.stringify(carried)));
    renameSync(made, to);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  return symbols.problem;
}
