/** Operations as labels of call paths: nested, at random, over awaits, in reports and in pprof. */
import assert from "node:assert/strict";
import { AsyncResource } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { callSites, exportProfile, install, jsonReport, mark, notes, profileNow, Session } from "../../mod.ts";
import { readMemory } from "../../src/file/reader.ts";
import { attach } from "../../src/scope/install.ts";
import { compileBlocks, openCopy } from "../blocks.ts";
import { random, RUNTIME, scratch } from "../helpers.ts";

install();
const folder = scratch();
const { blocks } = openCopy(compileBlocks(folder), "operated.so");
const modules = /\/operated\.so$/;
const session = new Session();

/** Allocations and bytes of the library, by operation; "" for none. */
async function byOperation(
  since: ReturnType<typeof mark>,
): Promise<Record<string, [allocations: number, bytes: number]>> {
  const found: Record<string, [number, number]> = {};
  for (const { operation = "", allocations, bytes } of await callSites({ since, modules, limit: 0 })) {
    const known = found[operation] ?? [0, 0];
    if (allocations > 0) found[operation] = [known[0] + allocations, known[1] + bytes];
  }
  return found;
}

test("operations nest, and each has its own call paths", async () => {
  const since = mark();
  const [a, b] = [session.operation("a"), session.operation("b")];
  assert.equal(
    a.run(() => {
      blocks.keep(3, 100);
      b.run(() => blocks.keep(5, 10));
      blocks.keep(1, 7);
      return "result";
    }),
    "result",
  );
  assert.throws(() => b.run(() => (blocks.keep(1, 1), assert.fail("thrown"))), /thrown/);
  blocks.keep(2, 1);
  assert.deepEqual(await byOperation(since), { a: [4, 307], b: [6, 51], "": [2, 2] });
  const sites = await b.callSites({ since, modules });
  assert.deepEqual(sites.map((site) => [site.function, site.operation]).filter(([name]) => name !== "keep"), []);
  assert.equal(sites.reduce((n, site) => n + site.liveBytes, 0), 51);
  const report = await a.backtraceReport({ since, modules });
  assert.equal(report.rows.reduce((n, row) => n + row.bytes, 0), 307);
  // Frames are as without operations: no frame stands for one.
  assert.ok(report.rows.every((row) => row.backtrace.every((frame) => !frame.module.startsWith("operation"))));
  blocks.release();
});

test("operations at random equal a naive model's", async () => {
  const seed = Date.now() % 100_000;
  const pick = random(seed);
  const since = mark();
  const model: Record<string, [number, number]> = {};
  const names = ["r0", "r1", "r2", "r3"];
  const add = (name: string, n: number, bytes: number) => {
    const known = model[name] ?? [0, 0];
    model[name] = [known[0] + n, known[1] + bytes];
  };
  // The same stacks again and again below other operations, some deeper than others.
  const deeper = (depth: number, name: string): void => depth > 0 ? deeper(depth - 1, name) : act(name);
  const act = (name: string): void => {
    const [n, m] = [1 + pick(4), 1 + pick(60)];
    switch (pick(5)) {
      case 0:
        blocks.pairs(n, m);
        return add(name, n, n * m);
      case 1:
        blocks.blocks(n, m);
        return add(name, n, n * m);
      case 2:
        blocks.zeroed(n, m);
        return add(name, n, n * m);
      case 3:
        // Other threads are in no operation.
        blocks.threaded(2, n, m);
        return add("", 2 * n, 2 * n * m);
      default: {
        const other = names[pick(names.length)] as string;
        session.operation(other).run(() => {
          for (let i = pick(3); i > 0; i--) deeper(pick(4), other);
        });
        blocks.pairs(1, m);
        return add(name, 1, m);
      }
    }
  };
  for (let step = 0; step < 3000; step++) deeper(pick(5), "");
  assert.deepEqual(await byOperation(since), model, `seed ${seed}`);
});

