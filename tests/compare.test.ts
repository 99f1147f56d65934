/** What a reviewer reads of two runs: what moved is no change, every option works, and Markdown stays Markdown. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  compare,
  compareGroups,
  compareMarkdown,
  compareText,
  judge,
  profile,
  readComparable,
  Recording,
} from "../mod.ts";
import type { Comparable, ComparableFrame, FrameKind, RunFigures } from "../mod.ts";
import { collect } from "../src/judge/comparable.ts";
import { heaptap, random, scratch, target, withoutWorking } from "./helpers.ts";

const folder = scratch();

/** Stacks as `name` or `name:kind`, innermost first; blocks of 10 bytes. */
type Made = readonly [stack: string, blocks: number];

function frame(text: string): ComparableFrame {
  const [name = "", kind = "own"] = text.split(":");
  const place = { file: "", line: 0, module: "/bin/app", address: 1, inlined: false };
  return { function: name, key: name, kind: kind as FrameKind, ...place };
}

function figures(blocks: number): RunFigures {
  return { allocations: blocks, bytes: 10 * blocks, peakBytes: 10 * blocks, liveBytes: 10 * blocks, temporary: 0 };
}

function made(paths: readonly Made[], executable = "/bin/app"): Comparable {
  return {
    title: "app",
    executable,
    totals: figures(paths.reduce((n, [, blocks]) => n + blocks, 0)),
    timeline: [],
    builds: new Map(),
    limits: { mode: "paths", interval: 0 },
    margins: { peakBytes: 0, liveBytes: 0 },
    paths: collect(paths.map(([stack, blocks]) => [stack.split(" ").map(frame), figures(blocks)])),
  };
}

function changes(before: readonly Made[], after: readonly Made[]): string[] {
  return compare(made(before), made(after)).paths
    .map((path) => `${path.state} ${path.names.join(" ")} ${path.before.allocations} ${path.after.allocations}`);
}

test("another way through a library is no change when the sums are the same", () => {
  assert.deepEqual(changes([["push:standard load main", 5]], [["emplace:standard load main", 5]]), []);
  const parted: Made[] = [["grow:standard load main", 2], ["push:standard load main", 3]];
  assert.deepEqual(changes([["push:standard load main", 5]], parted), []);
});

test("where the sums differ, gone and new of the same own functions are one row", () => {
  const after: Made[] = [["emplace:standard load main", 8]];
  assert.deepEqual(changes([["push:standard load main", 5]], after), ["both emplace load main 5 8"]);
});

test("a function that was inlined in one build has moved, when all figures are the same", () => {
  assert.deepEqual(changes([["helper load main", 5]], [["load main", 5]]), []);
  assert.deepEqual(changes([["load main", 5]], [["helper load main", 5]]), []);
  assert.deepEqual(changes([["helper load main", 5]], [["load main", 6]]), [
    "new load main 0 6",
    "gone helper load main 5 0",
  ]);
});

test("a function that was inlined into one that allocates by itself has moved too", () => {
  const before: Made[] = [["load main", 2], ["helper load main", 5], ["reader load main", 1]];
  assert.deepEqual(changes(before, [["load main", 8]]), []);
  assert.deepEqual(changes([["load main", 8]], before), []);
  assert.deepEqual(changes(before, [["load main", 9]]).length, 3);
});

test("a real shift stays two rows, and one in both runs is never hidden", () => {
  assert.deepEqual(changes([["load main", 5]], [["save main", 5]]), ["new save main 0 5", "gone load main 5 0"]);
  const [before, after]: Made[][] = [[["a main", 5], ["b main", 9]], [["a main", 9], ["b main", 5]]];
  assert.deepEqual(changes(before ?? [], after ?? []), ["both a main 5 9", "both b main 9 5"]);
});

test("whatever moves, the rows' sums are the runs' totals", () => {
  const seed = Date.now() % 1e6;
  const pick = random(seed);
  const stack = () => {
    const inner = Array.from({ length: pick(3) }, () => ["x:standard", "y:standard", "f", "g", "h"][pick(5)]);
    return [...inner, "main"].join(" ");
  };
  for (let round = 0; round < 200; round++) {
    const run = () => made(Array.from({ length: 1 + pick(12) }, (): Made => [stack(), 1 + pick(4)]));
    const [before, after] = [run(), run()];
    const { paths, unchanged } = compare(before, after);
    const sum = (of: "before" | "after") => [...paths, ...unchanged].reduce((n, path) => n + path[of].allocations, 0);
    assert.deepEqual([sum("before"), sum("after")], [before.totals.allocations, after.totals.allocations], `${seed}`);
  }
});

