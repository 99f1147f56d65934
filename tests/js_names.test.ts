/** Names of JavaScript functions while their code moves, in a script's own process and under `heaptap run`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { profile, Symbols } from "../mod.ts";
import { sourcesOf } from "../src/symbols/transpiled.ts";
import { compileBlocks } from "./blocks.ts";
import { ROOT, scratch } from "./helpers.ts";

const folder = scratch();
const library = compileBlocks(folder);
const script = join(ROOT, "tests/scripts/moves.ts");
const source = readFileSync(script, "utf8").split("\n");
/** The lines that V8 may call a function's: where it begins, 1-based. */
const lineOf = (name: string) => source.findIndex((line) => line.includes(`function ${name}(`)) + 1;

const RUNTIMES: readonly (readonly [name: string, command: readonly string[], env: Record<string, string>])[] = [
  ["Deno", [join(ROOT, "node_modules/.bin/deno"), "run", "-A"], {
    DENO_V8_FLAGS: "--perf-basic-prof,--interpreted-frames-native-stack",
    DENO_DIR: join(folder, "deno"),
  }],
  ["Node", [join(ROOT, "node_modules/.bin/node"), "--experimental-ffi"], {
    NODE_OPTIONS: "--perf-basic-prof --interpreted-frames-native-stack",
  }],
];

type Frame = readonly [name: string, file: string, line: number];

/** Every stack with a kept block leads through the two functions, at their lines, and no other of the script's below them. */
function check(rows: readonly { readonly liveCount: number; readonly frames: readonly Frame[] }[], kept: number): void {
  assert.equal(rows.reduce((n, row) => n + row.liveCount, 0), kept);
  const allowed = new Map(["keepHere", "handleRequest", "turn"].map((name) => [name, lineOf(name)]));
  for (const { frames } of rows) {
    const scripts = frames.filter(([, file]) => /\.ts$/.test(file));
    const text = JSON.stringify(frames);
    // Inlined functions have no frames: what is left stands in its order.
    const [inner] = scripts;
    assert.ok(inner && (inner[0] === "keepHere" || inner[0] === "handleRequest"), text);
    for (const [name, file, line] of scripts) {
      assert.equal(file, script, text);
      // What the script does at its outermost has no name; out of a cache of code it begins elsewhere.
      const outermost = /^\((?:script|anonymous)\)$/.test(name);
      assert.ok(outermost || line === allowed.get(name), `${name}:${line} in ${text}`);
    }
  }
}

/** Perf maps of processes that are over. */
function tidy(pids: Iterable<number | undefined>): void {
  for (const pid of pids) if (pid) rmSync(`/tmp/perf-${pid}.map`, { force: true });
}

for (const [name, [program = "", ...flags], env] of RUNTIMES) {
  test(`${name}: names of code that moves, in the script's own process`, () => {
    const result = spawnSync(program, [...flags, script, library, "report"], {
      encoding: "utf8",
      env: { ...process.env, ...env },
      cwd: scratch(),
    });
    tidy([result.pid]);
    assert.equal(result.status, 0, result.stderr);
    const { kept, rows } = JSON.parse(result.stdout);
    assert.equal(kept, 20_000);
    check(rows, kept);
  });

  test(`${name}: names of code that moves, under heaptap run --js-names`, async () => {
    const out = join(folder, `${name}.heaptap`);
    const { recording } = await profile([program, ...flags, script, library], {
      out,
      jsNames: true,
      cwd: folder,
      stdio: "ignore",
      env: { ...process.env, DENO_DIR: join(folder, "deno") },
    });
    assert.ok(recording);
    assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith("-v8.log")), []);
    const recorded = recording.chosen().recording.profile();
    // Lines are looked for where Deno keeps what it made of its sources.
    process.env.DENO_DIR = join(folder, "deno");
    using symbols = new Symbols(recorded);
    await symbols.resolve(recorded.callPaths);
    delete process.env.DENO_DIR;
    tidy([recorded.process.pid]);
    const rows = recorded.callPaths.flatMap((path) => {
      const frames = symbols.stack(path).map((frame): Frame => [frame.function, frame.file, frame.line]);
      return frames.some(([name]) => name === "keep") ? [{ liveCount: path.liveCount, frames }] : [];
    });
    check(rows, 20_000);
  });
}

