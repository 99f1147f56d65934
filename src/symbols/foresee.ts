/** What names a program's functions will have in a report, told before it runs. */
import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { findTools } from "./backend.ts";
import { DebugFiles } from "./debug_files.ts";
import { debuginfodUrls } from "./debuginfod.ts";
import { debugCompression, readElf } from "./elf.ts";
import { PrivateFolder } from "./private_folder.ts";
import { debugPackages, remedy } from "./remedies.ts";
import { programRemedy } from "./runtimes.ts";

/** What a report will know of a module's functions. */
export interface ForeseenNames {
  /** Path of the program or library; "" for functions of scripts. */
  readonly module: string;
  /** `debug`: names, files and lines. `symtab`: names. `exports`: the names of what it exports. `scripts`: none as it is. */
  readonly has: "debug" | "symtab" | "exports" | "scripts";
  /** What gives it more; "" when that is all there is, or nothing is known that would. */
  readonly remedy: string;
}

/** Libraries that the dynamic linker would load. It is asked, and the program does not run. */
function libraries(program: string, linker: string): string[] {
  const env = { ...process.env, LD_PRELOAD: "" };
  const { stdout } = spawnSync(linker, ["--list", program], { encoding: "utf8", timeout: 5000, env });
  return [...(stdout ?? "").matchAll(/^\t(?:.* => )?(\/.*) \(0x[0-9a-f]+\)$/gm)].map(([, path = ""]) => path);
}

/** The name of a program's own file, behind links. */
function realName(path: string): string {
  try {
    return basename(realpathSync(path));
  } catch {
    return basename(path); // Deno says no path that is not UTF-8
  }
}

/** What names the functions of a program and of its libraries will have. */
export function foreseeNames(program: string): ForeseenNames[] {
  using own = new PrivateFolder();
  const files = new DebugFiles({ executable: program, since: undefined }, [], own);
  const read = (path: string) => {
    try {
      return readElf(own.plain(path));
    } catch {
      return undefined; // it may be executable and not readable
    }
  };
  const linker = read(program)?.interpreter;
  const paths = [program, ...linker === undefined ? [] : libraries(program, linker)];
  const found = [...new Set(paths)].flatMap((path) => {
    const buildId = read(path)?.buildId ?? "";
    const source = files.find({ path, buildId, base: 0, textStart: 0, textSize: 0, textOffset: 0 });
    return typeof source === "object" && "elf" in source
      ? [{ path, buildId, has: source.has, compression: debugCompression(source.elf) }]
      : [];
  });
  const packages = debugPackages(found.filter(({ has }) => has !== "debug").map(({ path }) => path));
  const means = {
    tools: findTools().map(({ command }) => command),
    debuginfod: debuginfodUrls().length > 0 ? "asked" as const : "unset" as const,
  };
  const scripts = programRemedy(realName(program), paths.map((path) => basename(path)));
  return [
    ...found.map((state) => ({ module: state.path, has: state.has, remedy: remedy(state, means, packages) })),
    ...scripts === undefined ? [] : [{ module: "", has: "scripts" as const, remedy: scripts }],
  ];
}

const KNOWS = {
  debug: "names, files and lines",
  symtab: "names of functions, no lines",
  exports: "names of what it exports, no lines",
  scripts: "",
} as const;

/**
 * The same in words, a line for each module that something is missing of, and one when nothing is.
 *
 * @example
 * ```ts
 * import { examine, namesText } from "./mod.ts";
 *
 * for (const line of namesText(examine("sort").program?.names ?? [])) console.log(line);
 * ```
 */
export function namesText(names: readonly ForeseenNames[]): string[] {
  const lines = names.filter(({ has, remedy }) => has !== "debug" || remedy !== "").map(({ module, has, remedy }) =>
    has === "scripts" ? remedy : `${basename(module)}: ${[KNOWS[has], remedy].filter((text) => text !== "").join(": ")}`
  );
  return lines.length > 0 || names.length === 0 ? lines : ["names, files and lines of all its functions are there"];
}
