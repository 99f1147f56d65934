/** Sampled recordings: totals stay exact, estimates are unbiased and within their margins, and all reports say what they are. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import process from "node:process";
import { gunzipSync } from "node:zlib";
import { before, test } from "node:test";
import { blocksMargin, bytesMargin, libraryPath, Recording, Symbols } from "../mod.ts";
import type { Profile } from "../mod.ts";
import { heaptap, ROOT, scratch, target } from "./helpers.ts";

const folder = scratch();
const INTERVAL = 65536;
const SEEDS = 60;

/** What the head of tests/targets/sampled.c says. */
const KNOWN: Readonly<Record<string, { count: number; bytes: number; live: number; temporary: number }>> = {
  kept: { count: 40_000, bytes: 4_000_000, live: 2_000_000, temporary: 0 },
  large: { count: 40, bytes: 12_000_000, live: 12_000_000, temporary: 0 },
  passing: { count: 30_000, bytes: 30_000_000, live: 0, temporary: 30_000 },
  zeroed: { count: 2000, bytes: 1_000_000, live: 1_000_000, temporary: 0 },
  handed: { count: 20_000, bytes: 4_000_000, live: 0, temporary: 0 },
};
const PEAK = 4_000_000 + 12_000_000 + 1_000_000 + 4_000_000;

function record(program: readonly string[], out: string, env: Record<string, string>, preload = ""): Recording {
  const [command = "", ...args] = program;
  const result = spawnSync(command, args, {
    env: { ...process.env, LD_PRELOAD: [libraryPath(), preload].filter(Boolean).join(":"), HEAPTAP_OUT: out, ...env },
  });
  assert.equal(result.status, 0, String(result.stderr));
  return Recording.open(out);
}

/** The call paths by the function that allocated. */
async function byFunction(profile: Profile) {
  using symbols = new Symbols(profile);
  await symbols.resolve(profile.callPaths);
  return new Map(profile.callPaths.map((path) => [symbols.stack(path)[0]?.function ?? "", path]));
}

/** The data of a page. */
function pageData(page: string): string {
  const packed = /type="application\/octet-stream">([^<]*)</.exec(page)?.[1] ?? "";
  return gunzipSync(Buffer.from(packed, "base64")).toString();
}

let program = "";
let exact: Profile;
before(() => {
  program = target(folder, "sampled.c");
  exact = record([program], join(folder, "exact.heaptap"), {}).profile();
});

test("totals of a sampled run are those of an exact one, of each thread too", () => {
  const sampled = record([program], join(folder, "totals.heaptap"), { HEAPTAP_SAMPLE: "4KiB", HEAPTAP_SEED: "1" })
    .profile();
  for (const figure of ["allocations", "bytes", "frees", "temporary", "reallocations"] as const) {
    assert.equal(sampled.totals[figure], exact.totals[figure], figure);
  }
  assert.deepEqual(
    sampled.threads.map(({ allocations, bytes, frees }) => [allocations, bytes, frees]),
    exact.threads.map(({ allocations, bytes, frees }) => [allocations, bytes, frees]),
  );
  assert.equal(sampled.limits.interval, 4096);
  assert.equal(exact.limits.interval, 0);
});

