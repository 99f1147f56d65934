/** `heaptap test` and `heaptap bench`: what each test and benchmark of a suite allocates. */
import { spawn } from "node:child_process";
import { relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isRecording } from "../file/reader.ts";
import { collect, figuresOf } from "../judge/comparable.ts";
import type { ComparablePath } from "../judge/comparable.ts";
import { readSuite, suiteJson } from "../judge/saved_suite.ts";
import { judgeTests } from "../judge/suite.ts";
import type { Bench, Suite, Test } from "../judge/suite.ts";
import { FIGURES } from "../profile/select.ts";
import type { SortBy } from "../profile/select.ts";
import type { CallPath } from "../profile/profile.ts";
import { Recording } from "../profile/recording.ts";
import { Rows } from "../report/rows.ts";
import {
  benchesMarkdown,
  benchesText,
  overlapNotes,
  shownTests,
  suiteJunit,
  suiteMarkdown,
  suiteText,
  TEST_SORTS,
} from "../report/suite.ts";
import type { SuiteOptions } from "../report/suite.ts";
import { annotations, breachesText } from "../report/verdicts.ts";
import { OutputError } from "../file/output_error.ts";
import { removeV8Logs, withoutPools } from "../run/interpreters.ts";
import { ProgramError } from "../run/recordable.ts";
import { endOf, pass, passSignals } from "../run/signals.ts";
import { isOwn } from "../symbols/kinds.ts";
import { leadOfPath } from "../symbols/lead.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { Line } from "../suite/setting.ts";
import type { Judgement } from "./judged.ts";
import { budgetsOf, naming } from "./plan.ts";
import type { BudgetOptions, NameOptions } from "./plan.ts";
import { prepare } from "./runners.ts";
import { looks, shownAt } from "./terminal.ts";
import type { Target } from "../native/terminals.ts";

/** Options of both. */
export interface CountingOptions {
  thread?: boolean | undefined;
  modules?: RegExp | undefined;
  format: "text" | "json" | "markdown";
  limit?: number | undefined;
}

/** Options of `test`. */
export interface TestOptions extends CountingOptions, BudgetOptions, NameOptions {
  out?: string | undefined;
  jsNames?: boolean | undefined;
  sortBy: keyof typeof TEST_SORTS;
  rounds: number;
  gc: boolean;
}

/** What came of a suite. */
export interface SuiteResult {
  readonly exitCode: number;
  /** Why nothing was counted; "" when something was. */
  readonly problem: string;
  readonly report: string;
  readonly saved: string;
  readonly judgement: Judgement;
  /** What there is to say beside the report. */
  readonly notes: readonly string[];
}

