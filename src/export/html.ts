/**
 * The HTML report: one file that needs no network. The data stands in it gzipped, and the page's own script
 * (src/export/page) draws them; a policy in the page lets nothing else run, and nothing be fetched.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { ComparedPath, Comparison } from "../judge/compare.ts";
import type { RunFigures } from "../judge/comparable.ts";
import { knownSeconds, peakExactness, processFacts, unseen } from "../profile/facts.ts";
import { count, plural } from "../profile/format.ts";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { sizeClassName } from "../profile/sizes.ts";
import type { ViewName } from "../profile/views.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { cleanStack } from "../symbols/trim.ts";
import type { Columns, PageData } from "./page/data.ts";
import { StackTable } from "./stack_table.ts";
import { outwardIn } from "./stacks.ts";
import type { StackOptions } from "./stacks.ts";

/** The page's scripts, each of which may use those before it. They become one. */
export const PAGE_SCRIPTS = ["format", "model", "tree", "timeline", "flame", "table", "main"] as const;

function part(name: string): string {
  return readFileSync(join(import.meta.dirname ?? "", "page", name), "utf8");
}

/** The scripts as one, in which what a file imports is there already. */
function script(): string {
  const joined = PAGE_SCRIPTS.map((name) => part(`${name}.js`)).join("\n");
  return joined.replace(/^import [^;]*;\n/gm, "").replace(/^export /gm, "");
}

/** What a policy knows a text by. */
function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function page(data: PageData): string {
  const [style, code] = [part("page.css"), script()];
  const title = `${data.title} \u00b7 heaptap`.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const policy = `default-src 'none'; script-src ${hash(code)}; style-src ${hash(style)}; img-src data:`;
  // What each empty element of the page takes.
  const texts: readonly (readonly [before: string, text: string, after: string])[] = [
    ['Content-Security-Policy" content="', policy, '"'],
    ["<title>", title, "</title>"],
    ["<style>", style, "</style>"],
    [
      '<script id="data" type="application/octet-stream">',
      gzipSync(JSON.stringify(data)).toString("base64"),
      "</script>",
    ],
    ['<script type="module">', code, "</script>"],
  ];
  return texts.reduce(
    (html, [before, text, after]) => html.replace(before + after, () => before + text + after),
    part("page.html"),
  );
}

function columns<T>(items: readonly T[], of: Readonly<Record<string, (item: T) => number>>): Columns {
  return Object.fromEntries(Object.entries(of).map(([name, figure]) => [name, items.map(figure)]));
}

const FIGURES: Readonly<Record<string, (path: CallPath) => number>> = {
  allocations: (p) => p.allocations,
  bytes: (p) => p.bytes,
  peakCount: (p) => p.peakCount,
  peakBytes: (p) => p.peakBytes,
  liveCount: (p) => p.liveCount,
  liveBytes: (p) => p.liveBytes,
  temporary: (p) => p.temporary,
};

/**
 * The page of a profile: timeline, flame graph, tables of call paths, functions, leaks and threads. Names must
 * have been resolved.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { htmlReport, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * writeFileSync("sort.html", htmlReport(profile, symbols));
 * ```
 */
export function htmlReport(
  profile: Profile,
  symbols: Symbols,
  { view = "peak", ...options }: StackOptions & { readonly view?: ViewName | undefined } = {},
): string {
  const { totals, process, callPaths, timeline } = profile;
  const stacks = new StackTable();
  for (const path of callPaths) stacks.add(outwardIn(path, symbols, options));
  const kept = callPaths.reduce((n, path) => n + path.allocations, 0);
  const notes = unseen(profile).map(([figure, words]) => `${figure} ${words}`.trim());
  if (peakExactness(profile)) notes.unshift(`The peak is ${peakExactness(profile)}`);
  notes.push(...symbols.remarks(callPaths, view));
  if (profile.limits.mode === "paths" && kept < totals.allocations) {
    notes.push(
      `Selected: ${count(callPaths.length)} ${plural(callPaths.length, "call path")} with ${
        count(kept)
      } of the allocations`,
    );
  }
  return page({
    title: commandLine(process),
    facts: processFacts(profile),
    notes,
    program: process.executable,
    view,
    live: process.running ? "Live now" : "Live at the end",
    totals: {
      allocations: totals.allocations,
      bytes: totals.bytes,
      peakBytes: totals.peakBytes,
      liveBytes: totals.liveBytes,
      liveCount: totals.liveCount,
      temporary: totals.temporary,
    },
    timeline: {
      end: knownSeconds(profile),
      ...columns(timeline, { seconds: (s) => s.seconds, bytes: (s) => s.bytes, rss: (s) => s.maxRss ?? -1 }),
    } as PageData["timeline"],
    threads: profile.threads.map((t) => ({
      name: t.merged > 1 ? `${t.name} (${count(t.merged)} threads)` : t.name,
      tid: t.tid,
      allocations: t.allocations,
      bytes: t.bytes,
      frees: t.frees,
      liveBytes: t.liveBytes,
      temporary: t.temporary,
      freedByOthersBytes: t.freedByOthersBytes,
    })),
    ...stacks.columns(),
    sizes: profile.limits.sizes ? sizesOf(callPaths) : undefined,
    figures: columns(callPaths, FIGURES),
  });
}

function sizesOf(paths: readonly CallPath[]): PageData["sizes"] {
  const requests = paths.map((path) => path.sizes?.requests ?? []);
  const classes = requests[0]?.length ?? 0;
  return {
    names: Array.from({ length: classes }, (_, i) => sizeClassName(i, classes)),
    requests,
    slack: paths.map((path) => path.sizes?.slack ?? -1),
  };
}

const COMPARED: readonly (keyof RunFigures)[] = ["allocations", "bytes", "peakBytes", "liveBytes", "temporary"];

function comparedColumns(paths: readonly ComparedPath[], run: "before" | "after"): Columns {
  return columns(paths, Object.fromEntries(COMPARED.map((name) => [name, (path) => path[run][name]])));
}

/**
 * The page of a comparison: a flame graph that is red where the later run has more and blue where it has less,
 * and a table of what changed.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { compare, comparisonHtml, readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * writeFileSync("change.html", comparisonHtml(compare(run, run)));
 * ```
 */
export function comparisonHtml(comparison: Comparison, { raw }: StackOptions = {}): string {
  const { before, after, unchanged } = comparison;
  const paths = [...comparison.paths, ...unchanged];
  const stacks = new StackTable();
  for (const { names } of paths) {
    const kept = raw ? [...names] : cleanStack(names, (name) => name);
    stacks.add(kept.reverse().map((name) => ({ name, module: "", file: "", line: 0 })));
  }
  const figures = (totals: RunFigures) => Object.fromEntries(COMPARED.map((name) => [name, totals[name]]));
  return page({
    title: `${before.title} \u2192 ${after.title}`,
    facts: [
      `${count(comparison.paths.length)} ${plural(comparison.paths.length, "call path")} differ`,
      `${count(unchanged.length)} are the same`,
      "call paths with the same names count as one",
    ],
    notes: before.executable === after.executable
      ? []
      : [`Different programs: ${before.executable} and ${after.executable}`],
    program: "",
    view: "allocated",
    live: "Live at the end",
    totals: figures(after.totals),
    before: figures(before.totals),
    ...stacks.columns(),
    figures: comparedColumns(paths, "after"),
    figuresBefore: comparedColumns(paths, "before"),
  });
}
