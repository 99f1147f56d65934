/**
 * Whose code a frame is. Reports lead with the user's own; what is between it and the allocator tells how it got there.
 */
import { isAllocationFunction } from "./allocators.ts";

/**
 * What a frame is: an `allocation` function, a `wrapper` that only passes the program's allocations on, the `standard`
 * library of its language, the `runtime` that interprets or compiles it, another `system` library, the user's `own`
 * code, or a `script` of the user's in a language that a runtime runs.
 */
export type FrameKind = "allocation" | "wrapper" | "standard" | "runtime" | "system" | "own" | "script";

/**
 * Whether a frame is code that the user wrote.
 *
 * @example
 * ```ts
 * import { isOwn } from "./mod.ts";
 *
 * console.log(isOwn("own"), isOwn("script"), isOwn("standard")); // true true false
 * ```
 */
export function isOwn(kind: FrameKind): boolean {
  return kind === "own" || kind === "script";
}

/** The kind of a frame, judged by its function, module and source file. */
export function kindOf(
  frame: { readonly function: string; readonly module: string; readonly file: string },
): FrameKind {
  if (isAllocationFunction(frame.function)) return "allocation";
  if (/^\/(usr\/)?lib(64)?\//.test(frame.module)) return "system";
  return frame.module ? "own" : "script";
}
