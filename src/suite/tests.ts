/** Counts what each test allocates: every runner's tests come through `counted`. */
import { basename, join } from "node:path";
import process from "node:process";
import { finish } from "../profile/finish.ts";
import type { Test, TestFigures } from "../judge/suite.ts";
import { Profiler } from "../scope/counters.ts";
import { own, ownReading } from "../scope/install.ts";
import { endAlone, runAloneIn, runIn, tellsApart } from "../scope/operate.ts";
import type { Figures } from "../scope/meter.ts";
import { largestPaths } from "../scope/sites.ts";
import { isThenable } from "../scope/thenable.ts";
import { otherThreads } from "../scope/threads.ts";
import { figuresOf, throughModules } from "../scope/through.ts";
import { begin, collect, tell, tellNotes } from "./answer.ts";
import type { Setting } from "./setting.ts";

/** What is known of a test before it runs. */
export interface Named {
  readonly name: string;
  readonly file: string;
}

/** A test that runs. */
interface Running extends Named {
  /** Its operation: no other test of the process has the same. */
  readonly operation: string;
  /** Its own, and those of steps and tests within it. */
  readonly operations: Set<string>;
  /** What is counted of the thread, and of the process or of modules. */
  readonly own: Profiler;
  readonly all: Profiler;
  /** What other threads had allocated when it began. */
  readonly others: Others;
  /** Tests that ran at the same time so far. */
  beside: number;
}

/** What threads that work for tests have allocated so far, and what of that is in use. */
type Others = Readonly<Record<"allocations" | "bytes" | "liveBytes" | "liveCount", number>>;

/** Threads in which V8 compiles and collects garbage: what they allocate is no test's. */
const ENGINE = /^(node-)?V8|^DelayedTask/;

/** How tests are counted, once that is known. */
let setting: Setting;
let modules: RegExp | undefined;
const running = new Set<Running>();
const used = new Map<string, number>();

/** Puts the hooks in; false where tests cannot be counted. */
export function startTests(of: Setting): boolean {
  setting = of;
  modules = of.modules ? new RegExp(of.modules) : undefined;
  if (!begin(of)) return false;
  // What the first test would otherwise be charged with: this file's own compilation, and garbage from loading.
  countedOnce({ name: "", file: "" }, () => undefined, () => {});
  if (of.collect) own(collect);
  return true;
}

function othersNow(): Others {
  const sum = { allocations: 0, bytes: 0, liveBytes: 0, liveCount: 0 };
  if (setting.thread || setting.parallel || modules) return sum;
  for (const row of otherThreads()) {
    if (ENGINE.test(row.name)) continue;
    for (const name of Object.keys(sum) as (keyof Others)[]) sum[name] += row[name];
  }
  return sum;
}

/** Whether a test is a step of another one, or in it. */
function isWithin(inner: Named, outer: Named): boolean {
  return inner.file === outer.file && inner.name.startsWith(`${outer.name} > `);
}

function open(named: Named): Running {
  return own(() => {
    // Beside other files each has names of its own: what is recorded is one.
    const file = setting.parallel ? ` (${basename(named.file)})` : "";
    const base = (named.name.slice(0, 150) || "(no name)") + file;
    const times = (used.get(base) ?? 0) + 1;
    used.set(base, times);
    const operation = times > 1 ? `${base} (${times})` : base;
    const test = {
      ...named,
      operation,
      operations: new Set([operation]),
      beside: 0,
      own: new Profiler({ thread: true }),
      all: new Profiler({ thread: setting.thread, modules }),
      others: othersNow(),
    };
    for (const other of running) {
      if (isWithin(named, other)) {
        other.operations.add(operation);
        continue;
      }
      other.beside++;
      test.beside++;
      endAlone();
    }
    running.add(test);
    test.all.start();
    test.own.start();
    return test;
  });
}

/** Call paths of a test that are told for what it left. */
const KEPT = 5;

/** A test's figures, and where what it left comes from. */
type Found = TestFigures & Pick<Test, "kept">;

/** What a test's own call paths come to, and those of what is within it. */
function ofOperations(operations: ReadonlySet<string | undefined>): Omit<Found, "peakBytes"> {
  using reading = finish(ownReading());
  const mine = reading.used.filter((path) => operations.has(reading.nodes.operation(path)));
  const ids = finish(throughModules(reading, mine, modules));
  const live = (path: number) => reading.sums?.figures(path).liveBytes ?? 0;
  const kept = [...finish(largestPaths(reading, ids, KEPT, "live"))].map((path) => ({ path, liveBytes: live(path) }));
  return { ...pick(figuresOf(reading, ids)), kept: kept.filter(({ liveBytes }) => liveBytes > 0) };
}

/** What a test allocated: in its thread by its call paths, where those are told apart, and in others while it was alone. */
function figures(test: Running, own: Figures, all: Figures): Found {
  const alone = test.beside === 0;
  const peak = (of: Figures) => alone && !Number.isNaN(of.peakBytes) ? of.peakBytes : null;
  if (modules && alone) return { ...pick(all), peakBytes: null, kept: [] };
  // A runtime that does not tell when functions go on knows an operation over its awaits where nothing runs beside.
  if (!alone && tellsApart() === false) return { ...pick(own), peakBytes: null, kept: [] };
  const mine = ofOperations(test.operations);
  if (!alone) return { ...mine, peakBytes: null };
  const now = othersNow();
  const theirs = (name: keyof Others) => now[name] - test.others[name];
  return {
    allocations: mine.allocations + theirs("allocations"),
    bytes: mine.bytes + theirs("bytes"),
    liveBytes: mine.liveBytes + theirs("liveBytes"),
    liveCount: mine.liveCount + theirs("liveCount"),
    kept: mine.kept,
    // The engine's own threads have a part in the process's peak: only where others may have had more in use than the test's own.
    peakBytes: peak(theirs("bytes") > own.peakBytes ? all : own),
  };
}

