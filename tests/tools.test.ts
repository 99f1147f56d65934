/** Our figures against those of independent tools, on real programs. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, profile, Recording } from "../mod.ts";
import { recordings, scratch, target, without } from "./helpers.ts";

const folder = scratch();

const numbers = join(folder, "numbers.txt");
writeFileSync(numbers, Array.from({ length: 50000 }, (_, i) => (i * 7919) % 50021).join("\n") + "\n");
const source = join(folder, "source.cc");
writeFileSync(
  source,
  '#include <vector>\n#include <string>\nint main() { std::vector<std::string> v; v.push_back("a"); return v.size(); }\n',
);

const PROGRAMS: readonly (readonly [string, () => string[]])[] = [
  ["sort", () => ["sort", "-n", numbers]],
  [
    "awk",
    () => [
      "awk",
      "{ s[$1 % 1000] += $1; t = t substr($1, 1, 1) } END { print length(t); for (k in s) n++; print n }",
      numbers,
    ],
  ],
  ["perl", () => ["perl", "-e", 'my %h; for (1..20000) { $h{"k$_"} = [1..3] } print scalar(keys %h)']],
];

for (const [name, command] of PROGRAMS) {
  // One process, seen by both: Valgrind counts what our hooks pass on to the C library's functions.
  test(`${name}: allocations and bytes equal Valgrind's, exactly`, { skip: without("valgrind") }, () => {
    const out = join(folder, `${name}.%p.heaptap`);
    const result = spawnSync("valgrind", ["--leak-check=no", "--undef-value-errors=no", ...command()], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: { ...process.env, LC_ALL: "C.UTF-8", LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out },
    });
    const total = /total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes/.exec(result.stderr);
    assert.ok(total, result.stderr);
    const [allocations, , bytes] = total.slice(1).map((n) => Number(n.replaceAll(",", "")));
    const [ours] = recordings(folder).filter((path) => path.includes(`/${name}.`)).map((path) =>
      Recording.open(path).profile().totals
    )
      .sort((a, b) => b.allocations - a.allocations);
    assert.ok(ours);
    assert.equal(ours.allocations, allocations);
    assert.equal(ours.bytes + ours.carried, bytes);
    assert.deepEqual([ours.untracked, ours.unknownFrees, ours.lostFrees], [0, 0, 0]);
  });
}

// Valgrind takes the place of operator new too, so a C++ program cannot be seen by both at once. A compiler
// hashes by address: without address randomisation it allocates the same each time, but for a block or two that
// depend on the size of the environment.
test(
  "cc1plus: allocations and bytes equal Valgrind's of another run",
  { skip: without("valgrind") || without("setarch") },
  async () => {
    const compiler = spawnSync("gcc", ["-print-prog-name=cc1plus"], { encoding: "utf8" }).stdout.trim();
    const preprocessed = join(folder, "source.ii");
    assert.equal(spawnSync("g++", ["-E", source, "-o", preprocessed]).status, 0);
    const command = [compiler, "-quiet", "-O0", preprocessed, "-o", "/dev/null"];
    // What it says depends on the language.
    const env = { ...process.env, LC_ALL: "C.UTF-8" };
    const { stderr } = spawnSync("valgrind", ["--leak-check=no", "--undef-value-errors=no", ...command], {
      encoding: "utf8",
      env,
    });
    const total = /total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes/.exec(stderr);
    assert.ok(total, stderr);
    const [allocations, , bytes] = total.slice(1).map((n) => Number(n.replaceAll(",", "")));
    const { recording } = await profile(["setarch", "-R", ...command], {
      out: join(folder, "cc1plus.heaptap"),
      stdio: "ignore",
      env,
    });
    const { totals, process: p } = recording!.profile();
    assert.equal(p.executable, compiler);
    const near = (a: number, b: number | undefined, by: number) => Math.abs(a - (b ?? NaN)) <= by;
    assert.ok(near(totals.allocations, allocations, 4), `${totals.allocations} ${allocations}`);
    assert.ok(near(totals.bytes + totals.carried, bytes, 65536), `${totals.bytes + totals.carried} ${bytes}`);
  },
);

/** heaptrack's number of calls to allocation functions. */
function heaptrackCount(command: readonly string[], env: Record<string, string>): number {
  const out = join(folder, "ht");
  spawnSync("heaptrack", ["-o", out, ...command], { env: { ...process.env, ...env }, stdio: "ignore" });
  const file = ["zst", "gz"].map((suffix) => `${out}.${suffix}`).find((path) =>
    spawnSync("test", ["-f", path]).status === 0
  );
  const said = spawnSync("heaptrack_print", [file ?? out], { encoding: "utf8", maxBuffer: 1 << 28 }).stdout;
  return Number(/calls to allocation functions: (\d+)/.exec(said)?.[1]);
}

test(
  "C++ and Python: as many allocations as heaptrack counts",
  { skip: without("heaptrack") || without("python3") },
  async (t) => {
    const cases: [string, string[], Record<string, string>][] = [
      ["a C++ program", [target(folder, "inlined.cc")], {}],
      ["CPython", [
        spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim(),
        "-c",
        "import json; print(len(json.dumps(list(range(20000)))))",
      ], {
        PYTHONMALLOC: "malloc",
        PYTHONHASHSEED: "0",
      }],
    ];
    for (const [name, command, env] of cases) {
      await t.test(name, async () => {
        const out = join(folder, "cmp.heaptap");
        const { recording } = await profile(command, { out, env: { ...process.env, ...env }, stdio: "ignore" });
        const ours = recording!.profile().totals.allocations;
        const theirs = heaptrackCount(command, env);
        // heaptrack starts after the dynamic linker and sees other environment variables.
        assert.ok(Math.abs(ours - theirs) <= 100 + ours * 0.0005, `${ours} and ${theirs}`);
      });
    }
  },
);
