/** What to do about names and lines that are missing: which package has them, which server, which flag. */
import { spawnSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { findInPath } from "../native/build.ts";
import type { Knows, NoSource } from "./debug_files.ts";

/** What is known of a module's names. */
export interface ModuleState {
  /** Path of the module. */
  readonly path: string;
  /** Its build id, "" when it has none. */
  readonly buildId: string;
  /** What the file has that knows its names; or why there is no such file. */
  readonly has: Knows | NoSource;
  /** What compresses its debug information. */
  readonly compression?: "zlib" | "zstd" | undefined;
}

/** What there is to work with. */
export interface Means {
  /** The symbolisers, as commands. */
  readonly tools: readonly string[];
  /** Whether debuginfod servers are asked, are not to be asked, or none is named. */
  readonly debuginfod: "asked" | "refused" | "unset";
}

/** Milliseconds that the package manager has for its answer. */
const PATIENCE = 5000;

/** The public server of a distribution, by its name in os-release; elfutils' asks all of them. */
const SERVERS: Readonly<Record<string, string>> = {
  debian: "https://debuginfod.debian.net",
  ubuntu: "https://debuginfod.ubuntu.com",
  fedora: "https://debuginfod.fedoraproject.org",
  centos: "https://debuginfod.centos.org",
  arch: "https://debuginfod.archlinux.org",
  opensuse: "https://debuginfod.opensuse.org",
};

/** The debuginfod server of the distribution that runs here. */
export function distributionServer(osRelease = "/etc/os-release"): string {
  let text = "";
  try {
    text = readFileSync(osRelease, "utf8");
  } catch {
    // A system without one.
  }
  const ids = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, id = ""]) => id.split(/[\s-]/));
  return ids.map((id) => SERVERS[id]).find((url) => url !== undefined) ?? "https://debuginfod.elfutils.org";
}

function run(command: string, args: readonly string[]): string {
  try {
    return spawnSync(command, args, {
      encoding: "utf8",
      timeout: PATIENCE,
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
    })
      .stdout ?? "";
  } catch {
    return ""; // it may not be run
  }
}

/** Whether a file is where packages put theirs. */
function isSystem(path: string): boolean {
  return /^\/(usr|lib|lib64|bin|sbin|opt)\//.test(path) && !path.startsWith("/usr/local/");
}

/** Whether the system has a program. */
function has(command: string): boolean {
  try {
    return findInPath(command, "/usr/bin:/bin") !== undefined;
  } catch {
    return false; // it may not be looked for
  }
}

/** A path with the names that packages may know it by: before and after /lib and /bin became links into /usr. */
function spellings(path: string): string[] {
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // Not here any more; its package may be.
  }
  const names = new Set([path, real]);
  for (const name of [...names]) names.add(name.startsWith("/usr/") ? name.slice(4) : `/usr${name}`);
  return [...names];
}

/** What installs the debug information of files that a package brought, by path: `install libc6-dbg`. */
export function debugPackages(paths: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  // What lies in a home or a build folder is of no package, and the question is not free.
  const system = paths.filter(isSystem);
  if (system.length === 0) return found;
  if (has("dpkg")) {
    const owners = new Map<string, string>();
    // libc6:amd64, libc6:i386: /lib/x86_64-linux-gnu/libc.so.6
    for (const line of run("dpkg", ["-S", "--", ...system.flatMap(spellings)]).split("\n")) {
      const [, owner, file] = /^([^\s:,]+)(?::[^\s,]+)?(?:, [^:]*(?::[^\s,]+)?)*: (\/.*)$/.exec(line) ?? [];
      if (owner && file && !line.startsWith("diversion ")) owners.set(file, owner);
    }
    for (const path of system) {
      const owner = spellings(path).map((name) => owners.get(name)).find((name) => name !== undefined);
      // glibc's is an older kind of package, which every mirror has.
      if (owner) found.set(path, `install ${owner === "libc6" ? "libc6-dbg" : `${owner}-dbgsym`}`);
    }
  } else if (has("rpm")) {
    for (const path of system) {
      const [name] = run("rpm", ["-qf", "--qf", "%{NAME}\\n", "--", path]).split("\n");
      if (name && /^[\w.+-]+$/.test(name)) found.set(path, `run dnf debuginfo-install ${name}`);
    }
  } else if (has("apk")) {
    for (const path of system) {
      // /lib/ld-musl-x86_64.so.1 is owned by musl-1.2.5-r9
      const [, name] = /is owned by ([\w.+-]+)-[^-\s]+-r\d+$/m.exec(run("apk", ["info", "--who-owns", path])) ?? [];
      if (name) found.set(path, `run apk add ${name}-dbg, where Alpine has that`);
    }
  }
  return found;
}

const HOW: Readonly<Record<"missing" | "changed" | "newer", readonly [what: string, how: string]>> = {
  missing: [
    "is not on this machine",
    "name a folder with it or its debug file (--debug-dir), or run heaptap resolve where it is",
  ],
  changed: ["has changed since the recording", "record it anew, or name a folder with the old build (--debug-dir)"],
  newer: [
    "is newer than the recording and has no build id that would tell whether it is the same",
    "record it anew; linked with -Wl,--build-id it could be told",
  ],
};

/** Why a module has no names at all, in words; "" when it has a file that should know them. */
export function whyNameless({ path, has }: ModuleState): string {
  if (has === "missing" || has === "changed" || has === "newer") {
    const [what, how] = HOW[has];
    return `"${path}" ${what}, so its functions are shown as addresses: ${how}`;
  }
  if (typeof has === "object") return `Functions of "${path}" are shown as addresses: ${has.unreadable}`;
  return "";
}

/** What gives a module the names or lines that it lacks; "" when nothing is known that would. */
export function remedy(state: ModuleState, means: Means, packages: ReadonlyMap<string, string>): string {
  const { path, buildId, has } = state;
  if (typeof has === "object") return has.unreadable;
  if (has === "no file") return "";
  if (has === "missing" || has === "changed" || has === "newer") return HOW[has][1];
  if (has === "debug") {
    if (means.tools.length === 0) return "install llvm, elfutils or binutils, which read its debug information";
    return state.compression === "zstd"
      ? `its debug information is compressed with zstd, which ${
        means.tools.map((tool) => basename(tool)).join(" and ")
      } cannot read: install binutils 2.40, or llvm 16 or later`
      : "";
  }
  const install = packages.get(path) ??
    (/^\/(usr\/)?lib/.test(path) ? "install its package's debug information" : undefined);
  if (install) {
    const hasServer = buildId !== "" && means.debuginfod === "unset";
    return hasServer ? `${install}, or set DEBUGINFOD_URLS=${distributionServer()}` : install;
  }
  return has === "symtab"
    ? "compile it with -g"
    : "it is stripped: keep its symbols (no strip, no -s), or name the folder of its debug file (--debug-dir)";
}