/** A file as people name it: from here, where it is below. */
function shownFile(file: string): string {
  const path = file.startsWith("file://") ? fileURLToPath(file) : file;
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

const problemOf = (lines: readonly Line[]) => lines.find((line) => line.kind === "problem")?.problem ?? "";
const notesOf = (lines: readonly Line[]) => [
  ...new Set(lines.flatMap((line) => line.kind === "notes" ? line.notes : [])),
];

/** What of a test's figures its call paths are asked for. */
const FIGURE_OF: Readonly<Record<SuiteOptions["sortBy"], SortBy>> = {
  left: "live",
  peak: "peak",
  size: "size",
  count: "count",
};

/** Call paths of tests, with their names: those that are asked for alone. */
class PathsOfTests {
  readonly #out: string;
  readonly #naming: NameOptions;
  readonly #read = new Map<number, { symbols: Symbols; paths: Map<string, CallPath[]> }>();

  constructor(out: string, naming: NameOptions) {
    this.#out = out;
    this.#naming = naming;
  }

  #of({ pid, operation }: Test) {
    let read = this.#read.get(pid);
    if (!read) {
      const path = this.#out.replaceAll("%p", String(pid));
      // A test may have removed it; its figures were told without it.
      if (!isRecording(path)) return undefined;
      const profile = Recording.open(path).profile();
      const paths = new Map<string, CallPath[]>();
      for (const path of profile.callPaths) {
        const key = path.operation ?? "";
        const known = paths.get(key);
        if (known) known.push(path);
        else paths.set(key, [path]);
      }
      read = { symbols: new Symbols(profile, naming(this.#naming)), paths };
      this.#read.set(pid, read);
    }
    return { ...read, own: read.paths.get(operation) ?? [] };
  }

  /** Looks up the names of these tests' call paths. */
  async resolve(tests: readonly Test[]): Promise<void> {
    for (const test of tests) {
      const read = this.#of(test);
      await read?.symbols.resolve(read.own);
    }
  }

  /** A test's call paths with what was in use of them when it ended: it may all be freed by now. */
  #pathsOf(test: Test) {
    const read = this.#of(test);
    if (!read) return undefined;
    const { symbols, own } = read;
    const kept = new Map(test.kept.map(({ path, liveBytes }) => [path, liveBytes]));
    const paths = own.map((path): CallPath => ({ ...path, stack: path.stack, liveBytes: kept.get(path.id) ?? 0 }));
    return { symbols, paths };
  }

  comparable(test: Test): readonly ComparablePath[] {
    const read = this.#pathsOf(test);
    if (!read) return [];
    const { symbols, paths } = read;
    return [...collect(paths.map((path) => [symbols.stack(path), figuresOf(path)])).values()];
  }

  /** Where most of a figure comes from, in a line. */
  because(test: Test, sortBy: SuiteOptions["sortBy"], width: number): string {
    const read = this.#pathsOf(test);
    if (!read) return "";
    const { symbols, paths } = read;
    const figure = FIGURES[FIGURE_OF[sortBy]];
    const largest = paths.filter((path) => figure(path) > 0).sort((a, b) => figure(b) - figure(a));
    // What somebody wrote before what the runtime does for itself.
    const told = largest.slice(0, CONSIDERED).map((path) => leadOfPath(path, symbols, 6));
    const best = told.find(({ lead }) => lead && isOwn(lead.kind) && lead.function !== "") ??
      told.find(({ lead }) => lead && lead.function !== "" && lead.kind !== "runtime");
    if (!best) return "";
    const rows = new Rows({ width, callersWidth: width, wholeFiles: false, raw: false, apart: false });
    const { name, place, via, callers } = rows.say(best);
    return `by ${name}${place && ` ${place}`}${via.replace(/^ +/, " ")}${callers && ` ${callers}`}`;
  }

  [Symbol.dispose](): void {
    for (const { symbols } of this.#read.values()) symbols[Symbol.dispose]();
  }
}

/** Call paths of a test that are looked at for one that explains something. */
const CONSIDERED = 20;

/** Tests that a table has where nobody says how many. */
const ROWS = 20;

/** Refuses limits that tests do not have. */
function checkLimits(options: TestOptions): void {
  if (budgetsOf(options).some(({ limit }) => limit === "max-temporary")) {
    throw new OutputError(
      "Cannot limit temporary blocks of tests: max-allocations, max-bytes, max-peak and max-live are known",
    );
  }
  if (options.modules && budgetsOf(options).some(({ limit }) => limit === "max-peak")) {
    throw new OutputError("Cannot limit the peak of modules: what they had in use at once is not known");
  }
  if (options.maxGrowth !== undefined && options.compare === undefined) {
    throw new OutputError("Cannot judge growth without --compare FILE, which an earlier heaptap test --save wrote");
  }
}

/** Runs a command; what goes to our streams is its own. `quiet` leaves stdin and stdout out. */
async function run(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  quiet = false,
): Promise<{ exitCode: number; pid: number }> {
  const [program = "", ...args] = command;
  // Before it starts: a signal must find the handlers from its first moment on.
  const stopPassing = passSignals((signal) => pass(child.pid, signal));
  const child = spawn(program, args, { stdio: quiet ? ["ignore", "ignore", "inherit"] : "inherit", env });
  try {
    const { exitCode } = await endOf(child);
    return { exitCode, pid: child.pid ?? 0 };
  } catch (cause) {
    throw new ProgramError(`Cannot run "${program}": ${(cause as Error).message}`, 127);
  } finally {
    stopPassing();
  }
}

/** Runs a suite and reports what each test allocated. */
export async function testSuite(
  command: readonly string[],
  options: TestOptions,
  to: Target,
  inWorkflow: boolean,
): Promise<SuiteResult> {
  checkLimits(options);
  const before = options.compare === undefined ? undefined : readSuite(options.compare);
  const prepared = prepare("test", command, {
    thread: options.thread ?? false,
    modules: options.modules?.source ?? "",
    rounds: options.rounds,
    collect: options.gc,
  }, options.out);
  try {
    const { env, notes: kept } = withoutPools(process.env, options);
    const { exitCode, pid } = await run(prepared.command, env);
    const lines = prepared.lines();
    const pids = new Set(lines.flatMap((line) => line.kind === "test" ? [line.test.pid] : []));
    if (options.jsNames) removeV8Logs(process.cwd(), new Set([...pids, pid]));
    const tests = lines.flatMap((line) =>
      line.kind === "test" ? [{ ...line.test, file: shownFile(line.test.file) }] : []
    );
    const suite: Suite = {
      title: prepared.plain.join(" "),
      tests,
      notes: [...overlapNotes(tests), ...prepared.unseen, ...notThrough(options.modules, tests), ...notesOf(lines)],
    };
    using paths = new PathsOfTests(prepared.out, options);
    const budgets = budgetsOf(options);
    const growth = before && options.maxGrowth !== undefined
      ? { before, percent: options.maxGrowth, exact: options.modules !== undefined }
      : undefined;
    const judge = (of: (test: Test) => readonly ComparablePath[]) => judgeTests(suite, budgets, growth, of);
    const { limit = ROWS, sortBy, format } = options;
    const look = looks(to);
    await paths.resolve([
      ...format === "text" ? shownTests(suite, { limit, sortBy }) : [],
      ...judge(() => []).flatMap(({ test, verdict }) => test && !verdict.kept ? [test] : []),
    ]);
    const verdicts = judge((test) => paths.comparable(test));
    const plain = verdicts.map(({ verdict }) => verdict);
    const write = {
      text: () =>
        shownAt(
          look,
          suiteText(suite, {
            ...{ limit, sortBy, width: look.width, before },
            because: (test) => paths.because(test, sortBy, look.width - 8),
          }),
        ),
      json: () => suiteJson(suite),
      markdown: () => suiteMarkdown(suite, { limit, sortBy, before }),
    };
    return {
      exitCode,
      problem: problemOf(lines) || (tests.length === 0 && exitCode === 0 ? NOTHING_RAN : ""),
      report: write[format](),
      saved: suiteJson(suite),
      judgement: {
        kept: plain.every(({ kept }) => kept),
        text: shownAt(look, breachesText(plain, "no test has such a name")) + (inWorkflow ? annotations(plain) : ""),
        markdown: before ? suiteMarkdown(suite, { limit, sortBy, before }) : "",
        junit: options.junit === undefined ? undefined : suiteJunit(suite, verdicts),
      },
      notes: [
        ...prepared.notes,
        ...kept,
        ...options.out === undefined
          ? []
          : [...pids].map((pid) => `recorded in ${prepared.out.replaceAll("%p", String(pid))}`),
      ],
    };
  } finally {
    prepared.end();
  }
}

const NOTHING_RAN = "no test was seen to run";

/** A word where all figures are nothing because no library is meant. */
function notThrough(modules: RegExp | undefined, counted: readonly { readonly allocations: unknown }[]): string[] {
  const isNothing = (n: unknown) => n === 0 || (typeof n === "object" && n !== null && "median" in n && n.median === 0);
  return modules && counted.length > 0 && counted.every(({ allocations }) => isNothing(allocations))
    ? [`Nothing passed through a library whose path matches ${modules}`]
    : [];
}

/** Runs benchmarks as they are, and then once more to see what a call allocates. */
export async function benchSuite(
  command: readonly string[],
  options: CountingOptions & { times: boolean },
  to: Target,
): Promise<{ exitCode: number; problem: string; report: string; notes: readonly string[] }> {
  const prepared = prepare("bench", command, {
    thread: options.thread ?? true,
    modules: options.modules?.source ?? "",
    rounds: 1,
    collect: false,
  });
  try {
    // Times first, and without us: hooks cost some nanoseconds an allocation.
    const exitCode = options.times ? (await run(prepared.plain, process.env)).exitCode : 0;
    // mitata cannot draw all that it draws without colours; nobody sees it.
    const { NO_COLOR, ...colourful } = process.env;
    const env = prepared.hook === "mitata_bench" || NO_COLOR === undefined ? colourful : process.env;
    const counted = (await run(prepared.command, env, true)).exitCode;
    const lines = prepared.lines();
    const benches = lines.flatMap((line): Bench[] =>
      line.kind === "bench" ? [{ ...line.bench, file: shownFile(line.bench.file) }] : []
    );
    const look = looks(to);
    const notes = [...notThrough(options.modules, benches), ...notesOf(lines)];
    const write = {
      text: () => shownAt(look, benchesText(benches, notes, look.width)),
      json: () => JSON.stringify({ version: 1, benchmarks: benches, notes }, null, 2) + "\n",
      markdown: () => benchesMarkdown(benches, notes),
    };
    return {
      exitCode: exitCode || counted,
      problem: problemOf(lines) ||
        (benches.length === 0
          ? "no benchmark of Deno.bench or mitata was seen to run; measure() counts a plain function"
          : ""),
      report: write[options.format](),
      notes: prepared.notes,
    };
  } finally {
    prepared.end();
  }
}
