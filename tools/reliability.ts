/**
 * Runs the programs that break profilers under heaptap, heaptrack and Valgrind's DHAT, and prints the table of
 * docs/RELIABILITY.md: whether each behaved as by itself, and how many allocations were seen. reliability.ts [SOURCE...]: of
 * all, or of those sources alone.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { count, libraryPath, Recording } from "../mod.ts";
import { bump, FAMILIES } from "../tests/families.ts";
import type { Case } from "../tests/families.ts";
import { target } from "../tests/helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "heaptap-reliability-"));

interface Outcome {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: readonly string[], env: Readonly<Record<string, string>>): Outcome {
  const [program = "", ...args] = command;
  const result = spawnSync(program, args, {
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
    killSignal: "SIGKILL",
    cwd: folder,
  });
  const late = (result.error as { code?: string } | undefined)?.code === "ETIMEDOUT";
  return {
    status: late ? "hangs" : result.signal ?? result.status ?? "",
    stdout: result.stdout,
    stderr: result.stderr,
  };
}

/** A program, how it is started, and how it behaves by itself. */
interface Subject {
  readonly one: Case;
  readonly program: string;
  readonly args: readonly string[];
  readonly preload: readonly string[];
  readonly plain: Outcome;
}

/** How a program behaved beside how it behaves by itself; nothing when alike. */
function difference(plain: Outcome, with_: Outcome, prints: boolean): string[] {
  const said: string[] = [];
  if (with_.status === "hangs") said.push("**hangs**");
  else if (with_.status !== plain.status) said.push(`**status ${with_.status}, not ${plain.status}**`);
  if (!prints && with_.stdout !== plain.stdout && with_.status === plain.status) said.push("**other output**");
  return said;
}

function heaptap({ one, program, args, preload, plain }: Subject): string {
  const out = mkdtempSync(join(folder, "heaptap-"));
  const LD_PRELOAD = [libraryPath(), ...preload].join(":");
  const got = run([program, ...args], { ...one.env, LD_PRELOAD, HEAPTAP_OUT: join(out, "a.heaptap") });
  const all = readdirSync(out).map((name) => Recording.open(join(out, name)).profile());
  const seen = all.reduce((n, { totals }) => n + totals.allocations, 0);
  const unseen = ["untracked", "abandoned", "unknownFrees", "lostChildren"] as const;
  const told = unseen.map((name) => [name, all.reduce((n, { totals }) => n + totals[name], 0)] as const)
    .filter(([, n]) => n > 0).map(([name, n]) => `${count(n)} ${name.replace(/[A-Z]/, (c) => ` ${c.toLowerCase()}`)}`);
  const processes = all.length === 1 ? "" : ` in ${all.length} recordings`;
  return [...difference(plain, got, one.prints === true), `${count(seen)}${processes}`, ...told].join("; ");
}

function heaptrack({ one, program, args, preload, plain }: Subject): string {
  const out = mkdtempSync(join(folder, "heaptrack-"));
  const env = { ...one.env, ...preload.length > 0 && { LD_PRELOAD: preload.join(":") } };
  const got = run(["heaptrack", "-o", join(out, "a"), program, ...args], env);
  const own = {
    ...got,
    stdout: got.stdout.replace(/^(heaptrack |starting application|Heaptrack finished|heaptrack stats|\t|$).*\n?/gm, ""),
  };
  const seen = readdirSync(out).reduce((n, name) => {
    const print = run(["heaptrack_print", "-f", join(out, name), "-p", "0", "-a", "0", "-T", "0", "-l", "0"], {});
    return n + Number(/calls to allocation functions: (\d+)/.exec(print.stdout)?.[1] ?? 0);
  }, 0);
  const same = own.stdout.includes(plain.stdout.trim()) ? { ...own, stdout: plain.stdout } : own;
  return [...difference(plain, same, one.prints === true), seen === 0 ? "**nothing**" : count(seen)].join("; ");
}

function dhat({ one, program, args, preload, plain }: Subject): string {
  const log = join(folder, "dhat.log");
  const env = { ...one.env, LC_ALL: "C.UTF-8", ...preload.length > 0 && { LD_PRELOAD: preload.join(":") } };
  const valgrind = ["valgrind", "--tool=dhat", "--trace-children=no", `--dhat-out-file=${join(folder, "dhat.json")}`];
  const got = run([...valgrind, `--log-file=${log}`, program, ...args], env);
  const text = run(["cat", log], {}).stdout;
  const seen = [...text.matchAll(/Total:\s+[\d,]+ bytes in ([\d,]+) blocks/g)]
    .reduce((n, [, blocks = ""]) => n + Number(blocks.replaceAll(",", "")), 0);
  return [...difference(plain, got, one.prints === true), seen === 0 ? "**nothing**" : count(seen)].join("; ");
}

console.log("| family | program | heaptap | heaptrack | DHAT |\n| --- | --- | --- | --- | --- |");
for (const { number, title, cases } of FAMILIES) {
  const wanted = process.argv.slice(2);
  for (const one of cases.filter(({ source }) => wanted.length === 0 || wanted.includes(source))) {
    const inside = mkdtempSync(join(folder, "target-"));
    const program = target(inside, one.source, ...one.flags ?? []);
    const args = one.args?.(folder) ?? [];
    const preload = one.bump ? [bump(folder)] : [];
    const plain = run([program, ...args], { ...one.env, ...preload.length > 0 && { LD_PRELOAD: preload.join(":") } });
    const cells = [heaptap, heaptrack, dhat].map((tool) => tool({ one, program, args, preload, plain }));
    console.log(`| ${number} ${title} | ${one.name} (\`${one.source}\`) | ${cells.join(" | ")} |`);
  }
}
rmSync(folder, { recursive: true, force: true });