test("estimates are unbiased, and within their margins as often as these say", async () => {
  const sums: Record<string, { count: number; bytes: number; live: number; temporary: number }> = {};
  const spread: Record<string, number> = {};
  const held = { count: 0, bytes: 0, live: 0, peak: 0, of: 0 };
  let peaks = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const out = join(folder, `seed${seed}.heaptap`);
    const profile = record([program], out, { HEAPTAP_SAMPLE: String(INTERVAL), HEAPTAP_SEED: String(seed) }).profile();
    const paths = await byFunction(profile);
    peaks += profile.totals.peakBytes;
    held.of++;
    const blocks = profile.callPaths.reduce((n, path) => n + path.peakCount, 0);
    if (
      Math.abs(profile.totals.peakBytes - PEAK) <= bytesMargin({ blocks, bytes: profile.totals.peakBytes }, INTERVAL)
    ) {
      held.peak++;
    }
    for (const [name, known] of Object.entries(KNOWN)) {
      const path = paths.get(name);
      const sum = sums[name] ??= { count: 0, bytes: 0, live: 0, temporary: 0 };
      if (!path) continue;
      sum.count += path.allocations;
      sum.bytes += path.bytes;
      sum.live += path.liveBytes;
      sum.temporary += path.temporary;
      spread[name] = (spread[name] ?? 0) + (path.bytes - known.bytes) ** 2;
      const { allocations, bytes, liveBytes, liveCount, variance } = path;
      if (Math.abs(bytes - known.bytes) <= bytesMargin({ blocks: allocations, bytes }, INTERVAL)) held.bytes++;
      if (Math.abs(liveBytes - known.live) <= bytesMargin({ blocks: liveCount, bytes: liveBytes }, INTERVAL)) {
        held.live++;
      }
      if (Math.abs(allocations - known.count) <= blocksMargin({ blocks: allocations, bytes, variance }, INTERVAL)) {
        held.count++;
      }
    }
  }
  for (const [name, known] of Object.entries(KNOWN)) {
    // Four times the deviation of a mean of so many runs, which chance leaves alone in all but 1 of 16,000 cases; seeds are given.
    const blocks = known.count;
    const error = 4 * Math.sqrt(1 / (blocks * Math.expm1((known.bytes / blocks + 1) / INTERVAL)) / SEEDS);
    const near = (what: "count" | "bytes" | "live" | "temporary", part = 1) => {
      const mean = (sums[name]?.[what] ?? 0) / SEEDS;
      assert.ok(
        // Blocks are given as whole numbers.
        Math.abs(mean - known[what]) <= known[what] * error / Math.sqrt(part) + 0.5,
        `${name}: ${what} ${mean}, not ${known[what]} (±${(100 * error).toFixed(2)} %)`,
      );
    };
    near("count");
    near("bytes");
    near("live", known.live / known.bytes || 1);
    near("temporary");
  }
  const figures = Object.keys(KNOWN).length * held.of;
  for (const what of ["count", "bytes", "live"] as const) {
    assert.ok(held[what] >= 0.93 * figures, `${what}: ${held[what]} of ${figures} within their margins`);
  }
  assert.ok(held.peak >= 0.9 * held.of, `the peak: ${held.peak} of ${held.of}`);
  // The highest of what goes up and down by chance is a little too high.
  assert.ok(peaks / SEEDS >= 0.99 * PEAK && peaks / SEEDS <= 1.03 * PEAK, `a peak of ${peaks / SEEDS}`);
});

test("when all is freed nothing is estimated to be live", () => {
  for (const interval of ["64", "1KiB", "64KiB"]) {
    const { totals, callPaths } = record([program, "all"], join(folder, `all${interval}.heaptap`), {
      HEAPTAP_SAMPLE: interval,
    }).profile();
    const own = callPaths.filter((path) => path.allocations > 100);
    assert.ok(own.length >= 3);
    assert.ok(own.every((path) => path.liveBytes === 0 && path.liveCount === 0), interval);
    // What the C library keeps of its thread.
    assert.ok(
      Math.abs(totals.liveBytes) < 200_000 && totals.liveCount < 10,
      `${totals.liveBytes}, ${totals.liveCount}`,
    );
  }
});

test("an interval that meets every block gives exact figures", async () => {
  const paths = await byFunction(
    record([program], join(folder, "every.heaptap"), { HEAPTAP_SAMPLE: "64" }).profile(),
  );
  const large = paths.get("large");
  assert.deepEqual([large?.allocations, large?.bytes, large?.liveBytes], [40, 12_000_000, 12_000_000]);
});

for (const name of ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"]) {
  const library = `/usr/lib/x86_64-linux-gnu/${name}`;
  const skip = existsSync(library) ? false : `${name} is not installed`;
  test(`totals are exact with operators and functions of ${name}`, { skip }, () => {
    const operators = target(folder, "operators.cc");
    const run = (out: string, env: Record<string, string>) => record([operators], join(folder, out), env, library);
    const all = run("operators.heaptap", {}).profile().totals;
    const some = run("operators.sampled.heaptap", { HEAPTAP_SAMPLE: "1KiB" }).profile().totals;
    const totals = run("operators.totals.heaptap", { HEAPTAP_MODE: "totals" }).profile().totals;
    assert.equal(some.allocations, all.allocations);
    assert.equal(totals.allocations, all.allocations);
    assert.deepEqual([some.frees, totals.frees], [all.frees, all.frees]);
    // Of a reallocation the old size is what the allocator says.
    assert.ok(Math.abs(some.bytes - all.bytes) <= 64 * all.reallocations, `${some.bytes}, ${all.bytes}`);
    assert.equal(totals.bytes, some.bytes);
  });
}

