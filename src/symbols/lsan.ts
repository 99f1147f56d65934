/**
 * The suppressions that a program carries for LeakSanitizer: what its function `__lsan_default_suppressions` returns.
 * The function is not run but read: it must be nothing but the return of a constant text.
 */
import { Buffer } from "node:buffer";
import type { Profile } from "../profile/profile.ts";
import { ElfFile, number, SECTION, text } from "./sections.ts";
import { parseSuppressions } from "./suppressions.ts";
import type { Suppression } from "./suppressions.ts";
import { readElf } from "./elf.ts";

const NAME = "__lsan_default_suppressions";
/** The longest text that is read. */
const MOST_TEXT = 1 << 16;

/** Where the function lies; undefined when the file defines none. */
function functionAddress(file: ElfFile): number | undefined {
  for (const section of file.sections) {
    const strings = file.sections[section.link];
    if ((section.type !== SECTION.symbols && section.type !== SECTION.dynamicSymbols) || !strings) continue;
    const words = file.contents(strings);
    // Most programs have no such name, and some have a million others.
    const at = Buffer.from(words.buffer, words.byteOffset, words.byteLength).indexOf(`\0${NAME}\0`, 0, "latin1") + 1;
    if (at === 0) continue;
    const symbols = file.contents(section);
    for (let i = 0; i + 24 <= symbols.byteLength; i += 24) {
      const isFunction = (symbols.getUint8(i + 4) & 15) === 2 && symbols.getUint16(i + 6, true) !== 0;
      if (symbols.getUint32(i, true) === at && isFunction) return number(symbols, i + 8);
    }
  }
  return undefined;
}

/** The address that a function at an address returns, when that is a constant and all that it does. */
function returnedConstant(code: DataView, address: number): number | undefined {
  let at = 0;
  const skip = (...bytes: number[]) => {
    const same = at + bytes.length <= code.byteLength && bytes.every((byte, i) => code.getUint8(at + i) === byte);
    if (same) at += bytes.length;
    return same;
  };
  const value = (from: () => number, length: number) => {
    const value = at + length <= code.byteLength ? from() : NaN;
    at += length;
    return value;
  };
  skip(0xf3, 0x0f, 0x1e, 0xfa); // endbr64
  const framed = skip(0x55, 0x48, 0x89, 0xe5); // push %rbp; mov %rsp,%rbp
  const found = skip(0x48, 0x8d, 0x05) // lea constant(%rip),%rax
    ? value(() => address + at + 4 + code.getInt32(at, true), 4)
    : skip(0xb8) // mov $constant,%eax
    ? value(() => code.getUint32(at, true), 4)
    : NaN;
  if (framed && !skip(0x5d)) return undefined; // pop %rbp
  return skip(0xc3) && !Number.isNaN(found) ? found : undefined; // ret
}

/** The text that the program's function returns; undefined when it has none, or one that cannot be read. */
export function suppressionsOfFile(path: string): string | undefined {
  using file = ElfFile.open(path);
  if (!file) return undefined;
  try {
    const address = functionAddress(file);
    const returned = address === undefined ? undefined : returnedConstant(file.loaded(address, 32), address);
    const bytes = returned === undefined ? undefined : file.loaded(returned, MOST_TEXT);
    if (!bytes || !new Uint8Array(bytes.buffer).includes(0)) return undefined;
    return text(bytes, 0);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // a file that is cut short
    throw error;
  }
}

/**
 * The suppressions that a recorded program carries in its file; none when the file is not the one that was recorded,
 * or when what it says is no list of suppressions.
 *
 * @example
 * ```ts
 * import { programSuppressions, Recording } from "./mod.ts";
 *
 * const known = programSuppressions(Recording.open("sort.heaptap").profile());
 * console.log(known.map(({ text }) => text)); // [] for most programs
 * ```
 */
export function programSuppressions({ process, modules }: Profile): Suppression[] {
  const path = process.executable;
  const recorded = modules.find((module) => module.path === path);
  try {
    if (!path.startsWith("/") || !recorded?.buildId || readElf(path)?.buildId !== recorded.buildId) return [];
    return parseSuppressions(suppressionsOfFile(path) ?? "");
  } catch {
    return []; // the file is gone, or its text is none of suppressions
  }
}
