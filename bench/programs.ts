/**
 * What recording adds to whole programs, beside others' profilers, in interleaved rounds: ratios of processor time. Prints tables of
 * docs/PERFORMANCE.md. `--rounds N` (7), `--only TEXT`, `--peers`: beside heaptrack that interprets, jemalloc's profiler and gperftools' too. `--lifetimes`: with those too. What is not installed is named and left out.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { conditions, started } from "./options.ts";
import {
  ALLOCATORS,
  build,
  COUNTERS,
  head,
  HEAPTRACK,
  interleave,
  LIFETIMES,
  median,
  PATHS,
  PLAIN,
  row,
  run,
  SAMPLED,
  TOTALS,
  work,
} from "./ways.ts";
import type { Way } from "./ways.ts";

const options = started("peers", "lifetimes");
const ROUNDS = options.rounds;
const HERE = import.meta.dirname ?? "";
const targets = (name: string) => join(HERE, "targets", name);
const text = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: "utf8" }).stdout?.trim() ?? "";
const there = (command: string) => text("sh", "-c", `command -v ${command}`) !== "";

/** A C++ source with its headers, in one file. */
function preprocessed(): string {
  const [source, whole] = [join(work, "source.cc"), join(work, "source.ii")];
  const headers = ["map", "regex", "vector", "algorithm", "functional", "iostream", "future"];
  writeFileSync(
    source,
    headers.map((h) => `#include <${h}>\n`).join("") +
      'int main() { return std::regex_match("aab", std::regex("a+b")); }\n',
  );
  spawnSync("g++", ["-E", source, "-o", whole]);
  return whole;
}

/** The Rust programs, plain or with one of the crates that count allocations; "" when they cannot be built. */
function rust(feature = ""): string {
  const folder = join(work, `rust-${feature}`);
  const result = spawnSync(
    "cargo",
    ["build", "--release", "--quiet", "--manifest-path", targets("rust/Cargo.toml"), "--features", feature],
    // mod-alloc finds callers by their frame pointers.
    { env: { ...process.env, CARGO_TARGET_DIR: folder, RUSTFLAGS: "-C force-frame-pointers=yes" } },
  );
  return result.status === 0 ? join(folder, "release/workloads") : "";
}

