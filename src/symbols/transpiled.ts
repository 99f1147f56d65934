/** Where in its source a place of a script is that was translated before it ran: by Deno, or by whatever left a source map. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import * as nodeModule from "node:module";
import type { SourceMap } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { home } from "../file/folder.ts";

/** A file and a line, 0 when it is not known. */
interface Place {
  readonly file: string;
  readonly line: number;
}

/** The source of a place in a script as its engine names it; lines and columns from 1. */
export type SourceOf = (script: string, line: number, column: number) => Place;

/** A script's path; an address that is no file's stays as it is. */
function pathOf(script: string): string {
  try {
    return script.startsWith("file:") ? fileURLToPath(script) : script;
  } catch {
    return script;
  }
}

/** The place as it is said. */
export const readableSource: SourceOf = (script, line) => ({ file: pathOf(script), line });

/** The last bytes of a script: a source map is named there, or is in them. */
const TAIL = 1024;
/** What begins the name of a source map. */
const NAMED = /\n\/\/[#@] ?sourceMappingURL=(\S+)\s*(?:\n\/\/[^\n]*)?\s*$/;
const INSIDE = /^data:application\/json[^,]*;base64,/;

function tailOf(path: string): string {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const bytes = new Uint8Array(Math.min(size, TAIL));
    readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    return new TextDecoder().decode(bytes);
  } finally {
    closeSync(fd);
  }
}

/** The source map that a script carries or names; undefined when it has none. Throws what cannot be read. */
function sourceMapOf(path: string): SourceMap | undefined {
  const tail = tailOf(path);
  // One that is inside is longer than the end that is looked at.
  if (!/sourceMappingURL=|^[A-Za-z0-9+/=]+\s*(?:\n\/\/[^\n]*)?\s*$/.test(tail)) return undefined;
  const name = NAMED.exec(`\n${readFileSync(path, "utf8")}`)?.[1];
  if (!name) return undefined;
  const json = INSIDE.test(name) ? atob(name.replace(INSIDE, "")) : readFileSync(
    name.startsWith("file:") ? fileURLToPath(name) : resolve(dirname(path), decodeURIComponent(name)),
    "utf8",
  );
  const text = INSIDE.test(name) ? new TextDecoder().decode(Uint8Array.from(json, (c) => c.charCodeAt(0))) : json;
  // Older Denos have no such class: the map is one that cannot be read.
  const { SourceMap: Reader } = nodeModule as Partial<typeof nodeModule>;
  if (!Reader) throw new Error("no reader of source maps");
  return new Reader(JSON.parse(text));
}

/** The map of what Deno made of a source, in its cache; undefined when it is not there, or is of an older source. */
function mapByDeno(path: string): SourceMap | undefined {
  const folder = process.env.DENO_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(home(), ".cache"), "deno");
  const map = sourceMapOf(join(folder, "gen/file", `${path}.js`));
  // By what it was made of: a checkout makes a file newer that has not changed.
  const [source] = (map?.payload as { sourcesContent?: string[] } | undefined)?.sourcesContent ?? [];
  return source === readFileSync(path, "utf8").replace(/^\uFEFF/, "") ? map : undefined;
}

const TYPESCRIPT = /\.(?:[cm]?ts|tsx|jsx)$/;

/** Translates the places of a process's scripts. `isDeno`: that ran them, which translates TypeScript itself, and moves its lines. */
export function sourcesOf(isDeno: boolean): SourceOf {
  const maps = new Map<string, SourceMap | "none" | "lost">();
  const mapOf = (path: string): SourceMap | "none" | "lost" => {
    const isTranslated = isDeno && TYPESCRIPT.test(path);
    try {
      return isTranslated ? mapByDeno(path) ?? "lost" : sourceMapOf(path) ?? "none";
    } catch {
      return isTranslated || !("SourceMap" in nodeModule) ? "lost" : "none";
    }
  };
  return (script, line, column) => {
    const file = pathOf(script);
    if (!isAbsolute(file)) return { file, line };
    let map = maps.get(file);
    if (!map) maps.set(file, map = mapOf(file));
    if (map === "none") return { file, line };
    // A line of what it was translated to would be another one's.
    if (map === "lost") return { file, line: 0 };
    const found = map.findEntry(line - 1, column - 1) as { originalSource?: string; originalLine?: number };
    if (found.originalLine === undefined) return { file, line: 0 };
    const source = found.originalSource ?? "";
    const original = TYPESCRIPT.test(file) || !source ? file : resolve(dirname(file), pathOf(source));
    return { file: original, line: found.originalLine + 1 };
  };
}
