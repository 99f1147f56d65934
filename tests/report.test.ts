import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { before, test } from "node:test";
import {
  answer,
  jsonReport,
  knownLeaks,
  libraryPath,
  profile,
  Recording,
  shownPaths,
  Symbols,
  textReport,
} from "../mod.ts";
import { readElf } from "../src/symbols/elf.ts";
import { PerfMap } from "../src/symbols/perfmap.ts";
import { SymbolTable } from "../src/symbols/symbol_table.ts";
import { bytes, clip, printable, seconds, share } from "../src/profile/format.ts";
import { CLI, heaptap, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const counts = join(folder, "counts.heaptap");
const inlined = join(folder, "inlined.heaptap");

before(async () => {
  await profile([target(folder, "counts.c")], { out: counts, stdio: "ignore" });
  await profile([target(folder, "inlined.cc", "-O2")], { out: inlined, stdio: "ignore" });
});

test("figures are readable", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(999), "999 B");
  assert.equal(bytes(1000), "1.00 KB");
  assert.equal(bytes(83_805_947), "83.8 MB");
  assert.equal(bytes(-2500), "-2.50 KB");
  assert.equal(bytes(999_600), "1.00 MB");
  assert.equal(share(1, 3), "33.3%");
  assert.equal(share(1, 0), "");
  assert.equal(seconds(0.0123), "12 ms");
  assert.equal(clip("abcdef", 4), "abc\u2026");
  assert.equal(printable("a\x1b[31mb\n"), "a\ufffd[31mb\ufffd");
});

test("the text report says who allocated what", () => {
  const { status, stdout } = heaptap(["report", counts]);
  assert.equal(status, 0);
  for (
    const text of [
      "1,111",
      "121 KB",
      "100 KB",
      "3.00 KB",
      "exit 7",
      "keep_then_free",
      "leak_every_tenth",
      "grow",
      "counts.c:",
    ]
  ) {
    assert.ok(stdout.includes(text), `${text} in\n${stdout}`);
  }
  assert.ok(stdout.split("\n").every((line) => line.length <= 80), stdout);
  assert.ok(!stdout.includes("\x1b"));
  const live = stdout.slice(stdout.indexOf("Top call paths by live at the end"));
  assert.match(live, /2\.00 KB +66\.7% +10 +leak_every_tenth counts\.c:\d+\n/);
});

