/** What tests and benchmarks allocated, as text, Markdown and a JUnit file. */
import { testKey } from "../judge/suite.ts";
import type { Suite, Test, TestFigure, TestVerdict } from "../judge/suite.ts";
import { bytes, bytesPerCall, clip, count, perCall, plural, printable } from "../profile/format.ts";
import { markdownTable } from "./table.ts";
import { breachText, escapeXml, responsibleLines } from "./verdicts.ts";

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

/** Tests in order, the largest first. */
export function sortedTests({ tests }: Suite, sortBy: SuiteOptions["sortBy"]): Test[] {
  const figure = (test: Test) => test[TEST_SORTS[sortBy]] ?? -Infinity;
  return [...tests].sort((a, b) => figure(b) - figure(a) || b.bytes - a.bytes);
}

const TITLES = ["left", "peak", "allocated", "allocations"] as const;

function figures(test: Test): string[] {
  // What others did is in it.
  const about = test.apart ? "" : "~";
  const size = (n: number | null) => n === null ? "?" : about + bytes(n);
  return [size(test.liveBytes), size(test.peakBytes), size(test.bytes), about + count(test.allocations)];
}

/** By how much a test's figure changed. */
function change(test: Test, before: ReadonlyMap<string, Test> | undefined, sortBy: SuiteOptions["sortBy"]): string {
  if (!before) return "";
  const was = before.get(testKey(test));
  if (!was) return "  (new)";
  const figure = TEST_SORTS[sortBy];
  const by = (test[figure] ?? 0) - (was[figure] ?? 0);
  if (by === 0) return "";
  return `  (${by > 0 ? "+" : "-"}${figure === "allocations" ? count(Math.abs(by)) : bytes(Math.abs(by))})`;
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
  const { limit, sortBy, width } = options;
  const before = options.before && new Map(options.before.tests.map((test) => [testKey(test), test]));
  const sorted = sortedTests(suite, sortBy);
  const shown = limit > 0 ? sorted.slice(0, limit) : sorted;
  const cells = shown.map(figures);
  const widths = TITLES.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join("  ");
  const used = widths.reduce((sum, n) => sum + n + 2, 0);
  const rows = shown.map((test, i) => {
    const name = `${printable(test.name)}${test.threw ? "  (threw)" : ""}${change(test, before, sortBy)}`;
    const place = printable(test.file);
    const room = Math.max(20, width - used);
    const named = name.length + place.length + 2 <= room ? `${name}  ${place}` : clip(name, room);
    const why = options.because(test);
    return `${line(cells[i] ?? [])}  ${named}\n${why && `    ${clip(why, Math.max(20, width - 4))}\n`}`;
  });
  const rest = tests.length - shown.length;
  return [
    `${printable(suite.title)}: ${count(tests.length)} ${plural(tests.length, "test")}\n\n`,
    ...tests.length > 0 ? [`${line(TITLES)}  test\n`, ...rows] : [],
    ...rest > 0 ? [`and ${count(rest)} more (--limit 0)\n`] : [],
    ...suite.notes.map((note) => `${printable(note)}\n`),
  ].join("");
}

/** The tests as a table for a review. */
export function suiteMarkdown(
  suite: Suite,
  { limit, sortBy, before }: Pick<SuiteOptions, "limit" | "sortBy" | "before">,
): string {
  const columns = [{ title: "test", figures: false }, ...TITLES.map((title) => ({ title, figures: true }))];
  const was = before && new Map(before.tests.map((test) => [testKey(test), test]));
  const sorted = sortedTests(suite, sortBy);
  const shown = limit > 0 ? sorted.slice(0, limit) : sorted;
  const table = markdownTable(
    columns,
    shown.map((test) => [`${printable(test.name)}${change(test, was, sortBy)}`, ...figures(test)]),
  );
  const rest = sorted.length - shown.length;
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
    const failed = broken.filter((verdict) => verdict.test === test).map(({ verdict }) =>
      `      <failure message="${escapeXml(breachText(verdict))}">${
        escapeXml(responsibleLines(verdict).join("\n"))
      }</failure>\n`
    );
    return `    <testcase classname="${escapeXml(test.file)}" name="${
      escapeXml(test.name)
    }">\n      <properties>\n${properties}      </properties>\n${failed.join("")}    </testcase>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n  <testsuite name="${
    escapeXml(`heaptap ${suite.title}`)
  }" tests="${suite.tests.length}" failures="${failures}">\n${cases.join("")}  </testsuite>\n</testsuites>\n`;
}

/** A benchmark as it is shown. */
export interface ShownBench {
  readonly name: string;
  readonly file: string;
  readonly allocations: PerCall;
  readonly bytes: PerCall;
  /** Why it could not be measured. */
  readonly error?: string | undefined;
}

interface PerCall {
  readonly least: number;
  readonly median: number;
}

/** Benchmarks as a table: of the round with the least, with the median where that reads otherwise. */
export function benchesText(benches: readonly ShownBench[], notes: readonly string[], width: number): string {
  const both = ({ least, median }: PerCall, show: (n: number) => string) =>
    show(least) === show(median) ? show(least) : `${show(least)}…${show(median)}`;
  const titles = ["allocs/op", "B/op"];
  const cells = benches.map(({ allocations, bytes, error }) =>
    error === undefined ? [both(allocations, perCall), both(bytes, bytesPerCall)] : ["", ""]
  );
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[], name: string) =>
    `${row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join("  ")}  ${name}\n`;
  const room = Math.max(20, width - widths.reduce((sum, n) => sum + n + 2, 0));
  return [
    line(titles, "benchmark"),
    ...benches.map(({ name, error }, i) =>
      line(cells[i] ?? [], clip(printable(error === undefined ? name : `${name}: ${error}`), room))
    ),
    ...notes.map((note) => `${printable(note)}\n`),
  ].join("");
}
