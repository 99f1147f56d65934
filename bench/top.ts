/**
 * The benchmark of `heaptap top`: what a view of 200 columns takes of a processor, and how long it takes from the command to the first row, with
 * names in the cache, beside a command that does next to nothing. Prints the table of docs/PERFORMANCE.md. `--rounds N` (5), `--seconds N` (20).
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { conditions } from "./options.ts";
import { libraryPath, processorTime } from "./support.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "20" } },
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);
const HERE = import.meta.dirname ?? "";
const CLI = [process.execPath, ..."Deno" in globalThis ? ["run", "-A"] : [], join(HERE, "../cli.ts")];
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));

const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

function target(name: string): string {
  const out = join(work, name);
  const built = spawnSync("cc", ["-O2", "-g", "-fno-builtin", "-o", out, join(HERE, "targets", `${name}.c`)]);
  if (built.status !== 0) throw new Error(String(built.stderr));
  return out;
}

/** The view of a process in a terminal of util-linux's script. */
function view(pid: number | undefined): ChildProcess {
  const command = `stty cols 200 rows 50; exec ${CLI.join(" ")} top ${pid}`;
  return spawn("script", ["-qfec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
}

async function leave(viewed: ChildProcess): Promise<void> {
  const left = new Promise((done) => viewed.once("exit", done));
  viewed.stdin?.end("q");
  await left;
}

/** Milliseconds from the command to the first row. */
async function firstRow(pid: number | undefined): Promise<number> {
  const begun = performance.now();
  const viewed = view(pid);
  let said = "";
  await new Promise<void>((done) =>
    viewed.stdout?.on("data", (bytes) => {
      said += bytes;
      if (/CALL PATH[^]*(descend|main|busy_paths\+0x)/.test(said)) done();
    })
  );
  const took = performance.now() - begun;
  await leave(viewed);
  return took;
}

async function costs(paths: number): Promise<string> {
  const child = spawn(target("busy_paths"), [String(paths), "600"], {
    env: { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(work, "%p.heaptap") },
  });
  try {
    await wait(3);
    await firstRow(child.pid);
    const [first, start]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      first.push(await firstRow(child.pid));
      const begun = performance.now();
      spawnSync(CLI[0] ?? "", [...CLI.slice(1), "lib"]);
      start.push(performance.now() - begun);
    }
    const viewed = view(child.pid);
    viewed.stdout?.resume();
    // Engines compile what is done often after some ten times.
    await wait(15);
    const own = Number(readFileSync(`/proc/${viewed.pid}/task/${viewed.pid}/children`, "latin1"));
    const before = processorTime(own);
    await wait(SECONDS);
    const share = (processorTime(own) - before) / SECONDS;
    await leave(viewed);
    return `| ${(2 * paths + 1).toLocaleString("en-US")} | ${(100 * share).toFixed(1)} % | ${
      median(first).toFixed(0)
    } | ${median(start).toFixed(0)} |`;
  } finally {
    child.kill("SIGKILL");
  }
}

try {
  console.log(`${conditions(ROUNDS)}\n`);
  console.log("| call paths | of a processor | first row, ms | heaptap lib, ms |\n| ---: | ---: | ---: | ---: |");
  for (const paths of [500, 10_000, 70_000]) console.log(await costs(paths));
} finally {
  rmSync(work, { recursive: true, force: true });
}
