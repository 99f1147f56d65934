/** Real programs that do the same each time, sampled: each call path's estimate beside an exact recording of the same run. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { before, test } from "node:test";
import { bytesMargin, profile } from "../mod.ts";
import type { CallPath, Profile } from "../mod.ts";
import { scratch, without } from "./helpers.ts";

const folder = scratch();
const INTERVAL = 16384;
/** A path of fewer intervals may have no sample at all: that is said in the report, and no estimate. */
const ENOUGH = 10 * INTERVAL;

const lines = join(folder, "lines.txt");
const repository = join(folder, "repository");
const sql = `CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT);
  WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000)
  INSERT INTO t SELECT i, 'a name, number ' || (i * 7919 % 10007) FROM c;
  CREATE INDEX n ON t(name); SELECT substr(name, 1, 18) k, count(*) FROM t GROUP BY k ORDER BY 2 DESC LIMIT 3;`;
const json = "import json; d = [{'i': i, 'n': 'n%d' % i, 't': [i]} for i in range(20000)]; print(len(json.dumps(d)))";
const PROGRAMS: readonly (readonly [string, ...string[]])[] = [
  ["python3", "-c", json],
  ["perl", "-e", 'my %h; for (1..30000) { $h{"k$_"} = [1..3]; delete $h{"k" . ($_ - 5000)} }'],
  ["sqlite3", ":memory:", sql],
  ["sort", "-n", lines],
  ["awk", "{ n[$1 % 5000] = n[$1 % 5000] $2 } END { for (k in n) l += length(n[k]); print l }", lines],
  ["git", "-C", repository, "log", "-p"],
  ["bash", "-c", 'for i in {1..4000}; do a[$i]="v$i"; b=${a[$i]//v/w}; done; echo ${#a[@]}'],
  ["jq", "-n", '[range(20000) | {a: ., b: "s\\(.)"}] | map(.b | length) | add'],
  ["xz", "-c", "-6", lines],
  ["sed", "-n", "s/1/one/g;H;$p", lines],
  ["g++", "-x", "c++", "-fsyntax-only", join(folder, "source.cc")],
];

async function record(program: readonly string[], name: string, sample?: number): Promise<Profile | undefined> {
  const { recording, exitCode } = await profile(program, {
    out: join(folder, `${name}.heaptap`),
    stdio: "ignore",
    sample,
    env: {
      ...process.env,
      ...{ PYTHONMALLOC: "malloc", PYTHONHASHSEED: "1", PERL_HASH_SEED: "0", LC_ALL: "C", HEAPTAP_SEED: "7" },
    },
  });
  assert.equal(exitCode, 0);
  return recording?.profile();
}

/** What a path is known by in another run of the program. */
const keyOf = ({ modules }: Profile, path: CallPath) =>
  path.stack.map(({ module, address }) => `${modules[module]?.path}+${address}`).join(" ");

before(() => {
  writeFileSync(lines, Array.from({ length: 40000 }, (_, i) => `${(i * 7919) % 40009} word${i % 977}\n`).join(""));
  mkdirSync(repository);
  const git = (...args: string[]) =>
    spawnSync("git", ["-C", repository, "-c", "user.name=a", "-c", "user.email=a@b", ...args], { stdio: "ignore" });
  git("init", "-q");
  for (let i = 1; i < 5; i++) {
    writeFileSync(
      join(repository, "lines.txt"),
      Array.from({ length: 4000 }, (_, n) => `${(n * i) % 4001}\n`).join(""),
    );
    git("add", "lines.txt");
    git("commit", "-q", "-m", `number ${i}`);
  }
  writeFileSync(join(folder, "source.cc"), "#include <map>\n#include <string>\nint main() { return 0; }\n");
});

const held = { within: 0, of: 0, programs: 0 };
for (const program of PROGRAMS) {
  const [command] = program;
  test(`${command}, sampled, beside an exact recording`, { skip: without(command) }, async () => {
    const exact = await record(program, `${command}.exact`);
    const sampled = await record(program, `${command}.sampled`, INTERVAL);
    assert.ok(exact && sampled);
    assert.equal(sampled.limits.interval, INTERVAL);
    // Programs with threads or the time of day in them are not quite the same twice.
    const near = (a: number, b: number, part: number) => Math.abs(a - b) <= Math.max(part * Math.max(a, b), 2000);
    assert.ok(near(sampled.totals.allocations, exact.totals.allocations, 0.02), `${command}: allocations`);
    assert.ok(near(sampled.totals.bytes, exact.totals.bytes, 0.03), `${command}: ${sampled.totals.bytes}`);
    const estimates = new Map(sampled.callPaths.map((path) => [keyOf(sampled, path), path]));
    let [within, of] = [0, 0];
    for (const path of exact.callPaths) {
      if (path.bytes < ENOUGH) continue;
      const estimate = estimates.get(keyOf(exact, path));
      const [blocks, bytes] = [estimate?.allocations ?? 0, estimate?.bytes ?? 0];
      of++;
      within += Number(Math.abs(bytes - path.bytes) <= bytesMargin({ blocks, bytes }, INTERVAL) + 0.02 * path.bytes);
    }
    held.programs++;
    held.within += within;
    held.of += of;
    const peak = sampled.callPaths.reduce((n, path) => n + path.peakCount, 0);
    const margin = bytesMargin({ blocks: peak, bytes: sampled.totals.peakBytes }, INTERVAL);
    // Three times the margin: one figure a program, and seeds are what they are.
    assert.ok(
      Math.abs(sampled.totals.peakBytes - exact.totals.peakBytes) <= 3 * margin + 0.03 * exact.totals.peakBytes,
      `${command}: a peak of ${sampled.totals.peakBytes} ±${margin}, not ${exact.totals.peakBytes}`,
    );
  });
}

test("their call paths' estimates are within their margins", () => {
  assert.ok(held.programs === 0 || held.of > 20, `${held.of} call paths of ${held.programs} programs`);
  assert.ok(held.within >= 0.9 * held.of, `${held.within} of ${held.of} estimates are within their margins`);
});
