/**
 * The benchmark of scoped profilers, on Deno and on Bun: install, spans, and what an allocation through
 * FFI costs with the hooks put in, beside none and preloaded ones. Prints a table of
 * docs/PERFORMANCE.md. `--rounds N` (7).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { conditions } from "./options.ts";
import { libraryPath } from "./support.ts";

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "7" } } });
const ROUNDS = Number(options.rounds);
const HERE = import.meta.dirname ?? "";
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));
const blocks = join(work, "blocks.so");
const built = spawnSync("cc", [
  ..."-O1 -g -fno-builtin -shared -fPIC -o".split(" "),
  blocks,
  join(HERE, "../tests/targets/blocks.c"),
  "-lpthread",
], { encoding: "utf8" });
if (built.status !== 0) throw new Error(built.stderr);

const bin = (name: string) => join(HERE, "../node_modules/.bin", name);
const RUNTIMES: readonly [string, string[]][] = [["Deno", [bin("deno"), "run", "-A"]], ["Bun", [bin("bun")]]];
const WAYS = ["plain", "preload", "install"] as const;
type Figures = Record<string, number>;

function run(runtime: readonly string[], way: typeof WAYS[number]): Figures {
  const [program = "", ...args] = runtime;
  const env = way === "preload" ? { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(work, "out.%p.heaptap") } : {};
  // Preloaded, the script itself does not install: the hooks are there.
  const asked = way === "preload" ? "plain" : way;
  const result = spawnSync(program, [...args, join(HERE, "targets/scope.ts"), asked, blocks], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (result.status !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as Figures;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

console.log(`${conditions(ROUNDS)}\n`);
const columns = [
  "runtime",
  "install ms",
  "thread span ns",
  "process span ns",
  "with 8 threads",
  "after 1,024 ended",
  "pair ns",
  "preloaded adds ns",
  "installed adds ns",
];
console.log(`| ${columns.join(" | ")} |\n| --- |${" ---: |".repeat(columns.length - 1)}`);
for (const [name, runtime] of RUNTIMES) {
  const runs = new Map<string, Figures[]>(WAYS.map((way) => [way, []]));
  for (let round = 0; round < ROUNDS; round++) for (const way of WAYS) runs.get(way)?.push(run(runtime, way));
  const figures = (way: string, figure: string) => (runs.get(way) ?? []).map((f) => f[figure] ?? NaN);
  const plain = figures("plain", "pair");
  const adds = (way: string) => median(figures(way, "pair").map((ns, i) => ns - (plain[i] ?? NaN)));
  const cells = [
    median(figures("install", "installed")),
    ...["thread", "process", "process8", "ended"].map((figure) => median(figures("install", figure))),
    median(plain),
    adds("preload"),
    adds("install"),
  ];
  console.log(`| ${[name, ...cells.map((n) => n.toFixed(1))].join(" | ")} |`);
}

const many = join(work, "many.so");
const source = join(HERE, "../tests/targets/manypaths.c");
spawnSync("cc", [..."-O1 -g -fno-builtin -shared -fPIC -o".split(" "), many, source]);
const shown = ["mark", "callSites", "backtraceReport"].flatMap((name) => [name, `${name} stalls`]);
for (const [when, before] of [["the first time", "first "], ["again", ""]]) {
  console.log(`\n131,072 call paths, ${when}, milliseconds:\n`);
  console.log(`| runtime | ${shown.join(" | ")} |\n| --- |${" ---: |".repeat(shown.length)}`);
  for (const [name, [program = "", ...args]] of RUNTIMES) {
    const runs = Array.from({ length: ROUNDS }, () => {
      const result = spawnSync(program, [...args, join(HERE, "targets/reports.ts"), many], { encoding: "utf8" });
      if (result.status !== 0) throw new Error(result.stderr);
      return JSON.parse(result.stdout) as Figures;
    });
    const cells = shown.map((figure) => median(runs.map((run) => run[before + figure] ?? NaN)).toFixed(1));
    console.log(`| ${[name, ...cells].join(" | ")} |`);
  }
}
rmSync(work, { recursive: true, force: true });
