#!/usr/bin/env -S deno run -A
/**
 * The command line: options, commands, exit statuses. What a command does is in src/command, and is loaded when it is meant: this file
 * loads little, so that the command line is there at once.
 */
import type { Command, OptionValues } from "@commander-js/extra-typings";
import { statSync } from "node:fs";
import process from "node:process";
import { formatOf, nearest } from "./src/command/choices.ts";
import { say, tell, USAGE, write } from "./src/command/say.ts";
import {
  COMPARED_GROUPS,
  GROUPS,
  GROWTH,
  isInterval,
  MEMORY_VIEWS,
  REFRESH,
  SORTS,
  SYMBOLISERS,
  VIEWS,
} from "./src/command/values.ts";
import { VERSION } from "./src/command/version.ts";
import { FORMAT_NAMES } from "./src/export/format_names.ts";
import { OutputError } from "./src/file/output_error.ts";
import { parseBudget } from "./src/judge/limit.ts";
import type { Budget } from "./src/judge/limit.ts";
import { tooOld } from "./src/native/oldest.ts";
import { isPathPattern } from "./src/native/variables.ts";
import { parseBytes } from "./src/profile/format.ts";
import type { ManualCommand } from "./src/report/manual.ts";

const problem = tooOld(process.versions);
if (problem) {
  say(problem);
  process.exit(USAGE);
}

/** The package that reads command lines, for where its bare name means nothing: where Deno has this file from a network. */
const COMMANDER = "npm:commander@15.1.0";

const fromNetwork = import.meta.dirname === undefined;
const { Argument, createCommand, InvalidArgumentError, Option }: typeof import("@commander-js/extra-typings") =
  fromNetwork ? await import(COMMANDER) : await import("commander");

function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < low || n > high) {
      throw new InvalidArgumentError(`It takes a whole number from ${low} to ${high}.`);
    }
    return n;
  };
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: /, "");
    throw new InvalidArgumentError(`It takes a regular expression: ${why}.`);
  }
}

/** The library matches paths by itself, and knows less. */
function pathPattern(text: string): string {
  pattern(text);
  if (!isPathPattern(text)) {
    throw new InvalidArgumentError(
      "It takes literals, classes, groups, alternatives, * + ? and anchors, up to 200 ASCII characters.",
    );
  }
  return text;
}

function size(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError("It takes a size: 1500, 64KB, 1.5MiB.");
  return bytes;
}

/** The options of commands that look names up. */
const symboliserOption = () => new Option("--symboliser <tool>", "use this tool for names").choices(SYMBOLISERS);
const debugOption = () =>
  new Option("--debug-dir <folder>", "look for debug files here before /usr/lib/debug; can be repeated")
    .argParser(folders);

const debuginfodOption = () => new Option("--no-debuginfod", "ask no server of DEBUGINFOD_URLS for debug files");
const nameCacheOption = () => new Option("--no-name-cache", "look names up anew, and keep none");

function folders(path: string, before: string[] = []): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) throw new InvalidArgumentError(found ? "It is no folder." : "There is no such folder.");
  return [...before, path];
}

/** Which call paths are taken, of a report as of a comparison. */
function selectionOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
) {
  return command.optionsGroup("Which call paths:")
    .option("-f, --filter <regex>", "keep those with a function, module or file that matches", pattern)
    .option("--exclude <regex>", "drop those with one that matches", pattern)
    .option("--thread <regex>", "count what threads with such a name allocated, alone", pattern)
    .option(
      "--operation <regex>",
      "those of operations whose names match: a script's, or tests of heaptap test",
      pattern,
    )
    .option("--all", "all processes of the run together")
    .option("--suppressions <file>", "leave out known leaks, in LeakSanitizer's format: leak:PATTERN")
    .option("--no-default-suppressions", "show what libraries are known to keep among what is live");
}

/** How functions are named, and whose code they are. */
function nameOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(command: Command<A, O, G>) {
  return command.optionsGroup("Names and your own code:")
    .option("--own <regex>", "this is your code: functions, modules or files that match", pattern)
    .option("--not-own <regex>", "this is not", pattern)
    .option("--alloc-fn <regex>", "functions that only pass allocations on: rows begin with their callers", pattern)
    .addOption(symboliserOption()).addOption(debugOption()).addOption(debuginfodOption()).addOption(nameCacheOption());
}

/** Limits, for CI. */
function budgetOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(command: Command<A, O, G>) {
  return command.optionsGroup("Limits, for CI:")
    .option("--max-allocations <n>", "fail above so many allocations", wholeNumber(0, 1e15))
    .option("--max-bytes <size>", "fail above so many bytes allocated", size)
    .option("--max-peak <size>", "fail above so many bytes live at the peak", size)
    .option("--max-live <size>", "fail above so many bytes live at the end", size)
    .option("--max-temporary <n>", "fail above so many temporary blocks", wholeNumber(0, 1e15))
    .option("--budget <regex:limit=size>", "the same for call paths with a function that matches", budget, [])
    .option("--max-growth <percent>", "fail when allocations, bytes or peak grew by more", percent)
    .option("--junit <file>", "write the budgets as a JUnit file");
}

