/** Comparing runs and keeping budgets, on two builds of a program whose every figure is known. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compare, compareText, parseBudget, parseBytes, profile, readComparable } from "../mod.ts";
import { heaptap, scratch, target } from "./helpers.ts";

const folder = scratch();
// In folders of their own: names are compared, whatever the build folder is called.
const [oldFolder, newFolder] = [join(folder, "old"), join(folder, "new-build")];
mkdirSync(oldFolder);
mkdirSync(newFolder);
const [oldProgram, newProgram] = [target(oldFolder, "growth.c"), target(newFolder, "growth.c", "-DMORE")];
const [oldFile, newFile] = [join(folder, "old.heaptap"), join(folder, "new.heaptap")];
await profile([oldProgram], { out: oldFile, stdio: "ignore" });
await profile([newProgram], { out: newFile, stdio: "ignore" });

const rows = [
  ["extra", "new", 0, 2, 0, 2000],
  ["parse", "both", 10, 25, 1000, 2500],
  ["render", "both", 5, 5, 250, 250], // one of its blocks was live at the old peak, none at the new one
  ["gone", "gone", 3, 0, 21, 0],
];

function shown(comparison: ReturnType<typeof compare>) {
  return comparison.paths.map((
    p,
  ) => [p.names[0], p.state, p.before.allocations, p.after.allocations, p.before.bytes, p.after.bytes]);
}

test("paths are matched by names across builds, folders and places in memory", async () => {
  const comparison = compare(await readComparable(oldFile), await readComparable(newFile));
  assert.deepEqual(shown(comparison), rows);
  assert.equal(comparison.unchanged.length, 0);
  assert.deepEqual([comparison.before.totals.bytes, comparison.after.totals.bytes], [1271, 4750]);
  const backwards = compare(await readComparable(newFile), await readComparable(oldFile), "allocations");
  assert.deepEqual(backwards.paths.map((p) => p.names[0]), ["gone", "render", "extra", "parse"]);
  const self = await readComparable(oldFile);
  assert.deepEqual(shown(compare(self, self)), []);
});

test("a saved report stands for its recording", async () => {
  const saved = join(folder, "old.json");
  const run = heaptap(["run", "--no-report", "--save", saved, "-o", join(folder, "again.heaptap"), "--", oldProgram]);
  assert.equal(run.status, 0, run.stderr);
  const comparison = compare(await readComparable(saved), await readComparable(newFile));
  assert.deepEqual(shown(comparison), rows);
  assert.equal(comparison.paths.find((p) => p.names[0] === "parse")?.culprit.function, "parse");
});

test("functions without names are told apart by place in the same build of a module, else by the module", async () => {
  const stripped = join(folder, "stripped");
  mkdirSync(stripped);
  const program = target(stripped, "growth.c", "-s", "-Wl,--build-id");
  const [out, saved] = [join(stripped, "run.heaptap"), join(stripped, "run.json")];
  const run = heaptap(["run", "--no-report", "--save", saved, "-o", out, "--", program]);
  assert.equal(run.status, 0, run.stderr);
  for (const file of [out, saved]) {
    const { paths, unchanged } = compare(await readComparable(out), await readComparable(file));
    assert.equal(paths.length, 0);
    const places = unchanged.map((path) => path.names[0]);
    assert.equal(new Set(places).size, 3, String(places));
    for (const place of places) assert.match(place ?? "", /^growth\+0x[0-9a-f]+$/);
  }
  const other = { ...await readComparable(out), builds: new Map([["growth", "another build"]]) };
  const { paths, unchanged } = compare(other, await readComparable(out));
  assert.deepEqual([paths.length, unchanged.map((path) => path.names[0])], [0, ["growth+?"]]);
  assert.equal(unchanged[0]?.after.allocations, 18);
});

test("the text has totals in columns, then rows, bytes first, worst growth first, and nothing that did not change", async () => {
  const text = compareText(compare(await readComparable(oldFile), await readComparable(newFile)), {
    ...{ limit: 0, width: 100, color: false },
  });
  assert.match(text, /\n +before +after +change +%\n/);
  assert.match(text, /\n {2}allocations +18 +32 +\+14 +\+77\.8%\n/);
  assert.match(text, /\n {2}allocated +1\.27 KB +4\.75 KB +\+3\.48 KB +\+273\.7%\n/);
  assert.match(text, /\n {2}temporary +5 +5 +0\n/);
  assert.match(text, /\n +before → after +change +\(blocks\) {2}function\n/);
  const lines = text.split("\n").filter((line) => line.includes(" → ") && line.includes("block"));
  assert.equal(lines.length, 4, text);
  assert.match(lines[1] ?? "", /^ +0 B → 2\.00 KB {2}\+2\.00 KB +\(\+2 blocks\) {2}new {2}extra growth\.c:\d+$/);
  assert.match(lines[2] ?? "", /^ +1\.00 KB → 2\.50 KB {2}\+1\.50 KB +\(\+15 blocks\) {2}parse growth\.c:\d+$/);
  assert.match(lines[3] ?? "", /^ +21 B → 0 B +-21 B +\(-3 blocks\) {2}gone {2}gone growth\.c:\d+$/);
  assert.match(text, /parse growth\.c:\d+\n {6}\u2190 main growth\.c:\d+\n/);
  assert.doesNotMatch(text, /render/);
  assert.match(text, /\n1 more differs in other figures alone, see --sort-by\n$/);
  assert.doesNotMatch(text, /different programs/);
});

test("heaptap compare, as text and as JSON", () => {
  const text = heaptap(["compare", "--limit", "1", oldFile, newFile]);
  assert.equal(text.status, 0, text.stderr);
  assert.match(text.stdout, /\nand 2 more, see --limit\n/);
  const json = heaptap(["compare", "--format", "json", "--sort-by", "count", oldFile, newFile]);
  const { before, after, same, paths } = JSON.parse(json.stdout);
  assert.deepEqual([before.bytes, after.bytes, same], [1271, 4750, 0]);
  assert.deepEqual(paths.map((p: { stack: string[] }) => p.stack[0]), ["parse", "extra", "render", "gone"]);
});

const OVER: [string[], RegExp][] = [
  [
    ["--max-allocations", "31"],
    /over budget: max-allocations: 32, where 31 is allowed: 1 too much \(3\.2%\)\n {4}25 {2}parse \(growth\.c:\d+\)\n/,
  ],
  [
    ["--max-bytes", "4749"],
    /over budget: max-bytes: 4\.75 KB \(4,750 B\), where 4\.75 KB \(4,749 B\) is allowed: 1 B \(1 B\) too much/,
  ],
  [["--max-peak", "4KB"], /over budget: max-peak: 4\.50 KB \(4,500 B\), where 4\.00 KB \(4,000 B\)/],
  [["--max-live", "0"], /over budget: max-live: /],
  [
    ["--max-temporary", "4"],
    /over budget: max-temporary: 5, where 4 is allowed: 1 too much \(25\.0%\)\n {4}5 {2}render/,
  ],
  [["--budget", "^extra$:max-bytes=1KB"], /over budget: max-bytes of \/\^extra\$\/: 2\.00 KB \(2,000 B\), where/],
  [["--compare", oldFile, "--max-growth", "77%"], /over budget: max-growth of allocations: 32, where 32 is allowed/],
];

for (const [args, message] of OVER) {
  test(`over budget: ${args.slice(0, 1)}${args.length > 2 ? " --max-growth" : ""}`, () => {
    const { status, stderr } = heaptap([
      "run",
      "--no-report",
      "-o",
      join(folder, "b.heaptap"),
      ...args,
      "--",
      newProgram,
    ]);
    assert.equal(status, 3, stderr);
    assert.match(stderr, message);
  });
}

test("budgets that are kept say nothing and change nothing", () => {
  const kept = [
    ...["--max-allocations", "32", "--max-bytes", "4750", "--max-peak", "4500", "--max-live", "4500"],
    ...["--max-temporary", "5", "--budget", "parse:max-allocations=25", "--compare", newFile, "--max-growth", "0"],
  ];
  const { status, stderr } = heaptap([
    "run",
    "--no-report",
    "-o",
    join(folder, "b.heaptap"),
    ...kept,
    "--",
    newProgram,
  ]);
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /over budget/);
  assert.match(stderr, /0 call paths differ, 3 are the same/);
});

test("the program's own status comes first; report judges too", () => {
  const failing = heaptap([
    "run",
    "--no-report",
    "-o",
    join(folder, "f.heaptap"),
    "--max-bytes",
    "1",
    "--",
    "sh",
    "-c",
    "exit 7",
  ]);
  assert.equal(failing.status, 7);
  assert.match(failing.stderr, /over budget: max-bytes/);
  assert.equal(heaptap(["report", "--max-bytes", "4749", newFile]).status, 3);
  assert.equal(heaptap(["report", "--max-bytes", "4750", newFile]).status, 0);
});

test("a budget that nothing matches is told, and one that could not be judged fails", () => {
  const { status, stderr } = heaptap(["report", "--budget", "no_such_function:max-bytes=1", newFile]);
  assert.equal(status, 0);
  const xml = join(folder, "stray.xml");
  heaptap(["report", "--budget", "no_such_function:max-bytes=1", "--junit", xml, newFile]);
  assert.match(readFileSync(xml, "utf8"), /skipped="1">[^]*<skipped message=/);
  assert.match(stderr, /budget of nothing: max-bytes of \/no_such_function\/: no call path has such a function/);
  const out = join(mkdtempSync(join(folder, "none-")), "a.heaptap");
  const args = ["run", "--only", "no such program", "-o", out, "--max-bytes", "1", "--", "sh", "-c", "exit 0"];
  const unjudged = heaptap(args);
  assert.equal(unjudged.status, 2);
  assert.match(unjudged.stderr, /no recording was made[^]*nothing to judge/);
  assert.equal(heaptap([...args.slice(0, -1), "exit 5"]).status, 5);
});

test("JUnit and workflow annotations", () => {
  const junit = join(folder, "junit.xml");
  const args = [
    "--max-bytes",
    "10",
    "--max-allocations",
    "1000",
    "--budget",
    "a<b|parse:max-bytes=1",
    "--junit",
    junit,
  ];
  const { stderr } = heaptap(["report", ...args, newFile], { env: { GITHUB_ACTIONS: "true" } });
  const xml = readFileSync(junit, "utf8");
  assert.match(xml, /<testsuite name="heaptap [^"]*growth" tests="3" failures="2" skipped="0">/);
  assert.match(xml, /<testcase classname="heaptap" name="max-allocations"\/>/);
  assert.match(xml, /name="max-bytes of \/a&lt;b\|parse\/"/);
  assert.match(
    stderr,
    /^::error file=.*growth\.c,line=\d+::heaptap over budget: max-bytes: .*%0A {4}2\.50 KB {2}parse/m,
  );
});

test("what is no budget, no size, no earlier run: one line, status 2, and nothing ran", () => {
  const ran = join(folder, "ran");
  const cases: [string[], RegExp][] = [
    [["--budget", "parse:max-size=1"], /It takes REGEX:LIMIT=SIZE, where LIMIT is max-allocations,/],
    [["--budget", "(:max-bytes=1"], /Its regular expression does not parse/],
    [["--budget", "parse:max-bytes=much"], /and SIZE a number/],
    [["--max-bytes", "-1"], /It takes a size/],
    [["--mode", "counters", "--budget", "parse:max-bytes=1"], /Cannot judge --budget without call paths/],
    [["--compare", folder], /Cannot compare with ".*": it is not a regular file/],
    [["--suppressions", "/nowhere"], /Cannot read the suppressions "\/nowhere": there is no such file/],
    [["--thread", "main", "--max-live", "1"], /Cannot judge max-live of threads: any thread may free/],
    [["--thread", "main", "--view", "peak"], /Cannot show --view peak of threads/],
    [["--max-growth", "much"], /It takes a number of percent/],
  ];
  for (const [args, message] of cases) {
    const { status, stderr } = heaptap(["run", ...args, "--", "touch", ran]);
    assert.equal(status, 2);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1);
  }
  assert.ok(!existsSync(ran));
  for (
    const [name, content] of [["empty", ""], ["text", "hello"], [
      "json",
      '{"version": 99, "summary": {}, "allocations": []}',
    ]] as const
  ) {
    const path = join(folder, name);
    writeFileSync(path, content);
    const { status, stderr } = heaptap(["compare", path, newFile]);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^heaptap: Cannot read ".*": it is (neither a recording nor a JSON report|a JSON report of version 99)/,
    );
  }
  assert.match(heaptap(["compare", "/nowhere", newFile]).stderr, /there is no such file/);
  assert.equal(heaptap(["report", "--max-growth", "5", newFile]).status, 2);
});

test("a budget is read as it is written", () => {
  assert.deepEqual(parseBudget("a:b::c:max-peak=1.5MiB", parseBytes), {
    limit: "max-peak",
    allowed: 1572864,
    part: /a:b::c/,
  });
  for (const wrong of ["max-bytes=1", ":max-bytes=1", "x:max-bytes=", "x:max-bytes=y", "x:toString=1"]) {
    assert.equal(parseBudget(wrong, parseBytes), undefined, wrong);
  }
});

test("a budget on a program that allocates nothing is kept, and its JUnit file is written", () => {
  const place = mkdtempSync(join(folder, "nothing-"));
  const program = target(place, "nothing.c");
  const [out, junit] = [join(place, "a.heaptap"), join(place, "a.xml")];
  const args = ["run", "-o", out, "--max-allocations", "0", "--max-peak", "0", "--junit", junit];
  const { status, stderr } = heaptap([...args, "--", program]);
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /no recording|nothing to judge/);
  assert.match(readFileSync(junit, "utf8"), /tests="2" failures="0"/);
  const again = heaptap([
    "run",
    "--no-report",
    "-o",
    join(place, "b.heaptap"),
    "--compare",
    out,
    "--max-growth",
    "0",
    "--",
    program,
  ]);
  assert.equal(again.status, 0, again.stderr);
  const leaves = heaptap(["run", "-o", join(place, "c.heaptap"), "--", program, "now"]);
  assert.match(leaves.stderr, /no recording was made/); // it leaves without what a program does at its end
});
