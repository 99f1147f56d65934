/** What the command line makes of endings, short forms and mistyped values. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { profile } from "../mod.ts";
import { formatOf, nearest } from "../src/command/choices.ts";
import { CLI, heaptap, RUNTIME, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const program = target(folder, "growth.c");
const file = join(folder, "a.heaptap");
await profile([program], { out: file, stdio: "ignore" });

test("a file's ending names its format", () => {
  const all = ["text", "json", "pprof", "dhat", "speedscope", "collapsed", "csv", "massif", "html"];
  const named: [string, string | undefined][] = [
    ["a.html", "html"],
    ["a.HTM", "html"],
    ["a.json", "json"],
    ["a.pb.gz", "pprof"],
    ["a.csv", "csv"],
    ["a.txt", "text"],
    ["a.md", "text"],
    ["a.folded", "collapsed"],
    ["a.speedscope.json", "speedscope"],
    ["x/dhat.out.12", "dhat"],
    ["massif.out.7", "massif"],
    ["a.xml", undefined],
    ["a.gz", undefined],
    ["html", undefined],
    ["-", undefined],
  ];
  for (const [path, format] of named) assert.equal(formatOf(path, all), format, path);
  assert.equal(formatOf("a.md", ["text", "markdown"]), "markdown");
  assert.throws(() => formatOf("a.csv", ["text", "markdown"]), /Cannot write "a.csv" as csv: it takes text, markdown/);
});

const beginnings: readonly (readonly [ending: string, begins: RegExp])[] = [
  ["html", /^<!DOCTYPE html>/],
  ["json", /^\{\n "version": 2/],
  ["pb.gz", /^[^\w\s<{]/],
  ["csv", /^allocations,bytes,/],
  ["txt", /^heaptap: /],
  ["folded", /^main.*;parse \d+\n/],
  ["speedscope.json", /^\{"\$schema":"https:\/\/www\.speedscope/],
];

test("a report is in the format of its file's ending; --format wins", () => {
  for (const [ending, begins] of beginnings) {
    const path = join(folder, `report.${ending}`);
    const { status, stderr } = heaptap(["report", "-o", path, file]);
    assert.equal(status, 0, stderr);
    assert.match(readFileSync(path, "latin1"), begins);
  }
  const path = join(folder, "run.csv");
  heaptap(["run", "-o", join(folder, "b.heaptap"), "--report-file", path, "--", program]);
  assert.match(readFileSync(path, "utf8"), /^allocations,bytes,/);
  heaptap(["report", "--format", "text", "-o", path, file]);
  assert.match(readFileSync(path, "utf8"), /^heaptap: /);
  const compared = join(folder, "compare.md");
  heaptap(["compare", "-o", compared, file, file]);
  assert.match(readFileSync(compared, "utf8"), /^### heaptap: /);
});

test("short forms are what they stand for", () => {
  const shown = (...args: string[]) => heaptap(["report", ...args, file]).stdout;
  assert.equal(shown("--leaks"), shown("--view", "live"));
  assert.equal(shown("--peak", "--top", "1"), shown("--view", "peak", "--limit", "1"));
  const page = join(folder, "page.html");
  assert.equal(heaptap(["report", "--html", page, file]).status, 0);
  assert.match(readFileSync(page, "utf8"), /^<!DOCTYPE html>/);
  const change = join(folder, "change.html");
  assert.equal(heaptap(["compare", "--html", change, file, file]).status, 0);
  assert.match(readFileSync(change, "utf8"), /^<!DOCTYPE html>/);
  const run = join(folder, "run.html");
  assert.equal(heaptap(["run", "-o", join(folder, "c.heaptap"), "--html", run, "--", program]).status, 0);
  assert.ok(existsSync(run));
  for (const args of [["--html", page, "-o", "x.txt"], ["--html", page, "--format", "json"]]) {
    const { status, stderr } = heaptap(["report", ...args, file]);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^heaptap: Cannot write one report (to two files|in two formats): --html FILE is --format html/,
    );
  }
});

test("a mistyped value is told with what it was to be", () => {
  const mistyped: [string, string, string | undefined][] = [
    ["--view", "alocated", "allocated"],
    ["--format", "htm", "html"],
    ["--sort-by", "sise", "size"],
    ["--group-by", "func", "function"],
    ["--symboliser", "addr2lien", "addr2line"],
    ["--format", "xyz", undefined],
  ];
  for (const [option, value, near] of mistyped) {
    const { status, stderr } = heaptap(["report", option, value, file]);
    assert.equal(status, 2);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, /^heaptap: option '.*' argument '.*' is invalid\. Allowed choices are /);
    assert.equal(/ Did you mean (.*)\?\n$/.exec(stderr)?.[1], near, stderr);
  }
  assert.equal(nearest("ab", ["xy", "zw"]), undefined);
  assert.equal(nearest("s", ["size", "count"]), undefined);
});

test("a page is not poured into a terminal", { skip: without("script") }, () => {
  mkdirSync(join(folder, "terminal"));
  for (const args of [["report", "--format", "html", file], ["compare", "--format", "html", file, file]]) {
    const command = [...CLI, ...args].map((word) => `'${word}'`).join(" ");
    const log = join(folder, "terminal", "log");
    const { stdout } = spawnSync("script", ["-qec", command, log], { encoding: "utf8" });
    assert.match(stdout, /Cannot write html to a terminal: it is a page for a browser; name a file with -o/);
    assert.doesNotMatch(stdout, /DOCTYPE/);
  }
});

test("what is no text is not put among the words of a run, and the program does not start", () => {
  const made = join(folder, "not-started");
  for (const format of ["pprof", "html"]) {
    const { status, stderr } = heaptap(["run", "--format", format, "--", "touch", made]);
    assert.equal(status, 2);
    assert.match(
      stderr,
      new RegExp(`^heaptap: Cannot write ${format} to stderr, .*; name a file with --report-file\n$`),
    );
  }
  assert.ok(!existsSync(made));
  assert.equal(heaptap(["run", "--format", "html", "--no-report", "-o", `${made}.heaptap`, "--", "true"]).status, 0);
});

test("a report goes whole into a pipe that is full and does not wait, or that is an error", {
  skip: without("python3"),
}, () => {
  const script = `
import os, subprocess, sys, time
read, write = os.pipe()
os.set_blocking(write, False)
child = subprocess.Popen(sys.argv[1:], stdout=write)
os.close(write)
time.sleep(1)
said = b""
while piece := os.read(read, 65536):
    said += piece
sys.stdout.buffer.write(said)
sys.exit(child.wait())
`;
  const many = join(folder, "many.heaptap");
  assert.equal(heaptap(["run", "--no-report", "-o", many, "--", target(folder, "manypaths.c"), "12"]).status, 0);
  const report = ["report", "--format", "json", "--limit", "0", many];
  const { status, stdout, stderr } = spawnSync("python3", ["-c", script, ...CLI, ...report], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: 60_000,
  });
  const whole = heaptap(report).stdout;
  assert.ok(whole.length > 500_000, String(whole.length));
  if (RUNTIME === "Deno") {
    // It does not tell how far it came: what is there is not written once more.
    assert.equal(status, 2);
    assert.match(stderr, /^heaptap: Cannot write to stdout: /);
    assert.ok(whole.startsWith(stdout), String(stdout.length));
  } else {
    assert.equal(status, 0);
    assert.ok(stdout === whole, String(stdout.length));
  }
});

test("pprof's first mapping is the program", { skip: without("go") }, () => {
  const path = join(folder, "order.pb.gz");
  heaptap(["report", "-o", path, file]);
  const { stdout } = spawnSync("go", ["tool", "pprof", "-raw", path], { encoding: "utf8" });
  const [, first] = /\nMappings\n1?\d*: .*? (\S+growth)/.exec(stdout) ?? [];
  assert.equal(first, program, stdout.slice(stdout.indexOf("Mappings")));
  const top = spawnSync("go", ["tool", "pprof", "-top", path], { encoding: "utf8" });
  assert.match(top.stdout, /^File: growth\n/);
});

test("the manual page has every command and option that help has, and formats without a warning", {
  skip: without("man") || without("groff"),
}, () => {
  const page = heaptap(["man"]).stdout;
  const plain = page.replaceAll("\\-", "-");
  const commands = [...heaptap(["--help"]).stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name ?? "");
  assert.ok(commands.length > 12, commands.join(" "));
  for (const command of commands.filter((name) => name !== "help")) {
    assert.match(plain, new RegExp(`^\\.SS heaptap ${command} `, "m"));
    for (const [, option] of heaptap([command, "--help"]).stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)) {
      assert.ok(plain.includes(`${option}`), `${command} ${option}`);
    }
  }
  const formatted = spawnSync("man", ["--warnings", "-l", "-"], { input: page, encoding: "utf8" });
  assert.deepEqual([formatted.status, formatted.stderr], [0, ""]);
  assert.match(formatted.stdout, /heaptap run -- sort -n numbers\.txt/);
});
