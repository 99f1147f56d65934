/** The HTML report, in a real browser used as a person would: Chromium, driven by Playwright, with the network off. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import type { Page } from "playwright-core";
import {
  compare,
  comparisonHtml,
  exportProfile,
  htmlReport,
  profile,
  readComparable,
  Recording,
  Symbols,
} from "../mod.ts";
import type { Profile } from "../mod.ts";
import { PAGE_SCRIPTS } from "../src/export/html.ts";
import { bytes, count } from "../src/profile/format.ts";
import { heaptap, random, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const noBrowser = without("chromium");
const browser = noBrowser
  ? undefined
  : await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
after(() => browser?.close());

const file = join(folder, "perl.heaptap");
const script = 'my %h; for (1..3000) { $h{"k$_"} = [1..3] } my $s = join ",", sort keys %h; print length($s)';
const { recording } = await profile(["perl", "-e", script], { out: file, stdio: "ignore" });
assert.ok(recording);
const recorded = recording.profile();
const symbols = new Symbols(recorded);
await symbols.resolve(recorded.callPaths);

/** The data that stand in a page. */
function dataOf(html: string) {
  const packed = /<script id="data"[^>]*>([^<]*)</.exec(html)?.[1] ?? "";
  return JSON.parse(gunzipSync(new Uint8Array(Buffer.from(packed, "base64"))).toString());
}

/** Opens a page; whatever it fetches or complains about fails the test. */
async function open(
  html: string,
  use: (page: Page) => Promise<void>,
  look: { width?: number; dark?: boolean; touch?: boolean } = {},
): Promise<void> {
  const path = join(folder, `page-${createHash("sha1").update(html).digest("hex")}.html`);
  writeFileSync(path, html);
  assert.ok(browser);
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: 900 },
    colorScheme: look.dark ? "dark" : "light",
    hasTouch: look.touch ?? false,
    offline: true,
  });
  try {
    const page = await context.newPage();
    const wrong: string[] = [];
    // Chromium has advice for pages that read their pixels back, as a test here does.
    page.on("console", (m) => /willReadFrequently/.test(m.text()) || wrong.push(m.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("dialog", (dialog) => wrong.push(dialog.message()));
    page.on("request", (request) => {
      if (request.url() !== `file://${path}` && !request.url().startsWith("data:")) wrong.push(request.url());
    });
    await page.goto(`file://${path}`);
    await page.waitForSelector("body[data-ready]");
    await use(page);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

/** The text of each cell of a column of the table's rows that are seen. */
function column(page: Page, index: number): Promise<string[]> {
  return page.locator(`#table .rows .row > :nth-child(${index + 1})`).allTextContents();
}

/** Bytes as they are written: 1.50 KB is 1500. */
function parsed(text: string): number {
  const units: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 };
  const [, n, unit] = /^\+?(-?[\d.,]+) ?(\w*)$/.exec(text.trim()) ?? [];
  return Number(n?.replace(/,/g, "")) * (units[unit || "B"] ?? NaN);
}

test("the page's data have the profile's totals, every stack and its figures", () => {
  const data = dataOf(htmlReport(recorded, symbols, { raw: true }));
  const sum = (name: string) => data.figures[name].reduce((n: number, x: number) => n + x, 0);
  assert.equal(sum("bytes"), recorded.totals.bytes);
  assert.equal(sum("allocations"), recorded.totals.allocations);
  assert.equal(sum("peakBytes"), recorded.totals.peakBytes);
  assert.equal(sum("liveBytes"), recorded.totals.liveBytes);
  assert.equal(sum("temporary"), recorded.totals.temporary);
  recorded.callPaths.forEach((path, p) => {
    const names: string[] = [];
    for (let node = data.ends[p]; node >= 0;) {
      names.push(data.functions.name[data.places.fn[data.nodes.place[node]]]);
      node = data.nodes.back[node] === 0 ? -1 : node - data.nodes.back[node];
    }
    const stack = symbols.stack(path).map((frame) => frame.function);
    stack.forEach((name, i) => assert.ok(name === "" || names[i] === name, `${name} ${names[i]}`));
  });
});

test("the page's figures are written as the text report's are; its scripts use those before them", async () => {
  const page = await import(new URL("../src/export/page/format.js", import.meta.url).href);
  const seed = Date.now() % 1e6;
  const below = random(seed);
  for (let i = 0; i < 2000; i++) {
    const n = below(10) * 10 ** below(15) + below(1000);
    assert.equal(page.bytes(n), bytes(n), `seed ${seed}`);
    assert.equal(page.count(n), count(n), `seed ${seed}`);
  }
  const known = new Set<string>();
  for (const name of PAGE_SCRIPTS) {
    const text = readFileSync(join(ROOT, `src/export/page/${name}.js`), "utf8");
    for (const [, from] of text.matchAll(/^import [^;]* from "\.\/(\w+)\.js";$/gm)) {
      assert.ok(known.has(from ?? ""), name);
    }
    known.add(name);
  }
});

test("twenty thousand call paths make a file below 1.5 MB", async () => {
  const program = target(folder, "manypaths.c");
  const many = await profile([program, "15"], { out: join(folder, "many.heaptap"), buckets: 65536, stdio: "ignore" });
  assert.ok(many.recording);
  const read = many.recording.profile();
  assert.ok(read.callPaths.length > 32_000);
  using names = new Symbols(read);
  await names.resolve(read.callPaths);
  assert.ok(htmlReport(read, names).length < 1.5e6);
});

test(
  "the head tells the totals, the timeline its peak",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols), async (page) => {
      assert.equal(await page.title(), `perl -e ${script} \u00b7 heaptap`);
      const cards = await page.locator("#cards dd").allTextContents();
      const { totals } = recorded;
      assert.deepEqual(cards, [
        count(totals.allocations),
        bytes(totals.bytes),
        bytes(totals.peakBytes),
        bytes(totals.liveBytes),
        count(totals.temporary),
      ]);
      assert.match(await page.textContent("#facts") ?? "", /exit 0 .* 1 thread/);
      assert.equal(await page.textContent("#timeline .peak-label"), `peak ${bytes(totals.peakBytes)}`);
      await page.hover("#timeline svg");
      assert.match(await page.textContent(".readout") ?? "", /^at .*: .* live/);
    }),
);

