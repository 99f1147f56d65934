/** `heaptap test` and `heaptap bench`: suites whose exact figures stand in their head comments, on the three runtimes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseBudget, parseBytes, Recording } from "../mod.ts";
import { readSuite } from "../src/judge/saved_suite.ts";
import { judgeTests } from "../src/judge/suite.ts";
import type { Suite, Test } from "../src/judge/suite.ts";
import { rowName } from "../src/suite/bun_test.ts";
import { compileBlocks } from "./blocks.ts";
import { heaptap, ROOT, RUNTIME, scratch } from "./helpers.ts";

const folder = scratch();
const env = { SUITE_BLOCKS: compileBlocks(folder), NO_COLOR: "1" };
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);
const suite = (name: string) => join(ROOT, "tests/suites", name);
const MODULES = ["--modules", "/suite-\\d+\\.so$"];

type Figures = readonly [allocations: number, bytes: number, left: number];

function run(args: readonly string[], options: { cwd?: string } = {}) {
  const report = join(folder, "report.json");
  writeFileSync(report, "{}");
  const { status, stderr, stdout } = heaptap(["test", "--format", "json", "--report-file", report, ...args], {
    env,
    ...options,
  });
  const text = readFileSync(report, "utf8");
  const { tests = [], notes = [] } = JSON.parse(text) as {
    tests?: {
      name: string;
      threw: boolean;
      apart: boolean;
      peak_bytes: number | null;
      bytes: number;
      allocations: number;
      live_bytes: number;
    }[];
    notes?: string[];
  };
  const figures: Record<string, Figures> = {};
  for (const { name, allocations, bytes, live_bytes } of tests) figures[name] = [allocations, bytes, live_bytes];
  return { status, stderr, stdout, report, tests, notes, figures };
}

const COMMON: Record<string, Figures> = { keeps: [10, 1000, 1000], throws: [4, 40, 0] };
const GROUPED: Record<string, Figures> = {
  ...COMMON,
  "group > pairs": [5, 250, 0],
  "group > over an await": [3, 21, 21],
  "calls done": [1, 8, 8],
};

test("Deno's tests: what each allocates of a library is exact, whatever form it has", () => {
  const { status, stderr, tests, figures } = run([...MODULES, bin("deno"), "-A", "--no-check", suite("deno_suite.ts")]);
  assert.equal(status, 1, stderr);
  assert.deepEqual(figures, {
    ...COMMON,
    pairs: [5, 250, 0],
    "over an await": [3, 21, 21],
    named: [1, 9, 9],
    // A test's figures are those of its steps too.
    steps: [8, 38, 38],
    "steps > inner": [6, 36, 36],
    buffer: [0, 0, 0],
  });
  assert.deepEqual(tests.filter(({ threw }) => threw).map(({ name }) => name), ["throws"]);
});

test("Deno's tests: its own memory, with the call path that left it", () => {
  const out = join(folder, "suite.heaptap");
  const args = [
    "--js-names",
    "-o",
    out,
    "--max-live",
    "100KB",
    "--budget",
    "^buffer$:max-peak=500KB",
    "--budget",
    "zzz:max-bytes=1",
  ];
  const all = heaptap(
    [
      "test",
      ...args,
      "--junit",
      join(folder, "junit.xml"),
      bin("deno"),
      "-A",
      "--no-check",
      "--filter",
      "/buffer|keeps|pairs/",
      suite("deno_suite.ts"),
    ],
    { env },
  );
  assert.equal(all.status, 3, all.stderr);
  const row = /^ *(1\.00 MB) +(\S+ [KM]B) +\S+ [KM]B +[\d,]+ {2}buffer .*\n {4}by .*deno_suite\.ts:\d\d/m.exec(
    all.stderr,
  );
  assert.ok(row, all.stderr);
  assert.match(
    all.stderr,
    /over budget: buffer: max-live: 1\.00 MB \(1,000,\d{3} B\), where 100 KB .*\n {4}1\.00 MB {2}.*deno_suite\.ts:\d\d\)/,
  );
  assert.match(all.stderr, /over budget: buffer: max-peak: /);
  assert.match(all.stderr, /budget of nothing: max-bytes of \/zzz\/: no test has such a name/);
  const junit = readFileSync(join(folder, "junit.xml"), "utf8");
  assert.match(junit, /tests="3" failures="1"/);
  assert.match(junit, /<testcase classname="tests\/suites\/deno_suite\.ts" name="buffer">/);
  // The recording has each test as an operation.
  const operations = new Set(Recording.open(out).profile().callPaths.map((path) => path.operation));
  assert.ok(operations.has("buffer") && operations.has("keeps"));
  const report = heaptap(["report", "--operation", "^keeps$", "--format", "json", out]);
  const { allocations } = JSON.parse(report.stdout) as { allocations: { function: string; count: number }[] };
  assert.deepEqual(allocations.filter((a) => a.function === "keep").map((a) => a.count), [10]);
  assert.match(heaptap(["report", "--group-by", "operation", out]).stdout, / buffer$/m);
});

test("Deno's tests with permissions that were given one by one, and their output as without heaptap", () => {
  const file = join(folder, "permissions.test.ts");
  writeFileSync(
    file,
    `Deno.test("reads", () => { Deno.readTextFileSync(import.meta.filename!); });
Deno.test("may not write", () => { Deno.writeTextFileSync("/tmp/x", ""); });
Deno.test("steps", async (t) => { await t.step("a", () => {}); await t.step("b", () => { throw new Error("meant"); }); });
Deno.test("leaves a timer", () => { setTimeout(() => {}, 1000); });
`,
  );
  const args = ["--no-check", "--allow-read", file];
  const plain = spawnSync(bin("deno"), ["test", ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  const { stdout, status, stderr } = run(["--", bin("deno"), "test", ...args]);
  assert.equal(status, plain.status);
  assert.match(stderr, /Deno is given --allow-ffi --allow-write=…, which counting needs/);
  const stable = (text: string) =>
    text.replace(/\(\d+(ms|µs|s)\)/g, "(t)").replace(/^ +at .*\n/gm, "").replace(
      /\n+/g,
      "\n",
    );
  // Where tests stand too: a failure is told with the place at which it was registered.
  assert.match(plain.stdout, /=> .*permissions\.test\.ts:2:6/);
  assert.equal(stable(stdout), stable(plain.stdout));
});

test("Bun's tests: groups, tables, callbacks", () => {
  const { status, stderr, figures, notes, tests } = run([...MODULES, bin("bun"), suite("bun_suite.ts")]);
  assert.equal(status, 1, stderr);
  assert.deepEqual(figures, { ...GROUPED, "row 2": [2, 4, 4], "row 3": [3, 9, 9] });
  assert.deepEqual(tests.filter(({ threw }) => threw).map(({ name }) => name), ["throws"]);
  assert.match(notes.join("\n"), /Bun .* has an allocator of its own linked in/);
  // Without modules Bun's thread is counted, over awaits too.
  const all = run([bin("bun"), suite("bun_suite.ts")]);
  assert.deepEqual(all.figures["group > over an await"]?.slice(2), [21]);
});

test("Node's tests: those that run beside one another are told apart", () => {
  const { status, stderr, figures, tests } = run([...MODULES, bin("node"), suite("node_suite.ts")]);
  assert.equal(status, 1, stderr);
  assert.deepEqual(figures, {
    ...GROUPED,
    outer: [8, 38, 38],
    "outer > inner": [6, 36, 36],
    "both > a": [3, 27, 27],
    "both > b": [4, 52, 52],
  });
  assert.deepEqual(tests.filter(({ threw }) => threw).map(({ name }) => name), ["throws"]);
  assert.ok(tests.every(({ apart }) => apart));
});

test("a run is compared with an earlier one by the names of its tests", () => {
  const saved = join(folder, "before.json");
  const again = join(folder, "again.test.ts");
  const text = readFileSync(suite("bun_suite.ts"), "utf8").replace("./blocks.ts", suite("blocks.ts"));
  writeFileSync(again, text);
  const first = run([...MODULES, "--save", saved, bin("bun"), again], { cwd: folder });
  assert.equal(first.status, 1, first.stderr);
  assert.equal(readSuite(saved).tests.length, 7);
  // The tests fail, which is the status; that a budget was not kept is said all the same.
  writeFileSync(
    again,
    text.replace('"keeps", keeps', '"keeps", () => void blocks.keep(11, 100)')
      .replace('"throws", throws', '"throws", () => void blocks.blocks(4, 10)'),
  );
  const args = ["--compare", saved, "--max-growth", "5", bin("bun"), again];
  const then = heaptap(["test", ...MODULES, ...args], { env, cwd: folder });
  assert.equal(then.status, 3, then.stderr);
  assert.match(then.stderr, /over budget: keeps: max-growth of allocations: 11, where 11 is allowed/);
  assert.match(then.stderr, /keeps {2}\(\+100 B\)/);
  // Without modules so small a change is what an engine may do by itself.
  assert.equal(
    heaptap(["test", "--compare", saved, "--max-growth", "5", bin("bun"), again], { env, cwd: folder }).status,
    0,
  );
});

test("with rounds the last time counts", () => {
  const { figures } = run([...MODULES, "--rounds", "3", bin("bun"), suite("bun_suite.ts")]);
  assert.deepEqual(figures.keeps, [10, 1000, 1000]);
});

test("Deno: tests without permissions, and what the runtime does for a test between two turns", () => {
  const file = join(folder, "own.test.ts");
  writeFileSync(join(folder, "big.bin"), new Uint8Array(2_000_000));
  writeFileSync(
    file,
    `const kept: Uint8Array[] = [];
Deno.test({ name: "none", permissions: "none", fn() { kept.push(new Uint8Array(300_000)); } });
Deno.test({ name: "reads", permissions: { read: true }, async fn() { kept.push(await Deno.readFile(${
      JSON.stringify(join(folder, "big.bin"))
    })); } });
Deno.test("steps", async (t) => {
  for (const n of [1, 2]) await t.step("step " + n, () => { kept.push(new Uint8Array(100_000 * n)); });
});
`,
  );
  for (const rounds of [[], ["--rounds", "2"]]) {
    const { status, stderr, tests, figures } = run([...rounds, bin("deno"), "-A", "--no-check", file]);
    assert.equal(status, 0, stderr);
    // Each once, however often it ran.
    assert.deepEqual(tests.map(({ name }) => name), ["none", "reads", "steps > step 1", "steps > step 2", "steps"]);
    // A test's figures are those of its steps too. The runtime's own are among them: a thread that it starts for a read has 5.4 KB.
    const kept = {
      none: 300_000,
      reads: 2_000_000,
      "steps > step 1": 100_000,
      "steps > step 2": 200_000,
      steps: 300_000,
    };
    for (const [name, bytes] of Object.entries(kept)) {
      const left = Number(figures[name]?.[2]);
      assert.ok(left >= bytes && left < bytes + 10_000, `${name} left ${left} B of ${bytes}`);
    }
  }
});

test("Deno's files beside one another: figures of the tests' own, which is said", () => {
  const files = [1, 2].map((n) => {
    const file = join(folder, `beside${n}.test.ts`);
    writeFileSync(
      file,
      `const kept: Uint8Array[] = [];
for (let i = 0; i < 5; i++) Deno.test("same " + i, async () => {
  kept.push(new Uint8Array(${n}_000_000));
  await new Promise((done) => setTimeout(done, 5));
});
`,
    );
    return file;
  });
  const { status, stderr, tests, notes } = run(["--no-gc", bin("deno"), "-A", "--no-check", "--parallel", ...files]);
  assert.equal(status, 0, stderr);
  assert.equal(tests.length, 10);
  const left = tests.map(({ live_bytes }) => Math.round(live_bytes / 1e6)).sort();
  assert.deepEqual(left, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
  assert.match(notes.join("\n"), /Files ran in threads beside one another/);
});

test("Node without a process for each file; Bun's groups in tables and groups", () => {
  const node = run([...MODULES, bin("node"), "--test-isolation=none", suite("node_suite.ts")]);
  assert.deepEqual(node.figures.keeps, [10, 1000, 1000], node.stderr);
  const file = join(folder, "groups.test.ts");
  writeFileSync(
    file,
    `import { describe, expect, test } from "bun:test";
describe("d", () => {
  describe.each([1, 2])("dd %d", () => { test("x", () => {}); });
  describe("e", () => { test.failing("y", () => { expect(1).toBe(2); }); });
});
test("fails", () => { expect(1).toBe(2); });
`,
  );
  const bun = run([bin("bun"), file]);
  assert.deepEqual(bun.tests.map(({ name }) => name), ["d > dd 1 > x", "d > dd 2 > x", "d > e > y", "fails"]);
  // The place of a failure is the test's own.
  assert.match(bun.stderr, /groups\.test\.ts:6:/);
});

test("names of rows", () => {
  assert.equal(rowName("%d and %s", [1, "two"], 0), "1 and two");
  assert.equal(rowName("%# of $a.b", [{ a: { b: "x" } }], 4), "4 of x");
  assert.equal(rowName("100%% of %i", [7.5], 0), "100% of 7");
  assert.equal(rowName("plain", [1, 2], 0), "plain");
});

test("limits of all tests, of some, and growth: against a naive look at each", () => {
  const one = (name: string, n: number, peakBytes: number | null): Test => ({
    ...{ name, file: "f", pid: 1, operation: name, threw: false, beside: 0, apart: true, kept: [] },
    ...{ allocations: n, bytes: 10 * n, liveBytes: -n, liveCount: 0, peakBytes },
  });
  const now: Suite = { title: "t", notes: [], tests: [one("a", 5, 50), one("b", 500, null)] };
  const budgets = ["^a:max-bytes=49", "b:max-peak=1", "b:max-allocations=500"].map((text) =>
    parseBudget(text, parseBytes)!
  );
  const told = judgeTests(now, [...budgets, { limit: "max-live", allowed: 0 }], undefined, () => []);
  assert.deepEqual(told.map(({ verdict }) => [verdict.name, verdict.kept]), [
    ["a: max-bytes", false],
    // A peak that is not known breaks nothing.
    ["b: max-allocations", true],
    ["a: max-live", true],
    ["b: max-live", true],
  ]);
  const before = { ...now, tests: [one("a", 4, 1)] };
  const grown = (exact: boolean) =>
    judgeTests(now, [], { before, percent: 10, exact }, () => []).filter(({ verdict }) => !verdict.kept).map((
      { verdict },
    ) => verdict.name);
  assert.deepEqual(grown(false), []);
  assert.deepEqual(grown(true), ["a: max-growth of allocations", "a: max-growth of bytes"]);
});

test("Deno's benchmarks: what a call allocates, of the part that is marked too", () => {
  const report = join(folder, "bench.json");
  const times = heaptap(["bench", bin("deno"), "-A", "--no-check", "--filter", "later", suite("deno_benches.ts")], {
    env,
  });
  assert.match(times.stdout, /time\/iter[\s\S]*later/);
  assert.match(times.stderr, /^ *allocs\/op +B\/op {2}benchmark\n[^\n]+later\n$/);
  const args = [
    "--no-times",
    "--format",
    "json",
    "--report-file",
    report,
    ...MODULES,
    bin("deno"),
    "-A",
    "--no-check",
    suite("deno_benches.ts"),
  ];
  const { status, stdout, stderr } = heaptap(["bench", ...args], { env });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "");
  const { benchmarks } = JSON.parse(readFileSync(report, "utf8")) as {
    benchmarks: { name: string; exact: boolean; allocations: { least: number }; bytes: { median: number } }[];
  };
  assert.deepEqual(
    benchmarks.map(({ name, exact, allocations, bytes }) => [name, exact, allocations.least, bytes.median]),
    [
      ["pairs", true, 5, 250],
      ["later", true, 1, 9],
      ["group > part", true, 2, 40],
    ],
  );
});

test("mitata's benchmarks, of all its kinds", () => {
  const report = join(folder, "mitata.json");
  // Each runtime's tests try another one.
  for (const runner of RUNTIME === "Bun" ? [[bin("bun")]] : [[bin("node")], [bin("deno"), "run", "-A", "--no-check"]]) {
    const args = ["--no-times", "--format", "json", "--report-file", report, ...MODULES, "--", ...runner];
    const { status, stdout, stderr } = heaptap(["bench", ...args, suite("mitata_benches.mjs")], { env });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "");
    const { benchmarks } = JSON.parse(readFileSync(report, "utf8")) as {
      benchmarks: { name: string; exact: boolean; allocations: { least: number }; bytes: { median: number } }[];
    };
    const told = benchmarks.map((
      { name, exact, allocations, bytes },
    ) => [name, exact, allocations.least, bytes.median]);
    assert.deepEqual(told, [
      ["pairs", true, 5, 250],
      ["iterated", true, 2, 40],
      ["size 3", true, 1, 3],
      ["size 9", true, 1, 9],
      ["both 2 5", true, 2, 10],
      ["both 4 5", true, 4, 20],
      ["both 2 7", true, 2, 14],
      ["both 4 7", true, 4, 28],
      ["with", true, 4, 28],
    ]);
  }
});

test("what cannot be: one line, and nothing runs", () => {
  const refused: [readonly string[], RegExp][] = [
    [
      ["test", "npm", "test"],
      /^heaptap: Cannot tell the tests of "npm" apart: name the runner that npm starts \(heaptap test deno/,
    ],
    [["test", "make"], /Cannot tell the tests of "make" apart: it takes deno, bun or node/],
    [["test", bin("deno"), "task", "test"], /Cannot look into "deno task": name the deno test that it runs/],
    [["test", "--max-temporary", "1", "deno"], /Cannot limit temporary blocks of tests/],
    [["test", "--max-growth", "5", "deno"], /Cannot judge growth without --compare FILE/],
    [
      ["test", "--compare", join(ROOT, "deno.json"), "deno"],
      /it is no report of tests; heaptap test --save writes one/,
    ],
    [["test", "--compare", "/nowhere.json", "deno"], /Cannot read "\/nowhere\.json"/],
    [["test", ...MODULES, "--max-peak", "1", "deno"], /Cannot limit the peak of modules/],
    [["test", "--sort-by", "lefft", "deno"], /Did you mean left\?/],
    [["test"], /missing required argument 'runner'/],
    [["bench", "cargo"], /Cannot tell the benchmarks of "cargo" apart/],
  ];
  for (const [args, wanted] of refused) {
    const { status, stderr } = heaptap(args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, wanted);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  // A runner that is not there, as a shell says it.
  const missing = heaptap(["test", "/nowhere/deno"]);
  assert.deepEqual([missing.status, missing.stderr], [
    127,
    'heaptap: Cannot run "/nowhere/deno": there is no such file\n',
  ]);
  // A suite in which nothing runs, and a runner that fails.
  const empty = join(folder, "empty.test.ts");
  writeFileSync(empty, "export {};\n");
  const none = heaptap(["test", bin("deno"), "-A", "--no-check", "--permit-no-files", empty]);
  assert.match(none.stderr, /heaptap: nothing was counted: no test was seen to run/);
  assert.equal(none.status, 0);
  copyFileSync("/bin/false", join(folder, "deno-0"));
  assert.equal(heaptap(["test", join(folder, "deno-0"), "x"]).status, 1);
});
