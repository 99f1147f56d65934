/** The libraries that the dynamic linker loads with a program, as far as the program's files say. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { realPath } from "../file/paths.ts";
import { isLoader } from "../profile/launchers.ts";
import { contentsOf, readElf, zeroTerminated } from "../symbols/elf.ts";
import type { Elf } from "../symbols/elf.ts";

const DT_NEEDED = 1;
const DT_RPATH = 15;
const DT_RUNPATH = 29;

/** A library that a program is loaded with. */
export interface LoadedLibrary {
  readonly path: string;
  readonly elf: Elf;
}

/** The texts of the dynamic section's entries of a kind. */
function dynamicTexts(elf: Elf): (tag: number) => string[] {
  const [dynamic] = contentsOf(elf, ".dynamic");
  const [strings] = contentsOf(elf, ".dynstr");
  const entries: [tag: number, value: number][] = [];
  for (let at = 0; dynamic && at + 16 <= dynamic.byteLength; at += 16) {
    entries.push([dynamic.getUint32(at, true), dynamic.getUint32(at + 8, true)]);
  }
  return (tag) => entries.filter(([t]) => t === tag).map(([, value]) => strings ? zeroTerminated(strings, value) : "");
}

const CACHE_MAGIC = "glibc-ld.so.cache1.1";
/** What `ldconfig` marks libraries of x86-64 with. */
const X86_64_LIBC6 = 0x0303;

/** What `ldconfig` found: paths of libraries by their names. */
function readCache(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let file;
  try {
    file = readFileSync("/etc/ld.so.cache");
  } catch {
    return found;
  }
  const start = file.indexOf(CACHE_MAGIC);
  if (start < 0) return found;
  const view = new DataView(file.buffer, file.byteOffset + start, file.length - start);
  const count = view.byteLength >= 48 ? view.getUint32(20, true) : 0;
  for (let i = 0, at = 48; i < count && at + 24 <= view.byteLength; i++, at += 24) {
    if ((view.getUint32(at, true) & 0xffff) !== X86_64_LIBC6) continue;
    const name = zeroTerminated(view, view.getUint32(at + 4, true));
    if (!found.has(name)) found.set(name, zeroTerminated(view, view.getUint32(at + 8, true)));
  }
  return found;
}

const DEFAULTS = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

function elfOf(path: string): Elf | undefined {
  try {
    const elf = readElf(path);
    return elf?.bits === 64 && elf.machine === 62 ? elf : undefined;
  } catch {
    return undefined;
  }
}

/** Functions that one C library alone has: glibc, musl (`ffi/real.c` goes by the same). */
const KNOWN_FUNCTION = ["gnu_get_libc_version", "__freadahead"];

/** Whether a program's C library is one that heaptap does not know, as its dynamic linker and libraries tell. */
export function hasForeignLibc(program: string, elf: Elf, searched: readonly string[]): boolean {
  if (elf.interpreter === undefined || isLoader(elf.interpreter)) return false;
  const files = [elf.interpreter, ...loadedLibraries(program, elf, searched).map(({ path }) => path)];
  return !files.some((file) => {
    const contents = existsSync(file) ? readFileSync(file) : "";
    return KNOWN_FUNCTION.some((name) => contents.includes(`\0${name}\0`));
  });
}

/** The libraries that a program names, those that they name, and so on; `searched` are folders of LD_LIBRARY_PATH. */
export function loadedLibraries(program: string, elf: Elf, searched: readonly string[]): LoadedLibrary[] {
  const cache = readCache();
  const found = new Map<string, LoadedLibrary>();
  const seen = new Set<string>();
  const waiting: LoadedLibrary[] = [{ path: program, elf }];
  // Grows while it is gone through: a library may name more.
  for (const { path, elf } of waiting) {
    const texts = dynamicTexts(elf);
    const origin = dirname(path);
    const folders = (tag: number) =>
      texts(tag).flatMap((list) => list.split(":")).map((folder) => folder.replace(/\$\{?ORIGIN\}?/g, origin));
    const runpath = folders(DT_RUNPATH);
    const places = [...runpath.length > 0 ? [] : folders(DT_RPATH), ...searched, ...runpath];
    for (const name of texts(DT_NEEDED)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const cached = cache.get(name);
      const candidates = name.includes("/") ? [name] : [
        ...places.map((folder) => join(folder || ".", name)),
        ...cached ? [cached] : [],
        ...DEFAULTS.map((f) => join(f, name)),
      ];
      for (const candidate of candidates) {
        const library = elfOf(candidate);
        if (!library) continue;
        const real = realPath(candidate);
        if (!found.has(real)) {
          const loaded = { path: real, elf: library };
          found.set(real, loaded);
          waiting.push(loaded);
        }
        break;
      }
    }
  }
  return [...found.values()];
}
