/** What programs tell of themselves by heaptap.h, and counting that is paused, from inside and from outside. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { headerFolder, libraryPath, Recording, Symbols } from "../mod.ts";
import type { Profile } from "../mod.ts";
import { CLI, heaptap, ROOT, scratch, target, without } from "./helpers.ts";

const folder = realpathSync(scratch());
const built = (...flags: string[]) => target(mkdtempSync(join(folder, "built-")), "pools.c", ...flags);

/** Records a program by hand. */
function record(program: string, env: Record<string, string> = {}): Recording {
  const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
  const { status, stderr } = spawnSync(program, [], {
    encoding: "utf8",
    env: { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out, ...env },
  });
  assert.deepEqual([status, stderr], [0, ""]);
  return Recording.open(out);
}

function figures({ totals }: Profile) {
  const { allocations, bytes, frees, reallocations, liveBytes, liveCount, unknownFrees, lostFrees } = totals;
  return { allocations, bytes, frees, reallocations, liveBytes, liveCount, unseen: unknownFrees + lostFrees };
}

const TOLD = {
  ...{ allocations: 83, bytes: 12292, frees: 52, reallocations: 1 },
  ...{ liveBytes: 900, liveCount: 30, unseen: 0 },
};

test("blocks of pools count as malloc's do, however the program is linked", () => {
  for (const flags of [[], ["-no-pie"], ["-O2", "-flto"], ["-s", "-ffunction-sections", "-Wl,--gc-sections"]]) {
    assert.deepEqual(figures(record(built(...flags)).profile()), TOLD, flags.join(" "));
  }
  const { allocations, bytes, frees } = record(built("-DHEAPTAP_DISABLE")).profile().totals;
  assert.deepEqual([allocations, bytes, frees], [17, 13272, 6]);
});

test("nobody listens: without the library, in a static program, from C++ and with warnings", () => {
  assert.equal(spawnSync(built()).status, 0);
  assert.equal(spawnSync(built("-static")).status, 0);
  const flags = [
    "-fsyntax-only",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-include",
    join(headerFolder(), "heaptap.h"),
  ];
  for (const [compiler, language] of [["c++", "-xc++"], ["cc", "-xc"], ["clang", "-xc"]] as const) {
    if (without(compiler)) continue;
    const { status, stderr } = spawnSync(compiler, [...flags, language, "/dev/null"], { encoding: "utf8" });
    assert.deepEqual([status, stderr], [0, ""], compiler);
  }
  assert.equal(heaptap(["lib", "--include"]).stdout.trim(), join(ROOT, "ffi/include"));
});

test("a pool's name stands in the report, and finds its blocks", async () => {
  const recording = record(built());
  const report = heaptap(["report", "--view", "live", recording.path]).stdout;
  assert.match(report, /760 B .* 19 {2}name_take pools\.c:\d+ {2}via pool names/);
  const filtered = heaptap(["report", "--filter", "^pool names$", "--format", "json", recording.path]).stdout;
  const paths = JSON.parse(filtered).allocations as { count: number; total_bytes: number }[];
  assert.deepEqual(paths.map((path) => [path.count, path.total_bytes]), [[50, 2000], [1, 20]]);
  const profile = recording.profile();
  using symbols = new Symbols(profile);
  await symbols.resolve(profile.callPaths);
  const names = profile.callPaths.map((path) => symbols.stack(path).map((frame) => frame.function).join(" "));
  assert.ok(
    names.includes("pool names name_take names main") ||
      names.some((name) => name.startsWith("pool names name_take names main")),
  );
  assert.doesNotMatch(heaptap(["report", recording.path]).stdout, /pool names has no/);
});

test("a mark from inside is one that --since knows", () => {
  const recording = record(built());
  assert.deepEqual(recording.marks().map(({ name }) => name), ["full"]);
  // The arena's end and the ten blocks of malloc came later.
  const { allocations, bytes, frees } = recording.profile({ since: "full" }).totals;
  assert.deepEqual([allocations, bytes, frees], [10, 80, 20]);
});

test("a pause from inside: what is allocated meanwhile is not counted, and that is said", () => {
  const recording = record(built());
  assert.deepEqual([recording.profile().process.pauses, recording.profile().process.paused], [1, false]);
  assert.match(
    heaptap(["report", recording.path]).stdout,
    /Recording was paused\. What was allocated meanwhile is not counted/,
  );
});

test("a program that begins paused counts what comes after it resumes", () => {
  const { totals, process: of } = record(built(), { HEAPTAP_PAUSED: "on" }).profile();
  assert.deepEqual([totals.allocations, totals.unknownFrees, of.paused], [0, 0, false]);
  const out = join(folder, "paused.heaptap");
  const { status, stderr } = heaptap(["run", "--paused", "-o", out, "--", "true"]);
  assert.equal(status, 0);
  assert.match(
    stderr.replace(/\s+/g, " "),
    /nothing is counted yet: it is paused.*Recording was paused; it was at the end/,
  );
  const wrong = record(built(), { HEAPTAP_PAUSED: "yes" }).profile();
  assert.deepEqual(wrong.limits.rejected, ["HEAPTAP_PAUSED"]);
});

test("pause and resume from outside, of a program that runs", async () => {
  const out = join(folder, "outside.heaptap");
  const [runtime = "", ...cli] = CLI;
  const args = [...cli, "run", "--paused", "--no-report", "-o", out, "--", target(folder, "steady.c")];
  const run = spawn(runtime, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((done) => run.on("exit", done));
  await new Promise((begun) => run.stdout.once("data", begun));
  const count = () => Recording.open(out).profile().totals.allocations;
  const until = async (what: string, is: () => boolean) => {
    for (let i = 0; !is(); i++) {
      assert.ok(i < 400, what);
      await sleep(25);
    }
  };
  await sleep(200);
  assert.equal(count(), 0);
  const resumed = heaptap(["resume", out]);
  assert.match(resumed.stderr, /^heaptap: resumed: .*steady \(pid \d+\)\n$/);
  await until("it counts", () => count() > 0);
  assert.equal(heaptap(["pause", out]).status, 0);
  await until("it has heard", () => Recording.open(out).profile().process.pauses === 2);
  const then = count();
  await sleep(200);
  assert.equal(count(), then);
  run.stdout.destroy(); // it ends when nobody reads
  await ended;
  for (const what of ["pause", "resume"]) {
    const { status, stderr } = heaptap([what, out]);
    assert.deepEqual([status, stderr], [2, `heaptap: Cannot ${what} "${out}": no process of it runs any more\n`]);
  }
  assert.throws(() => Recording.open(out).pause(), /has ended/);
  assert.equal(heaptap(["pause", join(folder, "none.heaptap")]).status, 2);
});
