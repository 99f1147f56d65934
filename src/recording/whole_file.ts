/** Files that are whole or not there: they are made under another name, then moved. */
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";

/** Bytes that are put together before they are written, so that a write is worth a system call. */
const BLOCK = 1 << 20;

/** Puts small pieces together into blocks. */
export class Blocks {
  #block = new Uint8Array(2 * BLOCK);
  #used = 0;

  /** Whether it is time to take a block. */
  get isFull(): boolean {
    return this.#used >= BLOCK;
  }

  /** Adds a piece. */
  put(piece: Uint8Array): void {
    if (this.#used + piece.length > this.#block.length) {
      const larger = new Uint8Array(2 * (this.#used + piece.length));
      larger.set(this.#block);
      this.#block = larger;
    }
    this.#block.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** What was added since the last time. */
  take(): Uint8Array {
    const taken = this.#block.slice(0, this.#used);
    this.#used = 0;
    return taken;
  }
}

/** What a path leads to: itself while there is nothing, else what its links lead to. */
function destination(path: string): { readonly target: string; readonly isFile: boolean } {
  try {
    const target = realpathSync(path);
    return { target, isFile: statSync(target).isFile() };
  } catch {
    return { target: path, isFile: true };
  }
}

/**
 * Makes a file with `fill`, which gets it open and empty. Until it is complete what stands under its name is the
 * old one; when `fill` throws nothing is left of the new one, and the error goes on. A device or a pipe is
 * written to as it stands.
 */
export function writeWhole(path: string, fill: (fd: number) => void, mode = 0o666): void {
  const { target, isFile } = destination(path);
  const made = isFile ? `${target}.${process.pid}.part` : target;
  // A part that a process of this number once left is not to be written through: it may be a link.
  if (isFile) rmSync(made, { force: true });
  const fd = openSync(made, isFile ? "wx" : "w", mode);
  try {
    try {
      fill(fd);
    } finally {
      closeSync(fd);
    }
    if (isFile) renameSync(made, target);
  } catch (error) {
    if (isFile) rmSync(made, { force: true });
    throw error;
  }
}

/** A report: whole, or in pieces. */
export type Report = string | Uint8Array | Iterable<Uint8Array>;

/**
 * Writes a report to a file, whole or not at all: what stands under the name is the old one until the new one is
 * complete. Throws what the file system throws.
 *
 * @example
 * ```ts
 * import { exportBlocks, Recording, Symbols, writeReport } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * writeReport("sort.json", exportBlocks(profile, symbols, "json"));
 * ```
 */
export function writeReport(path: string, report: Report): void {
  writeWhole(path, (fd) => {
    const pieces = typeof report === "string" || report instanceof Uint8Array ? [report] : report;
    for (const piece of pieces) writeFileSync(fd, piece);
  });
}
