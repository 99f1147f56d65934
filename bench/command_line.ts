/**
 * How soon the command line is there: `--version`, a report, and what `run` takes more than the program itself, on Deno, on Bun, as a program of
 * one file and beside what each runtime takes to do nothing, in interleaved rounds. Prints a table of docs/PERFORMANCE.md. `--rounds N` (7).
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { conditions, started } from "./options.ts";
import { median, OUT, row, work } from "./ways.ts";

const { rounds } = started();
const ROOT = join(import.meta.dirname ?? "", "../");
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);
const one = join(work, "heaptap");
const empty = join(work, "empty.js");
writeFileSync(empty, "");
const compiled = spawnSync(bin("deno"), ["run", "-A", join(ROOT, "tools/compile.ts"), one], { encoding: "utf8" });
if (compiled.status !== 0) console.error(compiled.stderr);

const cli = join(ROOT, "cli.ts");
const deno = [bin("deno"), "run", "-A"];
const bun = [bin("bun")];
const WAYS: Readonly<Record<string, readonly string[]>> = {
  Deno: [...deno, cli],
  Bun: [...bun, cli],
  ...compiled.status === 0 ? { "one file": [one] } : {},
};
const run = ["run", "-o", OUT, "--", "true"];
const commands: Readonly<Record<string, readonly string[]>> = {
  true: ["true"],
  "Deno nothing": [...deno, empty],
  "Bun nothing": [...bun, empty],
  ...Object.fromEntries(
    Object.entries(WAYS).flatMap(([name, way]) => [
      [`${name} --version`, [...way, "--version"]],
      [`${name} run`, [...way, ...run]],
      [`${name} report`, [...way, "report", OUT]],
    ]),
  ),
};

const took = new Map(Object.keys(commands).map((name) => [name, [] as number[]]));
// The first round is not counted: files come into memory, names are looked up.
for (let round = 0; round <= rounds; round++) {
  for (const [name, [program = "", ...args]] of Object.entries(commands)) {
    const begun = performance.now();
    const { status, stderr } = spawnSync(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    if (round > 0) took.get(name)?.push(performance.now() - begun);
  }
}
const of = (name: string) => took.get(name) ?? [];
const cell = (times: readonly number[]) =>
  times.length === 0 ? "" : `${median(times).toFixed(0)} (${Math.min(...times).toFixed(0)})`;

console.log(`${conditions(rounds)} Milliseconds, in brackets the least.\n`);
row("", "nothing", "`--version`", "`run -- true` adds", "`report`");
row("---", "---:", "---:", "---:", "---:");
const program = median(of("true"));
for (const name of Object.keys(WAYS)) {
  const adds = of(`${name} run`).map((ms) => ms - program);
  row(name, cell(of(`${name} nothing`)), cell(of(`${name} --version`)), cell(adds), cell(of(`${name} report`)));
}