function pick({ allocations, bytes, liveBytes, liveCount }: Figures): Omit<TestFigures, "peakBytes"> {
  return { allocations, bytes, liveBytes, liveCount };
}

/** Bytes that a test left from which on it is worth some milliseconds to see what of them is garbage. */
const WORTH = 4096;

function close(test: Running, threw: boolean, report: (test: Test) => void): void {
  const mine = test.own.stop();
  own(() => {
    const all = test.all.read();
    const { name, file, operation, beside } = test;
    let found = figures(test, mine, all);
    if (setting.collect && found.liveBytes >= WORTH) {
      collect();
      const { liveBytes, liveCount, kept } = figures(test, mine, test.all.read());
      found = { ...found, liveBytes, liveCount, kept };
    }
    test.all.stop();
    running.delete(test);
    const apart = beside === 0 || tellsApart() !== false;
    report({ name, file, pid: process.pid, operation, threw, beside, apart, ...found });
  });
}

/** Runs a test and counts what it allocates; what it returns or throws is returned or thrown. */
export function counted<T>(named: Named, run: () => T): T {
  // A step of a round that does not count.
  for (const outer of warming) if (isWithin(named, outer)) return run();
  // One that does: it is the test that has rounds.
  for (const outer of running) if (isWithin(named, outer)) return countedOnce(named, run);
  let left = setting.rounds;
  const round = (): T => {
    const isLast = --left === 0;
    if (!isLast) warming.add(named);
    const result = countedOnce(named, run, (test) => {
      warming.delete(named);
      // A round that fails is the last.
      if (isLast || test.threw) tellTest(test);
    });
    if (isLast) return result;
    return isThenable(result) ? result.then(round) as T : round();
  };
  return round();
}

/** Tests that are in rounds that do not count. */
const warming = new Set<Named>();

function countedOnce<T>(named: Named, run: () => T, report: (test: Test) => void = tellTest): T {
  const test = open(named);
  const runInIt = test.beside > 0 ? runIn : runAloneIn;
  let ended = false;
  try {
    const result = runInIt(test.operation, () => withOwnFramesLess(run));
    ended = true;
    if (isThenable(result)) return settled(result, (threw) => close(test, threw, report)) as T;
    close(test, false, report);
    return result;
  } finally {
    // Not caught here: Bun tells a failure where it was thrown last.
    if (!ended) close(test, true, report);
  }
}

/** Lines of a stack that are heaptap's, which a test has below it: who reads of its failure looks for his own. */
const OWN_LINE = new RegExp(
  // As a path and as a URL.
  [join(import.meta.dirname ?? "", "../"), new URL("../", import.meta.url).pathname]
    .map((folder) => `${folder.replace(/[^\w/]/g, "\\$&")}(suite|scope)/`)
    .concat("\\bAsyncLocalStorage\\.run \\(", "node:async_hooks:").join("|"),
);

/** Runs a test; of what it throws the stack is told without heaptap's part. On Bun it is as it is: it shows the place that it was thrown at. */
function withOwnFramesLess<T>(run: () => T): T {
  if ("Bun" in globalThis) return run();
  try {
    return run();
  } catch (error) {
    throw withoutOwnFrames(error);
  }
}

/** What a test threw, with the stack that it would have without heaptap. */
function withoutOwnFrames(error: unknown): unknown {
  if ("Bun" in globalThis) return error;
  try {
    const { stack } = error as Error;
    if (typeof stack === "string") {
      const kept = stack.split("\n").filter((line) => !/^\s*at /.test(line) || !OWN_LINE.test(line)).join("\n");
      if (kept !== stack) (error as Error).stack = kept;
    }
  } catch {
    // It cannot be changed, and stays.
  }
  return error;
}

/** The same promise, once what is to be done at its end is done. */
async function settled(result: PromiseLike<unknown>, end: (threw: boolean) => void): Promise<unknown> {
  let value: unknown;
  try {
    value = await result;
  } catch (error) {
    end(true);
    throw withoutOwnFrames(error);
  }
  end(false);
  return value;
}

/** The same of a function that says by a call that it has ended. */
export function countedUntilDone(
  named: Named,
  run: (done: (...said: unknown[]) => void) => void,
  done: (...said: unknown[]) => void,
): void {
  const test = open(named);
  let ended = false;
  const end = (threw: boolean) => {
    if (!ended) close(test, threw, tellTest);
    ended = true;
  };
  try {
    runIn(test.operation, () =>
      run((...said) => {
        end(said[0] !== undefined && said[0] !== null);
        done(...said);
      }));
  } catch (error) {
    end(true);
    throw withoutOwnFrames(error);
  }
}

function tellTest(test: Test): void {
  tell({ kind: "test", test });
  tellNotes();
}
