/** How long blocks lived, on a program whose every block's lifetime is known (tests/targets/lifetimes.c), and as DHAT says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { dhatReport, jsonReport, libraryPath, profile, Recording, Symbols } from "../mod.ts";
import type { CallPath, Lifetimes, Profile } from "../mod.ts";
import {
  allocationsClassName,
  combineLifetimes,
  endedBlocks,
  lifetime,
  timeClassName,
  totalLifetimes,
} from "../src/profile/lifetimes.ts";
import { heaptap, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const program = target(folder, "lifetimes.c");

/** Records the target, below another allocator too, and in a folder of its own. */
function record(name: string, env: Record<string, string> = {}): Recording {
  const { LD_PRELOAD = "", ...rest } = env;
  const out = join(folder, `${name}.heaptap`);
  const preload = LD_PRELOAD ? `${libraryPath()}:${LD_PRELOAD}` : libraryPath();
  const { status } = spawnSync(program, {
    env: { ...process.env, LD_PRELOAD: preload, HEAPTAP_OUT: out, HEAPTAP_LIFETIMES: "on", ...rest },
  });
  assert.equal(status, 0);
  return Recording.open(out);
}

/** What call paths have together that lead through a function of the program. */
async function byFunction(profile: Profile): Promise<(name: string) => { paths: CallPath[]; lifetimes: Lifetimes }> {
  using symbols = new Symbols(profile);
  await symbols.resolve(profile.callPaths);
  const names = new Map(profile.callPaths.map((path) => [path, symbols.stack(path).map((frame) => frame.function)]));
  return (name) => {
    const paths = profile.callPaths.filter((path) => names.get(path)?.includes(name));
    const lifetimes = totalLifetimes(paths);
    assert.ok(lifetimes, `${name} has no lifetimes`);
    return { paths, lifetimes };
  };
}

/** Classes that have something: `{ "8-15": 992 }`. */
function inWords(classes: readonly number[]): Record<string, number> {
  const used = classes.flatMap((n, i) => n === 0 ? [] : [[allocationsClassName(i, classes.length), n] as const]);
  return Object.fromEntries(used);
}

const EXPECTED: Readonly<Record<string, readonly [ended: number, allocations: number, classes: object, live: number]>> =
  {
    young: [1000, 0, { "0": 1000 }, 0],
    ring: [1000, 992 * 8 + 28, { "0": 1, "1": 1, "2-3": 2, "4-7": 4, "8-15": 992 }, 0],
    grown: [1, 5, { "4-7": 1 }, 1],
    aside: [0, 0, {}, 1],
    shrunk: [1, 1, { "1": 1 }, 0],
    slow: [1, 0, { "0": 1 }, 0],
    kept: [0, 0, {}, 40],
    aligned: [3, 3, { "0": 1, "1": 1, "2-3": 1 }, 0],
    other: [10, 45, { "0": 1, "1": 1, "2-3": 2, "4-7": 4, "8-15": 2 }, 1],
    forked: [0, 0, {}, 1],
  };

async function check(recorded: Profile): Promise<void> {
  const of = await byFunction(recorded);
  for (const [name, [ended, allocations, classes, live]] of Object.entries(EXPECTED)) {
    const { lifetimes } = of(name);
    const said = [
      endedBlocks(lifetimes),
      lifetimes.allocations,
      inWords(lifetimes.byAllocations),
      lifetimes.live?.blocks,
    ];
    assert.deepEqual(said, [ended, allocations, classes, live], name);
    assert.equal(lifetimes.byTime.reduce((n, x) => n + x, 0), ended, name);
  }
  const { lifetimes: slow } = of("slow");
  assert.ok(slow.seconds >= 0.02 && slow.seconds < 5, `slow lived ${slow.seconds} s`);
  assert.equal(slow.byTime.slice(15).reduce((n, x) => n + x, 0), 1, "more than 2^14 microseconds");
  // A block that is reallocated ends where it was last, and is not among the others.
  const ends = of("grown").paths.filter((path) => path.lifetimes && endedBlocks(path.lifetimes) > 0);
  assert.deepEqual(ends.map((path) => path.reallocations), [4]);
}

