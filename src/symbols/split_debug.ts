/** Debug information that was left in other files when a program was linked (`-gsplit-dwarf`). */
import { statSync } from "node:fs";
import type { Elf } from "./elf.ts";

/** The attributes that name such a file: of version 5, and of GNU's before it. */
const NAMES_FILE = new Set([0x76, 0x2130]);
/** The form that has a value in the abbreviation itself. */
const IMPLICIT_CONST = 0x21;

/**
 * Where the rest of a file's debug information is: `whole` when there is no rest, `package` when all of it is in the one
 * file beside it, else `pieces`, of which any may be missing today and be there tomorrow.
 */
export function splitDebug(elf: Elf): "whole" | "package" | "pieces" {
  if (!elf.sections.some((name) => /^\.z?debug_addr$/.test(name))) return "whole";
  const view = elf.content(elf.layout.find(({ name }) => /^\.z?debug_abbrev$/.test(name)));
  if (view && !namesOtherFiles(view)) return "whole";
  return statSync(`${elf.path}.dwp`, { throwIfNoEntry: false }) ? "package" : "pieces";
}

function namesOtherFiles(abbreviations: DataView): boolean {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; at < abbreviations.byteLength; shift += 7) {
      const byte = abbreviations.getUint8(at++);
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
    return value;
  };
  while (at < abbreviations.byteLength) {
    // A code of 0 ends a table; another may follow.
    if (number() === 0) continue;
    number(); // tag
    at++; // whether it has children
    while (at < abbreviations.byteLength) {
      const [attribute, form] = [number(), number()];
      if (attribute === 0 && form === 0) break;
      if (form === IMPLICIT_CONST) number();
      if (NAMES_FILE.has(attribute)) return true;
    }
  }
  return false;
}
