/**
 * Names of PLT entries, `f@plt`: small pieces of code through which an object calls what others define. They are in
 * no symbol table, so a symboliser takes them for the function before them. Only a signal handler's stack has them, as
 * what it has interrupted.
 */
import type { Frame, Module } from "../profile/profile.ts";
import type { Name } from "./backend.ts";
import { readElf } from "./elf.ts";
import { ElfFile, number, SECTION, text } from "./sections.ts";
import type { ElfSection } from "./sections.ts";

const ENDBR64 = 0xf30f1efa;
const [GLOB_DAT, JUMP_SLOT] = [6, 7];

/** Names of what is called through an object's PLT: by its slot of the global offset table, and by its number. */
class Called {
  readonly #bySlot = new Map<number, string>();
  readonly #byNumber: string[] = [];

  constructor(file: ElfFile) {
    for (const section of file.sections) this.#read(file, section);
  }

  #read(file: ElfFile, section: ElfSection): void {
    const symbols = file.sections[section.link];
    const strings = symbols && file.sections[symbols.link];
    if (section.type !== SECTION.relocations || symbols?.type !== SECTION.dynamicSymbols || !strings) return;
    const [relocations, entries, words] = [file.contents(section), file.contents(symbols), file.contents(strings)];
    for (let at = 0; at + 24 <= relocations.byteLength; at += 24) {
      const [type, symbol] = [relocations.getUint32(at + 8, true), relocations.getUint32(at + 12, true)];
      const isCall = (type === GLOB_DAT || type === JUMP_SLOT) && symbol > 0 && (symbol + 1) * 24 <= entries.byteLength;
      const name = isCall ? text(words, entries.getUint32(symbol * 24, true)) : "";
      if (name) this.#bySlot.set(number(relocations, at), name);
      if (section.name === ".rela.plt") this.#byNumber.push(name);
    }
  }

  /** The name of what an entry calls: `jmp *slot(%rip)`, or `push number` before the resolver is called. */
  nameOf(code: DataView, start: number, address: number): string {
    let at = start;
    if (code.getUint32(at) === ENDBR64) at += 4;
    if (code.getUint8(at) === 0xf2) at++; // bnd
    if (code.getUint16(at) === 0xff25) {
      return this.#bySlot.get(address + (at - start) + 6 + code.getInt32(at + 2, true)) ?? "";
    }
    return code.getUint8(at) === 0x68 ? this.#byNumber[code.getUint32(at + 1, true)] ?? "" : "";
  }
}

/**
 * Names of those frames of a module that are in PLT entries: `f@plt`, none for the entry that calls the resolver. Of
 * frames elsewhere, and where the module's file is not the one that was recorded, nothing is said.
 */
export function pltNames(module: Module, frames: readonly Frame[]): Map<Frame, Name[]> {
  const names = new Map<Frame, Name[]>();
  if (frames.length === 0 || !module.buildId || !module.path.startsWith("/")) return names;
  try {
    if (readElf(module.path)?.buildId !== module.buildId) return names;
    using file = ElfFile.open(module.path);
    if (!file) return names;
    const called = new Called(file);
    for (const frame of frames) {
      const at = frame.address - 1;
      const section = file.sections.find((s) =>
        /^\.plt(\.sec|\.got)?$/.test(s.name) && at >= s.address && at < s.address + s.size
      );
      if (!section) continue;
      const code = file.contents(section);
      const step = section.name === ".plt.got" && code.getUint32(0) !== ENDBR64 ? 8 : 16;
      const start = Math.floor((at - section.address) / step) * step;
      const name = called.nameOf(code, start, section.address + start);
      names.set(frame, name ? [{ function: `${name}@plt`, file: "", line: 0, inlined: false }] : []);
    }
  } catch {
    // The file is gone, cut short, or may not be read: whoever looks the other names up says so.
  }
  return names;
}
