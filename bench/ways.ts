/** Ways to run a program: plain, recorded, and under others' profilers; timed in interleaved rounds. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { libraryPath } from "./support.ts";

/** A folder that goes away with the process. */
export const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** The recording that a run makes. */
export const OUT = join(work, "out.heaptap");

/** One way: what the command is started with, and in which environment. */
export interface Way {
  readonly name: string;
  readonly before?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const PRELOADED = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: OUT };
const heaptap = (name: string, env: Record<string, string> = {}): Way => ({ name, env: { ...PRELOADED, ...env } });

export const PLAIN: Way = { name: "plain" };
export const PATHS: Way = heaptap("paths");
export const COUNTERS: Way = heaptap("counters", { HEAPTAP_MODE: "counters" });
export const LIFETIMES: Way = heaptap("lifetimes", { HEAPTAP_LIFETIMES: "on" });
export const SAMPLED: Way = heaptap("sampled", { HEAPTAP_SAMPLE: "512KiB" });
export const TOTALS: Way = heaptap("totals", { HEAPTAP_MODE: "totals" });
/** A program that `--only` does not name: the library is there, and returns at once. */
export const LEFT_OUT: Way = heaptap("left out", { HEAPTAP_ONLY: "^no such program$" });

const has = (command: string) => spawnSync(command, ["--version"]).status === 0;
const library = (name: string) => `/usr/lib/x86_64-linux-gnu/${name}`;

/** Those of others' that are installed. */
export const HEAPTRACK: readonly Way[] = has("heaptrack")
  ? [
    { name: "heaptrack", before: ["heaptrack", "-o", join(work, "ht")] },
    { name: "heaptrack -r", before: ["heaptrack", "-r", "-o", join(work, "ht")] },
  ]
  : [];
export const DHAT: readonly Way[] = has("valgrind")
  ? [{ name: "DHAT", before: ["valgrind", "--tool=dhat", "-q", "--dhat-out-file=/dev/null"] }]
  : [];
/** With an allocator of their own, each by itself and as a profiler; jemalloc samples every 512 KiB, gperftools records every block. */
export const ALLOCATORS: readonly Way[] = [
  ["jemalloc", "libjemalloc.so.2", { MALLOC_CONF: `prof:true,prof_prefix:${join(work, "je")}` }],
  ["gperftools", "libtcmalloc.so.4", { HEAPPROFILE: join(work, "gp"), HEAP_PROFILE_ALLOCATION_INTERVAL: "0" }],
].flatMap(([name, file, env]) => {
  const LD_PRELOAD = library(file as string);
  return existsSync(LD_PRELOAD)
    ? [{ name: `${name} plain`, env: { LD_PRELOAD } }, {
      name: `${name} profiled`,
      env: { LD_PRELOAD, ...env as Record<string, string> },
    }]
    : [];
});

/** A run: how long it took by the clock, and in processor time; what it printed. */
export interface Run {
  readonly seconds: number;
  readonly processor: number;
  readonly stdout: string;
}

/** Removes what runs have left. */
export function clean(): void {
  for (const name of readdirSync(work)) if (/^(out|ht|je|gp)/.test(name)) rmSync(join(work, name));
}

let timed: string | undefined;

/** Runs a command once. */
export function run(way: Way, command: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  clean();
  const [program = "", ...args] = [...way.before ?? [], ...command];
  timed ??= build("timed.c");
  const took = join(work, "took");
  // The one who times it is not recorded: `env` sets what is.
  const variables = Object.entries({ ...env, ...way.env }).map(([name, value]) => `${name}=${value}`);
  const begun = performance.now();
  const result = spawnSync(timed, [took, "env", ...variables, program, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) {
    const what = `${program} ${args.join(" ")} ended with ${result.status ?? result.signal}`;
    // Others' profilers end some programs: that is no figure.
    if (!way.before) throw new Error(what);
    console.error(what);
    return { seconds: NaN, processor: NaN, stdout: "" };
  }
  const seconds = (performance.now() - begun) / 1000;
  return { seconds, processor: Number(readFileSync(took, "utf8")), stdout: result.stdout };
}

/** Runs each way once a round, one after the other, after a round that does not count; what each run gave. */
export function interleave(
  rounds: number,
  ways: readonly Way[],
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Map<Way, Run[]> {
  const runs = new Map<Way, Run[]>(ways.map((way) => [way, []]));
  for (const way of ways) run(way, command, env);
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) runs.get(way)?.push(run(way, command, env));
  }
  return runs;
}

/** Compiles a target; the program's path. */
export function build(source: string, ...flags: string[]): string {
  const out = join(mkdtempSync(join(work, "built-")), source.replace(/\.\w+$/, ""));
  const compiler = source.endsWith(".cc") ? "c++" : "cc";
  const target = join(import.meta.dirname ?? "", "targets", source);
  const built = spawnSync(compiler, ["-O2", "-fno-builtin", "-o", out, target, ...flags, "-lpthread"], {
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(built.stderr);
  return out;
}

/** The middle one. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** A row of a table. */
export function row(...cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** The first lines of a table: what columns are, the first to the left. */
export function head(...cells: readonly string[]): void {
  row(...cells);
  row("---", ...cells.slice(1).map(() => "---:"));
}
