/** Scoped profilers in processes of their own: workers, joining, a recording on disk, a server, permissions. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, Recording } from "../mod.ts";
import type { Sample } from "../mod.ts";
import { compileBlocks, runScript } from "./blocks.ts";
import { heaptap, ROOT, RUNTIME, scratch, SCRIPT, target } from "./helpers.ts";

const folder = scratch();
const library = compileBlocks(folder);
const onDeno = RUNTIME === "Deno";
const script = (name: string) => join(ROOT, "tests/scripts", name);

test("a worker's thread span counts its own thread alone, the process's all", () => {
  const { status, stdout, stderr } = runScript(script("workers.ts"), [library]);
  assert.equal(status, 0, stderr);
  const { rounds, main, workers, threads, all, spans } = JSON.parse(stdout);
  // The engine adds to some spans, and Node to each: what others allocate would be in every one.
  const ours = (n: number, wanted: number) => n === wanted || (RUNTIME === "Node" && n === wanted + 1);
  const share = (counts: number[], wanted: number) => counts.filter((n) => ours(n, wanted)).length / rounds;
  assert.ok(main.every((n: number) => n >= 100));
  assert.ok(share(main, 100) > 0.9, `main ${share(main, 100)}`);
  for (const counts of workers) {
    assert.ok(counts.every((n: number) => n >= 7));
    assert.ok(share(counts, 7) > 0.9, `worker ${share(counts, 7)}`);
  }
  for (const thread of threads) assert.ok(thread >= rounds * 7);
  assert.ok(all >= rounds * (100 + 7 * workers.length), String(all));
  assert.deepEqual(spans, { all: 1, main: rounds, worker: workers.length * rounds });
});

test("a script under heaptap run joins the recording", () => {
  const out = join(folder, "joined.heaptap");
  const run = heaptap(["run", "-o", out, "--", process.execPath, ...SCRIPT, script("joins.ts"), library]);
  assert.equal(run.status, 0, run.stderr);
  const said = JSON.parse(run.stdout);
  assert.equal(said.joined, true);
  assert.ok(said.allocations >= 10);
  assert.deepEqual(said.sites, [["keep", 10, 1000]]);
  const keep = Recording.open(out).profile().callPaths.find((path) => path.liveBytes === 1000 && path.liveCount === 10);
  assert.ok(keep, "what the script kept is in the recording of the run");
});

test("a script's own timeline has the resident set of each moment", () => {
  const { status, stdout, stderr } = runScript(script("resident.ts"), [library]);
  assert.equal(status, 0, stderr);
  const { before, after }: Record<"before" | "after", { rss: number; timeline: Sample[] }> = JSON.parse(stdout);
  for (const { rss, timeline } of [before, after]) {
    // Full once at least, and thinned.
    assert.ok(timeline.length > 700 && timeline.length <= 1026, String(timeline.length));
    assert.ok(timeline.every(({ seconds }, i) => seconds >= (timeline[i - 1]?.seconds ?? 0)));
    // Nothing is known of the start, which is before the first sample.
    assert.ok(timeline.slice(1).every(({ resident = 0 }) => resident > 10e6 && resident < 1e9));
    const { resident = 0 } = timeline.at(-1) ?? {};
    assert.ok(Math.abs(resident - rss) < 8e6, `${resident}, and the runtime says ${rss}`);
  }
  // What malloc gave was never touched, and went up and down.
  const churned = before.timeline.filter(({ bytes }) => bytes > 1e6);
  assert.ok(churned.length > 100, String(churned.length));
  const [then = 0, now = 0] = [before, after].map(({ timeline }) => timeline.at(-1)?.resident);
  assert.ok(now - then > 60e6, `${then} to ${now}`);
});

test("a Node-API addon that comes later is seen, and a library that it opens", () => {
  const built = target(folder, "addon.c", "-shared", "-fPIC");
  const addon = join(folder, "addon.node");
  copyFileSync(built, addon);
  const { status, stdout, stderr } = runScript(script("addon.ts"), [addon, library]);
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { addon: [["make", 25, 1600, 25]], library: [["blocks", 10, 1000, 10]] });
});

test("another process reads the recording of a script while it runs, and afterwards", async () => {
  const out = join(folder, "kept.%p.heaptap");
  const child = spawn(process.execPath, [...SCRIPT, script("keeps.ts"), library, out], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await new Promise((ready) => child.stdout.once("data", ready));
  const path = out.replace("%p", String(child.pid));
  const live = heaptap(["report", "--format", "json", "--limit", "0", path]);
  assert.equal(live.status, 0, live.stderr);
  const json = JSON.parse(live.stdout);
  assert.deepEqual([json.limits.buckets, json.limits.depth], [1024, 32]);
  const site = json.allocations.find((a: { function: string }) => a.function === "keep");
  assert.deepEqual([site?.count, site?.total_bytes, site?.live_count], [12, 4140, 12]);
  child.stdin.end();
  await new Promise((ended) => child.once("exit", ended));
  assert.equal(heaptap(["report", path]).status, 0);
});

test("a server reports what it allocates while it serves", async () => {
  const server = spawn(process.execPath, [...SCRIPT, join(ROOT, "docs/examples/server.ts"), "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const first = await new Promise<string>((said) => server.stdout.once("data", (data) => said(String(data))));
    const base = `http://127.0.0.1:${/listening on (\d+)/.exec(first)?.[1]}`;
    const get = async (path: string) => {
      const response = await fetch(base + path);
      return [response.status, await response.text()] as const;
    };
    // Requests that allocate go on while reports are made.
    let served = 0;
    let stop = false;
    const load = (async () => {
      while (!stop) {
        const [status] = await get("/work?blocks=20");
        assert.equal(status, 200);
        served++;
      }
    })();
    assert.equal((await get("/heap/mark/before"))[0], 200);
    for (let i = 0; i < 5; i++) {
      const [status, text] = await get("/heap/report.txt?limit=3");
      assert.equal(status, 200, text);
      const rows = text.split("\n").filter((line) => /^ *[\d.]+ [KMG]?B /.test(line));
      assert.ok(rows.length <= 3 && (rows.length >= 1 || RUNTIME === "Bun"), text);
    }
    const before = served;
    await new Promise((done) => setTimeout(done, 300));
    assert.ok(served > before, "the server goes on");
    stop = true;
    await load;
    const [, page] = await get("/heap/");
    assert.match(page, /^<!doctype html>/i);
    const [, metrics] = await get("/heap/metrics");
    assert.match(metrics, new RegExp(`^heaptap_operation_spans_total\\{operation="work"\\} ${served}$`, "m"));
    if (RUNTIME !== "Bun") {
      const [, json] = await get("/heap/counters");
      assert.ok(JSON.parse(json).liveBytes > served * 20 * 10_000 / 2);
      // What grew most since the mark are the blocks.
      const [, grew] = await get("/heap/growth?limit=1");
      assert.match(grew, /^ *[\d.]+ MB +[\d.]+ [KMG]B +[\d.]+ [KM]?B [\d.]+ MB$/m);
    }
  } finally {
    server.kill();
  }
});

test("a leak in a server is found in the three steps of the docs: its operation and its function", async () => {
  const names = RUNTIME === "Deno" ? ["--v8-flags=--perf-basic-prof,--interpreted-frames-native-stack"] : [];
  const server = spawn(process.execPath, [...SCRIPT, ...names, script("leaks.ts"), library], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: folder,
  });
  try {
    const first = await new Promise<string>((said) => server.stdout.once("data", (data) => said(String(data))));
    const base = `http://127.0.0.1:${/listening on (\d+)/.exec(first)?.[1]}`;
    const get = async (path: string) => await (await fetch(base + path)).text();
    const work = async (rounds: number) => {
      for (let i = 0; i < rounds; i++) for (const name of ["upload", "lookup", "render"]) await get(`/${name}`);
    };
    // The cache is full by then, and code is compiled.
    await work(40);
    await get("/heap/mark/before");
    await work(100);
    const since = await get("/heap/since/before?limit=1");
    assert.match(since, /^ *300 KB +0 B +100 +3\.00 KB +300 KB {2}keep .*blocks\.c:\d+ {2}in upload$/m);
    if (RUNTIME !== "Bun") assert.match(since, /^ +keepUpload {2}.*leaks\.ts:15$/m);
    // Nothing of heaptap's stands between the server's functions.
    assert.doesNotMatch(since, /src\/scope/);
    await get("/heap/mark/later");
    await work(50);
    const growth = await get("/heap/growth?limit=0");
    assert.match(growth, /^ *(?:3[5-9]\d|4\d\d) KB .*\n +keep \(blocks\.c:\d+\).* {2}in upload$/m);
    assert.doesNotMatch(growth, /in lookup|in render/);
  } finally {
    server.kill();
    rmSync(`/tmp/perf-${server.pid}.map`, { force: true });
  }
});

// Where the library is put into the process by each of them, as it can be once only.
for (const part of ["server", "operations"]) {
  test(`tests/inside/${part}.ts, in a process of its own`, () => {
    const command = RUNTIME === "Deno"
      ? ["test", "-A", "--no-check"]
      : RUNTIME === "Bun"
      ? ["test", "--timeout", "60000"]
      : ["--test", ...SCRIPT];
    const result = spawnSync(process.execPath, [...command, `./tests/inside/${part}.ts`], {
      cwd: ROOT,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1", NODE_TEST_CONTEXT: undefined },
    });
    assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
    assert.match(result.stdout + result.stderr, /\b[5-9] pass|pass [5-9]/);
  });
}

const PROBE = `import { counters } from "${join(ROOT, "mod.ts")}";
try {
  counters();
  console.log("counted");
} catch (error) {
  console.log(error.name + ": " + error.message);
}
try {
  console.log(counters().allocations >= 0);
} catch (error) {
  console.log("again");
}`;

async function probe(flags: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const file = join(folder, "probe.mjs");
  writeFileSync(file, PROBE);
  // Through a script: Deno hands its own permissions on to a Deno that it sees itself start.
  const script = join(folder, "probe.sh");
  const flagged = onDeno ? `run --no-prompt ${flags.join(" ")}` : SCRIPT.join(" ");
  writeFileSync(script, `exec "${process.execPath}" ${flagged} "${file}"\n`);
  const child = spawn("/bin/sh", [script], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  let said = "";
  child.stdout.on("data", (data) => said += data);
  assert.equal(await new Promise((ended) => child.once("exit", ended)), 0);
  return said.trim();
}

test(
  "each permission that Deno wants is named",
  { skip: onDeno ? false : `${RUNTIME} has no such permissions` },
  async () => {
    libraryPath(); // compiled by now
    const cases: [string[], RegExp][] = [
      [[], /^LibraryError: Cannot load .*: Deno needs --allow-env /],
      [["--allow-env"], /: Deno needs --allow-read /],
      [
        ["--allow-env", "--allow-read"],
        /^LibraryError: Cannot load .*: Deno needs --allow-ffi \(without a list of libraries\)/,
      ],
      [
        ["--allow-env", "--allow-read", "--allow-ffi=/usr/lib"],
        /: Deno needs --allow-ffi \(without a list of libraries\)/,
      ],
      [["--allow-env", "--allow-read", "--allow-ffi"], /^counted\ntrue$/],
    ];
    for (const [flags, message] of cases) assert.match(await probe(flags), message, flags.join(" "));
    const fresh = { XDG_CACHE_HOME: join(folder, "fresh") };
    const ffi = ["--allow-env", "--allow-read", "--allow-ffi"];
    assert.match(
      await probe(ffi, fresh),
      /^LibraryError: Cannot write the cache folder ".*": Deno needs --allow-write /,
    );
    assert.match(
      await probe([...ffi, "--allow-write"], fresh),
      /Cannot compile the library with ".*": Deno needs --allow-run/,
    );
  },
);

test("without a compiler, or a cache folder, there is one clear error and the script goes on", async () => {
  const all = ["-A"];
  const empty = join(folder, "empty");
  mkdirSync(empty, { recursive: true });
  assert.match(
    await probe(all, { PATH: empty, CC: "" }),
    /^LibraryError: Cannot compile the library: no cc, gcc or clang on the PATH; install a C compiler .*\nagain$/,
  );
  assert.match(
    await probe(all, { CC: "/nowhere/cc" }),
    /^LibraryError: Cannot compile the library: "\/nowhere\/cc" \(from CC\) is not there/,
  );
  assert.match(
    await probe(all, { XDG_CACHE_HOME: "/proc/nowhere" }),
    /^LibraryError: Cannot write the cache folder "\/proc\/nowhere\/heaptap": .*set XDG_CACHE_HOME/,
  );
});

test("install options are checked, and a failed install can be tried again", () => {
  const code = `import { install } from "${join(ROOT, "mod.ts")}";
for (const options of [{ buckets: -1 }, { depth: 2.5 }, { out: "/nowhere/x.heaptap" }, { library: "/nowhere.so" }, { library: "/etc/passwd" }]) {
  try {
    install(options);
    console.log("installed");
  } catch (error) {
    console.log(error.name + ": " + error.message.split("\\n").length + " " + error.message);
  }
}
console.log(install({ buckets: 64 }).joined);`;
  const file = join(folder, "options.mjs");
  writeFileSync(file, code);
  const { status, stdout, stderr } = runScript(file, []);
  assert.equal(status, 0, stderr);
  const lines = stdout.trim().split("\n");
  assert.match(
    lines[0] ?? "",
    /^RangeError: 1 Cannot install with buckets -1: it takes a whole number from 64 to 1048576$/,
  );
  assert.match(lines[1] ?? "", /^RangeError: 1 Cannot install with depth 2\.5: .* from 4 to 8192$/);
  assert.match(
    lines[2] ?? "",
    /^LibraryError: 1 Cannot install: the recording "\/nowhere\/x\.heaptap" cannot be made: the folder is not there$/,
  );
  assert.match(lines[3] ?? "", /^LibraryError: 1 Cannot load "\/nowhere\.so": /);
  assert.match(lines[4] ?? "", /^LibraryError: 1 Cannot load "\/etc\/passwd": .*invalid ELF header/);
  assert.equal(lines[5], "false");
});

test("the environment's variables size the table, and options come before them", () => {
  const code = `import { install } from "${join(ROOT, "mod.ts")}";
import process from "node:process";
const out = process.argv[2];
install({ out, depth: 16 });`;
  const file = join(folder, "variables.mjs");
  writeFileSync(file, code);
  const out = join(folder, "variables.heaptap");
  const { status, stderr } = runScript(file, [out], {
    HEAPTAP_BUCKETS: "2048",
    HEAPTAP_DEPTH: "64",
    HEAPTAP_PEAK: "exact",
  });
  assert.equal(status, 0, stderr);
  const { limits } = Recording.open(out).profile();
  assert.deepEqual([limits.buckets, limits.depth, limits.peakError], [2048, 16, 0]);
  assert.equal(readFileSync(out).subarray(0, 7).toString(), "heaptap");
});

test("a child of a process with hooks inside is not recorded", () => {
  const code = `import { install } from "${join(ROOT, "mod.ts")}";
import { execFileSync } from "node:child_process";
import process from "node:process";
install({ out: process.argv[2] });
console.log(execFileSync("sh", ["-c", "echo child; ls /nowhere 2>/dev/null; true"], { encoding: "utf8" }).trim());`;
  const file = join(folder, "children.mjs");
  writeFileSync(file, code);
  const inside = join(folder, "children");
  mkdirSync(inside);
  const { status, stdout, stderr } = runScript(file, [join(inside, "own.heaptap")]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "child\n");
  assert.deepEqual(readdirSync(inside), ["own.heaptap"]);
});
