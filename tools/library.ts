/**
 * Compiles what a package has, the same bytes on every machine: with Zig's C compiler at a pinned version, which comes from
 * Python's package index and is kept in the cache folder. The library links nothing of the C library, so that it runs with glibc from 2.17 on, and with musl.
 * library.ts FILE [late]
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { cacheFolder } from "../src/file/folder.ts";
import { FLAGS, LATE } from "../src/native/build.ts";
import type { LibraryKind } from "../src/native/build.ts";
import { run } from "./commands.ts";

const ROOT = join(import.meta.dirname ?? "", "../");
const ZIG = {
  version: "0.17.1",
  wheel: "ziglang-0.17.1-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl",
  sha256: "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
};

/** The compiler's folder, fetched on first use. */
function zig(): string {
  const folder = join(cacheFolder(), `zig-${ZIG.version}`);
  if (existsSync(folder)) return join(folder, "ziglang");
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), "zig-"));
  try {
    run("python3", ["-m", "pip", "download", "-q", "--no-deps", "-d", work, `ziglang==${ZIG.version}`], { cwd: ROOT });
    const wheel = join(work, ZIG.wheel);
    const found = createHash("sha256").update(readFileSync(wheel)).digest("hex");
    if (found !== ZIG.sha256) throw new Error(`ziglang ${ZIG.version} is not what was pinned: its sha256 is ${found}`);
    run("python3", ["-m", "zipfile", "-e", wheel, join(work, "zig")], { cwd: ROOT });
    chmodSync(join(work, "zig/ziglang/zig"), 0o755);
    renameSync(join(work, "zig"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(folder, "ziglang");
}

/** Marks the library as one whose constructors run first, which Zig's linker has no flag for: DF_1_INITFIRST in DT_FLAGS_1. */
function markFirst(path: string): void {
  const bytes = readFileSync(path);
  const [FLAGS_1, INITFIRST, DYNAMIC] = [0x6ffffffbn, 0x20n, 2];
  const headers = Number(bytes.readBigUInt64LE(32));
  for (let i = 0; i < bytes.readUInt16LE(56); i++) {
    const header = headers + i * bytes.readUInt16LE(54);
    if (bytes.readUInt32LE(header) !== DYNAMIC) continue;
    const [start, size] = [8, 32].map((at) => Number(bytes.readBigUInt64LE(header + at))) as [number, number];
    for (let at = start; at < start + size; at += 16) {
      if (bytes.readBigUInt64LE(at) !== FLAGS_1) continue;
      bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at + 8) | INITFIRST, at + 8);
      writeFileSync(path, bytes);
      return;
    }
  }
  throw new Error(`${path} has no DT_FLAGS_1`);
}

/** Runs the compiler, in a folder of its own. */
function compile(to: string, args: readonly string[], finish: (made: string) => void = () => {}): void {
  const cache = mkdtempSync(join(tmpdir(), "heaptap-zig-"));
  const made = join(cache, basename(to));
  try {
    run(join(zig(), "zig"), ["cc", ...args, "-g0", `-ffile-prefix-map=${ROOT}=`, "-o", made], {
      cwd: ROOT,
      env: { ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
    });
    finish(made);
    writeFileSync(to, readFileSync(made), { mode: 0o755 });
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** Compiles the library of a kind; without what only debuggers read. */
export function compileLibrary(to: string, kind: LibraryKind): void {
  const folder = zig();
  const headers = ["x86_64-linux-gnu", "x86-linux-gnu", "generic-glibc", "x86-linux-any", "any-linux-any"]
    .flatMap((name) => ["-isystem", join(folder, "lib/libc/include", name)]);
  const flags = [...FLAGS, ...kind === "late" ? [LATE] : []].filter((f) => f !== "-Wl,-z,initfirst" && f !== "-g1");
  compile(to, ["-target", "x86_64-linux-gnu.2.17", ...headers, ...flags, "ffi/all.c"], markFirst);
}

/** Compiles the program that attaches, with a C library of its own: it runs on any system. */
export function compileAttacher(to: string): void {
  compile(to, ["-target", "x86_64-linux-musl", "-static", "-s", "-O2", "-std=gnu11", "ffi/attach/attach.c"]);
}

if (import.meta.main) {
  const [to, kind = "early"] = process.argv.slice(2);
  if (to === undefined || (kind !== "early" && kind !== "late")) {
    console.error("library: name the file to write: deno run -A tools/library.ts libheaptap.so [late]");
    process.exit(2);
  }
  compileLibrary(to, kind);
}