test("empty sections are not printed, --limit and -v do what they say", () => {
  const { stdout } = heaptap(["report", "--limit", "1", "-v", counts]);
  assert.equal(stdout.slice(stdout.indexOf("Top ")).match(/keep_then_free/g)?.length, 2, stdout);
  assert.match(stdout, /121,000 B/);
  const whole = heaptap(["report", inlined]).stdout;
  assert.ok(!/operator new|__libc_start/.test(whole), whole);
  const raw = heaptap(["report", "-vvv", "--raw", inlined]).stdout;
  assert.match(raw, /operator new\(.*[^]*main .*[^]*__libc_start_main/);
  assert.ok(!whole.includes("Top call paths by temporary"), whole);
});

test("names, files, lines and inlined frames, by each symboliser that is there", async (t) => {
  const source = readFileSync(join(ROOT, "tests/targets/inlined.cc"), "utf8");
  const line = source.split("\n").findIndex((l) => l.includes("// the line")) + 1;
  const recorded = Recording.open(inlined).profile();
  const path = recorded.callPaths.find((c) => c.allocations === 100)!;
  for (const symboliser of ["llvm-symbolizer", "eu-addr2line", "addr2line"]) {
    await t.test(symboliser, { skip: without(symboliser) }, async () => {
      using symbols = new Symbols(recorded, { symboliser, cache: false });
      await symbols.resolve([path]);
      const stack = symbols.stack(path);
      assert.equal(symbols.problem, "");
      const at = stack.findIndex((f) => f.file.endsWith("inlined.cc"));
      assert.ok(at >= 0, JSON.stringify(stack));
      assert.deepEqual([stack[at]!.line, stack[at]!.inlined], [line, true]);
      // binutils 2.40 gives an inlined function the name of the one around it.
      if (symboliser !== "addr2line") assert.match(stack[at]!.function, /^fill_inlined/);
      assert.match(stack[at]!.file, /inlined\.cc$/);
      assert.match(stack[at + 1]!.function, /^make_blocks/);
      assert.equal(stack[at + 1]!.inlined, false);
      assert.equal(stack[0]!.kind, "allocation", stack[0]!.function);
    });
  }
});

test("debug files: by build id, by debuglink with its checksum, in a folder that is named; of another build never", {
  skip: without("objcopy"),
}, async () => {
  const named = async (program: string, debugFolders: string[], symboliser?: string) => {
    const out = join(dirname(program), "debug.heaptap");
    if (!existsSync(out)) await profile([program], { out, stdio: "ignore" });
    const { callPaths, ...rest } = Recording.open(out).profile();
    const path = callPaths.find((c) => c.allocations === 100)!;
    using symbols = new Symbols({ ...rest, callPaths }, { symboliser, debugFolders, cache: false });
    await symbols.resolve([path]);
    const own = symbols.stack(path).filter((frame) => frame.module === program);
    const { file, line } = own.find((frame) => frame.line > 0) ?? own[0]!;
    return line > 0 ? `${file.replace(/.*\//, "")}:${line} ${symbols.problem}`.trim() : "no line";
  };
  const built = (name: string, ...flags: string[]) => {
    const place = join(folder, name);
    mkdirSync(place);
    const program = join(place, "program");
    const run = (tool: string, ...args: string[]) =>
      assert.equal(spawnSync(tool, args, { cwd: place }).status, 0, tool);
    run("c++", "-g", "-O1", "-fno-builtin", ...flags, join(ROOT, "tests/targets/inlined.cc"), "-o", program);
    run("objcopy", "--only-keep-debug", program, "program.debug");
    run("strip", program);
    run("objcopy", "--add-gnu-debuglink=program.debug", program);
    return program;
  };
  const line = /^inlined\.cc:\d+$/;
  const program = built("with-id", "-Wl,--build-id");
  const place = dirname(program);
  assert.match(await named(program, []), line);
  const away = join(folder, "away");
  mkdirSync(away);
  renameSync(join(place, "program.debug"), join(away, "program.debug"));
  assert.match(await named(program, []), /^no line/);
  assert.match(await named(program, [away]), line);
  const id = readElf(program)!.buildId;
  const byId = join(away, ".build-id", id.slice(0, 2));
  mkdirSync(byId, { recursive: true });
  renameSync(join(away, "program.debug"), join(byId, `${id.slice(2)}.debug`));
  for (const symboliser of ["llvm-symbolizer", "eu-addr2line", "addr2line"]) {
    if (!without(symboliser)) assert.match(await named(program, [away], symboliser), line, symboliser);
  }
  rmSync(program);
  assert.match(await named(program, [away]), line);
  // Without a build id the checksum tells.
  const bare = built("without-id", "-Wl,--build-id=none");
  assert.match(await named(bare, []), line);
  copyFileSync(join(byId, `${id.slice(2)}.debug`), join(dirname(bare), "program.debug"));
  assert.match(await named(bare, []), /^no line/);
  const missing = heaptap(["report", "--debug-dir", join(folder, "nowhere"), counts]);
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /--debug-dir.*There is no such folder/);
});

test("the symbol tables alone give functions", () => {
  const recorded = Recording.open(counts).profile();
  const module = recorded.modules.findIndex((m) => m.path.endsWith("counts"));
  const table = SymbolTable.of(recorded.modules[module]!.path);
  const names = recorded.callPaths.flatMap((c) => c.stack).filter((f) => f.module === module).map((f) =>
    table.covering(f.address - 1)?.name ?? ""
  );
  assert.ok(names.includes("keep_then_free") && names.includes("main"), names.join());
});

