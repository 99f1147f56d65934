/** Stacks through code that compilers do not make, and the names of what is on them. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, profile, programSuppressions, Recording, suppressLeaks, Symbols, textReport } from "../mod.ts";
import type { CallPath, Profile } from "../mod.ts";
import { heaptap, target } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "heaptap-stacks-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const quiet = { stdio: "ignore" } as const;

async function record(program: string): Promise<Profile> {
  const { recording, exitCode } = await profile([program], { out: `${program}.%p.heaptap`, ...quiet });
  assert.equal(exitCode, 0);
  return recording!.profile();
}

/** Names of the stacks of blocks of a size, innermost first. */
async function stacks(recorded: Profile, size: number): Promise<[CallPath, string[]][]> {
  using symbols = new Symbols(recorded, { cache: false });
  const paths = recorded.callPaths.filter((path) => path.bytes === size * path.allocations && path.allocations > 0);
  await symbols.resolve(paths);
  return paths.map((path) => [path, symbols.stack(path).map((frame) => frame.function)]);
}

for (const [size, name] of [[100, "on_signal"], [400, "on_wide"], [500, "on_narrow"]] as const) {
  test(`a signal handler's frame says so, and its caller is the interrupted function: ${name}`, async () => {
    const [found, ...others] = await stacks(await record(target(folder, "handled.c", "-Wl,-z,now")), size);
    assert.deepEqual(others, []);
    const [path, names] = found!;
    assert.equal(path.end, "root");
    assert.deepEqual(names.slice(0, 2), [name, "<signal handler called>"]);
    assert.ok(names.includes("main"), names.join());
    assert.deepEqual(path.stack.map((frame) => frame.way).filter((way) => way), ["signal"]);
  });
}

for (const binding of ["now", "lazy"]) {
  test(`PLT entries have names, and stacks are whole at each instruction, -z ${binding}`, async () => {
    const inside = join(folder, binding);
    mkdirSync(inside);
    const found = await stacks(await record(target(inside, "handled.c", `-Wl,-z,${binding}`)), 200);
    assert.ok(found.length > 10, `${found.length} stacks`);
    for (const [path, names] of found) {
      assert.equal(path.end, "root");
      assert.deepEqual(names.slice(0, 2), ["on_step", "<signal handler called>"]);
      const [outer] = names.slice(2).filter((name) => name === "stepped" || name === "main");
      assert.ok(outer, names.join());
    }
    const interrupted = new Set(found.map(([, names]) => names[2]));
    for (const name of ["imaxabs", "labs@plt", "lldiv", "lldiv@plt", "steps_end", "stepped"]) {
      assert.ok(interrupted.has(name), `${name} of ${[...interrupted].join()}`);
    }
  });
}

test("registered tables, moved frames and guesses", async () => {
  const recorded = await record(target(folder, "tables.c"));
  const found = await stacks(recorded, 100);
  const by = (name: string) => found.filter(([, names]) => names.includes(name));
  const whole = (name: string, end: string) => {
    assert.equal(by(name).length, 1, name);
    const [path, names] = by(name)[0]!;
    assert.equal(path.allocations, 3);
    assert.equal(path.end, end);
    assert.deepEqual([names[0], names[2], names[3]], ["allocate", name, "main"], names.join());
    return path;
  };
  assert.equal(whole("call_registered", "root").stack[1]?.module, -1);
  assert.ok(whole("call_moved", "root").stack.every((frame) => frame.way === undefined));
  const guessed = whole("call_guessed", "guessed");
  assert.deepEqual(guessed.stack.map((frame) => frame.way).filter((way) => way), ["guess"]);
  assert.equal(guessed.stack[1]?.way, "guess");
  using symbols = new Symbols(recorded, { cache: false });
  await symbols.resolve(recorded.callPaths);
  const text = textReport(recorded, symbols, { limit: 0, verbosity: 0, width: 120, color: false });
  assert.match(text, /what called guessed is a guess: it has no unwind table/);
  assert.doesNotMatch(text, /what called moved/);
});

test("a program without .eh_frame_hdr has whole stacks", async () => {
  const inside = join(folder, "headless");
  mkdirSync(inside);
  const found = await stacks(await record(target(inside, "tables.c", "-Wl,--no-eh-frame-hdr")), 100);
  for (const name of ["call_registered", "call_moved"]) {
    const [path, names] = found.find(([, names]) => names.includes(name)) ?? [];
    assert.equal(path?.end, "root", name);
    assert.deepEqual(names?.slice(2, 4), [name, "main"]);
  }
});

