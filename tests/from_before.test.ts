/** Blocks from before a recording began: what they hold of the resident set, and of the heap's pages. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { attach, libraryPath, Recording, Symbols } from "../mod.ts";
import { eventually } from "./attached.ts";
import { isGlibc } from "../src/memory/layout.ts";
import { near, now, rollup, sumOf } from "./accounts.ts";
import { heaptap, scratch, target } from "./helpers.ts";

const folder = scratch();
const program = target(folder, "earlier.c", "-O1", "-pthread");
const seed = Number(process.env.HEAPTAP_SEED ?? Date.now() % 100_000);
/** What the C library itself has: a thread's own lists, files' buffers, what it knows of a library that was opened. */
const OTHERS = 8192;

/** A process of the target's that says something, and goes on when it is asked to. */
class Earlier implements AsyncDisposable {
  readonly pid: number;
  readonly #child;
  #said = "";
  #heard = () => {};

  private constructor(args: readonly string[], env: Record<string, string>) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout.on("data", (bytes) => {
      this.#said += String(bytes);
      this.#heard();
    });
    this.#child.once("exit", () => this.#heard());
  }

  static async start(args: readonly (string | number)[], env: Record<string, string> = {}): Promise<Earlier> {
    const of = new Earlier(args.map(String), env);
    await of.#hear();
    return of;
  }

  async #hear(): Promise<void> {
    while (!this.#said.endsWith("\n")) {
      assert.equal(this.#child.exitCode, null, "it has ended");
      await new Promise<void>((done) => this.#heard = done);
    }
  }

  /** The numbers that it said last. */
  get numbers(): number[] {
    return (this.#said.trimEnd().split("\n").at(-1) ?? "").split(" ").slice(1).map(Number);
  }

  /** Lets it go on until it says the next. */
  async next(): Promise<number[]> {
    this.#said = "";
    this.#child.stdin.write("\n");
    await this.#hear();
    return this.numbers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.kill("SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
  }
}

/** Bytes per page of which a page's rounding may differ: where glibc's blocks begin is known to 16 bytes. */
const PART = 0.002;

async function follow(of: Earlier, recording: Recording, pid: number, threads: number, what: string): Promise<void> {
  const others = OTHERS * (threads + 2);
  const [own = 0] = of.numbers;
  const first = now(recording);
  near(first.before ?? NaN, own, 0, others, `${what}: at first`);
  assert.ok((first.before ?? 0) >= own, `${what}: ${first.before} of ${own}`);
  near(sumOf(first), first.resident, 0, 0, `${what}: the sum`);
  near(first.resident, rollup(pid), 0.005, 262_144, `${what}: the kernel's`);
  assert.ok(first.allocatorFree > own / 2, `${what}: two of three blocks are free`);

  await of.next();
  const fresh = now(recording);
  near(fresh.live, 5_000_000, 0.001, others, `${what}: since`);
  near(fresh.before ?? NaN, own, PART, others, `${what}: before, beside others`);

  const [left = 0] = await of.next();
  const freed = now(recording);
  near(freed.before ?? NaN, left, PART, others, `${what}: of which some were freed`);
  near(freed.live, 5_000_000, 0.001, others, `${what}: the others stay`);
  const pages = await recording.pages({ wait: 0 });
  const { inUse = NaN, share = NaN } = pages.before ?? {};
  near(inUse, left, PART, others, `${what}: on the heap's pages`);
  assert.equal(pages.inUse + inUse + pages.beside + pages.empty, pages.resident);
  const shares = pages.paths.reduce((sum, path) => sum + path.share, share);
  near(shares, pages.beside, 0.02, 200_000, `${what}: shares add up`);
  const profile = recording.profile();
  using symbols = new Symbols(profile);
  await symbols.resolve(profile.callPaths);
  const path = profile.callPaths.find((path) => symbols.stack(path)[0]?.function === "fresh");
  const pinned = pages.paths.find(({ id }) => id === path?.id);
  assert.equal(pinned?.blocks, 5000, what);

  const [before = 0, after = 0] = await of.next();
  // What threads keep for themselves is free and not given back.
  near(freed.trimmable ?? NaN, before - after, 0.05, 300_000, `${what}: malloc_trim`);
  near(pages.trimmable ?? NaN, freed.trimmable ?? NaN, 0.001, 65536, `${what}: of the pages`);
}

test("attached: what blocks from before take, what is free beside them, and what malloc_trim gives back", async () => {
  for (const threads of [0, 3, 7]) {
    await using of = await Earlier.start([seed + threads, threads]);
    await using attachment = await attach(of.pid, { out: join(folder, "attached.heaptap"), buckets: 4096 });
    await follow(of, attachment.recording, of.pid, threads, `seed ${seed}, ${threads} threads`);
  }
});

test("a fork's child: its parent's blocks are from before", async () => {
  const env = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(folder, "forked.%p.heaptap"), HEAPTAP_BUCKETS: "4096" };
  await using of = await Earlier.start([seed, 2, "fork"], env);
  // It begins at the child's first allocation, which is when it waits to go on.
  let child: Recording | undefined;
  const isThere = () => {
    try {
      const names = readdirSync(folder).filter((name) => name.startsWith("forked."));
      const recordings = names.map((name) => Recording.open(join(folder, name)));
      child = recordings.find((recording) => recording.profile().process.forked);
    } catch {
      // it begins just now
    }
    return child !== undefined;
  };
  assert.ok(await eventually(isThere));
  assert.ok(child);
  const { pid } = child.profile().process;
  await follow(of, child, pid, 2, `seed ${seed}`);
});

test("a program that is busy in all threads: each look comes through its heaps", async () => {
  await using of = await Earlier.start([seed, 4, "busy"]);
  await using attachment = await attach(of.pid, { out: join(folder, "busy.heaptap"), buckets: 4096 });
  for (let look = 0; look < 6; look++) {
    const [earlier = 0] = await of.next();
    const { before, live, slack } = now(attachment.recording);
    const [later = 0] = await of.next();
    assert.ok(before !== undefined, `seed ${seed}, look ${look}: not known`);
    // Blocks of 300,000 bytes and more come and go, a good hundred of them.
    const right = (earlier + later) / 2;
    near(before + live + (slack ?? 0), right, 0.25, Math.abs(earlier - later), `seed ${seed}, look ${look}`);
  }
});

test("with samples alone it is known too, less what is live by estimate", async () => {
  await using of = await Earlier.start([7, 2]);
  await using attachment = await attach(of.pid, { out: join(folder, "sampled.heaptap"), buckets: 4096, sample: 4096 });
  const [own = 0] = of.numbers;
  const first = now(attachment.recording);
  near(first.before ?? NaN, own, 0, 4 * OTHERS, "at first");
  assert.ok(first.allocatorFree > own / 2 && first.trimmable !== undefined && first.slack === undefined);
  await of.next();
  const fresh = now(attachment.recording);
  near(sumOf(fresh), fresh.resident, 0, 0, "the sum");
  near(fresh.live + (fresh.before ?? NaN), own + 5000 * 1008, PART, 4 * OTHERS, "what is in use");
  near(fresh.live, 5_000_000, 0.2, 0, "by estimate");
});

test("what the kernel parts is one: a block from before is found, and one from afterwards is not taken for it", async () => {
  await using of = await Earlier.start([6, 2, "parted"]);
  await using attachment = await attach(of.pid, { out: join(folder, "parted.heaptap"), buckets: 4096 });
  const [own = 0] = of.numbers;
  near(now(attachment.recording).before ?? NaN, own, 0, 4 * OTHERS, "at first");
  await of.next();
  const account = now(attachment.recording);
  near(account.live, 25_000_000, 0.001, OTHERS, "since");
  near(account.before ?? NaN, own, PART, 4 * OTHERS, "beside others");
  near((await attachment.recording.pages({ wait: 0 })).before?.inUse ?? NaN, account.before ?? NaN, 0, 0, "pages");
});

test("a C library whose file was replaced is that still", () => {
  const paths = [
    "/usr/lib/libc.so.6",
    "/lib/libc-2.31.so",
    "/lib/libc.so.6 (deleted)",
    "/lib/libcap.so.2",
    "/x/libc.so.6.bak",
  ];
  assert.deepEqual(paths.map(isGlibc), [true, true, true, false, false]);
});

test("where the break is blocked nothing is known, rather than a part of it", async () => {
  await using of = await Earlier.start([5, 1, "blocked"]);
  await using attachment = await attach(of.pid, { out: join(folder, "blocked.heaptap"), buckets: 4096 });
  const account = now(attachment.recording);
  assert.deepEqual([account.before, account.trimmable], [undefined, undefined]);
  near(sumOf(account), account.resident, 0, 0, "the sum");
});

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
for (
  const [name, tells] of [["libjemalloc.so.2", true], ["libtcmalloc_minimal.so.4", true], [
    "libmimalloc.so.2.0",
    false,
  ]] as const
) {
  const library = join(LIBRARIES, name);
  test(
    `another allocator's heap tells nothing, and that is said; ${
      tells ? "it says" : "nor does it say"
    } what was in use: ${name}`,
    {
      skip: !existsSync(library) && name,
    },
    async () => {
      await using of = await Earlier.start([1, 1], { LD_PRELOAD: library });
      const [own = 0] = of.numbers;
      const out = join(folder, `${name}.heaptap`);
      await using attachment = await attach(of.pid, { out, buckets: 4096 });
      const { process: { attached } } = attachment.recording.profile();
      // Its classes are wider than a header is.
      if (tells) near(attached?.inUse ?? NaN, own, 0.05, 300_000, "in use");
      else assert.equal(attached?.inUse, undefined);
      await of.next();
      const account = now(attachment.recording);
      assert.deepEqual([account.before, account.trimmable], [undefined, undefined]);
      near(sumOf(account), account.resident, 0, 0, "the sum");
      await assert.rejects(
        attachment.recording.pages(),
        /what is in blocks from before it was attached to is not known: .* does not tell/,
      );
      await attachment.detach();
      const report = heaptap(["report", out]).stdout.replace(/\s+/g, " ");
      const said = / in use, as (\S+) has it/.exec(report)?.[1];
      assert.equal(said, tells ? name : undefined, report);
      assert.doesNotMatch(report, /is not malloc's/);
      const json = JSON.parse(heaptap(["report", "--format", "json", out]).stdout) as {
        process: { in_use_before: unknown };
      };
      assert.equal(json.process.in_use_before, attached?.inUse ?? null);
    },
  );
}

test("the report of what was attached to says what was in blocks from before, and what was free", async () => {
  await using of = await Earlier.start([3, 2]);
  const out = join(folder, "said.heaptap");
  const { status, stderr } = heaptap(["attach", "--for", "400ms", "--buckets", "4096", "-o", out, String(of.pid)]);
  assert.equal(status, 0, stderr);
  const said = stderr.replace(/\s+/g, " ");
  const [own = 0] = of.numbers;
  const then = / MB was resident then, ([\d.]+) MB of it in such blocks, and ([\d.]+) MB free in the allocator/.exec(
    said,
  );
  near(Number(then?.[1]) * 1e6, own, 0.01, 50_000, said);
  assert.match(said, / [\d.]+ MB in blocks from before, [\d.]+ MB free in glibc's heaps/);
  assert.match(said, / nothing was allocated through malloc since heaptap was attached /);
  const page = join(folder, "said.html");
  assert.equal(heaptap(["attach", "--for", "200ms", "--report-file", page, "-o", out, String(of.pid)]).status, 0);
  assert.match(readFileSync(page, "utf8"), /^<!DOCTYPE html>/);
  const pages = heaptap(["pages", "--limit", "1", out]);
  assert.match(pages.stdout, /in blocks from before the recording: whose they are is not known/, pages.stderr);
  const json = JSON.parse(heaptap(["report", "--format", "json", out]).stdout) as {
    memory: { end: { before: number } };
  };
  near(json.memory.end.before, own, 0, 4 * OTHERS, "JSON");
  assert.equal(spawnSync("kill", ["-0", String(of.pid)]).status, 0);
});