/** Short forms that people try; `--top` alone is the live view, where there is something to look at. */
function shortForms<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
  topOption = new Option("--top <n>", "the same as --limit").argParser(wholeNumber(0, 1e9)).hideHelp(),
) {
  return command
    .addOption(new Option("--leaks", "the same as --view live").implies({ view: "live" }).hideHelp())
    .addOption(new Option("--peak", "the same as --view peak").implies({ view: "peak" }).hideHelp())
    .addOption(topOption)
    .option("--html <file>", "a page for a browser, into that file: the same as --format html");
}

/** Figures that a recording has when it was asked for them. */
function askedOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(command: Command<A, O, G>) {
  return command
    .option("--sizes", "how large requests were, and the allocator's slack, in all and of each call path")
    .option(
      "--lifetimes",
      "how long blocks lived, in all and of each call path; to record that takes time (docs/PERFORMANCE.md)",
    );
}

/** The options that `report` and `run` share: what to show and how, and limits to keep. */
function reportOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
  topOption?: InstanceType<typeof Option>,
) {
  const shown = shortForms(command.optionsGroup("What is shown:"), topOption)
    .addOption(
      new Option("--format <format>", "how to write it").choices(["text", ...FORMAT_NAMES] as const)
        .default("text" as const),
    )
    .addOption(new Option("--view <view>", "show this alone").choices([...VIEWS, ...MEMORY_VIEWS] as const))
    .addOption(new Option("--sort-by <figure>", "what comes first").choices(SORTS))
    .option("--limit <n>", "call paths in a section, 0 for all (10; in other formats than text 0)", wholeNumber(0, 1e9))
    .addOption(new Option("--group-by <what>", "put call paths together").choices(GROUPS))
    .option("--inclusive", "sort groups by what goes through them, not by what is their own")
    .option("--callers <regex>", "a tree: who calls the functions that match", pattern)
    .option("--callees <regex>", "a tree: what the functions that match call", pattern)
    .option("--since <mark>", "leave out what came before: a mark (see heaptap mark), or a copy of the recording")
    .option("--at <time>", "as it was then: 3.2s after the start, peak, or the name of a mark", moment)
    .option("--between <times>", "what came between two times: 2s..5s, or 2s 5s", span)
    .option("--source", "of html: put source lines of this machine into the page, a few around each place")
    .option("--raw", "whole stacks, innermost frame first: allocation functions, libraries, each frame of a recursion")
    .option(
      "-v, --verbose",
      "exact bytes; -vv whole file names; -vvv whole stacks, with parameters",
      (_, n) => Number(n) + 1,
      0 as number,
    );
  const selected = selectionOptions(askedOptions(shown))
    .option("--min-count <n>", "keep those with at least so many blocks", wholeNumber(0, 1e15))
    .option("--threshold-bytes <size>", "keep those with at least so many bytes", size);
  return budgetOptions(nameOptions(selected))
    .option("--compare <file>", "compare with an earlier recording or saved report");
}

function budget(text: string, before: Budget[]): Budget[] {
  let parsed: Budget | undefined;
  try {
    parsed = parseBudget(text, parseBytes);
  } catch (error) {
    throw new InvalidArgumentError(`Its regular expression does not parse: ${(error as Error).message}.`);
  }
  if (!parsed) {
    throw new InvalidArgumentError(
      "It takes REGEX:LIMIT=SIZE, where LIMIT is max-allocations, max-bytes, max-peak, max-live or max-temporary, and SIZE a number (1000, 4KiB).",
    );
  }
  return [...before, parsed];
}

/** Mean bytes between two samples. */
function interval(text: string): number {
  const n = parseBytes(text);
  if (n === undefined || !isInterval(n)) {
    throw new InvalidArgumentError(
      "It takes a size from 64 to 1GiB: --sample=256KiB. Before the program write -- where it has none: --sample -- ./app.",
    );
  }
  return n;
}

function seconds(text: string): number {
  const n = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || n > 60) throw new InvalidArgumentError("It takes seconds, 0 to 60: 0.5.");
  return n;
}

/** A time since the start: 3.2, 3.2s, 150ms, 2m; anything else is a mark's name. */
function timeOf(text: string): number | undefined {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit]!;
}

/** Of `run --top`: the live view, or how many rows a report has. */
function rowsOrView(text: string): number | "view" {
  if (text === "view") return text;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It takes a number of rows, or nothing. Before the program write --: --top -- ./app.");
}

/** The time between looks, in milliseconds. */
function betweenLooks(text: string): number {
  const n = Math.round((timeOf(text) ?? NaN) * 1000);
  if (!(n >= 50 && n <= 3_600_000)) throw new InvalidArgumentError("It takes a time from 50ms to 1h: 2s, 500ms.");
  return n;
}

