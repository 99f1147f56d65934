/**
 * The benchmark of formats: 131,072 call paths of some 38 frames, the memory of the process beside. Prints a
 * table of docs/PERFORMANCE.md; run it with Deno and with Bun. Names are looked up beforehand.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { exportBlocks, FORMAT_NAMES, profile, shownPaths, Symbols, textReport, writeReport } from "../mod.ts";

/** How deep the tree of call paths is, 2 of them at each level; 131,072 of them when left out. */
const DEPTH = process.env.HEAPTAP_BENCH_DEPTH ?? "17";
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));
const [script, format = "", file = "", made = ""] = process.argv.slice(1);

if (format) {
  // One format in a process of its own.
  const { Recording } = await import("../mod.ts");
  const begun = performance.now();
  const read = Recording.open(file).profile();
  const opened = performance.now();
  using symbols = new Symbols(read);
  await symbols.resolve(format === "text" ? shownPaths(read, 10) : read.callPaths);
  const named = performance.now();
  const options = { limit: 10, verbosity: 0, width: 100, color: false };
  const out = format === "text"
    ? textReport(read, symbols, options)
    : exportBlocks(read, symbols, format as typeof FORMAT_NAMES[number]);
  writeReport(made, out);
  const seconds = [opened - begun, named - opened, performance.now() - named].map((ms) => (ms / 1000).toFixed(2));
  const memory = process.resourceUsage().maxRSS;
  console.log(
    `| ${[format, ...seconds, (statSync(made).size / 1e6).toFixed(1), (memory / 1024).toFixed(0)].join(" | ")} |`,
  );
} else {
  const program = join(work, "manypaths");
  const source = join(import.meta.dirname ?? "", "../tests/targets/manypaths.c");
  spawnSync("cc", ["-g", "-O1", "-fno-builtin", source, "-o", program]);
  const out = join(work, "many.heaptap");
  await profile([program, DEPTH], { out, buckets: 262_144, stdio: "ignore" });
  console.log(
    "| format | reading s | names s | writing s | MB | highest resident set MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |",
  );
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  for (const name of ["text", ...FORMAT_NAMES]) {
    spawnSync(process.execPath, [...flags, script ?? "", name, out, join(work, `out.${name}`)], { stdio: "inherit" });
  }
  console.log("\n" + await inBrowser(join(work, "out.html")));
}
rmSync(work, { recursive: true, force: true });

/** Opens a page in Chromium, searches, and tells how long both took and the longest time that the page did not answer. */
async function inBrowser(path: string): Promise<string> {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  await page.addInitScript(() => {
    const blocked: number[] = [];
    Object.assign(globalThis, { blocked });
    new PerformanceObserver((list) => blocked.push(...list.getEntries().map((entry) => entry.duration)))
      .observe({ entryTypes: ["longtask"] });
  });
  const begun = performance.now();
  await page.goto(`file://${path}`);
  await page.waitForSelector("body[data-ready]");
  const opened = performance.now();
  await page.fill("#search", "one");
  await page.waitForFunction(() => document.getElementById("matched")?.textContent);
  const answered = performance.now();
  await page.waitForTimeout(500);
  const blocked = await page.evaluate(() => (globalThis as unknown as { blocked: number[] }).blocked);
  await browser.close();
  return `html in Chromium: opened in ${(opened - begun).toFixed(0)} ms, answered a search in ${
    (answered - opened).toFixed(0)
  } ms, did not answer for at most ${Math.max(0, ...blocked).toFixed(0)} ms`;
}
