/** Where the memory is: the timeline, accounts of the resident set, mappings, the heap's pages, moments. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, packRecording, profile, Recording, RecordingError, Symbols } from "../mod.ts";
import type { MappedPath, Profile } from "../mod.ts";
import { packMoments, unpackMoments } from "../src/file/moments.ts";
import type { KeptMoment } from "../src/file/moments.ts";
import { memoryUse } from "../src/profile/memory.ts";
import { residentLine } from "../src/report/memory.ts";
import { overlaid } from "../src/memory/layout.ts";
import { thinned } from "../src/run/thinned.ts";
import { near, now, rollup, sumOf } from "./accounts.ts";
import { eventually } from "./attached.ts";
import { heaptap, random, ROOT, RUNTIME, scratch, SCRIPT, target, without } from "./helpers.ts";

const folder = scratch();
const MIB = 1024 * 1024;

/** A recorded program that says something and waits for a byte. */
interface Held {
  readonly pid: number;
  readonly recording: Recording;
  /** What it said until now. */
  said(): string;
  /** Lets it go on until it has said something that matches. */
  next(until: RegExp): Promise<string>;
}

/** Starts a program with the library preloaded and waits until it has said something; ends it afterwards. */
async function held(
  command: readonly string[],
  until: RegExp,
  use: (held: Held) => Promise<void>,
  env: Record<string, string> = {},
): Promise<void> {
  const out = join(folder, `held.%p.heaptap`);
  const [program = "", ...args] = command;
  const { LD_PRELOAD: below = "", ...others } = env;
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...others, LD_PRELOAD: `${libraryPath()}:${below}`, HEAPTAP_OUT: out },
  });
  let said = "";
  let heard = () => {};
  child.stdout.on("data", (bytes) => {
    said += String(bytes);
    heard();
  });
  const hear = async (pattern: RegExp) => {
    const late = setTimeout(() => child.kill("SIGKILL"), 60_000);
    while (!pattern.test(said) && child.exitCode === null && child.signalCode === null) {
      await new Promise<void>((done) => {
        heard = done;
        child.once("exit", () => done());
      });
    }
    clearTimeout(late);
    assert.match(said, pattern);
    return said;
  };
  try {
    await hear(until);
    const { pid = 0 } = child;
    const path = join(folder, readdirSync(folder).find((name) => name.startsWith(`held.${pid}.`)) ?? "none");
    await use({
      pid,
      recording: Recording.open(path),
      said: () => said,
      next: (pattern) => {
        child.stdin.write("\n");
        return hear(pattern);
      },
    });
  } finally {
    child.kill("SIGKILL");
  }
}

test("the timeline has the steps of a program, its highest moment, its end, and the resident set of each", async () => {
  const { recording } = await profile([target(folder, "steps.c")], { out: join(folder, "steps.heaptap") });
  assert.ok(recording);
  const { timeline, totals } = recording.profile();
  assert.deepEqual([totals.allocations, totals.peakBytes, totals.liveBytes], [20_003, 35_000_000, 5_000_000]);
  assert.deepEqual([timeline[0]?.seconds, timeline[0]?.bytes], [0, 0]);
  assert.equal(timeline.at(-1)?.bytes, 5_000_000);
  assert.ok(timeline.length <= 2200);
  const at = (seconds: number) => timeline.findLast((sample) => sample.seconds <= seconds);
  const first = timeline.find(({ bytes }) => bytes > 0);
  assert.equal(first?.bytes, 10_000_000);
  const fall = timeline.find(({ seconds, bytes }) => seconds > (first?.seconds ?? 0) && bytes === 0);
  assert.ok(fall && fall.seconds - (first?.seconds ?? 0) > 0.025, JSON.stringify([first, fall]));
  const second = timeline.find(({ seconds, bytes }) => seconds > fall.seconds && bytes > 0);
  assert.equal(second?.bytes, 5_000_000);
  assert.ok(second.seconds - fall.seconds > 0.39);
  for (const sample of timeline) {
    if (sample.seconds > fall.seconds && sample.seconds < second.seconds) assert.equal(sample.bytes, 0);
  }
  // 20,000 moves of a million bytes in some milliseconds are few samples, and their height is not lost.
  const burst = timeline.filter(({ seconds }) => seconds > second.seconds + 0.25);
  assert.ok(burst.some(({ highest }) => highest === 6_000_000), "the burst");
  const peak = timeline.filter(({ highest }) => highest === 35_000_000);
  assert.ok(peak.length >= 1 && peak.every(({ seconds }) => seconds > second.seconds + 0.29), JSON.stringify(peak));
  // Its last 100 ms, too, have what was live.
  assert.equal(at((timeline.at(-1)?.seconds ?? 0) - 0.05)?.bytes, 5_000_000);
  // The resident set: nothing was touched.
  const middle = at(fall.seconds + 0.2);
  assert.ok(middle?.resident && middle.resident > 500_000 && middle.resident < 8 * MIB, JSON.stringify(middle));
  assert.equal(middle.mapped, 0);
  assert.ok(timeline.every(({ seconds }, i) => seconds >= (timeline[i - 1]?.seconds ?? 0)));
});

