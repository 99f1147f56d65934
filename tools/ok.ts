/** Everything that must hold before a commit, one step after the other. Ends with `N passed, N failed`. */
import { spawn } from "node:child_process";
import { Buffer } from "node:buffer";
import process from "node:process";
import { join } from "node:path";
import { C_PARTS } from "./c_parts.ts";

const ROOT = join(import.meta.dirname ?? "", "../");
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);

/** Without our own tools: npm puts a Node of ours before the machine's, which tests take for a program that nobody here wrote. */
const PATH = (process.env.PATH ?? "").split(":").filter((folder) => folder !== join(ROOT, "node_modules/.bin")).join(
  ":",
);

/** How many tests a step's output says passed and failed; undefined for a step that is one check. */
type Count = (output: string) => [passed: number, failed: number] | undefined;

const number = (text: string | undefined) => Number(text ?? 0);
const denoCount: Count = (output) => {
  const said = /(\d+) passed (?:\([^)]*\) )?\| (\d+) failed/.exec(output);
  return said ? [number(said[1]), number(said[2])] : undefined;
};
const bunCount: Count = (output) => {
  const [pass, fail] = [/^\s*(\d+) pass$/m.exec(output), /^\s*(\d+) fail$/m.exec(output)];
  return pass && fail ? [number(pass[1]), number(fail[1])] : undefined;
};
const nodeCount: Count = (output) => {
  const [pass, fail] = [/^\W*pass (\d+)$/m.exec(output), /^\W*fail (\d+)$/m.exec(output)];
  return pass && fail ? [number(pass[1]), number(fail[1])] : undefined;
};
const ownCount: Count = (output) => {
  const said = /^(\d+) passed, (\d+) failed/m.exec(output);
  return said ? [number(said[1]), number(said[2])] : undefined;
};

type Step = readonly [name: string, command: readonly string[], count?: Count];

const STEPS: readonly Step[] = [
  ["format", [bin("deno"), "fmt", "--check", "--quiet"]],
  ["lint", [bin("deno"), "lint", "--quiet"]],
  ["types (deno check)", [
    bin("deno"),
    "check",
    "--quiet",
    "mod.ts",
    "cli.ts",
    "src",
    "tests",
    "tools",
    "bench",
    "docs/examples",
  ]],
  ["types (tsc)", [bin("tsc"), "--project", "tsconfig.json"]],
  ["types of the page (tsc)", [bin("tsc"), "--project", "src/export/page/tsconfig.json"]],
  ["every export is documented", [bin("deno"), "doc", "--lint", "mod.ts"]],
  ["layout", [bin("deno"), "run", "-A", "tools/layout.ts", "--check"]],
  ["structure", [bin("deno"), "run", "-A", "tools/structure.ts"]],
  ["twenty seconds of churn", [bin("deno"), "run", "-A", "tools/churn.ts", "20"], ownCount],
  ["hostile recordings", [bin("deno"), "run", "-A", "tools/fuzz.ts", "3000"], ownCount],
];

/** Two at a time, the longest first: each takes one core, and counts no time. */
const TWO_AT_A_TIME: readonly Step[] = [
  ["instructions of the hot path", [bin("deno"), "run", "-A", "bench/instructions.ts", "--check"], ownCount],
  ["everything that can fail does", [bin("deno"), "run", "-A", "tools/faults.ts"], ownCount],
  ...C_PARTS.map((part): Step => [`C tests: ${part}`, [bin("deno"), "run", "-A", "tools/test_c.ts", part], ownCount]),
];

/** Tests of the C library and of pages, no part of which is the runtime's: on Bun alone, which is done first; `test:deno` has all. */
const ONCE = [
  "answers",
  "ci",
  "forks",
  "html",
  "interpreters",
  "js_names",
  "outputs",
  "release",
  "sampling_programs",
  "stacks",
  "tools",
  "wrappers",
].map((name) => `tests/${name}.test.ts`);

/** Beside one another: most of their time they wait for programs. */
const RUNTIMES: readonly Step[] = [
  ["tests on Deno", [bin("deno"), "test", "-A", "--no-check", `--ignore=${ONCE}`, "tests"], denoCount],
  ["tests on Bun", [bin("bun"), "test", "--timeout", "120000", "tests"], bunCount],
  // What runs inside of it; programs that are run are the same for all.
  ["scripts on Node", [
    bin("node"),
    "--test",
    "--experimental-ffi",
    ...["scope", "scope_process"].map((name) => `tests/${name}.test.ts`),
  ], nodeCount],
];

let passed = 0;
let failed = 0;
/** Runs a command; its exit status, and all that it said. */
function run([program = "", ...args]: readonly string[]): Promise<{ status: number | null; output: string }> {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", PATH },
  });
  const said: Uint8Array[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Uint8Array) => said.push(piece));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => done({ status, output: Buffer.concat(said).toString() }));
  });
}

async function check([name, command, count]: Step): Promise<void> {
  const begun = performance.now();
  const { status, output } = await run(command);
  const [good, bad] = count?.(output) ?? (status === 0 ? [1, 0] : [0, 1]);
  passed += good;
  // A runner that fails without a failed test has failed all the same.
  failed += status === 0 ? bad : Math.max(1, bad);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${good} passed, ${bad} failed, ${seconds} s)`);
  // What went well would hide what did not.
  if (status !== 0) {
    console.log(output.split("\n").filter((line) => !/^ok |\.\.\. ok|^\(pass\)/.test(line)).join("\n"));
  }
}

/** Takes steps from a list that others take from too. */
async function work(left: Step[]): Promise<void> {
  for (let step = left.shift(); step; step = left.shift()) await check(step);
}

for (const step of STEPS) await check(step);
const left = [...TWO_AT_A_TIME];
await Promise.all([work(left), work(left)]);
await Promise.all(RUNTIMES.map(check));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
