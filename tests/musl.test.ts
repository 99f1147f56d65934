/** Programs on musl, whose C library, dynamic linker and allocator are one file, without unwind tables. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { attach, examine, libraryPath, Recording, Symbols } from "../mod.ts";
import type { CallPath, Profile } from "../mod.ts";
import { isMusl } from "../src/native/musl.ts";
import { assertCountsAll, Attached, eventually } from "./attached.ts";
import { heaptap, recordings, scratch, targetBy, without } from "./helpers.ts";

const folder = scratch();
const skip = without("musl-gcc");
const LINKER = "/lib/ld-musl-x86_64.so.1";
const CC = "musl-gcc";
const onMusl = (source: string, ...flags: string[]) => targetBy(CC, folder, source, ...flags);

/** Records a program, and says how it ended. */
function record(
  name: string,
  command: readonly string[],
  ends = 0,
): { profile: Profile; stderr: string; stdout: string } {
  const out = join(folder, `${name}.heaptap`);
  const { stdout, stderr, status } = heaptap(["run", "-o", out, "--report-file", "/dev/null", "--", ...command]);
  assert.equal(status, ends, stderr);
  return { profile: Recording.open(out).profile(), stdout, stderr };
}

/** The names on each call path, outermost first. */
async function stacks(profile: Profile): Promise<(readonly [path: CallPath, names: string[]])[]> {
  using symbols = new Symbols(profile, { cache: false });
  await symbols.resolve(profile.callPaths);
  return profile.callPaths.map((path) =>
    [path, path.stack.flatMap((frame) => symbols.frames(frame)).map((f) => f.function).reverse()] as const
  );
}

/** What each block of `within.c` stands below, of its own functions and the C library's public ones. */
const WITHIN: readonly (readonly [bytes: number, names: readonly string[]])[] = [
  [101, ["main", "sorts", "compare", "make"]],
  [102, ["worker", "make"]],
  [103, ["main", "once", "make"]],
  [104, ["main", "signals", "handle", "make"]],
  [105, ["main", "walks", "visit", "make"]],
  [106, ["main", "looks", "find", "make"]],
  [107, ["exit", "leave", "make"]],
  [108, ["exit", "quits", "make"]],
  [201, ["main", "copies", "strdup"]],
  [108, ["exit", "quits", "strdup"]],
];

for (const [cc, why] of [["cc", false], [CC, skip]] as const) {
  test(`stacks through the C library are whole: ${cc}`, { skip: why }, async () => {
    const program = targetBy(cc, scratch(), "within.c");
    const { profile } = record(`within-${cc}`, [program]);
    const all = await stacks(profile);
    assert.deepEqual(all.filter(([{ end }]) => end !== "root").map(([, names]) => names), []);
    const guesses = profile.callPaths.flatMap(({ stack }) => stack.filter(({ way }) => way === "guess"));
    assert.equal(guesses.length, 0);
    for (const [bytes, wanted] of WITHIN) {
      const found = all.filter(([path, names]) =>
        path.bytes % bytes === 0 && path.bytes / path.allocations === bytes &&
        wanted.every((name, i) => i === 0 || names.indexOf(name) > names.indexOf(wanted[i - 1] ?? "")) &&
        wanted.every((name) => names.includes(name))
      );
      assert.equal(found.length > 0, true, `${bytes}: ${wanted.join(" ")}`);
    }
  });
}

test("counts are exact, what the program was called and is called is there, and it is as without", { skip }, () => {
  const program = onMusl("counts.c");
  const { profile, stdout } = record("counts", [program], 7);
  const plain = targetBy("cc", scratch(), "counts.c");
  const same = record("counts-glibc", [plain], 7);
  const { allocations, bytes, frees, reallocations, temporary, liveBytes, liveCount } = profile.totals;
  const t = same.profile.totals;
  assert.deepEqual(
    { allocations, bytes, frees, reallocations, temporary, liveBytes, liveCount },
    {
      ...{ allocations: t.allocations, bytes: t.bytes, frees: t.frees, reallocations: t.reallocations },
      ...{ temporary: t.temporary, liveBytes: t.liveBytes, liveCount: t.liveCount },
    },
  );
  assert.equal(stdout, spawnSync(program, { encoding: "utf8" }).stdout);
  assert.deepEqual(profile.process.command, [program]);
  assert.equal(profile.process.executable, program);
});

test("started by its dynamic linker, with options and without", { skip: skip || !existsSync(LINKER) }, () => {
  const program = onMusl("counts.c");
  for (const options of [[], ["--library-path", "/nowhere"], ["--"]]) {
    const { profile } = record(`linked-${options.length}`, [LINKER, ...options, program, "an argument"], 7);
    assert.deepEqual(profile.process.command, [program, "an argument"]);
    assert.equal(profile.process.executable, program);
  }
});

test("started so with very many arguments", { skip: skip || !existsSync(LINKER) }, () => {
  const [program, out] = [onMusl("counts.c"), join(folder, "many.heaptap")];
  const many = Array.from({ length: 5000 }, (_, i) => String(i));
  const env = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out, HEAPTAP_BUCKETS: "4096" };
  assert.equal(spawnSync(LINKER, ["--argv0", "other", program, ...many], { env }).status, 7);
  const { command, executable } = Recording.open(out).profile().process;
  assert.deepEqual([command.slice(0, 3), executable], [["other", "0", "1"], program]);
});

