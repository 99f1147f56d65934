/**
 * Names of PLT entries, `f@plt`: small pieces of code through which an object calls what others define. They are in
 * no symbol table, so a symboliser takes them for the function before them. Only a signal handler's stack has them, as
 * what it has interrupted.
 */
import type { Frame, Module } from "../profile/profile.ts";
import type { Name } from "./backend.ts";
import { DYNSYM, readElf, RELA, u64, zeroTerminated } from "./elf.ts";
import type { Elf, Section } from "./elf.ts";

const ENDBR64 = 0xf30f1efa;
const [GLOB_DAT, JUMP_SLOT] = [6, 7];

/** Names of what is called through an object's PLT: by its slot of the global offset table, and by its number. */
class Called {
  readonly #bySlot = new Map<number, string>();
  readonly #byNumber: string[] = [];

  constructor(elf: Elf) {
    for (const section of elf.layout) this.#read(elf, section);
  }

  #read(elf: Elf, section: Section): void {
    const symbols = elf.layout[section.link];
    if (section.type !== RELA || symbols?.type !== DYNSYM) return;
    const [relocations, entries, words] = [section, symbols, elf.layout[symbols.link]].map((s) => elf.content(s));
    if (!relocations || !entries || !words) return;
    for (let at = 0; at + 24 <= relocations.byteLength; at += 24) {
      const [type, symbol] = [relocations.getUint32(at + 8, true), relocations.getUint32(at + 12, true)];
      const isCall = (type === GLOB_DAT || type === JUMP_SLOT) && symbol > 0 && (symbol + 1) * 24 <= entries.byteLength;
      const name = isCall ? zeroTerminated(words, entries.getUint32(symbol * 24, true)) : "";
      if (name) this.#bySlot.set(u64(relocations, at), name);
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
    const elf = readElf(module.path);
    if (elf?.buildId !== module.buildId) return names;
    const called = new Called(elf);
    const tables = elf.layout.filter(({ name }) => /^\.plt(\.sec|\.got)?$/.test(name))
      .map((section) => ({ section, code: elf.content(section) }));
    for (const frame of frames) {
      const at = frame.address - 1;
      const { section, code } = tables.find(({ section: s }) => at >= s.address && at < s.address + s.size) ?? {};
      if (!section || !code) continue;
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