test("after a mark, as long as nothing more is allocated, nothing is above what was live then", async () => {
  const out = join(folder, "lowers.heaptap");
  const ended = profile([target(folder, "lowers.c")], { out });
  const isLowered = () => {
    try {
      return Recording.open(out).profile().totals.frees === 1;
    } catch {
      return false; // it begins just now
    }
  };
  assert.ok(await eventually(isLowered));
  Recording.open(out).mark("then");
  const { recording } = await ended;
  assert.ok(recording);
  recording.mark("end");
  const { timeline, totals } = recording.profile();
  assert.deepEqual([totals.allocations, totals.frees, totals.liveBytes], [3, 1, 72_000_000]);
  const since = (mark: string) => recording.profile({ since: mark }).timeline;
  assert.ok(timeline.filter(({ bytes }) => bytes === 72_500_000).length > 1 && since("then").length > 1);
  assert.deepEqual(since("end").map(({ bytes, allocations }) => [bytes, allocations]), [[0, 0]]);
  for (const { bytes, highest } of since("then")) assert.deepEqual([bytes, highest], [0, 0]);
});

test("a program with five allocations has a timeline", async () => {
  const { recording } = await profile([target(folder, "leaf.c")], {
    out: join(folder, "five.heaptap"),
    stdio: "ignore",
  });
  const { timeline, totals } = recording!.profile();
  assert.ok(timeline.length >= 2);
  assert.equal(Math.max(...timeline.map(({ highest }) => highest)), totals.peakBytes);
  assert.equal(timeline.at(-1)?.allocations, totals.allocations);
});

test("rows of moments are thinned to three quarters; the ends and the highest stay", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  const pick = random(seed);
  for (let round = 0; round < 50; round++) {
    const level = round % 3 === 0 ? () => 7 : () => pick(1000);
    const all = Array.from({ length: 128 }, (_, i) => ({ time: i * 10 + pick(10), level: level() }));
    const kept = thinned(all, 128, ({ time }) => time, ({ level }) => [level]);
    assert.ok(kept && kept.length <= 100 && kept.length >= 96, `seed ${seed}: ${kept?.length}`);
    assert.deepEqual([kept[0], kept.at(-1)], [all[0], all.at(-1)]);
    assert.equal(
      Math.max(...kept.map(({ level }) => level)),
      Math.max(...all.map(({ level }) => level)),
      `seed ${seed}`,
    );
  }
  assert.equal(thinned([1, 2, 3], 4, (n) => n, (n) => [n]), undefined);
});

