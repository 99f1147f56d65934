/** The error of places that cannot be written to. */

/**
 * The recording cannot be made where it was asked for.
 *
 * @example
 * ```ts
 * import { OutputError, profile } from "./mod.ts";
 *
 * try {
 *   await profile(["true"], { out: "/nowhere/true.heaptap" });
 * } catch (error) {
 *   console.log(error instanceof OutputError, String(error));
 * }
 * ```
 */
export class OutputError extends Error {
  /** The class's name. */
  override name = "OutputError";
}
