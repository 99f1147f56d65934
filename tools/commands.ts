/** Programs that tools run. */
import { spawnSync } from "node:child_process";
import process from "node:process";

/** Runs a program to its end and gives what it printed. Throws in one line what it said when it failed. */
export function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args[0] ?? ""}: ${error?.message ?? (stderr + stdout).trim().split("\n").at(-1)}`);
}