test("memory that a program maps itself is counted by call path and kind, exactly", async () => {
  await held([target(folder, "maps.c")], /ready/, async ({ recording, pid }) => {
    const recorded = recording.profile();
    const { mappings } = recorded;
    assert.ok(mappings);
    using symbols = new Symbols(recorded);
    const found: Record<string, number[]> = {};
    for (const path of mappings.paths) {
      const call = { ...recorded.callPaths[0]!, id: -1, stack: path.stack, end: path.end };
      await symbols.resolve([call]);
      const names = symbols.stack(call).map((frame) => frame.function);
      const name = names.find((n) => n !== "map" && n !== "") ?? "";
      const key = `${name} ${path.kind}`;
      const sum = found[key] ?? [0, 0, 0, 0];
      found[key] = [path.count, path.bytes, path.liveBytes, path.givenBack].map((n, i) => n + (sum[i] ?? 0));
    }
    const KIB = 1024;
    assert.deepEqual(found, {
      "whole memory": [1, 8 * MIB, 4 * MIB, MIB],
      "again memory": [100, 6400 * KIB, 0, 0],
      "grown memory": [2, 4 * MIB, 3 * MIB, 0],
      // 64 MiB less the one that came into use; and what was put away again.
      "reserved reserved": [2, 64 * MIB + 256 * KIB, 63 * MIB + 256 * KIB, 0],
      "reserved memory": [1, MIB, 768 * KIB, 0],
      "shared shared": [1, MIB, MIB, 0],
      "file file": [1, 64 * KIB, 64 * KIB, 0],
      "broken memory": [1, 128 * KIB, 64 * KIB, 0],
    });
    const live = 7 * MIB + 768 * KIB + 64 * KIB;
    assert.equal(mappings.liveBytes, live);
    assert.equal(mappings.peakBytes, 8 * MIB);
    assert.equal(mappings.paths.reduce((sum, path) => sum + (path.kind === "memory" ? path.peakBytes : 0), 0), 8 * MIB);
    // What is resident of it: all but the MiB that was given back, and what the break won and nobody touched.
    const account = now(recording);
    near(account.mapped ?? -1, 3 * MIB + 3 * MIB + MIB, 0, 65536, "mapped");
    near(account.shared, MIB, 0, 65536, "shared");
    near(sumOf(account), rollup(pid), 0.02, 65536, "the sum");
    const { status, stdout } = heaptap(["report", "--view", "mapped", recording.path]);
    assert.equal(status, 0);
    assert.match(stdout, /^the program mapped 8\.39 MB of memory itself at the most, 8\.19 MB of it is mapped now$/m);
    assert.match(stdout, /^ +8\.39 MB +100\.0% +4\.19 MB +8\.39 MB +1 +map maps\.c:\d+\n +\S+ whole maps\.c/m);
  });
});

test("what is looked through of a program's code and constants is not resident afterwards", () => {
  // Bun and Deno have no table of their unwind tables, nor names: all of 100 MB and more is looked through.
  const script = join(folder, "files.cjs");
  writeFileSync(
    script,
    `console.log(/^RssFile:\\s+(\\d+)/m.exec(require("fs").readFileSync("/proc/self/status", "utf8"))[1])`,
  );
  const bin = (name: string) => join(import.meta.dirname ?? "", "../node_modules/.bin", name);
  for (const [name, ...args] of [["bun", script], ["deno", "run", "-A", script]] as const) {
    const files = (env: NodeJS.ProcessEnv) => {
      const { stdout, status } = spawnSync(bin(name), args, { encoding: "utf8", env: { ...process.env, ...env } });
      assert.equal(status, 0);
      return Number(stdout) * 1024;
    };
    const without = files({});
    const with_ = files({ LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(folder, "files.heaptap") });
    assert.ok(with_ - without < 20e6, `${name}: ${with_} bytes of files are resident, ${without} without`);
  }
});

test("random mappings in several threads equal a map of each page", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  const program = target(folder, "mapped_random.c");
  for (const threads of [1, 4]) {
    const out = join(folder, `random${threads}.heaptap`);
    const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
    const { stdout, status } = spawnSync(program, [String(threads), "5000", String(seed)], { encoding: "utf8", env });
    assert.equal(status, 0, `seed ${seed}`);
    const { mappings } = Recording.open(out).profile();
    assert.equal(`live ${mappings?.liveBytes}\n`, stdout, `seed ${seed}`);
    const memory = mappings?.paths.filter(({ kind }) => kind === "memory") ?? [];
    const sum = (of: (path: MappedPath) => number) => memory.reduce((all, path) => all + of(path), 0);
    assert.equal(sum(({ liveBytes }) => liveBytes), mappings?.liveBytes, `seed ${seed}`);
    assert.equal(sum(({ peakBytes }) => peakBytes), mappings?.peakBytes, `seed ${seed}`);
  }
});