test("names that compilers number are one, and paths that read the same are one row", () => {
  const run = (key: string, name = "load") => {
    const one = made([["load main", 3]]);
    const frames = [{ ...frame(name), key }, frame("main")];
    return { ...one, paths: new Map(collect([[frames, figures(3)]])) };
  };
  assert.equal(compare(run("load(int)"), run("load(int)", "load2")).paths.length, 0);
  const twice = made([]);
  const both = collect([
    [[{ ...frame("load"), key: "load(int)" }], figures(1)],
    [[{ ...frame("load"), key: "load(char)" }], figures(2)],
  ]);
  const { paths } = compare(made([]), { ...twice, paths: both });
  assert.deepEqual(paths.map(({ names, after }) => [names, after.allocations]), [[["load"], 3]]);
});

test("builds of one program are no different programs, others are", () => {
  const said = (before: Comparable, after: Comparable) =>
    /different programs/.test(compareText(compare(before, after), { limit: 1, width: 80, color: false }));
  const paths: Made[] = [["load main", 1], ["parse main", 1]];
  assert.equal(said(made(paths, "/old/app"), made(paths, "/new/app")), false);
  const named = (executable: string, functions: readonly string[]) => {
    const run = made(functions.map((name): Made => [name, 1]), executable);
    const own = [...run.paths].map(([key, path]) =>
      [key, { ...path, frames: path.frames.map((f) => ({ ...f, module: executable })) }] as const
    );
    return { ...run, paths: new Map(own) };
  };
  assert.equal(said(named("/b/app-1.2", ["load", "parse", "old"]), named("/b/app-1.3", ["load", "parse"])), false);
  assert.equal(said(named("/b/app", ["load", "main"]), named("/b/other", ["work", "main"])), true);
});

/** Two builds of a source, recorded. */
async function builds(
  source: string,
  first: readonly string[],
  second: readonly string[],
  name: string,
): Promise<[string, string]> {
  const files = await Promise.all([first, second].map(async (flags, i) => {
    const place = join(folder, `${name}${i}`);
    mkdirSync(place);
    const out = join(place, "run.heaptap");
    await profile([target(place, source, ...flags)], { out, stdio: "ignore" });
    return out;
  }));
  return files as [string, string];
}

test("C++ with and without inlining: nothing is gone and nothing new", async () => {
  const [plain, inlined] = await builds("shapes.cc", ["-O0"], ["-O2", "-g0"], "shapes");
  const { paths, before, after } = compare(await readComparable(plain), await readComparable(inlined));
  assert.deepEqual(before.totals, after.totals);
  assert.deepEqual(paths.map(({ state, names }) => `${state} ${names.join(" ")}`), []);
});

test("C++ that really grew is one row with what it grew by", async () => {
  const [older, newer] = await builds("shapes.cc", ["-O0"], ["-O2", "-g0", "-DMORE"], "grown");
  const { paths } = compare(await readComparable(older), await readComparable(newer));
  const grown = paths.filter((path) => path.after.bytes !== path.before.bytes);
  assert.equal(grown.reduce((n, path) => n + path.after.bytes - path.before.bytes, 0), 10_000);
});

test("two builds of a Rust program with other hashes are the same", { skip: withoutWorking("rustc") }, async () => {
  const source = join(folder, "orders.rs");
  writeFileSync(
    source,
    `use std::collections::HashMap;
trait Load { fn load(&self, n: u32) -> HashMap<u32, Vec<u8>>; }
struct Orders;
impl Load for Orders {
    #[inline(never)]
    fn load(&self, n: u32) -> HashMap<u32, Vec<u8>> { (0..n).map(|i| (i, vec![0u8; 100])).collect() }
}
fn main() { std::process::exit(if Orders.load(50).len() == 50 { 0 } else { 1 }); }
`,
  );
  for (const mangling of ["legacy", "v0"]) {
    const runs: Comparable[] = [];
    for (const metadata of ["one", "two"]) {
      const place = join(folder, `${mangling}-${metadata}`);
      mkdirSync(place);
      const program = join(place, "orders");
      const flags = [`-Csymbol-mangling-version=${mangling}`, `-Cmetadata=${metadata}`, "-g", "-Copt-level=1"];
      const unstable = { ...process.env, RUSTC_BOOTSTRAP: "1" };
      const args = ["-Zunstable-options", ...flags, source, "-o", program];
      const built = spawnSync("rustc", args, { encoding: "utf8", env: unstable });
      assert.equal(built.status, 0, built.stderr);
      const out = join(place, "run.heaptap");
      await profile([program], { out, stdio: "ignore" });
      runs.push(await readComparable(out));
    }
    const [before, after] = runs as [Comparable, Comparable];
    // Keys are what the names' module makes of them.
    const differing = compare(before, after).paths.map(({ names }) => names.join(" "));
    assert.deepEqual(differing, [], mangling);
  }
});

