/**
 * Allocators that are linked into a program or a library and will not be seen, for who asks before the program runs. The
 * library counts those whose functions it finds by name (ffi/linked.c), and notes the others in the recording by itself.
 */
import { Buffer } from "node:buffer";
import { basename } from "node:path";
import { contentsOf, readElf } from "../symbols/elf.ts";
import type { Elf } from "../symbols/elf.ts";
import { isGoProgram } from "./recordable.ts";

/** Functions that an allocator has under these names alone, and texts that it prints itself. */
const FAMILIES: readonly [family: string, functions: RegExp, texts: RegExp][] = [
  ["jemalloc", /^\w*d?allocx$/, /<jemalloc>: /],
  ["mimalloc", /^mi_free$/, /mimalloc: (?:error|warning): \0/],
  [
    "tcmalloc",
    /^(tc_free|TCMallocInternalMalloc)$/,
    /tcmalloc: (?:allocation failed|large alloc )|N8tcmalloc17tcmalloc_internal/,
  ],
];

/** The ends of all those names, to look at few of a large program's. */
const MARKS = /allocx\0|malloc\0|free\0|(?:PyMem|TCMallocInternal)_?Malloc\0|sn_rust_alloc\0|_Znwm\0/g;

/** Those that print nothing that tells. */
const SILENT: readonly [family: string, functions: RegExp][] = [
  ["rpmalloc", /^rp(?:malloc|free)$/],
  ["snmalloc", /^sn_(?:rust_alloc|malloc)$/],
];

/** One expression for all: constants of large programs are gone through once. */
const TEXTS = new RegExp(FAMILIES.map(([, , text]) => text.source).join("|"));

/** Bytes as text, a character each: expressions search that many times as fast as the runtimes search bytes. */
function textOf(view: DataView | undefined): string {
  return view ? Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("latin1") : "";
}

/** The names of a table that end in a mark, by their places. One may stand there as the end of another. */
function markedNames(strings: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const { 0: mark, index } of strings.matchAll(MARKS)) {
    const end = index + mark.length - 1;
    for (let start = index; start >= 0 && index - start < 64; start--) {
      found.set(start, strings.slice(start, end));
      if (strings[start - 1] === "\0") break;
    }
  }
  return found;
}

/** Functions that a file defines, in one table, of those whose names end in a mark. */
function defined(elf: Elf, table: string, strings: string): string[] {
  const names = markedNames(textOf(contentsOf(elf, strings)[0]));
  const [symbols] = contentsOf(elf, table);
  if (names.size === 0 || !symbols) return [];
  const found: string[] = [];
  for (let i = 0; i + 24 <= symbols.byteLength; i += 24) {
    const name = names.get(symbols.getUint32(i, true));
    const kind = symbols.getUint8(i + 4) & 15;
    if (name !== undefined && symbols.getUint16(i + 6, true) !== 0 && (kind === 2 || kind === 10)) found.push(name);
  }
  return found;
}

/** What names say of a file: the allocator that it has, none, or undefined where its texts may tell. */
function namedAllocator(names: readonly string[]): string | undefined {
  // CPython has mimalloc since 3.13, and uses it when it is told to.
  if (names.includes("PyMem_Malloc")) return "";
  const [family] = [...FAMILIES, ...SILENT].find(([, functions]) => names.some((name) => functions.test(name))) ?? [];
  return family ?? (names.includes("malloc") ? "malloc" : names.includes("_Znwm") ? "operator new" : undefined);
}

/** The allocator that a file has linked in and no names of: the library leads to its hooks what it knows by name. */
function namelessAllocator(elf: Elf): string | undefined {
  const names = [...defined(elf, ".dynsym", ".dynstr"), ...defined(elf, ".symtab", ".strtab")];
  return namedAllocator(names) === undefined ? printed(elf) : undefined;
}

/** An allocator that is linked into something that a process has loaded. */
export interface Linked {
  readonly family: string;
  /** Whether its functions have names, by which they can be led to the hooks. */
  readonly isNamed: boolean;
  /** Path of the object, as the process has it. */
  readonly path: string;
}

/** Functions by which other libraries' allocators are found, however late: what exports one is led to the hooks by that. */
const EXPORTED = /^(malloc|free|mallocx|tc_malloc|mi_malloc)$/;
/** How a library asks the kernel for memory: one that does not is no allocator. */
const ASKS = /\0(mmap|mmap64|sbrk)\0/;

/** Whether a file has names of functions that it does not export. */
function hasLocalNames(elf: Elf): boolean {
  const [symbols] = contentsOf(elf, ".symtab");
  for (let i = 0; symbols && i + 24 <= symbols.byteLength; i += 24) {
    if (symbols.getUint8(i + 4) === 2 && symbols.getUint16(i + 6, true) !== 0) return true;
  }
  return false;
}

/** The allocator that a loaded object has linked in, whose own code calls it without a symbol; a program's may be exported. */
function allocatorIn(elf: Elf, isProgram: boolean): Omit<Linked, "path"> | undefined {
  if (!isProgram && !ASKS.test(textOf(contentsOf(elf, ".dynstr")[0]))) return undefined;
  const exported = defined(elf, ".dynsym", ".dynstr");
  if (!isProgram && exported.some((name) => EXPORTED.test(name))) return undefined;
  const named = namedAllocator([...exported, ...defined(elf, ".symtab", ".strtab")]);
  // Where functions that nobody else sees have names, too, they would have told.
  const family = named ?? (hasLocalNames(elf) ? undefined : printed(elf));
  return family ? { family, isNamed: named !== undefined } : undefined;
}

/**
 * Allocators that are linked into what a process has loaded: their code may be running, and is led to the hooks from outside, or not at all.
 *
 * @param objects Paths of its program, which comes first, and its libraries, as it has them.
 * @param fileOf Where such a file is to be read.
 */
export function linkedWhereItRuns(objects: readonly string[], fileOf: (path: string) => string): Linked[] {
  return objects.flatMap((path, i) => {
    let elf: Elf | undefined;
    try {
      elf = readElf(fileOf(path));
    } catch {
      // It was taken away since it was loaded, or is no file, or another user's.
    }
    const found = elf && !isGoProgram(elf) && allocatorIn(elf, i === 0);
    return found ? [{ ...found, path }] : [];
  });
}

/** What will not be seen of a program, as far as can be told before it runs: by its file, which comes first, and its libraries'. */
export function linkedNotes(command: string, files: readonly string[]): string[] {
  return files.flatMap((path, i) => {
    const elf = readElf(path);
    const family = elf && !isGoProgram(elf) && namelessAllocator(elf);
    if (!family) return [];
    const who = i === 0 ? `"${command}"` : `"${basename(path)}", which "${command}" loads,`;
    return [`${who} has ${family} linked in, and its names were stripped: what it hands out is not seen`];
  });
}

/** The allocator whose texts a file has among its constants. */
function printed(elf: Elf): string | undefined {
  for (const section of contentsOf(elf, ".rodata")) {
    const text = TEXTS.exec(textOf(section))?.[0];
    if (text !== undefined) return FAMILIES.find(([, , texts]) => texts.test(text))?.[0];
  }
  return undefined;
}
