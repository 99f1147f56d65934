/** What heaptap has to work with here, and what it will see of a program. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { realPath, workingFolder } from "../file/paths.ts";
import { cacheFolder } from "../file/folder.ts";
import { findCompiler, findInPath, libraryPath } from "../native/build.ts";
import { findSymboliser } from "../symbols/backend.ts";
import { debuginfodUrls } from "../symbols/debuginfod.ts";
import { foreseeNames } from "../symbols/foresee.ts";
import type { ForeseenNames } from "../symbols/foresee.ts";
import { namesFolder, namesSize } from "../symbols/name_cache.ts";
import { attachable } from "./attachable.ts";
import { poolNotes } from "./interpreters.ts";
import { linkedNotes } from "./linked.ts";
import { limits } from "./no_recording.ts";
import { inspectProgram } from "./program.ts";
import { refuse } from "./recordable.ts";
import { checkVariables } from "../native/variables.ts";

/** The findings of {@linkcode examine}. */
export interface Diagnosis {
  /** Path of the compiled library, or why there is none. */
  readonly library: string;
  /** Path of the C compiler, or null. */
  readonly compiler: string | null;
  /** Path of the symboliser, or null when only symbol tables are used. */
  readonly symboliser: string | null;
  /** Servers that are asked for debug files. */
  readonly debuginfod: readonly string[];
  /** Runtime and version, for example `deno 2.9.5`. */
  readonly runtime: string;
  /** Folder of the compiled library and of looked-up names. */
  readonly cache: string;
  /** What looked-up names take there. */
  readonly names: { readonly folder: string; readonly files: number; readonly bytes: number };
  /** Kernel release. */
  readonly kernel: string;
  /** Limits that bear on recordings, as the shell has them. */
  readonly limits: Readonly<Record<string, string>>;
  /** What can be seen of the program that was asked about. */
  readonly program: {
    readonly path: string;
    readonly recordable: boolean;
    readonly notes: readonly string[];
    /** What names its functions, and those of its libraries, will have. */
    readonly names: readonly ForeseenNames[];
  } | null;
  /** What stands in the way, a line each; empty when recording works. */
  readonly problems: readonly string[];
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function runtime(): string {
  const versions: Record<string, string | undefined> = process.versions;
  for (const name of ["deno", "bun"]) {
    if (versions[name]) return `${name} ${versions[name]}`;
  }
  return `node ${versions.node}`;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What can be seen of a process that runs, by attaching to it. */
function lookAtProcess(pid: number, command: string, problems: string[]): Diagnosis["program"] {
  try {
    const { notes } = attachable(pid);
    const path = realPath(`/proc/${pid}/exe`);
    return { path, recordable: true, notes, names: foreseeNames(path) };
  } catch (error) {
    problems.push(message(error));
    return { path: command, recordable: false, notes: [message(error)], names: [] };
  }
}

/**
 * Examines this machine and, when one is named, a program, or a process by its number; of the dynamic linker the arguments name it. Compiles the library when it has to.
 *
 * @example
 * ```ts
 * import { examine } from "./mod.ts";
 *
 * const { compiler, symboliser, runtime } = examine();
 * console.log(compiler, symboliser, runtime);
 * ```
 */
export function examine(command?: string, args: readonly string[] = []): Diagnosis {
  const problems = checkVariables(process.env);
  let library = "";
  try {
    library = libraryPath();
  } catch (error) {
    library = message(error);
    problems.push(library);
  }
  let program: Diagnosis["program"] = null;
  const pid = command !== undefined && /^\d+$/.test(command) && !findInPath(command) ? Number(command) : undefined;
  if (command !== undefined && pid !== undefined) {
    program = lookAtProcess(pid, command, problems);
  } else if (command !== undefined) {
    try {
      const found = inspectProgram(command, process.env, workingFolder(), args);
      const { path, file, interpreter, unrecorded } = found;
      const files = file === undefined ? [] : [file, ...found.libraries()];
      if (unrecorded !== undefined) refuse(command, unrecorded);
      const notes = [...found.notes, ...linkedNotes(command, files), ...poolNotes(command, file ?? "", process.env)];
      const names = foreseeNames(interpreter === undefined ? path : inspectProgram(interpreter).path);
      program = { path, recordable: true, notes, names };
    } catch (error) {
      program = { path: command, recordable: false, notes: [message(error)], names: [] };
      problems.push(message(error));
    }
  }
  return {
    library,
    compiler: findCompiler() ?? null,
    symboliser: findSymboliser() ?? null,
    debuginfod: debuginfodUrls(),
    runtime: runtime(),
    cache: cacheFolder(),
    names: { folder: namesFolder() ?? "", ...namesSize() },
    kernel: read("/proc/sys/kernel/osrelease"),
    limits: limits(),
    program,
    problems,
  };
}
