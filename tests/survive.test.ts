/** The programs that break profilers: each behaves as without heaptap, and its figures are exact or said to be not. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, Recording } from "../mod.ts";
import type { Profile } from "../mod.ts";
import { UNSEEN } from "../src/profile/figures.ts";
import { bump, FAMILIES, ownFigures } from "./families.ts";
import type { Case } from "./families.ts";
import { heaptap, plugin, recordings, ROOT, scratch, target } from "./helpers.ts";

const folder = realpathSync(scratch());

/** A target of a case, compiled apart from that of another with other flags. */
function build({ source, flags = [] }: Case, ...more: string[]): string {
  const key = [...flags, ...more].join("").replace(/\W+/g, "");
  const inside = mkdtempSync(join(folder, `${key}-`));
  return target(inside, source, ...flags, ...more);
}

/** What every recording must hold: call paths come to the totals, and the totals to what threads did. */
function consistent({ totals, callPaths, threads }: Profile): void {
  for (const figure of ["allocations", "bytes", "frees", "liveBytes", "liveCount", "temporary", "carried"] as const) {
    const paths = callPaths.reduce((n, path) => n + path[figure], 0);
    assert.equal(paths, totals[figure], `${figure} of call paths`);
    assert.equal(threads.reduce((n, thread) => n + thread[figure], 0), totals[figure], `${figure} of threads`);
  }
  assert.equal(callPaths.reduce((n, path) => n + path.peakBytes, 0) <= totals.peakBytes + 1e6, true);
}

for (const { number, title, cases } of FAMILIES) {
  for (const one of cases) {
    test(`family ${number}, ${title}: ${one.name}`, () => {
      const program = build(one);
      const args = [...one.args?.(folder) ?? []];
      const preload = one.bump ? [bump(folder)] : [];
      const run = (env: Record<string, string>) =>
        spawnSync(program, args, { env: { ...process.env, ...one.env, ...env }, encoding: "utf8", timeout: 60_000 });
      const plain = run(preload.length ? { LD_PRELOAD: preload.join(":") } : {});
      const out = mkdtempSync(join(folder, "out-"));
      const recorded = run({ LD_PRELOAD: [libraryPath(), ...preload].join(":"), HEAPTAP_OUT: join(out, "a.heaptap") });
      assert.deepEqual([recorded.status, recorded.signal], [plain.status, plain.signal]);
      assert.equal(recorded.stderr, plain.stderr);
      if (!one.prints) assert.equal(recorded.stdout, plain.stdout);

      const profiles = recordings(out).map((path) => Recording.open(path).profile())
        .sort((a, b) => b.totals.allocations - a.totals.allocations);
      for (const profile of profiles) {
        consistent(profile);
        for (const count of UNSEEN) {
          if (!one.unseen?.includes(count)) assert.equal(profile.totals[count], 0, count);
        }
      }
      const main = profiles.find((profile) => profile.process.executable === program);
      assert.ok(main);
      if (one.own) assert.deepEqual(ownFigures(main, program), one.own);
      if (one.library) assert.deepEqual(ownFigures(main, args[0] ?? ""), one.library);
      if (one.source === "namespaces.c") assert.equal(main.totals.pastLibraries, one.name === "dlmopen" ? 1 : 0);
      if (one.source === "jumps.c") {
        // What comes after the calls that were left is counted in full.
        const after = main.callPaths.filter((path) => path.bytes === 300 * path.allocations);
        assert.equal(after.reduce((n, path) => n + path.allocations, 0), 1000);
      }
      if (one.source === "storm.c") {
        const { allocations, frees, untracked } = main.totals;
        const calls = Number(/(\d+) calls/.exec(recorded.stdout)?.[1]);
        const others = allocations + frees - ownFigures(main, program).allocations - ownFigures(main, program).frees;
        assert.equal(allocations + frees + untracked - others, calls);
      }
      if (one.processes) {
        const own = profiles.filter((profile) => profile.process.executable === program)
          .map((profile) => ownFigures(profile, program).allocations).sort((a, b) => b - a);
        assert.deepEqual(own.slice(-one.processes.length), one.processes);
      }
    });
  }
}

const SCRIPT = join(ROOT, "tests/scripts/family.ts");
const RUNTIME = "Deno" in globalThis ? [process.execPath, "run", "-A", SCRIPT] : [process.execPath, SCRIPT];

for (const { number, cases } of FAMILIES) {
  for (const one of cases.filter((one) => one.inProcess && one.own)) {
    test(`family ${number} in a script's own process: ${one.name}`, () => {
      const library = build(one, "-shared", "-fPIC", "-ldl");
      const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
      const [command = "", ...args] = RUNTIME;
      const { status, stderr } = spawnSync(command, [...args, library, out], { encoding: "utf8", timeout: 60_000 });
      assert.equal(status, 0, stderr);
      const profile = Recording.open(out).profile();
      consistent(profile);
      // What a library's function allocates before it is called is not there: the figures are those of the calls.
      assert.deepEqual(ownFigures(profile, library), one.own);
    });
  }
}

const ALLOCATORS = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"]
  .map((name) => join("/usr/lib/x86_64-linux-gnu", name));

