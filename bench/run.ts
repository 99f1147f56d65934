/**
 * The benchmark: what recording costs, beside the plain run and heaptrack, in interleaved rounds. Prints
 * the table of docs/PERFORMANCE.md. `--rounds N` (7), `--only TEXT`.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { conditions, started } from "./options.ts";
import { libraryPath, readProfileOf } from "./support.ts";
import {
  build,
  clean,
  COUNTERS,
  DHAT,
  head,
  HEAPTRACK,
  interleave,
  LEFT_OUT,
  median,
  OUT,
  PATHS,
  PLAIN,
  row,
  run,
  SAMPLED,
  TOTALS,
  work,
} from "./ways.ts";
import type { Way } from "./ways.ts";

const options = started();
const ROUNDS = options.rounds;
const HERE = import.meta.dirname ?? "";
const library = libraryPath();
const ways: Way[] = [PLAIN, TOTALS, SAMPLED, COUNTERS, PATHS, ...HEAPTRACK];

/** Nanoseconds that a pair of malloc and free takes, as the loop itself measures it. */
function loops(): void {
  console.log("\n## malloc and free in a loop, 18 frames deep\n");
  const others: Way[] = [LEFT_OUT, ...ways.slice(1)];
  head("threads", "plain ns", ...others.map((way) => `${way.name} adds ns`));
  const program = build("loop.c");
  for (const threads of [1, 4]) {
    const runs = interleave(ROUNDS, [PLAIN, ...others], [program, String(threads), "5000000"]);
    // Threads share the cores: a pair's time is of the machine, not of the wall.
    const share = Math.max(1, threads / cpus().length);
    const pairs = (way: Way) => (runs.get(way) ?? []).map((r) => Number(/^[\d.]+$/m.exec(r.stdout)?.[0]) / share);
    const plain = pairs(PLAIN);
    const added = (way: Way) => median(pairs(way).map((ns, i) => ns - (plain[i] ?? NaN)));
    row(threads, median(plain).toFixed(1), ...others.map((way) => added(way).toFixed(1)));
  }
}

/** The same of allocations as mixed as programs' are (targets/mixed.c); under DHAT a tenth of them. */
function mixed(): void {
  console.log("\n## malloc and free as mixed as programs' are\n");
  const all = [...ways, ...DHAT];
  head("what", "plain ns", ...all.slice(1).map((way) => `${way.name} adds ns`));
  const program = build("mixed.c");
  const cases = [["w1"], ["w1one"], ["w2", "500000"], ["w1", "1000000", "4"], ["w4"], ["w4full", "500000"], [
    "w5",
    "500000",
  ]];
  for (const [what = "", pairs = "1000000", threads = "1"] of cases) {
    // heaptrack's pipe breaks where threads end while it writes.
    const these = threads === "1" && what !== "w5" ? ways : ways.filter((way) => !HEAPTRACK.includes(way));
    const runs = interleave(ROUNDS, these, [program, what, pairs, threads]);
    const tenth = String(Number(pairs) / 10);
    for (const way of DHAT) {
      runs.set(
        way,
        Array.from({ length: ROUNDS }, () => run(way, [program, what, tenth, threads])),
      );
    }
    const took = (way: Way) => (runs.get(way) ?? []).map((r) => Number(/^[\d.]+$/m.exec(r.stdout)?.[0]));
    const plain = took(PLAIN);
    const added = (way: Way) => median(took(way).map((ns, i) => ns - (plain[i] ?? NaN)));
    const name = threads === "1" ? what : `${what}, ${threads} threads`;
    row(name, median(plain).toFixed(1), ...all.slice(1).map((way) => runs.has(way) ? added(way).toFixed(1) : ""));
  }
}