test("no heap's pages are free that are not, and what malloc_trim gives back is foretold", async () => {
  for (const [every, alone] of [[64, 25_600_000], [256, 1563 * 4096]] as const) {
    await held([target(folder, "pinned.c"), String(every)], /ready/, async ({ recording, pid, next, said }) => {
      const free = Number(/ready (\d+)/.exec(said())?.[1]);
      const pages = await recording.pages();
      const account = now(recording);
      near(sumOf(account), account.resident, 0, 0, "the sum");
      near(account.resident, rollup(pid), 0.005, 65536, "the kernel's");
      near(account.allocatorFree, free, 0.005, 300_000, "mallinfo2's free");
      assert.equal(pages.inUse + pages.beside + pages.empty, pages.resident);
      const recorded = recording.profile();
      using symbols = new Symbols(recorded);
      await symbols.resolve(recorded.callPaths);
      const by = (name: string) => {
        const ids = recorded.callPaths.filter((path) => symbols.stack(path)[0]?.function === name).map(({ id }) => id);
        return pages.paths.filter(({ id }) => ids.includes(id));
      };
      const [keep] = by("keep");
      near(keep?.alone ?? 0, alone, 0.003, 16384, `alone, every ${every}`);
      assert.equal(keep?.blocks, Math.ceil(400_000 / every));
      assert.equal(keep.oldBlocks, keep.blocks);
      assert.deepEqual(by("drop"), []);
      const [traffic] = by("traffic");
      assert.ok(!traffic || traffic.oldBlocks <= 3, JSON.stringify(traffic));
      near(pages.paths.reduce((sum, { share }) => sum + share, 0), pages.beside, 0.02, 500_000, "shares add up");
      const said2 = await next(/trimmed \d+ \d+\n/);
      const [, before, after] = /trimmed (\d+) (\d+)/.exec(said2) ?? [];
      near(pages.trimmable ?? 0, Number(before) - Number(after), 0.005, 200_000, `trimmed, every ${every}`);
    });
  }
});

/** What each of the call sites of placed.c holds of each page, from where its blocks are. */
function heldBy(blocks: readonly (readonly [site: number, at: number, size: number])[]): Map<number, number[]> {
  const pages = new Map<number, { live: number; sites: Map<number, number> }>();
  const sums = new Map<number, number[]>();
  const of = (site: number): number[] => sums.get(site) ?? sums.set(site, [0, 0, 0, 0]).get(site) ?? [];
  for (const [site, at, size] of blocks) {
    of(site)[0]! += 1;
    for (let page = Math.floor(at / 4096); page === Math.floor(at / 4096) || page * 4096 < at + size; page++) {
      const part = Math.min(at + size, (page + 1) * 4096) - Math.max(at, page * 4096);
      const there = pages.get(page) ?? { live: 0, sites: new Map() };
      pages.set(page, there);
      there.live += part;
      there.sites.set(site, (there.sites.get(site) ?? 0) + part);
    }
  }
  for (const { live, sites } of pages.values()) {
    for (const [site, part] of sites) {
      of(site)[1]! += part;
      if (sites.size === 1) of(site)[2]! += 4096;
      of(site)[3]! += (4096 - live) / sites.size;
    }
  }
  return sums;
}

test("who holds which pages equals a map of each page, of blocks of all sizes", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  for (const name of ["", "jemalloc.so.2", "mimalloc.so.2.0", "tcmalloc_minimal.so.4"]) {
    const library = name && `/usr/lib/x86_64-linux-gnu/lib${name}`;
    if (library && !existsSync(library)) {
      console.log(`skip: no ${name}`);
      continue;
    }
    const what = `${name || "glibc"}, seed ${seed}`;
    await held([target(folder, "placed.c"), String(seed)], /ready/, async ({ recording, said }) => {
      const blocks = [...said().matchAll(/^(\d+) (\d+) (\d+)$/gm)].map((line) =>
        line.slice(1).map(Number) as [number, number, number]
      );
      assert.ok(blocks.length > 10_000, what);
      const expected = heldBy(blocks);
      const recorded = recording.profile();
      using symbols = new Symbols(recorded);
      await symbols.resolve(recorded.callPaths);
      const ids = [0, 1, 2, 3, 4, 5].map((site) =>
        recorded.callPaths.find((path) => symbols.stack(path)[0]?.function === `site_${site}`)?.id
      );
      for (const wait of [0, 0.02]) {
        const { paths, inUse } = await recording.pages({ wait });
        ids.forEach((wanted, site) => {
          const { blocks, oldBlocks, live, alone, share } = paths.find(({ id }) => id === wanted) ?? {};
          const [n, bytes = 0, pages, part = 0] = expected.get(site) ?? [];
          assert.deepEqual([blocks, oldBlocks, live], [n, n, bytes], `site ${site}, ${what}`);
          // Of glibc's blocks it is known to 16 bytes where they begin.
          near(alone ?? 0, pages ?? 0, 0, name ? 0 : 40 * 4096, `alone, site ${site}, ${what}`);
          near(share ?? 0, part, 0, name ? 1 : 40 * 4096, `share, site ${site}, ${what}`);
        });
        near(inUse, paths.reduce((sum, { live }) => sum + live, 0), 0, name ? 0 : 20_000, `in use, ${what}`);
      }
    }, library ? { LD_PRELOAD: library } : {});
  }
});

