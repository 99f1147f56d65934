#!/usr/bin/env -S deno run -A
/**
 * The command line: options, commands, exit statuses. Everything else is in mod.ts; only this file
 * writes to the terminal and ends the process.
 */
import { Argument, Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import {
  annotations,
  breachesText,
  callTree,
  carryNames,
  checkVariables,
  compare,
  compareText,
  comparisonHtml,
  comparisonJson,
  completions,
  count,
  examine,
  exportBlocks,
  filterByFigures,
  filterByName,
  FORMAT_NAMES,
  groupPaths,
  groupsText,
  isPathPattern,
  isRecording,
  JSON_VERSION,
  judge,
  junitReport,
  LibraryError,
  libraryPath,
  ofThreads,
  OutputError,
  parseBudget,
  parseBytes,
  parseSuppressions,
  plural,
  printable,
  profile,
  ProgramError,
  programSuppressions,
  readComparable,
  Recording,
  RecordingError,
  selectPaths,
  shownPaths,
  suppressLeaks,
  Symbols,
  textReport,
  treeText,
  whyNoRecording,
  writeReport,
} from "./mod.ts";
import type {
  Budget,
  FormatName,
  LimitName,
  Profile,
  Progress,
  Report,
  Suppression,
  SymbolOptions,
  ViewName,
} from "./mod.ts";

/** Exit status for what the user can mend; a program's own status is passed on. */
const USAGE = 2;

/** Our own words, a line. Names in them may hold anything. */
function say(text: string): void {
  tell(`heaptap: ${printable(text)}\n`);
}

/** To stderr, as far as that can be written: nothing depends on it. */
function tell(text: string): void {
  try {
    process.stderr.write(text);
  } catch {
    // Deno throws here; elsewhere the stream says so (below).
  }
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

const SYMBOLISERS = ["llvm-symbolizer", "eu-addr2line", "addr2line"] as const;
const VIEWS = ["allocated", "live", "peak", "temporary"] as const;
const GROWTH = {
  size: "bytes",
  count: "allocations",
  peak: "peakBytes",
  live: "liveBytes",
  temporary: "temporary",
} as const;
const GROUPS = ["path", "function", "module", "file", "line", "thread"] as const;
const SORTS = ["size", "count", "name", "live", "peak", "temporary"] as const;

/** The options of commands that look names up. */
const symboliserOption = () => new Option("--symboliser <tool>", "use this tool for names").choices(SYMBOLISERS);
const debugOption = () =>
  new Option("--debug-dir <folder>", "look for debug files here before /usr/lib/debug; can be repeated")
    .argParser(folders);

function folders(path: string, before: string[] = []): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) throw new InvalidArgumentError(found ? "It is no folder." : "There is no such folder.");
  return [...before, path];
}

interface NameOptions {
  symboliser?: string | undefined;
  debugDir?: string[] | undefined;
}

/** The same as functions take them. */
function naming({ symboliser, debugDir }: NameOptions): SymbolOptions {
  return { symboliser, debugFolders: debugDir };
}

