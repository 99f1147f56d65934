/** Measures what a call of a benchmark allocates: every kind of benchmark comes through `measured`. */
import type { Bench } from "../judge/suite.ts";
import { measureRounds, UNCOUNTED } from "../scope/measure.ts";
import type { Calls, Measurement, Stretches } from "../scope/measure.ts";
import { isThenable } from "../scope/thenable.ts";
import { tell, tellNotes } from "./answer.ts";
import type { Setting } from "./setting.ts";

/** Rounds that are measured, and calls in one at most. */
const ROUNDS = 15;
const CALLS = 100;
/** Milliseconds that a round, and the calls before the first one, may take about. */
const ROUND_TIME = 20;
const WARM_UP_TIME = 300;
const WARM_UP_CALLS = 500;

/** Calls that are counted one by one: of each what comes after `prepare` has given the function. */
export function singleCalls(
  prepare: (stretches: Pick<Stretches, "start" | "stop">) => () => unknown,
): Calls {
  return async (calls, stretches) => {
    for (let i = 0; i < calls; i++) {
      const run = prepare(stretches);
      stretches.start();
      const result = run();
      if (isThenable(result)) await result;
      stretches.stop();
    }
  };
}

async function measure(run: Calls, { thread, modules }: Setting): Promise<Measurement> {
  const options = { process: !thread, modules: modules ? new RegExp(modules) : undefined };
  const begun = performance.now();
  for (let n = 0; n < WARM_UP_CALLS && (n === 0 || performance.now() - begun < WARM_UP_TIME); n++) {
    await run(1, UNCOUNTED);
  }
  // One as it is counted, for its time alone: to count what passes through modules takes milliseconds.
  const before = performance.now();
  await measureRounds(run, { ...options, rounds: 1, calls: 1 });
  const calls = Math.max(1, Math.min(CALLS, Math.floor(ROUND_TIME / (performance.now() - before))));
  return await measureRounds(run, { ...options, rounds: ROUNDS, calls });
}

const NOTHING = { least: 0, median: 0 };

/** Measures a benchmark and tells what was found, an error of its own too. */
export async function measured(setting: Setting, name: string, file: string, run: Calls): Promise<void> {
  let bench: Bench;
  try {
    const { allocations, bytes, exact } = await measure(run, setting);
    bench = { name, file, allocations, bytes, exact };
  } catch (cause) {
    const error = String((cause as Error)?.message ?? cause).split("\n")[0];
    bench = { name, file, allocations: NOTHING, bytes: NOTHING, exact: false, error };
  }
  tell({ kind: "bench", bench });
  tellNotes();
}
