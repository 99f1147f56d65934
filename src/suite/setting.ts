/** What the command line tells the process that tests or benchmarks run in, and what that answers: a line of JSON each. */
import type { Bench, Test } from "../judge/suite.ts";

/** How tests and benchmarks are to be counted. */
export interface Setting {
  /** The file that lines are added to. */
  readonly results: string;
  /** The compiled library. */
  readonly library: string;
  /** The file of the recording, with `%p` for the process's number; "" for memory alone. */
  readonly out: string;
  /** Whether the thread of the tests is counted alone, without those that work for it. */
  readonly thread: boolean;
  /** Count what passes through these modules alone; a regular expression, "" for all. */
  readonly modules: string;
  /** How often each test runs; the last time counts. */
  readonly rounds: number;
  /** Whether other files' tests run in other threads of the process. */
  readonly parallel: boolean;
  /** Whether garbage is collected before what a test left is counted. */
  readonly collect: boolean;
}

/** A line of the answer. */
export type Line =
  | { readonly kind: "test"; readonly test: Test }
  | { readonly kind: "bench"; readonly bench: Bench }
  /** What figures do not tell. */
  | { readonly kind: "notes"; readonly notes: readonly string[] }
  /** Why nothing can be counted. */
  | { readonly kind: "problem"; readonly problem: string };