test("what a program of the one kind starts of the other is recorded, both ways", { skip }, () => {
  const [musl, glibc] = [onMusl("starts.c"), targetBy("cc", scratch(), "starts.c")];
  for (const [first, second] of [[musl, glibc], [glibc, musl]] as const) {
    const into = scratch();
    const { status, stderr } = heaptap(
      ["run", "-o", join(into, "%p.heaptap"), "--report-file", "/dev/null", "--", "sh", "-c", `${first}; ${second}`],
    );
    assert.equal(status, 0, stderr);
    const made = recordings(into).map((path) => Recording.open(path).profile().process.executable);
    for (const program of [first, second]) assert.ok(made.includes(program), `${program} of ${made.join(" ")}`);
  }
});

test("doctor finds nothing to say against it", { skip }, () => {
  const { program } = examine(onMusl("counts.c"));
  assert.deepEqual([program?.recordable, program?.notes], [true, []]);
});

test("attached to, counts are exact, and it is let go again", { skip }, async () => {
  const program = onMusl("attached.c", "-O2");
  await using of = await Attached.start(program, join(folder, "attached.shared"), "churn");
  assert.ok(isMusl(readFileSync(`/proc/${of.pid}/maps`, "utf8")));
  const maps = () => readFileSync(`/proc/${of.pid}/maps`, "utf8").split("\n").length;
  let first = 0;
  for (let i = 0; i < 10; i++) {
    const attachment = await attach(of.pid, { out: join(folder, "attached.heaptap"), buckets: 4096 });
    await assertCountsAll(of, attachment.recording);
    const profile = (await attachment.detach()).profile();
    assert.ok(profile.process.attached?.left);
    assert.deepEqual(profile.callPaths.filter(({ end }) => end !== "root"), []);
    if (i === 0) first = maps();
  }
  assert.equal(of.read("failures"), 0);
  assert.ok(await eventually(() => maps() <= first), "a cycle leaves nothing more than the first");
});

for (const kind of ["many", "storm", "forks", "sleep", "users", "cancels"]) {
  const cycles = kind === "users" || kind === "many" ? 2 : 6;
  test(`attached to and let go, ${cycles} times: ${kind}`, { skip }, async () => {
    const program = onMusl("attached.c", "-O2");
    await using of = await Attached.start(program, join(folder, `${kind}.shared`), kind);
    for (let i = 0; i < cycles; i++) {
      const attachment = await attach(of.pid, { out: join(folder, `${kind}.heaptap`), buckets: 4096 });
      await attachment.detach();
    }
    // It is not stuck.
    const before = [of.read("allocations"), of.read("signals")] as const;
    if (kind === "users" || kind === "cancels") assert.ok(await eventually(() => of.read("signals") > before[1]));
    else if (kind !== "sleep") assert.ok(await eventually(() => of.read("allocations") > before[0]));
    assert.equal(of.read("failures"), 0);
  });
}

const CONTAINED = skip ||
  (spawnSync("unshare", ["-m", "-p", "-f", "true"]).status !== 0 && "unshare is not allowed here");

test("without /proc it knows what it was called", { skip: CONTAINED }, () => {
  const [program, out] = [onMusl("counts.c"), join(folder, "no-proc.heaptap")];
  const inside = `mount -t tmpfs none /proc && LD_PRELOAD="$0" HEAPTAP_OUT="$1" exec "$2" "an argument"`;
  const { status } = spawnSync("unshare", ["-m", "sh", "-c", inside, libraryPath(), out, program]);
  assert.equal(status, 7);
  const { command, executable } = Recording.open(out).profile().process;
  assert.deepEqual([command, executable], [[program, "an argument"], program]);
});

test("in a root and with a number of its own, as in a container of Alpine's: names, too", {
  skip: CONTAINED,
}, async () => {
  const root = join(folder, "root");
  for (const name of ["lib", "proc", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(LINKER, join(root, LINKER));
  copyFileSync(onMusl("grows.c"), join(root, "grows"));
  const inside = `mount -t proc proc "$0/proc" && exec chroot "$0" /grows`;
  const child = spawn("unshare", ["-m", "-p", "-f", "--kill-child", "sh", "-c", inside, root], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise((done) => child.once("exit", done));
  const dot = () => new Promise((done) => child.stdout.once("data", done));
  try {
    await dot();
    const [pid] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ").map(Number);
    const attachment = await attach(pid ?? 0, { out: join(folder, "contained.heaptap"), buckets: 4096 });
    child.stdin.write("l");
    await dot();
    const profile = (await attachment.detach()).profile();
    assert.deepEqual([profile.process.executable, profile.process.pidHere], ["/grows", pid]);
    assert.deepEqual([profile.totals.liveCount, profile.totals.liveBytes], [10, 1000]);
    const [[, names] = []] = (await stacks(profile)).filter(([{ liveBytes }]) => liveBytes > 0);
    assert.match(names?.join(" ") ?? "", /main leak$/);
    assert.deepEqual(readdirSync(join(root, "tmp")), []);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
});
