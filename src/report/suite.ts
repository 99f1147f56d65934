/** What tests and benchmarks allocated, as text, Markdown and a JUnit file. */
import { testKey } from "../judge/suite.ts";
import type { Bench, PerCall, Suite, Test, TestFigure, TestVerdict } from "../judge/suite.ts";
import { bytes, bytesPerCall, clip, count, perCall, plural, printable } from "../profile/format.ts";
import { figureColumns, markdownTable } from "./table.ts";
import { escapeXml, failureXml, junitFile } from "./verdicts.ts";

/** What tests are sorted by, as the command line names it. */
export const TEST_SORTS: Readonly<Record<"left" | "peak" | "size" | "count", TestFigure>> = {
  left: "liveBytes",
  peak: "peakBytes",
  size: "bytes",
  count: "allocations",
};

/** How the table is to look. */
export interface SuiteOptions {
  /** Tests that are shown, 0 for all. */
  readonly limit: number;
  readonly sortBy: keyof typeof TEST_SORTS;
  /** Columns of the terminal. */
  readonly width: number;
  /** An earlier run, whose figures are told beside. */
  readonly before?: Suite | undefined;
  /** Where most of what a test is sorted by comes from; "" where that is not known. */
  because(test: Test): string;
}

/** The tests that are shown, the largest first. */
export function shownTests({ tests }: Suite, { limit, sortBy }: Pick<SuiteOptions, "limit" | "sortBy">): Test[] {
  const figure = (test: Test) => test[TEST_SORTS[sortBy]] ?? -Infinity;
  const sorted = [...tests].sort((a, b) => figure(b) - figure(a) || b.bytes - a.bytes);
  return limit > 0 ? sorted.slice(0, limit) : sorted;
}

const TITLES = ["left", "peak", "allocated", "allocations"] as const;

function figures(test: Test): string[] {
  // What others did is in it.
  const about = test.apart ? "" : "~";
  const size = (n: number | null) => n === null ? "?" : about + bytes(n);
  return [size(test.liveBytes), size(test.peakBytes), size(test.bytes), about + count(test.allocations)];
}

/** Says by how much a test's figure changed since an earlier run; nothing where there is none. */
function changes({ before, sortBy }: Pick<SuiteOptions, "before" | "sortBy">): (test: Test) => string {
  if (!before) return () => "";
  const earlier = new Map(before.tests.map((test) => [testKey(test), test]));
  const figure = TEST_SORTS[sortBy];
  const show = figure === "allocations" ? count : bytes;
  return (test) => {
    const was = earlier.get(testKey(test));
    if (!was) return "  (new)";
    const by = (test[figure] ?? 0) - (was[figure] ?? 0);
    return by === 0 ? "" : `  (${by > 0 ? "+" : "-"}${show(Math.abs(by))})`;
  };
}

/** Sentences about tests that are not told apart. */
export function overlapNotes(tests: readonly Test[]): string[] {
  const mixed = tests.filter(({ apart }) => !apart).length;
  const unknown = tests.filter(({ apart, beside }) => apart && beside > 0).length;
  return [
    ...mixed > 0
      ? [
        `${count(mixed)} ${
          plural(mixed, "test")
        } (~) ran at the same time as others, and the figures are of them together`,
      ]
      : [],
    ...unknown > 0
      ? [
        `${count(unknown)} ${
          plural(unknown, "test")
        } ran at the same time as others: the figures are its own, what other threads did for it and its peak (?) are not known`,
      ]
      : [],
  ];
}

