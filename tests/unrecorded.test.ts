/** Where the library is not to be had, or not of use, a program runs as it is, and one line says why nothing is recorded. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { examine, LibraryError, libraryPath, profile, Recording } from "../mod.ts";
import { ProgramError } from "../src/run/recordable.ts";
import { CLI, heaptap, random, recordings, ROOT, scratch, target, targetBy, without } from "./helpers.ts";

const folder = scratch();
const whole = readFileSync(libraryPath());

/** Runs a program that says something and ends with 3; checks that it did, and that one line says why it is not recorded. */
function runs(env: Record<string, string>, why: RegExp, how: readonly string[] = ["run"]): void {
  const { status, stdout, stderr } = heaptap([
    ...how,
    "-o",
    join(folder, "none.heaptap"),
    "--",
    "sh",
    "-c",
    "echo ran; exit 3",
  ], { env });
  assert.deepEqual([status, stdout], [3, "ran\n"], stderr);
  assert.match(stderr, why);
  assert.match(stderr, /^heaptap: [^\n]*; the program runs, and is not recorded\n$/);
  assert.equal(existsSync(join(folder, "none.heaptap")), false);
}

/** A library of some bytes. */
function library(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test("a library that is cut off, for another machine, or none", () => {
  const seed = Date.now() % 1e9;
  console.log(`seed ${seed}`);
  const below = random(seed);
  for (let round = 0; round < 6; round++) {
    const path = library("cut.so", whole.subarray(0, 64 + below(whole.length - 64)));
    runs({ HEAPTAP_LIBRARY: path }, /Cannot use the library ".*cut\.so": it is cut off: \d+ of \d+ bytes are there;/);
  }
  const arm = Uint8Array.from(whole);
  arm[18] = 183;
  runs({ HEAPTAP_LIBRARY: library("arm.so", arm) }, /it is built for another machine than x86-64;/);
  for (const bytes of [new Uint8Array(), whole.subarray(0, 20), new TextEncoder().encode("no library\n".repeat(10))]) {
    runs({ HEAPTAP_LIBRARY: library("text.so", bytes) }, /text\.so": it is no 64-bit ELF file;/);
  }
  runs({ HEAPTAP_LIBRARY: folder }, /Cannot use the library/);
  for (const how of [["run", "--top"], ["run", "--serve"], ["top"], ["serve"]]) {
    runs({ HEAPTAP_LIBRARY: "/nowhere.so" }, /Cannot find the library "\/nowhere\.so"/, how);
  }
  runs({ HEAPTAP_LIBRARY: "/nowhere.so" }, /Cannot find the library "\/nowhere\.so", which HEAPTAP_LIBRARY names;/);
});

test("no compiler, and a cache that cannot be written", () => {
  const cache = join(folder, "no-cache");
  runs(
    { CC: "/nowhere/cc", XDG_CACHE_HOME: cache },
    /Cannot compile the library: "\/nowhere\/cc" \(from CC\) is not there;/,
  );
  runs(
    { XDG_CACHE_HOME: "/proc/nowhere" },
    /Cannot write the cache folder "\/proc\/nowhere\/heaptap": .*XDG_CACHE_HOME/,
  );
});

test("a limit that nothing could be held to fails, once the program has run", () => {
  const args = ["run", "--max-peak", "1MB", "-o", join(folder, "none.heaptap"), "--", "echo", "ran"];
  const { status, stdout, stderr } = heaptap(args, { env: { HEAPTAP_LIBRARY: "/nowhere.so" } });
  assert.deepEqual([status, stdout], [2, "ran\n"]);
  assert.match(stderr, /not recorded\nheaptap: so there is nothing to judge or to compare\n$/);
});

test("a library in the cache that is cut off is made anew", () => {
  const cache = join(folder, "cache");
  const made = join(cache, "heaptap", basename(heaptap(["lib"]).stdout.trim()));
  mkdirSync(join(cache, "heaptap"), { recursive: true });
  writeFileSync(made, whole.subarray(0, 5000));
  const { status, stdout } = heaptap(["lib"], { env: { XDG_CACHE_HOME: cache } });
  assert.deepEqual([status, stdout.trim()], [0, made]);
  assert.ok(readFileSync(made).length > 100_000);
  assert.equal(readdirSync(join(cache, "heaptap")).filter((name) => name.endsWith(".so")).length, 1);
});

test("a script is told by an error, unless it asks to be called", async () => {
  process.env.HEAPTAP_LIBRARY = "/nowhere.so";
  try {
    const out = join(folder, "none.heaptap");
    await assert.rejects(profile(["true"], { out }), LibraryError);
    const said: string[] = [];
    const result = await profile(["sh", "-c", "exit 5"], { out, onUnrecorded: (why) => said.push(why) });
    assert.deepEqual([result.exitCode, result.recording, said], [5, undefined, [result.unrecorded ?? ""]]);
    assert.match(said[0] ?? "", /^Cannot find the library/);
  } finally {
    delete process.env.HEAPTAP_LIBRARY;
  }
});

const LINKER = "/lib/ld-musl-x86_64.so.1";

test("a C library that is neither glibc nor musl", { skip: without("musl-gcc") || !existsSync(LINKER) }, async () => {
  // musl without what it is known by.
  const linker = join(folder, "ld-other.so.1");
  writeFileSync(
    linker,
    readFileSync(realpathSync(LINKER)).toString("latin1").replaceAll("__freadahead", "__freadother"),
    "latin1",
  );
  chmodSync(linker, 0o755);
  const program = targetBy("musl-gcc", scratch(), "counts.c", `-Wl,--dynamic-linker=${linker}`);
  assert.equal(spawnSync(program).status, 7);
  const { status, stderr } = heaptap(["run", "--", program], { cwd: folder });
  assert.equal(status, 7, stderr);
  assert.equal(
    stderr,
    `heaptap: Cannot record "${program}": its C library is neither glibc nor musl; the program runs, and is not recorded\n`,
  );
  assert.deepEqual(examine(program).program?.recordable, false);
  await assert.rejects(profile([program], { out: join(folder, "none.heaptap") }), ProgramError);
  // Where it is preloaded all the same, as a program's environment has it, it stays aside.
  const env = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(folder, "none.heaptap") };
  assert.equal(spawnSync(program, [], { env }).status, 7);
  assert.equal(existsSync(env.HEAPTAP_OUT), false);
});

test("two versions of heaptap around one program: the inner one records it, and says that the other does not", () => {
  const into = scratch();
  const other = join(into, "libheaptap-000000000000000000000000.so");
  copyFileSync(libraryPath(), other);
  const program = target(folder, "counts.c");
  // Preloaded by hand: the first of two.
  const env = { LD_PRELOAD: `${other}:${libraryPath()}`, HEAPTAP_OUT: join(into, "%p.heaptap") };
  assert.equal(spawnSync(program, [], { env }).status, 7);
  const [path, ...more] = recordings(into);
  assert.equal(more.length, 0);
  assert.equal(Recording.open(path ?? "").profile().totals.allocations, 1111);
  // The outer one's own is on what the inner one runs in.
  const [outer, inner] = [join(into, "outer.%p.heaptap"), join(into, "inner.heaptap")];
  const { status, stderr } = heaptap(
    ["run", "--report-file", "/dev/null", "-o", outer, "--", ...CLI, "run", "--limit", "1", "-o", inner, "--", program],
    { cwd: ROOT, env: { HEAPTAP_LIBRARY: "", LD_PRELOAD: other } },
  );
  assert.equal(status, 7, stderr);
  assert.match(stderr, /^heaptap: another heaptap's library is preloaded too \(".*libheaptap-0{24}\.so"\): /m);
  assert.equal(Recording.open(inner).profile().totals.allocations, 1111);
  const made = recordings(into).map((found) => Recording.open(found).profile().process);
  assert.equal(made.filter(({ executable }) => executable === program).length, 2, "one by hand, one by the inner run");
});