interface Program {
  readonly name: string;
  /** undefined when it is not installed. */
  readonly command: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

function programs(): Program[] {
  const source = preprocessed();
  const compiler = text("gcc", "-print-prog-name=cc1plus");
  const cc1plus = existsSync(compiler) ? compiler : undefined;
  const python = text("python3", "-c", "import sys; print(sys.executable)");
  const malloc = { PYTHONMALLOC: "malloc" };
  const sql = `CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v REAL);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 150000)
    INSERT INTO t SELECT i, 'a name, number ' || (i * 7919 % 100003), i * 0.5 FROM c;
    CREATE INDEX n ON t(name); SELECT substr(name, 1, 18) k, count(*), avg(v) FROM t GROUP BY k ORDER BY 2 DESC LIMIT 3;`;
  const js = `const rows = Array.from({ length: 60000 }, (_, i) => ({ id: i, name: "n" + i, tags: ["a", String(i)] }));
    for (let i = 0; i < 4; i++) JSON.parse(JSON.stringify(rows));
    for (let i = 0; i < 200000; i++) Buffer.alloc(5000);`;
  const workloads = there("cargo") ? rust() : "";
  const only = (command: string, ...args: string[]) => there(command) ? [command, ...args] : undefined;
  return [
    { name: "C++ map and strings", command: [build("strings.cc")] },
    { name: "cc1plus -O0", command: cc1plus && [cc1plus, "-quiet", "-O0", source, "-o", "/dev/null"] || undefined },
    { name: "cc1plus -O2", command: cc1plus && [cc1plus, "-quiet", "-O2", source, "-o", "/dev/null"] || undefined },
    { name: "clang -O0", command: only("clang++", "-c", "-O0", "-w", source.replace(/ii$/, "cc"), "-o", "/dev/null") },
    { name: "CPython, JSON", command: python ? [python, targets("objects.py")] : undefined, env: malloc },
    {
      name: "CPython, small objects",
      command: python
        ? [
          python,
          "-c",
          "class A:\n def __init__(s, i): s.i = i; s.l = [i]\nfor r in range(4): [A(i) for i in range(150000)]",
        ]
        : undefined,
      env: malloc,
    },
    {
      name: "perl, hashes",
      command: only("perl", "-e", 'my %h; for (1..300000) { $h{"k$_"} = [1..3]; delete $h{"k" . ($_ - 50000)} }'),
    },
    { name: "sqlite3", command: only("sqlite3", ":memory:", sql) },
    { name: "git log -p", command: only("git", "-C", HERE, "log", "-p", "-n", "60", "--no-color") },
    { name: "node", command: only("node", "-e", js) },
    { name: "Rust, a JSON parser", command: workloads ? [workloads, "parse", "4000000"] : undefined },
  ];
}

/** What a pair of blocks of a Rust program takes under the crates, and here; nanoseconds that the program measures itself. */
function crates(): void {
  console.log("\n## Rust, beside crates that count allocations\n");
  const plain = rust();
  if (!plain) return console.log("cargo is not installed, or the crates cannot be had");
  head("way", "w1, ns added", "parse, ns added");
  const cases = [
    ...[TOTALS, SAMPLED, COUNTERS, PATHS].map((way) => ({ name: `heaptap ${way.name}`, way, program: plain })),
    ...["stats_alloc", "alloc_tracker", "mod_alloc", "mod_alloc_sites", "dhat"].map((feature) => ({
      name: feature,
      way: PLAIN,
      program: rust(feature),
    })).filter(({ program }) => program),
  ];
  const kinds = [["w1", "1000000"], ["parse", "1000000"]] as const;
  const once = (way: Way, program: string, what: string, count: string) =>
    Number(run(way, [program, what, count]).stdout);
  const rounds = Array.from({ length: ROUNDS }, () =>
    kinds.map(([what, count]) => {
      const base = once(PLAIN, plain, what, count);
      return cases.map(({ way, program }) => once(way, program, what, count) - base);
    }));
  for (const [i, { name }] of cases.entries()) {
    row(name, ...kinds.map((_, k) => median(rounds.map((round) => round[k]?.[i] ?? NaN)).toFixed(1)));
  }
}

/** redis under its own benchmark: requests a second, by the server's way of running. */
async function redis(ways: readonly Way[]): Promise<void> {
  if (!there("redis-server") || !there("redis-benchmark")) return console.log("left out: redis (not installed)");
  const socket = join(work, "redis.sock");
  const rates = new Map<Way, number[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) {
      const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--daemonize", "no"];
      const [command = "", ...rest] = [...way.before ?? [], "redis-server", ...args];
      const server = spawn(command, rest, { env: { ...process.env, ...way.env }, stdio: "ignore" });
      while (!existsSync(socket)) await new Promise((done) => setTimeout(done, 20));
      const said = text("redis-benchmark", "-s", socket, "-t", "set,lpush,hset", "-n", "100000", "-q", "--csv");
      rates.get(way)?.push(median([...said.matchAll(/^"[^"]+","([\d.]+)"/gm)].map(([, n]) => Number(n))));
      const ended = new Promise((done) => server.on("exit", done));
      server.kill();
      await ended;
    }
  }
  const plain = rates.get(PLAIN) ?? [];
  row(
    "redis, its benchmark",
    "",
    ...ways.slice(1).map((way) => median((rates.get(way) ?? []).map((rate, i) => (plain[i] ?? NaN) / rate)).toFixed(2)),
  );
}

console.log(conditions(ROUNDS));
console.log("\n## Real programs\n");
const raw = HEAPTRACK[1];
const ways: Way[] = [
  PLAIN,
  TOTALS,
  SAMPLED,
  COUNTERS,
  PATHS,
  ...options.has("lifetimes") ? [LIFETIMES] : [],
  ...options.has("peers") ? [...HEAPTRACK, ...ALLOCATORS] : raw ? [raw] : [],
];
head(
  "program",
  "plain s",
  ...ways.slice(1).map((way) => `${way.name} / plain`),
  ...raw ? ["paths adds / heaptrack -r adds"] : [],
);
for (const { name, command, env } of programs()) {
  if (!name.includes(options.only)) continue;
  if (!command) {
    console.log(`left out: ${name} (not installed)`);
    continue;
  }
  const runs = interleave(ROUNDS, ways, command, env);
  const seconds = (way: Way) => (runs.get(way) ?? []).map((r) => r.processor);
  const plain = seconds(PLAIN);
  const ratio = (way: Way) => median(seconds(way).map((s, i) => s / (plain[i] ?? NaN)));
  const adds = (way: Way) => median(seconds(way).map((s, i) => s - (plain[i] ?? NaN)));
  row(
    name,
    median(plain).toFixed(2),
    ...ways.slice(1).map((way) => ratio(way).toFixed(2)),
    ...raw ? [(adds(PATHS) / adds(raw)).toFixed(2)] : [],
  );
}
if ("redis".includes(options.only)) await redis([PLAIN, TOTALS, SAMPLED, COUNTERS, PATHS]);
if ("crates".includes(options.only)) crates();
