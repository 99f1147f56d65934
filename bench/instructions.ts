/**
 * Instructions that heaptap adds to a pair of malloc and free, by callgrind: a figure without noise. What a run of N pairs takes
 * is taken from one of 2 N, and the plain program's from that. Prints a table; `--functions` says which functions they are.
 * `--save` writes bench/instructions.json, `--check` fails when a figure is more than 3 % above what stands there.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { libraryPath } from "./support.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    save: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    functions: { type: "boolean", default: false },
  },
});
const HERE = import.meta.dirname ?? "";
const SAVED = join(HERE, "instructions.json");
/** What a figure may grow by before it is told. */
const GROWTH = 0.03;

/** A loop that is counted: `arguments` and the number of pairs go to the program. */
interface Loop {
  readonly name: string;
  readonly source: string;
  readonly arguments: readonly string[];
  readonly pairs: number;
  /** An allocator's library, where it is installed. */
  readonly preload?: string;
  /** One that is linked in. */
  readonly archive?: string;
}

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
const LOOPS: readonly Loop[] = [
  { name: "loop", source: "loop.c", arguments: ["1"], pairs: 20_000 },
  ...["w1", "w1one", "w2", "w4"].map((what) => ({
    name: what,
    source: "mixed.c",
    arguments: [what],
    pairs: what === "w1one" ? 20_000 : 40_000,
  })),
  // A program that grows: each fall after a rise is a new peak. A pair is a key with its value, some seven blocks.
  { name: "growing map", source: "strings.cc", arguments: [], pairs: 10_000 },
  ...["jemalloc.so.2", "tcmalloc_minimal.so.4", "mimalloc.so.2.0"].flatMap((library) =>
    ["malloc", "small", "new", "w1"].map((kind) => ({
      name: `${library.replace(/[_.].*/, "")} ${kind}`,
      source: kind === "w1" ? "mixed.c" : "allocators.cc",
      arguments: [kind],
      pairs: 20_000,
      preload: join(LIBRARIES, `lib${library}`),
    }))
  ),
  ...["jemalloc.a", "tcmalloc_minimal.a"].flatMap((library) =>
    ["malloc", "small", "new"].map((kind) => ({
      name: `${library.replace(/[_.].*/, "")} linked in, ${kind}`,
      source: "allocators.cc",
      arguments: [kind],
      pairs: 20_000,
      archive: join(LIBRARIES, `lib${library}`),
    }))
  ),
];
const WAYS: Readonly<Record<string, Record<string, string>>> = {
  paths: {},
  counters: { HEAPTAP_MODE: "counters" },
  sampled: { HEAPTAP_SAMPLE: "512KiB", HEAPTAP_SEED: "1" },
  totals: { HEAPTAP_MODE: "totals" },
};