test("Node without flags: names of code that moves, in the script's own process", () => {
  const [program = "", flag = ""] = RUNTIMES[1]?.[1] ?? [];
  const run = (...args: string[]) =>
    spawnSync(program, [flag, "--disable-warning=ExperimentalWarning", ...args], { encoding: "utf8", cwd: folder });
  const result = run(script, library, "names");
  assert.equal(result.status, 0, result.stderr);
  const { kept, rows } = JSON.parse(result.stdout);
  assert.equal(kept, 20_000);
  check(rows, kept);
  assert.equal(existsSync(`/tmp/perf-${result.pid}.map`), false, "it goes with the process");
  // A recording on the disk keeps it; and workers tell their own.
  const other = join(folder, "named.mjs");
  const out = join(folder, "named.heaptap");
  writeFileSync(
    other,
    `import { Worker, isMainThread } from "node:worker_threads";
import { callSites, install } from ${JSON.stringify(join(ROOT, "mod.ts"))};
const { notes } = install({ jsNames: true, out: ${JSON.stringify(out)} });
function inMain() { return new Uint8Array(123456); }
function inWorker() { return new Uint8Array(234567); }
const kept = isMainThread ? inMain() : inWorker();
const names = (await callSites({ limit: 0 })).filter((site) => [123456, 234567].includes(site.bytes))
  .flatMap((site) => site.stack.map((frame) => frame.function)).filter((name) => /^in(Main|Worker)$/.test(name));
console.log(JSON.stringify({ notes, names, kept: kept.length }));
if (isMainThread) new Worker(new URL(import.meta.url));
`,
  );
  const both = run(other);
  const said = both.stdout.trim().split("\n").map((line) => JSON.parse(line));
  const [, { names = [] } = {}] = said;
  assert.deepEqual(said[0], { notes: [], names: ["inMain"], kept: 123456 }, both.stderr);
  assert.ok(names.includes("inWorker"), both.stdout);
  const map = `/tmp/perf-${both.pid}.map`;
  assert.match(readFileSync(map, "utf8"), /^[0-9a-f]+ [0-9a-f]+ JS:[~+*^o']*inMain file:.*named\.mjs:4:16$/m);
  tidy([both.pid]);
});

test("where names cannot be told, install says so, with what would tell them", () => {
  const other = join(folder, "asks.mjs");
  writeFileSync(
    other,
    `import { install } from ${JSON.stringify(join(ROOT, "mod.ts"))};
console.log(install({ jsNames: true }).notes.join());
`,
  );
  const [[, [deno = "", ...flags] = []] = []] = RUNTIMES;
  const env = { ...process.env, DENO_DIR: join(folder, "deno") };
  assert.match(
    spawnSync(deno, [...flags, other], { encoding: "utf8", env }).stdout,
    /Deno tells them from its start on, with --v8-flags=--perf-basic-prof/,
  );
  assert.match(
    spawnSync(join(ROOT, "node_modules/.bin/bun"), [other], { encoding: "utf8" }).stdout,
    /Bun does not tell them/,
  );
  const told = spawnSync(deno, [...flags, other], {
    encoding: "utf8",
    cwd: scratch(),
    env: { ...env, DENO_V8_FLAGS: "--perf-basic-prof,--interpreted-frames-native-stack" },
  });
  assert.equal(told.stdout, "\n");
  tidy([told.pid]);
});

test("lines are the source's: Deno's translation, maps beside a script and inside it", () => {
  const path = join(folder, "lines.ts");
  writeFileSync(
    path,
    "interface A { x: number }\ntype B = A;\n\n\nexport function far(b: B) { return b.x; }\nfar({ x: 1 });\n",
  );
  const env = { ...process.env, DENO_DIR: join(folder, "deno2") };
  assert.equal(spawnSync(join(ROOT, "node_modules/.bin/deno"), ["run", path], { env }).status, 0);
  const emitted = join(folder, "deno2/gen/file", `${path}.js`);
  const text = readFileSync(emitted, "utf8").split("\n");
  const line = text.findIndex((line) => line.includes("function far")) + 1;
  assert.ok(line > 0 && line < 5, "Deno moves lines");
  process.env.DENO_DIR = join(folder, "deno2");
  try {
    assert.deepEqual(sourcesOf(true)(`file://${path}`, line, 17), { file: path, line: 5 });
    // A checkout makes a file newer that has not changed: Deno translates by what is in it. Of another source no line is told.
    utimesSync(path, new Date(), new Date(Date.now() + 60_000));
    assert.deepEqual(sourcesOf(true)(`file://${path}`, line, 17), { file: path, line: 5 });
    const before = readFileSync(path, "utf8");
    writeFileSync(path, `\n${before}`);
    assert.deepEqual(sourcesOf(true)(`file://${path}`, line, 17), { file: path, line: 0 });
    writeFileSync(path, before);
    // Without a map no line is told; and Node takes types away without moving lines.
    process.env.DENO_DIR = join(folder, "nowhere");
    assert.deepEqual(sourcesOf(true)(`file://${path}`, line, 17), { file: path, line: 0 });
    assert.deepEqual(sourcesOf(false)(`file://${path}`, 5, 17), { file: path, line: 5 });
  } finally {
    delete process.env.DENO_DIR;
  }
  const map = { version: 3, sources: ["../src/far.ts"], names: [], mappings: "AAIA" };
  mkdirSync(join(folder, "dist"), { recursive: true });
  const beside = join(folder, "dist/far.js"),
    inside = join(folder, "dist/near.js"),
    none = join(folder, "dist/none.js");
  writeFileSync(beside, "function far(){}\n//# sourceMappingURL=far.js.map\n");
  writeFileSync(`${beside}.map`, JSON.stringify(map));
  writeFileSync(
    inside,
    `function far(){}\n//# sourceMappingURL=data:application/json;base64,${btoa(JSON.stringify(map))}\n`,
  );
  writeFileSync(none, "function far(){}\n//# sourceMappingURL=lost.js.map\n");
  const source = sourcesOf(false);
  for (const script of [beside, inside]) {
    assert.deepEqual(source(`file://${script}`, 1, 1), { file: join(folder, "src/far.ts"), line: 5 });
  }
  assert.deepEqual(source(none, 1, 1), { file: none, line: 1 });
  assert.deepEqual(source("node:fs", 3, 1), { file: "node:fs", line: 3 });
  assert.ok(readdirSync(join(folder, "dist")).length === 4);
});
