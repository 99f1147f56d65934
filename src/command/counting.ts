/** `heaptap test` and `heaptap bench`, as the command line runs them. */
import process from "node:process";
import { targetOf } from "../native/terminals.ts";
import { budgetsOf } from "./plan.ts";
import { IN_WORKFLOW, pronounce } from "./pronounce.ts";
import { OVER_BUDGET, say, tell, USAGE } from "./say.ts";
import { benchSuite, testSuite } from "./suite.ts";
import type { CountingOptions, TestOptions } from "./suite.ts";
import { checkReportPath, put } from "./terminal.ts";

/** Where the report goes: to stderr where there is no file. */
interface ToFile {
  reportFile?: string | undefined;
}

/** Runs tests and tells what each allocated. */
export async function runTests(
  command: readonly string[],
  options: TestOptions & ToFile & { save?: string | undefined },
): Promise<void> {
  for (const path of [options.reportFile, options.save, options.junit]) if (path !== undefined) checkReportPath(path);
  const to = options.reportFile === undefined ? targetOf(2) : {};
  const result = await testSuite(command, options, to, IN_WORKFLOW);
  process.exitCode = result.exitCode;
  for (const note of result.notes) say(note);
  if (result.problem) {
    say(`nothing was counted: ${result.problem}`);
    if (result.exitCode === 0 && (budgetsOf(options).length > 0 || options.compare !== undefined)) {
      say("so there is nothing to judge or to compare");
      process.exitCode = USAGE;
    }
    return;
  }
  put(result.report, options.reportFile ?? "-", 2);
  if (options.save !== undefined) put(result.saved, options.save, 1);
  if (options.format === "markdown" && result.judgement.text) tell("\n");
  if (!pronounce(result.judgement, options.junit) && result.exitCode === 0) process.exitCode = OVER_BUDGET;
}

/** Runs benchmarks and tells what a call of each allocates. */
export async function runBenches(
  command: readonly string[],
  options: CountingOptions & ToFile & { times: boolean },
): Promise<void> {
  if (options.reportFile !== undefined) checkReportPath(options.reportFile);
  const to = options.reportFile === undefined ? targetOf(2) : {};
  const result = await benchSuite(command, options, to);
  process.exitCode = result.exitCode;
  for (const note of result.notes) say(note);
  if (result.problem) {
    say(`nothing was counted: ${result.problem}`);
    process.exitCode ||= USAGE;
  } else if (result.report) put(result.report, options.reportFile ?? "-", 2);
}