/** The options that `report` and `run` share: what to show and how, and limits to keep. */
function reportOptions<T extends Command>(command: T) {
  return command
    .addOption(
      new Option("--format <format>", "how to write it").choices(["text", ...FORMAT_NAMES] as const)
        .default("text" as const),
    )
    .option("-f, --filter <regex>", "keep call paths with a function, module or file that matches", pattern)
    .option("--exclude <regex>", "drop call paths with one that matches", pattern)
    .option("--thread <regex>", "count in call paths what threads with such a name did, alone", pattern)
    .option("--min-count <n>", "keep call paths with at least so many blocks", wholeNumber(0, 1e15))
    .option("--threshold-bytes <size>", "keep call paths with at least so many bytes", size)
    .addOption(new Option("--view <view>", "show this alone").choices(VIEWS))
    .addOption(new Option("--sort-by <figure>", "what comes first").choices(SORTS))
    .addOption(new Option("--group-by <what>", "put call paths together").choices(GROUPS))
    .option("--callers <regex>", "a tree: who calls the functions that match", pattern)
    .option("--callees <regex>", "a tree: what the functions that match call", pattern)
    .option("--suppressions <file>", "known leaks, in LeakSanitizer's format: leak:PATTERN")
    .option("--sizes", "how large requests were, and the allocator's slack, in all and of each call path")
    .option("--raw", "keep allocation functions, what starts a thread, and each frame of a recursion, in stacks")
    .option("--all", "report all processes of the run together")
    .option("--since <mark>", "leave out what came before: a mark (see heaptap mark), or a copy of the recording")
    .option("--limit <n>", "call paths in a section, 0 for all (10; in other formats than text 0)", wholeNumber(0, 1e9))
    .option(
      "-v, --verbose",
      "exact bytes; -vv whole file names; -vvv whole stacks",
      (_, n) => Number(n) + 1,
      0 as number,
    )
    .addOption(symboliserOption()).addOption(debugOption())
    // Limits, for CI.
    .option("--max-allocations <n>", "fail above so many allocations", wholeNumber(0, 1e15))
    .option("--max-bytes <size>", "fail above so many bytes allocated", size)
    .option("--max-peak <size>", "fail above so many bytes live at the peak", size)
    .option("--max-live <size>", "fail above so many bytes live at the end", size)
    .option("--max-temporary <n>", "fail above so many temporary blocks", wholeNumber(0, 1e15))
    .option("--budget <regex:limit=size>", "the same for call paths with a function that matches", budget, [])
    .option("--compare <file>", "compare with an earlier recording or saved report")
    .option("--max-growth <percent>", "with --compare: fail when allocations, bytes or peak grew by more", percent)
    .option("--junit <file>", "write the budgets as a JUnit file");
}