test("a symboliser that dies mid-way is told, and names come from others, at last from the symbol tables", () => {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "llvm-symbolizer"), "#!/bin/sh\nread line\nexit 1\n", { mode: 0o755 });
  for (
    const [PATH, said] of [[`${bin}:${process.env.PATH}`, /failed .*another tool/], [
      bin,
      /failed .*symbol tables/,
    ]] as const
  ) {
    const { status, stdout } = heaptap(["report", counts], {
      env: { PATH, XDG_CACHE_HOME: join(folder, "c1"), COLUMNS: "300" },
    });
    assert.equal(status, 0);
    assert.match(stdout, PATH === bin || without("addr2line") ? /failed .*symbol tables/ : said);
    assert.match(stdout, /keep_then_free/);
  }
});

test("looked-up names are kept, and a changed program's are not shown", async () => {
  const env = { XDG_CACHE_HOME: join(folder, "c2") };
  assert.match(heaptap(["report", counts], { env }).stdout, /counts\.c:/);
  // Without any tool the cache alone knows the lines.
  assert.match(heaptap(["report", counts], { env: { ...env, PATH: "/nonexistent" } }).stdout, /counts\.c:/);
  const program = join(folder, "changing");
  assert.equal(spawnSync("cc", ["-g", "-o", program, join(ROOT, "tests/targets/counts.c")]).status, 0);
  const out = join(folder, "changing.heaptap");
  await profile([program], { out, stdio: "ignore" });
  assert.equal(spawnSync("cc", ["-g", "-O2", "-o", program, join(ROOT, "tests/targets/ends.c")]).status, 0);
  const { stdout } = heaptap(["report", out], { env: { XDG_CACHE_HOME: join(folder, "c3") } });
  assert.match(stdout, /has changed since the recording/);
  assert.ok(!stdout.includes("main  ends.c"));
});

test("perf maps: V8's and CPython's names, and stale maps", () => {
  const text =
    "1000 100 JS:*render file:///app/view.js:12:7\n1100 80 py::load:/app/load.py\n1200 10 Builtin:Call\n1000 100 JS:~again /a.js:3:1\nbad line\n";
  const map = new PerfMap({ text });
  assert.deepEqual(map.lookup(0x1050), [{ function: "again", file: "/a.js", line: 3, inlined: false }]);
  assert.deepEqual(map.lookup(0x1100), [{ function: "load", file: "/app/load.py", line: 0, inlined: false }]);
  assert.deepEqual(map.lookup(0x1205)[0]?.function, "Builtin:Call");
  assert.deepEqual(map.lookup(0x9999), []);
  // What stood there when the file had so many bytes; a compiler that writes late has it later.
  const lines = text.split("\n");
  const upTo = (n: number) => lines.slice(0, n).join("\n").length + 1;
  assert.equal(map.lookup(0x1050, upTo(1))[0]?.function, "render");
  assert.equal(map.lookup(0x1050, upTo(3))[0]?.function, "render");
  assert.equal(map.lookup(0x1050, upTo(4))[0]?.function, "again");
  assert.equal(map.lookup(0x1110, 1)[0]?.function, "load");
});

test("perf maps: every form that V8 writes, a function the same however it was compiled", () => {
  const forms: [form: string, name: string, file: string, line: number][] = [
    ...["~", "^", "+", "+'", "*", "*'", "o+", "o*"].map((sign) =>
      [`JS:${sign}render file:///app/view%20x.js:12:7`, "render", "/app/view x.js", 12] as [
        string,
        string,
        string,
        number,
      ]
    ),
    ["JS:~o file:///a.mjs:3:26", "o", "/a.mjs", 3],
    ["JS:+'o file:///a.mjs:3:26", "o", "/a.mjs", 3],
    ["JS:o* file:///a.mjs:5:231", "(anonymous)", "/a.mjs", 5],
    ["JS:~weird name file:///a.mjs:3:67", "weird name", "/a.mjs", 3],
    ["JS:~get g /with space/b c.cjs:9:1", "get g", "/with space/b c.cjs", 9],
    ["JS:*#p file:///a.mjs:1:152", "#p", "/a.mjs", 1],
    [
      "JS:^internalBinding node:internal/bootstrap/realm:197:45",
      "internalBinding",
      "node:internal/bootstrap/realm",
      197,
    ],
    ["JS:~ ext:core/01_core.js:10:5", "(anonymous)", "ext:core/01_core.js", 10],
    ["Script:~ file:///a.mjs:1:1", "(script)", "/a.mjs", 1],
    ["JS:^ file:///a.mjs:1:1", "(script)", "/a.mjs", 1],
    ["Eval:~ :1:1", "(eval)", "", 0],
    ["JS:~ :1:20", "(anonymous)", "", 0],
    ["JS:~inner :1:16", "inner", "", 0],
    ["LazyCompile:~old /a.js:4:2", "old", "/a.js", 4],
    ["JS:wasm-function[0]-0-liftoff", "wasm-function[0]", "", 0],
    ["JS:wasm-function[0]-0-turbofan", "wasm-function[0]", "", 0],
    ["Stub:js-to-wasm:ii:i", "Stub:js-to-wasm:ii:i", "", 0],
    ["Builtin:Call_ReceiverIsAny", "Builtin:Call_ReceiverIsAny", "", 0],
    ["RegExp.< src: 'a+b' flags: ''", "RegExp.< src: 'a+b' flags: ''", "", 0],
  ];
  const map = new PerfMap({
    text: forms.map(([form], i) => `${(0x1000 + 16 * i).toString(16)} 10 ${form}\n`).join(""),
  });
  forms.forEach(([form, name, file, line], i) => {
    assert.deepEqual(map.lookup(0x1000 + 16 * i + 3), [{ function: name, file, line, inlined: false }], form);
  });
});

