/**
 * A long run: threads come and go, libraries are loaded and unloaded (tests/targets/churn.c), while the recording is
 * looked at a thousand times from outside. Memory, recording and cost of an allocation must stay flat, counters must never
 * fall, and what is live must be what the program can have live. churn.ts [SECONDS], an hour when left out.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { libraryPath, Recording } from "../mod.ts";
import { plugin, target } from "../tests/helpers.ts";

const seconds = Number(process.argv[2] ?? 3600);
const LOOKS = 1000;
const work = mkdtempSync(join(tmpdir(), "heaptap-churn-"));
const program = target(work, "churn.c", "-ldl");
const plugins = [plugin(work, "first_plugin", 1000), plugin(work, "second_plugin", 2000)];
const out = join(work, "a.heaptap");
const breaches: string[] = [];
const check = (holds: boolean, what: string) => {
  if (!holds && breaches.length < 20) breaches.push(what);
};

interface Look {
  readonly second: number;
  readonly allocations: number;
  readonly frees: number;
  readonly liveBytes: number;
  readonly residentBytes: number;
  readonly diskBytes: number;
  readonly callPaths: number;
}

const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
const child = spawn(program, [String(seconds), ...plugins], { env, stdio: ["ignore", "pipe", "inherit"] });
const costs: number[] = [];
createInterface(child.stdout).on("line", (line) => costs.push(Number(line.split(" ")[1])));
const ended = new Promise<number | null>((done) => child.on("exit", (code) => done(code)));
const begun = performance.now();
const looks: Look[] = [];
let over = false;
ended.then(() => over = true);
while (!over && looks.length < LOOKS) {
  const due = seconds * 1000 * (looks.length + 1) / (LOOKS + 1);
  await Promise.race([ended, new Promise((wake) => setTimeout(wake, Math.max(0, due - (performance.now() - begun))))]);
  if (over) break;
  const { totals, callPaths } = Recording.open(out).profile();
  const last = looks.at(-1);
  const look = {
    second: Math.round((performance.now() - begun) / 1000),
    allocations: totals.allocations,
    frees: totals.frees,
    liveBytes: totals.liveBytes,
    residentBytes: Number(readFileSync(`/proc/${child.pid}/statm`, "utf8").split(" ")[1]) * 4096,
    diskBytes: statSync(out).blocks * 512,
    callPaths: callPaths.length,
  };
  looks.push(look);
  const at = `at ${look.second} s`;
  check(look.allocations >= (last?.allocations ?? 0) && look.frees >= (last?.frees ?? 0), `${at}: a counter fell`);
  // 4,096 places of up to 2,000 bytes, what threads hold, the C library's; other threads go on while we read.
  check(look.liveBytes > -1e6 && look.liveBytes < 4096 * 2000 + 4e6, `${at}: ${look.liveBytes} bytes live`);
  check(totals.lostFrees === 0 && totals.abandoned === 0, `${at}: ${totals.lostFrees} lost frees`);
  const sum = callPaths.reduce((n, path) => n + path.allocations, 0);
  check(Math.abs(sum - look.allocations) < 1e5, `${at}: call paths have ${sum} allocations of ${look.allocations}`);
}
const status = await ended;
check(status === 0, `the program ended with ${status}`);
const { totals, callPaths } = Recording.open(out).profile();
const sum = (of: (path: typeof callPaths[number]) => number) => callPaths.reduce((n, path) => n + of(path), 0);
check(
  sum((p) => p.allocations) === totals.allocations,
  "at the end call paths have other allocations than the threads",
);
check(sum((p) => p.liveBytes) === totals.liveBytes, "at the end call paths have other bytes live than the threads");
const median = (numbers: number[]) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
const parts = (of: (look: Look) => number) => {
  const fifth = Math.floor(looks.length / 5);
  return [median(looks.slice(fifth, 2 * fifth).map(of)), median(looks.slice(-fifth).map(of))] as const;
};
for (
  const [name, [early, late], room] of [
    ["resident bytes", parts((look) => look.residentBytes), 4e6],
    ["bytes of the recording on disk", parts((look) => look.diskBytes), 1e6],
    ["call paths", parts((look) => look.callPaths), 200],
  ] as const
) {
  console.log(`${name}: ${early.toLocaleString("en-US")} early, ${late.toLocaleString("en-US")} late`);
  check(late <= early * 1.05 + room, `${name} grew from ${early} to ${late}`);
}
const fifth = Math.max(1, Math.floor(costs.length / 5));
const [early, late] = [median(costs.slice(fifth, 2 * fifth)), median(costs.slice(-fifth))];
console.log(`processor time a call: ${early} ns early, ${late} ns late`);
// The machine may be busier late than early.
check(late < early * 2, `a call's cost grew from ${early} to ${late} ns`);
console.log(`${looks.length} looks, ${totals.allocations.toLocaleString("en-US")} allocations in ${seconds} s`);
rmSync(work, { recursive: true, force: true });
for (const breach of breaches) console.log(breach);
console.log(breaches.length === 0 ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exitCode = breaches.length === 0 ? 0 : 1;