interface BudgetOptions {
  maxAllocations?: number | undefined;
  maxBytes?: number | undefined;
  maxPeak?: number | undefined;
  maxLive?: number | undefined;
  maxTemporary?: number | undefined;
  budget: Budget[];
  compare?: string | undefined;
  maxGrowth?: number | undefined;
  junit?: string | undefined;
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

function percent(text: string): number {
  const n = Number(text.replace(/%$/, ""));
  if (!/^\d+(\.\d+)?%?$/.test(text)) {
    throw new InvalidArgumentError("It takes a number of percent, 0 or more: 5, 2.5%.");
  }
  return n;
}

interface ReportOptions extends NameOptions {
  format: "text" | FormatName;
  filter?: RegExp | undefined;
  exclude?: RegExp | undefined;
  thread?: RegExp | undefined;
  minCount?: number | undefined;
  thresholdBytes?: number | undefined;
  view?: ViewName | undefined;
  sortBy?: typeof SORTS[number] | undefined;
  groupBy?: typeof GROUPS[number] | undefined;
  callers?: RegExp | undefined;
  callees?: RegExp | undefined;
  suppressions?: string | undefined;
  since?: string | undefined;
  process?: number | undefined;
  all?: boolean | undefined;
  limit?: number | undefined;
  raw?: boolean | undefined;
  compact?: boolean | undefined;
  sizes?: boolean | undefined;
  verbose: number | true;
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

/** The options of a report without what leaves call paths out. */
function everything(options: ReportOptions): ReportOptions {
  const { format, symboliser, debugDir, all, process } = options;
  return { format, verbose: 0 as number, symboliser, debugDir, all, process, limit: 0 };
}

/** The known leaks that the options name a file of. */
function suppressions({ suppressions: path }: ReportOptions): Suppression[] {
  if (path === undefined) return [];
  try {
    return parseSuppressions(readFileSync(path, "utf8"));
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    const why = code === "ENOENT" ? "there is no such file" : message;
    throw new OutputError(`Cannot read the suppressions "${path}": ${why}`, { cause });
  }
}

/** A report of groups or of a tree, when the options ask for one. */
async function groups(
  profile: Profile,
  symbols: Symbols,
  { format, groupBy, callers, callees, view }: ReportOptions,
  limit: number,
  bar: ReturnType<typeof progressBar>,
  to: { isTTY?: boolean; columns?: number },
): Promise<string | undefined> {
  const [functions, direction] = callers ? [callers, "callers" as const] : [callees, "callees" as const];
  const by = groupBy === "path" ? undefined : groupBy;
  if (!by && !functions) return undefined;
  if (format !== "text" && (functions || format !== "json")) {
    throw new OutputError(
      `Cannot write ${functions ? `--${direction}` : "--group-by"} as ${format}: trees are text, groups text or json`,
    );
  }
  if (by === "thread" && view === "peak") {
    throw new OutputError("Cannot show threads at the peak: what each had live then is not recorded");
  }
  await symbols.resolve(profile.callPaths, bar.step);
  bar.end();
  const shown = { limit, view, width: looks(to).width };
  if (functions) return treeText(callTree(profile, symbols, functions, direction), direction, shown);
  if (!by) return undefined;
  const found = groupPaths(profile, symbols, by);
  if (format === "text") return groupsText(profile, by, found, shown);
  return JSON.stringify({ version: JSON_VERSION, group_by: by, groups: found }, null, 2) + "\n";
}

async function render(
  recording: Recording,
  options: ReportOptions,
  to: { isTTY?: boolean; columns?: number },
): Promise<Report> {
  const { format, view, minCount, thresholdBytes, sortBy, raw, sizes } = options;
  const read = ofThreads(recording.profile({ ...options, byThread: format === "pprof" }), options.thread);
  const recorded = filterByFigures(read, { view, minCount, minBytes: thresholdBytes });
  if (sizes && !recorded.limits.sizes) {
    throw new OutputError(
      `Cannot show sizes of "${recording.path}": they were not recorded; record with heaptap run --sizes`,
    );
  }
  const limit = options.limit ?? (format === "text" ? 10 : 0);
  using symbols = new Symbols(recorded, naming(options));
  const bar = progressBar();
  const known = [...suppressions(options), ...programSuppressions(recorded)];
  const byName = known.length > 0 || [options.filter, options.exclude].some((option) => option !== undefined);
  if (byName) await symbols.resolve(recorded.callPaths, bar.step);
  const filtered = filterByName(recorded, symbols, options);
  const selected = suppressLeaks(filtered, symbols, known);
  const left = filtered.totals.liveCount - selected.totals.liveCount;
  if (left > 0 && options.suppressions === undefined) {
    const blocks = left === 1 ? "1 live block is" : `${left} live blocks are`;
    say(`${blocks} left out: named in the program's own __lsan_default_suppressions`);
  }
  const grouped = await groups(selected, symbols, options, limit, bar, to);
  if (grouped !== undefined) return grouped;
  if (format === "text") {
    const shown = { limit, view, sortBy, raw, sizes };
    await symbols.resolve(shownPaths(selected, shown), bar.step);
    bar.end();
    return textReport(selected, symbols, { ...shown, verbosity: Number(options.verbose), ...looks(to) });
  }
  const figure = sortBy === "name" ? undefined : sortBy;
  const ordered = { ...selected, callPaths: selectPaths(selected, { sortBy: figure }) };
  await symbols.resolve(limit > 0 ? ordered.callPaths.slice(0, limit) : ordered.callPaths, bar.step);
  bar.end();
  return exportBlocks(ordered, symbols, format, { view, limit, raw, compact: options.compact });
}

/** Processes beside the main one that `run` has a line for. */
const OTHERS_SHOWN = 20;

/** Exit status when a budget was not kept and nothing else failed. */
const OVER_BUDGET = 3;

/** The limits that the options set. */
function budgetsOf({ maxAllocations, maxBytes, maxPeak, maxLive, maxTemporary, budget }: BudgetOptions): Budget[] {
  const limits: [LimitName, number | undefined][] = [
    ["max-allocations", maxAllocations],
    ["max-bytes", maxBytes],
    ["max-peak", maxPeak],
    ["max-live", maxLive],
    ["max-temporary", maxTemporary],
  ];
  return [
    ...limits.flatMap(([limit, allowed]): Budget[] => allowed === undefined ? [] : [{ limit, allowed }]),
    ...budget,
  ];
}

/** Refuses what can be told before a program runs or a recording is read. */
function checkPlan(options: BudgetOptions & ReportOptions, outputs: readonly (string | undefined)[]): void {
  const { thread, view } = options;
  const asked = [
    ...view === "live" || view === "peak" ? [`show --view ${view}`] : [],
    ...budgetsOf(options).filter(({ limit }) => limit === "max-live" || limit === "max-peak")
      .map(({ limit }) => `judge ${limit}`),
  ];
  if (thread && asked[0]) {
    throw new OutputError(`Cannot ${asked[0]} of threads: any thread may free what they allocated`);
  }
  if (options.maxGrowth !== undefined && options.compare === undefined) {
    throw new OutputError("Cannot judge --max-growth by itself: name the earlier run with --compare");
  }
  if (options.compare !== undefined) {
    const found = statSync(options.compare, { throwIfNoEntry: false });
    const why = !found ? "there is no such file" : found.isFile() ? "" : "it is not a regular file";
    if (why) throw new OutputError(`Cannot compare with "${options.compare}": ${why}`);
  }
  suppressions(options);
  const named = [...outputs, options.junit].filter((path) => path !== undefined);
  for (const [i, path] of named.entries()) {
    checkReportPath(path);
    if (path !== "-" && named.indexOf(path) !== i) throw new OutputError(`Cannot write two reports to "${path}"`);
  }
}

/** The recording of an earlier run to compare with: of the process that `run` would have reported. */
function earlier(path: string, { all, process }: ReportOptions): string {
  if (all || process !== undefined || !isRecording(path)) return path;
  return Recording.open(path).processes()[0]?.path ?? path;
}

/** Compares and judges a recording as the options say; whether all budgets were kept. */
async function judged(path: string, options: BudgetOptions & ReportOptions): Promise<boolean> {
  const budgets = budgetsOf(options);
  if (budgets.length === 0 && options.compare === undefined) return true;
  const names = naming(options);
  const run = await readComparable(path, {
    ...names,
    thread: options.thread,
    since: options.since,
    process: options.process,
    all: options.all,
    suppressions: suppressions(options),
  });
  const before = options.compare === undefined
    ? undefined
    : await readComparable(earlier(options.compare, options), { ...names, all: options.all });
  if (before) {
    const limit = options.limit ?? 10;
    tell(compareText(compare(before, run), { limit, ...looks(process.stderr) }));
  }
  const growth = before && options.maxGrowth !== undefined ? { before, percent: options.maxGrowth } : undefined;
  const verdicts = judge(run, budgets, growth);
  if (options.junit !== undefined) await put(junitReport(run.title, verdicts), options.junit, process.stdout);
  tell(breachesText(verdicts));
  // Workflow commands are read from what a step prints; the program's own output is on stdout.
  if (process.env.GITHUB_ACTIONS) tell(annotations(verdicts));
  return verdicts.every((verdict) => verdict.kept);
}

function looks(to: { isTTY?: boolean; columns?: number }): { width: number; color: boolean } {
  const color = to.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  // Into a pipe it is as wide as whoever reads it says.
  return { width: Math.max(60, to.columns ?? (Number(process.env.COLUMNS) || 80)), color };
}

/** The reports that `run` was asked for. */
async function reportRun(
  recording: Recording,
  options: ReportOptions & { report: boolean; reportFile?: string | undefined; save?: string | undefined },
): Promise<void> {
  if (options.report) {
    const toTerminal = options.reportFile === undefined;
    if (toTerminal) checkTerminal(process.stderr, options.format, "--report-file");
    await put(
      await render(recording, options, toTerminal ? process.stderr : {}),
      options.reportFile ?? "-",
      process.stderr,
    );
  }
  if (options.save !== undefined) {
    const saved = await render(recording, { ...everything(options), format: "json", compact: true }, {});
    await put(saved, options.save, process.stdout);
  }
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
  .option("--save <file>", "write a JSON report of all call paths there, to compare later runs with")
  .option("--buckets <n>", "call paths that the table holds", wholeNumber(64, 1048576))
  .option("--depth <n>", "frames kept of a stack", wholeNumber(4, 8192))
  .addOption(new Option("--mode <mode>", "paths, or counters for totals only").choices(["paths", "counters"] as const))
  .addOption(
    new Option("--follow <what>", "record what it starts too: all, programs alone (exec), or none")
      .choices(["all", "exec", "none"] as const),
  )
  .option("--only <regex>", "record only programs whose path matches, and spare the rest", pathPattern)
  .option("--no-command-line", "leave the program's arguments out of the recording")
  .option("--exact-peak", "an exact peak with several threads too; slower")
  .addHelpText(
    "after",
    "\nExamples:\n  heaptap run -- sort -n numbers.txt\n  heaptap run -o app.heaptap --limit 20 ./app --port 8080",
  )
  .action(async (command, args, options) => {
    if (options.mode === "counters" && (options.sizes || options.budget.length > 0)) {
      const what = options.sizes ? "record --sizes" : "judge --budget";
      throw new OutputError(`Cannot ${what} without call paths: leave out --mode counters`);
    }
    if (/^-$|\.(html|json|csv|gz|xml)$/.test(options.out ?? "")) {
      throw new OutputError(`Cannot record in "${options.out}": -o names the recording, --report-file the report`);
    }
    checkPlan(options, [options.reportFile, options.save]);
    const named = [options.reportFile, options.save, options.junit];
    if (options.out !== undefined && named.includes(options.out)) {
      throw new OutputError(`Cannot write a report to "${options.out}": the recording goes there`);
    }
    for (const problem of checkVariables(process.env)) say(problem);
    const result = await profile([command, ...args], { ...options, forwardSignals: true });
    process.exitCode = result.exitCode;
    for (const note of result.notes) say(note);
    const { recording } = result;
    if (!recording) {
      const only = options.only === undefined ? "" : `, or no program's path matched "${options.only}"`;
      say(`no recording was made: ${whyNoRecording(options.out ?? ".")}${only}`);
      if (result.exitCode === 0 && (budgetsOf(options).length > 0 || options.compare !== undefined)) {
        say("so there is nothing to judge or to compare");
        process.exitCode = USAGE;
      }
      return;
    }
    if (result.others.length > 0 && !options.all) {
      const { command: [name], pid } = recording.profile().process;
      const recordings = result.others.length + 1;
      const what = budgetsOf(options).length > 0 || options.compare !== undefined
        ? `${options.report ? "the report is" : "the verdict is"} of ${name} (pid ${pid}) alone`
        : `the report is of ${name} (pid ${pid})`;
      say(`${what}, of ${recordings} recordings the one with most allocations; --all takes them together`);
    }
    try {
      await reportRun(recording, options);
      const kept = await judged(recording.path, options);
      if (!kept && result.exitCode === 0) process.exitCode = OVER_BUDGET;
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
      say(`and ${more} more; --only REGEX records some programs, by the paths of their files`);
    }
  });

reportOptions(program.command("report"))
  .description("report what a recording says, of a program that still runs too")
  .argument("<recording>", "the file")
  .option("-o, --output <file>", "write the report there, - for stdout", "-")
  .option("--process <pid>", "report another process of the run", wholeNumber(1, 2 ** 31))
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
    checkPlan(options, [options.output]);
    if (options.output === "-") checkTerminal(process.stdout, options.format, "-o");
    const recording = Recording.open(path);
    const asked = options.all || options.process !== undefined || options.format !== "text";
    const beside = asked ? 0 : recording.processCount() - 1;
    if (beside > 0) {
      say(`${beside} more ${plural(beside, "recording")} of its run beside it: --all takes all, --process PID another`);
    }
    const text = await render(recording, options, options.output === "-" ? process.stdout : {});
    await put(text, options.output, process.stdout);
    if (!await judged(path, options)) process.exitCode = OVER_BUDGET;
  });

program.command("compare")
  .description("compare two runs: what grew, what shrank, what is new, what is gone")
  .argument("<old>", "the earlier recording, or a report saved as JSON")
  .argument("<new>", "the later one")
  .addOption(
    new Option("--format <format>", "how to write it").choices(["text", "json", "html"] as const)
      .default("text" as const),
  )
  .addOption(
    new Option("--sort-by <figure>", "whose growth comes first").choices(Object.keys(GROWTH) as (keyof typeof GROWTH)[])
      .default("size" as const),
  )
  .option("--limit <n>", "call paths, 0 for all (10; as JSON all)", wholeNumber(0, 1e9))
  .option("-o, --output <file>", "write it there, - for stdout", "-")
  .addOption(symboliserOption()).addOption(debugOption())
  .addHelpText(
    "after",
    `
Examples:
  heaptap compare before.heaptap after.heaptap
  heaptap run --save main.json -- ./app        then, on the branch:
  heaptap run --compare main.json --max-growth 5 -- ./app`,
  )
  .action(async (older, newer, options) => {
    checkReportPath(options.output);
    const [before, after] = [
      await readComparable(older, naming(options)),
      await readComparable(newer, naming(options)),
    ];
    const by = GROWTH[options.sortBy];
    const comparison = compare(before, after, by);
    const limit = options.limit ?? (options.format === "text" ? 10 : 0);
    const text = options.format === "text"
      ? compareText(comparison, { limit, by, ...looks(options.output === "-" ? process.stdout : {}) })
      : options.format === "html"
      ? comparisonHtml(comparison)
      : JSON.stringify(comparisonJson(comparison, limit), null, 2) + "\n";
    await put(text, options.output, process.stdout);
  });

program.command("mark")
  .description("keep this moment of a recording, of a program that runs, under a name for --since")
  .argument("<recording>", "the file")
  .argument("<name>", "the mark")
  .option("--process <pid>", "of another process of the run", wholeNumber(1, 2 ** 31))
  .addHelpText(
    "after",
    "\nExample:\n  heaptap mark app.heaptap warm      then, later: heaptap report --since warm app.heaptap",
  )
  .action((path, name, options) => {
    const opened = Recording.open(path);
    const recording = options.process === undefined ? opened : opened.process(options.process);
    let made: string;
    try {
      made = recording.mark(name);
    } catch (cause) {
      const { message } = cause as Error;
      throw new OutputError(cause instanceof TypeError ? message : `Cannot mark "${path}": ${message}`, { cause });
    }
    say(`marked in ${made}; to leave out what came before: heaptap report --since ${name} ${recording.path}`);
  });

program.command("resolve")
  .description("write the names into a copy of a recording, which then opens on a machine without the programs")
  .argument("<recording>", "the file")
  .option("-o, --output <file>", "the copy (default: NAME.named.heaptap)")
  .addOption(symboliserOption()).addOption(debugOption())
  .addHelpText("after", "\nExample:\n  heaptap resolve app.heaptap      then attach app.named.heaptap to the CI run")
  .action(async (path, options) => {
    const output = options.output ?? `${path.replace(/\.heaptap$/, "")}.named.heaptap`;
    const bar = progressBar();
    let problem: string;
    try {
      problem = await carryNames(path, output, naming(options), bar.step);
    } catch (cause) {
      if (cause instanceof RecordingError) throw cause;
      throw new OutputError(`Cannot write "${output}": ${(cause as Error).message}`, { cause });
    } finally {
      bar.end();
    }
    if (problem) say(problem);
    say(`names written into ${output}`);
  });

program.command("doctor")
  .description("tell what heaptap has to work with, and what it will see of a program")
  .argument("[program]", "a program to look at")
  .option("--json", "as JSON")
  .addHelpText("after", "\nExample:\n  heaptap doctor ./app      can it be recorded, and what will be seen of it?")
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

program.command("completions")
  .description("print a script that completes commands and options in a shell")
  .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"] as const))
  .addHelpText("after", "\nExample:\n  source <(heaptap completions bash)")
  .action((shell) => {
    const commands = program.commands.map((command) => ({
      name: command.name(),
      description: command.description(),
      options: command.options.map((option) => ({
        flags: [option.short, option.long].filter((flag) => flag !== undefined),
        description: option.description,
        choices: option.argChoices ?? [],
        takesValue: option.required || option.optional,
      })),
    }));
    process.stdout.write(completions(shell, commands));
  });

/** Refuses a terminal for a format that is not text. */
function checkTerminal(to: NodeJS.WriteStream, format: string, option: string): void {
  if (format === "pprof" && to.isTTY) {
    throw new OutputError(`Cannot write ${format} to a terminal: it is binary; name a file with ${option}`);
  }
}

/** What the system's words for a path that cannot be written mean. */
const WHY: Readonly<Record<string, string>> = {
  ENOENT: "its folder is not there",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/** Refuses, before anything is done, a place where a report cannot or must not be written. */
function checkReportPath(path: string): void {
  if (path === "-") return;
  const refuse = (why: string): never => {
    throw new OutputError(`Cannot write "${path}": ${why}`);
  };
  if (path === "") refuse("name a file, or - for stdout");
  const found = statSync(path, { throwIfNoEntry: false });
  if (isRecording(path)) refuse("it is a recording; name another file for the report");
  if (found?.isDirectory()) refuse("it is a folder");
  if (!found && !statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory()) refuse("its folder is not there");
}

/** Writes a report where the options want it: to a file, or, as `-`, to a stream. */
async function put(report: Report, path: string, stream: NodeJS.WriteStream): Promise<void> {
  if (path === "-") {
    const pieces = typeof report === "string" || report instanceof Uint8Array ? [report] : report;
    try {
      for (const piece of pieces) if (!stream.write(piece)) await once(stream, "drain");
    } catch (cause) {
      throw new OutputError(
        `Cannot write to ${stream === process.stdout ? "stdout" : "stderr"}: ${(cause as Error).message}`,
        { cause },
      );
    }
    return;
  }
  checkReportPath(path);
  try {
    writeReport(path, report);
  } catch (cause) {
    const { code = "", message } = cause as { code?: string; message: string };
    throw new OutputError(`Cannot write "${path}": ${WHY[code] ?? message}`, { cause });
  }
}

// A reader that closes our pipe has seen enough. What cannot be written cannot be told on stderr either, where it may be
// the program's status that counts.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: { code?: string; message: string }) => {
    if (error.code !== "EPIPE" && stream === process.stdout) say(`Cannot write to stdout: ${error.message}`);
    process.exit(error.code === "EPIPE" ? process.exitCode ?? 0 : process.exitCode || USAGE);
  });
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  const expected = error instanceof RecordingError || error instanceof ProgramError || error instanceof LibraryError ||
    error instanceof OutputError;
  if (expected) say(error.message);
  else tell(`heaptap: internal error: ${(error as Error).stack ?? error}\n`);
  // A program that has run and failed has the last word.
  process.exitCode ||= error instanceof ProgramError ? error.status : expected ? USAGE : 70;
}