const recording = record("lifetimes");
const recorded = recording.profile();

test("every block lived as many allocations as it did, on every call path", () => check(recorded));

test("all blocks that ended are among them, and all that are live", () => {
  const all = totalLifetimes(recorded.callPaths);
  assert.ok(all?.live);
  assert.equal(endedBlocks(all), recorded.totals.frees);
  assert.equal(all.live.blocks, recorded.totals.liveCount);
  for (const { lifetimes, frees, liveCount } of recorded.callPaths) {
    assert.ok(lifetimes?.live);
    assert.deepEqual([endedBlocks(lifetimes), lifetimes.live.blocks], [frees, liveCount]);
  }
});

test("what is live is as old as the run since its birth", async () => {
  const { lifetimes } = (await byFunction(recorded))("kept");
  // Allocations 2010 to 2049 of the process, less what other libraries made before.
  const { allocations } = recorded.totals;
  const before = allocations - 2064;
  const births = Array.from({ length: 40 }, (_, i) => 2010 + i + before);
  assert.equal(lifetimes.live?.allocations, births.reduce((sum, born) => sum + allocations - born, 0));
  assert.ok((lifetimes.live?.seconds ?? 0) > 0);
  const { live: aside } = (await byFunction(recorded))("aside").lifetimes;
  assert.ok(aside && aside.seconds > 0.02, "slow() came after it");
});

test("a fork's child knows nothing of its parent's blocks, and all of its own", async () => {
  const [child] = recording.processes().filter(({ path }) => path !== recording.path);
  assert.ok(child);
  const theirs = Recording.open(child.path).profile();
  assert.deepEqual([theirs.totals.unknownFrees, theirs.totals.frees], [1, 1]);
  const { lifetimes } = (await byFunction(theirs))("forked");
  assert.deepEqual([endedBlocks(lifetimes), lifetimes.allocations, lifetimes.live?.blocks], [1, 0, 0]);
  const together = totalLifetimes(recording.profile({ all: true }).callPaths);
  assert.equal(together && endedBlocks(together), recorded.totals.frees + 1);
});

for (const name of ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"]) {
  const allocator = join("/usr/lib/x86_64-linux-gnu", name);
  test(`${name}: the same`, { skip: existsSync(allocator) ? false : `${name} is not installed` }, async () => {
    await check(record(name, { LD_PRELOAD: allocator }).profile());
  });
}

test("with a table of 64 call paths, and with sizes", async () => {
  await check(record("sizes", { HEAPTAP_SIZES: "on" }).profile());
  await check(record("small", { HEAPTAP_BUCKETS: "64" }).profile());
});