test("two at once are told apart over awaits", { skip: RUNTIME === "Bun" && "Bun does not tell" }, async () => {
  const since = mark();
  const work = async (n: number) => {
    blocks.keep(n, 100);
    await null;
    blocks.keep(n, 100);
    await new Promise((done) => setTimeout(done, 2 + n));
    blocks.keep(n, 100);
    await Promise.all([1, 2].map(async () => {
      await null;
      blocks.keep(n, 100);
    }));
    return n;
  };
  const runs = [1, 2, 3].map((n) => session.operation(`request ${n}`).run(() => work(n)));
  assert.deepEqual(await Promise.all(runs), [1, 2, 3]);
  blocks.keep(1, 1);
  assert.deepEqual(await byOperation(since), {
    "request 1": [5, 500],
    "request 2": [10, 1000],
    "request 3": [15, 1500],
    "": [1, 1],
  });
  blocks.release();
});

test(
  "what runs inside another's scope leaves the operation",
  { skip: RUNTIME === "Bun" && "Bun does not tell" },
  async () => {
    const since = mark();
    const resource = new AsyncResource("pool");
    await session.operation("outer").run(async () => {
      blocks.keep(1, 10);
      resource.runInAsyncScope(() => blocks.keep(1, 100));
      blocks.keep(1, 10);
      await null;
      resource.runInAsyncScope(() => blocks.keep(1, 100));
      blocks.keep(1, 10);
    });
    // What is run inside may count for the outer one or for none; the outer one goes on.
    const by = await byOperation(since);
    const [outer, none] = [by.outer?.[1] ?? 0, by[""]?.[1] ?? 0];
    assert.ok(outer === 30 || outer === 230, String(outer));
    assert.equal(outer + none, 230);
    blocks.release();
  },
);

test("a switch of operations makes no paths of what is over", async () => {
  const nodes = () => readMemory(attach().memory, []).header.number(0, "nodes_used");
  const deep = (depth: number, run: () => void): void => depth > 0 ? deep(depth - 1, run) : run();
  const names = Array.from({ length: 30 }, (_, i) => session.operation(`switched ${i}`));
  const round = () => {
    for (const [i, operation] of names.entries()) operation.run(() => deep(i * 3, () => blocks.pairs(1, 1)));
  };
  for (let i = 0; i < 20; i++) round();
  const before = nodes();
  for (let i = 0; i < 200; i++) names[(i * 7) % 30]?.run(() => deep(i % 90, () => blocks.pairs(1, 1)));
  // Each of 200 has at most 90 frames of its own and some of the runtime's, and others' are no part of it.
  assert.ok(nodes() - before < 200 * 200, String(nodes() - before));
  const { callPaths } = (await profileNow({ modules, operation: "switched 3" })).profile;
  assert.ok(callPaths.length > 0);
});

test("what is not known of operations is said", { skip: RUNTIME !== "Bun" && "this runtime tells" }, () => {
  session.operation("said").run(() => {});
  assert.ok(notes().some((note) => /^Operations are known until their first await/.test(note)));
});

test("pprof has them as labels, JSON as a key", async () => {
  session.operation("labelled").run(() => blocks.keep(4, 250));
  const { profile, symbols } = await profileNow({ modules, operation: "labelled" });
  assert.deepEqual(profile.callPaths.map(({ liveBytes, operation }) => [liveBytes, operation]), [[1000, "labelled"]]);
  assert.equal(jsonReport(profile, symbols, 0).allocations[0]?.operation, "labelled");
  const file = join(folder, "labels.pb.gz");
  writeFileSync(file, exportProfile(profile, symbols, "pprof"));
  const tags = spawnSync("go", ["tool", "pprof", "-tags", file], { encoding: "utf8" });
  if (!tags.error) assert.match(tags.stdout, /operation: Total .*\n.* labelled\n/);
  // A name of any length and signs.
  const long = "\u00e9".repeat(190);
  session.operation(long).run(() => blocks.keep(1, 1));
  assert.equal(
    (await callSites({ modules, limit: 0 })).filter(({ operation }) => operation === "\u00e9".repeat(100)).length,
    1,
  );
  blocks.release();
});
