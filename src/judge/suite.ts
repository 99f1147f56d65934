/** What the tests of a suite allocated, each by itself, and whether limits on them were kept. */
import { matches } from "../profile/select.ts";
import type { Verdict } from "./budget.ts";
import { LIMITS } from "./limit.ts";
import type { Budget } from "./limit.ts";
import type { ComparablePath } from "./comparable.ts";
import type { RunFigures } from "./run_figures.ts";

/** Figures of a test that are shown and limited. */
export type TestFigure = Exclude<keyof RunFigures, "temporary">;

/** What a test allocated, natively. */
export interface TestFigures extends Readonly<Record<Exclude<TestFigure, "peakBytes">, number>> {
  /** How far the bytes in use rose above their level at its start; null when other tests ran at the same time, or modules alone are counted. */
  readonly peakBytes: number | null;
  /** Blocks that it left in use. */
  readonly liveCount: number;
}

/** A test that ran. */
export interface Test extends TestFigures {
  /** Its name, with those of the groups or tests around it: `parser > empty input`. */
  readonly name: string;
  /** The file that it stands in. */
  readonly file: string;
  /** The process that it ran in. */
  readonly pid: number;
  /** The operation under which its call paths are recorded. */
  readonly operation: string;
  /** Whether its function ended with an error. A runner may call a test failed, or not, for other reasons. */
  readonly threw: boolean;
  /** Other tests that ran at the same time in its thread. */
  readonly beside: number;
  /** Whether its figures are of its own all the same. */
  readonly apart: boolean;
  /** Call paths that had most of what it left, by their numbers in the recording, the largest first. */
  readonly kept: readonly KeptPath[];
}

/** What a call path had in use when a test ended. */
export interface KeptPath {
  readonly path: number;
  readonly liveBytes: number;
}

/** A figure of a call, over rounds. */
export interface PerCall {
  /** Of the round with the least: what the function itself does, where a runtime adds to some rounds. */
  readonly least: number;
  /** The median over rounds. */
  readonly median: number;
}

/** What a benchmark allocates a call. */
export interface Bench {
  /** Its name, with its group's. */
  readonly name: string;
  /** The file that it stands in. */
  readonly file: string;
  readonly allocations: PerCall;
  readonly bytes: PerCall;
  /** Whether all rounds were the same. */
  readonly exact: boolean;
  /** Why it could not be measured. */
  readonly error?: string | undefined;
}

/** A suite's tests, and what their figures do not tell. */
export interface Suite {
  /** What was run. */
  readonly title: string;
  /** In the order in which they ended. */
  readonly tests: readonly Test[];
  /** A sentence each. */
  readonly notes: readonly string[];
}

/** A limit on a test: see {@linkcode Verdict}. */
export interface TestVerdict {
  /** The test; undefined for a budget whose name no test has. */
  readonly test: Test | undefined;
  /** What is said of it. */
  readonly verdict: Verdict;
}

/** What a test is known by in two runs: a test that a file has twice stands for both. */
export function testKey({ file, name }: Pick<Test, "file" | "name">): string {
  return `${file}\0${name}`;
}

/**
 * Figures that may not grow by more than some percent, and what they may grow by in any case: an engine compiles a function now a call sooner
 * and now later. Not the peak, which depends on when it collects garbage.
 */
const GROWTH: readonly (readonly [TestFigure, slack: number])[] = [
  ["allocations", 200],
  ["bytes", 128 * 1024],
  ["liveBytes", 16 * 1024],
];

/**
 * Judges each test by the limits: those of all tests, those of tests whose name matches, and how much it may have grown against an
 * earlier run, `exact` where nothing but the tests has a part in the figures. `paths` gives the call paths that a test's figure comes from.
 */
export function judgeTests(
  suite: Suite,
  budgets: readonly Budget[],
  growth: { readonly before: Suite; readonly percent: number; readonly exact: boolean } | undefined,
  paths: (test: Test) => readonly ComparablePath[],
): TestVerdict[] {
  const verdicts: TestVerdict[] = [];
  const add = (test: Test, name: string, figure: keyof RunFigures, allowed: number) => {
    const actual = test[figure as TestFigure];
    // Of a peak that is not known nothing can be said; it is among the notes.
    if (actual === null) return;
    const kept = actual <= allowed;
    const responsible = kept
      ? []
      : paths(test).filter(({ figures }) => figures[figure] > 0).sort((a, b) => b.figures[figure] - a.figures[figure]);
    verdicts.push({
      test,
      verdict: { name: `${test.name}: ${name}`, figure, allowed, actual, kept, matched: true, responsible },
    });
  };
  for (const { limit, allowed, part } of budgets) {
    const figure = LIMITS[limit];
    const meant = suite.tests.filter(({ name }) => !part || matches(part, name));
    for (const test of meant) add(test, limit, figure, allowed);
    if (meant.length === 0) {
      const name = part ? `${limit} of /${part.source}/` : limit;
      verdicts.push({
        test: undefined,
        verdict: { name, figure, allowed, actual: 0, kept: true, matched: false, responsible: [] },
      });
    }
  }
  if (!growth) return verdicts;
  const before = new Map(growth.before.tests.map((test) => [testKey(test), test]));
  for (const test of suite.tests) {
    const was = before.get(testKey(test));
    for (const [figure, slack] of GROWTH) {
      const then = was?.[figure];
      if (typeof then !== "number") continue;
      // What it kept before may have been less than nothing.
      const allowed = Math.max(0, then) * (1 + growth.percent / 100);
      add(
        test,
        `max-growth of ${figure}`,
        figure,
        growth.exact ? allowed : Math.max(allowed, Math.max(0, then) + slack),
      );
    }
  }
  return verdicts;
}