test("a search answers with the share of what is shown, in both directions, and filters the table", {
  skip: noBrowser,
}, () =>
  open(htmlReport(recorded, symbols), async (page) => {
    const matching = recorded.callPaths.filter((path) =>
      symbols.stack(path).some((frame) => /perl_parse/i.test(frame.function))
    );
    const found = matching.reduce((n, path) => n + path.bytes, 0);
    assert.ok(found > 0 && found < recorded.totals.bytes);
    await page.click("#views-allocated");
    await page.fill("#search", "perl_PARSE".toLowerCase());
    await page.press("#search", "Enter");
    const answer = `${(100 * found / recorded.totals.bytes).toFixed(1)}% \u00b7 ${bytes(found)} in ${
      count(matching.length)
    } call paths`;
    assert.equal(await page.textContent("#matched"), answer);
    assert.equal(await page.getAttribute("#table [role=grid]", "aria-rowcount"), String(matching.length));
    await page.click("#direction-inner");
    assert.equal(await page.textContent("#matched"), answer);
    // What is no regular expression is looked for as it stands.
    await page.fill("#search", "perl_parse(");
    await page.press("#search", "Enter");
    const literal = "no regular expression, taken as it stands: 0.0% \u00b7 0 B in 0 call paths";
    assert.equal(await page.textContent("#matched"), literal);
    await page.press("#search", "Escape");
    assert.equal(await page.textContent("#matched"), "");
    assert.equal(await page.getAttribute("#table [role=grid]", "aria-rowcount"), String(recorded.callPaths.length));
  }));

