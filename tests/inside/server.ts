/** What a server says of its own memory: pages, who may read them, what grew. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  growth,
  heapHandler,
  install,
  mark,
  nodeListener,
  openMetrics,
  profileNow,
  Session,
  watch,
} from "../../mod.ts";
import type { GrowthReport, HeapHandler } from "../../mod.ts";
import { compileBlocks, openCopy } from "../blocks.ts";
import { scratch } from "../helpers.ts";

install();
const folder = scratch();
const { blocks } = openCopy(compileBlocks(folder), "served.so");
const library = /\/served\.so$/;

async function get(handler: HeapHandler, path: string, init: RequestInit = {}, from?: unknown) {
  const response = await handler(new Request(`http://localhost:8000${path}`, init), from);
  return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() };
}

test("every page of a server's memory, and what is none", async () => {
  const session = new Session();
  session.operation('a "b"\n\\c').measureThread().end();
  const heap = heapHandler({ path: "/debug/heap", session });
  blocks.keep(40, 1000);
  for (
    const [path, type, pattern] of [
      ["/debug/heap", "text/html", /^<!doctype html>/i],
      ["/debug/heap/", "text/html", /^<!doctype html>/i],
      ["/debug/heap/report.txt?filter=^keep$", "text/plain", /\n +40\.0 KB +0 B +40 +1\.00 KB +40\.0 KB {2}keep {2}/],
      ["/debug/heap/report.txt?module=served&limit=1&mode=none", "text/plain", /served\.so\+0x/],
      ["/debug/heap/mark/one", "text/plain", /^marked one/],
      ["/debug/heap/since/one?module=served", "text/plain", /in use {2}call path\n/],
      ["/debug/heap/threads", "text/plain", /^\| Thread /],
      ["/debug/heap/counters", "application/json", /"allocations":\d/],
      ["/debug/heap/growth", "text/plain", /^grew in each of 1 interval, \d+ ms in all\n/],
      [
        "/debug/heap/metrics",
        "application/openmetrics-text",
        /\nheaptap_operation_spans_total\{operation="a \\"b\\"\\n\\\\c"\} 1\n/,
      ],
    ] as const
  ) {
    const answer = await get(heap, path);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    assert.ok(answer.type.startsWith(type), `${path}: ${answer.type}`);
    assert.match(answer.text, pattern, path);
  }
  assert.equal((await get(heap, "/debug/heap/mark/two", { method: "POST" })).status, 200);
  for (
    const [path, status, pattern] of [
      [
        "/debug/heap/nowhere",
        404,
        /^There is no page "nowhere"; there are\n {2}\(this path\) +the HTML report.*\n {2}report\.txt /,
      ],
      ["/debug/heaps", 404, /^There is nothing at \/debug\/heaps: all lies below \/debug\/heap\/\n$/],
      ["/debug/heap/report.txt?limit=-1", 400, /^Cannot use limit=-1: it takes a whole number, 0 for all\n$/],
      ["/debug/heap/report.txt?filter=(", 400, /^Cannot use filter=\(: Invalid regular expression/],
      ["/debug/heap/report.txt?limt=2", 400, /^Cannot use limt=: a page takes limit, sort-by, /],
      ["/debug/heap/mark/%ff", 400, /^Cannot read "%ff": its % signs make no text\n$/],
      ["/debug/heap/report.txt?sort-by=what", 400, /^Cannot sort by "what": it takes size, /],
      ["/debug/heap/report.txt?mode=long", 400, /^Cannot use mode "long": it takes none, short, full\n$/],
      ["/debug/heap/since/three", 404, /^There is no mark "three"; there are one, two\. mark\/three makes it\n$/],
      ["/debug/heap/mark/a%20b", 400, /^Cannot name a mark "a b"/],
      ["/debug/heap/mark/%1b%5b31m", 400, /^Cannot name a mark "/],
    ] as const
  ) {
    const answer = await get(heap, path);
    assert.equal(answer.status, status, path);
    assert.match(answer.text, pattern);
    assert.ok(!answer.text.includes("\u001b"), path);
  }
  assert.equal((await get(heap, "/debug/heap/", { method: "DELETE" })).status, 405);
  blocks.release();
});

test("who may read it", async () => {
  const open = heapHandler();
  const away = { remoteAddr: { hostname: "192.0.2.7" } };
  const bun = (address: string) => ({ requestIP: () => ({ address }) });
  for (
    const from of [undefined, { remoteAddr: { hostname: "127.0.0.1" } }, bun("::ffff:127.0.0.1"), {
      remoteAddress: "::1",
    }]
  ) {
    assert.equal((await get(open, "/counters", {}, from)).status, 200);
  }
  for (const from of [away, bun("192.0.2.7"), { remoteAddress: "192.0.2.7" }]) {
    assert.equal((await get(open, "/counters", {}, from)).status, 403);
  }
  // A page elsewhere may give this machine a name of its own, or send requests from a browser here.
  assert.equal((await open(new Request("http://evil.example/counters"))).status, 403);
  assert.equal((await get(open, "/mark/x", { headers: { origin: "http://evil.example" } })).status, 403);
  assert.equal((await get(open, "/counters", { headers: { "x-forwarded-for": "192.0.2.7" } })).status, 403);
  assert.throws(() => heapHandler({ path: "/a b" }), /^TypeError: Cannot answer below "\/a b"/);
  const guarded = heapHandler({ anywhere: true, token: "secret" });
  assert.equal((await get(guarded, "/counters", {}, away)).status, 401);
  assert.equal((await get(guarded, "/counters?token=secre", {}, away)).status, 401);
  assert.equal((await get(guarded, "/counters?token=secret", {}, away)).status, 200);
  assert.equal((await get(guarded, "/counters", { headers: { authorization: "Bearer secret" } }, away)).status, 200);
  assert.throws(() => heapHandler({ token: "" }), /^TypeError: Cannot take an empty token/);
  assert.throws(() => heapHandler({ tokn: "x" } as object), /^TypeError: Cannot use the option "tokn" of heapHandler/);
});

test("marks do not pile up", async () => {
  const heap = heapHandler();
  for (let i = 0; i < 25; i++) await get(heap, `/mark/m${i}`);
  const { text } = await get(heap, "/since/m0");
  assert.match(text, /there are m5, m6, .*, m24\./);
});

test("pprof reads the profiles of a server, behind Node's http too", async () => {
  blocks.keep(30, 2000);
  const server = createServer(nodeListener(heapHandler()));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const [name, pattern] of [["heap", /60\.?0*(kB|KB)|58\.59kB/], ["allocs", /58\.59kB|60/]] as const) {
      const response = await fetch(`${base}/pprof/${name}?filter=^keep$`);
      const body = new Uint8Array(await response.arrayBuffer());
      assert.ok(gunzipSync(body).length > 0);
      const file = join(folder, `${name}.pb.gz`);
      writeFileSync(file, body);
      const top = spawnSync("go", ["tool", "pprof", "-top", file], { encoding: "utf8" });
      if (top.error) continue; // no Go here
      assert.equal(top.status, 0, top.stderr);
      assert.match(top.stdout, pattern);
      assert.match(top.stdout, / keep$/m);
    }
  } finally {
    server.close();
    blocks.release();
  }
  // A handler that throws is answered, and the server goes on.
  const throwing = createServer(nodeListener(() => Promise.reject(new Error("its own"))));
  await new Promise<void>((listening) => throwing.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${(throwing.address() as AddressInfo).port}/`;
  for (let i = 0; i < 2; i++) {
    const response = await fetch(url);
    assert.deepEqual([response.status, await response.text()], [500, "Internal Server Error\n"]);
  }
  throwing.close();
});

test("what grows in each interval is told apart from what does not", async () => {
  const grower = new Session().operation("grower");
  grower.run(() => blocks.keep(5, 100));
  const marks = [mark()];
  for (let round = 0; round < 3; round++) {
    grower.run(() => blocks.keep(10, 1000)); // grows each time
    if (round === 1) blocks.zeroed(10, 1000); // leaves nothing
    marks.push(mark());
  }
  grower.run(() => blocks.keep(1, 7));
  blocks.keep(9, 9); // in no operation, and once
  const { rows, matching } = await growth(marks.toReversed(), { modules: library });
  assert.equal(matching, 1);
  assert.deepEqual(rows.map(({ bytes, liveBytes }) => [bytes, liveBytes]), [
    [30_007, [500, 10_500, 20_500, 30_500, 30_507]],
  ]);
  assert.equal(rows[0]?.backtrace[0]?.function, "keep");
  assert.ok((rows[0]?.bytesPerSecond ?? 0) > 0);
  assert.match(
    String(await growth(marks, { modules: library })),
    /\n 30\.0 KB .* 500 B 10\.5 KB 20\.5 KB 30\.5 KB 30\.5 KB\n {4}keep \(blocks\.c:\d+\).* {2}in grower\n/,
  );
  // Nothing came after this one.
  assert.deepEqual((await growth([...marks, mark()], { modules: library })).rows, []);
  assert.deepEqual((await growth(marks, { modules: library, minBytes: 30_008 })).rows, []);
  await assert.rejects(growth([]), /^TypeError: Cannot tell what grew without marks/);
  blocks.release();
});

test("a watch tells what grew in as many intervals as it was asked for", async () => {
  const report = await new Promise<GrowthReport>((told, fail) => {
    const grow = setInterval(() => blocks.keep(5, 1000), 10);
    const end = setTimeout(() => fail(new Error("nothing grew")), 20_000);
    const watching = watch({
      every: 50,
      intervals: 2,
      minBytes: 1,
      modules: library,
      onGrowth: (report) => {
        clearInterval(grow);
        clearTimeout(end);
        watching.stop();
        told(report);
      },
    });
  });
  assert.equal(report.rows[0]?.backtrace[0]?.function, "keep");
  assert.equal(report.rows[0]?.liveBytes.length, 3);
  assert.throws(() => watch({ every: 0, onGrowth: () => {} }), /^RangeError: Cannot watch with every 0/);
  blocks.release();
});

test("metrics end as the format wants, and the own profile goes into every exporter", async () => {
  const lines = openMetrics().split("\n");
  assert.equal(lines.at(-2), "# EOF");
  for (const line of lines.slice(0, -2)) assert.match(line, /^(# (TYPE|UNIT|HELP) heaptap_\w+ .+|heaptap_\w+ \d+)$/);
  blocks.keep(3, 50);
  const { profile, symbols } = await profileNow({ modules: library, sortBy: "live" });
  assert.deepEqual(
    profile.callPaths.filter((path) => path.liveBytes > 0).map((path) => [path.liveBytes, path.liveCount]),
    [[150, 3]],
  );
  assert.ok(symbols.stack(profile.callPaths[0]!).some((frame) => frame.function === "keep"));
  blocks.release();
});