test("text, JSON, page, pprof and comparisons say that figures are estimates", () => {
  const sampled = join(folder, "seed1.heaptap");
  const text = heaptap(["report", sampled]).stdout;
  assert.match(text, /· sampled every 64 KiB/);
  assert.match(text, /peak +\d+(\.\d+)? MB +±\d+(\.\d)?%/);
  assert.match(text, /A block every 64 KiB was recorded/);
  assert.match(text, / bytes +share +± +blocks +function/);
  assert.match(text, /±\d+(\.\d)?% +[\d,]+ +large sampled\.c/);
  const json = JSON.parse(heaptap(["report", "--format", "json", sampled]).stdout);
  assert.deepEqual([json.limits.interval_bytes, json.limits.confidence], [INTERVAL, 0.95]);
  assert.ok(json.summary.peak_bytes_margin > 0);
  const kept = json.allocations.find((path: { function: string }) => path.function === "kept");
  assert.ok(kept.total_bytes_margin > 0 && kept.count_margin > 0 && kept.live_bytes_margin > 0);
  const plain = JSON.parse(heaptap(["report", "--format", "json", join(folder, "exact.heaptap")]).stdout);
  assert.deepEqual([plain.limits.interval_bytes, plain.allocations[0].count_margin], [null, undefined]);
  const page = heaptap(["report", "--format", "html", "-o", "-", sampled]).stdout;
  const { notes, margins } = JSON.parse(pageData(page));
  assert.match(margins.peakBytes, /^±\d/);
  assert.match(notes.join("\n"), /A block every 64 KiB was recorded/);
  const pprof = join(folder, "seed1.pb.gz");
  assert.equal(heaptap(["report", "--format", "pprof", "-o", pprof, sampled]).status, 0);
  // Field 12, period, as a varint: 65536.
  assert.ok(gunzipSync(readFileSync(pprof)).includes(new Uint8Array([12 << 3, 0x80, 0x80, 0x04])));
  const compared = heaptap(["compare", join(folder, "exact.heaptap"), sampled]).stdout;
  assert.match(
    compared,
    /the second is sampled, every 64 KiB: its call paths, its peak and what is live are estimates/,
  );
  const judged = heaptap(["report", "--max-peak", "1MB", "--max-allocations", "10", sampled]);
  assert.equal(judged.status, 3);
  assert.match(judged.stderr, /max-peak \(an estimate, ±\d/);
  assert.match(judged.stderr, /max-allocations[^(]*\d/);
});

test("totals alone: allocations and bytes, and no word of what is not known", () => {
  const out = join(folder, "only.heaptap");
  const run = heaptap(["run", "--mode", "totals", "-o", out, "--max-bytes", "1GB", "--", program]);
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stderr, /totals only/);
  assert.match(run.stderr, /Totals only: what is live, and the peak, are not known/);
  assert.doesNotMatch(run.stderr, /^ +(peak|live)/m);
  const { totals } = Recording.open(out).profile();
  assert.deepEqual(
    [totals.allocations, totals.bytes, totals.frees, totals.temporary],
    [exact.totals.allocations, exact.totals.bytes, exact.totals.frees, exact.totals.temporary],
  );
  const { summary, limits } = JSON.parse(heaptap(["report", "--format", "json", out]).stdout);
  assert.deepEqual([limits.mode, summary.peak_bytes, summary.live_bytes, summary.freed_bytes], [
    "totals",
    null,
    null,
    null,
  ]);
  const page = JSON.parse(pageData(heaptap(["report", "--format", "html", "-o", "-", out]).stdout));
  assert.deepEqual([page.totals.peakBytes, page.totals.bytes], [undefined, exact.totals.bytes]);
  const refused = heaptap(["run", "--mode", "totals", "--max-peak", "1MB", "--", program]);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /Cannot judge --max-peak of totals/);
  const fewer = String(totals.temporary - 1);
  for (const [allowed, status] of [[String(totals.temporary), 0], [fewer, 3]] as const) {
    assert.equal(heaptap(["report", "--max-temporary", allowed, out]).status, status);
  }
  assert.equal(heaptap(["run", "--mode", "totals", "--max-temporary", fewer, "-o", out, "--", program]).status, 3);
  const later = heaptap(["report", "--max-live", "1MB", out]);
  assert.equal(later.status, 2);
  assert.match(later.stderr, /Cannot judge max-live: the recording has totals only/);
});

test("what cannot be sampled is refused in a line, before the program runs", () => {
  const cases: [readonly string[], RegExp][] = [
    [["--sample=5", "--"], /It takes a size from 64 to 1GiB/],
    [["--sample=2GiB", "--"], /It takes a size from 64 to 1GiB/],
    [["--sample"], /--sample -- \.\/app/],
    [["--sample", "--sizes", "--"], /Cannot record sizes of samples/],
    [["--sample", "--exact-peak", "--"], /Cannot tell an exact peak of samples/],
    [["--sample", "--mode", "counters", "--"], /Cannot sample without call paths/],
  ];
  for (const [options, said] of cases) {
    const out = join(folder, "refused.heaptap");
    const { status, stderr } = heaptap(["run", "-o", out, ...options, program]);
    assert.equal(status, 2, options.join(" "));
    assert.match(stderr, said);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.ok(!existsSync(out));
  }
});

