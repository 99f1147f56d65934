/** What the tests share: a folder of their own, targets compiled once, the command line as a user starts it. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after } from "node:test";
import { findInPath } from "../src/native/build.ts";

export const ROOT: string = join(import.meta.dirname ?? "", "../");

/** A folder that goes away when the test file has run. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "heaptap-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Compiles a target of tests/targets into a folder and returns the program's path. TARGET_CC: with another C compiler, as musl-gcc. */
export function target(folder: string, source: string, ...flags: string[]): string {
  return targetBy(process.env.TARGET_CC ?? "cc", folder, source, ...flags);
}

/** The same with a C compiler of one's choice. */
export function targetBy(cc: string, folder: string, source: string, ...flags: string[]): string {
  const out = join(folder, source.replace(/\.\w+$/, ""));
  if (existsSync(out)) return out;
  const compiler = source.endsWith(".cc") ? "c++" : cc;
  const args = ["-g", "-O1", "-fno-builtin", ...flags, join(ROOT, "tests/targets", source), "-o", out, "-lpthread"];
  const built = spawnSync(compiler, args, { encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return out;
}

/** Compiles the library that targets load and unload (plugin.c): its function makes a malloc(size) and frees it. */
export function plugin(folder: string, name: string, size: number): string {
  const out = join(folder, `${name}.so`);
  if (existsSync(out)) return out;
  const flags = ["-shared", "-fPIC", "-g", "-O1", "-fno-builtin", `-DNAME=${name}`, `-DSIZE=${size}`];
  const built = spawnSync("cc", [...flags, "-o", out, join(ROOT, "tests/targets/plugin.c")], { encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return out;
}

/** The runtime under test. */
export const RUNTIME = "Deno" in globalThis ? "Deno" : "Bun" in globalThis ? "Bun" : "Node";
/** How it runs a script that may do everything. */
export const SCRIPT: readonly string[] = RUNTIME === "Deno"
  ? ["run", "-A"]
  : RUNTIME === "Node"
  ? ["--experimental-ffi", "--disable-warning=ExperimentalWarning"]
  : [];
/** How the command line of the runtime under test is started. */
export const CLI: readonly string[] = [process.execPath, ...SCRIPT, join(ROOT, "cli.ts")];

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `heaptap` with arguments. */
export function heaptap(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Outcome {
  const [command = "", ...rest] = CLI;
  const result = spawnSync(command, [...rest, ...args], {
    encoding: "utf8",
    cwd: options.cwd ?? ROOT,
    input: options.input ?? "",
    env: { ...process.env, NO_COLOR: "", ...options.env },
    maxBuffer: 1 << 28,
    timeout: 300_000,
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** The recordings in a folder. */
export function recordings(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".heaptap")).map((name) => join(folder, name));
}

/** Why a test is skipped when a tool is missing; false when it is there. */
export function without(tool: string): string | false {
  return findInPath(tool) ? false : `${tool} is not installed`;
}

/** The same of a tool that may be there and not run, as rustup's are without a toolchain. */
export function withoutWorking(tool: string): string | false {
  return without(tool) || (spawnSync(tool, ["--version"]).status === 0 ? false : `${tool} does not run here`);
}

/** A Python that writes perf maps, 3.12 or later; undefined when there is none. */
export function perfPython(): string | undefined {
  const versions = join(process.env.HOME ?? "", ".pyenv/versions");
  const pyenv = ["3.12.1", "3.13.0"].map((version) => join(versions, version, "bin/python3")).filter(existsSync);
  return ["python3", "python3.12", "python3.13", "/usr/bin/python3", ...pyenv].map((name) =>
    name.includes("/") ? name : findInPath(name)
  ).find((path) =>
    path && spawnSync(path, ["-X", "perf", "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]).status === 0
  );
}

/** A small generator of repeatable random numbers below n. */
export function random(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
  };
}
