/**
 * The suppressions that a program carries for LeakSanitizer: what its function `__lsan_default_suppressions` returns.
 * The function is not run but read: it must be nothing but the return of a constant text.
 */
import { Buffer } from "node:buffer";
import type { Profile } from "../profile/profile.ts";
import { DYNSYM, readElf, SYMTAB, u64, zeroTerminated } from "./elf.ts";
import type { Elf } from "./elf.ts";
import { parseSuppressions } from "./suppressions.ts";
import type { Suppression } from "./suppressions.ts";

const NAME = "__lsan_default_suppressions";
/** The longest text that is read. */
const MOST_TEXT = 1 << 16;

/** Where the function lies; undefined when the file defines none. */
function functionAddress(elf: Elf): number | undefined {
  for (const section of elf.layout) {
    const words = section.type === SYMTAB || section.type === DYNSYM
      ? elf.content(elf.layout[section.link])
      : undefined;
    if (!words) continue;
    // Most programs have no such name, and some have a million others.
    const at = Buffer.from(words.buffer, words.byteOffset, words.byteLength).indexOf(`\0${NAME}\0`, 0, "latin1") + 1;
    if (at === 0) continue;
    const symbols = elf.content(section);
    for (let i = 0; symbols && i + 24 <= symbols.byteLength; i += 24) {
      const isFunction = (symbols.getUint8(i + 4) & 15) === 2 && symbols.getUint16(i + 6, true) !== 0;
      if (symbols.getUint32(i, true) === at && isFunction) return u64(symbols, i + 8);
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
export function suppressionsOf(elf: Elf): string | undefined {
  const address = functionAddress(elf);
  const returned = address === undefined ? undefined : returnedConstant(elf.loaded(address, 32), address);
  const bytes = returned === undefined ? undefined : elf.loaded(returned, MOST_TEXT);
  return bytes && new Uint8Array(bytes.buffer).includes(0) ? zeroTerminated(bytes, 0) : undefined;
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
    const elf = path.startsWith("/") && recorded?.buildId ? readElf(path) : undefined;
    return elf && elf.buildId === recorded?.buildId ? parseSuppressions(suppressionsOf(elf) ?? "") : [];
  } catch {
    return []; // the file is gone, or its text is none of suppressions
  }
}
