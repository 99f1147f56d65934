/**
 * What can be seen of a program, told before it starts: whether it can be preloaded at all, and
 * whether it brings an allocator of its own.
 */
import { accessSync, closeSync, constants, openSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { findInPath } from "../native/build.ts";
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

/** What was found out about a program. */
export interface Program {
  /** Path of the file. */
  readonly path: string;
  /** The interpreter of a script, as far as it is known. */
  readonly interpreter: string | undefined;
  /** What will be missing from the recording, a line each. */
  readonly notes: readonly string[];
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

function locate(command: string, path: string | undefined, cwd: string): string {
  if (!command.includes("/")) {
    const found = findInPath(command, path);
    if (!found) throw new ProgramError(`Cannot run "${command}": it is not on the PATH`, 127);
    return found;
  }
  const file = command.startsWith("/") ? command : join(cwd, command);
  let stat;
  try {
    stat = statSync(file);
  } catch {
    throw new ProgramError(`Cannot run "${command}": there is no such file`, 127);
  }
  if (stat.isDirectory()) throw new ProgramError(`Cannot run "${command}": it is a folder`, 126);
  try {
    accessSync(file, constants.X_OK);
  } catch {
    throw new ProgramError(`Cannot run "${command}": it is not executable; try chmod +x`, 126);
  }
  return file;
}

/** The first line of a script, without "#!"; undefined when the file does not begin with that. */
function shebang(file: string): string | undefined {
  const fd = openSync(file, "r");
  try {
    const bytes = new Uint8Array(256);
    const text = new TextDecoder("latin1").decode(bytes.subarray(0, readSync(fd, bytes, 0, 256, 0)));
    return text.startsWith("#!") ? text.slice(2).split("\n")[0]?.trim() : undefined;
  } finally {
    closeSync(fd);
  }
}

const FAMILIES: readonly [family: string, symbol: RegExp][] = [
  ["jemalloc", /^(je_|_rjem_)?(je_malloc|mallocx|_rjem_malloc|je_mallocx|malloc_stats_print)$/],
  ["mimalloc", /^mi_(malloc|heap_malloc|free)$/],
  ["tcmalloc", /^(tc_malloc|tc_free|TCMallocInternalMalloc|MallocExtension_.*)$/],
];

/** The allocator that a program has linked in, judged by its symbols. */
function ownAllocator(file: string, elf: Elf): string | undefined {
  if (/^bunx?(-.*)?$/.test(basename(file))) return "mimalloc";
  const names = elf.symbols().map((s) => s.name);
  for (const [family, symbol] of FAMILIES) {
    if (names.some((name) => symbol.test(name))) return family;
  }
  return names.includes("malloc") && names.includes("free") ? "an allocator" : undefined;
}

function refuse(command: string, why: string): never {
  throw new ProgramError(`Cannot record "${command}": ${why}`, 2);
}

function inspectElf(command: string, file: string, elf: Elf): string[] {
  const isGo = elf.sections.includes(".gopclntab") || elf.sections.includes(".go.buildinfo");
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
  if (elf.interpreter.includes("ld-musl")) {
    refuse(command, "it runs on musl, which heaptap does not support yet; try a build for glibc");
  }
  const stat = statSync(file);
  const changesUser = (stat.mode & 0o4000) !== 0 && stat.uid !== process.getuid?.();
  const changesGroup = (stat.mode & 0o2000) !== 0 && stat.gid !== process.getgid?.();
  if (changesUser || changesGroup) {
    refuse(
      command,
      `it is ${
        changesUser ? "setuid" : "setgid"
      }, so the dynamic linker ignores preloaded libraries; run a copy without that bit, or as its owner`,
    );
  }
  if (isGo) return [`"${command}" is a Go program: only what its C code allocates is seen, not Go's own heap`];
  const own = ownAllocator(file, elf);
  return own
    ? [`"${command}" has ${own} linked in: only what its shared libraries allocate through malloc is seen`]
    : [];
}

/**
 * Finds a program and looks at it.
 *
 * @throws {ProgramError} when it is not there, cannot be executed, or cannot be recorded.
 */
export function inspectProgram(
  command: string,
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): Program {
  let path = locate(command, env.PATH, cwd);
  const first = path;
  let interpreter: string | undefined;
  // A script's interpreter may be a script; the kernel follows four.
  for (let i = 0; i < 4; i++) {
    let elf: Elf | undefined;
    try {
      elf = readElf(path);
      if (elf) {
        const notes = inspectElf(interpreter ?? command, path, elf);
        if (/^python\d/.test(basename(realpathSync(path))) && !env.PYTHONMALLOC) {
          notes.push(
            `"${command}" serves small requests by an allocator of its own: set PYTHONMALLOC=malloc to see them`,
          );
        }
        return { path: first, interpreter, notes };
      }
    } catch (error) {
      if (error instanceof ProgramError) throw error;
      // It may be executable and not readable; then nothing can be told in advance.
      return { path: first, interpreter, notes: [`"${command}" cannot be read: nothing can be said of it in advance`] };
    }
    const line = shebang(path);
    if (line === undefined) refuse(command, "it is neither an ELF program nor a script that begins with #!");
    const words = line.split(/\s+/);
    const name = basename(words[0] ?? "") === "env"
      ? words.slice(1).find((w) => !w.startsWith("-") && !w.includes("="))
      : words[0];
    if (!name) refuse(command, "its first line names no interpreter");
    interpreter = name;
    try {
      path = locate(name, env.PATH, cwd);
    } catch (error) {
      if (!(error instanceof ProgramError)) throw error;
      throw new ProgramError(`Cannot run "${command}": its first line names "${name}". ${error.message}`, error.status);
    }
  }
  refuse(command, "its interpreter is a script of a script of a script");
}
