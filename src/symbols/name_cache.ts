/**
 * Names that were looked up, in files of the user's cache folder. A file is of one module, of one file that knew its names,
 * and of one set of tools that were asked: what another tool says, or what a debug file says that came later, is never
 * mistaken for it.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeCrypto } from "../file/builtin.ts";
import { makeFolder } from "../file/folder.ts";
import { writeWhole } from "../file/whole_file.ts";
import { cacheFolder } from "../file/folder.ts";
import { hasLine, isWhole } from "./answers.ts";
import type { Name } from "./backend.ts";

/** Names of an address: function, file, line, innermost first. */
type Row = readonly (readonly [string, string, number])[];

/** The form of the files. Others are not read. */
const FORM = "heaptap names 2";
/** A file is started anew when it holds more. */
const MOST_ADDRESSES = 200_000;

/** What names are of. */
export interface CacheKey {
  /** Which module: its build id, or what else tells it from others. */
  readonly module: string;
  /** What tells the file that knew the names from another, or from an earlier state of it; undefined when it is gone. */
  readonly source: string | undefined;
  /** What tells the tools from others. */
  readonly tools: string;
  /** Whether whole answers of other tools will do, where these were not asked yet. */
  readonly orOthers: boolean;
}

function digest(text: string): string {
  return nodeCrypto().createHash("sha256").update(text).digest("hex").slice(0, 24);
}

/** The folder of the files; undefined when it cannot even be told where that is. */
export function namesFolder(): string | undefined {
  try {
    return join(cacheFolder(), "names");
  } catch {
    return undefined; // Deno without --allow-env
  }
}

/** Bytes that the files take, and how many there are. */
export function namesSize(): { readonly bytes: number; readonly files: number } {
  const folder = namesFolder();
  let [bytes, files] = [0, 0];
  try {
    for (const entry of readdirSync(folder ?? "", { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      bytes += statSync(join(entry.parentPath, entry.name)).size;
      files++;
    }
  } catch {
    // None yet, or one that went away.
  }
  return { bytes, files };
}

function isRow(value: unknown): value is Row {
  return Array.isArray(value) && value.length > 0 &&
    value.every((name) =>
      Array.isArray(name) && typeof name[0] === "string" && typeof name[1] === "string" && typeof name[2] === "number"
    );
}

/** The names in a file; none when it is not there, or not of this form. */
function readNames(path: string): Map<string, Row> {
  try {
    const { form, names } = JSON.parse(readFileSync(path, "utf8"));
    const rows = Object.entries(names as object).filter((entry): entry is [string, Row] => isRow(entry[1]));
    if (form === FORM && rows.length <= MOST_ADDRESSES) return new Map(rows);
  } catch {
    // Names are looked up again.
  }
  return new Map();
}

function unpack(row: Row): Name[] {
  return row.map(([fn, file, line], i) => ({ function: fn, file, line, inlined: i < row.length - 1 }));
}

/** Whether one answer is no better than another. */
function isPoorer(names: readonly Name[], than: readonly Name[]): boolean {
  if (hasLine(names) !== hasLine(than)) return hasLine(than);
  return names.length < than.length || (isWhole(than) && !isWhole(names));
}

/** The names of one module that are kept. */
export class NameCache {
  /** Where what is new goes; "" for nowhere. */
  readonly #path: string = "";
  readonly #rows = new Map<string, Row>();
  readonly #changed = new Map<string, readonly Name[]>();
  /** What was new and has been written. */
  readonly #written = new Map<string, Name[]>();

  constructor({ module, source, tools, orOthers }: CacheKey) {
    const folder = namesFolder() && join(namesFolder() ?? "", digest(module));
    if (!folder) return;
    const [of, by] = [source === undefined ? "" : digest(source), `-${digest(tools)}.json`];
    const own = `${of}${by}`;
    if (source !== undefined) {
      this.#path = join(folder, own);
      this.#rows = readNames(this.#path);
    }
    let files: string[] = [];
    try {
      files = readdirSync(folder).filter((name) => name !== own && name.startsWith(of));
    } catch {
      // None yet.
    }
    // Of a file that is gone all will do that was ever known of it.
    for (const name of files.filter((name) => orOthers ? name.endsWith(".json") : name.endsWith(by))) {
      for (const [address, row] of readNames(join(folder, name))) {
        const before = this.#rows.get(address);
        const isBetter = before === undefined
          ? source === undefined || isWhole(unpack(row))
          : isPoorer(unpack(before), unpack(row));
        if (isBetter) this.#rows.set(address, row);
      }
    }
  }

  /** The names of an address; undefined when they have to be looked up. */
  get(address: number): Name[] | undefined {
    const key = address.toString(16);
    const row = this.#rows.get(key);
    return row ? unpack(row) : this.#written.get(key);
  }

  /** Keeps names; none are not worth keeping. */
  set(address: number, names: readonly Name[]): void {
    if (names.length > 0) this.#changed.set(address.toString(16), names);
  }

  /** Writes what is new. Of what another process wrote meanwhile nothing is lost, but for the blink of the writing itself. */
  write(): void {
    if (!this.#path || this.#changed.size === 0) return;
    const rows = readNames(this.#path);
    for (const [address, names] of this.#changed) {
      const before = rows.get(address);
      if (before && isPoorer(names, unpack(before))) continue;
      rows.set(address, names.map((n) => [n.function, n.file, n.line] as const));
    }
    const kept = rows.size > MOST_ADDRESSES ? [...rows].slice(-this.#changed.size) : rows;
    try {
      makeFolder(join(this.#path, ".."), 0o700);
      const text = JSON.stringify({ form: FORM, names: Object.fromEntries(kept) });
      writeWhole(this.#path, (fd) => writeFileSync(fd, text), { mode: 0o600, isOurs: true });
    } catch {
      // A cache that cannot be written costs the next report some time, nothing else.
    }
    for (const [address, names] of this.#changed) this.#written.set(address, [...names]);
    this.#changed.clear();
  }
}
