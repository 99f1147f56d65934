/** A frame by its name, and what it is called in words. */
import { matches } from "../profile/select.ts";
import type { Frame } from "../profile/profile.ts";
import type { Name } from "./backend.ts";
import type { FrameKind } from "./kinds.ts";

/** A frame of a stack with its name, as reports show it. */
export interface NamedFrame extends Name {
  /** What the function is known by in another build: see {@linkcode readableName}. "" when it has no name. */
  readonly key: string;
  /** Whose code it is. */
  readonly kind: FrameKind;
  /** Path of the module, "" for code of no object. */
  readonly module: string;
  /** Return address, in the module or, without one, in memory. */
  readonly address: number;
  /** How its caller was found: see {@linkcode Frame}. */
  readonly way?: Frame["way"];
}

/** A path, or its last part alone. */
export function shortPath(path: string, whole: boolean): string {
  return whole ? path : path.replace(/^.*\//, "");
}

/** Where a frame is in the source, `file.c:12`; "" when that is not known. */
export function sourcePlace({ file, line }: Pick<NamedFrame, "file" | "line">, whole = false): string {
  return file && `${shortPath(file, whole)}${line > 0 ? `:${line}` : ""}`;
}

/** Whether a pattern matches a frame's function, its module's path or its source file. */
export function frameMatches(frame: Omit<NamedFrame, "inlined">, pattern: RegExp): boolean {
  return matches(pattern, frameName(frame)) || matches(pattern, frame.module) ||
    (frame.file !== "" && matches(pattern, frame.file));
}

/** The last part of a frame's module's path; what stands for it where code is of none. */
export function moduleName({ module }: Pick<NamedFrame, "module">): string {
  return shortPath(module, false) || "JIT code";
}

/** A function's name, or where it is when it has none: `libz.so.1+0x2f40`. */
export function frameName(frame: Pick<NamedFrame, "function" | "module" | "address"> | undefined): string {
  if (!frame) return "(unknown)";
  if (frame.function) return frame.function;
  return `${moduleName(frame)}+0x${frame.address.toString(16)}`;
}