const [older, newer] = await builds("growth.c", [], ["-DMORE"], "growth");
const saved = join(folder, "old.json");
heaptap(["report", "--format", "json", "-o", saved, older]);

test("a comparison has both timelines and each frame's place, from recordings and from saved reports", async () => {
  for (const path of [older, saved]) {
    const run = await readComparable(path);
    assert.ok(run.timeline.length > 0);
    assert.deepEqual(Object.keys(run.timeline[0] ?? {}), ["seconds", "bytes"]);
    const { before, paths } = compare(run, await readComparable(newer));
    assert.deepEqual(before.timeline, run.timeline);
    const parse = paths.find(({ names }) => names[0] === "parse");
    assert.match(`${parse?.frames[0]?.file}:${parse?.frames[0]?.line}`, /growth\.c:\d+$/);
    assert.equal(parse?.frames.length, parse?.names.length);
  }
});

test("by function, module, file and line", async () => {
  const [before, after] = [await readComparable(older), await readComparable(newer)];
  const own = (by: Parameters<typeof compareGroups>[2]) =>
    compareGroups(before, after, by).filter(({ self }) => self.before.bytes !== self.after.bytes)
      .map(({ name, state, self }) => [name.replace(/^.*\//, ""), state, self.before.bytes, self.after.bytes]);
  assert.deepEqual(own("function"), [["extra", "new", 0, 2000], ["parse", "both", 1000, 2500], [
    "gone",
    "gone",
    21,
    0,
  ]]);
  assert.deepEqual(own("module"), [["growth", "both", 1271, 4750]]);
  assert.deepEqual(own("file"), [["growth.c", "both", 1271, 4750]]);
  assert.deepEqual(own("line").map(([, state, , after]) => [state, after]), [["new", 2000], ["both", 2500], [
    "gone",
    0,
  ]]);
  const main = compareGroups(before, after, "function").find(({ name }) => name === "main");
  assert.deepEqual([main?.self.after.bytes, main?.inclusive.before.bytes, main?.inclusive.after.bytes], [
    0,
    1271,
    4750,
  ]);
  const text = heaptap(["compare", "--group-by", "function", older, newer]).stdout;
  assert.match(text, /\nallocated by function: \d+ changed\n/);
  assert.match(text, /\n +1\.00 KB → 2\.50 KB +\+1\.50 KB +\(\+15 blocks\) +\+1\.50 KB {2}parse\n/);
  const json = JSON.parse(heaptap(["compare", "--group-by", "module", "--format", "json", older, newer]).stdout);
  assert.equal(json.group_by, "module");
  assert.ok(json.groups.some((group: { self: { after: { bytes: number } } }) => group.self.after.bytes === 4750));
  assert.match(heaptap(["compare", "--group-by", "file", "--format", "html", older, newer]).stderr, /groups are text/);
});

test("filters select what is compared and judged, of recordings and of saved reports", () => {
  for (const before of [older, saved]) {
    const of = (...args: string[]) => {
      const { status, stdout, stderr } = heaptap(["compare", "--format", "json", ...args, before, newer]);
      assert.equal(status, 0, stderr);
      const { before: was, after, paths } = JSON.parse(stdout);
      return [was.bytes, after.bytes, paths.map((path: { function: string }) => path.function).join(" ")];
    };
    assert.deepEqual(of("--filter", "^(parse|extra)$"), [1000, 4500, "extra parse"]);
    assert.deepEqual(of("--exclude", "^parse$", "--sort-by", "count"), [271, 2250, "extra render gone"]);
    assert.deepEqual(of("--view", "peak"), [1271, 4750, "extra parse render"]);
    assert.deepEqual(of("--filter", "no such function"), [0, 0, ""]);
  }
  const grown = ["compare", "--max-growth", "10"];
  assert.equal(heaptap([...grown, "--filter", "^render$", "--view", "allocated", older, newer]).status, 0);
  assert.equal(heaptap([...grown, "--filter", "^parse$", older, newer]).status, 3);
});

test("known leaks are left out of what is live, of both runs", () => {
  const known = join(folder, "known");
  writeFileSync(known, "leak:parse\n");
  for (const before of [older, saved]) {
    const { stdout } = heaptap(["compare", "--format", "json", "--suppressions", known, before, newer]);
    const { before: was, after } = JSON.parse(stdout);
    assert.deepEqual([was.live_bytes, after.live_bytes], [21, 2000]);
  }
});

test("threads, moments and processes are told apart in recordings, and a saved report says that it cannot", async () => {
  const threads = await builds("threads.c", [], [], "threads");
  const whole = JSON.parse(heaptap(["compare", "--format", "json", ...threads]).stdout);
  const none = JSON.parse(heaptap(["compare", "--format", "json", "--thread", "^no such", ...threads]).stdout);
  assert.ok(whole.before.allocations > 0);
  assert.deepEqual([none.before.allocations, none.after.bytes], [0, 0]);
  const all = JSON.parse(heaptap(["compare", "--format", "json", "--thread", ".", ...threads]).stdout);
  assert.deepEqual([all.before.allocations, all.before.live_bytes], [whole.before.allocations, 0]);

  for (const path of threads) Recording.open(path).mark("end");
  const since = JSON.parse(heaptap(["compare", "--format", "json", "--since", "end", ...threads]).stdout);
  assert.deepEqual([since.before.allocations, since.after.allocations], [0, 0]);

  const pids = threads.map((path) => Recording.open(path).profile().process.pid);
  const args = ["compare", "--format", "json", "--process", pids.join(","), ...threads];
  assert.deepEqual(JSON.parse(heaptap(args).stdout).before.allocations, whole.before.allocations);
  assert.match(heaptap(["compare", "--process", "1", ...threads]).stderr, /Cannot show process 1: /);
  assert.match(heaptap(["compare", "--process", "x", ...threads]).stderr, /number of a process, or two: OLD,NEW/);

  for (const option of [["--thread", "x"], ["--since", "end"], ["--process", "1"]]) {
    const { status, stderr } = heaptap(["compare", ...option, saved, newer]);
    assert.equal(status, 2);
    assert.match(stderr, /^heaptap: Cannot tell .* apart in ".*old\.json": a saved report does not have/);
  }
});

test("all processes of two runs together", () => {
  const place = join(folder, "family");
  mkdirSync(place);
  const program = target(folder, "growth.c");
  const run = (name: string, times: number) => {
    const out = join(place, `${name}.heaptap`);
    const script = Array(times).fill(program).join("; ");
    assert.equal(heaptap(["run", "--no-report", "-o", out, "--", "sh", "-c", `${script}; exit 0`]).status, 0);
    return out;
  };
  const files = [run("one", 1), run("three", 3)];
  const args = ["compare", "--all", "--format", "json", "--filter", "^parse$", ...files];
  const { before, after } = JSON.parse(heaptap(args).stdout);
  assert.deepEqual([before.bytes, after.bytes], [1000, 3000]);
});

test("budgets, JUnit, annotations and the exit status are those of run", () => {
  const junit = join(folder, "compare.xml");
  const over = heaptap([
    "compare",
    "--max-growth",
    "5",
    "--budget",
    "^parse$:max-bytes=2KB",
    "--junit",
    junit,
    older,
    newer,
  ], {
    env: { GITHUB_ACTIONS: "true" },
  });
  assert.equal(over.status, 3);
  assert.match(over.stderr, /over budget: max-growth of bytes: 4\.75 KB/);
  assert.match(over.stderr, /^::error file=.*growth\.c,line=\d+::heaptap over budget: max-bytes of/m);
  assert.match(readFileSync(junit, "utf8"), /tests="4" failures="4"/);
  assert.equal(heaptap(["compare", "--max-growth", "400", "--max-bytes", "4750", older, newer]).status, 0);
  assert.equal(heaptap(["compare", "--max-peak", "4499", older, newer]).status, 3);
  const threads = heaptap(["compare", "--thread", "x", "--max-live", "1", older, newer]);
  assert.deepEqual([threads.status, /Cannot judge max-live of threads/.test(threads.stderr)], [2, true]);
});

/** Cells of a row of a Markdown table, as GitHub parts them. */
function cells(row: string): string[] {
  return [...row.slice(1).matchAll(/((?:\\.|[^\\|])*)\|/g)].map(([, cell = ""]) => cell.trim().replaceAll("\\|", "|"));
}

test("Markdown has verdicts on top, totals, and what changed behind a fold", async () => {
  const [before, after] = [await readComparable(older), await readComparable(newer)];
  const verdicts = judge(after, [{ limit: "max-allocations", allowed: 1e6 }], { before, percent: 5 });
  const text = compareMarkdown(compare(before, after), { limit: 2, verdicts });
  const order = ["### heaptap: over budget", "- **Over budget**: `max-growth of allocations`", "- 1 budget kept"];
  const at = [...order, "| allocated", "<details>", "| +2.00 KB", "and 1 more", "</details>"].map((part) =>
    text.indexOf(part)
  );
  assert.deepEqual(at.toSorted((a, b) => a - b), at, text);
  assert.ok(at.every((i) => i >= 0), text);
  const row = text.split("\n").find((line) => line.includes("`parse`") && line.startsWith("|"));
  const [change, was, is, blocks, name, place, callers] = cells(row ?? "");
  assert.deepEqual([change, was, is, blocks, name, callers], [
    "+1.50 KB",
    "1.00 KB",
    "2.50 KB",
    "+15",
    "`parse`",
    "`← main growth.c:41`",
  ]);
  assert.match(place ?? "", /^`growth\.c:\d+`$/);
});

test("no name breaks out of its cell or its code", () => {
  const names = [
    "a|b",
    "x`y``z",
    "`tick`",
    "<img src=x onerror=alert(1)>",
    "@everyone",
    "a\\|b",
    "p|\\",
    "</details>",
    "a\nb",
  ];
  for (const name of names) {
    const run = made([]);
    const frames = [{ ...frame("x"), function: name, key: name }];
    const text = compareMarkdown(compare(run, { ...run, paths: collect([[frames, figures(2)]]) }), { limit: 0 });
    const row = text.split("\n").find((line) => line.startsWith("|") && line.includes("new ")) ?? "";
    const found = cells(row);
    assert.equal(found.length, 7, row);
    const [, fence = "", inside = ""] = /^new (`+) ?(.*?) ?\1$/.exec(found[4] ?? "") ?? [];
    assert.ok(fence && !inside.split(/[^`]+/).includes(fence), row);
    assert.equal(inside.replaceAll("\\", ""), name.replace("\n", "\ufffd").replaceAll("\\", ""), row);
  }
});

test("the summary of a workflow's step is added to, by compare and by run --compare", () => {
  const summary = join(folder, "summary.md");
  writeFileSync(summary, "before\n");
  const env = { GITHUB_STEP_SUMMARY: summary };
  const markdown = heaptap(["compare", "--format", "markdown", older, newer], { env });
  assert.equal(readFileSync(summary, "utf8"), `before\n${markdown.stdout}\n`);
  assert.match(markdown.stdout, /^### heaptap: allocated \+3\.48 KB \(\+273\.7%\)\n/);
  const program = target(join(folder, "growth1"), "growth.c", "-DMORE");
  const out = join(folder, "again.heaptap");
  const run = heaptap(["run", "--no-report", "-o", out, "--compare", older, "--max-growth", "1", "--", program], {
    env,
  });
  assert.equal(run.status, 3);
  assert.match(readFileSync(summary, "utf8"), /### heaptap: over budget/);
  const lost = heaptap(["compare", older, newer], { env: { GITHUB_STEP_SUMMARY: "/nowhere/summary" } });
  assert.deepEqual([lost.status, /Cannot write the step's summary/.test(lost.stderr)], [0, true]);
});

test("equal runs say so", () => {
  const { stdout } = heaptap(["compare", older, older]);
  assert.match(stdout, /\n0 call paths differ, 3 are the same\n$/);
  assert.match(
    heaptap(["compare", "--format", "markdown", older, older]).stdout,
    /^### heaptap: allocated: no change\n/,
  );
});
