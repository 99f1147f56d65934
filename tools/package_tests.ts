/**
 * Native packages that nobody here wrote, on Deno, Bun and Node: what heaptap counts of one call stands beside a second way to know it (what was
 * asked for, the resident set), and what it cannot count is said. A package that cannot be had is skipped by its name. Ends with `N passed, N failed`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const ROOT = join(import.meta.dirname ?? "", "../");
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);
const folder = mkdtempSync(join(tmpdir(), "heaptap-packages-"));

/** What was counted of a call, and what was not. */
interface Said {
  readonly bytes: number;
  readonly peakBytes: number;
  /** By how much the resident set rose meanwhile. */
  readonly resident: number;
  readonly notes: string;
}

interface Package {
  readonly name: string;
  /** Makes `run`. */
  readonly script: string;
  /** What is wrong; "" for nothing. */
  wrong(said: Said): string;
}

const within = (n: number, wanted: number, part: number) => Math.abs(n - wanted) <= part * wanted;
const INPUT = 8_000_000;

const PACKAGES: readonly Package[] = [
  {
    name: "@node-rs/argon2",
    script:
      'const { hashSync } = await import("@node-rs/argon2"); const run = () => hashSync("x", { memoryCost: 262144, timeCost: 1 });',
    wrong: ({ bytes, resident, notes }) =>
      !within(resident, 2 ** 28, 0.03)
        ? `${resident} bytes more were resident, not 256 MiB`
        : !within(bytes, 2 ** 28, 0.03) &&
            !/argon2.* has mimalloc linked in, and what that hands out is not seen/.test(notes)
        ? `${bytes} bytes were counted of 256 MiB, and nothing was said`
        : "",
  },
  {
    name: "snappy",
    script: 'const { compressSync } = await import("snappy"); const run = () => compressSync(data);',
    // What snappy's format asks for: 32 + n + n / 6.
    wrong: ({ bytes }) => within(bytes, 32 + INPUT + INPUT / 6, 0.01) ? "" : `${bytes} bytes`,
  },
  {
    name: "lz4-napi",
    script: 'const { compressSync } = await import("lz4-napi"); const run = () => compressSync(data);',
    // lz4's own bound is n + n / 255 + 16; lz4_flex takes n * 1.1 + 20.
    wrong: ({ bytes }) => within(bytes, 1.1 * INPUT + 20, 0.01) ? "" : `${bytes} bytes`,
  },
  {
    name: "@duckdb/node-api",
    script: `const { DuckDBInstance } = await import("@duckdb/node-api");
const connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
const run = () => connection.run("create table t as select i, i * 2 as j from range(2000000) t(i)");`,
    // jemalloc of its own: what was in use at most is what became resident.
    wrong: ({ peakBytes, resident }) =>
      within(peakBytes, resident, 0.15) && peakBytes > 2 * 8 * 2_000_000
        ? ""
        : `${peakBytes} bytes at the peak, ${resident} resident`,
  },
];

const RUNTIMES: readonly (readonly string[])[] = [
  [bin("deno"), "run", "-A"],
  [bin("bun")],
  [bin("node"), "--experimental-ffi", "--disable-warning=ExperimentalWarning"],
];

let [passed, failed, skipped] = [0, 0, 0];
writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
for (const { name, script, wrong } of PACKAGES) {
  const got = spawnSync("npm", ["install", "--no-audit", "--no-fund", name], { cwd: folder, encoding: "utf8" });
  if (got.status !== 0) {
    skipped++;
    console.log(`skip ${name}: it cannot be had`);
    continue;
  }
  writeFileSync(
    join(folder, "script.mjs"),
    `import { install, notes, Session } from ${JSON.stringify(join(ROOT, "mod.ts"))};
install();
const data = Buffer.alloc(${INPUT});
for (let i = 0; i < data.length; i++) data[i] = (i * 7919) >> 3;
${script}
const span = new Session().operation("call").measureProcess({ runtime: true });
const result = await run();
const { bytes, peakBytes, runtime } = span.end();
console.log(JSON.stringify({ bytes, peakBytes, resident: runtime.peakRss - runtime.before.rss, notes: notes().join(), result: typeof result }));
`,
  );
  for (const [program = "", ...args] of RUNTIMES) {
    const { status, stdout, stderr } = spawnSync(program, [...args, "script.mjs"], { cwd: folder, encoding: "utf8" });
    const problem = status === 0 ? wrong(JSON.parse(stdout)) : stderr;
    if (problem) failed++;
    else passed++;
    console.log(`${problem ? "FAIL" : "ok  "} ${name} on ${program.split("/").at(-1)}${problem && `: ${problem}`}`);
  }
}
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
