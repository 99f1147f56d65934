/** Folders that are made where they are wanted. */
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import process from "node:process";

/** The user's home; where neither HOME nor the system knows it, as of a bare number in a container, the root. */
export function home(): string {
  if (process.env.HOME) return process.env.HOME;
  try {
    return homedir();
  } catch {
    return "/";
  }
}

/** The user's cache folder for heaptap, after the XDG base directory specification. */
export function cacheFolder(): string {
  const xdg = process.env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(home(), ".cache"), "heaptap");
}

/**
 * Makes a folder, and those above it that are missing. Throws what the file system throws. Not `mkdir` with `recursive`: in Node that
 * never ends where a folder cannot be made though the one above it is there, as in /proc.
 */
export function makeFolder(path: string, mode?: number): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  }
}
