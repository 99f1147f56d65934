/**
 * What can be seen of a program, told before it starts: whether it can be preloaded at all, and
 * whether it brings an allocator of its own.
 */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import process from "node:process";
import { realPath, workingFolder } from "../file/paths.ts";
import { findInPath } from "../native/build.ts";
import { isLoader } from "../profile/launchers.ts";
import { readElf } from "../symbols/elf.ts";
import type { Elf } from "../symbols/elf.ts";
import { hasForeignLibc, loadedLibraries } from "./libraries.ts";
import { readLoaderCall } from "./loader.ts";
import { checkElf, checkRights, isGoProgram, ProgramError, refuse } from "./recordable.ts";

/** What was found out about a program. */
export interface Program {
  /** Path of the file. */
  readonly path: string;
  /** The interpreter of a script, as far as it is known. */
  readonly interpreter: string | undefined;
  /** What the file starts in its place, when it is the dynamic linker. */
  readonly started: string | undefined;
  /** Its file, or that of a script's interpreter; undefined where that cannot be read. */
  readonly file: string | undefined;
  /** The libraries that it is loaded with; none of a program that has its heap to itself. They are looked for when they are asked for. */
  readonly libraries: () => readonly string[];
  /** Why nothing of it can be recorded, although it runs; undefined where it can. */
  readonly unrecorded: string | undefined;
  /** What will be missing from the recording, a line each. */
  readonly notes: readonly string[];
}

/** The file of a program as a shell would find it. Throws when there is none that can be run. */
export function locate(command: string, path: string | undefined, cwd: string): string {
  if (!command.includes("/")) {
    const found = findInPath(command, path);
    if (!found) throw new ProgramError(`Cannot run "${command}": it is not on the PATH`, 127);
    return found;
  }
  // Not put right: a part of it that is not there is none for the kernel either.
  const file = command.startsWith("/") ? command : `${cwd}/${command}`;
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

/** What is known of a program's file. */
type Seen = Pick<Program, "file" | "libraries" | "unrecorded" | "notes">;

/** What will be missing of a program, and the files that it begins with. */
function missing(
  command: string,
  file: string,
  elf: Elf,
  searched: readonly string[],
): Seen {
  if (isGoProgram(elf)) {
    return {
      unrecorded: undefined,
      notes: [`"${command}" is a Go program: only what its C code allocates is seen, not Go's own heap`],
      file,
      libraries: () => [],
    };
  }
  return {
    unrecorded: hasForeignLibc(file, elf, searched) ? "its C library is neither glibc nor musl" : undefined,
    notes: [],
    file: realPath(file),
    libraries: () => loadedLibraries(file, elf, searched).map(({ path }) => path),
  };
}

/** What the dynamic linker starts, when a file is that; undefined when it is a program. */
function startedByLoader(
  command: string,
  file: string,
  elf: Elf,
  args: readonly string[],
  cwd: string,
): { readonly path: string; readonly folders: readonly string[] } | undefined {
  // Where it is a link, to musl's C library or glibc's linker of old, either name says so.
  if (elf.interpreter || !elf.dynamic || ![file, realPath(file)].some(isLoader)) return undefined;
  const { program, tells, folders } = readLoaderCall(args);
  if (tells) refuse(command, `with ${tells} it starts no program: there is nothing to record`);
  if (program === undefined) refuse(command, "it is the dynamic linker: name the program behind it");
  // Without a slash it looks in the folders of libraries.
  const places = program.includes("/") ? [""] : [...folders, "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
  const path = places.map((folder) => resolve(cwd, folder, program)).find((path) =>
    statSync(path, ONLY_LOOK)?.isFile()
  );
  if (!path) throw new ProgramError(`Cannot run "${program}": there is no such file`, 127);
  return { path, folders };
}

const ONLY_LOOK = { throwIfNoEntry: false } as const;

function inspectElf(
  command: string,
  file: string,
  elf: Elf,
  { args, cwd, searched }: Surroundings,
): Seen & Pick<Program, "started"> {
  const started = startedByLoader(command, file, elf, args, cwd);
  if (!started) {
    checkElf(command, elf);
    checkRights(command, file);
    return { started: undefined, ...missing(command, file, elf, searched) };
  }
  const { path, folders } = started;
  const inside = readElf(path);
  if (!inside) refuse(path, "it is no ELF program, and the dynamic linker starts no other");
  // The kernel gives rights to what it starts itself, which is the dynamic linker.
  checkElf(path, inside);
  return { started: path, ...missing(basename(path), path, inside, [...folders, ...searched]) };
}

/** What decides what a program becomes. */
interface Surroundings {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Folders of LD_LIBRARY_PATH. */
  readonly searched: readonly string[];
}

/**
 * Finds a program and looks at it.
 *
 * @param args Its arguments: of the dynamic linker they name the program.
 * @throws {ProgramError} when it is not there, cannot be executed, or cannot be recorded.
 */
export function inspectProgram(
  command: string,
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = workingFolder(),
  args: readonly string[] = [],
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
        const searched = (env.LD_LIBRARY_PATH ?? "").split(/[:;]/).filter(Boolean).map((folder) =>
          resolve(cwd, folder)
        );
        const seen = inspectElf(interpreter ?? command, path, elf, { args: interpreter ? [] : args, cwd, searched });
        return { path: first, interpreter, ...seen };
      }
    } catch (error) {
      if (error instanceof ProgramError) throw error;
      // It may be executable and not readable; then nothing can be told in advance.
      const notes = [`"${command}" cannot be read: nothing can be said of it in advance`];
      const nothing = { started: undefined, file: undefined, libraries: () => [], unrecorded: undefined };
      return { path: first, interpreter, ...nothing, notes };
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