test("accounts and pages of other allocators: empty pages, nothing that malloc_trim gives back", async () => {
  let tried = 0;
  for (const name of ["jemalloc", "mimalloc"]) {
    const library = `/usr/lib/x86_64-linux-gnu/lib${name}.so.2`;
    if (!existsSync(library)) continue;
    tried++;
    await held([target(folder, "pinned.c"), "64"], /ready/, async ({ recording, pid }) => {
      const account = now(recording);
      assert.deepEqual([account.slack, account.trimmable], [undefined, undefined], name);
      near(sumOf(account), rollup(pid), 0.02, 65536, name);
      assert.ok(account.live >= 6250 * 48 && account.live < 600_000, `${name}: ${account.live}`);
      // 394,000 blocks of 48 bytes at least were freed, and little of them can have gone back.
      assert.ok(account.allocatorFree > 394_000 * 48 * 0.8, `${name}: ${account.allocatorFree}`);
      const pages = await recording.pages({ wait: 0 });
      assert.equal(pages.interval, undefined);
      assert.equal(pages.paths.reduce((most, { blocks }) => Math.max(most, blocks), 0), 6250, name);
    }, { LD_PRELOAD: library });
  }
  if (tried === 0) console.log("skip: neither jemalloc nor mimalloc is installed");
});

/** Programs that nobody here wrote: what they do, and say when they have. */
const PROGRAMS: readonly (readonly [tool: string, ...command: string[]])[] = [
  ["python3", "python3", "-c", "x = [str(i) * 3 for i in range(300000)]; print('ready', flush=True); input()"],
  [
    "node",
    "node",
    "-e",
    "const a = []; for (let i = 0; i < 2e5; i++) a.push('x' + i); const b = Buffer.alloc(3e7, 1);" +
    "console.log('ready'); process.stdin.once('data', () => process.exit(a.length + b.length > 0 ? 0 : 1))",
  ],
  ["perl", "perl", "-e", "my @a = map { 'x' x 50 } 1 .. 200000; $| = 1; print qq(ready\\n); <STDIN>"],
  ["php", "php", "-r", '$a = []; for ($i = 0; $i < 500000; $i++) $a[] = "x$i"; echo "ready\\n"; fgets(STDIN);'],
];

test("the account of programs that nobody here wrote adds up, and little of it is not known", async () => {
  for (const [tool, ...command] of PROGRAMS) {
    const missing = without(tool);
    if (missing) {
      console.log(`skip ${tool}: ${missing}`);
      continue;
    }
    // What is found in the path may be a script that starts it.
    const program = spawnSync("sh", ["-c", `exec ${tool} -c 'import sys; print(sys.executable)' 2>&1`], {
      encoding: "utf8",
    });
    const started = tool === "python3" ? [program.stdout.trim(), ...command.slice(1)] : command;
    await held(started, /ready/, ({ recording, pid }) => {
      const account = now(recording);
      near(sumOf(account), rollup(pid), 0.02, 0, tool);
      assert.ok(account.other <= 0.02 * account.resident, `${tool}: ${JSON.stringify(account)}`);
      return Promise.resolve();
    });
  }
});

