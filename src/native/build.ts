/**
 * Compiles the C library with the system's compiler on first use, into the user's cache folder, and
 * finds it there from then on. The key is a hash of the sources, the flags and the compiler, so a
 * changed source or an upgraded compiler makes a new one and nothing is ever overwritten. What was hashed is known
 * again by when the files changed.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import process from "node:process";
import { nodeCrypto } from "../file/builtin.ts";
import { cacheFolder, makeFolder } from "../file/folder.ts";
import { sharedFolder } from "../file/carried.ts";
import { ownFolder } from "../file/own_folder.ts";
import { mayTouch } from "./ffi.ts";
import { whyNotLoadable } from "./loadable.ts";
import { tooOld } from "./oldest.ts";
import { writeWhole } from "../file/whole_file.ts";

/**
 * The library cannot be had; the message says why and what to do.
 *
 * @example
 * ```ts
 * import { install, LibraryError } from "./mod.ts";
 *
 * try {
 *   install({ library: "/nowhere/libheaptap.so" });
 * } catch (error) {
 *   if (!(error instanceof LibraryError)) throw error;
 *   console.log(error.message); // and the script goes on without
 * }
 * ```
 */
export class LibraryError extends Error {
  /** The class's name. */
  override name = "LibraryError";
}

/** What Deno says when a permission is missing, in our words; undefined when that is not what went wrong. */
export function missingPermission(error: unknown): string | undefined {
  const { name, message } = error as Error;
  if (name !== "NotCapable" && name !== "PermissionDenied") return undefined;
  const [, what, flag] = /^Requires (.*), (?:run again with|specify) (?:the )?(--[\w-]+)/.exec(message) ?? [];
  if (!flag) return message;
  // Counters are read through pointers, for which Deno wants the permission without a list of libraries.
  return flag === "--allow-ffi"
    ? "Deno needs --allow-ffi (without a list of libraries)"
    : `Deno needs ${flag} (${what})`;
}

/**
 * - freestanding, without a C library: nothing in a hook can call back into the program
 * - general-regs-only: hooks leave vector registers alone
 * - Bsymbolic: our own names mean ours, whatever else is loaded
 * - nodelete: a thread may be inside a hook at any time
 * - initfirst: other libraries' constructors may allocate, and are to be seen
 */
export const FLAGS: readonly string[] = [
  ..."-std=gnu11 -O2 -g1 -fPIC -shared -nostdlib -ffreestanding -fno-stack-protector -fvisibility=hidden".split(" "),
  ..."-mgeneral-regs-only -fno-strict-aliasing -fasynchronous-unwind-tables -Wl,-Bsymbolic -Wl,-z,now -Wl,-z,nodelete -Wl,-z,initfirst"
    .split(" "),
  "-Wl,--build-id",
  "-Wl,-soname,libheaptap.so",
];

/** The flag of a library that is loaded by a dynamic linker which keeps no room for what comes later: musl's. */
export const LATE = "-DHT_LATE";

/** What is compiled of the sources; `variable` names one that was compiled elsewhere. */
interface Part {
  readonly what: string;
  readonly file: string;
  readonly variable: string;
  readonly source: string;
  readonly flags: readonly string[];
}

const LIBRARY: Part = {
  what: "the library",
  file: "libheaptap.so",
  variable: "HEAPTAP_LIBRARY",
  source: "all.c",
  flags: FLAGS,
};

/** The library for a process on musl that runs already. */
const LATE_LIBRARY: Part = {
  what: "the library for musl",
  file: "libheaptap-late.so",
  variable: "HEAPTAP_LATE_LIBRARY",
  source: LIBRARY.source,
  flags: [...FLAGS, LATE],
};

/** A program with a C library, which ends when it has attached. */
const ATTACHER: Part = {
  what: "the program that attaches",
  file: "heaptap-attach",
  variable: "HEAPTAP_ATTACHER",
  source: "attach/attach.c",
  flags: ["-std=gnu11", "-O2"],
};

/** Where an executable file named `name` is on the PATH. */
export function findInPath(name: string, path: string = process.env.PATH ?? ""): string | undefined {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder || ".", name);
    try {
      // Not accessSync, for which Deno wants to be allowed to ask for the user's number.
      const stat = statSync(candidate);
      if (stat.isFile() && (stat.mode & 0o111) !== 0) return candidate;
    } catch (error) {
      if (missingPermission(error)) throw error;
      // Not here; look on.
    }
  }
  return undefined;
}