function duration(text: string): number {
  const time = timeOf(text);
  if (time === undefined) throw new InvalidArgumentError("It takes a time: 60s, 500ms, 5m, 1h.");
  return time;
}

function moment(text: string): number | string {
  const time = timeOf(text);
  if (time === undefined && !/^[\w.-]+$/.test(text)) {
    throw new InvalidArgumentError("It takes a time since the start (3.2s, 150ms), peak, or the name of a mark.");
  }
  return time ?? text;
}

function span(text: string): [number, number] {
  const [from, to] = text.split("..").map(timeOf);
  if (from === undefined || to === undefined || text.split("..").length !== 2 || from >= to) {
    throw new InvalidArgumentError("It takes two times since the start, the earlier one first: 2s..5s.");
  }
  return [from, to];
}

function percent(text: string): number {
  const n = Number(text.replace(/%$/, ""));
  if (!/^\d+(\.\d+)?%?$/.test(text)) {
    throw new InvalidArgumentError("It takes a number of percent, 0 or more: 5, 2.5%.");
  }
  return n;
}

/** A process of both runs, or one of each. */
function twoProcesses(text: string): [number, number] {
  const [, older, newer = older] = /^(\d{1,10})(?:,(\d{1,10}))?$/.exec(text) ?? [];
  if (!older || !newer) throw new InvalidArgumentError("It takes the number of a process, or two: OLD,NEW.");
  return [Number(older), Number(newer)];
}

