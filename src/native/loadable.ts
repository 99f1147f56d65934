/**
 * Whether a compiled file can be loaded, told before the dynamic linker tries: of one that was cut off it maps what is not there, and the program
 * that it is loaded into ends by SIGBUS.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const ELF64_LITTLE = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const X86_64 = 62;
const HEADER_SIZE = 64;

/** Why a file cannot be loaded on x86-64; undefined when it can. Throws what the file system throws. */
export function whyNotLoadable(path: string): string | undefined {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const header = new DataView(new ArrayBuffer(HEADER_SIZE));
    const read = readSync(fd, header, 0, HEADER_SIZE, 0);
    if (read < HEADER_SIZE || ELF64_LITTLE.some((byte, at) => header.getUint8(at) !== byte)) {
      return "it is no 64-bit ELF file";
    }
    if (header.getUint16(18, true) !== X86_64) return "it is built for another machine than x86-64";
    // Linkers put the table of sections last.
    const end = Number(header.getBigUint64(40, true)) + header.getUint16(58, true) * header.getUint16(60, true);
    return end > size ? `it is cut off: ${size} of ${end} bytes are there` : undefined;
  } finally {
    closeSync(fd);
  }
}