/** The C compiler: `CC` when it is set, else cc, gcc or clang. */
export function findCompiler(): string | undefined {
  const names = process.env.CC ? [process.env.CC] : ["cc", "gcc", "clang"];
  for (const name of names) {
    const found = name.includes("/") ? (existsSync(name) ? name : undefined) : findInPath(name);
    if (found) return found;
  }
  return undefined;
}

/** The folder of the library's sources. */
function sources(): string {
  try {
    return join(sharedFolder("ffi") ?? ownFolder("ffi", [LIBRARY.source, ATTACHER.source, "include/heaptap.h"]), "/");
  } catch (cause) {
    throw new LibraryError(`${missingPermission(cause) ?? (cause as Error).message}`, { cause });
  }
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** A file's identity in place of its content, with nothing to read. Times of the content may be set back; that of the entry is the kernel's. */
function stampOf(file: string): string {
  const { size, ino, mtimeMs, ctimeMs } = statSync(file);
  return [file, size, ino, Math.floor(mtimeMs), Math.floor(ctimeMs)].join("\0");
}

function key(files: readonly string[], from: string, made: string): string {
  const hash = nodeCrypto().createHash("sha256");
  for (const file of files) hash.update(file.slice(from.length)).update("\0").update(readFileSync(file));
  return hash.update(made).digest("hex").slice(0, 24);
}

/**
 * The key, read and hashed anew only where a file has changed since: that takes longer than all else of a start. What is known is in the
 * cache folder, for the clone that was used last.
 */
function knownKey({ file, flags }: Part, compiler: string, from: string, folder: string): string {
  const files = sourceFiles(from);
  // The binary's identity in place of `cc --version`: as telling, and no process to start. Of a file that was copied it is the same.
  const real = realpathSync(compiler);
  const { size, mtimeMs } = statSync(real);
  const made = [...flags, real, size, Math.floor(mtimeMs), process.arch].join("\0");
  const stamp = [made, ...files.map(stampOf)].join("\n");
  const memory = join(folder, `${file}.sources`);
  try {
    const [known = "", ...of] = readFileSync(memory, "utf8").split("\n");
    if (of.join("\n") === stamp) return known;
  } catch {
    // There is none yet.
  }
  const found = key(files, from, made);
  try {
    // Whoever may not write there is not asked for it: Deno would, and wait.
    if (existsSync(folder) && mayTouch(folder, folder)) {
      writeWhole(memory, (fd) => writeFileSync(fd, `${found}\n${stamp}`), { isOurs: true });
    }
  } catch {
    // It is hashed again the next time.
  }
  return found;
}

function compile({ what, source, flags }: Part, compiler: string, from: string, folder: string, target: string): void {
  try {
    makeFolder(folder);
  } catch (cause) {
    const why = missingPermission(cause) ??
      `${(cause as Error).message}; set XDG_CACHE_HOME to one that can be written`;
    throw new LibraryError(`Cannot write the cache folder "${folder}": ${why}`, { cause });
  }
  // Made under a name of its own and moved: two first uses at once both get a whole file.
  const made = `${target}.${process.pid}.${Date.now()}`;
  // Seconds in which nothing else is to be seen.
  if (process.stderr.isTTY) {
    process.stderr.write(`heaptap: compiling ${what} with ${compiler}, once: it takes some seconds\n`);
  }
  const result = spawnSync(compiler, [...flags, "-o", made, join(from, source)], { encoding: "utf8" });
  if (result.status !== 0) {
    rmSync(made, { force: true });
    // Deno without --allow-run gives an empty result.
    const stderr = result.stderr ?? "Deno needs --allow-run for it";
    const said = result.error?.message ?? stderr.split("\n").find((line) => line.includes("error")) ?? stderr.trim();
    throw new LibraryError(`Cannot compile ${what} with "${compiler}": ${said || `exit status ${result.status}`}`);
  }
  renameSync(made, target);
}

/** Whether the dynamic linker cannot map code from a file, which it would tell the program's users; false when that cannot be told. */
function liesOnNoexec(path: string): boolean {
  let mounts: string;
  try {
    mounts = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return false;
  }
  const real = realpathSync(path);
  let [longest, noexec] = [0, false];
  for (const line of mounts.split("\n")) {
    const [, , , , escaped = "", options = ""] = line.split(" ");
    const point = escaped.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
    // Of several mounts in one place the last is on top.
    if (!point || point.length < longest || !`${real}/`.startsWith(point === "/" ? point : `${point}/`)) continue;
    [longest, noexec] = [point.length, options.split(",").includes("noexec")];
  }
  return noexec;
}

/** A compiled file that heaptap has not made just now. */
function usable(what: string, path: string): string {
  let why: string | undefined;
  try {
    why = whyNotLoadable(path);
  } catch (cause) {
    why = missingPermission(cause) ?? (cause as Error).message;
  }
  if (why) throw new LibraryError(`Cannot use ${what} "${path}": ${why}`);
  return path;
}

/** One that was compiled elsewhere and is named. */
function named({ what, variable }: Part): string | undefined {
  const path = process.env[variable];
  if (!path) return undefined;
  if (!existsSync(path)) throw new LibraryError(`Cannot find ${what} "${path}", which ${variable} names`);
  return usable(what, resolve(path));
}

/** The file of a package that says which compiled files belong to it: by platform and name the sha256 of their bytes. */
const HASHES = "library.json";

/**
 * What the package for this machine has; undefined where heaptap is no package, or that was not installed, or sources are to be
 * compiled (HEAPTAP_BUILD).
 */
function packaged({ what, file }: Part): string | undefined {
  if (process.env.HEAPTAP_BUILD || import.meta.dirname === undefined) return undefined;
  const platform = `linux-${process.arch}`;
  let path: string;
  let wanted: string | undefined;
  try {
    wanted = JSON.parse(readFileSync(join(import.meta.dirname, "../../", HASHES), "utf8"))[platform]?.[file];
    // Not by node:module, which takes Deno as long to load as all that is done here.
    path = decodeURIComponent(new URL(file, import.meta.resolve(`heaptap-${platform}/package.json`)).pathname);
  } catch {
    return undefined;
  }
  const remedy = `install heaptap-${platform} again, or have it compiled with HEAPTAP_BUILD=1`;
  let found: string;
  try {
    found = nodeCrypto().createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch (cause) {
    throw new LibraryError(`Cannot read ${what} "${path}": ${(cause as Error).message}; ${remedy}`, { cause });
  }
  if (found !== wanted) {
    throw new LibraryError(`Cannot use ${what} "${path}": it is damaged, or of another version; ${remedy}`);
  }
  return path;
}

/** What a program of one file has in it; undefined in other programs. */
function carriedByProgram({ what, file }: Part): string | undefined {
  try {
    const folder = process.env.HEAPTAP_BUILD ? undefined : sharedFolder("library");
    return folder && join(folder, file);
  } catch (cause) {
    throw new LibraryError(
      `Cannot write ${what} into the cache folder: ${
        (cause as Error).message
      }; set XDG_CACHE_HOME to one that can be written`,
      { cause },
    );
  }
}

function compiled(part: Part): string {
  const { what, file, source, variable } = part;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new LibraryError(`Cannot record on ${process.platform} ${process.arch}: heaptap works on Linux x86-64`);
  }
  const problem = tooOld(process.versions);
  if (problem) throw new LibraryError(`Cannot load ${what}: ${problem}`);
  const made = named(part) ?? carriedByProgram(part) ?? packaged(part);
  if (made) return made;
  const from = sources();
  if (!existsSync(join(from, source))) {
    const beside = join(dirname(process.execPath), file);
    if (existsSync(beside)) return usable(what, beside);
    const [remedy, option] = part === LIBRARY ? [`, which "heaptap lib" gives,`, ", install({ library })"] : ["", ""];
    throw new LibraryError(
      `Cannot compile ${what}: its sources are not at "${from}", as in a bundled script; put a compiled one${remedy} beside the program as ${file}, or name it: ${variable}${option}`,
    );
  }
  const compiler = findCompiler();
  if (!compiler) {
    const named = process.env.CC ? `"${process.env.CC}" (from CC) is not there` : "no cc, gcc or clang on the PATH";
    throw new LibraryError(
      `Cannot compile ${what}: ${named}; install a C compiler (Debian: apt install gcc libc6-dev, Fedora: dnf install gcc glibc-devel)`,
    );
  }
  const folder = cacheFolder();
  const [name, suffix = ""] = file.split(/(?=\.so$)/);
  const target = join(folder, `${name}-${knownKey(part, compiler, from, folder)}${suffix}`);
  // It is made whole; what became of it since nobody knows.
  if (!existsSync(target) || whyNotLoadable(target)) compile(part, compiler, from, folder, target);
  return target;
}

/**
 * Which of the two files of the library: `early` for a program that begins with it, and for whatever opens it on glibc; `late` for what opens it on
 * musl, which keeps no room for what comes later.
 *
 * @example
 * ```ts
 * import { libraryPath } from "./mod.ts";
 * import type { LibraryKind } from "./mod.ts";
 *
 * const kind: LibraryKind = "late";
 * console.log(libraryPath(kind)); // for dlopen in a process on musl
 * ```
 */
export type LibraryKind = "early" | "late";

/** Path of the compiled library; compiles it when the cache does not have it yet. Throws as {@linkcode libraryPath}. */
export function compiledLibrary(kind: LibraryKind = "early"): string {
  return compiled(kind === "late" ? LATE_LIBRARY : LIBRARY);
}

/** Path of the program that attaches; the same. */
export function attacherPath(): string {
  return compiled(ATTACHER);
}

/**
 * The folder of `heaptap.h`, by which a C or C++ program tells of its own pools, marks moments and pauses: for the compiler's `-I`.
 *
 * @example
 * ```ts
 * import { headerFolder } from "./mod.ts";
 *
 * console.log(`cc -I${headerFolder()} -c pool.c`);
 * ```
 */
export function headerFolder(): string {
  return join(sources(), "include");
}

/** Libraries of heaptap's that an environment has preloaded: this one's, or another version's. */
export function preloadedLibraries({ LD_PRELOAD = "" }: NodeJS.ProcessEnv): string[] {
  return LD_PRELOAD.split(/[\s:]+/).filter((path) => /^libheaptap(-[0-9a-f]+)?\.so$/.test(basename(path)));
}

/** Why the dynamic linker cannot preload from a path; "" when it can. */
function whyNotPreloaded(path: string): string {
  if (/[\s:]/.test(path)) return "the dynamic linker takes spaces and colons for separators";
  return liesOnNoexec(dirname(path)) ? "its file system is mounted noexec" : "";
}

/**
 * A folder of the user's own in a place for what is of the moment; undefined where one cannot be had, or others may write in it. They may
 * read: a program may go on as another user.
 */
function momentaryFolder(above: string | undefined): string | undefined {
  if (!above || !existsSync(above) || whyNotPreloaded(join(above, "x"))) return undefined;
  const uid = process.getuid?.() ?? 0;
  const folder = join(above, `heaptap-${uid}`);
  try {
    makeFolder(folder, 0o755);
    const { uid: owner, mode } = lstatSync(folder);
    return owner === uid && (mode & 0o170022) === 0o40000 ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** A copy in another place, under a name that says which it is; undefined where none can be had. */
function copied(path: string): string | undefined {
  const content = readFileSync(path);
  const name = `libheaptap-${nodeCrypto().createHash("sha256").update(content).digest("hex").slice(0, 24)}.so`;
  for (const above of [process.env.XDG_RUNTIME_DIR, "/dev/shm", tmpdir(), "/tmp"]) {
    const folder = momentaryFolder(above);
    if (!folder) continue;
    const target = join(folder, name);
    try {
      if (statSync(target, { throwIfNoEntry: false })?.size !== content.length) {
        writeWhole(target, (fd) => writeFileSync(fd, content), { mode: 0o755, isOurs: true });
      }
      return target;
    } catch {
      // The next place.
    }
  }
  return undefined;
}

/**
 * Path of the compiled library, to preload it; compiles it when the cache does not have it yet.
 *
 * @param kind `late` for what opens it by `dlopen` in a process on musl: there the other one, which is a little faster, can only be preloaded.
 * @throws {LibraryError} on a platform that is not supported, without a compiler, or when the cache
 * folder cannot be written, or nothing can be preloaded from it, nor from any place for files of the moment.
 *
 * @example
 * ```ts
 * import { libraryPath } from "./mod.ts";
 *
 * console.log(`LD_PRELOAD=${libraryPath()} HEAPTAP_OUT=app.%p.heaptap ./app`);
 * ```
 */
export function libraryPath(kind: LibraryKind = "early"): string {
  const path = compiledLibrary(kind);
  const why = whyNotPreloaded(path);
  if (!why) return path;
  const other = copied(path);
  if (!other) throw new LibraryError(`Cannot preload "${path}": ${why}; set XDG_CACHE_HOME to another folder`);
  return other;
}