test(
  "the flame graph is zoomed by click and by keyboard, and tells each function's share",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols, { view: "allocated" }), async (page) => {
      const canvas = page.locator("#flame");
      const box = await canvas.boundingBox();
      assert.ok(box);
      await page.mouse.move(box.x + 5, box.y + 5);
      assert.match(
        await page.textContent("#details") ?? "",
        new RegExp(`^all${bytes(recorded.totals.bytes)} .* 100.0% of all`),
      );
      // The second row begins with the function that most goes through.
      await page.mouse.click(box.x + 5, box.y + 30);
      assert.match(await page.textContent("#details") ?? "", /^main/);
      await page.mouse.move(0, 0);
      const before = await canvas.screenshot();
      await page.focus("#flame-area");
      await page.keyboard.press("ArrowDown");
      const inner = await page.textContent("#details") ?? "";
      assert.ok(!inner.startsWith("main"), inner);
      await page.keyboard.press("Enter");
      assert.ok(!before.equals(await canvas.screenshot()));
      await page.keyboard.press("ArrowUp");
      assert.match(await page.textContent("#details") ?? "", /^main/);
      await page.click("#reset");
      await page.keyboard.press("/");
      assert.equal(await page.evaluate(() => document.activeElement?.id), "search");
    }),
);

test(
  "the table sorts by any column, shows the stack beside, and goes by keyboard",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols), async (page) => {
      for (const [title, index] of [["Peak", 0], ["Allocated", 1], ["Allocations", 2]] as const) {
        const head = page.locator("#table .head button", { hasText: new RegExp(`^${title}\\W*$`) });
        if ((await head.getAttribute("aria-sort")) !== "descending") await head.click();
        const down = (await column(page, index)).map(parsed);
        assert.deepEqual(down, [...down].sort((a, b) => b - a), title);
        await head.click();
        const up = (await column(page, index)).map(parsed);
        assert.deepEqual(up, [...up].sort((a, b) => a - b), title);
      }
      await page.click("#views-allocated");
      const largest = recorded.callPaths[0]!;
      const stack = page.locator("#stack");
      assert.match(
        await stack.textContent() ?? "",
        new RegExp(`${bytes(largest.bytes)} in ${count(largest.allocations)} `),
      );
      const first = await stack.textContent();
      await page.focus("#table [role=grid]");
      await page.keyboard.press("ArrowDown");
      assert.notEqual(await stack.textContent(), first);
      await page.keyboard.press("End");
      assert.equal(
        await page.getAttribute("#table .row[aria-selected=true]", "aria-rowindex"),
        String(recorded.callPaths.length),
      );
      await page.click("#stack .frame >> nth=-1");
      assert.match(await page.inputValue("#search"), /^\^main\$$/);
    }),
);

test(
  "tabs: functions by themselves and with callees, leaks, threads",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols), async (page) => {
      await page.click("#tab-functions");
      const names = await column(page, 5);
      const selves = (await column(page, 0)).map(parsed);
      assert.ok(names.length > 5 && selves[0]! >= selves[1]!);
      await page.click("#tab-leaks");
      const leaks = recorded.callPaths.filter((path) => path.liveBytes > 0).length;
      assert.equal(await page.getAttribute("#table [role=grid]", "aria-rowcount"), String(leaks));
      await page.click("#tab-threads");
      assert.deepEqual(await column(page, 0), [bytes(recorded.totals.bytes)]);
      assert.ok(!await page.isVisible("#stack"));
    }),
);

test("dark, and on a phone: nothing is wider than the screen, a touch chooses before it zooms", {
  skip: noBrowser,
}, async () => {
  const html = htmlReport(recorded, symbols);
  const ground = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  let light = "";
  await open(html, async (page) => void (light = await ground(page)));
  await open(html, async (page) => {
    assert.notEqual(await ground(page), light);
    await page.click("#theme");
    assert.equal(await ground(page), light);
  }, { dark: true });
  await open(html, async (page) => {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await page.locator("#flame").tap({ position: { x: 5, y: 30 } });
    assert.match(await page.textContent("#details") ?? "", /^main/);
  }, { width: 390, touch: true });
});

