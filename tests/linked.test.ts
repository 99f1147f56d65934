/**
 * Allocators that are linked into a program or a library: their functions lead to the hooks by their code. Every figure is
 * the one that stands in the target's head comment.
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
import { heaptap, ROOT, scratch, target, without } from "./helpers.ts";

const folder = realpathSync(scratch());
const LINKED = { allocations: 253, bytes: 29030, frees: 205 };
const OWN_MALLOC = { allocations: 72, bytes: 1563, frees: 30 };

/** A target in a folder of its own: one source is built in several ways. */
const built = (source: string, ...flags: string[]): string =>
  target(mkdtempSync(join(folder, "built-")), source, ...flags);

const library = (source: string, ...flags: string[]): string =>
  built(source, "-shared", "-fPIC", "-DENTRY=run", ...flags);

/** Records a program, which must end as it does without. */
function record(program: string, ...args: string[]): Profile {
  const out = join(mkdtempSync(join(folder, "out-")), "a.heaptap");
  const run = (env: Record<string, string>) =>
    spawnSync(program, args, { encoding: "utf8", env: { ...process.env, HEAPTAP_OUT: out, ...env } });
  const plain = run({});
  const recorded = run({ LD_PRELOAD: libraryPath() });
  const ends = [recorded, plain].map(({ status, signal, stdout, stderr }) => ({ status, signal, stdout, stderr }));
  assert.deepEqual(ends[0], ends[1]);
  assert.equal(plain.status, 0, plain.stderr);
  const profile = Recording.open(out).profile();
  assert.deepEqual([profile.totals.unknownFrees, profile.totals.lostFrees, profile.totals.untracked], [0, 0, 0]);
  return profile;
}

/** Who the innermost frames are of, in paths through a program or library. */
function innermost(profile: Profile, path: string): string[] {
  const modules = profile.callPaths.map(({ stack }) => stack.map(({ module }) => profile.modules[module]?.path));
  return [...new Set(modules.filter((stack) => stack.includes(path)).map(([first]) => basename(first ?? "")))];
}

const told = ({ process }: Profile) => process.linked.map(({ name, prefix, why }) => [name, prefix, why]);

test("hidden functions, in programs as they are linked", () => {
  for (const flags of [[], ["-no-pie"], ["-O2"], ["-O0"], ["-Wl,-z,now", "-fcf-protection"], ["-ffunction-sections"]]) {
    const program = built("linked.c", ...flags);
    const profile = record(program);
    assert.deepEqual(ownFigures(profile, program), LINKED, flags.join(" "));
    assert.equal(profile.totals.reallocations, 40);
    assert.deepEqual(told(profile), [["mimalloc", "", ""]]);
    assert.deepEqual(innermost(profile, program), ["linked"]);
  }
});

test("functions that begin in every way that takes care to move", () => {
  const profile = record(built("entries.c"));
  const { allocations, bytes, frees } = profile.totals;
  assert.deepEqual({ allocations, bytes, frees }, { allocations: 450, bytes: 22610, frees: 438 });
});

test("what cannot be moved is left as it is, and said in the report", () => {
  const refused: [program: string, name: string, why: RegExp][] = [
    [built("entries.c", "-DJUMPS_IN"), "mimalloc", /first instructions of its mi_zalloc/],
    [built("entries.c", "-DCALLS_THROUGH"), "mimalloc", /first instructions of its mi_zalloc/],
    [built("own_malloc.c", "-DSHORT"), "malloc", /first instructions of its free/],
  ];
  for (const [program, name, why] of refused) {
    const profile = record(program);
    assert.equal(profile.totals.allocations, 0);
    assert.deepEqual(profile.process.linked.map((allocator) => [allocator.name, allocator.functions]), [[name, 0]]);
    const report = heaptap(["report", profile.path]).stdout.replace(/\s+/g, " ");
    assert.match(report, why);
    assert.match(report, /what that hands out is not seen/);
  }
});

test("a malloc of the program's own, with its names and stripped", () => {
  for (const flags of [[], ["-s"]]) {
    const program = built("own_malloc.c", ...flags);
    const profile = record(program);
    assert.deepEqual(ownFigures(profile, program), OWN_MALLOC);
    assert.deepEqual(told(profile), [["malloc", "", ""]]);
  }
});