test("what each call path had at a moment, and between two", async () => {
  const out = join(folder, "phases.heaptap");
  const { recording } = await profile([target(folder, "phases.c")], { out });
  assert.ok(recording);
  const times = recording.moments();
  assert.ok(times.length >= 20 && times.length <= 128, String(times.length));
  const live = async (recorded: Profile, name: string) => {
    using symbols = new Symbols(recorded);
    await symbols.resolve(recorded.callPaths);
    return recorded.callPaths.filter((path) => symbols.stack(path)[0]?.function === name)
      .reduce((sum, { liveBytes, liveCount }) => [sum[0]! + liveBytes, sum[1]! + liveCount], [0, 0]);
  };
  // A busy machine has phases last longer: moments are found by what they have.
  const states: [seconds: number, load: number, work: number][] = [];
  for (const seconds of times.filter((_, i) => i % Math.ceil(times.length / 40) === 0)) {
    const then = recording.profile({ at: seconds });
    assert.equal(then.moment?.seconds, seconds);
    states.push([seconds, (await live(then, "load"))[0]!, (await live(then, "work"))[0]!]);
  }
  const state = (load: number, work: number) => states.find(([, l, w]) => l === load && w === work)?.[0] ?? NaN;
  const [early, both, late] = [state(20_000_000, 0), state(20_000_000, 20_000_000), state(0, 20_000_000)];
  assert.ok(early < both && both < late, JSON.stringify(states));
  const then = recording.profile({ at: both });
  assert.deepEqual([await live(then, "load"), await live(then, "work")], [[20_000_000, 20_000], [20_000_000, 40_000]]);
  const between = recording.profile({ between: [early, late] });
  assert.deepEqual([await live(between, "load"), await live(between, "work")], [[-20_000_000, -20_000], [
    20_000_000,
    40_000,
  ]]);
  assert.equal(between.totals.allocations, 40_000);
  // One that was not kept is the nearest that was.
  const near = recording.profile({ at: both + 1e-7 });
  assert.equal(near.moment?.seconds, both);
  // The command line, in the forms that people try.
  const shown = heaptap(["report", "--at", `${early * 1000}ms`, "--view", "live", out]);
  assert.match(shown.stdout, /Top call paths by live at [\d.]+ m?s\n.*\n 20\.0 MB 100\.0% 20,000 {2}load phases\.c/);
  for (const words of [["--between", `${early}s`, `${late}s`, out], [out, "--between", `${early}s..${late}s`]]) {
    const { stdout } = heaptap(["report", ...words]);
    assert.match(stdout, /by growth of what is live\n.*\n 20\.0 MB 100\.0% 40,000 {2}work phases\.c/);
    assert.match(stdout, /by how much less is live\n.*\n 20\.0 MB 100\.0% {2}20,000 {2}load phases\.c/);
  }
  const peak = heaptap(["report", "--at", "peak", out]).stdout;
  assert.match(peak, /Top call paths by live at the peak/);
  assert.ok(!/allocated bytes/.test(peak));
  const compared = heaptap(["compare", "--view", "live", `${out}@${early}s`, `${out}@${late}s`]).stdout;
  assert.match(compared, /work phases\.c/);
  const json = JSON.parse(heaptap(["report", "--format", "json", "--at", String(early), out]).stdout);
  assert.deepEqual(json.moment, { seconds: early, from_seconds: null });
  recording.mark("done");
  assert.match(heaptap(["report", "--at", "done", out]).stdout, /allocations/);
  // What cannot be had: one line each.
  const cases: [string[], RegExp][] = [
    [["--at", "9s", out], /^heaptap: Cannot show "[^"]*" as it was after 9 s: the run took \d\.\d+ s\n$/],
    [["--at", "none", out], /^heaptap: Cannot show the mark "none": there is none in [^\n]*\n$/],
    [["--between", "2s..1s", out], /It takes two times since the start, the earlier one first: 2s\.\.5s\.\n$/],
    [["--at", "0.3s", "--thread", "x", out], /^heaptap: Cannot show a moment of threads: [^\n]*\n$/],
  ];
  for (const [words, message] of cases) {
    const { status, stderr } = heaptap(["report", ...words]);
    assert.deepEqual([status, message.test(stderr)], [2, true], stderr);
  }
});

test("without the driver there are no moments and no accounts, and it is said", () => {
  const out = join(folder, "alone.heaptap");
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
  assert.equal(spawnSync(target(folder, "steps.c"), { env }).status, 0);
  const recording = Recording.open(out);
  const { memory, timeline, mappings } = recording.profile();
  assert.equal(memory, undefined);
  assert.ok(timeline.every(({ resident, mapped }) => resident === undefined && mapped === undefined));
  assert.deepEqual(mappings?.paths, []);
  assert.deepEqual(recording.moments(), []);
  assert.throws(() => recording.profile({ at: 0.1 }), /it has no moments; heaptap run keeps them/);
});

