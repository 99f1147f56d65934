#!/usr/bin/env -S deno run -A
/**
 * The command line: options, commands, exit statuses. Everything else is in mod.ts; only this file
 * writes to the terminal and ends the process.
 */
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { writeFileSync } from "node:fs";
import process from "node:process";
import {
  checkVariables,
  examine,
  jsonPaths,
  jsonReport,
  LibraryError,
  libraryPath,
  OutputError,
  profile,
  ProgramError,
  Recording,
  RecordingError,
  shownPaths,
  Symbols,
  textReport,
} from "./mod.ts";
import type { Profile, Progress } from "./mod.ts";

/** Exit status for what the user can mend; a program's own status is passed on. */
const USAGE = 2;

function say(text: string): void {
  process.stderr.write(`heaptap: ${text}\n`);
}

function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < low || n > high) {
      throw new InvalidArgumentError(`It takes a whole number from ${low} to ${high}.`);
    }
    return n;
  };
}

/** The options that `report` and `run` share. */
function reportOptions<T extends Command>(command: T) {
  return command
    .addOption(
      new Option("--format <format>", "text or json").choices(["text", "json"] as const).default("text" as const),
    )
    .option("--limit <n>", "call paths in a section, 0 for all", wholeNumber(0, 1e9), 10)
    .option(
      "-v, --verbose",
      "exact bytes; -vv whole file names; -vvv whole stacks",
      (_, n) => Number(n) + 1,
      0 as number,
    )
    .addOption(
      new Option("--symboliser <tool>", "use this tool for names").choices([
        "llvm-symbolizer",
        "eu-addr2line",
        "addr2line",
      ]),
    );
}

interface ReportOptions {
  format: "text" | "json";
  limit: number;
  verbose: number | true;
  symboliser?: string | undefined;
}

/** Draws a bar on a terminal once a look-up has taken a second. */
function progressBar(): { step: Progress; end: () => void } {
  const begun = performance.now();
  let drawn = 0;
  return {
    step: (done, total) => {
      const now = performance.now();
      if (!process.stderr.isTTY || now - begun < 1000 || now - drawn < 100) return;
      drawn = now;
      const filled = Math.round(30 * done / total);
      process.stderr.write(`\r\x1b[Klooking up names ${"#".repeat(filled)}${".".repeat(30 - filled)} ${done}/${total}`);
    },
    end: () => {
      if (drawn) process.stderr.write("\r\x1b[K");
    },
  };
}

async function render(
  recorded: Profile,
  options: ReportOptions,
  to: { isTTY?: boolean; columns?: number },
): Promise<string> {
  const { limit, format } = options;
  using symbols = new Symbols(recorded, { symboliser: options.symboliser });
  const bar = progressBar();
  await symbols.resolve(format === "json" ? jsonPaths(recorded, limit) : shownPaths(recorded, limit), bar.step);
  bar.end();
  if (format === "json") return JSON.stringify(jsonReport(recorded, symbols, limit), null, 2) + "\n";
  const color = to.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  const width = Math.max(60, to.columns ?? 80);
  return textReport(recorded, symbols, { limit, verbosity: Number(options.verbose), width, color });
}

const program = new Command("heaptap")
  .description("The allocation profiler you script: who allocates how much, what lives at the peak, what leaks.")
  .version("0.1.0")
  .enablePositionalOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE))
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "heaptap: ")) });

