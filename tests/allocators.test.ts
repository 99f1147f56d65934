/**
 * Programs on other allocators than glibc's: preloaded, linked and opened, with the operators of C++ and the functions that
 * are the allocator's own. Every figure is the one that stands in the target's head comment.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, Recording } from "../mod.ts";
import type { Profile } from "../mod.ts";
import { runScript } from "./blocks.ts";
import { ownFigures } from "./families.ts";
import { heaptap, scratch, target, without } from "./helpers.ts";

const folder = realpathSync(scratch());
const [JEMALLOC = "", TCMALLOC = "", MIMALLOC = ""] = [
  "libjemalloc.so.2",
  "libtcmalloc_minimal.so.4",
  "libmimalloc.so.2.0",
].map((name) => join("/usr/lib/x86_64-linux-gnu", name));
const ALLOCATORS = [JEMALLOC, TCMALLOC, MIMALLOC];
const missing = (path: string) => !existsSync(path) && `${basename(path)} is not installed`;

const OPS = { allocations: 1036, bytes: 114640, frees: 1031 };
const OWN: Readonly<Record<string, { allocations: number; bytes: number; frees: number }>> = {
  "own_jemalloc.c": { allocations: 460, bytes: 231480, frees: 250 },
  "own_tcmalloc.c": { allocations: 1001, bytes: 29505, frees: 901 },
  "own_mimalloc.c": { allocations: 2600, bytes: 599300, frees: 2000 },
};
const ownOf = (allocator: string) => `own_${basename(allocator).slice(3).split(/[._]/)[0]}.c`;

/** A target in a folder of its own: one source is built in several ways. */
function built(source: string, ...flags: string[]): string {
  return target(mkdtempSync(join(folder, "built-")), source, ...flags);
}

/** A target as a library whose function is `run`. */
function library(source: string, ...flags: string[]): string {
  return built(source, "-shared", "-fPIC", "-DENTRY=run", ...flags);
}

/** Runs a program with libraries preloaded, heaptap's where it says so, and compares its end with that of a run without. */
function record(
  program: string,
  preload: readonly string[],
  args: string[] = [],
): Profile {
  const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
  const run = (LD_PRELOAD: string) =>
    spawnSync(program, args, { encoding: "utf8", env: { ...process.env, LD_PRELOAD, HEAPTAP_OUT: out } });
  const plain = run(preload.filter((path) => path !== libraryPath()).join(":"));
  const recorded = run(preload.join(":"));
  assert.deepEqual([recorded.status, recorded.signal, recorded.stdout, recorded.stderr], [
    plain.status,
    plain.signal,
    plain.stdout,
    plain.stderr,
  ]);
  assert.equal(plain.status, 0);
  const profile = Recording.open(out).profile();
  const { totals } = profile;
  assert.deepEqual([totals.unknownFrees, totals.lostFrees, totals.untracked, totals.abandoned], [0, 0, 0, 0]);
  return profile;
}

/** No frame of ours or of the allocator is on top of the program's own calls. */
function innermost(profile: Profile, path: string): Set<string> {
  const name = (module = 0) => basename(profile.modules[module]?.path ?? "");
  const own = profile.callPaths.filter(({ stack }) => stack.some((frame) => name(frame.module) === basename(path)));
  return new Set(own.map(({ stack }) => name(stack[0]?.module)));
}

