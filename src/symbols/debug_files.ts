/**
 * Where the names of a module are: in its own file, or in a separate one with its debug information, which
 * distributions keep by build id (`.build-id/ab/cdef.debug`) or under the name that the module's
 * `.gnu_debuglink` gives.
 */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { Module } from "../profile/profile.ts";
import { readElf } from "./elf.ts";
import type { Elf } from "./elf.ts";

/** Where debug files are when nobody says. */
const SYSTEM = "/usr/lib/debug";

/** A file that knows a module's names. */
export interface NameSource {
  readonly path: string;
  /** What it has: debug information, a symbol table, or neither but for what is exported. */
  readonly has: "debug" | "symtab" | "exports";
}

/** Reads a file that may not be there or be none. */
function elfAt(path: string): Elf | undefined {
  try {
    return readElf(path);
  } catch {
    return undefined;
  }
}

/** What an ELF file knows of names. */
function namesIn(elf: Elf): NameSource["has"] {
  if (elf.sections.some((name) => /^\.z?debug_info$/.test(name))) return "debug";
  return elf.sections.includes(".symtab") ? "symtab" : "exports";
}

/** The files that may be a module's debug file, the likeliest first. */
function* candidates(module: Module, link: string | undefined, folders: readonly string[]): Generator<string> {
  const { path, buildId } = module;
  const here = dirname(path);
  for (const folder of folders) {
    if (buildId.length > 2) yield join(folder, ".build-id", buildId.slice(0, 2), `${buildId.slice(2)}.debug`);
  }
  if (link !== undefined) yield* [join(here, link), join(here, ".debug", link)];
  for (const folder of folders) {
    if (link !== undefined) yield* [join(folder, here, link), join(folder, link)];
    // A copy of the module itself, or what most debug files are called.
    yield* [path, `${path}.debug`, basename(path), `${basename(path)}.debug`].map((name) => join(folder, name));
  }
}

/**
 * The file to ask for a module's names: the one of that build that knows most, the module itself or a separate
 * debug file. `folders` are searched before the system's. Undefined when none is of the recorded build; throws what
 * the file system throws when the module cannot be read and no debug file is there.
 */
export function findNames(module: Module, folders: readonly string[]): NameSource | undefined {
  let elf: Elf | undefined;
  let trouble: unknown;
  try {
    elf = readElf(module.path);
  } catch (error) {
    trouble = error;
  }
  const own = elf?.buildId === module.buildId ? elf : undefined;
  let best: NameSource | undefined = own && { path: module.path, has: namesIn(own) };
  const link = own?.debugLink;
  for (const path of candidates(module, link?.name, [...folders, SYSTEM])) {
    if (best?.has === "debug") break;
    const found = path === module.path ? undefined : elfAt(path);
    const has = found ? namesIn(found) : "exports";
    if (!found || has === "exports" || has === best?.has) continue;
    const isRight = module.buildId && found.buildId
      ? found.buildId === module.buildId
      : link !== undefined && crc32(readFileSync(path)) === link.crc;
    if (isRight) best = { path, has };
  }
  if (!best && trouble) throw trouble;
  return best;
}