test("a script asks what its own process's memory is", () => {
  const script = join(folder, "own.ts");
  writeFileSync(
    script,
    `import { readFileSync } from "node:fs";
    import { install, memoryNow } from ${JSON.stringify(join(ROOT, "mod.ts"))};
    install();
    const kept = Array.from({ length: 100 }, () => new Uint8Array(300_000).fill(1));
    const kernel = () => Number(/^Rss:\\s+(\\d+)/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))?.[1]) * 1024;
    memoryNow(); // compiles
    const before = kernel();
    const account = memoryNow();
    console.log(JSON.stringify({ account, before, after: kernel(), kept: kept.length }));`,
  );
  const [command = "", ...args] = [process.execPath, ...SCRIPT, script];
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  const { account, before, after } = JSON.parse(stdout || `{"said": ${JSON.stringify(stderr)}}`);
  near(sumOf(account), account.resident, 0, 0, "the sum");
  // The runtime takes and gives back while it is looked at.
  const [low, high] = [Math.min(before, after), Math.max(before, after)];
  assert.ok(account.resident > 0.95 * low && account.resident < 1.05 * high, JSON.stringify([before, account, after]));
  // Bun's ArrayBuffers are its own allocator's.
  if (RUNTIME !== "Bun") assert.ok(account.live > 30_000_000 && account.live < 60_000_000, JSON.stringify(account));
  assert.ok(account.files > 10_000_000 && account.stacks > 0);
  assert.ok(!("before" in account), "it does not walk through its own heap");
});

