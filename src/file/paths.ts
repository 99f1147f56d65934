/**
 * Paths in a working folder whose own path is not UTF-8, or that was removed. Neither runtime can say that: Deno throws, Bun gives one that is
 * not there. What the kernel resolves for itself, relative paths and links of /proc, works all the same.
 */
import { realpathSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import process from "node:process";

function isSame(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev;
}

function cwd(): string | undefined {
  try {
    const path = process.cwd();
    return isSame(path, ".") ? path : undefined;
  } catch (error) {
    if ((error as Error).name === "NotCapable") throw error;
    return undefined; // it cannot be said, or was removed
  }
}

/** The working folder by a path that leads there for every process, while this one lives. */
export function workingFolder(): string {
  return cwd() ?? `/proc/${process.pid}/cwd`;
}

/** An absolute path, where the working folder has one that can be said; else one that this process alone finds. */
export function ownPath(path: string): string {
  if (isAbsolute(path)) return resolve(path);
  return cwd() === undefined ? path : resolve(path);
}

/** A path that other processes find too, while this one lives. */
export function sharedPath(path: string): string {
  return isAbsolute(path) ? path : join(workingFolder(), path);
}

/** A path with all links followed, as far as the result can be said. */
export function realPath(path: string): string {
  try {
    const real = realpathSync(path);
    return isSame(real, path) ? real : path;
  } catch (error) {
    if ((error as Error).name === "InvalidData") return path;
    throw error;
  }
}
