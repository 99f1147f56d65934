/** What was judged, put wherever it is wanted. */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { targetOf } from "../native/terminals.ts";
import type { Judgement } from "./judged.ts";
import { budgetsOf } from "./plan.ts";
import type { BudgetOptions, ReportOptions } from "./plan.ts";
import { say, tell } from "./say.ts";
import { put } from "./terminal.ts";

/** Whether a workflow reads what a step prints. The program's own output is on stdout. */
export const IN_WORKFLOW: boolean = Boolean(process.env.GITHUB_ACTIONS);

/** Puts what was judged wherever it is wanted; whether all budgets were kept. */
export function pronounce(judgement: Judgement, junit: string | undefined): boolean {
  if (junit !== undefined && judgement.junit !== undefined) put(judgement.junit, junit, 1);
  tell(judgement.text);
  const summary = process.env.GITHUB_STEP_SUMMARY;
  if (summary && judgement.markdown) {
    try {
      appendFileSync(summary, `${judgement.markdown}\n`);
    } catch (error) {
      say(`Cannot write the step's summary "${summary}": ${(error as Error).message}`);
    }
  }
  return judgement.kept;
}

/** Compares and judges a recording as the options say, where they do; whether all budgets were kept. */
export async function isWithin(path: string, options: BudgetOptions & ReportOptions): Promise<boolean> {
  if (budgetsOf(options).length === 0 && options.compare === undefined) return true;
  const { judged } = await import("./judged.ts");
  return pronounce(await judged(path, options, targetOf(2), IN_WORKFLOW), options.junit);
}
