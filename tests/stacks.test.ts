/** Stacks through code that compilers do not make, and the names of what is on them. */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { profile, programSuppressions, suppressLeaks, Symbols, textReport } from "../mod.ts";
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

test("a signal handler's frame says so, and its caller is the interrupted function", async () => {
  const [found, ...others] = await stacks(await record(target(folder, "handled.c", "-Wl,-z,now")), 100);
  assert.deepEqual(others, []);
  const [path, names] = found!;
  assert.equal(path.end, "root");
  assert.deepEqual(names.slice(0, 2), ["on_signal", "<signal handler called>"]);
  assert.ok(names.includes("main"), names.join());
  assert.ok(path.stack.every((frame) => frame.way === undefined || frame.way === "signal"));
});

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
    assert.match(said.stderr, /1 live block is left out: named in the program's own __lsan_default_suppressions/);
    assert.doesNotMatch(said.stdout, /leak_known/);
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