reportOptions(program.command("run").passThroughOptions())
  .description("run a program and report what it allocated")
  .usage("[options] [--] program [args...]")
  .argument("<program>", "the program")
  .argument("[args...]", "its arguments")
  .option("-o, --out <file>", "the recording; %p becomes the process's number (default: heaptap.PROGRAM.PID.heaptap)")
  .option("--no-report", "record only")
  .option("--report-file <file>", "write the report there, not to stderr")
  .option("--buckets <n>", "call paths that the table holds", wholeNumber(64, 1048576))
  .option("--depth <n>", "frames kept of a stack", wholeNumber(4, 1024))
  .addOption(new Option("--mode <mode>", "paths, or counters for totals only").choices(["paths", "counters"] as const))
  .option("--exact-peak", "an exact peak with several threads too; slower")
  .addHelpText(
    "after",
    "\nExamples:\n  heaptap run -- sort -n numbers.txt\n  heaptap run -o app.heaptap --limit 20 ./app --port 8080",
  )
  .action(async (command, args, options) => {
    for (const problem of checkVariables(process.env)) say(problem);
    const result = await profile([command, ...args], { ...options, forwardSignals: true });
    process.exitCode = result.exitCode;
    for (const note of result.notes) say(note);
    const { recording } = result;
    if (!recording) {
      say(`no recording was made: "${command}" ended before its first allocation, or dropped LD_PRELOAD`);
      return;
    }
    if (options.report) {
      const text = await render(recording.profile(), options, options.reportFile === undefined ? process.stderr : {});
      if (options.reportFile === undefined) process.stderr.write(text);
      else write(options.reportFile, text);
    }
    for (const other of result.others.slice(0, 5)) {
      const { process: p, totals } = other.profile();
      say(`also recorded: ${totals.allocations} allocations of ${p.command[0]} (pid ${p.pid}) in ${other.path}`);
    }
    if (result.others.length > 5) say(`and ${result.others.length - 5} more processes`);
    say(`recorded in ${recording.path}`);
  });

reportOptions(program.command("report"))
  .description("report what a recording says, of a program that still runs too")
  .argument("<recording>", "the file")
  .addHelpText(
    "after",
    "\nExamples:\n  heaptap report app.heaptap\n  heaptap report --format json --limit 0 app.heaptap",
  )
  .action(async (path, options) => {
    process.stdout.write(await render(Recording.open(path).profile(), options, process.stdout));
  });

program.command("doctor")
  .description("tell what heaptap has to work with, and what it will see of a program")
  .argument("[program]", "a program to look at")
  .option("--json", "as JSON")
  .action((command, options) => {
    const found = examine(command);
    if (found.problems.length > 0) process.exitCode = 1;
    if (options.json) {
      process.stdout.write(JSON.stringify(found, null, 2) + "\n");
      return;
    }
    const rows: [string, string][] = [
      ["runtime", found.runtime],
      ["kernel", found.kernel],
      ["compiler", found.compiler ?? "none"],
      ["library", found.library],
      [
        "symboliser",
        found.symboliser ?? "none: names come from symbol tables, without lines; install llvm or binutils",
      ],
      ["cache", found.cache],
      ...Object.entries(found.limits),
    ];
    if (found.program) {
      rows.push(["program", found.program.path]);
      rows.push(["", found.program.recordable ? "can be recorded" : "cannot be recorded"]);
      for (const note of found.program.notes) rows.push(["", note]);
    }
    for (const [label, value] of rows) process.stdout.write(`${label.padEnd(14)} ${value}\n`);
  });

program.command("lib")
  .description("print the path of the library, for LD_PRELOAD")
  .addHelpText("after", "\nExample:\n  LD_PRELOAD=$(heaptap lib) HEAPTAP_OUT=app.heaptap ./app")
  .action(() => {
    process.stdout.write(libraryPath() + "\n");
  });

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new OutputError(`Cannot write "${path}": ${(cause as Error).message}`, { cause });
  }
}

// A reader that closes our pipe has seen enough.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: { code?: string }) => process.exit(error.code === "EPIPE" ? process.exitCode ?? 0 : 1));
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  const expected = error instanceof RecordingError || error instanceof ProgramError || error instanceof LibraryError ||
    error instanceof OutputError;
  say(expected ? error.message : `internal error: ${(error as Error).stack ?? error}`);
  process.exitCode = error instanceof ProgramError ? error.status : expected ? USAGE : 70;
}
