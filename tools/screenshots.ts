/**
 * Makes the pictures of docs/ anew: `deno run -A tools/screenshots.ts`. The programs in them are docs/examples/orders.cc and
 * docs/examples/rows.py; the latter needs Python 3.12 or later, which PYTHON may name. Look at them before they are committed.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { chromium } from "playwright-core";
import type { Browser, Page } from "playwright-core";

const ROOT = join(import.meta.dirname ?? "", "../");
const EXAMPLES = join(ROOT, "docs/examples");
const work = mkdtempSync(join(tmpdir(), "heaptap-pictures-"));

/** Runs something in the folder, and ends with what it said when it fails. */
function run(command: string, args: readonly string[], env: Record<string, string> = {}): void {
  const done = spawnSync(command, args, { cwd: work, encoding: "utf8", env: { ...process.env, ...env } });
  if (done.status === 0) return;
  console.error(done.error?.message ?? done.stderr);
  process.exit(1);
}

function heaptap(args: readonly string[], env: Record<string, string> = {}): void {
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  run(process.execPath, [...flags, join(ROOT, "cli.ts"), ...args], env);
}

interface Look {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
  /** What to do before the picture is taken. */
  readonly use?: (page: Page) => Promise<void>;
}

/** Takes a picture of a page. */
async function picture(browser: Browser, html: string, name: string, look: Look): Promise<void> {
  const page = await browser.newPage({
    viewport: { width: look.width, height: look.height },
    colorScheme: look.dark ? "dark" : "light",
  });
  await page.goto(`file://${join(work, html)}`);
  await page.waitForSelector("body[data-ready]");
  await look.use?.(page);
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(ROOT, "docs", name) });
  await page.close();
  console.log(`docs/${name}`);
}

/** Whether a Python writes perf maps. */
function hasPerfMaps(python: string): boolean {
  return spawnSync(python, ["-c", "import sys; sys.exit(sys.version_info < (3, 12))"]).status === 0;
}

for (const [name, flags] of [["orders", []], ["cached", ["-DCACHE"]]] as const) {
  run("c++", ["-g", "-O2", ...flags, join(EXAMPLES, "orders.cc"), "-o", name]);
  heaptap(["run", "--no-report", "-o", `${name}.heaptap`, "--", `./${name}`]);
}
heaptap(["report", "--source", "-o", "orders.html", "--format", "html", "orders.heaptap"]);
heaptap(["compare", "--format", "html", "-o", "change.html", "orders.heaptap", "cached.heaptap"]);

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
await picture(browser, "orders.html", "report.png", { width: 1440, height: 1080 });
await picture(browser, "orders.html", "report-phone.png", { width: 390, height: 844, dark: true });
await picture(browser, "change.html", "comparison.png", { width: 1440, height: 900 });

const python = process.env.PYTHON ?? "python3";
if (hasPerfMaps(python)) {
  // Its name in the picture is that which everybody calls it by.
  mkdirSync(join(work, "bin"));
  const found = spawnSync(python, ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  symlinkSync(found, join(work, "bin/python3"));
  copyFileSync(join(EXAMPLES, "rows.py"), join(work, "rows.py"));
  const env = { PYTHONMALLOC: "malloc", PATH: `${join(work, "bin")}:${process.env.PATH}` };
  heaptap(["run", "--no-report", "-o", "rows.heaptap", "--", "python3", "-X", "perf", "rows.py"], env);
  heaptap(["report", "--format", "html", "-o", "rows.html", "rows.heaptap"]);
  await picture(browser, "rows.html", "report-python.png", {
    width: 1440,
    height: 1080,
    dark: true,
    use: async (page) => {
      await page.click("#code-all");
      await page.click("#table .rows .row >> nth=0");
      await page.locator("#panel-body .own > .frame >> nth=0").click();
      await page.evaluate(() => document.querySelector("#flame-section")?.scrollIntoView({ block: "end" }));
    },
  });
} else {console.log(
    `docs/report-python.png stays as it is: ${python} is older than 3.12; PYTHON=/path/to/python3 names another`,
  );}
await browser.close();
rmSync(work, { recursive: true, force: true });
