/**
 * The benchmark of looking on: what a look at a large heap takes, what moments and accounts take of a processor, what programs pay that map
 * memory themselves, and whose level goes up and down. Prints tables of docs/PERFORMANCE.md. `--rounds N` (5), `--seconds N` (20).
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { attach, Recording } from "../mod.ts";
import { readSnapshot } from "../src/file/reader.ts";
import { conditions } from "./options.ts";
import { libraryPath, processorTime } from "./support.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "20" } },
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);
const HERE = import.meta.dirname ?? "";
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));

function target(name: string): string {
  const out = join(work, name);
  const built = spawnSync("cc", ["-O2", "-g", "-fno-builtin", "-o", out, join(HERE, "targets", `${name}.c`)]);
  if (built.status !== 0) throw new Error(String(built.stderr));
  return out;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

const preloaded = { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(work, "%p.heaptap") };

/** Milliseconds of looks at a heap of 1 GiB that was recorded from the start, or attached to when all of its blocks were there. */
async function looks(every: number, isAttached: boolean): Promise<string> {
  const child = spawn(target("heap"), [String(every)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...isAttached ? {} : preloaded },
  });
  await new Promise<void>((done) => child.stdout.once("data", () => done()));
  const out = join(work, `${child.pid}.heaptap`);
  if (isAttached) await attach(child.pid ?? 0, { out });
  const recording = Recording.open(out);
  const profile = recording.profile();
  const accounts: number[] = [];
  const pages: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let begun = performance.now();
    recording.withAccount(profile);
    accounts.push(performance.now() - begun);
    begun = performance.now();
    await recording.pages({ wait: 0 });
    pages.push(performance.now() - begun);
  }
  child.kill("SIGKILL");
  await new Promise((done) => child.once("exit", done));
  const blocks = isAttached
    ? `from before, ${every === 1 ? "all" : "few"}`
    : profile.totals.liveCount.toLocaleString("en-US");
  return `| ${blocks} | ${median(accounts).toFixed(0)} | ${median(pages).toFixed(0)} |`;
}

/** What the driver takes of a processor after the first seconds, in percent, and what it kept. */
async function share(paths: number): Promise<string> {
  const out = join(work, "paths.heaptap");
  const [program = "", ...before] = [process.execPath, ..."Deno" in globalThis ? ["run", "-A"] : []];
  const run = [...before, join(HERE, "../cli.ts"), "run", "--no-report", "-o", out, "--"];
  const child = spawn(program, [...run, target("busy_paths"), String(paths), String(SECONDS)], { stdio: "ignore" });
  const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));
  await wait(SECONDS / 2);
  const half = processorTime(child.pid ?? 0);
  await wait(SECONDS / 2 - 1);
  const part = 100 * (processorTime(child.pid ?? 0) - half) / (SECONDS / 2 - 1);
  await new Promise((done) => child.once("exit", done));
  const recording = Recording.open(out);
  const { callPaths, memory } = recording.profile();
  const behind = (statSync(out).size - describedSize(out)) / 1e6;
  return `| ${callPaths.length.toLocaleString("en-US")} | ${part.toFixed(1)} % | ${recording.moments().length} | ${
    memory?.accounts.length ?? 0
  } | ${behind.toFixed(1)} MB |`;
}

/** Bytes that a recording's header describes. */
function describedSize(path: string): number {
  return readSnapshot(path, []).header.number(0, "file_size");
}

function pairs(beside: number): string {
  const program = target("mapping");
  const run = (env: Record<string, string>) =>
    spawnSync(program, [String(beside)], { encoding: "utf8", env: { ...process.env, ...env } }).stdout.split(" ").map(
      Number,
    );
  const plain: number[][] = [];
  const hooked: number[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    plain.push(run({}));
    hooked.push(run(preloaded));
  }
  const of = (all: number[][], i: number) => median(all.map((figures) => figures[i] ?? NaN)).toFixed(0);
  return `| ${beside.toLocaleString("en-US")} | ${of(plain, 0)} | ${of(hooked, 0)} | ${of(plain, 1)} | ${
    of(hooked, 1)
  } |`;
}

try {
  console.log(`${conditions(ROUNDS)}\n`);
  console.log("| live blocks in 1 GiB | account, ms | pages, ms |\n| ---: | ---: | ---: |");
  for (const isAttached of [false, true]) {
    for (const every of [1, 64]) console.log(await looks(every, isAttached));
  }
  console.log(
    "\n| call paths | of a processor | moments | accounts | behind the recording |\n| ---: | ---: | ---: | ---: | ---: |",
  );
  for (const paths of [1000, 70000]) console.log(await share(paths));
  console.log(
    "\n| mappings beside | mmap and munmap, ns | with heaptap | up and down, ns | with heaptap |\n| ---: | ---: | ---: | ---: | ---: |",
  );
  for (const beside of [0, 1000, 20000]) console.log(pairs(beside));
} finally {
  rmSync(work, { recursive: true, force: true });
}
