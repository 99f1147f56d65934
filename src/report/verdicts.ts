/** Budgets that were kept or not, as text, as workflow annotations and as a JUnit file. */
import { isBytes } from "../judge/run_figures.ts";
import { sourcePlace } from "../symbols/named_frame.ts";
import type { Verdict } from "../judge/budget.ts";
import { bytes, count, printable } from "../profile/format.ts";

const SHOWN = 5;

function shown(verdict: Verdict, n: number): string {
  const whole = Math.round(n);
  return isBytes(verdict.figure) ? `${bytes(whole)} (${count(whole)} B)` : count(whole);
}

/** What was broken, and by how much, in one line. */
export function breachText(verdict: Verdict): string {
  const excess = verdict.actual - verdict.allowed;
  const share = verdict.allowed > 0 ? ` (${(100 * excess / verdict.allowed).toFixed(1)}%)` : "";
  return `${verdict.name}: ${shown(verdict, verdict.actual)}, where ${shown(verdict, verdict.allowed)} is allowed: ${
    shown(verdict, excess)
  } too much${share}`;
}

function responsibleLines(verdict: Verdict): string[] {
  // What several call paths of one place come to.
  const places = new Map<string, number>();
  for (const { culprit, names, figures } of verdict.responsible) {
    const place = sourcePlace(culprit);
    const text = printable(`${culprit.function || names[0] || "(unknown)"}${place && ` (${place})`}`);
    places.set(text, (places.get(text) ?? 0) + figures[verdict.figure]);
  }
  return [...places].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
    .map(([text, n]) => `    ${isBytes(verdict.figure) ? bytes(n) : count(n)}  ${text}`);
}

/**
 * The budgets that were not kept, each with the call paths that it comes from, and those whose name matched nothing, which
 * were kept of nothing; "" when there are neither.
 *
 * @example
 * ```ts
 * import { breachesText, judge, readComparable } from "./mod.ts";
 *
 * const verdicts = judge(await readComparable("sort.heaptap"), [{ limit: "max-allocations", allowed: 1 }]);
 * console.log(breachesText(verdicts));
 * ```
 */
export function breachesText(
  verdicts: readonly Verdict[],
  nothing: string = "no call path has such a function",
): string {
  const strays = verdicts.filter(({ matched }) => !matched)
    .map(({ name }) => `budget of nothing: ${printable(name)}: ${nothing}\n`);
  const broken = verdicts.filter(({ kept }) => !kept)
    .map((verdict) => [`over budget: ${breachText(verdict)}`, ...responsibleLines(verdict)].join("\n") + "\n");
  return [...strays, ...broken].join("");
}

/** The same as GitHub workflow commands, which show as annotations; percent and line breaks are escaped. */
export function annotations(verdicts: readonly Verdict[]): string {
  const escape = (text: string) => text.replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
  return verdicts.filter((verdict) => !verdict.kept).map((verdict) => {
    const place = verdict.responsible.find(({ culprit }) => culprit.file && culprit.line > 0)?.culprit;
    const property = (text: string) => escape(text).replace(/:/g, "%3A").replace(/,/g, "%2C");
    const at = place ? ` file=${property(place.file)},line=${place.line}` : "";
    return `::error${at}::heaptap over budget: ${
      escape([breachText(verdict), ...responsibleLines(verdict)].join("\n"))
    }\n`;
  }).join("");
}

/** A text as XML has it. */
export function escapeXml(text: string): string {
  // deno-lint-ignore no-control-regex -- XML has no way to write them
  const shown = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "\ufffd");
  return shown.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/** A budget that was not kept, inside of its test case. */
export function failureXml(verdict: Verdict): string {
  const detail = escapeXml(responsibleLines(verdict).join("\n"));
  return `      <failure message="${escapeXml(breachText(verdict))}">${detail}</failure>\n`;
}

/** A JUnit file of one suite, whose attributes say how many test cases there are of a kind. */
export function junitFile(
  title: string,
  counts: Readonly<Record<string, number>>,
  cases: readonly string[],
): string {
  const attributes = Object.entries(counts).map(([name, n]) => ` ${name}="${n}"`).join("");
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n  <testsuite name="${
    escapeXml(`heaptap ${title}`)
  }"${attributes}>\n${cases.join("")}  </testsuite>\n</testsuites>\n`;
}

/**
 * All budgets as a JUnit file, a test case each.
 *
 * @example
 * ```ts
 * import { annotations, judge, junitReport, readComparable } from "./mod.ts";
 *
 * const verdicts = judge(await readComparable("sort.heaptap"), [{ limit: "max-peak", allowed: 1 }]);
 * console.log(junitReport("sort", verdicts));
 * if (process.env.GITHUB_ACTIONS) console.log(annotations(verdicts));
 * ```
 */
export function junitReport(title: string, verdicts: readonly Verdict[]): string {
  const skipped = verdicts.filter(({ matched }) => !matched).length;
  const failures = verdicts.filter((verdict) => !verdict.kept).length;
  const cases = verdicts.map((verdict) => {
    const open = `    <testcase classname="heaptap" name="${escapeXml(verdict.name)}"`;
    if (!verdict.matched) {
      return `${open}>\n      <skipped message="no call path has such a function"/>\n    </testcase>\n`;
    }
    return verdict.kept ? `${open}/>\n` : `${open}>\n${failureXml(verdict)}    </testcase>\n`;
  });
  return junitFile(title, { tests: verdicts.length, failures, skipped }, cases);
}