test("perf maps of any shape: hostile sizes, a file that grows, one that is replaced", () => {
  const path = join(folder, "perf-7.map");
  writeFileSync(
    path,
    "0 ffffffffffffffff JS:~all /x.js:1:2\n1000 0 JS:~none /x.js:2:2\n2000 10 JS:~a\u00e9 /x.js:3:2\n3000 10 half",
  );
  const map = new PerfMap({ path });
  assert.equal(map.lookup(0x2005)[0]?.function, "a\u00e9");
  assert.equal(map.lookup(0x1000)[0]?.function, "all");
  appendFileSync(path, " a line\n2000 10 JS:~b /x.js:4:2\n");
  map.update();
  assert.deepEqual([map.lookup(0x2005)[0]?.function, map.lookup(0x3001)[0]?.function], ["b", "half a line"]);
  // As before the append, where nobody can know better.
  assert.equal(map.lookup(0x2005, statSync(path).size - 30)[0]?.function, "a\u00e9");
});

test("pipes in the places of a program and of a perf map are not waited for", () => {
  const program = join(folder, "becomes-a-pipe");
  copyFileSync(target(folder, "counts.c"), program);
  const out = join(folder, "pipes.heaptap");
  spawnSync(program, [], { env: { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out } });
  const perfMap = `/tmp/perf-${Recording.open(out).profile().process.pid}.map`;
  rmSync(program);
  for (const path of [program, perfMap]) assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const { status, stdout } = heaptap(["report", out]);
  rmSync(perfMap);
  assert.equal(status, 0);
  assert.match(stdout, /1,111/);
});

test("native allocations below JavaScript carry the function's name and line", { skip: without("node") }, async () => {
  const script = join(folder, "buffers.js");
  writeFileSync(
    script,
    "\nfunction makeBuffers() {\n  const kept = [];\n  for (let i = 0; i < 2000; i++) kept.push(Buffer.allocUnsafeSlow(9000));\n  return kept.length;\n}\nlet n = 0;\nfor (let i = 0; i < 20; i++) n += makeBuffers();\nconsole.log(n);\n",
  );
  const out = join(folder, "node.heaptap");
  const { recording } = await profile(["node", "--perf-basic-prof", "--interpreted-frames-native-stack", script], {
    out,
    cwd: folder,
    stdio: "ignore",
  });
  const recorded = recording!.profile();
  const paths = recorded.callPaths.slice(0, 10);
  using symbols = new Symbols(recorded, { cache: false });
  await symbols.resolve(paths);
  const frames = paths.flatMap((path) => symbols.stack(path));
  const named = frames.find((f) => f.function === "makeBuffers");
  assert.ok(named, frames.map((f) => f.function).join("\n"));
  assert.deepEqual([named.file.endsWith("buffers.js"), named.line], [true, 2]);
});

