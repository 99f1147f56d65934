/**
 * The benchmark of `heaptap serve`: what it takes of a processor with a page open, and what a refresh takes of the page's main thread, in
 * Chromium, of a program that allocates in so many functions, of which a fiftieth allocates or frees every 10 ms: after two seconds nearly all
 * have moved, and each is a row. Prints the table of docs/PERFORMANCE.md. `--seconds N` (20).
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { conditions } from "./options.ts";
import { libraryPath, processorTime } from "./support.ts";

const { values: options } = parseArgs({ options: { seconds: { type: "string", default: "20" } } });
const SECONDS = Number(options.seconds);
const HERE = import.meta.dirname ?? "";
const CLI = [...("Deno" in globalThis ? ["run", "-A"] : []), join(HERE, "../cli.ts")];
const work = mkdtempSync(join(tmpdir(), "heaptap-bench-"));

const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));

/** Where a server says that it is. */
function address(server: ChildProcess): Promise<string> {
  return new Promise((done) => {
    let said = "";
    server.stderr?.on("data", (bytes) => {
      said += bytes;
      const [url] = /http:\S+/.exec(said) ?? [];
      if (url) done(url);
    });
  });
}

/** A program of so many call paths, compiled. */
function program(paths: number): string {
  const places = Array.from({ length: paths }, (_, i) => i);
  const out = join(work, `places_${paths}`);
  const source = `#include <stdlib.h>
#include <time.h>
static void *held[${paths}];
${places.map((i) => `static void place_${i}(void) { held[${i}] = malloc(${16 + i % 500}); }`).join("\n")}
static void (*const places[])(void) = { ${places.map((i) => `place_${i}`).join(", ")} };
int main(void)
{
    for (unsigned i = 0; i < ${paths}; i++)
        places[i]();
    for (unsigned at = 1;; nanosleep(&(struct timespec){ 0, 10000000 }, NULL))
        for (unsigned k = 0; k < ${paths} / 50; k++) {
            at = at * 1664525u + 1013904223u;
            unsigned i = (at >> 8) % ${paths};
            if (held[i]) {
                free(held[i]);
                held[i] = NULL;
            } else
                places[i]();
        }
}
`;
  const built = spawnSync("cc", ["-O0", "-g", "-fno-builtin", "-x", "c", "-", "-o", out], { input: source });
  if (built.status !== 0) throw new Error(String(built.stderr));
  return out;
}

async function costs(paths: number): Promise<string> {
  const child = spawn(program(paths), [], {
    env: { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(work, "%p.heaptap") },
  });
  await wait(3);
  const server = spawn(process.execPath, [...CLI, "serve", String(child.pid)], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    await page.goto(await address(server));
    await page.waitForSelector("body[data-ready]");
    // Engines compile what is done often.
    await wait(15);
    const session = await browser.newBrowserCDPSession();
    /** Seconds of a processor that the main threads of pages have had: what others take does not count. */
    const spent = async () => {
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      const pages = processInfo.filter(({ type }) => type === "renderer");
      return pages.reduce(
        (sum, { id }) => sum + Number(readFileSync(`/proc/${id}/task/${id}/schedstat`, "latin1").split(" ")[0]) / 1e9,
        0,
      );
    };
    const [before, spentBefore] = [processorTime(server.pid ?? 0), await spent()];
    await wait(SECONDS);
    const share = (processorTime(server.pid ?? 0) - before) / SECONDS;
    const refresh = (await spent() - spentBefore) / (SECONDS / 2);
    return `| ${paths.toLocaleString("en-US")} | ${(100 * share).toFixed(1)} % | ${(1000 * refresh).toFixed(0)} |`;
  } finally {
    await browser.close();
    server.kill("SIGINT");
    child.kill("SIGKILL");
  }
}

try {
  console.log(`${conditions(1)}\n`);
  console.log("| call paths | of a processor | a refresh of the page, ms |\n| ---: | ---: | ---: |");
  for (const paths of [1000, 20_000]) console.log(await costs(paths));
} finally {
  rmSync(work, { recursive: true, force: true });
}
