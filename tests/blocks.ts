/** The library tests/targets/blocks.c, compiled and opened through the runtime's FFI. */
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { openLibrary } from "../src/native/ffi.ts";
import { SCRIPT, target } from "./helpers.ts";

const SIGNATURES = {
  blocks: [["u32", "u32"], "void"],
  pairs: [["u32", "u32"], "void"],
  keep: [["u32", "u32"], "void"],
  keep_one: [[], "void"],
  blocks_hundred: [[], "void"],
  pairs_seven: [[], "void"],
  threaded_eight: [[], "void"],
  release: [[], "u32"],
  zeroed: [["u32", "u32"], "void"],
  aligned: [["u32", "u32"], "void"],
  resized: [["u32", "u32", "u32"], "void"],
  threaded: [["u32", "u32", "u32"], "void"],
  handed: [["u32", "u32"], "void"],
  start_threads: [["u32"], "void"],
  end_threads: [[], "void"],
  through_copy: [["u32", "u32"], "void"],
} as const;

/** Its functions; see the comments in the C file. */
export type Blocks = Record<keyof typeof SIGNATURES, (...n: number[]) => unknown>;

/** Compiles it into a folder. */
export function compileBlocks(folder: string): string {
  return target(folder, "blocks.c", "-shared", "-fPIC");
}

/** Opens a compiled one. */
export function openBlocks(path: string): Blocks {
  return openLibrary(path, SIGNATURES).functions as Blocks;
}

/** Opens a copy under another name: to the dynamic linker another library. */
export function openCopy(path: string, name: string): { path: string; blocks: Blocks } {
  const copy = join(path, "..", name);
  copyFileSync(path, copy);
  return { path: copy, blocks: openBlocks(copy) };
}

/** Runs a script under the runtime that runs the tests, in a process of its own. */
export function runScript(script: string, args: readonly string[], env: Record<string, string> = {}) {
  const result = spawnSync(process.execPath, [...SCRIPT, script, ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", ...env },
    maxBuffer: 1 << 28,
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}