/** A refusal of a value, with what it was to be. */
function withNearest(text: string): string {
  const [, option] = /unknown option '(--?[\w-]+)/.exec(text) ?? [];
  if (option !== undefined && process.argv[2]?.startsWith("-")) {
    const of = program.commands.filter(({ options }) => options.some((o) => o.long === option || o.short === option));
    if (of[0]) {
      const more = of.length > 1 ? ", as others do" : "";
      const name = of[0].name();
      return text.replace(/'\n[^]*$/, `': ${name} takes it${more}, behind its name: heaptap ${name} ${option} ...\n`);
    }
  }
  // Of those that its help has commander has said it, where no value is joined on.
  if (option !== undefined && !text.includes("Did you mean")) {
    const named = program.commands.filter((command) => command.name() === process.argv[2]);
    const options = (named.length > 0 ? named : program.commands).flatMap((command) => command.options);
    const word = option.replace(/^-+/, "");
    const of = options.find(({ argChoices }) => argChoices?.includes(word));
    const near = of ? `${of.long} ${word}` : nearest(option, options.map(({ long }) => long ?? ""));
    if (near) return text.replace(/\n$/, `\n(Did you mean ${near}?)\n`);
  }
  const [, value, choices] = / argument '(.*)' is invalid\. Allowed choices are (.*)\.\n$/s.exec(text) ?? [];
  const near = value === undefined ? undefined : nearest(value, (choices ?? "").split(", "));
  return near === undefined ? text : text.replace(/\n$/, ` Did you mean ${near}?\n`);
}

const program = createCommand("heaptap")
  .description("The allocation profiler you script: who allocates how much, what lives at the peak, what leaks.")
  .version(VERSION)
  .enablePositionalOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE))
  .configureOutput({
    writeOut: (text) => {
      try {
        write(1, text);
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === "EPIPE") process.exit(0);
        say(`Cannot write to stdout: ${message}`);
        process.exit(USAGE);
      }
    },
    writeErr: tell,
    outputError: (text, write) => write(withNearest(text.replace(/^error: /, "heaptap: "))),
  });

/** What a recording is to hold. */
function kindOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(command: Command<A, O, G>) {
  return command
    .option("--buckets <n>", "call paths that the table holds", wholeNumber(64, 1048576))
    .option("--depth <n>", "frames kept of a stack", wholeNumber(4, 8192))
    .addOption(
      new Option(
        "--mode <mode>",
        "paths; counters, without call paths; totals, without what is live either, for the least cost",
      )
        .choices(["paths", "counters", "totals"] as const),
    )
    .addOption(
      new Option(
        "--sample [size]",
        "record a block every so many bytes, 512KiB, for next to no cost: figures are estimates",
      )
        .preset("512KiB").argParser(interval),
    )
    .option("--exact-peak", "an exact peak with several threads too; slower");
}

/** The options of commands that record to look on: of a program that they run, or a process that they attach to. */
function lookedAtOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
) {
  return askedOptions(kindOptions(
    command.optionsGroup("Recording, of a program or of a process that is attached to:")
      .option("-o, --out <file>", "the recording (default: heaptap.PROGRAM.PID.heaptap)"),
  ));
}

/** The options of commands that record: what, where to, and what is reported of it. */
function recordOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(command: Command<A, O, G>) {
  return kindOptions(
    command.optionsGroup("Recording:")
      .option(
        "-o, --out <file>",
        "the recording; %p becomes the process's number (default: heaptap.PROGRAM.PID.heaptap)",
      )
      .option("--no-report", "record only")
      .option("--report-file <file>", "write the report there, not to stderr")
      .option("--save <file>", "write a JSON report of all call paths there, to compare later runs with"),
  );
}

/** Where something is served. */
function portOption() {
  return new Option("--port <n>", "serve on this port of 127.0.0.1 (default: one that is free)")
    .argParser(wholeNumber(0, 65535));
}

/** What tests and benchmarks are counted by. */
function countingOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
) {
  return command.optionsGroup("What is counted and shown:")
    .option("--modules <regex>", "what passes through libraries whose path matches, alone", pattern)
    .option("--report-file <file>", "write the report there, not to stderr")
    .addOption(
      new Option("--format <format>", "how to write it").choices(["text", "json", "markdown"] as const)
        .default("text" as const),
    );
}

/** What a command prints behind its options, as its help does. */
function examples(command: typeof program.commands[number]): string {
  let help = "";
  command.configureOutput({ writeOut: (text) => help += text }).outputHelp();
  return /^Examples?:\n([\s\S]*)/m.exec(help)?.[1]?.trimEnd() ?? "";
}

/** `pause` and `resume`. */
function pausing(what: "pause" | "resume"): void {
  program.command(what)
    .description(
      what === "pause"
        ? "have a program that is recorded count nothing that it allocates from here on"
        : "have it count again",
    )
    .argument("<recording>", "the file")
    .option("-p, --process <pid>", "one process of the run; all that run when left out", wholeNumber(1, 2 ** 31))
    .addHelpText(
      "after",
      "\nExample:\n  heaptap run --paused -o app.heaptap -- ./app      then, when it is warm: heaptap resume app.heaptap",
    )
    .action(async (path, options) => {
      const { setPaused } = await import("./src/command/pausing.ts");
      setPaused(path, what, options.process);
    });
}

/** Each command with its options; for all of them together that takes as long as a small report. */
const COMMANDS: Readonly<Record<string, () => void>> = {
  run: () =>
    recordOptions(reportOptions(
      program.command("run").passThroughOptions(),
      new Option("--top [n]", "look on while it runs, as heaptap top does; with a number the same as --limit")
        .preset("view").argParser(rowsOrView),
    ))
      .description("run a program and report what it allocated")
      .usage("[options] [--] program [args...]")
      .argument("<program>", "the program")
      .argument("[args...]", "its arguments")
      .addOption(
        new Option("--follow <what>", "record what it starts too: all, programs alone (exec), or none")
          .choices(["all", "exec", "none"] as const),
      )
      .option("--only <regex>", "record only programs whose path matches, and spare the rest", pathPattern)
      .option("--js-names", "have Node and Deno tell the names of JavaScript functions")
      .option("--python", "have Python ask malloc for every block, and name its functions (3.12 and later)")
      .option("--php", "have PHP ask malloc for every block")
      .option("--no-command-line", "leave the program's arguments out of the recording")
      .option("--serve", "serve the page while it runs, as heaptap serve does")
      .option("--paused", "count nothing until heaptap resume, or HEAPTAP_RESUME() in the program")
      .addHelpText(
        "after",
        "\nExamples:\n  heaptap run -- sort -n numbers.txt\n  heaptap run -o app.heaptap --limit 20 ./app --port 8080\n  heaptap run --python -- python3 app.py",
      )
      .action(async (command, args, options) => {
        const { run } = await import("./src/command/run.ts");
        await run(command, args, options);
      }),
  attach: () =>
    recordOptions(reportOptions(program.command("attach")))
      .description("record a process that runs already, until Ctrl-C lets it go on without heaptap, and report")
      .argument("[process]", "its number, or its program's name")
      .option("--for <time>", "let it go after so long: 60s, 5m", duration)
      .option("--until-growth <size>", "let it go once so much of what came since is live", size)
      .option("--children", "record the processes that it has started, and those that it forks, too")
      .option("--all-named <name>", "record all processes that run a program of that name")
      .addHelpText(
        "after",
        `
The process is not restarted: one of its threads is held for some milliseconds. What it had allocated before is not known.

Examples:
  heaptap attach 4711
  heaptap attach --for 60s --report-file report.html nginx
  heaptap attach --until-growth 100MB --children postgres`,
      )
      .action(async (named, options) => {
        const { attach } = await import("./src/command/attach.ts");
        await attach(named, options);
      }),
  top: () =>
    lookedAtOptions(
      program.command("top")
        .description("look at a program while it runs: what is live, what grows, who allocates")
        .usage("[options] [process] | [options] -- program [args...]")
        .argument(
          "[process...]",
          "the number or name of a process, which is attached to where it is not recorded, or a recording; behind -- a program to run; of the last run here when left out",
        )
        .addOption(
          new Option("--interval <time>", "between looks: 2s, 500ms").argParser(betweenLooks).default(REFRESH, "2s"),
        )
        .option("--count <n>", "print so many lines, and leave", wholeNumber(1, 1e9))
        .option("--json", "print each look as an object, a line each")
        .option("--limit <n>", "of --json: call paths, those that grow most, 0 for all", wholeNumber(0, 1e9), 10)
        .addOption(symboliserOption()).addOption(debugOption()).addOption(debuginfodOption()).addOption(
          nameCacheOption(),
        ),
    )
      .addHelpText(
        "after",
        `
In a terminal it is a view, whose keys ? shows; elsewhere, and with --count or --json, a line for each look.

Examples:
  heaptap top 4711                     of a process that runs; it is let go when you leave
  heaptap top -- python3 app.py        run it, and look on
  heaptap top --interval 10s --json app > looks.jsonl`,
      )
      .action(async (words, options) => {
        const { topCommand } = await import("./src/command/top_command.ts");
        await topCommand(words, process.argv.at(-words.length - 1) === "--", options);
      }),
  serve: () =>
    lookedAtOptions(
      program.command("serve")
        .description(
          "serve the page of a recording while it is written: live in a browser, and for Prometheus and go tool pprof",
        )
        .usage("[options] [process|recording|folder] | [options] -- program [args...]")
        .argument(
          "[what...]",
          "the number or name of a process, which is attached to where it is not recorded, a recording, or a folder of them; behind -- a program to run; the last run here when left out",
        )
        .addOption(portOption())
        .addOption(
          new Option("--interval <time>", "between looks: 2s, 500ms").argParser(betweenLooks).default(REFRESH, "2s"),
        )
        .addOption(symboliserOption()).addOption(debugOption()).addOption(debuginfodOption()).addOption(
          nameCacheOption(),
        ),
    )
      .addHelpText(
        "after",
        `
It listens on this machine alone, and answers whoever has the token in the address that it prints.

Examples:
  heaptap serve 4711                   of a process that runs; Ctrl-C lets it go
  heaptap serve -- python3 app.py      run it, and look on
  heaptap serve recordings/            a list of recordings, with a page of each
  go tool pprof 'http://127.0.0.1:PORT/pprof/heap?token=…'`,
      )
      .action(async (words, options) => {
        const { serveCommand } = await import("./src/command/serve_command.ts");
        await serveCommand(words, process.argv.at(-words.length - 1) === "--", options);
      }),
  detach: () =>
    program.command("detach")
      .description("let a process go on without heaptap that was attached to")
      .argument("<process>", "its number, or its program's name")
      .action(async (named) => {
        const { detach } = await import("./src/command/attach.ts");
        await detach(named);
      }),
  report: () =>
    reportOptions(program.command("report"))
      .description("report what a recording says, of a program that still runs too")
      .argument("[recording]", "the file; of the last run in this folder when left out")
      .option("-o, --output <file>", "write the report there, - for stdout", "-")
      .option("-p, --process <pid>", "report another process of the run", wholeNumber(1, 2 ** 31))
      .option("--processes", "list the processes of the run")
      .addHelpText(
        "after",
        `
Examples:
  heaptap report app.heaptap
  heaptap report --all make.heaptap                             all processes of the run together
  heaptap report --view live --filter libcrypto app.heaptap     leaks with libcrypto on the stack
  heaptap report --format pprof -o app.pb.gz app.heaptap        then: go tool pprof -top app.pb.gz
  heaptap report --format speedscope -o app.json app.heaptap    for https://www.speedscope.app`,
      )
      .action(async (path, options) => {
        const { report } = await import("./src/command/report.ts");
        await report(path, options);
      }),
  test: () =>
    budgetOptions(nameOptions(countingOptions(program.command("test").passThroughOptions())))
      .description("run tests of Deno, Bun or Node and tell what each of them allocates natively")
      .usage("[options] [--] deno|bun|node [args...]")
      .argument("<runner>", "deno, bun or node")
      .argument("[args...]", "its arguments; test and --test may be left out")
      .optionsGroup("Tests:")
      .option("--thread", "count the thread that the tests run in alone")
      .option("--rounds <n>", "run each test so often; the last time counts", wholeNumber(1, 1e6), 1)
      .option("--no-gc", "do not collect garbage before what a test left is counted")
      .addOption(
        new Option("--sort-by <figure>", "what comes first").choices(["left", "peak", "size", "count"] as const)
          .default("left" as const),
      )
      .option("--limit <n>", "tests in the table, 0 for all (20)", wholeNumber(0, 1e9))
      .option("--save <file>", "write the figures there as JSON, to compare later runs with")
      .option("--compare <file>", "tell what changed against such a file; --max-growth is against it")
      .option("-o, --out <file>", "keep the recording; %p becomes the process's number")
      .option("--js-names", "have Node and Deno tell the names of JavaScript functions")
      .addHelpText(
        "after",
        `
Limits are for each test, and --budget 'REGEX:max-peak=1MB' is for tests whose name matches.

Examples:
  heaptap test deno tests/
  heaptap test --max-live 1MB --junit tests.xml bun
  heaptap test --rounds 10 --max-live 100KB -- node --test tests/*.test.mjs
  heaptap test --save main.json deno      then, on the branch: heaptap test --compare main.json --max-growth 5 deno`,
      )
      .action(async (runner, args, options) => {
        const { runTests } = await import("./src/command/counting.ts");
        await runTests([runner, ...args], options);
      }),
  bench: () =>
    countingOptions(program.command("bench").passThroughOptions())
      .description("run benchmarks of Deno.bench or mitata, and tell what a call of each allocates natively")
      .usage("[options] [--] deno|bun|node [args...]")
      .argument("<runner>", "deno, bun or node")
      .argument("[args...]", "its arguments")
      .option("--process", "count all threads, not that of the benchmark alone")
      .option("--no-times", "leave the run out that takes times, which is without heaptap's hooks")
      .addHelpText(
        "after",
        "\nExamples:\n  heaptap bench deno encode.bench.ts\n  heaptap bench --no-times --modules libsqlite3 -- node bench.mjs",
      )
      .action(async (runner, args, options) => {
        const { runBenches } = await import("./src/command/counting.ts");
        await runBenches([runner, ...args], { ...options, thread: !options.process });
      }),
  pages: () =>
    program.command("pages")
      .description("tell who holds the pages of a running program's heap: how full they are, and what would go back")
      .argument(
        "[process]",
        "a recording, or the number or name of a process that is recorded; of the last run here when left out",
      )
      .addOption(
        new Option("--format <format>", "how to write it").choices(["text", "json"] as const).default("text" as const),
      )
      .option("-o, --output <file>", "write it there, - for stdout", "-")
      .option("-p, --process <pid>", "another process of the run", wholeNumber(1, 2 ** 31))
      .option("--wait <seconds>", "between the two readings that tell old blocks; 0 charges all blocks (0.2)", seconds)
      .option("--limit <n>", "call paths, 0 for all (10)", wholeNumber(0, 1e9))
      .option("--raw", "whole stacks, innermost frame first")
      .addOption(symboliserOption()).addOption(debugOption()).addOption(debuginfodOption()).addOption(nameCacheOption())
      .addHelpText(
        "after",
        "\nExamples:\n  heaptap pages 4711            of a process that heaptap run, or LD_PRELOAD, records\n  heaptap pages app.heaptap     nothing of the program is stopped",
      )
      .action(async (named, options) => {
        const { pages } = await import("./src/command/pages.ts");
        await pages(named, options);
      }),
  processes: () =>
    program.command("processes")
      .description("list the processes of a recording's run: what each allocated, and its file")
      .argument("[recording]", "the file of one of them; of the last run in this folder when left out")
      .addOption(
        new Option("--format <format>", "how to write it").choices(["text", "json"] as const).default("text" as const),
      )
      .option("-o, --output <file>", "write it there, - for stdout", "-")
      .addHelpText(
        "after",
        "\nExample:\n  heaptap processes make.heaptap      then: heaptap report FILE, of one of them",
      )
      .action(async (path, options) => {
        const { processes } = await import("./src/command/processes.ts");
        processes(path, options);
      }),
  compare: () => {
    const comparing = shortForms(program.command("compare").optionsGroup("What is shown:"))
      .addOption(
        new Option("--format <format>", "how to write it").choices(["text", "markdown", "json", "html"] as const)
          .default("text" as const),
      )
      .option("-o, --output <file>", "write it there, - for stdout", "-")
      .addOption(new Option("--view <view>", "what grew of this alone").choices(VIEWS))
      .addOption(
        new Option("--sort-by <figure>", "whose growth comes first").choices(
          Object.keys(GROWTH) as (keyof typeof GROWTH)[],
        ),
      )
      .addOption(new Option("--group-by <what>", "put call paths together").choices(COMPARED_GROUPS))
      .option("--process <pids>", "another process: of both runs, or OLD,NEW", twoProcesses)
      .option("--since <mark>", "leave out what came before a mark that both runs have")
      .option("--limit <n>", "call paths, 0 for all (10; as JSON and HTML all)", wholeNumber(0, 1e9));
    budgetOptions(nameOptions(selectionOptions(comparing)))
      .description("compare two runs: what grew, what shrank, what is new, what is gone; limits are the later run's")
      .argument("<old>", "the earlier recording, or a report saved as JSON")
      .argument("<new>", "the later one")
      .addHelpText(
        "after",
        `
Examples:
  heaptap compare before.heaptap after.heaptap
  heaptap compare --group-by function --view peak before.heaptap after.heaptap
  heaptap compare --format markdown --max-growth 5 main.json after.heaptap      for a review comment
  heaptap run --save main.json -- ./app        then, on the branch:
  heaptap run --compare main.json --max-growth 5 -- ./app`,
      )
      .action(async (older, newer, options) => {
        const { compareRuns } = await import("./src/command/compare.ts");
        await compareRuns(older, newer, options);
      });
    program.command("mark")
      .description("keep this moment of a recording, of a program that runs, under a name for --since")
      .argument("<recording>", "the file")
      .argument("<name>", "the mark")
      .option("-p, --process <pid>", "of another process of the run", wholeNumber(1, 2 ** 31))
      .addHelpText(
        "after",
        "\nExample:\n  heaptap mark app.heaptap warm      then, later: heaptap report --since warm app.heaptap",
      )
      .action(async (path, name, options) => {
        const { mark } = await import("./src/command/mark.ts");
        mark(path, name, options.process);
      });
  },
  pause: () => pausing("pause"),
  resume: () => pausing("resume"),
  pack: () =>
    program.command("pack")
      .description("write a recording without its holes, compressed; what reads recordings reads it as it is")
      .argument("<recording>", "the file, of a program that runs too")
      .option("-o, --output <file>", "where to: NAME.heaptap.gz or NAME.heaptap.zst (default: RECORDING.gz)")
      .addHelpText("after", "\nExample:\n  heaptap pack app.heaptap      then: heaptap report app.heaptap.gz")
      .action(async (path, options) => {
        const { pack } = await import("./src/command/packed.ts");
        pack(path, options.output);
      }),
  resolve: () =>
    program.command("resolve")
      .description("write the names into a copy of a recording, which then opens on a machine without the programs")
      .argument("<recording>", "the file")
      .option("-o, --output <file>", "the copy (default: NAME.named.heaptap)")
      .addOption(symboliserOption()).addOption(debugOption()).addOption(debuginfodOption()).addOption(nameCacheOption())
      .addHelpText(
        "after",
        "\nExample:\n  heaptap resolve app.heaptap      then attach app.named.heaptap to the CI run",
      )
      .action(async (path, options) => {
        const { resolve } = await import("./src/command/resolve.ts");
        await resolve(path, options);
      }),
  doctor: () =>
    program.command("doctor")
      .description("tell what heaptap has to work with, and what it will see of a program")
      .argument("[program]", "a program to look at, or the number of a process")
      .argument("[args...]", "its arguments: those of ld.so name the program")
      .option("--json", "as JSON")
      .addHelpText(
        "after",
        "\nExamples:\n  heaptap doctor ./app      can it be recorded, and what will be seen of it?\n  heaptap doctor 4711       can it be attached to?",
      )
      .action(async (command, args, options) => {
        const { doctor } = await import("./src/command/doctor.ts");
        doctor(command, args, options);
      }),
  lib: () =>
    program.command("lib")
      .description("print the path of the library, for LD_PRELOAD")
      .option("--include", "print the folder of heaptap.h, for the compiler's -I")
      .addHelpText(
        "after",
        "\nExamples:\n  LD_PRELOAD=$(heaptap lib) HEAPTAP_OUT=app.heaptap ./app\n  cc -I$(heaptap lib --include) -c pool.c",
      )
      .action(async (options) => {
        const { lib } = await import("./src/command/lib.ts");
        lib(options);
      }),
  completions: () =>
    program.command("completions")
      .description("print a script that completes commands and options in a shell")
      .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"] as const))
      .addHelpText("after", "\nExample:\n  source <(heaptap completions bash)")
      .action(async (shell) => {
        const { completions } = await import("./src/report/completions.ts");
        const { put } = await import("./src/command/terminal.ts");
        const commands = program.commands.map((command) => ({
          name: command.name(),
          description: command.description(),
          options: command.options.map((option) => ({
            flags: [option.short, option.long].filter((flag) => flag !== undefined),
            description: option.description,
            choices: option.argChoices ?? [],
            takesValue: option.required || option.optional,
          })),
          values: command.registeredArguments[0]?.argChoices,
        }));
        const help = {
          name: "help",
          description: "tell of a command",
          options: [],
          values: commands.map(({ name }) => name),
        };
        put(completions(shell, [...commands, help]), "-", 1);
      }),
  man: () =>
    program.command("man")
      .description("print the manual page")
      .addHelpText(
        "after",
        "\nExamples:\n  heaptap man | man -l -\n  heaptap man > /usr/local/share/man/man1/heaptap.1",
      )
      .action(async () => {
        const { manual } = await import("./src/report/manual.ts");
        const { put } = await import("./src/command/terminal.ts");
        const help = program.createHelp();
        const commands = program.commands.map((command): ManualCommand => {
          const options = help.groupItems(
            [...command.options],
            help.visibleOptions(command),
            (of) => of.helpGroupHeading ?? "",
          );
          return {
            usage: `heaptap ${command.name()} ${command.usage()}`,
            description: command.description(),
            groups: [
              {
                heading: "Arguments:",
                items: command.registeredArguments.map((of) =>
                  [help.argumentTerm(of), help.argumentDescription(of)] as const
                ),
              },
              ...[...options].map(([heading, group]) => ({
                heading: heading || "Options:",
                items: group.map((of) => [help.optionTerm(of), help.optionDescription(of)] as const),
              })),
            ],
            examples: examples(command),
          };
        });
        put(manual(program.version() ?? "", program.description(), commands), "-", 1);
      }),
};

/** Commands that tell of all commands. */
const TELLING = ["completions", "man"];

/** The commands that there have to be where this is the first word. */
function neededFor(word: string): string[] {
  if (word === "--version" || word === "-V") return [];
  return Object.hasOwn(COMMANDS, word) && !TELLING.includes(word) ? [word] : Object.keys(COMMANDS);
}

for (const name of neededFor(process.argv[2] ?? "")) COMMANDS[name]?.();

/** `--at peak` is a view: what was live then is recorded exactly. */
program.hook("preAction", (_, command) => {
  if ((command.opts() as { at?: unknown }).at !== "peak") return;
  command.setOptionValue("at", undefined).setOptionValue("view", "peak");
});

/** Short forms, and the format that a report's file names. */
program.hook("preAction", (_, command) => {
  const output = command.options.some(({ long }) => long === "--report-file") ? "reportFile" : "output";
  const { html, top } = command.opts() as { html?: string; top?: number | "view" };
  const given = (option: string) => command.getOptionValueSource(option) === "cli";
  if (html !== undefined) {
    if (given(output)) {
      throw new OutputError("Cannot write one report to two files: --html FILE is --format html with FILE");
    }
    if (given("format") && command.getOptionValue("format") !== "html") {
      throw new OutputError("Cannot write one report in two formats: --html FILE is --format html with FILE");
    }
    command.setOptionValue("format", "html").setOptionValue(output, html);
  }
  if (typeof top === "number" && !given("limit")) command.setOptionValue("limit", top);
  const formats = command.options.find(({ long }) => long === "--format")?.argChoices;
  const path: unknown = command.getOptionValue(output);
  if (!formats || given("format") || html !== undefined || typeof path !== "string") return;
  const format = formatOf(path, formats);
  if (format) command.setOptionValue("format", format);
});

// Compressed recordings are unpacked before anything looks at them.
program.hook("preAction", async (_, command) => {
  const { compare, since } = command.opts() as { compare?: unknown; since?: unknown };
  const files = /^(run|attach|detach)$/.test(command.name())
    ? [compare]
    : [...command.processedArgs.flat(), compare, since];
  const named = files.filter((path) => typeof path === "string");
  if (named.length === 0) return;
  const { unpackRun } = await import("./src/profile/unpack.ts");
  for (const path of named) await unpackRun(path);
});
/** `--between 2s 5s` as one word, as options have one value. */
function withSpan(words: readonly string[]): string[] {
  const at = words.indexOf("--between");
  const [from = "", to = ""] = words.slice(at + 1);
  if (words[2] !== "report" || at < 0 || timeOf(from) === undefined || timeOf(to) === undefined) return [...words];
  return [...words.slice(0, at + 1), `${from}..${to}`, ...words.slice(at + 3)];
}

/** What was meant where the first word is no command. */
async function meantBy([first = "", ...rest]: readonly string[]): Promise<string | undefined> {
  const [of = ""] = rest;
  if (first === "help" && !/^(-|help$|$)/.test(of) && !Object.hasOwn(COMMANDS, of)) {
    const near = nearest(of, Object.keys(COMMANDS));
    throw new OutputError(
      `There is no command "${of}"; ${near ? `did you mean: heaptap help ${near}` : "heaptap --help lists them"}`,
    );
  }
  if (/^(-|help$|$)/.test(first) || Object.hasOwn(COMMANDS, first)) return undefined;
  const { meantCommand } = await import("./src/run/meant.ts");
  return meantCommand([first, ...rest]);
}

/** Errors that say all that there is to say; others are ours. */
const EXPECTED = new Set(["RecordingError", "ProgramError", "LibraryError", "OutputError", "AttachError", "OpenError"]);

try {
  const meant = await meantBy(process.argv.slice(2));
  if (meant !== undefined) {
    say(`there is no command "${process.argv[2]}"; did you mean: ${meant}`);
    process.exit(USAGE);
  }
  await program.parseAsync(withSpan(process.argv));
} catch (error) {
  const { name, message, stack, status } = error as Error & { status?: number };
  const denied = (await import("./src/native/build.ts")).missingPermission(error);
  const expected = EXPECTED.has(name) || denied !== undefined;
  if (denied !== undefined) say(`${denied}; with -A all of heaptap works`);
  else if (expected) say(message);
  else tell(`heaptap: internal error: ${stack ?? error}\n`);
  // A program that has run and failed has the last word.
  process.exitCode ||= name === "ProgramError" ? status ?? USAGE : expected ? USAGE : 70;
}
// All is written: what a runtime does to end by itself takes longer than a short program's report.
process.exit();
