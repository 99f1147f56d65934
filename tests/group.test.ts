/** Groups, trees and suppressions, on a program whose every figure is known (tests/targets/growth.c with MORE). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { callTree, filterByName, groupPaths, parseSuppressions, profile, suppressLeaks, Symbols } from "../mod.ts";
import { heaptap, ROOT, RUNTIME, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const file = join(folder, "growth.heaptap");
const { recording } = await profile([target(folder, "growth.c", "-DMORE")], { out: file, stdio: "ignore" });
assert.ok(recording);
const recorded = recording.profile();
const symbols = new Symbols(recorded);
await symbols.resolve(recorded.callPaths);

test("functions have what they allocate themselves, and what goes through them", () => {
  const groups = new Map(groupPaths(recorded, symbols, "function").map((g) => [g.name, g]));
  const figures = (name: string) => {
    const g = groups.get(name);
    return [g?.self.allocations, g?.self.bytes, g?.inclusive.allocations, g?.inclusive.bytes];
  };
  assert.deepEqual(figures("parse"), [25, 2500, 25, 2500]);
  assert.deepEqual(figures("render"), [5, 250, 5, 250]);
  assert.deepEqual(figures("extra"), [2, 2000, 2, 2000]);
  assert.deepEqual(figures("main"), [0, 0, 32, 4750]);
  assert.deepEqual([groups.get("render")?.self.temporary, groups.get("main")?.inclusive.peakBytes], [5, 4500]);
});

test("modules, files, lines and threads sum up to the totals", () => {
  for (const by of ["module", "file", "line", "thread"] as const) {
    const self = groupPaths(recorded, symbols, by).reduce((n, g) => n + g.self.bytes, 0);
    assert.equal(self, recorded.totals.bytes, by);
  }
  const lines = groupPaths(recorded, symbols, "line").filter((g) => /growth\.c:\d+$/.test(g.name) && g.self.bytes > 0);
  assert.deepEqual(lines.map((g) => g.self.bytes).sort((a, b) => a - b), [250, 2000, 2500]);
});

test("trees of callers and callees", () => {
  const callers = callTree(recorded, symbols, /^(parse|extra)$/, "callers");
  assert.equal(callers.figures.bytes, 4500);
  assert.deepEqual([...callers.children.keys()].sort(), ["extra", "parse"]);
  assert.deepEqual([...callers.children.get("parse")?.children.keys() ?? []], ["main"]);
  const callees = callTree(recorded, symbols, /^main$/, "callees");
  assert.deepEqual([...callees.children.get("main")?.children.keys() ?? []].sort(), ["extra", "parse", "render"]);
  assert.equal(callees.children.get("main")?.children.get("render")?.figures.bytes, 250);
  assert.equal(callTree(recorded, symbols, /^nobody$/, "callers").children.size, 0);
});

test("patterns with the flags g and y find the same each time", () => {
  for (const flags of ["", "g", "y", "gy"]) {
    assert.equal(callTree(recorded, symbols, new RegExp("parse", flags), "callers").figures.bytes, 2500, flags);
    const kept = filterByName(recorded, symbols, { filter: new RegExp("main", flags) }).callPaths;
    assert.equal(kept.reduce((n, path) => n + path.bytes, 0), 4750, flags);
  }
});

test("recursion is folded in trees and counted once in groups", async () => {
  const code =
    "#include <stdlib.h>\n#define N __attribute__((noinline))\nN void *deep(int n) { void *volatile p = n ? deep(n - 1) : malloc(64); return p; }\n" +
    "int main(void) { for (int i = 1; i < 5; i++) deep(i); return 0; }\n";
  writeFileSync(join(folder, "deep.c"), code);
  const program = join(folder, "deep");
  assert.equal(spawnSync("cc", ["-g", "-O0", "-o", program, join(folder, "deep.c")]).status, 0);
  const run = await profile([program], { out: join(folder, "deep.heaptap"), stdio: "ignore" });
  assert.ok(run.recording);
  const deep = run.recording.profile();
  using names = new Symbols(deep);
  await names.resolve(deep.callPaths);
  assert.ok(deep.callPaths.length >= 4);
  assert.equal(groupPaths(deep, names, "function").find((g) => g.name === "deep")?.inclusive.bytes, 256);
  const tree = callTree(deep, names, /^deep$/, "callers");
  assert.deepEqual([...tree.children.get("deep")?.children.keys() ?? []], ["main"]);
});

test("the command line: groups as text and JSON, trees as text, and what cannot be", () => {
  const text = heaptap(["report", "--group-by", "function", file]).stdout;
  assert.match(text, /^allocated by function: \d+ of them, 4\.75 KB in all\n/);
  assert.match(text, /\n +2\.50 KB +52\.6% +2\.50 KB +52\.6% +25 {2}parse\n/);
  assert.match(text, /\n +0 B +0\.0% +4\.75 KB 100\.0% +0 {2}main\n/);
  const json = JSON.parse(heaptap(["report", "--group-by", "module", "--format", "json", file]).stdout);
  assert.equal(json.group_by, "module");
  assert.equal(json.groups.find((g: { name: string }) => g.name.endsWith("/growth")).self.bytes, 4750);
  const tree = heaptap(["report", "--callees", "^main$", file]).stdout;
  assert.match(tree, /^allocated, by callees: 4\.75 KB\n\n +4\.75 KB 100\.0% {2}main\n +2\.50 KB +52\.6% {4}parse\n/);
  assert.match(heaptap(["report", "--callers", "^nobody$", file]).stdout, /no function matches/);
  for (
    const args of [["--group-by", "line", "--format", "csv"], ["--callers", "main", "--format", "json"], [
      "--group-by",
      "thread",
      "--view",
      "peak",
    ]]
  ) {
    const { status, stderr } = heaptap(["report", ...args, file]);
    assert.equal(status, 2);
    assert.match(stderr, /^heaptap: Cannot [^\n]+\n$/);
  }
});

test("suppressions take known leaks out of what is live, and only that", () => {
  const without = suppressLeaks(recorded, symbols, parseSuppressions("# known\n\nleak:^par*e$\nrace:main\n"));
  assert.deepEqual([without.totals.liveBytes, without.totals.liveCount], [2000, 2]);
  assert.deepEqual([without.totals.bytes, without.totals.peakBytes], [4750, 4500]);
  assert.equal(suppressLeaks(recorded, symbols, parseSuppressions("leak:pars$")).totals.liveBytes, 4500);
  assert.equal(suppressLeaks(recorded, symbols, parseSuppressions("leak:growth.c")).totals.liveBytes, 0);
  assert.throws(
    () => parseSuppressions("leak:a\nsomething\n"),
    /line 2 is no suppression: "something"; it takes leak:PATTERN/,
  );
});

test("the command line takes suppressions, in reports and for --max-live", () => {
  const known = join(folder, "known.txt");
  writeFileSync(known, "leak:parse\n");
  const text = heaptap(["report", "-v", "--suppressions", known, file]).stdout;
  assert.match(text, /live at the end +2,000 B {2}in 2 blocks\n/);
  assert.match(text, /Top call paths by live at the end/);
  assert.equal(heaptap(["report", "--max-live", "2000", file]).status, 3);
  assert.equal(heaptap(["report", "--max-live", "2000", "--suppressions", known, file]).status, 0);
  const missing = heaptap(["report", "--suppressions", "/nowhere", file]);
  assert.deepEqual([missing.status, missing.stderr], [
    2,
    'heaptap: Cannot read the suppressions "/nowhere": there is no such file\n',
  ]);
  writeFileSync(known, "parse\n");
  assert.match(
    heaptap(["report", "--suppressions", known, file]).stderr,
    /^heaptap: Cannot read the suppressions ".*known\.txt": line 1 is no suppression: "parse"/,
  );
});

test("a typing error is met with what was meant", () => {
  const { status, stderr } = heaptap(["report", "--fliter", "x", file]);
  assert.equal(status, 2);
  assert.match(stderr, /unknown option '--fliter'\n?.*Did you mean --filter\?/);
  assert.match(heaptap(["reprot", file]).stderr, /Did you mean report\?/);
  // An option that help does not list, and a value for the name of its option.
  for (const [typed, meant] of [["--tp", "--top"], ["--json", "--format json"], ["--live", "--view live"]] as const) {
    assert.equal(
      heaptap(["report", typed, file]).stderr,
      `heaptap: unknown option '${typed}'\n(Did you mean ${meant}?)\n`,
    );
  }
});

test(
  "what Deno does not allow is one line",
  { skip: RUNTIME !== "Deno" && `${RUNTIME} has no such permissions` },
  () => {
    // From a script: Deno hands its own permissions on to a Deno that it sees itself start.
    const script = join(folder, "denied.sh");
    for (const [flags, command] of [["", "run"], ["--allow-env", "report"], ["--allow-env --allow-read", "run"]]) {
      writeFileSync(
        script,
        `exec "${process.execPath}" run --no-prompt ${flags} "${join(ROOT, "cli.ts")}" ${command} ls\n`,
      );
      const { status, stderr, stdout } = spawnSync("/bin/sh", [script], {
        encoding: "utf8",
        env: { ...process.env, NO_COLOR: "1" },
      });
      assert.deepEqual([status, stdout], [2, ""], stderr);
      assert.match(stderr, /^heaptap: .*--allow-\w+.*\n$/);
    }
  },
);

test("words of other profilers are met with the command", () => {
  for (
    const [words, meant] of [
      [["record", "--", "ls"], "run -- ls"],
      [["flamegraph", "a.heaptap"], "report --html flamegraph.html a.heaptap"],
      // Programs' names too, which what follows tells.
      [["diff", "a.heaptap", "b.heaptap"], "compare a.heaptap b.heaptap"],
      [["diff", "a", "b"], "run diff a b"],
    ] as const
  ) {
    const { status, stderr } = heaptap(words);
    assert.deepEqual([status, stderr], [
      2,
      `heaptap: there is no command "${words[0]}"; did you mean: heaptap ${meant}\n`,
    ]);
  }
});

test("completions: bash completes commands, options and values", () => {
  const script = heaptap(["completions", "bash"]).stdout;
  const complete = (...words: string[]) => {
    const set = `COMP_WORDS=(${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${
      words.length - 1
    }; _heaptap; echo "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["-c", `${script}\n${set}`], { encoding: "utf8" }).stdout.trim().split(" ");
  };
  assert.deepEqual(complete("heaptap", "re"), ["report", "resume", "resolve"]);
  assert.ok(complete("heaptap", "").includes("compare"));
  assert.deepEqual(complete("heaptap", "report", "--thr"), ["--thread", "--threshold-bytes"]);
  assert.deepEqual(complete("heaptap", "report", "--view", "p"), ["peak", "pinned"]);
  assert.ok(complete("heaptap", "run", "--format", "").includes("speedscope"));
  // The same option is another one elsewhere, and what stands behind -- another program's.
  assert.deepEqual(complete("heaptap", "compare", "a", "b", "--format", ""), ["text", "markdown", "json", "html"]);
  assert.deepEqual(complete("heaptap", "he"), ["help"]);
  assert.deepEqual(complete("heaptap", "help", "comp"), ["compare", "completions"]);
  assert.deepEqual(complete("heaptap", "completions", ""), ["bash", "zsh", "fish"]);
  assert.deepEqual(complete("heaptap", "run", "--", "ls", "--"), [""]);
});

test("an option before its command, help of a command that is none: what to write instead", () => {
  for (
    const [args, said] of [
      [
        ["--limit", "3", "run", "--", "true"],
        "unknown option '--limit': run takes it, as others do, behind its name: heaptap run --limit ...",
      ],
      [
        ["--js-names", "run"],
        "unknown option '--js-names': run takes it, as others do, behind its name: heaptap run --js-names ...",
      ],
      [["--nothing"], "unknown option '--nothing'"],
      [["help", "rnu"], 'There is no command "rnu"; did you mean: heaptap help run'],
      [["help", "nothing"], 'There is no command "nothing"; heaptap --help lists them'],
    ] as const
  ) {
    const { status, stderr, stdout } = heaptap(args);
    assert.deepEqual([status, stderr, stdout], [2, `heaptap: ${said}\n`, ""]);
  }
  assert.match(heaptap(["help", "run"]).stdout, /^Usage: heaptap run /);
});

for (const shell of ["zsh", "fish"] as const) {
  test(`completions: ${shell} takes its script`, { skip: without(shell) }, () => {
    const script = join(folder, `completions.${shell}`);
    writeFileSync(script, heaptap(["completions", shell]).stdout);
    assert.equal(spawnSync(shell, ["-n", script]).status, 0);
  });
}

test("completions for a shell that is none", () => {
  const { status, stderr } = heaptap(["completions", "tcsh"]);
  assert.equal(status, 2);
  assert.match(stderr, /Allowed choices are bash, zsh, fish/);
});