test("JSON holds every documented key, sorted by bytes", () => {
  const { status, stdout } = heaptap(["report", "--format", "json", "--limit", "0", counts]);
  assert.equal(status, 0);
  const json = JSON.parse(stdout);
  assert.equal(json.version, 2);
  const document = readFileSync(join(ROOT, "docs/JSON.md"), "utf8");
  const keys = (value: unknown): string[] =>
    Array.isArray(value)
      ? value.slice(0, 1).flatMap(keys)
      : value && typeof value === "object"
      ? Object.entries(value).flatMap(([key, inner]) => [key, ...keys(inner)])
      : [];
  for (const key of new Set(keys(json))) {
    assert.ok(document.includes(`\`${key}\``), `docs/JSON.md does not tell of ${key}`);
  }
  assert.deepEqual(
    [
      json.summary.allocations,
      json.summary.frees,
      json.summary.bytes,
      json.summary.peak_bytes,
    ],
    [1111, 1090, 121000, 100000],
  );
  assert.deepEqual([
    json.summary.carried_bytes,
    json.summary.live_bytes,
    json.summary.live_count,
    json.summary.call_paths,
  ], [4550, 3000, 11, 4]);
  const sizes = json.allocations.map((a: { total_bytes: number }) => a.total_bytes);
  assert.deepEqual(sizes, [...sizes].sort((a, b) => b - a));
  assert.equal(json.allocations[0].function, "keep_then_free");
  assert.ok(json.allocations[0].line > 0);
  assert.equal(heaptap(["report", "--format", "json", "--limit", "2", counts]).stdout.match(/"stack"/g)?.length, 2);
});

test("functions of mod.ts give the same text and JSON as the command line", async () => {
  const recorded = Recording.open(counts).profile();
  using symbols = new Symbols(recorded);
  await symbols.resolve(shownPaths(recorded, 10));
  assert.equal(
    textReport(recorded, symbols, {
      ...{ limit: 10, verbosity: 0, width: 80, color: false },
      answer: answer(recorded, symbols, knownLeaks(recorded, symbols)),
    }),
    heaptap(["report", counts]).stdout,
  );
  assert.ok(textReport(recorded, symbols, { limit: 1, verbosity: 0, width: 80, color: true }).includes("\x1b["));
  assert.equal(jsonReport(recorded, symbols, 1).allocations.length, 1);
});

test("a name cannot reach the terminal's controls", async () => {
  const source = join(folder, "esc.c");
  writeFileSync(source, "#include <stdlib.h>\nvoid *p;\nint main(void) { p = malloc(5); return 0; }\n");
  const program = join(folder, "evil\x1b[31mname");
  assert.equal(spawnSync("cc", ["-o", program, source]).status, 0);
  const out = join(folder, "esc.heaptap");
  await profile([program], { out, stdio: "ignore" });
  assert.ok(!heaptap(["report", "-vvv", out]).stdout.includes("\x1b"));
});

test("--report-file takes the report; a closed pipe is silent", () => {
  const file = join(folder, "report.txt");
  const { stderr } = heaptap([
    "run",
    "-o",
    join(folder, "rf.heaptap"),
    "--report-file",
    file,
    target(folder, "counts.c"),
  ]);
  assert.ok(existsSync(file) && readFileSync(file, "utf8").includes("keep_then_free"));
  assert.ok(!stderr.includes("keep_then_free"));
  const piped = spawnSync("sh", ["-c", `"$@" | head -c 10`, "sh", ...CLI, "report", "--format", "json", counts], {
    encoding: "utf8",
  });
  assert.deepEqual([piped.stdout.length, piped.stderr], [10, ""]);
});

test("an unknown symboliser gives symbol tables", async () => {
  const recorded = Recording.open(counts).profile();
  using symbols = new Symbols(recorded, { symboliser: "no-such-tool" });
  await symbols.resolve(recorded.callPaths);
  const frames = recorded.callPaths.flatMap((path) => symbols.stack(path));
  assert.ok(frames.some((frame) => frame.function === "keep_then_free"));
  assert.ok(frames.every((frame) => frame.line === 0));
  assert.match(symbols.problem, /^no-such-tool is not installed/);
});
