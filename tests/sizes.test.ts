/** Sizes of requests and slack, on a program whose every request is known (tests/targets/sizes.c). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { jsonReport, libraryPath, profile, Recording, Symbols } from "../mod.ts";
import { sizeClassName } from "../src/profile/sizes.ts";
import { heaptap, scratch, target } from "./helpers.ts";

const folder = scratch();
const program = target(folder, "sizes.c");

/** Runs the target preloaded, and returns what it says its slack is. */
function run(out: string, env: Record<string, string> = {}): number {
  const { LD_PRELOAD = "", ...rest } = env;
  const preload = LD_PRELOAD ? `${libraryPath()}:${LD_PRELOAD}` : libraryPath();
  const result = spawnSync(program, {
    encoding: "utf8",
    env: { ...process.env, LD_PRELOAD: preload, HEAPTAP_OUT: out, HEAPTAP_SIZES: "on", ...rest },
  });
  return Number(result.stderr);
}

const file = join(folder, "sizes.heaptap");
const slack = run(file);
const recorded = Recording.open(file).profile();

const EXPECTED = {
  ...{ "8": 20, "16": 20, "32": 1, "128": 1, "512": 1, "1024": 10, "8192": 1, [String(2 << 20)]: 10 },
};

test("requests by size, and slack, in all and of each call path", async () => {
  assert.ok(slack > 0);
  using symbols = new Symbols(recorded);
  await symbols.resolve(recorded.callPaths);
  const report = jsonReport(recorded, symbols, 0);
  assert.deepEqual(report.sizes, { slack_bytes: slack, request_sizes: EXPECTED });
  const of = (name: string) => recorded.callPaths.filter((path) => symbols.stack(path)[0]?.function === name);
  const sum = (name: string) =>
    of(name).reduce((all, path) => all.map((n, i) => n + (path.sizes?.requests[i] ?? 0)), new Array(31).fill(0));
  assert.deepEqual(sum("small").slice(0, 3), [20, 20, 0]);
  assert.deepEqual(sum("large").slice(0, 8), [0, 0, 1, 0, 1, 0, 1, 10]);
  for (const path of recorded.callPaths) {
    assert.equal(path.sizes?.requests.reduce((n, x) => n + x, 0), path.allocations);
  }
});

test("the command line shows them, and says where they were not recorded", async () => {
  const { stdout, status } = heaptap(["report", "--sizes", file]);
  assert.equal(status, 0);
  assert.match(stdout, /Sizes of requests\n +0-8 B +20 +31\.3% +#+\n +9-16 B +20 +31\.3% +#+\n +17-32 B +1 /);
  assert.match(stdout, /1-2 MiB +10 /);
  assert.match(stdout, /\n +slack [\d.]+ K?B, \d+\.\d% of what was asked for, \d+ B an allocation\n/);
  assert.match(stdout, /sizes: 1-2 MiB 100\.0%; slack /);
  const live = heaptap(["run", "--sizes", "--limit", "1", "-o", join(folder, "cli.heaptap"), "--", program]);
  assert.match(live.stderr, /Sizes of requests/);
  const without = join(folder, "without.heaptap");
  await profile([program], { out: without, stdio: "ignore" });
  const refused = heaptap(["report", "--sizes", without]);
  assert.equal(refused.status, 2);
  assert.match(
    refused.stderr,
    /^heaptap: Cannot show sizes of "[^"]*": they were not recorded; record with heaptap run --sizes\n$/,
  );
  const contrary = heaptap(["run", "--sizes", "--mode", "counters", "--", program]);
  assert.deepEqual([contrary.status, contrary.stderr.split("\n").length], [2, 2]);
  await assert.rejects(profile([program], { sizes: true, mode: "counters" }), /Cannot record sizes without call paths/);
});

for (const name of ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"]) {
  const allocator = join("/usr/lib/x86_64-linux-gnu", name);
  const skip = existsSync(allocator) ? false : `${name} is not installed`;

  test(`${name}: its own slack, small requests too`, { skip }, () => {
    const out = join(folder, `${name}.heaptap`);
    const said = run(out, { LD_PRELOAD: allocator });
    const { callPaths, modules } = Recording.open(out).profile();
    // libstdc++, which the allocators need, makes a block of its own.
    const own = callPaths.filter((path) => path.stack.some((frame) => modules[frame.module]?.path === program));
    assert.equal(own.reduce((n, path) => n + (path.sizes?.slack ?? NaN), 0), said);
    assert.ok(said > 0);
    assert.ok(callPaths.every(({ sizes }) => (sizes?.slack ?? -1) >= 0));
  });

  test(`${name}: requests come to it as they are`, { skip }, () => {
    for (const source of ["usable.c", "close.c"]) {
      const asks = target(folder, source);
      const alone = spawnSync(asks, { encoding: "utf8", env: { LD_PRELOAD: allocator } });
      const env = {
        LD_PRELOAD: `${libraryPath()}:${allocator}`,
        HEAPTAP_OUT: join(folder, "usable.heaptap"),
        HEAPTAP_SIZES: "on",
      };
      const recorded = spawnSync(asks, { encoding: "utf8", env });
      assert.deepEqual([recorded.status, recorded.stdout], [0, alone.stdout], source);
    }
    const { totals } = Recording.open(join(folder, "usable.heaptap")).profile();
    assert.equal(totals.lostFrees + totals.unknownFrees, 0);
  });
}

test("--since leaves out the sizes of before", () => {
  const copy = join(folder, "copy.heaptap");
  copyFileSync(file, copy);
  const since = Recording.open(file).profile({ since: copy });
  assert.deepEqual(since.callPaths, []);
});

test("classes are named", () => {
  const names = [0, 1, 7, 8, 16, 17, 29, 30].map((i) => sizeClassName(i, 31));
  assert.deepEqual(names, [
    "0-8 B",
    "9-16 B",
    "513-1024 B",
    "1-2 KiB",
    "256-512 KiB",
    "512 KiB-1 MiB",
    "2-4 GiB",
    "above 4 GiB",
  ]);
});