for (const allocator of ALLOCATORS) {
  test(`family 22, ${basename(allocator)} preloaded before and after heaptap`, {
    skip: !existsSync(allocator) && `${basename(allocator)} is not installed`,
  }, () => {
    for (const source of ["counts.c", "aligned.c", "pingpong.c"]) {
      const program = target(folder, source);
      const plain = spawnSync(program, [], { env: { LD_PRELOAD: allocator } });
      for (const order of [[libraryPath(), allocator], [allocator, libraryPath()]]) {
        const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
        const env = { LD_PRELOAD: order.join(":"), HEAPTAP_OUT: out };
        assert.equal(spawnSync(program, [], { env }).status, plain.status, source);
        // Not all have all functions: with jemalloc pvalloc's blocks come from elsewhere, and the program dies of that.
        if (plain.signal) continue;
        const profile = Recording.open(out).profile();
        consistent(profile);
        assert.match(profile.process.allocator, new RegExp(basename(allocator).split(".")[0] ?? ""));
        const { own } = FAMILIES.flatMap(({ cases }) => cases).find((one) => one.source === source && one.own) ?? {};
        assert.deepEqual(ownFigures(profile, program), own, source);
      }
    }
  });
}

test("family 18, RTLD_DEEPBIND over an allocator of another kind goes past the hooks, and is said", {
  skip: !existsSync(ALLOCATORS[0] ?? "") && "libjemalloc.so.2 is not installed",
}, () => {
  const program = target(folder, "namespaces.c", "-ldl");
  const library = plugin(folder, "first_plugin", 1000);
  const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
  const env = { LD_PRELOAD: [libraryPath(), ALLOCATORS[0]].join(":"), HEAPTAP_OUT: out };
  assert.equal(spawnSync(program, [library, "deep"], { env }).status, 0);
  const profile = Recording.open(out).profile();
  assert.equal(profile.totals.pastLibraries, 1);
  assert.deepEqual(ownFigures(profile, program), { allocations: 10, bytes: 1000, frees: 10 });
  assert.equal(ownFigures(profile, library).allocations, 0);
  assert.match(heaptap(["report", out]).stdout, /1 library opening past the hooks \(dlmopen, RTLD_DEEPBIND\)/);
});

test("a library that the program looks for in places of its own is found as without heaptap", () => {
  const libraries = mkdtempSync(join(folder, "libraries-"));
  plugin(libraries, "first_plugin", 1000);
  const program = target(libraries, "namespaces.c", "-ldl", "-Wl,--enable-new-dtags,-rpath,$ORIGIN");
  for (const how of ["deep", "own"]) {
    const env = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(libraries, `${how}.heaptap`) };
    assert.equal(spawnSync(program, ["first_plugin.so", how], { env, cwd: "/" }).status, 0, how);
    assert.equal(Recording.open(env.HEAPTAP_OUT).profile().totals.pastLibraries, how === "own" ? 1 : 0);
  }
});

const PYTHON = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });

test("what Python's ctypes takes from the C library is seen", {
  skip: PYTHON.status !== 0 && "python3 is not installed",
}, () => {
  const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
  const script = `import ctypes
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
for i in range(50): libc.free(libc.malloc(1234567))`;
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
  assert.equal(spawnSync(PYTHON.stdout.trim(), ["-c", script], { env }).status, 0);
  const { callPaths } = Recording.open(out).profile();
  const [path] = callPaths.filter((path) => path.bytes === 1234567 * path.allocations && path.allocations > 0);
  assert.deepEqual([path?.allocations, path?.frees], [50, 50]);
});

test("family 13, 10,000 forks of a threaded program while others allocate", {
  skip: !("Deno" in globalThis) && "once is enough: no part of it is the runtime's",
}, () => {
  const program = target(folder, "forks.c");
  const out = mkdtempSync(join(folder, "out-"));
  const env = {
    ...process.env,
    LD_PRELOAD: libraryPath(),
    HEAPTAP_OUT: join(out, "a.heaptap"),
    HEAPTAP_FOLLOW: "exec",
  };
  assert.equal(spawnSync(program, ["10000"], { env, timeout: 110_000 }).status, 0);
  assert.equal(recordings(out).length, 1);
});

for (const [kind, options] of [["address", { ASAN_OPTIONS: "detect_leaks=0" }], ["thread", {}]] as const) {
  const inside = mkdtempSync(join(folder, "sanitized-"));
  const program = join(inside, kind);
  const built = spawnSync("cc", [
    ...["-g", "-O1", "-fno-builtin", `-fsanitize=${kind}`, join(ROOT, "tests/targets/counts.c"), "-o", program],
  ]);
  // ThreadSanitizer wants memory where it lies without address space randomisation.
  const command = ["setarch", "-R", program];
  const works = built.status === 0 && spawnSync(command[0] ?? "", command.slice(1)).status === 7;

  test(`family 22, a program under the ${kind} sanitizer is recorded`, {
    skip: !works && `the ${kind} sanitizer does not work here`,
  }, () => {
    const out = join(inside, "a.heaptap");
    const { status, stderr } = heaptap(["run", "--no-report", "-o", out, "--", ...command], { env: options });
    assert.deepEqual([status, /Sanitizer/.test(stderr)], [7, false], stderr);
    const profile = recordings(inside).map((path) => Recording.open(path).profile())
      .find((profile) => profile.process.executable === program);
    assert.ok(profile);
    consistent(profile);
    assert.deepEqual(ownFigures(profile, program), { allocations: 1111, bytes: 121000, frees: 1090 });
  });
}