test("a comparison is red and blue, and its table tells the change", { skip: noBrowser }, async () => {
  const [older, newer] = [join(folder, "older.heaptap"), join(folder, "newer.heaptap")];
  await profile([target(folder, "growth.c")], { out: older, stdio: "ignore" });
  const built = join(folder, "more");
  spawnSync("cc", ["-g", "-O1", "-fno-builtin", "-DMORE", join(ROOT, "tests/targets/growth.c"), "-o", built]);
  await profile([built], { out: newer, stdio: "ignore" });
  const comparison = compare(await readComparable(older), await readComparable(newer));
  await open(comparisonHtml(comparison), async (page) => {
    assert.match(await page.textContent("#facts") ?? "", /differ .* are the same/);
    const changes = (await column(page, 1)).map(parsed);
    const growth = comparison.paths.map((path) => path.after.bytes - path.before.bytes);
    assert.deepEqual(changes.slice(0, 3), growth.slice(0, 3));
    const colours = () =>
      page.evaluate(() => {
        const canvas = document.querySelector("#flame") as HTMLCanvasElement;
        const pixels = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data;
        let [red, blue] = [0, 0];
        for (let i = 0; i < pixels.length; i += 4) {
          if (pixels[i]! > pixels[i + 2]! + 40) red++;
          if (pixels[i + 2]! > pixels[i]! + 40) blue++;
        }
        return { red, blue };
      });
    const later = await colours();
    assert.ok(later.red > 1000, JSON.stringify(later));
    await page.click("#run-before");
    assert.notDeepEqual(await colours(), later);
  });
  const { status, stderr } = heaptap(["compare", "--format", "html", "-o", join(folder, "c.html"), older, newer]);
  assert.equal(status, 0, stderr);
  assert.match(readFileSync(join(folder, "c.html"), "utf8"), /^<!DOCTYPE html>/);
});

test("names and arguments are text, whatever they hold", { skip: noBrowser }, async () => {
  const evil = `</script><img src=x onerror=alert(1)><script>alert(2)</script>"'&`;
  const hostile: Profile = {
    ...recorded,
    process: { ...recorded.process, command: [evil, "$&", "$`"] },
    modules: recorded.modules.map((module) => ({ ...module, path: `/${evil}` })),
    threads: recorded.threads.map((thread) => ({ ...thread, name: evil })),
  };
  using nameless = new Symbols(hostile);
  const html = htmlReport(hostile, nameless);
  assert.ok(!html.includes("<img"));
  await open(html, async (page) => {
    assert.equal(await page.textContent("h1"), `${evil} $& $\``);
    await page.click("#tab-functions");
    assert.match((await column(page, 5)).join(), /script>"'&/);
    await page.click("#tab-threads");
    assert.match((await column(page, 7)).join(), /onerror=alert/);
  });
});

test("a recording without call paths or frames makes a page too", { skip: noBrowser }, async () => {
  const out = join(folder, "counters.heaptap");
  const run = await profile(["perl", "-e", "1"], { out, mode: "counters", stdio: "ignore" });
  assert.ok(run.recording);
  using none = new Symbols(run.recording.profile());
  await open(htmlReport(run.recording.profile(), none), async (page) => {
    assert.ok(await page.isVisible("text=Nothing here."));
    await page.click("#direction-inner");
  });
  const bare: Profile = { ...recorded, callPaths: recorded.callPaths.map((path) => ({ ...path, stack: [] })) };
  await open(String(exportProfile(bare, symbols, "html")), async (page) => {
    assert.match((await column(page, 5)).join(), /not kept/);
  });
});

test("the command line writes it", () => {
  const out = join(folder, "cli.html");
  const { status, stderr } = heaptap(["report", "--format", "html", "--view", "live", "-o", out, file]);
  assert.equal(status, 0, stderr);
  assert.equal(dataOf(readFileSync(out, "utf8")).view, "live");
  assert.equal(Recording.open(file).profile().totals.bytes, dataOf(readFileSync(out, "utf8")).totals.bytes);
});
