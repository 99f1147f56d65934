/**
 * Allocators that are linked into a program or a library: what they hand out never passes the C library's malloc, so it
 * is not seen. Told by their functions' names, and where those are stripped by texts of theirs among the constants.
 */
import { Buffer } from "node:buffer";
import { contentsOf } from "../symbols/elf.ts";
import type { Elf } from "../symbols/elf.ts";

/** Functions that an allocator has under these names alone, and texts that it prints itself. */
const FAMILIES: readonly [family: string, functions: RegExp, texts: RegExp][] = [
  ["jemalloc", /^(\w*je_|_rjem_)?mallocx$|^\w*je_malloc$|^_rjem_malloc$/, /<jemalloc>: /],
  ["mimalloc", /^_?mi_(heap_)?malloc$/, /mimalloc: (?:error|warning): \0/],
  [
    "tcmalloc",
    /^(tc_malloc|TCMallocInternalMalloc)$/,
    /tcmalloc: (?:allocation failed|large alloc )|N8tcmalloc17tcmalloc_internal/,
  ],
];

/** The ends of all those names, to look at few of a large program's. */
const MARKS = /mallocx?\0|(?:PyMem|TCMallocInternal)_?Malloc\0/g;

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

/** What a file has of an allocator. */
export interface Linked {
  /** The allocator that it has linked in, "an allocator" when its name is not known; undefined when there is no sign of one. */
  readonly family: string | undefined;
  /** Whether it gives others its malloc. Hooks stand before that of a library, and see all; not before a program's. */
  readonly provides: boolean;
}

/** Looks for an allocator in a file. */
export function linkedAllocator(elf: Elf): Linked {
  const exported = defined(elf, ".dynsym", ".dynstr");
  const all = [...exported, ...defined(elf, ".symtab", ".strtab")];
  const provides = exported.includes("malloc");
  // CPython has mimalloc since 3.13, and uses it when it is told to.
  if (all.includes("PyMem_Malloc")) return { family: undefined, provides };
  const named = FAMILIES.find(([, functions]) => all.some((name) => functions.test(name)));
  const own = all.includes("malloc") ? "an allocator" : undefined;
  return { family: named?.[0] ?? printed(elf) ?? own, provides };
}

/** The allocator whose texts a file has among its constants. */
function printed(elf: Elf): string | undefined {
  for (const section of contentsOf(elf, ".rodata")) {
    const text = TEXTS.exec(textOf(section))?.[0];
    if (text !== undefined) return FAMILIES.find(([, , texts]) => texts.test(text))?.[0];
  }
  return undefined;
}
