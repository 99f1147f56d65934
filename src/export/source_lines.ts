/** The lines of source files around the places that a report shows: a few, of regular files on this machine. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import type { PageData, SourceData } from "./page/data.ts";

/** Lines before and after a place. */
const AROUND = 3;
/** Letters kept of a line. */
const LINE_LENGTH = 200;
/** Files that are larger are none that a person wrote. */
const LARGEST_FILE = 8 << 20;
/** Letters that a report holds in all. */
const ALL_LENGTH = 2_000_000;

/** The lines of a text file; undefined when it is none, or not there, and "changed" when it is newer than `since` (milliseconds). */
function linesOf(path: string, since: number): string[] | "changed" | undefined {
  if (!path.startsWith("/")) return undefined;
  let fd: number;
  try {
    // A pipe of that name would keep us waiting.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.size > LARGEST_FILE) return undefined;
    if (found.mtimeMs > since) return "changed";
    const text = readFileSync(fd, "utf8");
    return text.includes("\0") ? undefined : text.split("\n");
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Numbers put together where they follow one another: [3, 4, 5, 9] becomes [3, 5], [9, 9]. */
function runs(sorted: readonly number[]): [first: number, last: number][] {
  const found: [number, number][] = [];
  for (const n of sorted) {
    const last = found.at(-1);
    if (last && n <= last[1] + 1) last[1] = n;
    else found.push([n, n]);
  }
  return found;
}

/**
 * The source lines around places, the first places' first until there is no room for more. Of files that are newer than
 * the recording nothing is taken: their lines would be others.
 */
export function sourceLines({ files, places }: Pick<PageData, "files" | "places">, since: number): SourceData {
  const wanted = new Map<number, Set<number>>();
  places.file.forEach((file, place) => {
    const line = places.line[place] ?? 0;
    if (line < 1) return;
    const lines = wanted.get(file) ?? new Set();
    wanted.set(file, lines);
    for (let near = Math.max(1, line - AROUND); near <= line + AROUND; near++) lines.add(near);
  });
  const parts: SourceData["parts"][number][] = [];
  const changed: number[] = [];
  let room = ALL_LENGTH;
  for (const [file, numbers] of wanted) {
    const text = linesOf(files[file] ?? "", since);
    if (text === "changed") changed.push(file);
    if (!Array.isArray(text)) continue;
    for (const [first, last] of runs([...numbers].sort((a, b) => a - b))) {
      const lines = text.slice(first - 1, last).map((line) => line.slice(0, LINE_LENGTH).trimEnd());
      room -= lines.reduce((n, line) => n + line.length + 1, 0);
      if (room < 0) return { parts, changed };
      if (lines.length > 0) parts.push({ file, first, lines });
    }
  }
  return { parts, changed };
}