if (spawnSync("valgrind", ["--version"]).status !== 0) {
  console.log("skipped: no valgrind");
  process.exit(0);
}
const work = mkdtempSync(join(tmpdir(), "heaptap-instructions-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
// Where the stack lies depends on the lengths of paths, and some figures on that.
symlinkSync(libraryPath(), join(work, "heaptap.so"));

function build({ source, archive }: Loop): string {
  const out = source.replace(/\.\w+$/, "") + (archive ? `-${basename(archive)}` : "");
  if (existsSync(join(work, out))) return out;
  const compiler = source.endsWith(".cc") ? "c++" : "cc";
  const whole = archive ? ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive", "-ldl", "-lm"] : [];
  const args = ["-O2", "-fno-builtin", "-o", join(work, out), join(HERE, "targets", source), ...whole, "-lpthread"];
  const built = spawnSync(compiler, args, { encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return out;
}

/** Self cost of each function of a run. */
function count(loop: Loop, pairs: number, env: Record<string, string> | undefined): Map<string, number> {
  const preload = [...env ? ["./heaptap.so"] : [], ...loop.preload ? [loop.preload] : []].join(":");
  const out = join(work, "callgrind.out");
  const set = { PATH: "/usr/bin:/bin", LD_PRELOAD: preload, HEAPTAP_OUT: "/tmp/heaptap-counted.heaptap", ...env };
  // By env: Deno adds its own environment to that of `spawnSync`, and with it the stack would lie elsewhere.
  const clean = ["-i", ...Object.entries(set).map(([name, value]) => `${name}=${value}`)];
  const command = ["valgrind", "--tool=callgrind", `--callgrind-out-file=${out}`, "-q", `./${build(loop)}`];
  const { status, stderr } = spawnSync("env", [...clean, ...command, ...loop.arguments, String(pairs)], {
    cwd: work,
    encoding: "utf8",
  });
  rmSync("/tmp/heaptap-counted.heaptap", { force: true });
  if (status !== 0) throw new Error(`${loop.name} ended with ${status}: ${stderr}`);
  return selfCosts(readFileSync(out, "utf8"));
}

/** Callgrind's format: positions and costs below `fn=`; the line behind `calls=` is what the callee took. */
function selfCosts(text: string): Map<string, number> {
  const names = new Map<string, string>();
  const costs = new Map<string, number>();
  let name = "";
  let isCall = false;
  for (const line of text.split("\n")) {
    const fn = /^fn=\((\d+)\)(?: (.*))?$/.exec(line);
    if (fn?.[1]) {
      if (fn[2]) names.set(fn[1], fn[2]);
      name = names.get(fn[1]) ?? "";
    } else if (/^c?fn=/.test(line)) {
      const called = /^cfn=\((\d+)\) (.*)$/.exec(line);
      if (called?.[1]) names.set(called[1], called[2] ?? "");
    } else if (line.startsWith("calls=")) {
      isCall = true;
    } else if (/^[+*-]?\d* ?\d/.test(line)) {
      if (!isCall) costs.set(name, (costs.get(name) ?? 0) + Number(line.split(" ")[1] ?? 0));
      isCall = false;
    }
  }
  return costs;
}

/** What a pair takes, by function. */
function perPair(loop: Loop, env: Record<string, string> | undefined): Map<string, number> {
  const [once, twice] = [count(loop, loop.pairs, env), count(loop, 2 * loop.pairs, env)];
  const names = new Set([...once.keys(), ...twice.keys()]);
  return new Map(
    [...names].map((name) => [name, ((twice.get(name) ?? 0) - (once.get(name) ?? 0)) / loop.pairs] as const),
  );
}

const total = (costs: Map<string, number>) => [...costs.values()].reduce((sum, n) => sum + n, 0);
const compiler = spawnSync("cc", ["--version"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
const measured: Record<string, Record<string, number>> = {};
console.log(
  `| loop | ${Object.keys(WAYS).join(" | ")} |\n| --- | ${Object.keys(WAYS).map(() => "---:").join(" | ")} |`,
);
for (const loop of LOOPS) {
  if (!loop.name.includes(options.only) || [loop.preload, loop.archive].some((path) => path && !existsSync(path))) {
    continue;
  }
  const plain = perPair(loop, undefined);
  const figures: Record<string, number> = {};
  const lines: string[] = [];
  for (const [way, env] of Object.entries(WAYS)) {
    const costs = perPair(loop, env);
    figures[way] = Math.round(10 * (total(costs) - total(plain))) / 10;
    if (!options.functions) continue;
    const added = [...costs].map(([name, n]) => [name, n - (plain.get(name) ?? 0)] as const)
      .filter(([, n]) => Math.abs(n) >= 0.5).sort(([, a], [, b]) => b - a);
    lines.push(...added.map(([name, n]) => `  ${way.padEnd(9)} ${n.toFixed(1).padStart(8)}  ${name}`));
  }
  measured[loop.name] = figures;
  console.log(`| ${loop.name} | ${Object.values(figures).map((n) => n.toFixed(0)).join(" | ")} |`);
  for (const line of lines) console.log(line);
}

if (options.save) writeFileSync(SAVED, JSON.stringify({ compiler, loops: measured }, undefined, 2) + "\n");
if (options.check) {
  const saved = JSON.parse(readFileSync(SAVED, "utf8")) as { compiler: string; loops: typeof measured };
  if (saved.compiler !== compiler) {
    console.log(`skipped: the figures of bench/instructions.json are of ${saved.compiler}, and this is ${compiler}`);
    console.log("1 passed, 0 failed");
    process.exit(0);
  }
  let failed = 0, passed = 0;
  for (const [name, figures] of Object.entries(measured)) {
    for (const [way, n] of Object.entries(figures)) {
      const before = saved.loops[name]?.[way] ?? NaN;
      // A loop that is not there yet has nothing to be held against.
      const grew = n > before * (1 + GROWTH);
      if (grew) console.log(`${name}, ${way}: ${n} instructions a pair, ${before} before`);
      failed += Number(grew);
      passed += Number(!grew);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}
