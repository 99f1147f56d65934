/**
 * The benchmark of formats: 131,072 call paths of some 38 frames, the memory of the process beside. Prints a
 * table of docs/PERFORMANCE.md; run it with Deno and with Bun. Names are looked up beforehand.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { exportProfile, FORMAT_NAMES, profile, shownPaths, Symbols, textReport } from "../mod.ts";

const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));
const [script, format = "", file = ""] = process.argv.slice(1);

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
    : exportProfile(read, symbols, format as typeof FORMAT_NAMES[number]);
  const seconds = [opened - begun, named - opened, performance.now() - named].map((ms) => (ms / 1000).toFixed(2));
  const memory = process.resourceUsage().maxRSS;
  console.log(`| ${[format, ...seconds, (out.length / 1e6).toFixed(1), (memory / 1024).toFixed(0)].join(" | ")} |`);
} else {
  const program = join(work, "manypaths");
  const source = join(import.meta.dirname ?? "", "../tests/targets/manypaths.c");
  spawnSync("cc", ["-g", "-O1", "-fno-builtin", source, "-o", program]);
  const out = join(work, "many.heaptap");
  await profile([program, "17"], { out, buckets: 262_144, stdio: "ignore" });
  console.log(
    "| format | reading s | names s | writing s | MB | highest resident set MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |",
  );
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  for (const name of ["text", ...FORMAT_NAMES]) {
    spawnSync(process.execPath, [...flags, script ?? "", name, out], { stdio: "inherit" });
  }
}
rmSync(work, { recursive: true, force: true });
