/**
 * Where the names of a module are: in its own file, or in a separate one with its debug information, which
 * distributions keep by build id (`.build-id/ab/cdef.debug`) or under the name that the module's
 * `.gnu_debuglink` gives.
 */
import { closeSync, openSync, readdirSync, readSync, statSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { zlib } from "../file/builtin.ts";
import { missingPermission } from "../native/build.ts";
import type { Module } from "../profile/profile.ts";
import { readElf } from "./elf.ts";
import type { Elf } from "./elf.ts";
import type { PrivateFolder } from "./private_folder.ts";

/** Where debug files are when nobody says. */
const SYSTEM = "/usr/lib/debug";

/** Files of a folder that are looked into for their build ids; one with more is no folder of debug files. */
const MOST_FILES = 2000;

const NOBITS = 8;

/** What a file has: debug information, a symbol table, or neither but for what is exported. */
export type Knows = "debug" | "symtab" | "exports";

const RANK = { exports: 0, symtab: 1, debug: 2 } as const;

/** A file that knows a module's names. */
export interface NameSource {
  /** Its path, as the user knows it. */
  readonly path: string;
  readonly has: Knows;
  /** The file, whose own path is one that tools can be told. */
  readonly elf: Elf;
  /** The module itself, when it is there. */
  readonly own: Elf | undefined;
}

/** Why there is no such file. */
export type NoSource = "missing" | "changed" | "newer" | "no file" | { readonly unreadable: string };

/** What an ELF file knows of names. */
export function namesIn(elf: Elf): Knows {
  const isThere = (pattern: RegExp) =>
    elf.layout.some(({ name, type, size }) => pattern.test(name) && type !== NOBITS && size > 0);
  return isThere(/^\.z?debug_info$/) ? "debug" : isThere(/^\.symtab$/) ? "symtab" : "exports";
}

/** The checksum that a debug link gives of a file. */
function checksum(path: string): number {
  const fd = openSync(path, "r");
  try {
    const block = new Uint8Array(1 << 20);
    let sum = 0;
    for (let n; (n = readSync(fd, block, 0, block.length, null)) > 0;) sum = zlib().crc32(block.subarray(0, n), sum);
    return sum;
  } finally {
    closeSync(fd);
  }
}

/** What a file in memory is called when it is gone: `/tmp/x (deleted)`, `/memfd:x (deleted)`. */
function named(path: string): string {
  return path.replace(/ \(deleted\)$/, "").replace(/^\/memfd:/, "");
}

/** What modules are of. */
export interface Recorded {
  /** Path of the program. */
  readonly executable: string;
  /** When the recording began, milliseconds since 1970; undefined where files may well be younger. */
  readonly since: number | undefined;
  /** Where its files are found, when it sees others than this process. */
  readonly root?: string | undefined;
}

/** Finds files for the modules of a program. */
export class DebugFiles {
  readonly #folders: readonly string[];
  readonly #private: PrivateFolder;
  readonly #recorded: Recorded;
  readonly #byId = new Map<string, ReadonlyMap<string, string>>();

  /** `folders` are searched before the system's. */
  constructor(recorded: Recorded, folders: readonly string[], own: PrivateFolder) {
    this.#recorded = recorded;
    this.#folders = folders;
    this.#private = own;
  }

  /**
   * The file to ask for a module's names: the one of that build that knows most, the module itself or a separate
   * debug file. Why not, when none is of the recorded build.
   */
  find(module: Module): NameSource | NoSource {
    const own = this.#own(module);
    const found = typeof own === "object" && "elf" in own ? own : undefined;
    const best = this.#separate(module, found) ?? found;
    return best ?? own as NoSource;
  }

  /** A debug file that came from elsewhere; undefined when it is not of that build, or has nothing. */
  fetched(module: Module, path: string, own: Elf | undefined): NameSource | undefined {
    const elf = this.#elfAt(path);
    return elf && elf.buildId === module.buildId && namesIn(elf) !== "exports"
      ? { path, has: namesIn(elf), elf, own }
      : undefined;
  }

  /** Reads a file that may not be there or be none. */
  #elfAt(path: string): Elf | undefined {
    try {
      return readElf(this.#private.plain(path));
    } catch {
      return undefined;
    }
  }

  #own(module: Module): NameSource | NoSource {
    const { path, buildId } = module;
    if (!path.includes("/")) return "no file"; // the kernel's own
    let trouble: unknown;
    let changed: NoSource | undefined;
    const { root } = this.#recorded;
    const paths = isAbsolute(path)
      ? [...root !== undefined ? inRoot(root, path) : [], path]
      : [resolve(dirname(this.#recorded.executable), path), ...here(path)];
    // What a file was called that is gone may be there again.
    if (path.endsWith(" (deleted)") && buildId) paths.push(named(path));
    for (const candidate of paths) {
      try {
        const elf = readElf(this.#private.plain(candidate, module.pathBytes));
        const why = elf ? this.#otherBuild(module, elf) : "changed";
        if (elf && !why) return { path: candidate, has: namesIn(elf), elf, own: elf };
        changed ??= why;
      } catch (error) {
        trouble ??= error;
      }
    }
    const unreadable = trouble === undefined ? undefined : missingPermission(trouble);
    return changed ?? (unreadable === undefined ? "missing" : { unreadable });
  }

  /** Why a file is not the module that was recorded; undefined when it is, as far as can be told. */
  #otherBuild(module: Module, elf: Elf): "changed" | "newer" | undefined {
    if (elf.buildId !== module.buildId) return "changed";
    if (module.buildId) return undefined;
    const { start, size, offset } = elf.text ?? { start: 0, size: 0, offset: 0 };
    const sameText = start === module.textStart && size === module.textSize && offset === module.textOffset;
    if (module.textSize > 0 && !sameText) return "changed";
    const { since } = this.#recorded;
    return since !== undefined && statSync(elf.path).mtimeMs > since ? "newer" : undefined;
  }

  #separate(module: Module, own: NameSource | undefined): NameSource | undefined {
    let best = own;
    if (best?.has === "debug") return best;
    const link = own?.elf.debugLink;
    for (const path of this.#candidates(module, own?.path ?? named(module.path), link?.name)) {
      const elf = path === module.path ? undefined : this.#elfAt(path);
      if (!elf || (best && RANK[namesIn(elf)] <= RANK[best.has])) continue;
      if (!this.#isRight(module, elf, link)) continue;
      best = { path, has: namesIn(elf), elf, own: own?.elf };
      if (best.has === "debug") return best;
    }
    return best?.has === "exports" ? this.#packed(best) ?? best : best;
  }

  #isRight(module: Module, elf: Elf, link: Elf["debugLink"]): boolean {
    if (module.buildId && elf.buildId) return elf.buildId === module.buildId;
    try {
      return link !== undefined && checksum(elf.path) === link.crc;
    } catch {
      return false; // it went away
    }
  }

  /** The symbol table that some distributions pack into the file itself. */
  #packed({ path, elf }: NameSource): NameSource | undefined {
    const packed = elf.content(elf.layout.find(({ name }) => name === ".gnu_debugdata"));
    if (!packed) return undefined;
    const input = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
    try {
      const { status, stdout } = spawnSync("xz", ["-dc"], { input, maxBuffer: 2 ** 28, timeout: 20_000 });
      if (status !== 0) return undefined;
      const place = this.#private.place("symbols");
      writeFileSync(place, stdout);
      const unpacked = readElf(place);
      return unpacked && { path, has: namesIn(unpacked), elf: unpacked, own: elf };
    } catch {
      return undefined; // no xz
    }
  }

  /** The files that may be a module's debug file, the likeliest first. */
  *#candidates({ buildId }: Module, place: string, link: string | undefined): Generator<string> {
    const { root } = this.#recorded;
    const path = root !== undefined && place.startsWith(`${root}/`) ? place.slice(root.length) : place;
    const folders = [...this.#folders, ...root !== undefined ? [join(root, SYSTEM)] : [], SYSTEM];
    const at = dirname(path);
    if (buildId.length > 2) {
      for (const folder of folders) {
        const byId = join(folder, ".build-id", buildId.slice(0, 2), buildId.slice(2));
        yield* [`${byId}.debug`, byId];
      }
    }
    if (link !== undefined) yield* [join(dirname(place), link), join(dirname(place), ".debug", link)];
    for (const folder of folders) {
      if (link !== undefined) yield* [join(folder, at, link), join(folder, link)];
      // A copy of the module itself, or what most debug files are called.
      yield* [path, `${path}.debug`, basename(path), `${basename(path)}.debug`].map((name) => join(folder, name));
    }
    for (const folder of buildId ? this.#folders : []) {
      const found = this.#ids(folder).get(buildId);
      if (found !== undefined) yield found;
    }
  }

  /** The files of a folder by build id, whatever they are called. */
  #ids(folder: string): ReadonlyMap<string, string> {
    let ids = this.#byId.get(folder);
    if (ids) return ids;
    const found = new Map<string, string>();
    let names: string[] = [];
    try {
      names = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isDirectory()).map((e) => e.name);
    } catch {
      // It went away.
    }
    for (const name of names.slice(0, MOST_FILES)) {
      const elf = this.#elfAt(join(folder, name));
      const before = elf?.buildId ? found.get(elf.buildId) : undefined;
      const known = before === undefined ? undefined : this.#elfAt(before);
      if (elf?.buildId && (!known || RANK[namesIn(elf)] > RANK[namesIn(known)])) {
        found.set(elf.buildId, join(folder, name));
      }
    }
    this.#byId.set(folder, ids = found);
    return ids;
  }
}

/** A file under the root of another process; nothing when that is none: whoever is there may have put anything in its place. */
function inRoot(root: string, path: string): string[] {
  const there = join(root, path);
  return statSync(there, { throwIfNoEntry: false })?.isFile() ? [there] : [];
}

/** A relative path as seen from the working folder; nothing when that has no name that can be told. */
function here(path: string): string[] {
  try {
    return [resolve(path)];
  } catch {
    return [];
  }
}
