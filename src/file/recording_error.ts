/**
 * A file that is not a recording that this version reads; the message says why and what to do.
 *
 * @example
 * ```ts
 * import { Recording, RecordingError } from "./mod.ts";
 *
 * try {
 *   Recording.open("numbers.txt");
 * } catch (error) {
 *   console.log(error instanceof RecordingError, String(error));
 * }
 * ```
 */
export class RecordingError extends Error {
  /** The class's name. */
  override name = "RecordingError";
}
