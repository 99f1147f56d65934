/** What the process of tests or benchmarks answers, and how it begins. */
import { openSync, writeSync } from "node:fs";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { LibraryError } from "../native/build.ts";
import { install } from "../scope/install.ts";
import { unseenNow } from "../scope/notes.ts";
import type { Line, Setting } from "./setting.ts";

/** The file that lines are added to, open from the beginning: a test of Deno's may have no permission to open it. */
let results: number;

/** Adds a line. Each is one write to the file's end: several processes share it. */
export function tell(line: Line): void {
  writeSync(results, JSON.stringify(line) + "\n");
}

let told = "";

/** Says what figures do not tell, when that has changed. */
export function tellNotes(): void {
  // Of several files in one process the first installs.
  const now = unseenNow().filter((note) => !/^the option out came too late/.test(note));
  if (now.join("\n") === told) return;
  told = now.join("\n");
  tell({ kind: "notes", notes: now });
}

/** Puts the hooks in; false, with the reason told, where that cannot be. Tests and benchmarks run all the same. */
export function begin(setting: Setting): boolean {
  results = openSync(setting.results, "a");
  // Whoever turned Node's interface on did not ask to be warned of it.
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...more: unknown[]) => {
    if (!/^FFI is an experimental/.test(String(warning))) Reflect.apply(emitWarning, process, [warning, ...more]);
  }) as typeof emitWarning;
  try {
    install({ library: setting.library, out: setting.out || undefined });
    return true;
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    tell({ kind: "problem", problem: error.message });
    return false;
  } finally {
    process.emitWarning = emitWarning;
  }
}

let collectGarbage: (() => void) | undefined;

/** The engine's function for it. */
function collector(): () => void {
  const { Bun: bun, gc } = globalThis as { readonly Bun?: { gc(now: boolean): void }; readonly gc?: () => void };
  if (bun) return () => bun.gc(true);
  if (gc) return () => gc();
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as () => void;
  } catch {
    // Deno before 2.9: its new contexts are as the first.
    const note = "Garbage was not collected, and is in what tests left: Deno does that when asked from 2.9 on";
    tell({ kind: "notes", notes: [note] });
    return () => {};
  }
}

/** Has the engine give back what nothing uses any more, and what that held outside of its heap. */
export function collect(): void {
  collectGarbage ??= collector();
  collectGarbage();
}