test("operators of the program's own, over memory of their own", () => {
  const program = built("own_new.cc");
  assert.deepEqual(ownFigures(record(program), program), { allocations: 160, bytes: 21600, frees: 120 });
});

test("an allocator that its compiler sees all of: registers and the stack are as without us", () => {
  for (const flags of [["-O2"], ["-O2", "-mavx2"], ["-O3", "-no-pie"], ["-O2", "-fno-ipa-ra"]]) {
    const program = built("leaf.c", ...flags);
    if (flags.includes("-mavx2") && spawnSync(program).signal) continue; // not a processor for it
    assert.deepEqual(
      ownFigures(record(program), program),
      { allocations: 100, bytes: 800, frees: 100 },
      flags.join(" "),
    );
  }
});

test("a malloc that hands out the inside of another's blocks counts once", () => {
  for (const flags of [[], ["-O2"], ["-no-pie"]]) {
    const { totals } = record(built("header16.c", "-ldl", ...flags));
    const { allocations, bytes, frees, reallocations } = totals;
    assert.deepEqual([allocations, bytes, frees, reallocations], [1500, 166000, 900, 500], flags.join(" "));
  }
});

test("names alone make no allocator", () => {
  const program = built("namesakes.c");
  const profile = record(program);
  assert.deepEqual(ownFigures(profile, program), { allocations: 100, bytes: 4000, frees: 100 });
  assert.deepEqual(told(profile), []);
});

test("libraries that the dynamic linker is not done with when they arrive", () => {
  const opens = built("opens.c", "-ldl");
  record(opens, library("resolved.c"));
  const text = library("resolved.c", "-DTEXT", "-Wl,-z,notext", "-fno-pic", "-mcmodel=large");
  if (spawnSync(opens, [text]).status === 0) assert.match(told(record(opens, text))[0]?.[2] ?? "", /cannot be moved/);
});

test("a library that is opened: what its constructors allocate too, and again when it comes back", () => {
  const opens = built("opens.c", "-ldl");
  const libraries = [library("linked.c"), library("linked.c"), library("linked.c", "-O2")];
  const profile = record(opens, ...libraries);
  for (const path of libraries) assert.deepEqual(ownFigures(profile, path), LINKED);
  assert.deepEqual(told(profile), libraries.map(() => ["mimalloc", "", ""]));
  // More of them, one after the other, than there are sets of hooks.
  const reopens = built("reopens.c", "-ldl");
  const again = record(reopens, libraries[0] ?? "", "20");
  const { allocations, bytes, frees } = ownFigures(again, libraries[0] ?? "");
  assert.deepEqual([allocations, bytes, frees].map((n) => n / 20), [253, 29030, 205]);
});

test("what is linked into a library that the program needs is found before its constructors run", () => {
  const needed = library("linked.c");
  const opens = built("opens.c", "-ldl", "-Wl,--no-as-needed", needed);
  assert.deepEqual(ownFigures(record(opens, needed), needed), LINKED);
});

test("a script's process: a library that is opened after install counts, one from before does not", () => {
  const script = join(ROOT, "tests/scripts/allocators.ts");
  const { stdout, stderr } = runScript(script, [library("linked.c"), library("linked.c")]);
  const later = { status: 0, allocations: 250, bytes: 29000, frees: 205 }; // its constructor ran before the mark
  assert.deepEqual(JSON.parse(stdout || "[]"), [{ status: 0, allocations: 0, bytes: 0, frees: 0 }, later], stderr);
});

test("a kernel that forbids to change code is obeyed, and that is said", (t) => {
  const confined = built("mdwe.c");
  if (spawnSync(confined, ["/bin/true"]).status === 99) return t.skip("this kernel has no PR_SET_MDWE");
  const out = join(folder, "mdwe.%p.heaptap");
  const { status, stderr } = heaptap(["run", "-o", out, "--", confined, built("linked.c")]);
  assert.equal(status, 0, stderr);
  assert.match(stderr.replace(/\s+/g, " "), /mimalloc linked in.*the system forbids to change its code/);
});

