/** Everything that must hold before a commit, one step after the other. Ends with `N passed, N failed`. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { join } from "node:path";

const ROOT = join(import.meta.dirname ?? "", "../");
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);

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
const ownCount: Count = (output) => {
  const said = /^(\d+) passed, (\d+) failed/m.exec(output);
  return said ? [number(said[1]), number(said[2])] : undefined;
};

const STEPS: readonly [name: string, command: string[], count?: Count][] = [
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
  ["C tests", [bin("deno"), "run", "-A", "tools/test_c.ts"], ownCount],
  ["everything that can fail does", [bin("deno"), "run", "-A", "tools/faults.ts"], ownCount],
  ["two minutes of churn", [bin("deno"), "run", "-A", "tools/churn.ts", "120"], ownCount],
  ["hostile recordings", [bin("deno"), "run", "-A", "tools/fuzz.ts", "3000"], ownCount],
  ["tests on Deno", [bin("deno"), "test", "-A", "--no-check", "tests"], denoCount],
  ["tests on Bun", [bin("bun"), "test", "--timeout", "120000", "tests"], bunCount],
];

let passed = 0;
let failed = 0;
for (const [name, command, count] of STEPS) {
  const begun = performance.now();
  const [program = "", ...args] = command;
  const result = spawnSync(program, args, {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, NO_COLOR: "1" },
  });
  const output = `${result.stdout}${result.stderr}`;
  const [good, bad] = count?.(output) ?? (result.status === 0 ? [1, 0] : [0, 1]);
  passed += good;
  // A runner that fails without a failed test has failed all the same.
  failed += result.status === 0 ? bad : Math.max(1, bad);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${result.status === 0 ? "ok  " : "FAIL"} ${name} (${good} passed, ${bad} failed, ${seconds} s)`);
  // What went well would hide what did not.
  if (result.status !== 0) {
    console.log(output.split("\n").filter((line) => !/^ok |\.\.\. ok|^\(pass\)/.test(line)).join("\n"));
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
