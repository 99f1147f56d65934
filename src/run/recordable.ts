/** Whether a library can be preloaded into a program at all, told by its file. */
import { statSync } from "node:fs";
import process from "node:process";
import { hasCapabilities } from "../native/capabilities.ts";
import { isLoader } from "../profile/launchers.ts";
import { readElf } from "../symbols/elf.ts";
import type { Elf } from "../symbols/elf.ts";

/**
 * A program that cannot be run or recorded. `status` is the exit status a shell would give, or 2.
 *
 * @example
 * ```ts
 * import { inspectProgram, ProgramError } from "./mod.ts";
 *
 * console.log(inspectProgram("sort").path);
 * try {
 *   inspectProgram("no-such-program");
 * } catch (error) {
 *   if (!(error instanceof ProgramError)) throw error;
 *   console.log(error.status, error.message); // 127
 * }
 * ```
 */
export class ProgramError extends Error {
  /** The class's name. */
  override name = "ProgramError";
  /** 127 not found, 126 cannot be executed, 2 cannot be recorded. */
  readonly status: number;

  /** A message for the user and the exit status to end with. */
  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const X86_64 = 62;
const MACHINES: Readonly<Record<number, string>> = {
  3: "32-bit x86",
  40: "32-bit ARM",
  183: "AArch64",
  243: "RISC-V",
  21: "POWER",
  22: "S/390",
};

/** Ends with why a program cannot be recorded. */
export function refuse(command: string, why: string): never {
  throw new ProgramError(`Cannot record "${command}": ${why}`, 2);
}

/** Refuses a file that no library can be preloaded into. */
export function checkElf(command: string, elf: Elf): void {
  const isGo = isGoProgram(elf);
  if (elf.machine !== X86_64 || elf.bits !== 64) {
    const machine = elf.machine === X86_64 ? "x32" : MACHINES[elf.machine] ?? `ELF machine ${elf.machine}`;
    refuse(command, `it is built for ${machine}, and heaptap preloads into x86-64 programs; run it on its own machine`);
  }
  if (!elf.interpreter && isGo) {
    refuse(command, "it is a static Go program, whose allocations never reach malloc; try Go's own runtime/pprof");
  }
  if (!elf.interpreter) {
    const kind = elf.dynamic ? "static-pie" : "statically linked";
    refuse(
      command,
      `it is ${kind}, so no library can be preloaded into it; link it dynamically, or try valgrind --tool=dhat`,
    );
  }
}

/** Whether a program is written in Go, whose heap is its own. */
export function isGoProgram({ sections }: Elf): boolean {
  return sections.includes(".gopclntab") || sections.includes(".go.buildinfo");
}

/** Refuses a file that the kernel gives more rights than who starts it has: the dynamic linker then preloads nothing. */
export function checkRights(command: string, file: string): void {
  const stat = statSync(file);
  const changesUser = (stat.mode & 0o4000) !== 0 && stat.uid !== process.getuid?.();
  const changesGroup = (stat.mode & 0o2000) !== 0 && stat.gid !== process.getgid?.();
  const [what, remedy] = changesUser || changesGroup
    ? [`is ${changesUser ? "setuid" : "setgid"}`, "run a copy without that bit, or as its owner"]
    : hasCapabilities(file)
    ? ["has file capabilities (setcap)", "run a copy, which has none, or as root"]
    : [];
  if (what) refuse(command, `it ${what}, so the dynamic linker ignores preloaded libraries; ${remedy}`);
}

/** Why a program that runs cannot have the library in it; undefined when it can, or nothing can be told. */
export function whyNotRecordable(file: string): string | undefined {
  try {
    const elf = readElf(file);
    if (!elf || isLoader(file)) return undefined;
    checkElf(file, elf);
    checkRights(file, file);
    return undefined;
  } catch (error) {
    return error instanceof ProgramError ? error.message.replace(/^Cannot record ".*?": /s, "") : undefined;
  }
}
