/**
 * The benchmark: what recording costs, beside the plain run and heaptrack, in interleaved rounds. Prints
 * the table of docs/PERFORMANCE.md. `--rounds N` (7), `--only TEXT`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { libraryPath, readProfileOf } from "./support.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, only: { type: "string", default: "" } },
});
const ROUNDS = Number(options.rounds);
const HERE = import.meta.dirname ?? "";
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));
const library = libraryPath();

/** Ways to run a program. Left out is one that `--only` does not name, with the library preloaded all the same. */
type Way = "plain" | "left out" | "counters" | "paths" | "heaptrack";

interface Run {
  readonly seconds: number;
  readonly stdout: string;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function clean(): void {
  for (const name of readdirSync(work)) if (/^(out|ht)/.test(name)) rmSync(join(work, name));
}

function run(way: Way, command: readonly string[], env: Record<string, string>): Run {
  clean();
  const preloaded = { LD_PRELOAD: library, HEAPTAP_OUT: join(work, "out.heaptap") };
  const own: Record<string, string> = way === "counters" || way === "paths"
    ? { ...preloaded, HEAPTAP_MODE: way }
    : way === "left out"
    ? { ...preloaded, HEAPTAP_ONLY: "^no such program$" }
    : {};
  const [program = "", ...args] = way === "heaptrack" ? ["heaptrack", "-o", join(work, "ht"), ...command] : command;
  const begun = performance.now();
  const result = spawnSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, ...env, ...own },
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${result.status}`);
  return { seconds: (performance.now() - begun) / 1000, stdout: result.stdout };
}

/** Runs each way once a round, one after the other, and returns what each run gave. */
function interleave(
  ways: readonly Way[],
  command: readonly string[],
  env: Record<string, string> = {},
): Map<Way, Run[]> {
  const runs = new Map<Way, Run[]>(ways.map((way) => [way, []]));
  for (const way of ways) run(way, command, env);
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) runs.get(way)?.push(run(way, command, env));
  }
  return runs;
}

function build(source: string, ...flags: string[]): string {
  const out = join(mkdtempSync(join(work, "built-")), source.replace(/\.\w+$/, ""));
  const compiler = source.endsWith(".cc") ? "c++" : "cc";
  const args = ["-O2", "-fno-builtin", "-o", out, join(HERE, "targets", source), ...flags, "-lpthread"];
  const built = spawnSync(compiler, args, { encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return out;
}

const withHeaptrack = spawnSync("heaptrack", ["--version"]).status === 0;
const ways: Way[] = ["plain", "counters", "paths", ...(withHeaptrack ? ["heaptrack" as const] : [])];

function row(...cells: (string | number)[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** Nanoseconds that a pair of malloc and free takes, as the loop itself measures it. */
function loops(): void {
  console.log("\n## malloc and free in a loop, 18 frames deep\n");
  const others: Way[] = ["left out", ...ways.slice(1)];
  row("threads", "plain ns", ...others.map((way) => `${way} adds ns`));
  row("---:", "---:", ...others.map(() => "---:"));
  const program = build("loop.c");
  for (const threads of [1, 4]) {
    const runs = interleave(["plain", ...others], [program, String(threads), "5000000"]);
    // Threads share the cores: a pair's time is of the machine, not of the wall.
    const share = Math.max(1, threads / cpus().length);
    const pairs = (way: Way) => (runs.get(way) ?? []).map((r) => Number(/^[\d.]+$/m.exec(r.stdout)?.[0]) / share);
    const plain = pairs("plain");
    const added = (way: Way) => median(pairs(way).map((ns, i) => ns - (plain[i] ?? NaN)));
    row(threads, median(plain).toFixed(1), ...others.map((way) => added(way).toFixed(1)));
  }
}

/** The same of allocations as mixed as programs' are (targets/mixed.c). */
function mixed(): void {
  console.log("\n## malloc and free as mixed as programs' are\n");
  row("what", "plain ns", ...ways.slice(1).map((way) => `${way} adds ns`));
  row("---", "---:", ...ways.slice(1).map(() => "---:"));
  const program = build("mixed.c");
  const cases = [["w1"], ["w1one"], ["w2", "500000"], ["w1", "1000000", "2"], ["w4", "500000"], ["w5", "500000"]];
  for (const [what = "", pairs = "1000000", threads = "1"] of cases) {
    // heaptrack's pipe breaks where threads end while it writes.
    const these = threads === "1" && what !== "w5" ? ways : ways.filter((way) => way !== "heaptrack");
    const runs = interleave(these, [program, what, pairs, threads]);
    const took = (way: Way) => (runs.get(way) ?? []).map((r) => Number(/^[\d.]+$/m.exec(r.stdout)?.[0]));
    const plain = took("plain");
    const added = (way: Way) => median(took(way).map((ns, i) => ns - (plain[i] ?? NaN)));
    const name = threads === "1" ? what : `${what}, ${threads} threads`;
    const cells = ways.slice(1).map((way) => these.includes(way) ? added(way).toFixed(1) : "");
    row(name, median(plain).toFixed(1), ...cells);
  }
}

/** What a pair costs more below each allocator, shared and linked in, by malloc, by malloc of 8 bytes and by operator new. */
function allocators(): void {
  console.log("\n## Other allocators, call paths of 18 frames\n");
  const kinds = ["malloc", "small", "new"];
  row("allocator", ...kinds.flatMap((kind) => [`${kind} plain ns`, "paths adds ns"]));
  row("---", ...kinds.flatMap(() => ["---:", "---:"]));
  const shared = ["", "libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"];
  const there = (name: string) => existsSync(`/usr/lib/x86_64-linux-gnu/${name}`);
  const program = build("allocators.cc");
  const cases = shared.filter((name) => !name || there(name))
    .map((name) => ({ name: name || "glibc", program, preload: name && `/usr/lib/x86_64-linux-gnu/${name}` }));
  for (const name of ["libjemalloc.a", "libtcmalloc_minimal.a"].filter(there)) {
    const whole = ["-Wl,--whole-archive", `/usr/lib/x86_64-linux-gnu/${name}`, "-Wl,--no-whole-archive", "-ldl", "-lm"];
    cases.push({ name: `${name}, linked in`, program: build("allocators.cc", ...whole), preload: "" });
  }
  const once = (kind: string, program: string, ...preload: string[]) => {
    clean();
    const LD_PRELOAD = preload.filter(Boolean).join(":");
    const env = { ...process.env, LD_PRELOAD, HEAPTAP_OUT: join(work, "out.heaptap") };
    return Number(spawnSync(program, [kind], { encoding: "utf8", env }).stdout);
  };
  // Each round has them all, so that rows can be set side by side.
  const rounds = Array.from({ length: ROUNDS }, () =>
    cases.map(({ program, preload }) =>
      kinds.map((kind) => {
        const plain = once(kind, program, preload);
        return [plain, once(kind, program, library, preload) - plain] as const;
      })
    ));
  for (const [i, { name }] of cases.entries()) {
    const of = (k: number, n: 0 | 1) => median(rounds.map((round) => round[i]?.[k]?.[n] ?? NaN)).toFixed(1);
    row(name, ...kinds.flatMap((_, k) => [of(k, 0), of(k, 1)]));
  }
}

/** Wall time of whole programs. */
function programs(): void {
  console.log("\n## Real programs\n");
  row("program", "plain s", ...ways.slice(1).map((way) => `${way} / plain`), "paths adds / heaptrack adds");
  row("---", "---:", ...ways.slice(1).map(() => "---:"), "---:");
  const compiler = spawnSync("gcc", ["-print-prog-name=cc1plus"], { encoding: "utf8" }).stdout.trim();
  const preprocessed = join(work, "source.ii");
  const source = join(work, "source.cc");
  const headers = ["map", "regex", "vector", "algorithm", "functional", "iostream", "future"];
  writeFileSync(
    source,
    headers.map((h) => `#include <${h}>\n`).join("") +
      'int main() { return std::regex_match("aab", std::regex("a+b")); }\n',
  );
  spawnSync("g++", ["-E", source, "-o", preprocessed]);
  const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  const cases: [string, string[], Record<string, string>][] = [
    ["C++ map and strings", [build("strings.cc")], {}],
    ["CPython, JSON (PYTHONMALLOC=malloc)", [python, join(HERE, "targets/objects.py")], { PYTHONMALLOC: "malloc" }],
    ["cc1plus -O0", [compiler, "-quiet", "-O0", preprocessed, "-o", "/dev/null"], {}],
    ["perl, hashes", ["perl", "-e", 'my %h; for (1..300000) { $h{"k$_"} = [1..3] }'], {}],
  ];
  for (const [name, command, env] of cases) {
    if (!name.includes(options.only) || !command[0]) continue;
    const runs = interleave(ways, command, env);
    const seconds = (way: Way) => (runs.get(way) ?? []).map((r) => r.seconds);
    const plain = seconds("plain");
    const ratio = (way: Way) => median(seconds(way).map((s, i) => s / (plain[i] ?? NaN)));
    const adds = (way: Way) => median(seconds(way).map((s, i) => s - (plain[i] ?? NaN)));
    const against = withHeaptrack ? (adds("paths") / adds("heaptrack")).toFixed(2) : "";
    row(name, median(plain).toFixed(2), ...ways.slice(1).map((way) => ratio(way).toFixed(2)), against);
  }
}

