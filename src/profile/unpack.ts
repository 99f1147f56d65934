/** Compressed recordings of a run, unpacked. */
import { dirname } from "node:path";
import { unpackRecording } from "../file/packed.ts";
import { filesIn, look } from "./processes.ts";

/**
 * Unpacks what is compressed of a run's recordings: the one at a path, and those beside it which are there compressed
 * alone (see {@linkcode unpackRecording}). Does nothing with what is no recording.
 *
 * @throws {RecordingError} when the one at the path is damaged.
 *
 * @example
 * ```ts
 * import { Recording, unpackRun } from "./mod.ts";
 *
 * await unpackRun("sort.heaptap");
 * console.log(Recording.open("sort.heaptap").profile({ all: true }).totals.allocations);
 * ```
 */
export async function unpackRun(path: string): Promise<void> {
  await unpackRecording(path);
  const own = look(path);
  if (!own) return;
  const beside = filesIn(dirname(path), () => true).filter(({ run }) => run === own.run);
  const plain = new Set(beside.filter(({ packed }) => !packed).map(({ pid, image }) => `${pid} ${image}`));
  for (const { path, pid, image, packed } of beside) {
    if (packed && !plain.has(`${pid} ${image}`)) await unpackRecording(path).catch(() => {}); // one of another is no concern
  }
}
