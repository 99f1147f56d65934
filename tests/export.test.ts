/** Every format against the tool that it is for, and one contract for all: the same totals in each. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  answer,
  compare,
  exportBlocks,
  exportProfile,
  FORMAT_NAMES,
  knownLeaks,
  libraryPath,
  parseBytes,
  profile,
  readComparable,
  Recording,
  Symbols,
  writeReport,
} from "../mod.ts";
import type { CallPath, FormatName, Profile, ViewName } from "../mod.ts";
import { CLI, heaptap, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const file = join(folder, "perl.heaptap");
// A folder's list is the C library's own block; what a locale's names make there depends on the environment.
const script =
  'opendir my $d, "/"; my %h; for (1..3000) { $h{"k$_"} = [1..3] } my $s = join ",", sort keys %h; print length($s)';
const env = { ...process.env, LC_ALL: "C" };
const { recording } = await profile(["perl", "-e", script], { out: file, stdio: "ignore", env });
assert.ok(recording);
const recorded = recording.profile({ byThread: true });
const symbols = new Symbols(recorded);
await symbols.resolve(recorded.callPaths);

function total(of: (path: CallPath) => number): number {
  return recorded.callPaths.reduce((n, path) => n + Math.max(0, of(path)), 0);
}

const VIEWS: Readonly<Record<ViewName, (path: CallPath) => number>> = {
  allocated: (p) => p.bytes,
  live: (p) => p.liveBytes,
  peak: (p) => p.peakBytes,
  temporary: (p) => p.temporary,
};

function text(format: FormatName, of: Profile = recorded, view?: ViewName): string {
  const out = exportProfile(of, symbols, format, { view });
  return typeof out === "string" ? out : new TextDecoder().decode(out);
}

/** Fields of a comma-separated line. */
function fields(line: string): string[] {
  return [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((m) => (m[1] ?? "").replace(/^"|"$/g, ""));
}

test("the recording is one to look at", () => {
  assert.ok(recorded.callPaths.length > 20);
  assert.equal(total(VIEWS.allocated), recorded.totals.bytes);
  assert.equal(total(VIEWS.peak), recorded.totals.peakBytes);
  assert.ok(recorded.totals.temporary > 0);
});

test("every format is text or bytes, and not empty", () => {
  for (const format of FORMAT_NAMES) assert.ok(exportProfile(recorded, symbols, format).length > 100, format);
});

test("json: totals", () => {
  const json = JSON.parse(text("json"));
  const sum = (key: string) => json.allocations.reduce((n: number, a: Record<string, number>) => n + (a[key] ?? 0), 0);
  assert.equal(sum("total_bytes"), recorded.totals.bytes);
  assert.equal(sum("peak_bytes"), recorded.totals.peakBytes);
  assert.equal(sum("live_bytes"), recorded.totals.liveBytes);
});

test("collapsed: totals of each view; parted as flame graph tools part it", () => {
  for (const [view, of] of Object.entries(VIEWS) as [ViewName, (path: CallPath) => number][]) {
    const lines = text("collapsed", recorded, view).trimEnd().split("\n");
    assert.equal(lines.reduce((n, line) => n + Number(/ (\d+)$/.exec(line)?.[1]), 0), total(of), view);
    assert.equal(new Set(lines.map((line) => line.replace(/ \d+$/, ""))).size, lines.length);
  }
  assert.match(text("collapsed"), /^[^\n]*;Perl_[\w]+;[^\n]* \d+$/m);
});

test("csv: totals, one row a call path, no formula", () => {
  const [titles, ...rows] = text("csv").trimEnd().split("\r\n");
  const names = fields(titles ?? "");
  const sum = (name: string) => rows.reduce((n, row) => n + Number(fields(row)[names.indexOf(name)]), 0);
  assert.equal(rows.length, recorded.callPaths.length);
  assert.equal(sum("bytes"), recorded.totals.bytes);
  assert.equal(sum("allocations"), recorded.totals.allocations);
  assert.equal(sum("frees"), recorded.totals.frees);
  assert.equal(sum("freed_bytes"), recorded.totals.freedBytes);
  assert.equal(sum("live_bytes"), recorded.totals.liveBytes);
  assert.ok(!/(^|,)"?[=+@]/m.test(text("csv")));
});

test("csv: read by Python's csv module", { skip: without("python3") }, () => {
  const path = join(folder, "out.csv");
  writeFileSync(path, text("csv"));
  const code = "import csv,sys; print(sum(int(r['bytes']) for r in csv.DictReader(open(sys.argv[1], newline=''))))";
  const read = spawnSync("python3", ["-c", code, path], { encoding: "utf8" });
  assert.equal(Number(read.stdout), recorded.totals.bytes, read.stderr);
});

test("speedscope: totals of each profile, frames that exist", () => {
  const json = JSON.parse(text("speedscope"));
  assert.equal(json.$schema, "https://www.speedscope.app/file-format-schema.json");
  const named: [string, ViewName][] = [["allocated", "allocated"], ["peak", "peak"], ["end", "live"], [
    "temporary",
    "temporary",
  ]];
  for (const [word, view] of named) {
    const found = json.profiles.find((p: { name: string }) => p.name.includes(word));
    assert.ok(found, word);
    const sum = found.weights.reduce((n: number, w: number) => n + w, 0);
    assert.equal(sum, total(VIEWS[view]));
    assert.equal(found.endValue, sum);
    assert.equal(found.samples.length, found.weights.length);
    for (const sample of found.samples) for (const i of sample) assert.ok(json.shared.frames[i]?.name, String(i));
  }
});

test("speedscope: its own importer takes the file, every profile of it", { skip: without("chromium") }, async () => {
  const { chromium } = await import("playwright-core");
  const release = join(ROOT, "node_modules/speedscope/dist/release");
  const loader = join(folder, "speedscope.js");
  const base64 = Buffer.from(text("speedscope")).toString("base64");
  writeFileSync(loader, `speedscope.loadFileFromBase64("perl.json", "${base64}")`);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    await page.goto(`file://${release}/index.html#localProfilePath=${loader}`);
    await page.getByText("Sandwich").click();
    await page.getByText("Total Weight").waitFor({ state: "attached" });
    const shown = await page.textContent("body") ?? "";
    // It counts a kilobyte as 1,024 bytes.
    const weight = (n: number) => {
      const power = n < 1024 ? 0 : n < 1024 ** 2 ? 1 : 2;
      return `${(n / 1024 ** power).toFixed(2)} ${["B", "KB", "MB"][power]}`;
    };
    assert.ok(shown.includes(`allocated bytes${weight(total(VIEWS.allocated))}`), shown.slice(0, 500));
    assert.ok(shown.includes(`live at the peak${weight(total(VIEWS.peak))}`), shown.slice(0, 500));
    assert.ok(shown.includes(`live at the end${weight(total(VIEWS.live))}`), shown.slice(0, 500));
    assert.ok(shown.includes(`temporary blocks${total(VIEWS.temporary).toLocaleString("en-US")}`), shown.slice(0, 500));
    assert.match(shown, /Perl_\w+/);
  } finally {
    await browser.close();
  }
});

test("pprof: go tool pprof reads the same totals", { skip: without("go") }, () => {
  const path = join(folder, "out.pb.gz");
  writeFileSync(path, exportProfile(recorded, symbols, "pprof"));
  const raw = spawnSync("go", ["tool", "pprof", "-raw", path], { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(raw.status, 0, raw.stderr);
  assert.match(
    raw.stdout,
    /alloc_objects\/count alloc_space\/bytes inuse_objects\/count inuse_space\/bytes\[dflt\] peak_space\/bytes/,
  );
  const samples = [...raw.stdout.matchAll(/^ +(-?\d+) +(-?\d+) +(-?\d+) +(-?\d+) +(-?\d+): /gm)];
  const sum = (i: number) => samples.reduce((n, sample) => n + Number(sample[i]), 0);
  const { allocations, bytes, liveCount, liveBytes, peakBytes } = recorded.totals;
  assert.deepEqual([1, 2, 3, 4, 5].map(sum), [allocations, bytes, liveCount, liveBytes, peakBytes]);
  assert.match(
    raw.stdout,
    new RegExp(`libc\\.so\\.6 ${recorded.modules.find((m) => /libc\.so/.test(m.path))?.buildId}`),
  );
  const top = spawnSync("go", ["tool", "pprof", "-top", "-sample_index=alloc_objects", path], { encoding: "utf8" });
  assert.equal(top.status, 0, top.stderr);
  assert.match(top.stdout, new RegExp(`Total samples = ${recorded.totals.allocations} `));
  assert.match(top.stdout, /Perl_/);
});

test("pprof: inlined functions stand in one location", { skip: without("go") }, async () => {
  const out = join(folder, "inlined.heaptap");
  const program = target(folder, "inlined.cc");
  const run = await profile([program], { out, stdio: "ignore" });
  assert.ok(run.recording);
  const inlined = run.recording.profile();
  using names = new Symbols(inlined);
  await names.resolve(inlined.callPaths);
  if (!inlined.callPaths.some((path) => names.stack(path).some((frame) => frame.inlined))) return;
  const path = join(folder, "inlined.pb.gz");
  writeFileSync(path, exportProfile(inlined, names, "pprof"));
  const raw = spawnSync("go", ["tool", "pprof", "-raw", path], { encoding: "utf8" });
  // A location with several lines: the first has the address, the next begin with blanks.
  assert.match(raw.stdout, /^ +\d+: 0x[0-9a-f]+ M=\d+ [^\n]*\n {13,}[^\n]*:\d+/m);
});

test("dhat: totals, and every frame of the table is used", () => {
  const json = JSON.parse(text("dhat"));
  assert.equal(json.dhatFileVersion, 2);
  const sum = (key: string) => json.pps.reduce((n: number, p: Record<string, number>) => n + (p[key] ?? 0), 0);
  assert.deepEqual([sum("tb"), sum("tbk")], [recorded.totals.bytes, recorded.totals.allocations]);
  assert.deepEqual([sum("gb"), sum("eb"), sum("ebk")], [
    total(VIEWS.peak),
    total(VIEWS.live),
    recorded.totals.liveCount,
  ]);
  const used = new Set(json.pps.flatMap((p: { fs: number[] }) => p.fs));
  assert.equal(used.size, json.ftbl.length - 1);
  assert.ok(json.tg <= json.te);
});

const VIEWER = "/usr/libexec/valgrind/dh_view.js";

test("dhat: Valgrind's own viewer takes it", { skip: existsSync(VIEWER) ? false : "no dh_view.js" }, () => {
  // What the viewer does with a file before it draws: its checks and its tree, on a page of stubs.
  const code = readFileSync(VIEWER, "utf8");
  const element = (): unknown =>
    new Proxy(() => {}, {
      get: (_, key) =>
        key === Symbol.toPrimitive ? () => "0" : key === "childNodes" ? [] : key === "value" ? 0 : element(),
      set: () => true,
      apply: () => element(),
      construct: () => element() as object,
    });
  const run = new Function(
    "document",
    "window",
    "data",
    `"use strict"; ${code.replace(/^"use strict";/m, "")}
    gData = JSON.parse(data);
    checkFields(gData, ["dhatFileVersion", "mode", "verb", "bklt", "bkacc", "tu", "Mtu", "cmd", "pid", "te", "pps", "ftbl"]);
    checkFields(gData, ["tg", "tuth"]);
    let sumOfBytes = 0;
    for (const point of gData.pps) { checkPP(point); sumOfBytes += point.tb; for (const f of point.fs) if (!gData.ftbl[f]) throw new Error("frame " + f); }
    return sumOfBytes;`,
  );
  assert.equal(run(element(), element(), text("dhat")), recorded.totals.bytes);
});

test("massif: ms_print draws it, and the peak is the peak", { skip: without("ms_print") }, () => {
  const path = join(folder, "massif.out");
  writeFileSync(path, text("massif"));
  const printed = spawnSync("ms_print", [path], { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(printed.status, 0, printed.stderr);
  const peak = recorded.totals.peakBytes.toLocaleString("en-US");
  assert.match(printed.stdout, /Detailed snapshots: \[\d+ \(peak\)\]/);
  assert.match(printed.stdout, new RegExp(`100\\.00% \\(${peak}B\\) \\(heap allocation functions\\)`));
  assert.match(printed.stdout, /->\d+\.\d+% \([\d,]+B\) 0x0: Perl_/);
});

test("a table of 64 call paths says in each format what it did not keep", async () => {
  const out = join(folder, "small.heaptap");
  const run = await profile(["perl", "-e", script], { out, buckets: 64, stdio: "ignore", env });
  assert.ok(run.recording);
  const small = run.recording.profile();
  using names = new Symbols(small);
  await names.resolve(small.callPaths);
  assert.ok(small.totals.fallbackAllocations > 0);
  for (const format of ["collapsed", "csv", "speedscope", "dhat"] as const) {
    assert.match(String(exportProfile(small, names, format)), /the table was full/, format);
  }
  assert.ok(gunzipSync(exportProfile(small, names, "pprof") as Uint8Array).includes("the table was full"));
});

test("the command line writes each format to a file, whole, or to stdout", () => {
  const inside = join(folder, "written");
  mkdirSync(inside);
  for (const format of FORMAT_NAMES) {
    const path = join(inside, format);
    const { status, stderr, stdout } = heaptap(["report", "--format", format, "-o", path, file]);
    assert.deepEqual([status, stdout, stderr], [0, "", ""], format);
    // A page has the first lines too, and knows which leaks are none.
    const aside = knownLeaks(recorded, symbols);
    const moments = Recording.open(file).packedMoments();
    const first = format === "html" ? { aside, answer: answer(recorded, symbols, aside), moments } : {};
    const expected = Buffer.from(exportProfile(recorded, symbols, format, first));
    assert.ok(readFileSync(path).equals(expected), format);
  }
  assert.deepEqual(readdirSync(inside).sort(), [...FORMAT_NAMES].sort());
  assert.equal(
    heaptap(["report", "--format", "collapsed", "--view", "peak", file]).stdout,
    text("collapsed", recorded, "peak"),
  );
  const failed = heaptap(["report", "--format", "csv", "-o", "/nowhere/out.csv", file]);
  assert.equal(failed.status, 2);
  assert.match(failed.stderr, /^heaptap: Cannot write "\/nowhere\/out\.csv": .*\n$/);
});

test("filters by figures and by names, in text and in formats", () => {
  const json = (...args: string[]) => {
    const { status, stdout, stderr } = heaptap(["report", "--format", "json", ...args, file]);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout).allocations as {
      count: number;
      total_bytes: number;
      live_bytes: number;
      stack: { function: string; module: string }[];
    }[];
  };
  const all = json();
  assert.equal(all.length, recorded.callPaths.length);
  assert.deepEqual(json("--min-count", "100"), all.filter((a) => a.count >= 100));
  assert.deepEqual(json("--threshold-bytes", "10KB"), all.filter((a) => a.total_bytes >= 10_000));
  assert.deepEqual(json("--view", "live").length, all.filter((a) => a.live_bytes > 0).length);
  const has = (a: typeof all[number], pattern: RegExp) =>
    a.stack.some((f) => pattern.test(f.function) || pattern.test(f.module));
  const kept = json("-f", "Perl_(sv|av)_");
  assert.ok(kept.length > 0 && kept.length < all.length);
  assert.deepEqual(kept, all.filter((a) => has(a, /Perl_(sv|av)_/)));
  assert.deepEqual(json("--exclude", "Perl_(sv|av)_").length, all.length - kept.length);
  const counts = (list: typeof all) => list.map((a) => a.count);
  assert.deepEqual(counts(json("--limit", "2", "--sort-by", "count")), counts(all).sort((a, b) => b - a).slice(0, 2));
  const limited = JSON.parse(heaptap(["report", "--format", "json", "--limit", "2", file]).stdout);
  assert.deepEqual([limited.allocations.length, limited.summary.call_paths], [2, all.length]);
  assert.equal(json("--thread", "^perl$").length, all.length);
  assert.equal(json("--thread", "^nobody$").length, 0);
  const shown = heaptap(["report", "-f", "Perl_(sv|av)_", "--view", "allocated", file]);
  const bytes = kept.reduce((n, a) => n + a.total_bytes, 0);
  assert.match(
    heaptap(["report", "-v", "-f", "Perl_(sv|av)_", file]).stdout,
    new RegExp(`selected +${kept.length} call paths, .* ${bytes.toLocaleString("en-US")} B allocated`),
  );
  assert.ok(!/live at the peak \(/.test(shown.stdout));
});

test("a filter that does not parse, a size that is none: one line, status 2", () => {
  const cases: [string[], RegExp][] = [
    [
      ["--filter", "("],
      /^heaptap: option '-f, --filter <regex>' argument '\(' is invalid\. It takes a regular expression: .*\n$/,
    ],
    [["--threshold-bytes", "ten"], /It takes a size: 1500, 64KB, 1\.5MiB\.\n$/],
    [["--view", "past"], /Allowed choices are allocated, live, peak, temporary, mapped, pinned\.\n$/],
    [
      ["--since", file.replace("perl", "none")],
      /^heaptap: Cannot start from ".*none\.heaptap": there is no file of that name, and no mark [^\n]*\n$/,
    ],
  ];
  for (const [args, message] of cases) {
    const { status, stderr } = heaptap(["report", ...args, file]);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});

test("sizes as people write them", () => {
  const cases: [string, number | undefined][] = [
    ...[["0", 0], ["1500", 1500], ["64KB", 64_000], ["64 kb", 64_000], ["1.5MiB", 1_572_864], [
      "2GiB",
      2 ** 31,
    ]] as const,
    ...[["1k", 1000], ["1b", 1], ["", undefined], ["-1", undefined], ["1.KB", undefined], ["5xx", undefined]] as const,
  ].map(([a, b]) => [a, b]);
  for (const [written, bytes] of cases) assert.equal(parseBytes(written), bytes, written);
});

test("since: a copy made while the program ran leaves out what came before", async () => {
  const out = join(folder, "since.heaptap");
  const copy = join(folder, "before.heaptap");
  // The shell's child copies the recording between the two halves of what perl does.
  const halves =
    `my @a = map { "x" x 100 } 1..1000; system("cp", "${out}", "${copy}"); my @b = map { "y" x 100 } 1..500;`;
  await profile(["perl", "-e", halves], { out, stdio: "ignore" });
  const whole = Recording.open(out).profile();
  const later = Recording.open(out).profile({ since: copy });
  const early = Recording.open(copy).profile();
  assert.equal(later.totals.bytes, whole.totals.bytes - early.totals.bytes);
  assert.equal(later.callPaths.reduce((n, p) => n + p.bytes, 0), later.totals.bytes);
  assert.ok(later.totals.allocations < whole.totals.allocations);
  assert.throws(() => Recording.open(out).profile({ since: file }), /it is no earlier copy of/);
});

test("pprof: labels tell what each thread allocated", { skip: without("go") }, async () => {
  const out = join(folder, "threads.heaptap");
  const run = await profile([target(folder, "threads.c")], { out, stdio: "ignore" });
  assert.ok(run.recording);
  const path = join(folder, "threads.pb.gz");
  const { status, stderr } = heaptap(["report", "--format", "pprof", "-o", path, out]);
  assert.equal(status, 0, stderr);
  const raw = spawnSync("go", ["tool", "pprof", "-raw", path], { encoding: "utf8", maxBuffer: 1 << 28 });
  const sums = new Map<number, number>();
  const samples = /^ +-?\d+ +(-?\d+) +-?\d+ +-?\d+ +-?\d+: [\d ]+\n +thread:\[[^\n]*\]\n +thread_id:\[(\d+)\]/gm;
  for (const [, bytes, tid] of raw.stdout.matchAll(samples)) {
    sums.set(Number(tid), (sums.get(Number(tid)) ?? 0) + Number(bytes));
  }
  const { threads, totals } = run.recording.profile();
  const expected = new Map(threads.filter((t) => t.allocations > 0).map((t) => [t.tid, t.bytes]));
  assert.ok(expected.size > 2);
  assert.deepEqual([...sums].sort(), [...expected].sort());
  assert.equal([...sums.values()].reduce((n, x) => n + x, 0), totals.bytes);
  const { callPaths } = run.recording.profile({ byThread: true });
  for (const { threads = [], ...path } of callPaths) {
    for (const figure of ["allocations", "bytes", "liveBytes", "liveCount", "peakBytes", "temporary"] as const) {
      assert.equal(threads.reduce((n, share) => n + share[figure], 0), path[figure], figure);
    }
  }
});

test("131,072 call paths: every format has them all", { timeout: 300_000 }, async () => {
  const out = join(folder, "many.heaptap");
  const run = await profile([target(folder, "manypaths.c"), "17"], { out, buckets: 262_144, stdio: "ignore" });
  assert.ok(run.recording);
  const many = run.recording.profile();
  assert.equal(many.callPaths.length, 131_072);
  assert.deepEqual([many.totals.bytes, many.totals.liveBytes, many.totals.overflowAllocations], [
    131_072 * 32,
    65_536 * 32,
    0,
  ]);
  using names = new Symbols(many);
  await names.resolve(many.callPaths);
  for (const format of FORMAT_NAMES) {
    const size = exportProfile(many, names, format).length;
    // Massif leaves out what is less than a hundredth of the whole, pprof is compressed.
    assert.ok(
      size > (format === "massif" ? 1000 : ["pprof", "html"].includes(format) ? 100_000 : 10_000_000),
      `${format}: ${size}`,
    );
  }
  const lines = String(exportProfile(many, names, "collapsed")).trimEnd().split("\n");
  assert.equal(lines.length, 131_072);
  const deep = exportProfile({ ...many, callPaths: many.callPaths.slice(0, 3) }, names, "json");
  assert.equal(JSON.parse(new TextDecoder().decode(deep as Uint8Array)).allocations.length, 3);
});

test("resolve: a copy opens without the programs, with the same names and totals", () => {
  const alone = join(folder, "alone");
  mkdirSync(alone);
  const program = target(alone, "inlined.cc");
  const original = join(alone, "app.heaptap");
  assert.equal(heaptap(["run", "--no-report", "-o", original, "--", program]).status, 0);
  const cache = { XDG_CACHE_HOME: join(alone, "cache") };
  mkdirSync(cache.XDG_CACHE_HOME);
  const before = heaptap(["report", "--format", "json", original], { env: cache });
  const resolved = heaptap(["resolve", original], { env: cache });
  assert.deepEqual([resolved.status, resolved.stdout], [0, ""]);
  const copy = join(alone, "app.named.heaptap");
  assert.match(resolved.stderr, /names written into .*app\.named\.heaptap\n$/);
  // The program is gone, and so is the cache of names.
  rmSync(program);
  const empty = { XDG_CACHE_HOME: join(alone, "empty") };
  mkdirSync(empty.XDG_CACHE_HOME);
  const after = heaptap(["report", "--format", "json", copy], { env: empty });
  // What would give it more names is only known where the programs are.
  const all = (text: string) => ({ ...JSON.parse(text), coverage: [] });
  assert.deepEqual(all(after.stdout), all(before.stdout));
  assert.notDeepEqual(
    JSON.parse(heaptap(["report", "--format", "json", original], { env: empty }).stdout),
    JSON.parse(before.stdout),
  );
  // Its holes stay holes.
  const { blocks } = statSync(copy);
  assert.ok(blocks * 512 < 4_000_000, String(blocks * 512));
  assert.equal(readdirSync(alone).filter((name) => name.endsWith(".part")).length, 0);
});

test("resolve: names that are damaged or hostile are none, and the recording opens", () => {
  const copy = join(folder, "damaged.heaptap");
  assert.equal(heaptap(["resolve", "-o", copy, file]).status, 0);
  const whole = readFileSync(copy);
  const intact = Recording.open(copy).profile().totals;
  for (const [at, value] of [[-1, 65], [-16, 255], [-12, 255], [-60, 0], [-200, 7]] as const) {
    const bytes = Buffer.from(whole);
    bytes[bytes.length + at] = value;
    writeFileSync(copy, bytes);
    assert.deepEqual(Recording.open(copy).profile().totals, intact);
    assert.equal(heaptap(["report", copy]).status, 0);
  }
  const cases: [string[], RegExp][] = [
    [["resolve", "/nowhere"], /^heaptap: Cannot read "\/nowhere": there is no such file\n$/],
    [["resolve", "-o", "/nowhere/x", file], /^heaptap: Cannot write "\/nowhere\/x": .*\n$/],
  ];
  for (const [args, message] of cases) {
    const { status, stderr } = heaptap(args);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});

test("a mark of a program that runs leaves out what came before it", async () => {
  const out = join(folder, "marked.heaptap");
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
  const child = spawn("perl", [
    "-e",
    "$| = 1; push @a, 'x' x 1000 for 1..100; print 1; <STDIN>; push @b, 'y' x 5000 for 1..50; print 2; <STDIN>",
  ], {
    env,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const said = () => new Promise((go) => child.stdout.once("data", go));
  await said();
  const marked = heaptap(["mark", out, "warm"]);
  assert.deepEqual([marked.status, marked.stdout], [0, ""]);
  assert.match(marked.stderr, /^heaptap: marked in "?[^\n]*marked\.warm\.mark; [^\n]*--since warm [^\n]*\n$/);
  const next = said();
  child.stdin.write("\n");
  await next;
  const later = Recording.open(out).profile({ since: "warm" });
  const all = Recording.open(out).profile();
  assert.ok(
    later.totals.bytes >= 250_000 && later.totals.bytes < all.totals.bytes - 100_000,
    String(later.totals.bytes),
  );
  assert.equal(later.callPaths.reduce((n, path) => n + path.bytes, 0), later.totals.bytes);
  const report = heaptap(["report", "--since", "warm", "--limit", "1", out]);
  assert.deepEqual([report.status, report.stderr], [0, ""]);
  child.stdin.end("\n");
  await new Promise((end) => child.on("exit", end));
  // It has ended: nothing changes between two looks.
  const [whole, since] = [Recording.open(out).profile(), Recording.open(out).profile({ since: "warm" })];
  const before = Recording.open(join(folder, "marked.warm.mark")).profile();
  assert.equal(before.totals.bytes, whole.totals.bytes - since.totals.bytes);
  const bad = heaptap(["mark", out, "a/b"]);
  assert.deepEqual([bad.status, bad.stderr], [
    2,
    'heaptap: Cannot name a mark "a/b": it takes letters, digits, "-", "_" and "."\n',
  ]);
});

test("a full disk while writing is one line, and the old file stays", () => {
  const full = heaptap(["report", "--format", "json", "-o", "/dev/full", file]);
  assert.deepEqual([full.status, full.stdout], [2, ""]);
  assert.match(full.stderr, /^heaptap: Cannot write "\/dev\/full": ENOSPC[^\n]*\n$/);
  const disk = join(folder, "disk");
  mkdirSync(disk);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).status !== 0) return; // not allowed here
  try {
    const out = join(disk, "out.json");
    writeFileSync(out, "old");
    const { status, stderr } = heaptap(["report", "--format", "json", "-o", out, file]);
    assert.equal(status, 2);
    assert.match(stderr, /^heaptap: Cannot write "[^"]*out\.json": ENOSPC[^\n]*\n$/);
    assert.equal(readFileSync(out, "utf8"), "old");
    assert.deepEqual(readdirSync(disk), ["out.json"]);
  } finally {
    spawnSync("umount", [disk]);
  }
});

test("a pipe is written to as it stands, and a link's file is replaced, not the link", async () => {
  const [pipe, link, real] = [join(folder, "pipe"), join(folder, "link"), join(folder, "real")];
  spawnSync("mkfifo", [pipe]);
  const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "ignore"] });
  let got = "";
  reader.stdout.on("data", (data) => got += data);
  const ended = new Promise((end) => reader.stdout.on("end", end));
  assert.equal(heaptap(["report", "--format", "collapsed", "-o", pipe, file]).status, 0);
  await ended;
  assert.equal(got, text("collapsed"));
  assert.ok(statSync(pipe).isFIFO());
  writeFileSync(real, "old");
  symlinkSync(real, link);
  assert.equal(heaptap(["report", "--format", "collapsed", "-o", link, file]).status, 0);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(real, "utf8"), text("collapsed"));
});

test("a report never takes the place of a recording, of the run's other outputs, or of what /dev/stdout leads to", () => {
  const copy = join(folder, "kept.heaptap");
  copyFileSync(file, copy);
  for (
    const args of [["report", "-o", copy, file], ["report", "-o", copy, copy], ["compare", "-o", copy, file, file]]
  ) {
    const { status, stderr } = heaptap(args);
    assert.deepEqual([status, stderr], [
      2,
      `heaptap: Cannot write "${copy}": it is a recording; name another file for the report\n`,
    ]);
  }
  assert.ok(Recording.open(copy));
  // What can be told beforehand is told before the program runs.
  const ran = join(folder, "ran");
  const same = join(folder, "same.json");
  const nowhere = join(folder, "nowhere", "x.json");
  for (
    const flags of [["--save", nowhere], ["--junit", nowhere], ["--compare", nowhere], ["--max-growth", "5"], [
      ...["--save", same, "--report-file", same],
    ], ["-o", same, "--save", same]]
  ) {
    const { status, stderr } = heaptap(["run", ...flags, "--", "touch", ran]);
    assert.deepEqual([status, stderr.split("\n").length], [2, 2], stderr);
    assert.ok(!existsSync(ran), String(flags));
  }
  const [link, log, mode] = [join(folder, "stdout"), join(folder, "log"), join(folder, "private.json")];
  symlinkSync("/proc/self/fd/1", link);
  assert.equal(heaptap(["report", "--format", "collapsed", "-o", link, file]).stdout, text("collapsed"));
  const [command = "", ...rest] = CLI;
  const quoted = [command, ...rest, "report", "--format", "collapsed", "-o", link, file].map((word) => `'${word}'`)
    .join(" ");
  spawnSync("sh", ["-c", `{ echo first; ${quoted}; echo last; } > '${log}'`]);
  assert.equal(readFileSync(log, "utf8"), `first\n${text("collapsed")}last\n`);
  assert.ok(lstatSync(link).isSymbolicLink());
  writeFileSync(mode, "", { mode: 0o600 });
  assert.equal(heaptap(["report", "--format", "json", "-o", mode, file]).status, 0);
  assert.equal(statSync(mode).mode & 0o777, 0o600);
});

test("threads that free each other's blocks: pprof has no negative figures, ms_print takes the tree, the timeline does not dip", () => {
  const source = join(folder, "dip.c");
  writeFileSync(
    source,
    `#include <pthread.h>
#include <stdlib.h>
static void *blocks[20000];
static void *work(void *unused) { for (int i = 0; i < 20000; i++) free(blocks[i]), blocks[i] = malloc(100); for (int i = 0; i < 500000; i++) { void *volatile p = malloc(50); free(p); } return unused; }
int main(void) { for (int i = 0; i < 20000; i++) blocks[i] = malloc(100); pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0); return 0; }
`,
  );
  const program = join(folder, "dip");
  assert.equal(spawnSync("cc", ["-O1", "-fno-builtin", source, "-o", program, "-lpthread"]).status, 0);
  const out = join(folder, "dip.heaptap");
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--", program]).status, 0);
  const { timeline, totals } = Recording.open(out).profile();
  const late = timeline.filter((sample) => sample.allocations > 40_000);
  assert.ok(late.length > 2 && late.every((sample) => sample.bytes > 0.9 * totals.peakBytes), JSON.stringify(late));
  if (!without("go")) {
    const path = join(folder, "dip.pb.gz");
    heaptap(["report", "--format", "pprof", "-o", path, out]);
    const raw = spawnSync("go", ["tool", "pprof", "-raw", path], { encoding: "utf8" }).stdout;
    assert.ok(!/^ +.* -\d+ .*: /m.test(raw), raw);
  }
  if (!without("ms_print")) {
    const path = join(folder, "dip.massif");
    heaptap(["report", "--format", "massif", "-o", path, out]);
    assert.equal(spawnSync("ms_print", [path]).status, 0);
  }
  const threads = heaptap(["report", "--thread", ".", out]);
  assert.ok(
    !/\s-\d|never freed|Top call paths by live/.test(threads.stdout.replace(/^\d{4}-.*$/m, "")),
    threads.stdout,
  );
  assert.equal(heaptap(["report", "--thread", ".", "--view", "live", out]).status, 2);
});

test("suppressions, budgets and the timeline hold to what is shown", () => {
  const suppressed = join(folder, "known.txt");
  writeFileSync(suppressed, "leak:.\n");
  if (!without("go")) {
    const path = join(folder, "suppressed.pb.gz");
    heaptap(["report", "--suppressions", suppressed, "--format", "pprof", "-o", path, file]);
    const top = spawnSync("go", ["tool", "pprof", "-top", path], { encoding: "utf8" }).stdout;
    assert.match(top, /accounting for 0, /);
  }
  Recording.open(file).mark("end");
  const none = heaptap(["report", "--since", "end", "--max-allocations", "0", file]);
  assert.deepEqual([none.status, none.stderr], [0, ""]);
  assert.equal(heaptap(["report", "--max-allocations", "0", file]).status, 3);
  assert.ok(Recording.open(file).profile({ since: "end" }).timeline.every((sample) => sample.bytes <= 0));
});

test("compact JSON has each frame once, and is compared like the other", async () => {
  const [whole, compact] = [join(folder, "whole.json"), join(folder, "compact.json")];
  writeReport(whole, exportBlocks(recorded, symbols, "json"));
  writeReport(compact, exportBlocks(recorded, symbols, "json", { compact: true }));
  assert.ok(statSync(compact).size < statSync(whole).size / 2);
  const { paths, unchanged } = compare(await readComparable(whole), await readComparable(compact));
  assert.deepEqual([paths.length, unchanged.length > 20], [0, true]);
});

test("with sizes and lifetimes, the largest table can be read", () => {
  const out = join(folder, "largest.heaptap");
  const { status, stderr } = heaptap([
    "run",
    "--sizes",
    "--lifetimes",
    "--buckets",
    "1048576",
    "--limit",
    "1",
    "-o",
    out,
    "--",
    "perl",
    "-e",
    "1",
  ]);
  assert.equal(status, 0);
  assert.match(stderr, /Sizes of requests[^]*Lifetimes of blocks/);
  rmSync(out);
});