for (const allocator of ALLOCATORS) {
  const name = basename(allocator);
  const options = { skip: missing(allocator) };

  test(`${name} preloaded behind and before heaptap: operators are counted`, options, () => {
    const program = built("ops.cc");
    for (const order of [[libraryPath(), allocator], [allocator, libraryPath()]]) {
      const profile = record(program, order);
      assert.deepEqual(ownFigures(profile, program), OPS, order.join(":"));
      assert.deepEqual([...innermost(profile, program)], ["ops"]);
    }
  });

  test(`${name} linked: operators and what is its own`, options, () => {
    const source = ownOf(allocator);
    for (const flags of [[], ["-Wl,-z,now"], ["-no-pie"], ["-no-pie", "-Wl,-z,lazy"]]) {
      const ops = built("ops.cc", "-Wl,--no-as-needed", allocator, ...flags);
      assert.deepEqual(ownFigures(record(ops, [libraryPath()]), ops), OPS, flags.join(" "));
      const own = built(source, "-Wl,--no-as-needed", allocator, ...flags);
      const profile = record(own, [libraryPath()]);
      assert.deepEqual(ownFigures(profile, own), OWN[source], flags.join(" "));
      assert.deepEqual([...innermost(profile, own)], [basename(own)]);
    }
  });

  test(`${name} opened by a program that has none of it`, options, () => {
    const opens = built("opens.c", "-ldl");
    const ops = library("ops.cc", "-Wl,--no-as-needed", allocator);
    const source = ownOf(allocator);
    const prefix = source.includes("tc") ? "tc" : "mi"; // its malloc and free are the program's there
    const own = library(source, "-Wl,--no-as-needed", allocator, `-Dmalloc=${prefix}_malloc`, `-Dfree=${prefix}_free`);
    // A library whose thread-local memory is static cannot be opened everywhere.
    if (spawnSync(opens, [ops]).status !== 0) return;
    const profile = record(opens, [libraryPath()], [ops, own]);
    assert.deepEqual(ownFigures(profile, ops), OPS);
    assert.deepEqual(ownFigures(profile, own), OWN[source]);
  });

  test(`${name}: recorded by \`heaptap run\`, with sizes, by totals, and with a large table`, options, () => {
    const program = built("ops.cc", "-Wl,--no-as-needed", allocator);
    for (const flags of [["--sizes"], ["--mode", "counters"], ["--buckets", "1048576"], ["--exact-peak"]]) {
      const out = join(mkdtempSync(join(folder, "run-")), "a.heaptap");
      const { status, stderr } = heaptap(["run", "--no-report", ...flags, "-o", out, "--", program]);
      assert.equal(status, 0, stderr);
      const { totals } = Recording.open(out).profile();
      // The C++ library makes a block of its own.
      assert.deepEqual([totals.allocations - 1, totals.frees, totals.unknownFrees], [1036, 1031, 0], flags.join(" "));
    }
  });
}

for (const allocator of [TCMALLOC, MIMALLOC]) {
  test(`${basename(allocator)} in a script's own process, opened before the hooks and after`, {
    skip: missing(allocator),
  }, () => {
    const source = ownOf(allocator);
    const prefix = source.includes("tc") ? "tc" : "mi";
    const flags = ["-Wl,--no-as-needed", allocator, `-Dmalloc=${prefix}_malloc`, `-Dfree=${prefix}_free`];
    const script = join(import.meta.dirname ?? "", "scripts/allocators.ts");
    const { stdout, stderr } = runScript(script, [library(source, ...flags), library(source, ...flags)]);
    const own = { status: 0, ...OWN[source] };
    assert.deepEqual(JSON.parse(stdout || "[]"), [own, own], stderr);
  });
}

test("jemalloc's requests are what jemalloc has counted", { skip: missing(JEMALLOC) }, () => {
  const program = built("own_jemalloc.c", "-Wl,--no-as-needed", JEMALLOC);
  const { stderr } = spawnSync(program, [], { encoding: "utf8" });
  // xallocx asks for no block.
  assert.equal(Number(stderr), (OWN["own_jemalloc.c"]?.allocations ?? 0) - 100);
});

test("every form of new and delete, and what they do without memory", () => {
  const program = built("new_forms.cc", "-std=c++17");
  for (const allocator of [JEMALLOC, TCMALLOC]) {
    if (missing(allocator)) continue;
    const profile = record(program, [libraryPath(), allocator]);
    // The exceptions that `give` throws are its own; what is thrown for it comes through the allocator.
    assert.deepEqual(ownFigures(profile, program), { allocations: 1843, bytes: 110209, frees: 1840 }, allocator);
    assert.equal(profile.totals.allocations, 1864);
    // Those that longjmp leaves have no end to be seen.
    assert.equal(profile.totals.failed, 40);
  }
  // Below glibc all of it comes to malloc, through the C++ library.
  const { totals } = record(program, [libraryPath()]);
  const freed = totals.allocations - totals.liveCount;
  assert.ok(totals.allocations >= 1864 && totals.failed >= 40 && totals.frees === freed);
});

