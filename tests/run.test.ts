import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { checkVariables, libraryPath, profile, Recording, Symbols } from "../mod.ts";
import { CLI, heaptap, plugin, recordings, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const quiet = { stdio: "ignore" } as const;

test("profile() gives the counts that stand in counts.c", async () => {
  const out = join(folder, "counts.heaptap");
  const result = await profile([target(folder, "counts.c")], { out, ...quiet });
  assert.equal(result.exitCode, 7);
  assert.equal(result.signal, 0);
  const { totals, callPaths, process: p, threads } = result.recording!.profile();
  assert.equal(totals.allocations, 1111);
  assert.equal(totals.bytes, 121000);
  assert.equal(totals.frees, 1090);
  assert.equal(totals.reallocations, 10);
  assert.equal(totals.carried, 4550);
  assert.equal(totals.liveBytes, 3000);
  assert.equal(totals.liveCount, 11);
  assert.deepEqual([totals.peakBytes, totals.peakCount], [100000, 1000]);
  assert.equal(totals.temporary, 91);
  assert.equal(totals.failed + totals.unknownFrees + totals.untracked + totals.lostFrees, 0);
  const sum = (of: (path: typeof callPaths[number]) => number) => callPaths.reduce((n, path) => n + of(path), 0);
  assert.equal(sum((c) => c.allocations), totals.allocations);
  assert.equal(sum((c) => c.bytes), totals.bytes);
  assert.equal(sum((c) => c.liveBytes), totals.liveBytes);
  assert.equal(sum((c) => c.liveCount), totals.liveCount);
  assert.equal(sum((c) => c.peakBytes), totals.peakBytes);
  assert.equal(callPaths.length, 4);
  assert.ok(callPaths.every((c) => c.end === "root"));
  assert.deepEqual(p.exit && [p.exit.code, p.exit.signal], [7, 0]);
  assert.equal(threads.length, 1);
});

test("counters mode keeps the totals and no call paths", async () => {
  const out = join(folder, "counters.heaptap");
  const { recording } = await profile([target(folder, "counts.c")], { out, mode: "counters", ...quiet });
  const { totals, callPaths, limits } = recording!.profile();
  assert.equal(limits.mode, "counters");
  assert.deepEqual([totals.allocations, totals.bytes, totals.peakBytes, totals.liveBytes], [
    1111,
    121000,
    100000,
    3000,
  ]);
  assert.equal(callPaths.length, 0);
});

test("threads have their own counts, and frees by others are told", async () => {
  const out = join(folder, "threads.heaptap");
  const { recording } = await profile([target(folder, "threads.c")], { out, ...quiet });
  const { threads, totals, limits } = recording!.profile();
  const makers = threads.filter((t) => t.name === "maker");
  assert.equal(makers.length, 4);
  for (const maker of makers) {
    assert.deepEqual([maker.allocations, maker.bytes, maker.frees], [5000, 320000, 0]);
    assert.deepEqual([maker.freedByOthers, maker.freedByOthersBytes], [5000, 320000]);
  }
  assert.equal(totals.frees - threads.filter((t) => t.name !== "maker").reduce((n, t) => n + t.frees, 0), 0);
  const own = totals.bytes - 1280000;
  assert.ok(limits.peakError > 0 && limits.peakError <= 8 * 32768);
  assert.ok(
    totals.peakBytes + limits.peakError >= 1280000 && totals.peakBytes <= 1280000 + own,
    `peak ${totals.peakBytes}`,
  );
});

test("the exact peak is exact with several threads", async () => {
  const out = join(folder, "exact.heaptap");
  const { recording } = await profile([target(folder, "threads.c")], { out, exactPeak: true, ...quiet });
  const { totals, limits } = recording!.profile();
  assert.equal(limits.peakError, 0);
  // All makers' blocks are live together; the rest is the C library's own, which it does not free.
  assert.ok(totals.peakBytes >= 1280000 && totals.peakBytes <= totals.bytes, `peak ${totals.peakBytes}`);
});

for (
  const [how, status] of [["exit", 2], ["_exit", 3], ["_Exit", 4], ["quick_exit", 5], ["abort", 134], ["kill", 137], [
    "segv",
    139,
  ]] as const
) {
  test(`nothing is lost when the program ends by ${how}`, () => {
    const out = join(folder, `${how}.heaptap`);
    const { status: got } = heaptap(["run", "--no-report", "-o", out, "--", target(folder, "ends.c"), how]);
    assert.equal(got, status);
    const { totals, process: p } = Recording.open(out).profile();
    assert.deepEqual([totals.allocations, totals.liveBytes], [1000, 100000]);
    assert.equal(p.exit?.signal ? 128 + p.exit.signal : p.exit?.code, status);
  });
}

test("a program that closes every descriptor and forks loses nothing; its child has its own recording", () => {
  const out = join(folder, "fds.heaptap");
  const { status } = heaptap(["run", "--no-report", "-o", out, "--", target(folder, "fds.c")]);
  assert.equal(status, 30);
  assert.equal(Recording.open(out).profile().totals.allocations, 30);
  const children = recordings(folder).filter((path) => /fds\.\d+\.heaptap$/.test(path));
  assert.equal(children.length, 1);
  const child = Recording.open(children[0]!).profile();
  assert.equal(child.totals.allocations, 5);
  assert.ok(child.callPaths.every((c) => c.end === "root" && c.stack.every((f) => f.module >= 0)));
  assert.ok(child.modules.some((m) => m.path.endsWith("/fds")));
});

test("--follow: what is recorded of the processes that a program starts, and what they inherit", () => {
  const program = target(folder, "starts.c");
  const library = libraryPath();
  const run = (follow: string, first: string, env: Record<string, string> = {}) => {
    const inside = mkdtempSync(join(folder, "follow-"));
    const args = ["run", "--no-report", "--follow", follow, "-o", join(inside, "a.heaptap"), "--", program, first];
    const { status, stdout, stderr } = heaptap(args, { env });
    assert.equal(status, 0, stderr);
    const allocations = recordings(inside).map((path) => Recording.open(path).profile().totals.allocations);
    return { allocations: allocations.sort((a, b) => b - a), said: stdout.trim().split("\n") };
  };
  for (const first of ["late", "early"]) {
    assert.deepEqual(run("all", first).allocations, [10, 5, 3], first);
    assert.deepEqual(run("exec", first).allocations, [10, 3], first);
    assert.deepEqual(run("none", first), { allocations: [10], said: ["auxiliary vector"] }, first);
    // Other libraries stay, wherever ours stood.
    const other = run("none", first, { LD_PRELOAD: "/no/such/library.so", HEAPTAP_DEPTH: "64" });
    assert.deepEqual(other.allocations, [10]);
    assert.deepEqual(other.said, ["LD_PRELOAD=/no/such/library.so", "auxiliary vector"]);
    // By hand, of an odd number of variables one stays behind.
    const env = {
      ...process.env,
      LD_PRELOAD: library,
      HEAPTAP_OUT: join(folder, "odd.%p.heaptap"),
      HEAPTAP_FOLLOW: "none",
    };
    const odd = spawnSync(program, [first], { env, encoding: "utf8" });
    assert.equal(odd.stdout, "HEAPTAP_FOLLOW=none\nauxiliary vector\n");
  }
  const kept = run("all", "late");
  assert.ok(kept.said.includes(`LD_PRELOAD=${library}`) && kept.said.includes("auxiliary vector"));
  const wrong = heaptap(["run", "--follow", "some", "--", program]);
  assert.equal(wrong.status, 2);
});

test("shells and build tools under --follow none leave their children as they are", () => {
  const inside = mkdtempSync(join(folder, "shell-"));
  const out = join(inside, "sh.heaptap");
  const script = "env | grep -c -e HEAPTAP -e LD_PRELOAD; perl -e 'print 1 + 1'; sh -c 'exec perl -e \"exit 7\"'";
  const { status, stdout } = heaptap(["run", "--no-report", "--follow", "none", "-o", out, "--", "sh", "-c", script]);
  assert.deepEqual([status, stdout], [7, "0\n2"]);
  assert.equal(recordings(inside).length, 1);
});

test("--only records the programs whose path matches, and spares the rest", () => {
  const program = target(folder, "starts.c");
  const run = (only: string) => {
    const inside = mkdtempSync(join(folder, "only-"));
    const args = ["run", "--no-report", "--only", only, "-o", join(inside, "a.heaptap"), "--", "sh", "-c"];
    const { status, stderr } = heaptap([...args, `${program} late; perl -e 1; true`]);
    assert.equal(status, 0, stderr);
    return { programs: recordings(inside).map((path) => Recording.open(path).profile().process.executable), stderr };
  };
  assert.deepEqual(run("/starts$").programs, [program, program, program]);
  assert.deepEqual(run("bin/(perl|awk)[^/]*$").programs.length, 1);
  const none = run("^/nowhere/");
  assert.deepEqual(none.programs, []);
  assert.match(none.stderr, /no recording was made: .*no program's path matched "\^\/nowhere\/"/);
  for (const wrong of ["(", "a(?=b)", "a{2}", "*a", "caf\u00e9"]) {
    const { status, stderr } = heaptap(["run", "--only", wrong, "--", "true"]);
    assert.deepEqual([status, stderr.trim().split("\n").length], [2, 1], wrong);
  }
  assert.equal(checkVariables({ HEAPTAP_ONLY: "a(?!b)" }).length, 1);
});

test("the processes of a run: the one that was started, a line for each other, --process and --all", () => {
  const inside = mkdtempSync(join(folder, "processes-"));
  spawnSync("mkfifo", [join(inside, "a.1.heaptap")]); // nobody waits at it
  const out = join(inside, "a.heaptap");
  const program = target(folder, "starts.c");
  const { stderr } = heaptap(["run", "-o", out, "--limit", "1", "--", program, "late"]);
  assert.match(stderr, /the report is of .*starts \(pid \d+\), the program that was started; 2 more recordings/);
  assert.equal(stderr.match(/also recorded: \d+ allocations of/g)?.length, 2);
  const all = Recording.open(out).processes();
  assert.deepEqual(all.map((recording) => recording.profile().totals.allocations), [10, 5, 3]);
  const report = (path: string, ...options: string[]) => heaptap(["report", "--format", "json", ...options, path]);
  const child = all[1]!.profile().process.pid;
  assert.equal(JSON.parse(report(out, "--process", String(child)).stdout).summary.allocations, 5);
  // From each of them the run is the same.
  for (const { path } of all) {
    const { summary, processes, allocations } = JSON.parse(report(path, "--all").stdout);
    assert.deepEqual([summary.allocations, summary.bytes, summary.call_paths], [18, 1800, 3]);
    assert.equal(processes.length, 3);
    assert.equal(allocations.reduce((n: number, one: { count: number }) => n + one.count, 0), 18);
  }
  assert.match(heaptap(["report", "--all", out]).stdout, /3 processes[^]*sum of the processes' peaks/);
  assert.equal(heaptap(["report", "--all", "--max-allocations", "17", out]).status, 3);
  assert.equal(heaptap(["report", "--max-allocations", "17", out]).status, 0);
  const wrong = heaptap(["report", "--process", "1", out]);
  assert.deepEqual([wrong.status, wrong.stderr.trim().split("\n").length], [2, 1]);
  assert.match(wrong.stderr, new RegExp(`Cannot show process 1: .* recordings of .*${child} \\(starts\\)`));
  assert.match(heaptap(["report", "--all", "--since", "x", out]).stderr, /a mark is of one/);
  for (const format of ["pprof", "html", "dhat", "massif", "collapsed", "speedscope", "csv"]) {
    assert.equal(heaptap(["report", "--all", "--format", format, "-o", join(inside, "r"), out]).status, 0, format);
  }
});

test("wrappers: sh -c, make -j and npm run, whose programs are recorded and named", () => {
  const inside = mkdtempSync(join(folder, "wrappers-"));
  const counts = target(folder, "counts.c");
  writeFileSync(join(inside, "Makefile"), `all: a b c d\na b c d:\n\t@${counts}; test $$? = 7\n`);
  writeFileSync(join(inside, "package.json"), JSON.stringify({ scripts: { go: counts } }));
  const wrapped: [command: string[], status: number, times: number][] = [
    [["sh", "-c", `"${counts}"; exit 3`], 3, 1],
    [["make", "-s", "-j4", "-C", inside], 0, 4],
    [["npm", "run", "--silent", "--prefix", inside, "go"], 7, 1],
  ];
  for (const [command, status, times] of wrapped) {
    const to = mkdtempSync(join(inside, "out-"));
    const run = heaptap(["run", "--limit", "1", "-o", join(to, "a.heaptap"), "--", ...command]);
    assert.equal(run.status, status, run.stderr);
    assert.match(run.stderr, /^heaptap: the report is of .*counts \(pid \d+\), which /);
    const found = recordings(to).map((path) => Recording.open(path).profile())
      .filter(({ process }) => process.executable === counts);
    assert.deepEqual(found.map(({ totals }) => totals.allocations), Array(times).fill(1111), command.join(" "));
    for (const { process } of found) {
      assert.match(run.stderr, new RegExp(`1111 allocations of .*counts|counts \\(pid ${process.pid}\\)`));
    }
  }
});

test("a copy of a recording is no other process, and an earlier run of several is compared as this one", () => {
  const inside = mkdtempSync(join(folder, "copies-"));
  const [out, copy] = [join(inside, "a.heaptap"), join(inside, "copy.heaptap")];
  const command = ["sh", "-c", `"${target(folder, "counts.c")}"; exit 0`];
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--", ...command]).status, 0);
  const summary = () => JSON.parse(heaptap(["report", "--all", "--format", "json", out]).stdout).summary;
  const before = summary();
  copyFileSync(out, copy);
  assert.deepEqual(summary(), before);
  assert.equal(Recording.open(copy).processes().length, 2);
  assert.match(
    heaptap(["report", out]).stderr,
    /^heaptap: the report is of .*; 1 more recording of its run: heaptap processes FILE lists them/,
  );
  // What is alike does not grow, whichever of its processes the earlier recording is of.
  for (const all of [[], ["--all"]]) {
    const again = [
      "run",
      "--no-report",
      ...all,
      "--compare",
      out,
      "--max-growth",
      "5",
      "-o",
      join(inside, "b.heaptap"),
    ];
    const { status, stderr } = heaptap([...again, "--", ...command]);
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, /different programs/);
  }
  // A mark of one of several.
  const { pid } = Recording.open(out).processes()[0]!.profile().process;
  assert.equal(heaptap(["mark", "--process", String(pid), out, "end"]).status, 0);
  const since = heaptap(["report", "--process", String(pid), "--since", "end", "--format", "json", out]);
  assert.equal(JSON.parse(since.stdout).summary.allocations, 0);
});

test("outputs that are full or meant for something else: one line, and the program's status", () => {
  const counts = target(folder, "counts.c");
  const out = join(folder, "full.heaptap");
  const [command = "", ...args] = CLI;
  const full = (...rest: string[]) =>
    spawnSync("sh", ["-c", `"$@" ${rest.pop()}`, "sh", command, ...args, ...rest], { encoding: "utf8" });
  const recorded = full("run", "-o", out, "--", counts, "2> /dev/full");
  assert.equal(recorded.status, 7);
  const told = full("report", out, "> /dev/full");
  assert.deepEqual([told.status, told.stderr.trim().split("\n").length], [2, 1]);
  assert.match(told.stderr, /^heaptap: Cannot write to stdout: .*o space left/);
  assert.equal(heaptap(["run", "--report-file", "/dev/full", "-o", out, "--", counts]).status, 7);
  for (const name of ["report.html", "-"]) {
    assert.match(heaptap(["run", "-o", name, "--", counts]).stderr, /--report-file the report/);
  }
  const long = heaptap(["run", "-o", join(folder, "x".repeat(250)), "--", counts]);
  assert.deepEqual([long.status, /its name is too long/.test(long.stderr)], [2, true]);
});

test("preloaded by hand, a run is known by its processes' parents", () => {
  const inside = mkdtempSync(join(folder, "by-hand-"));
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(inside, "x.heaptap") };
  for (let i = 0; i < 2; i++) assert.equal(spawnSync(target(folder, "starts.c"), ["late"], { env }).status, 0);
  assert.equal(recordings(inside).length, 6);
  assert.equal(Recording.open(join(inside, "x.heaptap")).processes().length, 3);
});

test("--no-command-line keeps the arguments out of the recording", () => {
  const out = join(folder, "secret.heaptap");
  const args = ["run", "--no-report", "--no-command-line", "-o", out, "--", "perl", "-e", "1", "hunter2"];
  assert.equal(heaptap(args).status, 0);
  assert.deepEqual(Recording.open(out).profile().process.command, ["perl"]);
  assert.ok(!readFileSync(out).includes("hunter2"));
  assert.ok(!heaptap(["report", out]).stdout.includes("hunter2"));
});

test("a live recording can be read while the program runs", async () => {
  const out = join(folder, "live.heaptap");
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
  const child = spawn(target(folder, "ends.c"), ["wait"], { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  const { totals, process: p } = Recording.open(out).profile();
  const { status, stdout } = heaptap(["report", out]);
  child.kill("SIGKILL");
  await ended;
  assert.deepEqual([totals.allocations, totals.liveCount], [1001, 1001]);
  assert.equal(p.exit, undefined);
  assert.equal(status, 0);
  assert.match(stdout, /live now/);
});

test("standard streams are the program's own", () => {
  const { status, stdout, stderr } = heaptap([
    "run",
    "--no-report",
    "-o",
    join(folder, "cat.heaptap"),
    "--",
    "sh",
    "-c",
    "cat; echo err >&2",
  ], {
    input: "in\n",
  });
  assert.deepEqual([status, stdout], [0, "in\n"]);
  assert.match(stderr, /^err\n/);
});

test("the program is started under the name that was given", () => {
  const { stdout } = heaptap(["run", "--no-report", "-o", join(folder, "name.heaptap"), "sh", "-c", "echo $0"]);
  assert.equal(stdout, "sh\n");
});

test("the program's own flags are left alone", () => {
  const { stdout } = heaptap([
    "run",
    "--no-report",
    "-o",
    join(folder, "echo.heaptap"),
    "/bin/echo",
    "--limit",
    "-v",
    "--",
    "x",
  ]);
  assert.equal(stdout, "--limit -v -- x\n");
});

test("a signal to the driver reaches the program, and the exit status says so", async () => {
  const out = join(folder, "term.heaptap");
  const [command = "", ...args] = CLI;
  const child = spawn(command, [...args, "run", "--no-report", "-o", out, "--", target(folder, "ends.c"), "wait"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  process.kill(child.pid!, "SIGTERM"); // Deno's child.kill would hide the exit status
  const code = await new Promise((resolve) => child.on("exit", resolve));
  assert.equal(code, 143);
  assert.equal(Recording.open(out).profile().process.exit?.signal, 15);
});

test("a program that handles the signal ends as it likes", async () => {
  const [command = "", ...args] = CLI;
  const script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done";
  const child = spawn(command, [
    ...args,
    "run",
    "--no-report",
    "-o",
    join(folder, "trap.heaptap"),
    "--",
    "sh",
    "-c",
    script,
  ], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  process.kill(child.pid!, "SIGTERM");
  assert.equal(await new Promise((resolve) => child.on("exit", resolve)), 9);
});

test("without -o the recording is named after program and process, in the current folder", () => {
  const { status } = heaptap(["run", "--no-report", "true"], { cwd: folder });
  assert.equal(status, 0);
  // `true` may end without an allocation, and then there is none.
  const { stderr } = heaptap(["run", "--no-report", target(folder, "counts.c")], { cwd: folder });
  const name = /recorded in .*(heaptap\.counts\.\d+\.heaptap)/.exec(stderr)?.[1];
  assert.ok(name && existsSync(join(folder, name)), stderr);
  assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
});

test("the library works without the driver", () => {
  const { stdout } = heaptap(["lib"]);
  const out = join(folder, "plain.%p.heaptap");
  const result = spawnSync(target(folder, "counts.c"), [], { env: { LD_PRELOAD: stdout.trim(), HEAPTAP_OUT: out } });
  assert.equal(result.status, 7);
  const [path] = recordings(folder).filter((p) => /plain\.\d+\.heaptap$/.test(p));
  assert.equal(Recording.open(path!).profile().totals.allocations, 1111);
});

test("a full table falls back to innermost frames, and the totals stay exact", async () => {
  const out = join(folder, "full.heaptap");
  const { recording } = await profile([
    "perl",
    "-e",
    "my @a = map { [1..$_ % 7] } 1..20000; my %h = map { $_ => 1 } 1..999; print 1",
  ], {
    out,
    buckets: 64,
    ...quiet,
  });
  const { totals, callPaths, limits } = recording!.profile();
  assert.equal(limits.buckets, 64);
  assert.ok(totals.fallbackAllocations > 0);
  assert.ok(callPaths.length <= 64);
  assert.equal(callPaths.reduce((n, c) => n + c.allocations, 0), totals.allocations);
  assert.equal(callPaths.reduce((n, c) => n + c.liveBytes, 0), totals.liveBytes);
});

test("the recording's size is bounded, and grows by use only", () => {
  const stat = statSync(join(folder, "counts.heaptap"));
  assert.ok(stat.size < 262144 * 1024, `apparent size ${stat.size}`);
  assert.ok(stat.blocks * 512 < 2e6, `size on disk ${stat.blocks * 512}`);
});

test("a preloaded allocator keeps working below us", {
  skip: existsSync("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2") ? false : "libjemalloc2 is not installed",
}, async () => {
  const out = join(folder, "jemalloc.heaptap");
  const env = { ...process.env, LD_PRELOAD: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2" };
  const { recording, exitCode } = await profile([target(folder, "counts.c")], { out, env, ...quiet });
  assert.equal(exitCode, 7);
  const { totals, process: p } = recording!.profile();
  assert.match(p.allocator, /jemalloc/);
  assert.deepEqual([totals.allocations >= 1111, totals.unknownFrees, totals.lostFrees], [true, 0, 0]);
});

test("an address that another library took over never takes its names", async () => {
  const libraries = [["first_plugin", 1000], ["second_plugin", 2000]] as const;
  const paths = libraries.map(([name, size]) => plugin(folder, name, size));
  const out = join(folder, "plugins.heaptap");
  const { recording, exitCode } = await profile([target(folder, "plugins.c", "-ldl"), ...paths], { out, ...quiet });
  assert.equal(exitCode, 0);
  const recorded = recording!.profile();
  using symbols = new Symbols(recorded, { cache: false });
  for (const [name, size] of libraries) {
    const found = recorded.callPaths.filter((c) => c.bytes === size * 100 && c.allocations === 100);
    assert.equal(found.length, 1, `${name}: one call path for all loads`);
    await symbols.resolve(found);
    const stack = symbols.stack(found[0]!);
    assert.equal(stack[0]?.function, name);
    assert.ok(stack[0]?.module.endsWith(`${name}.so`));
    assert.equal(found[0]!.end, "root");
  }
});

test("forks of a threaded program while others allocate", async () => {
  const inside = join(folder, "forked");
  mkdirSync(inside, { recursive: true });
  const out = join(inside, "forks.heaptap");
  const { exitCode, others } = await profile([target(folder, "forks.c")], { out, buckets: 64, ...quiet });
  assert.equal(exitCode, 0);
  assert.equal(others.length, 300);
  for (const child of others) assert.equal(child.profile().totals.allocations, 10);
  assert.equal(Recording.open(out).profile().totals.untracked, 0);
});

test("code without unwind tables that uses rbp for something else is left in peace", async () => {
  const out = join(folder, "norules.heaptap");
  const { recording, exitCode } = await profile([target(folder, "norules.c")], { out, ...quiet });
  assert.equal(exitCode, 0);
  const blocks = recording!.profile().callPaths.filter((c) => c.bytes === 100 * c.allocations && c.end === "lost");
  assert.equal(blocks.reduce((n, c) => n + c.allocations, 0), 4);
});

test("a peak after the second thread's start is seen", async () => {
  const out = join(folder, "latepeak.heaptap");
  const { recording } = await profile([target(folder, "latepeak.c")], { out, ...quiet });
  const { totals, limits } = recording!.profile();
  assert.ok(totals.peakBytes + limits.peakError >= 140e6 && totals.peakBytes < 140.1e6, `peak ${totals.peakBytes}`);
});

test("a small table keeps no memory of threads that have ended, and its last nodes are used", async () => {
  const out = join(folder, "churn.heaptap");
  const script =
    "import threading\nfor _ in range(1500):\n t = threading.Thread(target=lambda: [str(i) for i in range(9)])\n t.start(); t.join()\nprint(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])";
  const options = { out, buckets: 64, env: { ...process.env, PYTHONMALLOC: "malloc" } };
  const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  const plain = Number(spawnSync(python, ["-c", script], { encoding: "utf8" }).stdout);
  const file = join(folder, "rss.txt");
  const { recording } = await profile(["sh", "-c", `exec "$0" -c "$1" > "$2"`, python, script, file], {
    ...options,
    ...quiet,
  });
  const recorded = Number(readFileSync(file, "utf8"));
  assert.ok(recorded - plain < 12_000, `${plain} KB, recorded ${recorded} KB`);
  const { callPaths, threads, limits } = recording!.profile();
  assert.equal(limits.buckets, 64);
  assert.ok(threads.reduce((n, t) => n + t.merged, 0) > 1);
  assert.ok(callPaths.length > 40, `${callPaths.length} call paths`);
});

// Bad input.

test("a program that is not there: 127, that is not executable: 126, as a shell", () => {
  assert.equal(heaptap(["run", "no-such-program-anywhere"]).status, 127);
  assert.equal(heaptap(["run", "./no-such-file"]).status, 127);
  const file = join(folder, "notexec");
  writeFileSync(file, "hello");
  const { status, stderr } = heaptap(["run", file]);
  assert.equal(status, 126);
  assert.equal(stderr.trim().split("\n").length, 1);
  assert.equal(heaptap(["run", folder]).status, 126);
});

test("a static program gets one line before anything starts", () => {
  const other = join(folder, "static");
  assert.equal(spawnSync("cc", ["-static", "-o", other, join(ROOT, "tests/targets/ends.c")]).status, 0);
  const { status, stderr } = heaptap(["run", "--", other, "wait"]);
  assert.equal(status, 2);
  assert.match(stderr, /^heaptap: Cannot record .* statically linked.*valgrind/);
  assert.equal(stderr.trim().split("\n").length, 1);
});

test("neither ELF nor script, and a script whose interpreter is missing", () => {
  const text = join(folder, "text");
  writeFileSync(text, "hello\n", { mode: 0o755 });
  chmodSync(text, 0o755);
  assert.match(heaptap(["run", text]).stderr, /neither an ELF program nor a script/);
  const script = join(folder, "script");
  writeFileSync(script, "#!/no/such/interpreter\n");
  chmodSync(script, 0o755);
  assert.match(heaptap(["run", script]).stderr, /interpreter.*there is no such file/);
});

test("a Go program is refused or noted", { skip: without("go") }, () => {
  const source = join(folder, "hello.go");
  writeFileSync(source, "package main\nfunc main() { println(1) }\n");
  const program = join(folder, "gohello");
  const built = spawnSync("go", ["build", "-o", program, source], {
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod" },
  });
  assert.equal(built.status, 0, String(built.stderr));
  assert.match(heaptap(["run", program]).stderr, /Go program.*runtime\/pprof/);
});

test("-o never goes over a file that is not a recording, nor through a link", () => {
  const precious = join(folder, "precious.txt");
  writeFileSync(precious, "precious");
  const { status, stderr } = heaptap(["run", "-o", precious, "true"]);
  assert.equal(status, 2);
  assert.match(stderr, /is not a recording/);
  assert.equal(readFileSync(precious, "utf8"), "precious");
  const link = join(folder, "link.heaptap");
  symlinkSync(precious, link);
  assert.equal(heaptap(["run", "-o", link, "true"]).status, 2);
  assert.match(
    heaptap(["run", "-o", join(folder, "no/such/folder/x.heaptap"), "true"]).stderr,
    /no\/such\/folder.* -o/,
  );
});

test("an older recording of that name is replaced", async () => {
  const out = join(folder, "again.heaptap");
  await profile([target(folder, "counts.c")], { out, ...quiet });
  await profile([target(folder, "ends.c")], { out, ...quiet });
  assert.equal(Recording.open(out).profile().totals.allocations, 1000);
});

test("a variable that cannot be read is told, and the default holds", () => {
  assert.equal(checkVariables({ HEAPTAP_BUCKETS: "many", HEAPTAP_DEPTH: "64" }).length, 1);
  const out = join(folder, "variables.heaptap");
  const { status, stderr } = heaptap(["run", "-o", out, target(folder, "counts.c")], {
    env: { HEAPTAP_BUCKETS: "-5", HEAPTAP_MODE: "x" },
  });
  assert.equal(status, 7);
  assert.match(stderr, /HEAPTAP_BUCKETS=-5 cannot be read/);
  const { limits } = Recording.open(out).profile();
  assert.deepEqual(limits.rejected, ["HEAPTAP_BUCKETS", "HEAPTAP_MODE"]);
  assert.equal(limits.buckets, 262144);
});

test("options that cannot be read: one line, status 2, a suggestion for a typo", () => {
  const typo = heaptap(["run", "--limt", "3", "true"]);
  assert.equal(typo.status, 2);
  assert.match(typo.stderr, /--limit/);
  assert.equal(heaptap(["report", "--limit", "-1", "x"]).status, 2);
  assert.equal(heaptap(["run", "--buckets", "1e3", "true"]).status, 2);
  assert.equal(heaptap(["reprot", "x"]).status, 2);
  assert.equal(heaptap(["--help"]).status, 0);
});

test("doctor tells what there is", () => {
  const { status, stdout } = heaptap(["doctor", "--json", "/bin/sh"]);
  assert.equal(status, 0);
  const found = JSON.parse(stdout);
  for (const key of ["library", "compiler", "symboliser", "runtime"]) assert.ok(key in found, key);
  assert.ok(existsSync(found.library));
  assert.equal(found.program.recordable, true);
  assert.match(heaptap(["doctor", "no-such-program-anywhere"]).stdout, /cannot be recorded/);
});

test("without a compiler: one line that names the package", () => {
  const cache = join(folder, "empty-cache");
  const { status, stderr } = heaptap(["lib"], { env: { PATH: "/nonexistent", CC: "", XDG_CACHE_HOME: cache } });
  assert.equal(status, 2);
  assert.match(stderr, /^heaptap: .*apt install gcc/);
});

test("two first uses at once both get a library", async () => {
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, "fresh-cache") };
  const [command = "", ...args] = CLI;
  const codes = await Promise.all(
    Array.from(
      { length: 4 },
      () => new Promise((resolve) => spawn(command, [...args, "lib"], { env, stdio: "ignore" }).on("exit", resolve)),
    ),
  );
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.equal(readdirSync(join(folder, "fresh-cache/heaptap")).filter((f) => f.endsWith(".so")).length, 1);
});
