/** What a benchmark is started with, and the line that heads its tables. */
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";

/** What the command line says: `--rounds N` (7), `--only TEXT`, and the flags that this benchmark has besides. */
export function started(...flags: readonly string[]): { rounds: number; only: string; has: (flag: string) => boolean } {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "7" },
      only: { type: "string", default: "" },
      ...Object.fromEntries(flags.map((flag) => [flag, { type: "boolean" } as const])),
    },
  });
  const given: Record<string, unknown> = values;
  return { rounds: Number(values.rounds), only: String(values.only), has: (flag) => given[flag] === true };
}

/** The machine, and how often each way was run. */
export function conditions(rounds: number): string {
  return `${
    cpus()[0]?.model.trim()
  }, ${cpus().length} cores, Linux ${release()}, ${rounds} interleaved rounds, medians.`;
}