/** The table of tests for people. */
export function suiteText(suite: Suite, options: SuiteOptions): string {
  const { tests } = suite;
  const { width } = options;
  const change = changes(options);
  const shown = shownTests(suite, options);
  const cells = shown.map(figures);
  const { line, used } = figureColumns(TITLES, cells);
  const rows = shown.map((test, i) => {
    const name = `${printable(test.name)}${test.threw ? "  (threw)" : ""}${change(test)}`;
    const place = printable(test.file);
    const room = Math.max(20, width - used);
    const named = name.length + place.length + 2 <= room ? `${name}  ${place}` : clip(name, room);
    const why = options.because(test);
    return `${line(cells[i] ?? [])}${named}\n${why && `    ${clip(why, Math.max(20, width - 4))}\n`}`;
  });
  const rest = tests.length - shown.length;
  return [
    `${printable(suite.title)}: ${count(tests.length)} ${plural(tests.length, "test")}\n\n`,
    ...tests.length > 0 ? [`${line(TITLES)}test\n`, ...rows] : [],
    ...rest > 0 ? [`and ${count(rest)} more (--limit 0)\n`] : [],
    ...suite.notes.map((note) => `${printable(note)}\n`),
  ].join("");
}

/** The tests as a table for a review. */
export function suiteMarkdown(
  suite: Suite,
  options: Pick<SuiteOptions, "limit" | "sortBy" | "before">,
): string {
  const columns = [{ title: "test", figures: false }, ...TITLES.map((title) => ({ title, figures: true }))];
  const change = changes(options);
  const shown = shownTests(suite, options);
  const table = markdownTable(
    columns,
    shown.map((test) => [`${printable(test.name)}${change(test)}`, ...figures(test)]),
  );
  const rest = suite.tests.length - shown.length;
  const notes = suite.notes.map((note) => `\n${note}\n`).join("");
  return `### ${printable(suite.title)}\n\n${table}${rest > 0 ? `\nand ${count(rest)} more\n` : ""}${notes}`;
}

/** The tests as a JUnit file: one that broke a limit is a failure, with its figures as properties. */
export function suiteJunit(suite: Suite, verdicts: readonly TestVerdict[]): string {
  const broken = verdicts.filter(({ verdict }) => !verdict.kept);
  const failures = new Set(broken.map(({ test }) => test)).size;
  const cases = suite.tests.map((test) => {
    const properties = (["allocations", "bytes", "peakBytes", "liveBytes"] as const).filter((name) =>
      test[name] !== null
    )
      .map((name) => `        <property name="${name}" value="${test[name]}"/>\n`).join("");
    const failed = broken.filter((verdict) => verdict.test === test).map(({ verdict }) => failureXml(verdict));
    return `    <testcase classname="${escapeXml(test.file)}" name="${
      escapeXml(test.name)
    }">\n      <properties>\n${properties}      </properties>\n${failed.join("")}    </testcase>\n`;
  });
  return junitFile(suite.title, { tests: suite.tests.length, failures }, cases);
}

const BENCH_TITLES = ["allocs/op", "B/op"] as const;

/** Of the round with the least, with the median where that reads otherwise; nothing of one that could not be measured. */
function benchFigures({ allocations, bytes, error }: Bench): string[] {
  if (error !== undefined) return ["", ""];
  const both = ({ least, median }: PerCall, show: (n: number) => string) =>
    show(least) === show(median) ? show(least) : `${show(least)}…${show(median)}`;
  return [both(allocations, perCall), both(bytes, bytesPerCall)];
}

const benchName = ({ name, error }: Bench) => printable(error === undefined ? name : `${name}: ${error}`);

/** Benchmarks as a table for people. */
export function benchesText(benches: readonly Bench[], notes: readonly string[], width: number): string {
  const cells = benches.map(benchFigures);
  const { line, used } = figureColumns(BENCH_TITLES, cells);
  return [
    `${line(BENCH_TITLES)}benchmark\n`,
    ...benches.map((bench, i) => `${line(cells[i] ?? [])}${clip(benchName(bench), Math.max(20, width - used))}\n`),
    ...notes.map((note) => `${printable(note)}\n`),
  ].join("");
}

/** The same as a table for a review. */
export function benchesMarkdown(benches: readonly Bench[], notes: readonly string[]): string {
  const columns = [
    { title: "benchmark", figures: false },
    ...BENCH_TITLES.map((title) => ({ title, figures: true })),
  ];
  const rows = benches.map((bench) => [benchName(bench), ...benchFigures(bench)]);
  return markdownTable(columns, rows) + notes.map((note) => `\n${note}\n`).join("");
}