test("the command line shows them, and says where they were not recorded", async () => {
  const { stdout, status } = heaptap(["report", "--lifetimes", recording.path]);
  assert.equal(status, 0);
  assert.match(
    stdout,
    /\nLifetimes of blocks that were freed\n(?: +\S.*\n)+\nAllocations of the process meanwhile\n +0 +1,004 /,
  );
  assert.match(
    stdout,
    /\n {2}lived \S+ \S+ \(3\.\d+ allocations\), [\d.]+% < 1\.02 ms; 43 not freed, \S+ [mµ]?s old\n/,
  );
  assert.match(stdout, / kept lifetimes\.c:\d+\n.*\n {4}40 not freed, \S+ [mµ]?s old\n/);
  assert.match(stdout, / ring lifetimes\.c:\d+\n.*\n {4}lived \S+ \S+ \(7\.96 allocations\), /);
  assert.doesNotMatch(heaptap(["report", recording.path]).stdout, /lived/);
  const live = heaptap(["run", "--lifetimes", "--limit", "1", "-o", join(folder, "cli.heaptap"), "--", program]);
  assert.match(live.stderr, /Lifetimes of blocks/);
  const plain = join(folder, "plain.heaptap");
  await profile([program], { out: plain, stdio: "ignore", follow: "none" });
  const refused = heaptap(["report", "--lifetimes", plain]);
  assert.equal(refused.status, 2);
  assert.match(
    refused.stderr,
    /^heaptap: Cannot show lifetimes of "[^"]*": they were not recorded; record with heaptap run --lifetimes\n$/,
  );
  const slow = join(folder, "slow.heaptap");
  const waits = ["perl", "-e", "select(undef, undef, undef, 1)"];
  assert.equal(heaptap(["run", "--lifetimes", "--no-report", "-o", slow, "--", ...waits]).status, 0);
  const moment = heaptap(["report", "--lifetimes", "--at", "0.5s", slow]);
  assert.deepEqual([moment.status, moment.stderr], [
    2,
    `heaptap: Cannot show lifetimes of "${slow}": of moments they are not kept\n`,
  ]);
  for (const contrary of [["--mode", "counters"], ["--sample"]]) {
    const { status, stderr } = heaptap(["run", "--lifetimes", ...contrary, "--", program]);
    assert.deepEqual([status, stderr.split("\n").length], [2, 2]);
    assert.match(stderr, /^heaptap: Cannot record lifetimes (without call paths|of samples)/);
  }
});

test("JSON", async () => {
  using symbols = new Symbols(recorded);
  await symbols.resolve(recorded.callPaths);
  const { lifetimes, allocations } = jsonReport(recorded, symbols, 0);
  assert.ok(lifetimes);
  const { ended, by_allocations, by_microseconds, live } = lifetimes;
  assert.deepEqual([ended, live?.blocks], [recorded.totals.frees, 43]);
  assert.deepEqual(by_allocations, { "1": 1004, "2": 4, "4": 5, "8": 9, "16": 994 });
  assert.equal(Object.values(by_microseconds).reduce((n, x) => n + x, 0), ended);
  const ring = allocations.find(({ function: name }) => name === "ring")?.["lifetimes"] as typeof lifetimes;
  assert.equal(ring.allocations, 992 * 8 + 28);
});

test("--since leaves out what ended before, and of threads and parts nothing is said of what is live", () => {
  const copy = join(folder, "copy.heaptap");
  copyFileSync(recording.path, copy);
  assert.deepEqual(recording.profile({ since: copy }).callPaths, []);
  const [name = ""] = recorded.threads.map((thread) => thread.name);
  const part = totalLifetimes(recording.profile({ thread: new RegExp(`^${name}$`) }).callPaths);
  assert.equal(part?.live, undefined);
});