for (const flags of [["-O0"], ["-O2"], ["-O2", "-no-pie", "-fno-pie"], ["-O1", "-fcf-protection=none"]]) {
  test(`what a program says of its own leaks, ${flags.join(" ")}`, async () => {
    const inside = join(folder, `suppressed${flags.join("")}`);
    mkdirSync(inside);
    const program = target(inside, "suppressed.c", ...flags, "-Wl,--build-id");
    const recorded = await record(program);
    assert.deepEqual(programSuppressions(recorded).map(({ text }) => text), ["^leak_kn*"]);
    using symbols = new Symbols(recorded, { cache: false });
    await symbols.resolve(recorded.callPaths);
    const { totals } = suppressLeaks(recorded, symbols, programSuppressions(recorded));
    assert.equal(recorded.totals.liveBytes - totals.liveBytes, 100);
    const path = join(inside, "again.heaptap");
    heaptap(["run", "--no-report", "-o", path, program]);
    const said = heaptap(["report", path, "--view", "live"]);
    assert.match(
      said.stdout.replace(/\s+/g, " "),
      /1 live block is left out: named in the program's own __lsan_default_suppressions/,
    );
    assert.doesNotMatch(said.stdout, /never freed/);
    assert.doesNotMatch(said.stdout.slice(said.stdout.indexOf("Top call paths")), /leak_known/);
  });
}

test("a program that says nothing of its leaks, and one that another file took the place of, suppress nothing", async () => {
  assert.deepEqual(programSuppressions(await record(target(folder, "tables.c"))), []);
  const inside = join(folder, "replaced");
  mkdirSync(inside);
  const program = target(inside, "suppressed.c", "-Wl,--build-id");
  const recorded = await record(program);
  copyFileSync(target(folder, "tables.c"), program);
  assert.deepEqual(programSuppressions(recorded), []);
});

/* Functions that LLVM compiles at run time, without frame pointers: `lli` runs the program's bitcode. */
const MODULE = `
#include <stdlib.h>
static void *volatile kept;
static volatile int sink;
__attribute__((noinline)) static void inner(int n) { kept = malloc(1000); sink += n; }
__attribute__((noinline)) static void middle(int n) { volatile char room[100]; room[n] = 1; inner(n); sink += room[n]; }
__attribute__((noinline)) static void outer(int n) { middle(n + 1); sink++; }
int main(void) { for (volatile int i = 0; i < 3; i = i + 1) outer(i); return 0; }
`;

const lacks = ["clang", "lli"].find((tool) => spawnSync(tool, ["--version"]).error);
for (const kind of ["mcjit", "orc"]) {
  for (const told of ["libgcc", "debuggers"]) {
    test(
      `code that LLVM makes (${kind}), of which ${told} are told`,
      { skip: lacks && `${lacks} is not installed` },
      () => {
        const inside = join(folder, `${kind}-${told}`);
        mkdirSync(inside);
        const [source, bitcode, deaf] = ["jit.c", "jit.ll", "deaf.so"].map((name) => join(inside, name)) as [
          string,
          string,
          string,
        ];
        writeFileSync(source, MODULE);
        const flags = ["-O1", "-fomit-frame-pointer", "-funwind-tables", "-S", "-emit-llvm", source, "-o", bitcode];
        assert.equal(spawnSync("clang", flags).status, 0);
        // Whoever is first takes the registrations: then the list for debuggers is all that is left.
        spawnSync("cc", ["-shared", "-fPIC", "-o", deaf, "-x", "c", "-"], {
          input: "void __register_frame(void *p) { (void)p; }\nvoid __deregister_frame(void *p) { (void)p; }\n",
        });
        const library = libraryPath();
        const out = join(inside, "lli.heaptap");
        const env = {
          ...process.env,
          HEAPTAP_OUT: out,
          LD_PRELOAD: told === "libgcc" ? library : `${deaf}:${library}`,
        };
        assert.equal(spawnSync("lli", [`--jit-kind=${kind}`, bitcode], { env }).status, 0);
        const { callPaths } = Recording.open(out).profile();
        const found = callPaths.filter((path) => path.bytes === 3000 && path.allocations === 3);
        assert.equal(found.length, 1);
        assert.equal(found[0]!.end, "root");
        const modules = found[0]!.stack.map((frame) => frame.module);
        assert.deepEqual(modules.slice(0, 5).map((module) => module === -1), [true, true, true, true, false]);
      },
    );
  }
}

test("a frame whose row says more than a rule, kept from before, has its caller's frame pointer", async () => {
  const found = await stacks(await record(target(folder, "rows.c")), 100);
  assert.deepEqual(found.map(([path]) => [path.allocations, path.end]), [[1000, "root"], [1000, "root"]]);
  const callers = found.map(([, names]) => names.slice(0, 5).join(" < ")).sort();
  assert.deepEqual(callers, ["leaf < F < H < A < main", "leaf < F < H < B < main"]);
});
