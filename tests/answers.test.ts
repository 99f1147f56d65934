/**
 * The question that each program of tests/answers asks, and the answer that a person would give: the user's function stands in
 * the first two rows at 80 columns, in text, in the page's first view and in a budget's message.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { findInPath } from "../src/native/build.ts";
import { startBrowser } from "./browser.ts";
import { heaptap, perfPython, ROOT, scratch, without, withoutWorking } from "./helpers.ts";

const folder = scratch();
const browser = await startBrowser();

/** A source of tests/answers, in the folder where it is built. */
function source(name: string): string {
  const path = join(folder, name);
  if (!existsSync(path)) copyFileSync(join(ROOT, "tests/answers", name), path);
  return path;
}

function build(tool: string, ...args: string[]): void {
  const built = spawnSync(tool, args, { cwd: folder, encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
}

/** A program of one source; returns its path. */
function compiled(name: string, ...flags: string[]): string {
  const program = join(folder, name.replace(/\.\w+$/, ""));
  build(name.endsWith(".c") ? "cc" : "c++", "-g", source(name), ...flags, "-o", program);
  return program;
}

/** The line of a source that has a text. */
function line(name: string, text: string): number {
  const at = readFileSync(join(ROOT, "tests/answers", name), "utf8").split("\n").findIndex((l) => l.includes(text));
  assert.ok(at >= 0, `${text} in ${name}`);
  return at + 1;
}

const python = perfPython();
const hasNumpy = python !== undefined && spawnSync(python, ["-c", "import numpy"]).status === 0;

interface Question {
  readonly about: string;
  /** The command to run, made when the test does. */
  readonly command: () => string[];
  /** What the first two rows say of what is live at the peak. */
  readonly peak: RegExp;
  /** What the first two rows say of what is live at the end, where that is asked. */
  readonly live?: RegExp;
  /** What the lines before the tables say. */
  readonly first: RegExp;
  readonly env?: Record<string, string>;
  readonly skip?: string | false;
}

const node = findInPath("node") ?? "";
const questions: Question[] = [
  {
    about: "C++ containers and std::function, at -O2",
    command: () => [compiled("orders.cc", "-O2")],
    peak: /^load_orders orders\.cc:\d+ {2}via std::/,
    live: RegExp(`^remember_failure orders\\.cc:${line("orders.cc", "std::malloc(2000)")}$`),
    first:
      /% of the peak .* was made by load_orders orders\.cc:\d+.*600 KB in 300 blocks were never freed, made by remember_failure/,
  },
  {
    about: "templates",
    command: () => [compiled("grids.cc", "-O2")],
    peak: /^(Grid<.*>::Grid|make_layers) grids\.cc:\d+/,
    first: /made by (Grid<double, std::vector<double>>::Grid|make_layers) grids\.cc:\d+/,
  },
  {
    about: "templates without optimisation",
    command: () => [compiled("grids.cc", "-O0")],
    peak: /^Grid<.*>::Grid grids\.cc:\d+/,
    first: /made by Grid<double, std::vector<double>>::Grid grids\.cc:\d+/,
  },
  {
    about: "a wrapper in a library of the program's",
    command: () => {
      build("cc", "-g", "-O1", "-shared", "-fPIC", source("pool.c"), "-o", join(folder, "libpool.so"));
      return [compiled("reader.c", "-O1", `-L${folder}`, "-lpool", `-Wl,-rpath,${folder}`)];
    },
    peak: /^read_lines reader\.c:\d+$/,
    first: /made by read_lines reader\.c:\d+/,
  },
  {
    about: "Rust, a HashMap behind a trait",
    command: () => {
      build("rustc", "-g", "-O", source("ledger.rs"), "-o", join(folder, "ledger"));
      return [join(folder, "ledger")];
    },
    skip: withoutWorking("rustc"),
    peak: /^<.*Journal as .*Book>::record ledger\.rs:\d+/,
    first: /made by <ledger::Journal as ledger::Book>::record ledger\.rs:\d+/,
  },
  {
    about: "CPython",
    command: () => [python ?? "", "-X", "perf", source("lists.py")],
    env: { PYTHONMALLOC: "malloc" },
    skip: python ? false : "no Python 3.12 or later that writes perf maps",
    peak: /^collect lists\.py/,
    first: /made by collect lists\.py/,
  },
  {
    about: "CPython with numpy",
    command: () => [python ?? "", "-X", "perf", source("arrays.py")],
    env: { PYTHONMALLOC: "malloc" },
    skip: hasNumpy ? false : "no Python 3.12 or later with numpy",
    peak: /^(normalise|main) arrays\.py/,
    first: /made by (normalise|main) arrays\.py/,
  },
  {
    about: "Node",
    command: () => [node, "--perf-basic-prof", "--interpreted-frames-native-stack", source("images.js")],
    skip: without("node"),
    peak: /^decodeImages images\.js:\d+/,
    first: /made by decodeImages images\.js:\d+/,
  },
  {
    about: "the JVM",
    command: () => {
      build("javac", source("Direct.java"));
      const flags = ["-XX:+UnlockDiagnosticVMOptions", "-XX:+DumpPerfMapAtExit", "-Xcomp", "-XX:+PreserveFramePointer"];
      return ["java", ...flags, "-XX:CompileCommand=dontinline,Direct.*", "-cp", folder, "Direct"];
    },
    skip: without("javac"),
    peak: /Direct(::|\.)fillBuffers/,
    first: /made by .*Direct(::|\.)fillBuffers/,
  },
  {
    about: "a program behind a script that clears its environment",
    command: () => {
      const script = source("start.sh");
      chmodSync(script, 0o755);
      return [script, compiled("growing.c", "-O1", "-fno-builtin")];
    },
    peak: /^grow_table growing\.c:\d+$/,
    first: /the peak .*made by grow_table growing\.c:\d+/,
  },
  {
    about: "a plugin",
    command: () => {
      build("cc", "-g", "-O1", "-fno-builtin", "-shared", "-fPIC", source("rows.c"), "-o", join(folder, "rows.so"));
      return [compiled("host.c", "-O1", "-ldl"), join(folder, "rows.so")];
    },
    peak: /^import_rows rows\.c:\d+$/,
    live: /^import_rows rows\.c:\d+$/,
    first: /made by import_rows rows\.c:\d+, and never freed/,
  },
  {
    about: "threads",
    command: () => [compiled("workers.cc", "-O1", "-pthread")],
    peak: /^serve_client workers\.cc:\d+$/,
    live: /^serve_client workers\.cc:\d+$/,
    first: /made by serve_client workers\.cc:\d+, and never freed/,
  },
  {
    about: "what the C library allocates for its caller",
    command: () => [compiled("sorter.c", "-O1", "-fno-builtin")],
    peak: /^load_words sorter\.c:\d+$/,
    first: /made by load_words sorter\.c:\d+/,
  },
];

/** The first two rows of a section of a report: what stands behind their figures. */
function rows(report: string, title: string): string[] {
  const section = report.slice(report.indexOf(`Top call paths by ${title}`)).split("\n\n")[0] ?? "";
  return section.split("\n").slice(2).filter((text) => /^ *[\d.,]+ [KMG]?B /.test(text))
    .map((text) => text.replace(/^ *[\d.,]+ [KMG]?B +[\d.]+% +[\d,]+ {2}/, "")).slice(0, 2);
}

for (const { about, command, peak, live, first, env = {}, skip = false } of questions) {
  test(`the answer in the first rows: ${about}`, { skip }, async () => {
    const name = about.replace(/\W+/g, "-");
    const file = join(folder, `${name}.heaptap`);
    const run = heaptap(["run", "-o", file, "--max-peak", "1", "--", ...command()], {
      cwd: folder,
      env: { COLUMNS: "80", ...env },
    });
    const report = run.stderr;
    assert.match(report.replace(/\s+/g, " "), first);
    const has = (found: readonly string[], what: RegExp) =>
      assert.ok(found.some((text) => what.test(text)), `${what} in\n${found.join("\n")}\nof\n${report}`);
    has(rows(report, "live at the peak"), peak);
    if (live) has(rows(report, "live at the end"), live);
    const budget = report.slice(report.indexOf("over budget: max-peak"));
    assert.match(
      budget.split("\n").slice(1, 3).join("\n"),
      new RegExp(peak.source.replace(/^\^|\$$/g, "").split(/ [\w.\\]+\\\./)[0] ?? ""),
    );
    const page = join(folder, `${name}.html`);
    const told = heaptap(["report", "-o", page, file]);
    assert.equal(told.status, 0, told.stderr);
    if (!browser) return;
    const tab = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    try {
      await tab.goto(pathToFileURL(page).href);
      await tab.waitForSelector("body[data-ready]");
      const texts = await tab.locator("#table .rows .row").evaluateAll((found) =>
        found.slice(0, 2).map((row) => (row as HTMLElement).innerText.replace(/\s+/g, " ").replace(/ ::/g, "::"))
      );
      const fn = new RegExp(peak.source.replace(/^\^|\$$/g, "").split(/ [\w.\\]+\\\./)[0] ?? "");
      assert.ok(texts.some((text) => fn.test(text)), `${fn} in\n${texts.join("\n")}`);
    } finally {
      await tab.close();
    }
  });
}
