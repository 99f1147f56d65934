/** Folders that are made where they are wanted. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

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