test("a variable that cannot be read is told, and one with a unit is read", () => {
  for (
    const [value, interval] of [["1MB", 1_000_000], ["2K", 2000], ["2kib", 2048], ["3MiB", 3 << 20], ["0", 0], [
      "4096B",
      4096,
    ]] as const
  ) {
    const { limits } = record([program], join(folder, `unit${value}.heaptap`), { HEAPTAP_SAMPLE: value }).profile();
    assert.deepEqual([limits.interval, limits.rejected], [interval, []], value);
  }
  for (const value of ["often", "1", "2GiB", "5 KiB", "99999999999999999999999", "4096x"]) {
    const { limits } = record([program], join(folder, `bad${value.length}.heaptap`), { HEAPTAP_SAMPLE: value })
      .profile();
    assert.deepEqual([limits.interval, limits.rejected], [0, ["HEAPTAP_SAMPLE"]], value);
  }
  const { stderr } = heaptap(["run", "-o", join(folder, "told.heaptap"), "--no-report", "--", program], {
    env: { HEAPTAP_SAMPLE: "often" },
  });
  assert.match(stderr, /HEAPTAP_SAMPLE=often cannot be read: it takes a size/);
});

test("a script's own process, sampled", () => {
  const script = join(folder, "script.ts");
  writeFileSync(
    script,
    `import { install } from ${JSON.stringify(join(ROOT, "mod.ts"))};
const { recording } = install({ sample: 4096 });
console.log(JSON.stringify(recording));
try { install({ sample: 4097.5 }); } catch (error) { console.log(error.message); }
`,
  );
  const args = "Deno" in globalThis ? ["run", "-A", script] : [script];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(JSON.parse(stdout.split("\n")[0] ?? "").interval, 4096);
});

test("a reallocation that is refused leaves a sampled block as it was", () => {
  const refuses = target(folder, "refuses.c");
  for (
    const [name, env] of [["some", { HEAPTAP_SAMPLE: "4KiB", HEAPTAP_SEED: "1" }], ["none", {
      HEAPTAP_MODE: "totals",
    }]] as const
  ) {
    const { totals } = record([refuses], join(folder, `refused.${name}.heaptap`), env).profile();
    assert.deepEqual([totals.allocations, totals.bytes, totals.frees, totals.failed], [2000, 10_000_000, 2000, 2000]);
    assert.equal(totals.liveBytes, 0);
  }
});

test("growth by reallocations is that of an exact run, but for the slack of blocks", () => {
  const reallocs = target(folder, "reallocs.c");
  const run = (name: string, env: Record<string, string>) =>
    record([reallocs], join(folder, `reallocs.${name}.heaptap`), env).profile().totals;
  const all = run("all", {});
  for (const some of [run("some", { HEAPTAP_SAMPLE: "4KiB" }), run("none", { HEAPTAP_MODE: "totals" })]) {
    assert.equal(some.allocations, all.allocations);
    assert.equal(some.reallocations, all.reallocations);
    assert.ok(Math.abs(some.bytes - all.bytes) <= 0.02 * all.bytes, `${some.bytes}, not ${all.bytes}`);
  }
});

test("since a mark, and of several processes, what is live has a margin too", () => {
  const marked = target(folder, "marked.c", `-I${join(ROOT, "ffi/include")}`);
  const out = join(folder, "marked.heaptap");
  record([marked], out, { HEAPTAP_SAMPLE: "16KiB", HEAPTAP_SEED: "1" });
  const whole = JSON.parse(heaptap(["report", "--format", "json", out]).stdout).summary;
  const since = JSON.parse(heaptap(["report", "--format", "json", "--since", "half", out]).stdout).summary;
  assert.ok(since.live_bytes_margin > whole.live_bytes_margin && whole.live_bytes_margin > 0);
  assert.ok(Math.abs(since.live_bytes - 5_000_000) <= since.live_bytes_margin, `${since.live_bytes}`);
  assert.ok(Math.abs(whole.live_bytes - 10_000_000) <= whole.live_bytes_margin, `${whole.live_bytes}`);
});

test("what two sampled runs of the same program differ by is within their margins, and is no change", () => {
  const [one, other] = [join(folder, "seed1.heaptap"), join(folder, "seed2.heaptap")];
  const changes = (a: string, b: string) => JSON.parse(heaptap(["compare", "--format", "json", a, b]).stdout);
  for (const { paths, same } of [changes(one, other), changes(join(folder, "exact.heaptap"), other)]) {
    assert.ok(paths.length <= 1 && same >= 5, `${paths.length} differ, ${same} are the same`);
  }
  // What else was live is freed in the end.
  const freed = join(folder, "freed.heaptap");
  record([program, "all"], freed, { HEAPTAP_SAMPLE: String(INTERVAL), HEAPTAP_SEED: "5" });
  const changed = changes(one, freed).paths.map((path: { function: string }) => path.function);
  for (const name of ["kept", "large", "zeroed"]) assert.ok(changed.includes(name), changed.join());
  assert.ok(!changed.includes("passing") && !changed.includes("handed"), changed.join());
});