test("whose memory it is that is not malloc's is told by the program's file, however it was called", async () => {
  const recorded = Recording.open(join(folder, "alone.heaptap")).profile();
  const { memory } = (await profile([target(folder, "phases.c")], { out: join(folder, "again.heaptap") })).recording!
    .profile();
  const account = { ...memory!.end, resident: 1e8, live: 1e6, mapped: 9e7, other: 0 };
  const cases: [executable: string, command: string[], words: RegExp][] = [
    ["/usr/bin/php8.2", ["/usr/bin/php", "app.php"], /PHP's own pools/],
    ["/usr/bin/node", ["node", "app.js"], /V8's heap/],
    ["/usr/lib/gcc/x86_64-linux-gnu/12/cc1", ["/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "-quiet"], /-fmem-report/],
    ["/opt/python3.11", ["./tool.py"], /Python's own pools/],
    ["/opt/server", ["server"], /--view mapped shows who mapped it/],
  ];
  for (const [executable, command, words] of cases) {
    const line = residentLine({
      ...recorded,
      process: { ...recorded.process, executable, command },
      memory: memoryUse([account], undefined),
    });
    assert.match(line?.words.join("\n") ?? "", words);
  }
});

test("moments survive packing and damage gives none", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  const pick = random(seed);
  const moments = Array.from({ length: 20 }, (_, i) => {
    const ids = Uint32Array.from({ length: pick(50) }, (_, k) => k * 3 + pick(3));
    const values = Float64Array.from({ length: 4 * ids.length }, () => (pick(2) ? 1 : -1) * pick(2 ** 31) * pick(1000));
    return { time: i * 1e9, current: i - 10, resident: pick(2 ** 31), allocations: i, changes: { ids, values } };
  });
  const packed = packMoments(moments);
  const plain = (all: readonly KeptMoment[]) =>
    all.map(({ changes, ...rest }) => ({
      ...rest,
      ids: [...changes.ids],
      values: [...changes.values].map((n) => n + 0),
    }));
  assert.deepEqual(plain(unpackMoments(packed)), plain(moments), `seed ${seed}`);
  for (let round = 0; round < 200; round++) {
    const damaged = packed.slice(0, round % 2 ? pick(packed.length) : packed.length);
    if (damaged.length > 0) damaged[pick(damaged.length)] = pick(256);
    assert.ok(Array.isArray(unpackMoments(damaged)), `seed ${seed}`);
  }
});

test("layers of parts of the address space: what is above hides what is below", () => {
  const part = (start: number, end: number, use: "heap" | "mapped" | "stacks") => ({ start, end, use });
  assert.deepEqual(
    overlaid([[part(10, 20, "heap")], [part(0, 30, "mapped"), part(40, 50, "mapped")], [part(25, 45, "stacks")]]),
    [
      part(0, 10, "mapped"),
      part(10, 20, "heap"),
      part(20, 30, "mapped"),
      part(30, 40, "stacks"),
      part(40, 50, "mapped"),
    ],
  );
});

test("heaptap pages: by file, number and name; what cannot be looked at gets one line", async () => {
  await held([target(folder, "pinned.c"), "64"], /ready/, ({ recording, pid }) => {
    for (const named of [recording.path, String(pid), "pinned"]) {
      const { status, stdout, stderr } = heaptap(["pages", "--wait", "0", named]);
      assert.deepEqual([status, stderr], [0, ""]);
      assert.match(stdout, /^the heap's resident pages: 2\d\.\d MB$/m);
      assert.match(stdout, /^ *\S+ MB +2\d\.\d MB +\d+ KB +6,250 +keep pinned\.c:\d+$/m);
    }
    const json = JSON.parse(heaptap(["pages", "--format", "json", String(pid)]).stdout);
    assert.equal(json.pages.pid, pid);
    assert.equal(json.pages.pinned[0].function, "keep");
    assert.match(heaptap(["report", "--view", "pinned", recording.path]).stdout, /keep pinned\.c/);
    // A report of a program that runs has the account of now.
    assert.match(heaptap(["report", recording.path]).stdout, /^ {2}resident +\S+ MB {2}now$/m);
    return Promise.resolve();
  });
  const ended = join(folder, "alone.heaptap");
  const sampled = join(folder, "sampled.heaptap");
  await profile([target(folder, "leaf.c")], { out: sampled, sample: 65536, stdio: "ignore" });
  const cases: [string[], RegExp][] = [
    [
      [ended],
      /^heaptap: Cannot look at the pages of "[^"]*": its process \(pid \d+\) has ended, and nobody looked; [^\n]*\n$/,
    ],
    [
      [sampled],
      /^heaptap: Cannot look at the pages of "[^"]*": its process \(pid \d+\) has ended, and nobody looked; [^\n]*\n$/,
    ],
    [["4194304999"], /^heaptap: Cannot look at process 4194304999: there is no such process\n$/],
    [
      ["nobody-runs-this"],
      /^heaptap: Cannot find "nobody-runs-this": it is neither a recording nor a process that runs\n$/,
    ],
    [
      [String(process.pid)],
      /^heaptap: Cannot look at process \d+: it is not recorded; start it with heaptap run[^\n]*\n$/,
    ],
    [["--wait", "100", ended], /It takes seconds, 0 to 60: 0\.5\.\n$/],
  ];
  for (const [words, message] of cases) {
    const { status, stderr } = heaptap(["pages", ...words]);
    assert.deepEqual([status, message.test(stderr)], [2, true], stderr);
  }
  for (
    const [words, message] of [
      [
        ["--view", "mapped", "--format", "pprof"],
        /^heaptap: Cannot write --view mapped as pprof: it is text or json\n$/,
      ],
      [["--view", "pinned", "--all"], /^heaptap: Cannot show --view pinned of all processes together: [^\n]*\n$/],
    ] as const
  ) {
    const { status, stderr } = heaptap(["report", ...words, "-o", join(folder, "x.out"), ended]);
    assert.deepEqual([status, message.test(stderr)], [2, true], stderr);
  }
});

test("of a run that has ended the pages are kept of the moment with most beside live blocks", () => {
  const out = join(folder, "kept.%p.heaptap");
  const command = `sleep 2 | ${target(folder, "pinned.c")} 64`;
  const { stderr } = heaptap(["run", "--no-report", "-o", out, "--only", "pinned$", "--", "sh", "-c", command]);
  const [, path = ""] = /recorded in (.*)\n/.exec(stderr) ?? [];
  const shown = heaptap(["report", "--view", "pinned", path]);
  assert.match(
    shown.stdout,
    /^the heap's resident pages after \d\.\d\d s, when most was beside live blocks: 2\d\.\d MB$/m,
  );
  assert.match(shown.stdout, /^ *2\d\.\d MB +2\d\.\d MB +\d+ KB +6,250 +keep pinned\.c:\d+$/m);
  assert.match(shown.stdout, /\(all blocks are charged\)/);
  // They go along when it is packed, and when names are written into it.
  const packed = join(folder, "kept.heaptap.gz");
  packRecording(path, packed);
  assert.equal(heaptap(["report", "--view", "pinned", packed]).stdout, shown.stdout);
  const named = join(folder, "kept.named.heaptap");
  assert.equal(heaptap(["resolve", "-o", named, path]).status, 0);
  assert.equal(heaptap(["report", "--view", "pinned", named]).stdout, shown.stdout);
  assert.equal(Recording.open(named).moments().length, Recording.open(path).moments().length);
  assert.ok(Recording.open(path).moments().length > 0);
});

test("the pages of a process that has ended are refused, and a wait that is none", async () => {
  const recording = Recording.open(join(folder, "alone.heaptap"));
  await assert.rejects(recording.pages(), RecordingError);
  await assert.rejects(recording.pages({ wait: 61 }), RangeError);
  const recorded = recording.profile();
  assert.equal(recording.withAccount(recorded), recorded);
});