test("counters, sizes and a large table", () => {
  const program = built("linked.c");
  for (const flags of [["--sizes"], ["--mode", "counters"], ["--buckets", "1048576"], ["--exact-peak"]]) {
    const out = join(mkdtempSync(join(folder, "run-")), "a.heaptap");
    const { status, stderr } = heaptap(["run", "--no-report", ...flags, "-o", out, "--", program]);
    assert.equal(status, 0, stderr);
    const { allocations, bytes, frees } = Recording.open(out).profile().totals;
    assert.deepEqual({ allocations, bytes, frees }, LINKED, flags.join(" "));
  }
});

test("a debug file by build id has the names of a stripped program", (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root may put files into /usr/lib/debug");
  const why = without("objcopy") || without("readelf");
  if (why) return t.skip(why);
  const program = built("linked.c", "-Wl,--build-id");
  const id = /Build ID: (\w+)/.exec(spawnSync("readelf", ["-n", program], { encoding: "utf8" }).stdout)?.[1] ?? "";
  const debug = join("/usr/lib/debug/.build-id", id.slice(0, 2));
  const file = join(debug, `${id.slice(2)}.debug`);
  spawnSync("mkdir", ["-p", debug]);
  assert.equal(spawnSync("objcopy", ["--only-keep-debug", program, file]).status, 0);
  try {
    assert.equal(spawnSync("objcopy", ["--strip-all", program]).status, 0);
    assert.deepEqual(ownFigures(record(program), program), LINKED);
  } finally {
    spawnSync("rm", [file]);
  }
});

const STATIC = [
  ["libjemalloc.a", "jemalloc", "own_jemalloc.c", { allocations: 460, bytes: 231480, frees: 250 }],
  ["libtcmalloc_minimal.a", "tcmalloc", "own_tcmalloc.c", { allocations: 1001, bytes: 29505, frees: 901 }],
] as const;

for (const [archive, name, source, own] of STATIC) {
  const path = join("/usr/lib/x86_64-linux-gnu", archive);
  test(`${archive} in a program and in a library: operators, and what is its own`, {
    skip: !existsSync(path) && `${archive} is not installed`,
  }, () => {
    const libraries = ["-lstdc++", "-lm", "-ldl", "-lpthread"];
    const OPS = { allocations: 1036, bytes: 114640, frees: 1031 };
    const whole = ["-Wl,--whole-archive", path, "-Wl,--no-whole-archive", ...libraries];
    for (const flags of [[], ["-no-pie"], ["-s"]]) {
      // The allocator's own constructors allocate too.
      const [nothing, ops] = [built("nothing.c", ...flags, ...whole), built("ops.cc", ...flags, ...whole)];
      const profile = record(ops);
      const [before, all] = [ownFigures(record(nothing), nothing), ownFigures(profile, ops)];
      const only = (figure: keyof typeof OPS) => all[figure] - before[figure];
      assert.deepEqual({ allocations: only("allocations"), bytes: only("bytes"), frees: only("frees") }, OPS);
      assert.deepEqual(profile.process.linked.filter(({ why }) => why), []);
      if (flags[0] === "-s") continue; // its own functions have no names then, and are not seen
      const program = built(source, ...flags, ...whole);
      const { allocations, bytes, frees } = ownFigures(record(program), program);
      assert.deepEqual(
        [allocations - before.allocations, bytes - before.bytes, frees - before.frees],
        Object.values(own),
      );
      assert.equal(told(profile)[0]?.[0], name);
    }
  });
}

test("moved instructions and lengths are those that objdump reads", { skip: without("objdump") }, () => {
  const check = join(folder, "code_check");
  const source = join(ROOT, "tests/ffi/code_check.c");
  const compiled = spawnSync("cc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", check, source], { encoding: "utf8" });
  assert.equal(compiled.status, 0, compiled.stderr);
  for (const file of ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6"]) {
    if (!existsSync(file)) continue;
    const { status, stdout } = spawnSync("sh", ["-c", `objdump -d --insn-width=16 ${file} | ${check}`], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^\d{5,} instructions/);
  }
});
