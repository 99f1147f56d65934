/** `heaptap compare`: two runs. */
import process from "node:process";
import { compared } from "./judged.ts";
import type { CompareOptions } from "./judged.ts";
import { checkPlan } from "./plan.ts";
import { IN_WORKFLOW, pronounce } from "./pronounce.ts";
import { OVER_BUDGET } from "./say.ts";
import { checkTerminal, outputTarget, put } from "./terminal.ts";

/** Compares two runs and reports as the options say. */
export async function compareRuns(
  older: string,
  newer: string,
  options: CompareOptions & { junit?: string | undefined; output: string },
): Promise<void> {
  checkPlan({ ...options, compare: older }, [options.output]);
  const to = outputTarget(options.output);
  checkTerminal(to, options.format, "-o");
  const { report, judgement } = await compared(older, newer, options, to, IN_WORKFLOW);
  put(report, options.output, 1);
  if (!pronounce(judgement, options.junit)) process.exitCode = OVER_BUDGET;
}
