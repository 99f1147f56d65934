/** `heaptap report`: what a recording says. */
import process from "node:process";
import { Recording } from "../profile/recording.ts";
import { othersText } from "./others.ts";
import { checkPlan } from "./plan.ts";
import type { BudgetOptions, ReportOptions } from "./plan.ts";
import { processesReport } from "./processes.ts";
import { isWithin } from "./pronounce.ts";
import { render } from "./render.ts";
import { OVER_BUDGET, say } from "./say.ts";
import { checkTerminal, outputTarget, put } from "./terminal.ts";

/** Reports a recording; the newest in this folder where none is named. */
export async function report(
  named: string | undefined,
  options: ReportOptions & BudgetOptions & { output: string; processes?: boolean | undefined },
): Promise<void> {
  const path = named ?? Recording.newest(".").path;
  if (named === undefined) say(`the newest recording here is ${path}`);
  checkPlan(options, [options.output]);
  const to = outputTarget(options.output);
  checkTerminal(to, options.format, "-o");
  const opened = Recording.open(path);
  if (options.processes) {
    put(processesReport(opened, options.format, to), options.output, 1);
    return;
  }
  const { recording, words, recordings } = options.all || options.process !== undefined
    ? { recording: opened, words: "", recordings: 1 }
    : opened.chosen(options.since);
  const beside = [words, ...othersText(recordings - 1)].filter(Boolean).join("; ");
  if (beside) say(beside);
  put(await render(recording, options, to), options.output, 1);
  if (!await isWithin(recording.path, options)) process.exitCode = OVER_BUDGET;
}
