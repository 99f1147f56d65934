/** `heaptap run`: a program, recorded, and what it allocated. */
import process from "node:process";
import { targetOf } from "../native/terminals.ts";
import { OutputError } from "../file/output_error.ts";
import { checkVariables } from "../native/variables.ts";
import { count, plural } from "../profile/format.ts";
import type { Recording } from "../profile/recording.ts";
import { whyNoRecording } from "../run/no_recording.ts";
import { notInherited } from "../run/inherited.ts";
import { profile } from "../run/profile.ts";
import type { ProfileOptions, ProfileResult } from "../run/profile.ts";
import { othersText } from "./others.ts";
import { budgetsOf, checkPlan, checkRecording } from "./plan.ts";
import type { BudgetOptions, NameOptions, ReportOptions } from "./plan.ts";
import { isWithin } from "./pronounce.ts";
import { OVER_BUDGET, say, USAGE } from "./say.ts";
import { checkStderr, put } from "./terminal.ts";
import type { TopOptions } from "./top.ts";
import { onUnrecorded } from "./unrecorded.ts";
import { REFRESH } from "./values.ts";

/** What is reported of what was recorded. */
export interface ReportedOptions extends ReportOptions, BudgetOptions {
  report: boolean;
  reportFile?: string | undefined;
  save?: string | undefined;
}

/** The options of `run`. */
export interface RunOptions
  extends ReportedOptions, Omit<ProfileOptions, "commandLine" | "only" | keyof ReportedOptions> {
  only?: string | undefined;
  top?: number | "view" | undefined;
  serve?: boolean | undefined;
  commandLine: boolean;
  sizes?: boolean | undefined;
}

/** Processes beside the main one that there is a line for. */
const OTHERS_SHOWN = 20;

/** Below so many bytes between samples there is nothing to gain by them. */
const DENSE = 1024;

/** What reports are made with: loaded while the program runs. */
const reporting = () => import("./render.ts");

/** The reports that were asked for. */
export async function reportRun(recording: Recording, options: ReportedOptions): Promise<void> {
  const { everything, render } = await reporting();
  if (options.report) {
    const toTerminal = options.reportFile === undefined;
    const report = await render(recording, options, toTerminal ? targetOf(2) : {});
    put(report, options.reportFile ?? "-", 2);
  }
  if (options.save !== undefined) {
    const saved = await render(recording, { ...everything(options), format: "json", compact: true }, {});
    put(saved, options.save, 1);
  }
}

/** After so many milliseconds a program is one to look at meanwhile. */
const LONG = 20_000;

/** Runs a program, and tells whoever waits long at a terminal that there is something to see. */
async function runWithHint(command: readonly string[], options: ProfileOptions): Promise<ProfileResult> {
  let hint: ReturnType<typeof setTimeout> | undefined;
  const onStart = (pid: number) => {
    void reporting();
    if (targetOf(2).isTTY) hint = setTimeout(() => say(`to look on: heaptap top ${pid}`), LONG);
  };
  try {
    return await profile(command, { ...options, onStart, onUnrecorded });
  } finally {
    clearTimeout(hint);
  }
}

/** Runs a program and looks on. */
async function lookOn(command: readonly string[], options: ProfileOptions, how: TopOptions): Promise<ProfileResult> {
  const { topProgram } = await import("./top_program.ts");
  return await topProgram(command, options, how);
}

/** Runs a program and serves its recording. */
async function serveMeanwhile(
  command: readonly string[],
  options: ProfileOptions,
  how: NameOptions,
): Promise<ProfileResult> {
  const { serveProgram } = await import("./serve_command.ts");
  return await serveProgram(command, options, { ...how, interval: REFRESH });
}

/** Runs a program and reports as the options say. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<void> {
  checkRecording(options);
  checkStderr(options);
  if (/^-$|\.(html|json|csv|gz|xml)$/.test(options.out ?? "")) {
    throw new OutputError(`Cannot record in "${options.out}": -o names the recording, --report-file the report`);
  }
  checkPlan(options, [options.reportFile, options.save]);
  const named = [options.reportFile, options.save, options.junit];
  if (options.out !== undefined && named.includes(options.out)) {
    throw new OutputError(`Cannot write a report to "${options.out}": the recording goes there`);
  }
  for (const problem of checkVariables(process.env)) say(problem);
  if (options.sample !== undefined && options.sample < DENSE) {
    say(
      `a block every ${options.sample} bytes is nearly every one, and costs more than all: was --sample=${options.sample}KiB meant?`,
    );
  }
  const lost = notInherited();
  if (lost.arguments[0] !== undefined) {
    const by = 'start it by hand with LD_PRELOAD="$(heaptap lib)"';
    throw new OutputError(`Cannot pass on "${lost.arguments[0]}" as it is: it is not UTF-8; ${by}`);
  }
  for (const name of lost.variables) say(`the variable ${name} is not UTF-8: the program does not get it as it is`);
  const recorded = { ...options, forwardSignals: true };
  if (options.serve && options.top === "view") {
    throw new OutputError("Cannot both look on here and serve the page: leave out --top or --serve");
  }
  const result = options.serve
    ? await serveMeanwhile([command, ...args], recorded, options)
    : options.top === "view"
    ? await lookOn([command, ...args], recorded, { ...options, interval: REFRESH, limit: 10 })
    : await runWithHint([command, ...args], recorded);
  process.exitCode = result.exitCode;
  if (result.choice && !options.all && options.follow !== "none") {
    say([result.choice, ...othersText(result.others.length)].join("; "));
  }
  for (const note of result.notes) say(note);
  for (const { pid, program, why } of result.escaped) say(`not recorded: "${program}" (pid ${pid}): ${why}`);
  const { recording } = result;
  if (!recording) {
    const only = options.only === undefined ? "" : `, or no program's path matched "${options.only}"`;
    if (result.unrecorded === undefined) say(`no recording was made: ${whyNoRecording(options.out ?? ".")}${only}`);
    if (result.exitCode === 0 && (budgetsOf(options).length > 0 || options.compare !== undefined)) {
      say("so there is nothing to judge or to compare");
      process.exitCode = USAGE;
    }
    return;
  }
  try {
    await reportRun(recording, options);
    if (!await isWithin(recording.path, options) && result.exitCode === 0) process.exitCode = OVER_BUDGET;
  } finally {
    say(`recorded in ${recording.path}`);
  }
  for (const other of result.others.slice(0, OTHERS_SHOWN)) {
    const { process: p, totals } = other.profile();
    const n = totals.allocations;
    say(`also recorded: ${count(n)} ${plural(n, "allocation")} of ${p.command[0]} (pid ${p.pid}) in ${other.path}`);
  }
  if (result.others.length > OTHERS_SHOWN) {
    const more = result.others.length - OTHERS_SHOWN;
    say(`and ${more} more; heaptap processes "${recording.path}" has them all`);
  }
  for (const { path, pid, program } of result.running) {
    say(`still running: ${program} (pid ${pid}), whose recording goes on in ${path}`);
  }
}