/** What a pair costs more below each allocator, shared and linked in, by malloc, by malloc of 8 bytes and by operator new. */
function allocators(): void {
  console.log("\n## Other allocators, call paths of 18 frames\n");
  const kinds = ["malloc", "small", "new"];
  head("allocator", ...kinds.flatMap((kind) => [`${kind} plain ns`, "paths adds ns"]));
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
    const env = { ...process.env, LD_PRELOAD, HEAPTAP_OUT: OUT };
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

/** Start-up, memory, size on disk, and reading. */
function rest(): void {
  console.log("\n## Start-up, memory, disk, reading\n");
  head("what", "figure");
  for (const [name, libraries] of [["an empty program", 0], ["a program with 500 libraries", 500]] as const) {
    const starts = interleave(3 * ROUNDS, [PLAIN, PATHS], [withLibraries(libraries)]);
    const plain = (starts.get(PLAIN) ?? []).map((r) => r.seconds);
    const adds = median((starts.get(PATHS) ?? []).map((r, i) => r.seconds - (plain[i] ?? NaN)));
    row(`start-up of ${name} adds`, `${(adds * 1000).toFixed(2)} ms`);
  }
  const small = build("small.c");
  const memory = interleave(ROUNDS, [PLAIN, PATHS, SAMPLED], [small]);
  const kb = (way: Way) => median((memory.get(way) ?? []).map((r) => Number(r.stdout)));
  row("resident set of 4,000,000 blocks of 24 bytes", `${(kb(PLAIN) / 1024).toFixed(1)} MiB`);
  for (const way of [PATHS, SAMPLED]) {
    const more = kb(way) - kb(PLAIN);
    row(`recorded (${way.name}), it adds`, `${(more / 1024).toFixed(1)} MiB, ${(100 * more / kb(PLAIN)).toFixed(1)} %`);
  }
  const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  if (!python) return;
  const command = [python, join(HERE, "targets/objects.py")];
  run(PATHS, command, { PYTHONMALLOC: "malloc" });
  const { paths, milliseconds } = readProfileOf(OUT);
  const stat = statSync(OUT);
  row(`reading a recording of ${paths} call paths`, `${milliseconds.toFixed(0)} ms`);
  row("its apparent size", `${(stat.size / 1e6).toFixed(1)} MB`);
  row("its size on disk", `${(stat.blocks * 512 / 1e6).toFixed(1)} MB`);
  const timed = (command: string, args: string[]) => {
    const begun = performance.now();
    spawnSync(command, args, { stdio: "ignore" });
    return performance.now() - begun;
  };
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  const report = () => timed(process.execPath, [...flags, join(HERE, "../cli.ts"), "report", OUT]);
  report(); // names are cached from here on, as heaptrack's recording has them already
  const times = Array.from({ length: ROUNDS }, report);
  row("`heaptap report` of it, names cached", `${median(times).toFixed(0)} ms`);
  const [heaptrack] = HEAPTRACK;
  if (!heaptrack) return;
  run(heaptrack, command, { PYTHONMALLOC: "malloc" });
  const recorded = readdirSync(work).find((name) => /^ht\.(zst|gz)$/.test(name)) ?? "";
  const theirs = Array.from({ length: ROUNDS }, () => timed("heaptrack_print", ["-f", join(work, recorded)]));
  row("`heaptrack_print` of the same program", `${median(theirs).toFixed(0)} ms`);
}

/** A program that allocates once, and is linked with so many libraries that do nothing. */
function withLibraries(count: number): string {
  const compile = (out: string, text: string, ...flags: string[]) => {
    const built = spawnSync("cc", ["-fno-builtin", "-x", "c", "-", "-o", out, ...flags], { input: text });
    if (built.status !== 0) throw new Error(String(built.stderr));
    return out;
  };
  const main = "#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }";
  if (count === 0) return compile(join(work, "empty"), main);
  const one = compile(join(work, "one.so"), "int nothing(void) { return 0; }", "-shared", "-fPIC");
  const names = Array.from({ length: count }, (_, i) => join(work, `lib${i}.so`));
  // The same file under other names is a library of its own to the dynamic linker only when it is another file.
  for (const name of names) copyFileSync(one, name);
  return compile(join(work, "many"), main, "-x", "none", "-Wl,--no-as-needed", ...names);
}

console.log(conditions(ROUNDS));
if (!existsSync(library)) throw new Error("no library");
if ("loop".includes(options.only)) loops();
if ("mixed".includes(options.only)) mixed();
if ("allocators".includes(options.only)) allocators();
if ("rest".includes(options.only)) rest();