test("operators that a program or a library replaces stay theirs, and count once", () => {
  const inside = built("ops.cc", join(import.meta.dirname ?? "", "targets/headers.cc"));
  const replaced = library("headers.cc");
  const linked = built("ops.cc", "-Wl,--no-as-needed", replaced);
  for (const program of [inside, linked]) {
    // Sixteen bytes more for each that comes by operator new, but for the aligned ones, which are not replaced.
    assert.equal(record(program, [libraryPath()]).totals.bytes - 72704, OPS.bytes + 16 * 1006);
    // tcmalloc's constructors use the program's operators too.
    for (const allocator of [JEMALLOC, MIMALLOC].filter((path) => !missing(path))) {
      const { totals } = record(program, [libraryPath(), allocator]);
      assert.deepEqual([totals.allocations - 1, totals.frees], [1036, 1031], `${program} ${allocator}`);
    }
  }
});

test("a library that stands before an allocator and calls the next one's functions: each call counts once", () => {
  const wraps = library("wraps.c", "-ldl");
  for (const source of ["ops.cc", "counts.c"]) {
    const program = built(source);
    const plain = spawnSync(program).status;
    for (const allocator of ["", ...ALLOCATORS]) {
      if (allocator && missing(allocator)) continue;
      for (
        const order of [[libraryPath(), wraps, allocator], [wraps, libraryPath(), allocator], [
          wraps,
          allocator,
          libraryPath(),
        ]]
      ) {
        const env = {
          LD_PRELOAD: order.filter(Boolean).join(":"),
          HEAPTAP_OUT: join(mkdtempSync(join(folder, "o-")), "a.heaptap"),
        };
        assert.equal(spawnSync(program, [], { env }).status, plain, env.LD_PRELOAD);
        const profile = Recording.open(env.HEAPTAP_OUT).profile();
        const own = source === "ops.cc" ? OPS : { allocations: 1111, bytes: 121000, frees: 1090 };
        const paths = profile.callPaths.filter(({ stack }) =>
          stack.some((f) => profile.modules[f.module]?.path === program)
        );
        const sum = (figure: "allocations" | "bytes" | "frees") => paths.reduce((n, path) => n + path[figure], 0);
        assert.deepEqual(
          { allocations: sum("allocations"), bytes: sum("bytes"), frees: sum("frees") },
          own,
          env.LD_PRELOAD,
        );
        assert.equal(
          profile.totals.unknownFrees + profile.totals.lostFrees + profile.totals.untracked,
          0,
          env.LD_PRELOAD,
        );
      }
    }
  }
});

test("the C library's functions by the names that it alone has", () => {
  const own = { allocations: 500, bytes: 20400, frees: 400 };
  for (const flags of [[], ["-Wl,-z,now"], ["-Wl,-z,lazy"]]) {
    const program = built("c_names.c", ...flags);
    assert.deepEqual(ownFigures(record(program, [libraryPath()]), program), own, flags.join(" "));
    for (const allocator of [TCMALLOC, MIMALLOC].filter((path) => !missing(path))) {
      assert.deepEqual(ownFigures(record(program, [libraryPath(), allocator]), program), own, allocator);
    }
  }
});

test("Valgrind counts the same", { skip: without("valgrind") }, () => {
  const program = built("ops.cc");
  const { stderr } = spawnSync("valgrind", [program], { encoding: "utf8" });
  const [, allocations, bytes] = /total heap usage: ([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes/.exec(stderr) ?? [];
  const { totals } = record(program, [libraryPath()]);
  assert.deepEqual([totals.allocations, totals.bytes], [allocations, bytes].map((n) => Number(n?.replaceAll(",", ""))));
});
