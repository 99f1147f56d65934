/** Files that are whole or not there: they are made under another name, then moved. */
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { ownPath, realPath } from "./paths.ts";
import { handBack } from "./sudo.ts";

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

/** The number of the descriptor of this process that a path stands for, as `/dev/stdout` does; undefined for other paths. */
function descriptorOf(path: string): number | undefined {
  let at = ownPath(path);
  for (let steps = 0; steps < 40; steps++) {
    const [, number] = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/.exec(at) ?? [];
    if (number !== undefined) return Number(number);
    try {
      at = resolve(dirname(at), readlinkSync(at));
    } catch {
      return undefined; // no link
    }
  }
  return undefined;
}

/** A file that is there, with all links followed; undefined when there is none yet, or no file. */
function present(path: string): { readonly target: string; readonly mode: number } | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? { target: realPath(path), mode: stat.mode & 0o777 } : undefined;
}

/**
 * Makes a file with `fill`, which gets it open and empty. Until it is complete what stands under its name is the
 * old one, whose permissions it takes over; when `fill` throws nothing is left of the new one, and the error goes
 * on. A device, a pipe and a descriptor of this process are written to as they stand. Under sudo a new file is the user's,
 * unless it `isOurs`: what heaptap keeps for itself must not be changed by somebody else.
 */
export function writeWhole(
  path: string,
  fill: (fd: number) => void,
  { mode = 0o666, isOurs = false }: { readonly mode?: number; readonly isOurs?: boolean } = {},
): void {
  const descriptor = descriptorOf(path);
  if (descriptor === 1 || descriptor === 2) return fill(descriptor);
  const old = present(path);
  if (descriptor !== undefined || (!old && existsSync(path))) {
    const fd = openSync(path, "a");
    try {
      return fill(fd);
    } finally {
      closeSync(fd);
    }
  }
  const target = old?.target ?? path;
  const made = `${target}.${crypto.randomUUID()}.part`;
  const fd = openSync(made, "wx", mode);
  try {
    try {
      if (!isOurs) handBack(fd);
      if (old) chmodSync(made, old.mode);
      fill(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(made, target);
  } catch (error) {
    rmSync(made, { force: true });
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