/** Start-up, memory, size on disk, and reading. */
function rest(): void {
  console.log("\n## Start-up, memory, disk, reading\n");
  row("what", "figure");
  row("---", "---:");
  const empty = join(work, "empty");
  spawnSync("cc", ["-fno-builtin", "-x", "c", "-", "-o", empty], {
    input: "#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }",
  });
  const starts = interleave(["plain", "paths"], [empty]);
  const plain = (starts.get("plain") ?? []).map((r) => r.seconds);
  const adds = median((starts.get("paths") ?? []).map((r, i) => r.seconds - (plain[i] ?? NaN)));
  row("start-up of an empty program adds", `${(adds * 1000).toFixed(2)} ms`);
  const small = build("small.c");
  const memory = interleave(["plain", "paths"], [small]);
  const kb = (way: Way) => median((memory.get(way) ?? []).map((r) => Number(r.stdout)));
  row("resident set of 4,000,000 blocks of 24 bytes", `${(kb("plain") / 1024).toFixed(1)} MiB`);
  row(
    "recorded, it adds",
    `${((kb("paths") - kb("plain")) / 1024).toFixed(1)} MiB, ${
      (100 * (kb("paths") - kb("plain")) / kb("plain")).toFixed(1)
    } %`,
  );
  const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  if (!python) return;
  run("paths", [python, join(HERE, "targets/objects.py")], { PYTHONMALLOC: "malloc" });
  const out = join(work, "out.heaptap");
  const { paths, milliseconds } = readProfileOf(out);
  const stat = statSync(out);
  row(`reading a recording of ${paths} call paths`, `${milliseconds.toFixed(0)} ms`);
  row("its apparent size", `${(stat.size / 1e6).toFixed(1)} MB`);
  row("its size on disk", `${(stat.blocks * 512 / 1e6).toFixed(1)} MB`);
  const timed = (command: string, args: string[]) => {
    const begun = performance.now();
    spawnSync(command, args, { stdio: "ignore" });
    return performance.now() - begun;
  };
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  const report = () => timed(process.execPath, [...flags, join(HERE, "../cli.ts"), "report", out]);
  report(); // names are cached from here on, as heaptrack's recording has them already
  const times = Array.from({ length: ROUNDS }, report);
  row("`heaptap report` of it, names cached", `${median(times).toFixed(0)} ms`);
  if (!withHeaptrack) return;
  run("heaptrack", [python, join(HERE, "targets/objects.py")], { PYTHONMALLOC: "malloc" });
  const recorded = readdirSync(work).find((name) => /^ht\.(zst|gz)$/.test(name)) ?? "";
  const theirs = Array.from({ length: ROUNDS }, () => timed("heaptrack_print", ["-f", join(work, recorded)]));
  row("`heaptrack_print` of the same program", `${median(theirs).toFixed(0)} ms`);
}

console.log(
  `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()}, ${ROUNDS} interleaved rounds, medians.`,
);
if (!existsSync(library)) throw new Error("no library");
if ("loop".includes(options.only)) loops();
if ("mixed".includes(options.only)) mixed();
if ("allocators".includes(options.only)) allocators();
programs();
if ("rest".includes(options.only)) rest();
rmSync(work, { recursive: true, force: true });