// A lifetime in instructions, which DHAT counts, is one in allocations times what comes between two: the same work each time.
test("lifetimes are DHAT's", { skip: without("valgrind") }, async () => {
  const spans = target(folder, "lifespans.c");
  const [out, file] = [join(folder, "spans.dhat"), join(folder, "spans.heaptap")];
  const valgrind = spawnSync("valgrind", ["--tool=dhat", `--dhat-out-file=${out}`, spans], { encoding: "utf8" });
  assert.equal(valgrind.status, 0, valgrind.stderr);
  interface Point {
    readonly tbk: number;
    readonly tl: number;
    readonly fs: readonly number[];
  }
  const theirs = JSON.parse(readFileSync(out, "utf8")) as { te: number; pps: Point[]; ftbl: string[] };
  await profile([spans], { out: file, lifetimes: true, stdio: "ignore" });
  const ours = Recording.open(file).profile();
  const step = theirs.te / ours.totals.allocations;
  assert.equal(theirs.pps.reduce((sum, { tbk }) => sum + tbk, 0), ours.totals.allocations);
  const of = await byFunction(ours);
  const whole = ({ allocations, live }: Lifetimes) => allocations + (live?.allocations ?? NaN);
  for (let site = 0; site < 8; site++) {
    const points = theirs.pps.filter(({ fs }) => fs.some((f) => theirs.ftbl[f]?.includes(`site_${site} `)));
    const { paths, lifetimes } = of(`site_${site}`);
    const blocks = paths.reduce((sum, path) => sum + path.allocations, 0);
    assert.equal(points.reduce((sum, { tbk }) => sum + tbk, 0), blocks);
    const average = points.reduce((sum, { tl }) => sum + tl, 0) / blocks / step;
    // From an allocation to a free are those between, and the work after the last.
    const expected = whole(lifetimes) / blocks + 1;
    assert.ok(Math.abs(average / expected - 1) < 0.01, `site ${site}: ${average} there, ${expected} here`);
  }
  // The block that is reallocated is one, from its birth to its end.
  const kept = theirs.pps.filter(({ fs }) => fs.some((f) => theirs.ftbl[f]?.includes("kept ")));
  const [there, here] = [kept.reduce((sum, { tl }) => sum + tl, 0) / step, whole(of("kept").lifetimes)];
  assert.ok(Math.abs(there / here - 1) < 0.02, `kept: ${there} there, ${here} here`);
  // Its own format says as long as ours.
  using symbols = new Symbols(ours);
  await symbols.resolve(ours.callPaths);
  const { pps } = JSON.parse(dhatReport(ours, symbols)) as { pps: Point[] };
  const seconds = totalLifetimes(ours.callPaths);
  const sum = pps.reduce((n, { tl }) => n + tl, 0);
  assert.ok(Math.abs(sum / 1e6 - (seconds?.seconds ?? 0) - (seconds?.live?.seconds ?? 0)) < 1e-3);
});

test("a script reads its own", { skip: "Bun" in globalThis ? "asked of Deno" : false }, () => {
  const script = `
    import assert from "node:assert/strict";
    import { install, profileNow } from "${new URL("../mod.ts", import.meta.url)}";
    assert.equal(install({ lifetimes: true }).recording.lifetimes, true);
    const kept = Array.from({ length: 100 }, () => new Uint8Array(50_000));
    const { profile } = await profileNow();
    const all = profile.callPaths.map(({ lifetimes }) => lifetimes);
    const ended = all.flatMap(({ byTime }) => byTime).reduce((sum, n) => sum + n, 0);
    const live = all.reduce((sum, { live }) => ({ n: sum.n + live.blocks, seconds: sum.seconds + live.seconds }), { n: 0, seconds: 0 });
    assert.ok(ended > 0 && live.n >= kept.length, JSON.stringify({ ended, live }));
    assert.ok(live.seconds > 0 && live.seconds < live.n * performance.now() / 1000, JSON.stringify(live));
  `;
  const { status, stderr } = spawnSync(process.execPath, ["run", "-A", "-"], { input: script, encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("classes are named", () => {
  assert.deepEqual([0, 1, 2, 10, 11, 21, 31].map((i) => timeClassName(i, 32)), [
    "below 1 \u00b5s",
    "1-2 \u00b5s",
    "2-4 \u00b5s",
    "512 \u00b5s-1.02 ms",
    "1.02-2.05 ms",
    "1.05-2.1 s",
    "1,074 s and more",
  ]);
  assert.deepEqual([0, 1, 2, 3, 11, 31].map((i) => allocationsClassName(i, 32)), [
    "0",
    "1",
    "2-3",
    "4-7",
    "1,024-2,047",
    "1,073,741,824 and more",
  ]);
  assert.deepEqual([0, 1.5e-7, 2.04e-3, 12, 86400].map(lifetime), ["0 ns", "150 ns", "2.04 ms", "12 s", "86,400 s"]);
  assert.equal(combineLifetimes(undefined, totalLifetimes(recorded.callPaths)), undefined);
});
