/** The HTML report, in a real browser used as a person would: Chromium, driven by Playwright, with the network off. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import {
  compare,
  comparisonHtml,
  exportProfile,
  htmlReport,
  knownLeaks,
  profile,
  readComparable,
  Recording,
  Symbols,
} from "../mod.ts";
import type { CallPath, Comparison, FrameKind, NamedFrame, Profile } from "../mod.ts";
import { packMoments, unpackMoments } from "../src/file/moments.ts";
import type { KeptMoment } from "../src/file/moments.ts";
import { atMoment } from "../src/profile/moments.ts";
import { leadFrame, leadOf } from "../src/symbols/lead.ts";
import { PAGE_SCRIPTS } from "../src/export/page_file.ts";
import { bytes, count } from "../src/profile/format.ts";
import { memoryUse } from "../src/profile/memory.ts";
import type { MappedPath, MomentAccount } from "../src/profile/memory.ts";
import { noBrowser, startBrowser } from "./browser.ts";
import { heaptap, random, ROOT, scratch, target } from "./helpers.ts";

const folder = scratch();
const browser = await startBrowser();

/** Names with kinds that the test says, so that it does not hang on how they are guessed. */
class Classed extends Symbols {
  readonly #change: (frame: NamedFrame) => Partial<NamedFrame>;

  constructor(of: Profile, change: (frame: NamedFrame) => Partial<NamedFrame>) {
    super(of);
    this.#change = change;
  }

  override stack(path: CallPath): NamedFrame[] {
    return super.stack(path).map((frame) => ({ ...frame, ...this.#change(frame) }));
  }
}

const file = join(folder, "perl.heaptap");
const script = 'my %h; for (1..3000) { $h{"k$_"} = [1..3] } my $s = join ",", sort keys %h; print length($s)';
const { recording } = await profile(["perl", "-e", script], { out: file, stdio: "ignore" });
assert.ok(recording);
const recorded = recording.profile();
const symbols = new Classed(recorded, () => ({ kind: "own" }));
await symbols.resolve(recorded.callPaths);

// A program whose answer is known: see its head.
const shop = target(folder, "shop.cc");
const shopFile = join(folder, "shop.heaptap");
const shopRun = await profile([shop], { out: shopFile, stdio: "ignore" });
assert.ok(shopRun.recording);
const sold = shopRun.recording.profile();
const shopSymbols = new Symbols(sold);
await shopSymbols.resolve(sold.callPaths);

/** The data that stand in a page. */
function dataOf(html: string) {
  const packed = /<script id="data"[^>]*>([^<]*)</.exec(html)?.[1] ?? "";
  return JSON.parse(gunzipSync(new Uint8Array(Buffer.from(packed, "base64"))).toString());
}

/** Opens a page; whatever it fetches or complains about fails the test. */
async function open(
  html: string,
  use: (page: Page) => Promise<void>,
  look: { width?: number; dark?: boolean; touch?: boolean; hash?: string; clipboard?: boolean } = {},
): Promise<void> {
  const path = join(folder, `page-${createHash("sha1").update(html).digest("hex")}.html`);
  writeFileSync(path, html);
  assert.ok(browser);
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1440, height: 900 },
    colorScheme: look.dark ? "dark" : "light",
    hasTouch: look.touch ?? false,
    offline: true,
    permissions: look.clipboard ? ["clipboard-read", "clipboard-write"] : [],
  });
  try {
    const page = await context.newPage();
    const wrong: string[] = [];
    // Chromium has advice for pages that read their pixels back, as a test here does.
    page.on("console", (m) => /willReadFrequently/.test(m.text()) || wrong.push(m.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("dialog", (dialog) => wrong.push(dialog.message()));
    page.on("request", (request) => {
      const url = request.url().replace(/#.*/, "");
      if (url !== `file://${path}` && !url.startsWith("data:") && !url.startsWith("blob:")) wrong.push(url);
    });
    await page.goto(`file://${path}${look.hash ?? ""}`);
    await page.waitForSelector("body[data-ready]");
    await use(page);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

/** The text of each cell of a column of the table's rows that are seen, by the column's title. */
async function column(page: Page, title: string): Promise<string[]> {
  const titles = (await page.locator("#table .head button").allTextContents()).map((text) => text.replace(/[↓↑]/, ""));
  assert.ok(titles.includes(title), `${title} among ${titles.join()}`);
  return page.locator(`#table .rows .row > :nth-child(${titles.indexOf(title) + 1})`).allInnerTexts();
}

/** The rows that are seen, each cell's words in a line. */
async function rows(page: Page): Promise<string[]> {
  const texts = await page.locator("#table .rows .row").evaluateAll((found) =>
    found.map((row) => [...row.children].map((cell) => (cell as HTMLElement).innerText.replace(/\s+/g, " ").trim()))
  );
  return texts.map((cells) => cells.join(" | "));
}

/** Bytes as they are written: 1.50 KB is 1500. */
function parsed(text: string): number {
  const units: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 };
  const [, n, unit] = /^\+?(-?[\d.,]+) ?(\w*)/.exec(text.trim()) ?? [];
  return Number(n?.replace(/,/g, "")) * (units[unit || "B"] ?? NaN);
}

/** Where the middle of the graph's box in a row, counted from "all", is in the window. */
async function boxPoint(page: Page, row: number, x = 5): Promise<{ x: number; y: number }> {
  await page.locator("#flame").scrollIntoViewIfNeeded();
  await drawn(page); // a scroll hides what was told of another place
  const box = await page.locator("#flame").boundingBox();
  assert.ok(box);
  return { x: box.x + x, y: box.y + row * 20 + 10 };
}

type Point = readonly [seconds: number, bytes: number];

/** Lines or areas of a drawing over time, read off its axes: to the hundredth of its time and the two-hundredth of its height. */
async function graph(page: Page, chart: string, shapes: string, end: number): Promise<Point[][]> {
  const drawing = await page.locator(`${chart} svg`).evaluate((svg, shapes) => {
    const levels = [...svg.querySelectorAll(".grid")].map((line) => Number(line.getAttribute("y1")));
    const texts = [...svg.querySelectorAll("text")].map((text) => text.textContent!);
    const points = [...svg.querySelectorAll(shapes)].map((line) =>
      line.getAttribute("points")!.split(" ").map((point) => point.split(",").map(Number))
    );
    const left = Number(svg.querySelector(".grid")!.getAttribute("x1"));
    return { levels, texts, points, left, right: Number(svg.getAttribute("width")) - 10 };
  }, shapes);
  const { levels, texts, points, left, right } = drawing;
  const top = parsed(texts[levels.length - 1]!);
  const rounded = (n: number, to: number) => Math.round(n / to) * to;
  return points.map((line) =>
    line.map(([x, y]): Point => [
      Number(rounded(end * (x! - left) / (right - left), end / 100).toFixed(6)),
      rounded(top * (levels[0]! - y!) / (levels[0]! - levels.at(-1)!), top / 200),
    ])
  );
}

/** Waits until the page has drawn what was asked for. */
function drawn(page: Page): Promise<unknown> {
  return page.evaluate(() => new Promise((go) => setTimeout(() => requestAnimationFrame(go), 60)));
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
  for (
    const [name, start, end] of [
      ["Cache<a::b, c>::put", "Cache<a::b, c>", "::put"],
      ["main", "main", ""],
      ["std::make_shared<a::b>", "std", "::make_shared<a::b>"],
      ["<Vec<T> as Extend<T>>::extend", "<Vec<T> as Extend<T>>", "::extend"],
      ["{lambda in a::b}", "{lambda in a::b}", ""],
      [`a::${"b".repeat(50)}`, `a::${"b".repeat(50)}`, ""],
    ]
  ) assert.deepEqual(page.nameParts(name), [start, end]);
  const known = new Set<string>();
  for (const name of PAGE_SCRIPTS) {
    const text = readFileSync(join(ROOT, `src/export/page/${name}.js`), "utf8");
    for (const [, from] of text.matchAll(/^import [^;]* from "\.\/(\w+)\.js";$/gm)) {
      assert.ok(known.has(from ?? ""), `${name} uses ${from}`);
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

test("folded stacks are those of the user's frames; what was called to allocate is told", async () => {
  const { Stacks } = await import(new URL("../src/export/page/stacks.js", import.meta.url).href);
  const { Model } = await import(new URL("../src/export/page/model.js", import.meta.url).href);
  const seed = Date.now() % 1e6;
  const below = random(seed);
  const kinds: FrameKind[] = ["own", "script", "standard", "runtime", "system", "wrapper", "allocation"];
  // Each function is of one kind; stacks are made of any, some with none of the user's own, some empty.
  const made = Array.from({ length: 400 }, () => Array.from({ length: below(9) }, () => below(14)));
  const profileOf = { ...recorded, callPaths: recorded.callPaths.slice(0, 1), mappings: undefined };
  const [path] = profileOf.callPaths;
  assert.ok(path);
  const callPaths = made.map((_, id) => ({ ...path, id, end: "root" as const }));
  const fake = {
    problem: "",
    remarks: () => [],
    stack: ({ id }: CallPath) =>
      made[id]!.map((fn) => ({
        ...{ function: `f${fn}`, key: "", file: "", line: 0, inlined: false, module: "m", address: 0 },
        kind: kinds[fn % kinds.length]!,
      })),
  } as unknown as Symbols;
  const model = new Model(dataOf(htmlReport({ ...profileOf, callPaths }, fake, { raw: true })));
  const folded = new Stacks(model, true);
  const named = (places: Iterable<number>) =>
    [...places].map((place) => model.functionName(model.data.places.fn[place]).slice(1)).map(Number);
  const isOwn = (fn: number) => fn % kinds.length < 2;
  made.forEach((stack, p) => {
    // Innermost first, as reports have stacks; the page has the outermost first.
    const got = named(folded.places.subarray(folded.starts[p], folded.starts[p + 1])).reverse();
    const own = stack.filter(isOwn);
    // Rows lead with what a text report leads with.
    const { lead, via } = leadOf(fake.stack(callPaths[p]!));
    const expected = own.length > 0
      ? own.filter((fn, i) => i === 0 || fn !== own[i - 1])
      : lead
      ? [Number(lead.function.slice(1))]
      : [];
    assert.deepEqual(got, expected, `seed ${seed}, stack ${stack}`);
    const called = folded.called(p);
    assert.equal(called < 0 ? undefined : model.functionName(called), via?.function, `seed ${seed}, stack ${stack}`);
    assert.deepEqual(named(folded.whole(p)), stack);
  });
});

test(
  "the head tells the totals and the answer, the timeline its peak",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols, { answer: ["One.", "Two.", "Three.", "Four.", "Five."] }), async (page) => {
      assert.equal(await page.title(), `perl -e ${script} \u00b7 heaptap`);
      const cards = await page.locator("#cards dd").allTextContents();
      const { totals } = recorded;
      assert.deepEqual(cards, [
        bytes(totals.peakBytes),
        bytes(totals.liveBytes),
        bytes(totals.bytes),
        count(totals.allocations),
        count(totals.temporary),
      ]);
      assert.deepEqual(await page.locator("#answer li").allTextContents(), ["One.", "Two.", "Three.", "Four."]);
      assert.match(await page.textContent("#facts") ?? "", /exit 0 .* 1 thread/);
      assert.equal(await page.textContent("#timeline .peak-label"), `peak ${bytes(totals.peakBytes)}`);
      await page.hover("#timeline svg");
      assert.match(await page.textContent("#tooltip") ?? "", /^at .* live/);
      await page.mouse.move(0, 0);
      assert.ok(!await page.isVisible("#tooltip"));
      await page.focus("#timeline svg");
      await page.keyboard.press("End");
      assert.match(await page.innerText("#tooltip"), new RegExp(`^at .*\n${bytes(totals.liveBytes)} live`));
    }),
);

test("the first view leads with the user's function and line, and tells what it called and who called it", {
  skip: noBrowser,
}, () =>
  open(htmlReport(sold, shopSymbols), async (page) => {
    const seen = await rows(page);
    assert.match(
      seen[0] ?? "",
      /^100 KB [\d.]+% \| fill_basket shop.cc:20 via std::vector<.*>::reserve\S* ?\S* \| serve shop.cc:41 \| 100 KB \| 0 B/,
    );
    const forgotten = seen.find((row) => row.includes("forget_note")) ?? "";
    assert.match(forgotten, /^10.0 KB .*forget_note shop.cc:27 shop \| serve shop.cc:43 \| 10.0 KB \| 10.0 KB/);
    // It is in sight without a scroll.
    const first = await page.locator("#table .rows .row >> nth=0").boundingBox();
    assert.ok(first && first.y + first.height < 900);
    // The graph has the same functions, and nothing of the library's between them.
    const names = dataOf(await page.content()).functions.name as string[];
    assert.ok(names.some((name) => name.includes("reserve")));
    await page.click("#code-all");
    await drawn(page);
    const all = await rows(page);
    assert.match(all[0] ?? "", /std::vector<.*> ?::reserve.* vector.tcc:\d+ shop \| fill_basket shop.cc:20/);
    await page.click("#code-own");
    await page.click("#view-live");
    await drawn(page);
    assert.match(
      (await rows(page)).filter((row) => !row.includes(".so"))[0] ?? "",
      /^10.0 KB .*forget_note shop.cc:27/,
    );
    await page.click("#view-temporary");
    await drawn(page);
    assert.match((await rows(page))[0] ?? "", /^1,600 100.0% \| print_bill shop.cc:34/);
  }));

test("rows that read the same are one row, and its stacks are shown one after the other", { skip: noBrowser }, () => {
  // The same stack three times over, at other addresses: nobody can tell them apart.
  const callPaths = [...sold.callPaths, ...sold.callPaths, ...sold.callPaths];
  return open(htmlReport({ ...sold, callPaths }, shopSymbols), async (page) => {
    const seen = await rows(page);
    const read = seen.map((row) => row.split(" | ").slice(1, 3).join());
    assert.equal(new Set(read).size, read.length);
    assert.match(seen[0] ?? "", /^300 KB .* \| fill_basket shop.cc:20/);
    assert.match(await page.innerText("#panel-body"), /1 of 3 stacks/);
    await page.click("#panel-body >> text=›");
    assert.match(await page.innerText("#panel-body"), /2 of 3 stacks/);
  });
});

test("a search answers with the share of what is shown, in both directions, and filters the table", {
  skip: noBrowser,
}, () =>
  open(htmlReport(recorded, symbols), async (page) => {
    const matching = recorded.callPaths.filter((path) =>
      symbols.stack(path).some((frame) => /perl_parse/i.test(frame.function))
    );
    const found = matching.reduce((n, path) => n + path.bytes, 0);
    assert.ok(found > 0 && found < recorded.totals.bytes);
    await page.click("#view-allocated");
    await page.fill("#search", "perl_PARSE".toLowerCase());
    await page.press("#search", "Enter");
    const answer = `${(100 * found / recorded.totals.bytes).toFixed(1)}% \u00b7 ${bytes(found)} in ${
      count(matching.length)
    } call paths`;
    assert.equal(await page.textContent("#matched"), answer);
    await drawn(page);
    const rowsFound = Number(await page.getAttribute("#table [role=grid]", "aria-rowcount"));
    assert.ok(rowsFound > 0 && rowsFound <= matching.length);
    await page.click("#dir-inner");
    assert.equal(await page.textContent("#matched"), answer);
    // What is no regular expression is looked for as it stands.
    await page.fill("#search", "perl_parse(");
    await page.press("#search", "Enter");
    const literal = "no regular expression, taken as it stands: 0.0% \u00b7 0 B in 0 call paths";
    assert.equal(await page.textContent("#matched"), literal);
    await page.press("#search", "Escape");
    assert.ok(!await page.isVisible("#matched"));
    await drawn(page);
    assert.ok(Number(await page.getAttribute("#table [role=grid]", "aria-rowcount")) > rowsFound);
  }));

test(
  "the graph tells of a function at the pointer and by keyboard, and is zoomed by both",
  { skip: noBrowser },
  () =>
    open(htmlReport(sold, shopSymbols, { view: "allocated" }), async (page) => {
      const at = async (row: number) => {
        const { x, y } = await boxPoint(page, row);
        await page.mouse.move(x, y);
        return page.innerText("#tooltip");
      };
      const { totals } = sold;
      assert.match(
        await at(0),
        new RegExp(`^all\n100.0% of all · ${bytes(totals.bytes)} · ${count(totals.allocations)} blocks`),
      );
      const percent = (n: number) => `${(100 * n / totals.bytes).toFixed(1)}%`;
      // Four functions are called by serve, at four lines; the baskets are the most.
      const basket = 100 * (1000 + 24);
      const tip = await at(3);
      assert.match(
        tip,
        new RegExp(
          `^fill_basket\n${percent(basket)} of all · ${
            bytes(basket)
          } · 200 blocks\n.*/shop.cc:20 and 1 more line\nshop$`,
        ),
      );
      const pointer = await boxPoint(page, 3);
      const shown = await page.locator("#tooltip").boundingBox();
      assert.ok(shown);
      // Beside the pointer, on whichever side there is room, and not over it.
      const away = (at: number, from: number, size: number) => Math.max(from - at, at - from - size);
      const [left, above] = [away(pointer.x, shown.x, shown.width), away(pointer.y, shown.y, shown.height)];
      assert.ok(Math.max(left, above) > 4 && Math.max(left, above) < 30, JSON.stringify({ shown, pointer }));
      assert.ok(await page.isDisabled("#reset"));
      await page.mouse.click(pointer.x, pointer.y);
      await page.mouse.move(0, 0);
      assert.ok(!await page.isVisible("#tooltip") && await page.isEnabled("#reset"));
      await page.focus("#flame-area");
      await page.keyboard.press("ArrowUp");
      assert.match(await page.innerText("#tooltip"), /^serve\n/);
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      assert.match(await page.innerText("#panel-body"), /^main/);
      await page.click("#reset");
      await drawn(page);
      assert.ok(await page.isDisabled("#reset"));
      await page.keyboard.press("/");
      assert.equal(await page.evaluate(() => document.activeElement?.id), "search");
    }),
);

test(
  "choosing a function anywhere shows callers and callees with their parts",
  { skip: noBrowser },
  () =>
    open(htmlReport(sold, shopSymbols, { view: "allocated" }), async (page) => {
      const parts = (heading: string) =>
        page.locator(`h4:has-text("${heading}") + ul > li`).evaluateAll((found) =>
          found.map((item) => (item.querySelector(".line") as HTMLElement).innerText.replace(/\s+/g, " ").trim())
        );
      const expectServe = async (where: string) => {
        await drawn(page);
        assert.match(await page.innerText("#panel-body"), /^serve\n/, where);
        assert.deepEqual(await parts("Called from"), ["main shop.cc:52 192 KB 100.0%"], where);
        assert.deepEqual(await parts("Calls"), [
          "fill_basket shop.cc:20 102 KB 53.2%",
          "print_bill shop.cc:34 80.0 KB 41.6%",
          "forget_note shop.cc:27 10.0 KB 5.2%",
        ], where);
      };
      const { x, y } = await boxPoint(page, 2);
      await page.mouse.click(x, y);
      await expectServe("from the graph");
      // On from there, and what nobody else calls allocates by itself.
      await page.click("#panel-body .level .frame:has-text('print_bill')");
      assert.deepEqual(await parts("Calls"), ["allocated here 80.0 KB 100.0%"]);
      await page.click("#panel-kind-stack");
      await page.click("#panel-body .own > .frame >> nth=1");
      await expectServe("from a stack");
      await page.click("#tab-functions");
      await page.click("#table .rows .row:has-text('serve')");
      await expectServe("from the table of functions");
      await page.click("#panel-body .toggle >> nth=1");
      assert.ok(await page.isVisible("#panel-body .level .level >> text=allocated here"));
      await page.click("text=Find in graph and tables");
      assert.equal(await page.inputValue("#search"), "^serve$");
    }),
);

test(
  "the table sorts by any column, shows the stack beside, and goes by keyboard",
  { skip: noBrowser },
  () =>
    open(htmlReport(recorded, symbols), async (page) => {
      for (const title of ["Peak", "Allocated", "Live"]) {
        const head = page.locator("#table .head button", { hasText: new RegExp(`^${title}\\W*$`) });
        if ((await head.getAttribute("aria-sort")) !== "descending") await head.click();
        const down = (await column(page, title)).map(parsed);
        assert.deepEqual(down, [...down].sort((a, b) => b - a), title);
        await head.click();
        const up = (await column(page, title)).map(parsed);
        assert.deepEqual(up, [...up].sort((a, b) => a - b), title);
        assert.ok(await head.evaluate((button) => button === document.activeElement || button.isConnected));
      }
      await page.click("#view-allocated");
      await drawn(page);
      const panel = page.locator("#panel-body");
      const first = await panel.textContent();
      await page.focus("#table [role=grid]");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      assert.notEqual(await panel.textContent(), first);
      await page.keyboard.press("End");
      assert.equal(
        await page.getAttribute("#table .row[aria-selected=true]", "aria-rowindex"),
        await page.getAttribute("#table [role=grid]", "aria-rowcount"),
      );
    }),
);

test(
  "tabs: functions by themselves and with callees, leaks, threads",
  { skip: noBrowser },
  () =>
    open(htmlReport(sold, shopSymbols, { view: "allocated" }), async (page) => {
      await page.click("#tab-functions");
      const functions = await rows(page);
      assert.match(functions[0] ?? "", /^102 KB .* \| 102 KB .* \| fill_basket shop.cc:20 shop/);
      assert.match(functions.find((row) => row.includes("serve")) ?? "", /^0 B .*\| 192 KB/);
      await page.click("#tab-leaks");
      const leaks = await rows(page);
      assert.ok(leaks.length > 0 && leaks.every((row) => !row.startsWith("0 B")), leaks.join("\n"));
      assert.equal(await page.locator(".aside").count(), 0);
      await page.click("#tab-threads");
      assert.deepEqual(await column(page, "Allocated"), [bytes(sold.totals.bytes)]);
      await page.keyboard.press("ArrowLeft");
      assert.equal(await page.getAttribute("#tab-leaks", "aria-selected"), "true");
    }),
);

test("what libraries are known to keep is no leak, and said", { skip: noBrowser }, () => {
  const aside = knownLeaks(sold, shopSymbols);
  const leaking = sold.callPaths.filter((path) => path.liveBytes > 0 && !aside.paths.has(path));
  return open(htmlReport(sold, shopSymbols, { aside }), async (page) => {
    await page.click("#tab-leaks");
    const leaks = await rows(page);
    assert.equal(leaks.length, leaking.length);
    assert.match(leaks[0] ?? "", /^10.0 KB .*forget_note shop.cc:27/);
    const kept = await page.locator(".aside").allTextContents();
    if (aside.paths.size === 0) assert.deepEqual(kept, []);
    else assert.match(kept.join(), new RegExp(`^Set aside: ${bytes(aside.bytes)} in `));
  });
});

/** Of a sample that nobody outside has seen. */
const UNSEEN = { resident: undefined, mapped: undefined };

/** An account in which nothing is but what is said. */
function accountOf(seconds: number, resident: number, parts: Partial<MomentAccount>): MomentAccount {
  return {
    ...{ seconds, resident, current: 0, live: 0, slack: undefined, before: 0, allocatorFree: 0 },
    ...{ trimmable: undefined, mapped: undefined, stacks: 0, files: 0, shared: 0, heaptap: 0, other: 0, swapped: 0 },
    untouched: 0,
    ...parts,
  };
}

test("lifetimes have a tab, and stand below a stack, where they were recorded", { skip: noBrowser }, async () => {
  const lived = join(folder, "lifetimes.heaptap");
  const run = await profile([target(folder, "lifetimes.c")], { out: lived, lifetimes: true, stdio: "ignore" });
  const recorded = Recording.open(run.recording?.path ?? "").profile();
  using symbols = new Symbols(recorded);
  await symbols.resolve(recorded.callPaths);
  await open(htmlReport(recorded, symbols), async (page) => {
    await page.click("#tab-lifetimes");
    const said = (await page.locator("#table").innerText()).replace(/\s+/g, " ");
    // 1,004 of 2,016 blocks are freed before another is made: see the target's head.
    assert.match(said, /Lifetimes in allocations 0 1,004 \u00b7 49\.8% 1 4 \u00b7 0\.2% 2-3 5 /);
    assert.match(said, /Blocks: 2,016 freed, after \S+ \S+ on average; 43 not freed, \S+ [mµ]?s old on average\./);
    await page.click("#tab-paths");
    await page.locator("#table .rows .row", { hasText: "kept" }).first().click();
    assert.match(
      await page.locator("#panel").innerText(),
      /Lifetimes\s+Blocks: 40 not freed, \S+ [mµ]?s old on average\./,
    );
  });
  await open(
    htmlReport(sold, shopSymbols),
    async (page) => assert.equal(await page.locator("#tab-lifetimes").count(), 0),
  );
});

test("marks stand on the timeline, where they were made", { skip: noBrowser }, async () => {
  const marked = join(folder, "marked.heaptap");
  copyFileSync(shopFile, marked);
  const opened = Recording.open(marked);
  opened.mark("done");
  writeFileSync(join(folder, "marked.other.mark"), "no recording");
  copyFileSync(file, join(folder, "marked.foreign.mark"));
  const marks = opened.marks();
  assert.deepEqual(marks.map(({ name }) => name), ["done"]);
  assert.ok(marks[0]!.seconds >= 0 && marks[0]!.seconds <= (sold.process.exit?.seconds ?? 0));
  // By the sample up to which a program had allocated as much.
  const timeline = [0, 1, 2, 3].map((n) => ({ ...UNSEEN, seconds: n, bytes: n, highest: n, allocations: n * 1000 }));
  const { marksBeside } = await import("../src/profile/marks.ts");
  const [mark] = marksBeside(marked, { ...sold, timeline });
  assert.equal(mark?.seconds, sold.totals.allocations / 1000);
  const two = [{ name: "early", seconds: 1 }, { name: "close", seconds: 1.02 }];
  await open(htmlReport({ ...sold, timeline }, shopSymbols, { marks: two }), async (page) => {
    assert.deepEqual(await page.locator(".mark-label").allTextContents(), ["early", "close"]);
    // Their names are not over each other.
    const [a, b] = await page.locator(".mark-label").evaluateAll((found) =>
      found.map((one) => one.getBoundingClientRect())
    );
    assert.ok(a && b && (a.bottom <= b.top + 3 || b.bottom <= a.top + 3 || a.right < b.left), JSON.stringify([a, b]));
  });
  const out = join(folder, "marked.html");
  assert.equal(heaptap(["report", "--format", "html", "-o", out, marked]).status, 0);
  assert.deepEqual(dataOf(readFileSync(out, "utf8")).marks.map(({ name }: { name: string }) => name), ["done"]);
});

test("the timeline is of steps; what was exceeded for a moment has a line up there, and the peak its mark", {
  skip: noBrowser,
}, async () => {
  const timeline = [
    { ...UNSEEN, seconds: 0, bytes: 100, highest: 100, allocations: 1 },
    { seconds: 1, bytes: 400, highest: 1000, allocations: 2, resident: 600, mapped: 0 },
    // The resident set alone has changed.
    { seconds: 2, bytes: 400, highest: 400, allocations: 2, resident: 800, mapped: 50 },
    { seconds: 3, bytes: 600, highest: 600, allocations: 3, resident: 500, mapped: 0 },
    { ...UNSEEN, seconds: 4, bytes: 300, highest: 300, allocations: 4 },
  ];
  const totals = { ...sold.totals, peakBytes: 1000, liveBytes: 300 };
  const steps: Point[] = [
    ...[[0, 100], [1, 100], [1, 1000], [1, 400], [2, 400], [2, 400]] as const,
    ...[[3, 400], [3, 600], [4, 600], [4, 300]] as const,
  ];
  await open(htmlReport({ ...sold, timeline, totals }, shopSymbols), async (page) => {
    assert.deepEqual(await graph(page, "#timeline", ".line.live", 4), [steps]);
    const resident: Point[] = [[1, 600], [2, 600], [2, 800], [3, 800], [3, 500], [4, 500]];
    assert.deepEqual(await graph(page, "#timeline", ".line.rss", 4), [[...resident, [4, 500]]]);
    const mark = await page.locator("#timeline .peak").evaluate((circle) => [
      ...["cx", "cy"].map((name) => Number(circle.getAttribute(name)).toFixed(1)),
    ]);
    const line = await page.locator("#timeline .line.live").getAttribute("points");
    assert.equal(line?.split(" ")[2], mark.join());
    const told: string[] = [];
    await page.focus("#timeline svg");
    for (const key of ["Home", "ArrowRight", "ArrowRight", "End"]) {
      await page.keyboard.press(key);
      told.push(await page.innerText("#tooltip"));
    }
    assert.deepEqual(told, [
      "at 0\n100 B live",
      "at 1 s\n400 B live, for a moment 1.00 KB\nresident set 600 B",
      "at 2 s\n400 B live\nresident set 800 B\nmapped by the program 50 B",
      "at 4 s\n300 B live",
    ]);
    assert.equal(await page.textContent("#rss"), "resident set");
    await page.click("#rss");
    assert.equal(await page.locator("#timeline .line.rss").count(), 0);
    const { width } = (await page.locator("#timeline svg").boundingBox())!;
    await page.hover("#timeline svg", { position: { x: width * 0.6, y: 100 } });
    assert.equal(await page.innerText("#tooltip"), "at 2 s\n400 B live\nmapped by the program 50 B");
    await page.click("#rss");
    assert.equal(await page.locator("#timeline .line.rss").count(), 1);
  });
  // What the last sample says holds until the end of the run; nobody need have seen the resident set.
  const exit = { code: 0, signal: 0, seconds: 5 };
  const unseen = timeline.map((sample) => ({ ...sample, ...UNSEEN }));
  const longer = { ...sold, timeline: unseen, totals, process: { ...sold.process, exit } };
  await open(htmlReport(longer, shopSymbols), async (page) => {
    assert.deepEqual(await graph(page, "#timeline", ".line", 5), [[...steps, [5, 300], [5, 300]]]);
    assert.ok(!await page.isVisible("#rss"));
  });
});

/** Moments at which call paths have so much live, as they stand in a recording. */
function momentsOf(live: readonly (readonly [seconds: number, bytes: Readonly<Record<number, number>>])[]): Uint8Array {
  const before = new Map<number, number>();
  return packMoments(live.map(([seconds, bytes]) => {
    const ids = Object.keys(bytes).map(Number);
    const values = ids.flatMap((id) => {
      const change = bytes[id]! - (before.get(id) ?? 0);
      before.set(id, bytes[id]!);
      return [1, Math.max(0, change), change, 0];
    });
    return {
      ...{ time: seconds * 1e9, current: 0, resident: 0, allocations: 0 },
      changes: { ids: Uint32Array.from(ids), values: Float64Array.from(values) },
    };
  }));
}

test("what was live by function: areas that add up beneath the line, told at each moment, and taken away by a button", {
  skip: noBrowser,
}, async () => {
  const idsOf = (name: string) =>
    sold.callPaths.filter((path) => leadFrame(path, shopSymbols)?.function.startsWith(name)).map(({ id }) => id);
  const [[basket = -1, items = -1], [note = -1]] = [idsOf("fill_basket"), idsOf("forget_note")];
  assert.ok(Math.min(basket, items, note) >= 0);
  const [unknown, name] = [Math.max(...sold.callPaths.map(({ id }) => id)) + 1, "fill_basket"];
  const kept: Parameters<typeof momentsOf>[0] = [
    [0, { [basket]: 100, [items]: 50, [unknown]: 10 }],
    [1, { [basket]: 300, [note]: 100, [unknown]: 20 }],
    [3, { [basket]: 200, [items]: 0, [note]: 250, [unknown]: 30 }],
  ];
  const names = [name, "forget_note", "other"];
  const figures = [[150, 0, 10], [350, 100, 20], [200, 250, 30]] as const;
  const timeline = [[0, 160], [2, 470], [4, 480]].map(([seconds = 0, bytes = 0]) => ({
    ...{ ...UNSEEN, seconds, bytes, highest: bytes, allocations: seconds },
  }));
  const shown = { ...sold, timeline, totals: { ...sold.totals, peakBytes: 500 } };
  const html = htmlReport(shown, shopSymbols, { moments: momentsOf(kept) });
  const line = ([a, b, c]: readonly number[]): Point[] => [
    ...[[0, a!], [1, a!], [1, b!], [3, b!], [3, c!], [4, c!], [4, c!]] as const,
  ];
  const exact: Point[] = [[0, 160], [2, 160], [2, 470], [4, 470], [4, 480]];
  await open(html, async (page) => {
    assert.deepEqual(await page.locator("#layers .layer").allTextContents(), names);
    const areas = await graph(page, "#timeline", "polygon", 4);
    assert.equal(areas.length, names.length);
    let beneath = [0, 0, 0];
    areas.forEach((area, i) => {
      const above = beneath.map((n, at) => n + figures[at]![i]!);
      assert.deepEqual(area, [...line(above), ...line(beneath).reverse()], names[i] ?? "");
      beneath = above;
    });
    assert.deepEqual(beneath, [160, 470, 480]);
    assert.deepEqual(await graph(page, "#timeline", ".line", 4), [exact]);
    const parts = (i: 0 | 1 | 2) =>
      figures[i].map((n, part) => n > 0 ? [`${bytes(n)} ${names[part]}`] : []).reverse().flat();
    const told: string[] = [];
    await page.focus("#timeline svg");
    for (let i = 0; i < 5; i++) {
      await page.keyboard.press("ArrowRight");
      told.push(await page.innerText("#tooltip"));
    }
    // Keys go to samples and moments alike; each tells what holds then of both.
    assert.deepEqual(told, [
      ["at 0", "160 B live", ...parts(0)].join("\n"),
      ["at 1 s", "160 B live", ...parts(1)].join("\n"),
      ["at 2 s", "470 B live", ...parts(1)].join("\n"),
      ["at 3 s", "470 B live", ...parts(2)].join("\n"),
      ["at 4 s", "480 B live", ...parts(2)].join("\n"),
    ]);
    const { width } = (await page.locator("#timeline svg").boundingBox())!;
    const point = () => page.hover("#timeline svg", { position: { x: width * 0.9, y: 100 } });
    await point();
    assert.equal(await page.innerText("#tooltip"), told[3]);
    // A name goes to its row, whatever else was shown.
    await page.click("#tab-functions");
    await page.fill("#search", "print_bill");
    await page.press("#search", "Enter");
    await drawn(page);
    await page.click("#layers button >> nth=1");
    await drawn(page);
    assert.match(await page.innerText("#table .row[aria-selected=true]"), /forget_note/);
    assert.match(await page.innerText("#panel-body"), /forget_note/);
    assert.equal(await page.textContent("#parts"), "by function");
    assert.equal(await page.getAttribute("#parts", "aria-pressed"), "true");
    await page.click("#parts");
    assert.equal(await page.getAttribute("#parts", "aria-pressed"), "false");
    assert.match(await page.evaluate(() => location.hash), /parts=0/);
    assert.ok(!await page.isVisible("#layers"));
    assert.equal(await page.locator("#timeline .layer").count(), 0);
    assert.equal(await page.locator("#timeline .area").count(), 1);
    await point();
    assert.equal(await page.innerText("#tooltip"), "at 2 s\n470 B live");
  });
  await open(html, async (page) => {
    assert.equal(await page.locator("#timeline .layer").count(), 0);
    await page.click("#parts");
    assert.equal(await page.locator("#timeline .layer").count(), names.length);
    assert.equal(await page.locator("#timeline .area").count(), 0);
    assert.ok(await page.isVisible("#layers"));
  }, { hash: "#parts=0" });
  for (const moments of [undefined, momentsOf(kept.slice(0, 2)), new Uint8Array(9)]) {
    const without = htmlReport(shown, shopSymbols, { moments });
    assert.equal(dataOf(without).layers, undefined);
    await open(without, async (page) => {
      assert.ok(!await page.isVisible("#parts") && !await page.isVisible("#layers"));
      assert.equal(await page.locator("#timeline .layer").count(), 0);
      assert.deepEqual(await graph(page, "#timeline", ".line", 4), [exact]);
    });
  }
});

test("what call paths had at moments is as the command line has it: at each, and between any two", async () => {
  const { Moments } = await import(new URL("../src/export/page/moments.js", import.meta.url).href);
  const { momentsOf: packedFor } = await import("../src/export/html_moments.ts");
  const seed = Date.now() % 1e6;
  const below = random(seed);
  const check = (ids: readonly number[], moments: readonly KeptMoment[], least: number) => {
    const callPaths = ids.map((id): CallPath => ({ ...sold.callPaths[0]!, id }));
    const many: Profile = {
      ...sold,
      callPaths,
      process: { ...sold.process, exit: { code: 0, signal: 0, seconds: 1e4 } },
    };
    const packed = packMoments(moments);
    const read = new Moments(packedFor(unpackMoments(packed), callPaths));
    assert.ok(read.seconds.length >= least && read.seconds.length <= moments.length, `seed ${seed}`);
    assert.equal(read.seconds.at(-1), moments.at(-1)!.time / 1e9);
    const live = read.live(ids.keys().toArray());
    for (let i = 0; i < 12; i++) {
      const to = i === 0 ? read.seconds.length - 1 : 1 + below(read.seconds.length - 1);
      const from = i % 2 ? below(to) : -1;
      const expected = atMoment(many, packed, {
        at: read.seconds[to],
        from: from < 0 ? undefined : read.seconds[from],
      });
      const figures = read.figures({ from, to });
      for (const name of ["allocations", "bytes", "liveBytes", "liveCount"] as const) {
        const known = new Map(expected.callPaths.map((path) => [path.id, path[name]]));
        assert.deepEqual(
          [...figures[name]],
          ids.map((id) => known.get(id) ?? 0),
          `seed ${seed}, ${name} ${from} ${to}`,
        );
      }
      if (from < 0) assert.equal(live[to], expected.totals.liveBytes, `seed ${seed}`);
    }
    assert.equal(read.nearest(-1), 0);
    assert.equal(read.nearest(1e9), read.seconds.length - 1);
  };
  const changing = (paths: number, part: number) => (_: unknown, i: number): KeptMoment => {
    const ids = Array.from({ length: paths }, (_, id) => id).filter(() => below(part) === 0);
    const values = ids.flatMap(() => [below(9), below(1e6), below(1e6) - 5e5, below(9) - 4]);
    return {
      ...{ time: (i + 1) * 1e9, current: 0, resident: 0, allocations: 0 },
      changes: { ids: Uint32Array.from(ids), values: Float64Array.from(values) },
    };
  };
  // Numbers of call paths are not in the order in which a page has them; some it does not have.
  check([7, 3, 19, 0, 11, 40], Array.from({ length: 30 }, changing(20, 3)), 30);
  // Of more changes than a page is to have, fewer moments are kept, and these are exact.
  check(Array.from({ length: 5000 }, (_, i) => 4999 - i), Array.from({ length: 160 }, changing(5000, 1)), 80);
  const two = new Moments(packedFor([1, 2].map(changing(2, 1)), sold.callPaths));
  for (const text of ["", "2", "1-1", "1-0", "0-2", "x", "-1", "0-1-1"]) {
    assert.equal(two.spanOf(text), undefined, text);
  }
  assert.deepEqual([two.spanOf("1"), two.spanOf("0-1")], [{ from: -1, to: 1 }, { from: 0, to: 1 }]);
});

/** A program with phases whose answer is known (see its head), and the moments at which load alone, both and work alone had something live. */
async function phased() {
  const out = join(folder, "phases.heaptap");
  const { recording } = await profile([target(folder, "phases.c")], { out });
  assert.ok(recording);
  const recorded = recording.profile();
  const symbols = new Symbols(recorded);
  await symbols.resolve(recorded.callPaths);
  const names = new Map(recorded.callPaths.map((path) => [path.id, symbols.stack(path)[0]?.function ?? ""]));
  /** Rows of a part of the run as a page has them: from where, and its figures. */
  const figures = (part: { at?: number; between?: [number, number] }) =>
    recording.profile(part).callPaths.map((path) => ({ ...path, name: names.get(path.id) }));
  const times = recording.moments();
  const state = (load: number, work: number) =>
    times.findIndex((at) => {
      const live = (of: string) =>
        figures({ at }).reduce((n, { name, liveBytes }) => n + (name === of ? liveBytes : 0), 0);
      return live("load") === load && live("work") === work;
    });
  const [early, both, late] = [state(2e7, 0), state(2e7, 2e7), state(0, 2e7)];
  assert.ok(0 <= early && early < both && both < late, times.join());
  const html = htmlReport(recorded, symbols, { moments: recording.packedMoments() });
  return { out, recorded, symbols, html, times, figures, early, both, late };
}

/** Where times are on a page's timeline, in the window. */
async function timeScale(page: Page) {
  const { timeline, moments } = dataOf(await page.content());
  const end = Math.max(timeline.end, ...timeline.seconds, ...moments.seconds);
  await page.locator("#timeline svg").scrollIntoViewIfNeeded();
  const { x, y, width } = (await page.locator("#timeline svg").boundingBox())!;
  return { at: (seconds: number) => x + 64 + (width - 74) * seconds / end, y: y + 80 };
}

test(
  "a span of the timeline shows what grew in it, a click what was live then, by mouse and keys, as the command line does",
  {
    skip: noBrowser,
  },
  async () => {
    const { out, html, times, figures, early, both, late } = await phased();
    const span = () => /span=([\d-]*)/.exec(new URL(`file://x/${hash}`).hash)?.[1]?.split("-").map(Number) ?? [];
    let hash = "";
    const told = async (page: Page) => {
      await drawn(page);
      hash = await page.evaluate(() => location.hash);
      const words = (await page.innerText("#span-told")).trim();
      return [await page.innerText("#span-clear"), words, ...await rows(page)].map((row) =>
        row.replace(/ \| (?=\|)/g, "")
      );
    };
    /** What the page is to tell of a part of the run, of which the command line says the same. */
    const grown = (from: number, to: number) => {
      const paths = figures({ between: [times[from]!, times[to]!] }).sort((a, b) => b.liveBytes - a.liveBytes);
      return paths.map(({ name, bytes: n, liveBytes, allocations }) => ({
        ...{ name, bytes: bytes(n), allocations: count(allocations) },
        live: `${liveBytes > 0 ? "+" : ""}${bytes(liveBytes)}`,
      }));
    };
    const shown = async (page: Page, live: string) => {
      const [names, ...columns] = await Promise.all(
        ["Function", live, "Allocated", "Allocations"].map((title) => column(page, title)),
      );
      return names!.map((name, i) => {
        const [live, bytes, allocations] = columns.map((texts) => texts[i]!.split("\n")[0]!.trim());
        return { name: name.split(/\s/)[0], bytes, allocations, live };
      });
    };
    const seconds = (moment: number) => times[moment]!;
    await open(html, async (page) => {
      const before = await rows(page);
      assert.ok(!await page.isVisible("#span"));
      assert.match(await page.innerText("#brush"), /^Drag: /);
      const { at, y } = await timeScale(page);
      const drag = async (from: number, to: number) => {
        await page.mouse.move(at(seconds(from)), y);
        await page.mouse.down();
        await page.mouse.move(at((seconds(from) + seconds(to)) / 2), y);
        await page.mouse.move(at(seconds(to)), y);
        await page.mouse.up();
      };
      for (const [from, to] of [[early, late], [late, early]] as const) {
        await drag(from, to);
        const [, words] = await told(page);
        // A pixel may be nearer to a neighbour.
        const [a = -1, b = -1] = span();
        assert.ok(Math.abs(a - early) <= 1 && Math.abs(b - late) <= 1, hash);
        const expected = grown(a, b);
        assert.deepEqual(await shown(page, "Grew"), expected);
        assert.match(words ?? "", /^20\.0 MB in 40,000 allocations, live /);
        assert.deepEqual(expected.find(({ name }) => name === "work"), {
          ...{ name: "work", bytes: "20.0 MB", allocations: "40,000", live: "+20.0 MB" },
        });
        const { stdout } = heaptap(["report", "--between", `${seconds(a)}s`, `${seconds(b)}s`, out]);
        assert.match(stdout, /by growth of what is live\n.*\n 20\.0 MB 100\.0% 40,000 {2}work phases\.c/);
        // The graph has what grew alone, and what does not belong to a span is not offered.
        const box = await boxPoint(page, 2);
        await page.mouse.move(box.x, box.y);
        assert.match(await page.innerText("#tooltip"), /^work\n100\.0% of all · 20\.0 MB · 40,000 blocks/);
        assert.deepEqual(await page.locator("#view button").allTextContents(), ["Allocated", "Grew"]);
        assert.deepEqual(await page.locator("#tabs button:visible").count(), 2);
        assert.equal(await page.locator("#timeline .band").isVisible(), true);
        await page.mouse.move(0, 0);
        await page.evaluate(() => scrollTo(0, 0));
      }
      await page.click("#tab-functions");
      assert.match((await told(page)).find((row) => row.includes("work")) ?? "", /^\+20.0 MB .*20.0 MB/);
      await page.click("#view-allocated");
      assert.match((await told(page)).find((row) => row.includes("main")) ?? "", /^0 B .*20.0 MB/);
      await page.click("#tab-paths");
      await page.click("#view-live");
      // All ways back: the chip, and Escape wherever the reader is.
      await page.click("#span-clear");
      await drawn(page);
      await page.click("#view-peak");
      await drawn(page);
      assert.deepEqual(await rows(page), before);
      assert.ok(!await page.isVisible("#span") && !await page.locator("#timeline .band").isVisible());
      await drag(early, late);
      await page.keyboard.press("Escape");
      await drawn(page);
      assert.deepEqual(await rows(page), before);
      assert.equal(await page.evaluate(() => location.hash), "");
      // A click: what was live then.
      await page.mouse.click(at(seconds(both)), y);
      const [chip, words] = await told(page);
      const [to = -1] = span();
      assert.match(chip ?? "", /^At \d+ ms ×$/);
      assert.ok(Math.abs(to - both) <= 1, hash);
      const then = figures({ at: seconds(to) });
      assert.deepEqual(
        (await shown(page, "Live")).map(({ name, live }) => [name, live]),
        then.sort((a, b) => b.liveBytes - a.liveBytes).map(({ name, liveBytes }) => [name, bytes(liveBytes)]),
      );
      const live = then.reduce((n, { liveBytes }) => n + liveBytes, 0);
      assert.equal(
        words,
        `${bytes(live)} live in ${count(then.reduce((n, { liveCount }) => n + liveCount, 0))} blocks`,
      );
      await page.mouse.move(0, 0);
      // Keys: with shift to another moment, Enter for one.
      await page.keyboard.press("Escape");
      await page.focus("#timeline svg");
      await page.keyboard.press("Home");
      await page.keyboard.press("Shift+End");
      await told(page);
      assert.deepEqual(span(), [0, times.length - 1]);
      for (let i = times.length - 1; i > late; i--) await page.keyboard.press("Shift+ArrowLeft");
      await told(page);
      assert.deepEqual(span(), [0, late]);
      assert.deepEqual(await shown(page, "Grew"), grown(0, late));
      await page.keyboard.press("End");
      await page.keyboard.press("Shift+Home");
      await told(page);
      assert.deepEqual(span(), [0, times.length - 1]);
      await page.keyboard.press("Enter");
      await told(page);
      assert.deepEqual(span(), [times.length - 1]);
      assert.equal(await page.evaluate(() => document.activeElement?.closest("#timeline") !== null), true);
    });
    // A link opens it again; what it cannot mean here is the whole run.
    let linked: string[] = [];
    await open(html, async (page) => void (linked = await told(page)), { hash: `#span=${early}-${late}` });
    assert.match(linked.join("\n"), /\n\+20.0 MB 100.0% \| work/);
    await open(html, async (page) => assert.ok(!await page.isVisible("#span")), { hash: "#span=9-5" });
    // By finger, on a phone: across it chooses, up and down scrolls.
    await open(html, async (page) => {
      const { at, y } = await timeScale(page);
      const client = await page.context().newCDPSession(page);
      const touch = (type: "touchStart" | "touchMove" | "touchEnd", points: { x: number; y: number }[]) =>
        client.send("Input.dispatchTouchEvent", { type, touchPoints: points });
      await touch("touchStart", [{ x: at(seconds(early)), y }]);
      for (let i = 1; i <= 10; i++) {
        await touch("touchMove", [{ x: at(seconds(early) + (seconds(late) - seconds(early)) * i / 10), y }]);
      }
      // A finger that is lifted in motion flings, and Chromium takes a tap after that as the end of the fling.
      await page.waitForTimeout(200);
      await touch("touchMove", [{ x: at(seconds(late)), y }]);
      await touch("touchEnd", []);
      await told(page);
      const [a = -1, b = -1] = span();
      assert.ok(Math.abs(a - early) <= 3 && Math.abs(b - late) <= 3, hash);
      assert.ok(await page.isVisible("#span-clear"));
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await page.locator("#span-clear").tap();
      await page.waitForSelector("#span", { state: "hidden" });
      await told(page);
      assert.deepEqual(span(), []);
      await touch("touchStart", [{ x: at(seconds(early)), y }]);
      for (let i = 1; i <= 10; i++) await touch("touchMove", [{ x: at(seconds(early)), y: y - 20 * i }]);
      await touch("touchEnd", []);
      await told(page);
      assert.deepEqual(span(), []);
    }, { width: 390, touch: true });
  },
);

test(
  "where no moments were kept of what is shown, it is said and no span is offered",
  { skip: noBrowser },
  async () => {
    for (const moments of [undefined, momentsOf([[1, { 0: 5 }]])]) {
      await open(htmlReport(sold, shopSymbols, { moments }), async (page) => {
        assert.match(await page.innerText("#brush"), /cannot be told here: heaptap run keeps moments/);
        const before = await rows(page);
        await page.mouse.click((await timeBox(page)).x, (await timeBox(page)).y);
        await drawn(page);
        assert.deepEqual(await rows(page), before);
        assert.ok(!await page.isVisible("#span"));
        assert.equal(await page.locator("#table .sparkline").count(), 0);
      }, { hash: "#span=0-1" });
    }
    // Of a moment the page is of that alone.
    const { out, both, times } = await phased();
    const then = join(folder, "then.html");
    const { status, stderr } = heaptap(["report", "--at", `${times[both]}s`, "--format", "html", "-o", then, out]);
    assert.equal(status, 0, stderr);
    assert.equal(dataOf(readFileSync(then, "utf8")).moments, undefined);
  },
);

/** The middle of a timeline. */
async function timeBox(page: Page): Promise<{ x: number; y: number }> {
  const box = (await page.locator("#timeline svg").boundingBox())!;
  return { x: box.x + box.width / 2, y: box.y + 80 };
}

test("each row has a curve of what it had live at the moments, and what that was at most and in the end", {
  skip: noBrowser,
}, async () => {
  const [basket, note] = ["fill_basket", "forget_note"].map((name) =>
    sold.callPaths.find((path) => leadFrame(path, shopSymbols)?.function.startsWith(name) && path.liveBytes === 0) ??
      sold.callPaths.find((path) => leadFrame(path, shopSymbols)?.function.startsWith(name))!
  );
  const kept: Parameters<typeof momentsOf>[0] = [
    [1, { [basket!.id]: 100 }],
    [2, { [basket!.id]: 400, [note!.id]: 5000 }],
    [3, { [basket!.id]: 200, [note!.id]: 100_000 }],
  ];
  const timeline = [0, 4].map((seconds) => ({ ...UNSEEN, seconds, bytes: 1, highest: 1, allocations: seconds }));
  const exit = { code: 0, signal: 0, seconds: 4 };
  const shown = { ...sold, timeline, process: { ...sold.process, exit } };
  await open(htmlReport(shown, shopSymbols, { moments: momentsOf(kept) }), async (page) => {
    const curves = () =>
      page.locator("#table .rows .row").evaluateAll((rows) =>
        rows.map((row) => ({
          text: (row as HTMLElement).innerText,
          title: row.querySelector(".sparkline title")?.textContent ?? "",
          role: row.querySelector(".sparkline")?.getAttribute("role"),
          levels: (row.querySelector(".sparkline polyline")?.getAttribute("points") ?? "").split(" ").map((point) => {
            const [x = 0, y = 0] = point.split(",").map(Number);
            return [4 * (x - 1) / 218, (29 - y) / 26].map((n) => Number(n.toFixed(2)));
          }),
        }))
      );
    const found = async (name: string) => (await curves()).find(({ text }) => text.includes(name));
    assert.deepEqual(await found("fill_basket"), {
      text: (await found("fill_basket"))!.text,
      ...{ title: "highest 400 B at 2 s, last 0 B", role: "img" },
      levels: [[1, 0.25], [2, 0.25], [2, 1], [3, 1], [3, 0.5], [4, 0.5], [4, 0]],
    });
    const { title, levels } = (await found("forget_note"))!;
    assert.equal(title, "highest 100 KB at 3 s, last 10.0 KB");
    assert.deepEqual(levels.slice(-4), [[3, 0.05], [3, 1], [4, 1], [4, 0.1]]);
    await page.click("#table .head button >> text=Over time");
    assert.match((await rows(page))[0] ?? "", /forget_note/);
    // Of functions with what goes through them.
    await page.click("#tab-functions");
    await drawn(page);
    const serve = (await found("serve"))!;
    assert.equal(serve.title, "highest 100 KB at 3 s, last 10.0 KB");
    await page.click("#tab-threads");
    assert.equal(await page.locator("#table .sparkline").count(), 0);
  });
});

test("the ten functions with most live at any moment have an area and a colour each, all others one", {
  skip: noBrowser,
}, async () => {
  const seed = Date.now() % 1e6;
  const below = random(seed);
  const frame = shopSymbols.stack(sold.callPaths[0]!)[0]!;
  const nameOf = (id: number) => `part${id % 14}`;
  class Named extends Symbols {
    override stack({ id }: CallPath): NamedFrame[] {
      return [{ ...frame, function: nameOf(id), kind: "own" }];
    }
  }
  const callPaths = Array.from({ length: 28 }, (_, id): CallPath => ({ ...sold.callPaths[0]!, id, stack: [] }));
  const timeline = [0, 30].map((seconds) => ({ ...UNSEEN, seconds, bytes: 1e6, highest: 1e6, allocations: seconds }));
  const many: Profile = { ...sold, callPaths, timeline };
  const kept = Array.from({ length: 30 }, (_, i) => {
    const ids = callPaths.map(({ id }) => id).filter(() => below(3) === 0);
    return [i + 1, Object.fromEntries(ids.map((id) => [id, below(1000)]))] as const;
  });
  const moments = momentsOf(kept);
  const html = htmlReport(many, new Named(many), { moments });
  const { layers } = dataOf(html);
  // Each moment by itself.
  const live = kept.map(([at]) => {
    const sums = new Map<string, number>();
    for (const { id, liveBytes } of atMoment(many, moments, { at }).callPaths) {
      sums.set(nameOf(id), (sums.get(nameOf(id)) ?? 0) + liveBytes);
    }
    return sums;
  });
  const most = (name: string) => Math.max(...live.map((sums) => sums.get(name) ?? 0));
  assert.equal(new Set(layers.names).size, 10);
  const least = Math.min(...layers.names.map(most));
  for (const id of callPaths.keys()) {
    assert.ok(layers.names.includes(nameOf(id)) || most(nameOf(id)) <= least, `seed ${seed}`);
  }
  assert.deepEqual(layers.names, layers.names.toSorted((a: string, b: string) => most(b) - most(a)), `seed ${seed}`);
  assert.deepEqual(layers.seconds, kept.map(([seconds]) => seconds));
  live.forEach((sums, i) => {
    const here = layers.names.map((name: string) => sums.get(name) ?? 0);
    assert.deepEqual(layers.bytes.map((of: number[]) => of[i]), here, `seed ${seed}`);
    const rest = [...sums.values(), ...here.map((n: number) => -n)].reduce((sum, n) => sum + n, 0);
    assert.equal(layers.other[i], rest, `seed ${seed}`);
  });
  layers.paths.forEach((path: number, i: number) => assert.equal(nameOf(callPaths[path]!.id), layers.names[i]));
  const fills = (page: Page) =>
    page.locator("#timeline .layer").evaluateAll((areas) => areas.map((area) => getComputedStyle(area).fill));
  let light: string[] = [];
  await open(html, async (page) => {
    light = await fills(page);
    assert.equal(new Set(light).size, 11);
    const keys = await page.locator("#layers .layer").evaluateAll((found) =>
      found.map((key) => getComputedStyle(key, "::before").backgroundColor)
    );
    assert.deepEqual(keys, light);
  });
  await open(html, async (page) => {
    const dark = await fills(page);
    assert.equal(new Set(dark).size, 11);
    dark.forEach((fill, i) => assert.notEqual(fill, light[i]));
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  }, { dark: true, width: 390 });
});

test("the resident set by what it is: areas that add up, small parts together, told at the pointer and by keys", {
  skip: noBrowser,
}, async () => {
  const early = accountOf(1, 1000, {
    live: 500,
    slack: 100,
    allocatorFree: 100,
    stacks: 2,
    files: 200,
    heaptap: 90,
    other: 8,
  });
  const late = accountOf(3, 2000, {
    ...{ live: 900, slack: 100, allocatorFree: 300, mapped: 500 },
    ...{ stacks: 10, files: 150, heaptap: 40, other: 0 },
  });
  const timeline = [0, 2, 4].map((seconds) => ({
    ...{ seconds, bytes: 100, highest: 100, allocations: seconds, mapped: 0 },
    resident: seconds === 4 ? undefined : 1000 + 500 * seconds,
  }));
  const page = (...accounts: MomentAccount[]) =>
    htmlReport({ ...sold, timeline, memory: memoryUse(accounts, undefined) }, shopSymbols);
  const names = [
    ...["live blocks", "rounding and headers", "free in the allocator", "mapped by the program"],
    ...["files", "heaptap", "other"],
  ];
  const figures = [[500, 100, 100, 0, 200, 90, 10], [900, 100, 300, 500, 150, 40, 10]] as const;
  const fills = (page: Page) =>
    page.locator("#memory-chart .part").evaluateAll((areas) => areas.map((area) => getComputedStyle(area).fill));
  let light: string[] = [];
  await open(page(early, late), async (page) => {
    assert.deepEqual(await page.locator("#memory-parts .part").allTextContents(), names);
    const areas = await graph(page, "#memory-chart", ".part", 4);
    let beneath = [0, 0];
    areas.forEach((area, i) => {
      const above = beneath.map((n, at) => n + figures[at]![i]!);
      const line = ([a, b]: readonly number[]): Point[] => [[1, a!], [3, a!], [3, b!], [4, b!], [4, b!]];
      assert.deepEqual(area, [...line(above), ...line(beneath).reverse()], names[i] ?? "");
      beneath = above;
    });
    assert.deepEqual(beneath, [early.resident, late.resident]);
    // How high it was between the two.
    const between: Point[] = [[0, 1000], [2, 1000], [2, 2000], [4, 2000], [4, 2000]];
    assert.deepEqual(await graph(page, "#memory-chart", ".between", 4), [between]);
    const lines = (i: 0 | 1) => figures[i].map((n, part) => `${bytes(n)} ${names[part]}`);
    const told = [
      ["at 1 s", "resident set 1.00 KB", ...lines(0)].join("\n"),
      ["at 3 s", "resident set 2.00 KB", ...lines(1)].join("\n"),
    ];
    const box = (await page.locator("#memory-chart svg").boundingBox())!;
    await page.hover("#memory-chart svg", { position: { x: box.width * 0.6, y: 40 } });
    assert.equal(await page.innerText("#tooltip"), told[0]);
    await page.hover("#memory-chart svg", { position: { x: box.width * 0.95, y: 40 } });
    assert.equal(await page.innerText("#tooltip"), told[1]);
    await page.mouse.move(0, 0);
    assert.ok(!await page.isVisible("#tooltip"));
    await page.focus("#memory-chart svg");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.innerText("#tooltip"), told[0]);
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.innerText("#tooltip"), told[1]);
    light = await fills(page);
    assert.equal(new Set(light).size, names.length);
  });
  await open(page(early, late), async (page) => {
    const dark = await fills(page);
    assert.equal(new Set(dark).size, names.length);
    dark.forEach((fill, i) => assert.notEqual(fill, light[i]));
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  }, { dark: true, width: 390 });
  // One alone is of the whole run; what is not known has no name there.
  await open(page(accountOf(1, 1000, { live: 900, other: 100 })), async (page) => {
    assert.deepEqual(await page.locator("#memory-parts .part").allTextContents(), ["live blocks", "other"]);
    const [live, other] = await graph(page, "#memory-chart", ".part", 4);
    assert.deepEqual(live, [[0, 900], [4, 900], [4, 900], [4, 0], [4, 0], [0, 0]]);
    assert.deepEqual(other, [[0, 1000], [4, 1000], [4, 1000], [4, 900], [4, 900], [0, 900]]);
    await page.hover("#memory-chart svg");
    assert.equal(await page.innerText("#tooltip"), "at 1 s\nresident set 1.00 KB\n900 B live blocks\n100 B other");
  });
  for (const memory of [undefined, memoryUse([], 5)]) {
    await open(htmlReport({ ...sold, timeline, memory }, shopSymbols), async (page) => {
      assert.ok(await page.isVisible("#timeline") && !await page.isVisible("#memory"));
    });
  }
});

test("what the program mapped itself has a tab, folded as stacks are and found as functions are", {
  skip: noBrowser,
}, async () => {
  const stackOf = (name: string) =>
    sold.callPaths.find((path) => shopSymbols.stack(path).some((frame) => frame.function === name))!;
  const mapping = (name: string, part: Partial<MappedPath>): MappedPath => ({
    ...{ id: 1, kind: "memory", count: 3, bytes: 3e6, liveBytes: 1e6, peakBytes: 2e6, givenBack: 0 },
    ...{ stack: stackOf(name).stack, end: "root" },
    ...part,
  });
  const paths = [
    mapping("forget_note", { id: 2, kind: "shared", count: 1, bytes: 5e6, liveBytes: 5e6, peakBytes: 5e6 }),
    mapping("fill_basket", {}),
  ];
  const mappings = { liveBytes: 1e6, peakBytes: 2e6, paths };
  const html = htmlReport({ ...sold, mappings }, shopSymbols);
  assert.equal(dataOf(html).ends.length, sold.callPaths.length);
  await open(html, async (page) => {
    const paths = await rows(page);
    assert.equal(await page.textContent("#tab-mapped .count"), "2");
    await page.click("#tab-mapped");
    assert.deepEqual(
      (await page.locator("#table .head button").allTextContents()).map((text) => text.replace(/[↓↑]/, "")),
      ["At the peak", "Kind", "Function", "Called from", "Mapped still", "In all", "Calls"],
    );
    assert.deepEqual((await rows(page)).map((row) => row.replace(/ shop-?\S* \|/, " |")), [
      "5.00 MB | shared | forget_note shop.cc:27 | serve shop.cc:43 | 5.00 MB | 5.00 MB | 1",
      "2.00 MB | memory | fill_basket shop.cc:20 | serve shop.cc:41 | 1.00 MB | 3.00 MB | 3",
    ]);
    await page.click("#table .head button >> text=Calls");
    assert.deepEqual(await column(page, "Calls"), ["3", "1"]);
    await page.click("#code-all");
    await drawn(page);
    assert.match((await column(page, "Function")).join(), /vector.*::reserve/s);
    await page.fill("#search", "forget_note");
    await page.press("#search", "Enter");
    await drawn(page);
    assert.deepEqual(await column(page, "Calls"), ["1"]);
    assert.equal(await page.textContent("#tab-mapped .count"), "1");
    await page.fill("#search", "");
    await page.press("#search", "Enter");
    await page.click("#code-own");
    await page.click("#tab-paths");
    await drawn(page);
    // Call paths of the heap are as they are without.
    assert.deepEqual(await rows(page), paths);
  });
  for (const without of [undefined, { ...mappings, paths: [] }]) {
    await open(
      htmlReport({ ...sold, mappings: without }, shopSymbols),
      async (page) => assert.equal(await page.locator("#tab-mapped").count(), 0),
    );
  }
});

test("the peak's label has no line through it, wherever the peak is", { skip: noBrowser }, async () => {
  const shapes: readonly (readonly number[])[] = [
    [0, 100, 50, 98, 99, 97, 20],
    [100, 10, 10, 10, 10],
    [0, 20, 40, 60, 80, 100],
    [90, 92, 95, 100, 96, 94, 91, 90],
    [0, 100, 100, 100, 100, 0],
  ];
  // Also where all that is above 10 was so for a moment.
  const cases = [...shapes.map((shape) => [shape, 100] as const), ...shapes.slice(0, 3).map((s) => [s, 10] as const)];
  for (const [shape, most] of cases) {
    const timeline = shape.map((n, i) => ({
      ...{ seconds: i, bytes: Math.min(n, most), highest: n, allocations: i },
      ...{ resident: 104 + i, mapped: 0 },
    }));
    const totals = { ...sold.totals, peakBytes: 100, liveBytes: shape.at(-1)! };
    await open(htmlReport({ ...sold, timeline, totals }, shopSymbols), async (page) => {
      const crossed = await page.evaluate(() => {
        const { left, right, top, bottom } = document.querySelector(".peak-label")!.getBoundingClientRect();
        const svg = document.querySelector("#timeline svg")!.getBoundingClientRect();
        // A box's edges are a letter's, not those of its line.
        const inside = { left: left + 2, right: right - 2, top: top + 3, bottom: bottom - 3 };
        return [...document.querySelectorAll("#timeline polyline")].flatMap((line) => {
          const points = line.getAttribute("points")!.split(" ").map((point) => point.split(",").map(Number));
          return points.slice(1).flatMap(([x2, y2], i) => {
            const [x1, y1] = points[i]!;
            const steps = Array.from({ length: 200 }, (_, n) => n / 199);
            return steps.map((t) => [svg.left + x1! + t * (x2! - x1!), svg.top + y1! + t * (y2! - y1!)])
              .filter(([x, y]) => x! > inside.left && x! < inside.right && y! > inside.top && y! < inside.bottom);
          });
        }).length;
      });
      assert.equal(crossed, 0, `${shape.join()} up to ${most}`);
    });
  }
});

test("the processes of a run have a tab with what each did, and a line each", { skip: noBrowser }, async () => {
  const out = join(folder, "family.heaptap");
  const run = await profile(["sh", "-c", "perl -e 'my @a = (1..5000)'; perl -e 'exit 3'"], { out, stdio: "ignore" });
  assert.ok(run.recording);
  const together = run.recording.profile({ all: true });
  using names = new Symbols(together);
  await names.resolve(together.callPaths);
  const each = run.recording.processes().map((one) => one.profile());
  assert.ok(each.length >= 2);
  // What one of them alone is known to have stands for none of all.
  const [path] = together.callPaths;
  assert.ok(path);
  const mappedOnce = { kind: "memory" as const, count: 1, bytes: 1, liveBytes: 1, peakBytes: 1, givenBack: 0 };
  const ofOne = {
    mappings: { liveBytes: 1, peakBytes: 1, paths: [{ ...mappedOnce, id: 1, stack: path.stack, end: path.end }] },
    memory: memoryUse([accountOf(0, 1, { live: 1 })], undefined),
  };
  await open(htmlReport({ ...together, ...ofOne }, names), async (page) => {
    assert.equal(await page.textContent("#tab-processes .count"), String(each.length));
    await page.click("#tab-processes");
    const expected = each.map(({ process, totals }) => ({
      pid: String(process.pid),
      parent: String(process.parentPid),
      allocations: count(totals.allocations),
      peak: bytes(totals.peakBytes),
    }));
    const [pids, parents, allocations, peaks] = await Promise.all(
      ["Pid", "Parent", "Allocations", "Peak"].map((title) => column(page, title)),
    );
    const shown = pids!.map((pid, i) => ({ pid, parent: parents![i], allocations: allocations![i], peak: peaks![i] }));
    const sorted = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one)).sort();
    assert.deepEqual(sorted(shown), sorted(expected));
    assert.match((await column(page, "Program")).join(), /perl -e exit 3/);
    assert.equal(await page.locator(".sparkline").count(), each.length);
    assert.ok(await page.locator("#timeline .process").count() >= 2);
    const lines = await page.locator("#timeline .process, .sparkline polyline").evaluateAll((found) =>
      found.map((line) => line.getAttribute("points")!.split(" ").map((point) => point.split(",")))
    );
    for (const line of lines) {
      assert.ok(line.length > 2);
      for (const [i, [x, y]] of line.slice(1).entries()) {
        assert.ok(line[i]![0] === x || line[i]![1] === y, line.join(" "));
      }
    }
    assert.ok(!await page.isVisible("#memory"));
    assert.equal(await page.locator("#tab-mapped").count(), 0);
  });
  await open(
    htmlReport(sold, shopSymbols),
    async (page) => assert.equal(await page.locator("#tab-processes").count(), 0),
  );
});

test("the address has the state of the view, and opens it again", { skip: noBrowser }, async () => {
  const html = htmlReport(sold, shopSymbols);
  let hash = "";
  let seen: string[] = [];
  const state = async (page: Page) => [
    await page.innerText("#panel-body"),
    await page.inputValue("#search"),
    ...await page.locator("[aria-pressed=true]").allTextContents(),
    ...await page.locator("[aria-selected=true] >> visible=true").allTextContents(),
    ...await rows(page),
    String(await page.isEnabled("#reset")),
    (await page.locator("#flame").screenshot()).toString("base64"),
  ];
  await open(html, async (page) => {
    assert.equal(await page.evaluate(() => location.hash), "");
    await page.click("#code-all");
    await page.click("#view-allocated");
    await page.click("#dir-inner");
    await page.click("#tab-functions");
    await page.click("#table .head button >> nth=1");
    await page.fill("#search", "basket|bill");
    await page.press("#search", "Enter");
    await drawn(page);
    const { x, y } = await boxPoint(page, 1);
    await page.mouse.click(x, y);
    await page.mouse.move(0, 0);
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.evaluate(() => scrollTo(0, 0));
    await drawn(page);
    hash = await page.evaluate(() => location.hash);
    seen = await state(page);
    seen.pop(); // a function that was clicked has a frame, which is no part of the state
  });
  assert.ok(hash.length > 10);
  await open(html, async (page) => {
    await page.evaluate(() => scrollTo(0, 0));
    await drawn(page);
    const again = await state(page);
    again.pop();
    assert.deepEqual(again, seen);
    // Also when the address changes under an open page.
    await page.evaluate(() => location.hash = "#view=temporary");
    await drawn(page);
    assert.match((await rows(page))[0] ?? "", /print_bill/);
    await page.evaluate(() => location.hash = "#view=nothing&tab=nothing&fn=99999&zoom=7.x&path=-4&q=(");
    await drawn(page);
    assert.ok(await page.isVisible("#table"));
  }, { hash });
});

test(
  "a stack is copied, the graph is saved as SVG",
  { skip: noBrowser },
  () =>
    open(htmlReport(sold, shopSymbols), async (page) => {
      await page.click("text=Copy stack");
      await page.waitForSelector("text=Copied");
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      const lines = copied.trim().split("\n");
      assert.match(lines[0] ?? "", /^100 KB in 100 allocations/);
      assert.match(lines[1] ?? "", /^ {2}std::vector<.*reserve.* {2}\/.*vector.tcc:\d+$/);
      assert.deepEqual(lines.slice(2).map((line) => line.trim().split(/\s+/).map((word) => word.replace(/.*\//, ""))), [
        ["fill_basket", "shop.cc:20"],
        ["serve", "shop.cc:41"],
        ["main", "shop.cc:52"],
      ]);
      const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
      assert.equal(download.suggestedFilename(), "shop-peak.svg".replace("shop", shop.split("/").filter(Boolean)[0]!));
      const saved = join(folder, "graph.svg");
      await download.saveAs(saved);
      const text = readFileSync(saved, "utf8");
      for (const name of ["main", "serve", "fill_basket"]) assert.ok(text.includes(`>${name}</text>`), name);
      assert.match(text, /<title>fill_basket\n[\d.]+% of all/);
      const parse = spawnSync("python3", ["-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])", saved]);
      if (!parse.error) assert.equal(parse.status, 0, String(parse.stderr));
    }, { clipboard: true }),
);

test("source lines stand beside the stack when they are asked for, and only those that fit", {
  skip: noBrowser,
}, async () => {
  const text = readFileSync(join(ROOT, "tests/targets/shop.cc"), "utf8").split("\n");
  const html = htmlReport(sold, shopSymbols, { source: true });
  assert.equal(dataOf(htmlReport(sold, shopSymbols)).source, undefined);
  await open(html, async (page) => {
    const [first] = await page.locator("#panel-body .source").allInnerTexts();
    assert.match(first ?? "", new RegExp(`20\\s*basket->items.reserve\\(250\\);`));
    assert.match(
      await page.innerText("#panel-body .source-line.here >> nth=0"),
      /^20\s*basket->items.reserve\(250\);\s*$/,
    );
  });
  // A few lines of each place, and nothing else of the file.
  const { source, files } = dataOf(html);
  const mine = source.parts.filter(({ file }: { file: number }) => files[file].endsWith("shop.cc"));
  const numbers = mine.flatMap(({ first, lines }: { first: number; lines: string[] }) =>
    lines.map((_, i) => first + i)
  );
  assert.ok(numbers.includes(17) && numbers.includes(23) && !numbers.includes(10), numbers.join());
  // A file that is newer than the recording has other lines.
  const copy = join(folder, "moved.cc");
  writeFileSync(copy, text.join("\n"));
  const moved = new Classed(sold, (frame) => ({ kind: "own", ...frame.file.endsWith("shop.cc") && { file: copy } }));
  await moved.resolve(sold.callPaths);
  await open(htmlReport(sold, moved, { source: true }), async (page) => {
    assert.match(await page.innerText("#panel-body"), /changed since the recording/);
    assert.equal(await page.locator("#panel-body .source:has-text('reserve(250)')").count(), 0);
  });
  utimesSync(copy, 1, 1);
  assert.equal(dataOf(htmlReport(sold, moved, { source: true })).source.changed.length, 0);
  // What is no regular file is left alone.
  const pipe = join(folder, "pipe.cc");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  const piped = new Classed(sold, () => ({ file: pipe, line: 1 }));
  await piped.resolve(sold.callPaths);
  assert.deepEqual(dataOf(htmlReport(sold, piped, { source: true })).source, { parts: [], changed: [] });
  const out = join(folder, "source.html");
  assert.equal(heaptap(["report", "--format", "html", "--source", "-o", out, shopFile]).status, 0);
  assert.ok(dataOf(readFileSync(out, "utf8")).source.parts.length > 0);
});

test("scripts have a colour of their own, in the legend; what a search finds is never grey", {
  skip: noBrowser,
}, async () => {
  const change = (frame: NamedFrame): Partial<NamedFrame> =>
    frame.function.startsWith("fill_basket")
      ? { kind: "script", module: "", function: "fill", file: "/app/shop.py", line: 3 }
      : frame.function.startsWith("serve")
      ? { kind: "runtime", function: "run_bytecode", module: "/usr/bin/python3" }
      : frame.function.startsWith("print_bill")
      ? { kind: "runtime", module: "", function: "stub", file: "" }
      : { kind: "runtime" };
  const mixed = new Classed(sold, change);
  await mixed.resolve(sold.callPaths);
  for (const dark of [false, true]) {
    await open(htmlReport(sold, mixed, { view: "allocated" }), async (page) => {
      /** Saturation of the box at a point of the graph, by what is drawn there. */
      const colourAt = async (row: number, x: number) => {
        const [r = 0, g = 0, b = 0] = await page.evaluate(([row, x]) => {
          const canvas = document.querySelector("#flame") as HTMLCanvasElement;
          return [...canvas.getContext("2d")!.getImageData(x!, row! * 20 + 2, 1, 1).data];
        }, [row, x]);
        return { saturation: Math.max(r, g, b) - Math.min(r, g, b), isViolet: b > g + 30 && r > g };
      };
      // Interpreter frames are folded away: the script is right below all.
      assert.match((await rows(page))[0] ?? "", /\| fill shop.py:3 \|/);
      const scripts = await colourAt(1, 60);
      assert.ok(scripts.isViolet && scripts.saturation > 60, JSON.stringify(scripts));
      assert.match(await page.innerText("#legend"), /^Python functions/);
      await page.fill("#search", "^fill$");
      await page.press("#search", "Enter");
      await drawn(page);
      assert.ok((await colourAt(1, 60)).saturation > 60);
      await page.click("#code-all");
      await page.fill("#search", "^stub$");
      await page.press("#search", "Enter");
      await drawn(page);
      /** The part of a row of the graph that has a colour. */
      const coloured = (row: number) =>
        page.evaluate((row) => {
          const canvas = document.querySelector("#flame") as HTMLCanvasElement;
          const { data } = canvas.getContext("2d")!.getImageData(0, row * 20 + 2, canvas.width, 1);
          let lit = 0;
          for (let x = 0; x < canvas.width; x++) {
            const [r = 0, g = 0, b = 0] = data.subarray(4 * x, 4 * x + 3);
            if (Math.max(r, g, b) - Math.min(r, g, b) > 60) lit++;
          }
          return lit / canvas.width;
        }, row);
      // As wide as its share.
      assert.ok(Math.abs(await coloured(3) - 80_000 / sold.totals.bytes) < 0.02);
      // Code of libraries and runtimes is pale until it is found.
      await page.fill("#search", "^run_bytecode$");
      await page.press("#search", "Enter");
      await drawn(page);
      assert.ok(Math.abs(await coloured(2) - 192_400 / sold.totals.bytes) < 0.02, String(await coloured(2)));
      await page.press("#search", "Escape");
      await drawn(page);
      assert.equal(await coloured(2), 0);
    }, { dark });
  }
});

test("a graph that is longer than its area says so", { skip: noBrowser }, async () => {
  const deep = new Classed(sold, () => ({}));
  await deep.resolve(sold.callPaths);
  const stack = deep.stack.bind(deep);
  deep.stack = (path) => [
    ...stack(path),
    ...Array.from({ length: 60 }, (_, n) => ({ ...stack(path)[0]!, function: `outer ${n}`, kind: "own" as const })),
  ];
  await open(htmlReport(sold, deep, { raw: true }), async (page) => {
    const rowsBelow = Number(/(\d+) more rows/.exec(await page.innerText("#more"))?.[1]);
    assert.ok(rowsBelow > 20, String(rowsBelow));
    await page.click("#more");
    await drawn(page);
    const after = await page.isVisible("#more") ? Number(/(\d+) more row/.exec(await page.innerText("#more"))?.[1]) : 0;
    assert.ok(after < rowsBelow);
    await page.evaluate(() => document.querySelector("#flame-area")!.scrollTo(0, 1e6));
    await drawn(page);
    assert.ok(!await page.isVisible("#more"));
  });
  await open(htmlReport(sold, shopSymbols), async (page) => assert.ok(!await page.isVisible("#more")));
});

test("dark, and on a phone: nothing is wider than the screen, a touch tells before it zooms", {
  skip: noBrowser,
}, async () => {
  const html = htmlReport(sold, shopSymbols, { answer: ["54 % of the peak was made by fill_basket shop.cc:20."] });
  const ground = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  let light = "";
  await open(html, async (page) => void (light = await ground(page)));
  await open(html, async (page) => {
    assert.notEqual(await ground(page), light);
    await page.click("#theme");
    assert.equal(await ground(page), light);
  }, { dark: true });
  await open(html, async (page) => {
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    assert.ok(await fits());
    assert.match((await rows(page))[0] ?? "", /fill_basket shop.cc:20 via/);
    assert.ok(!await page.isVisible("#panel"));
    await page.locator("#table .rows .row >> nth=0").tap();
    await drawn(page);
    assert.ok(await page.isVisible("#panel") && await fits());
    assert.match(await page.innerText("#panel-body"), /fill_basket/);
    await page.locator("#panel-close").tap();
    assert.ok(!await page.isVisible("#panel"));
    await page.locator("#flame").scrollIntoViewIfNeeded();
    await page.locator("#flame").tap({ position: { x: 5, y: 50 } });
    assert.match(await page.innerText("#tooltip"), /^serve\n/);
    assert.ok(await page.isDisabled("#reset"));
    await page.locator("#flame").tap({ position: { x: 5, y: 50 } });
    await drawn(page);
    assert.ok(await page.isEnabled("#reset"));
    for (const tab of ["functions", "leaks", "threads"]) {
      await page.evaluate((id) => document.getElementById(id)!.click(), `tab-${tab}`);
      assert.ok(await fits(), tab);
    }
  }, { width: 390, touch: true });
});

/** Two builds of one program, compared. */
async function growth(): Promise<Comparison> {
  const [older, newer] = [join(folder, "older.heaptap"), join(folder, "newer.heaptap")];
  await profile([target(folder, "growth.c")], { out: older, stdio: "ignore" });
  const built = join(folder, "more");
  spawnSync("cc", ["-g", "-O1", "-fno-builtin", "-DMORE", join(ROOT, "tests/targets/growth.c"), "-o", built]);
  await profile([built], { out: newer, stdio: "ignore" });
  return compare(await readComparable(older), await readComparable(newer));
}

test("a comparison is red and blue, and its table tells the change", { skip: noBrowser }, async () => {
  const found = await growth();
  const still = { allocations: 7, bytes: 70, peakBytes: 7, liveBytes: 0, temporary: 7 };
  const culprit = { function: "still", file: "", line: 0, module: "" };
  const comparison = {
    ...found,
    unchanged: [{ state: "both" as const, names: ["still", "main"], frames: [], culprit, before: still, after: still }],
  };
  await open(comparisonHtml(comparison), async (page) => {
    assert.match(await page.textContent("#facts") ?? "", /differ.* are the same/);
    const changes = (await column(page, "Allocated")).map(parsed);
    // Of render only the peak has changed, of still nothing.
    assert.deepEqual(changes, [2000, 1500, 0, -21]);
    assert.ok(!(await rows(page)).some((row) => row.includes("still")));
    assert.match((await rows(page))[0] ?? "", /^\+2.00 KB 0 B → 2.00 KB \| extra/);
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
    const tipAt = async (row: number, x: number) => {
      const point = await boxPoint(page, row, x);
      await page.mouse.move(point.x, point.y);
      return page.innerText("#tooltip");
    };
    // Of what changed, 3,521 bytes, extra is more than half.
    const wide = (await page.locator("#flame").boundingBox())!.width;
    assert.match(await tipAt(2, wide * 0.5), /^extra\n0 B → 2.00 KB \(\+2.00 KB\)/);
    assert.match(await tipAt(2, wide * 0.6), /^parse\n1.00 KB → 2.50 KB \(\+1.50 KB\)/);
    const alone = await colours();
    assert.ok(alone.red > 1000, JSON.stringify(alone));
    await page.click("#run-after");
    await drawn(page);
    assert.ok((await rows(page)).some((row) => row.includes("still")));
    const later = await colours();
    await page.click("#run-before");
    await drawn(page);
    assert.notDeepEqual(await colours(), later);
    await page.click("#tab-functions");
    assert.match((await rows(page)).find((row) => row.includes("parse")) ?? "", /^\+1.50 KB/);
  });
  const { status, stderr } = heaptap(
    [
      "compare",
      "--format",
      "html",
      "-o",
      join(folder, "c.html"),
      join(folder, "older.heaptap"),
      join(folder, "newer.heaptap"),
    ],
  );
  assert.equal(status, 0, stderr);
  assert.match(readFileSync(join(folder, "c.html"), "utf8"), /^<!DOCTYPE html>/);
});

test("a comparison that knows places and samples shows them", { skip: noBrowser }, async () => {
  const comparison = await growth();
  const frames = (names: readonly string[]) =>
    names.map((name, i) => ({
      ...{ function: name, key: name, file: "/src/growth.c", line: 10 + i, module: "/bin/growth", address: 0 },
      kind: "own" as const,
      inlined: false,
    }));
  const samples = (most: number) => [0, 1, 2].map((n) => ({ seconds: n, bytes: n * most }));
  const known = {
    ...comparison,
    before: { ...comparison.before, timeline: samples(500) },
    after: { ...comparison.after, timeline: samples(900) },
    paths: comparison.paths.map((path) => ({ ...path, frames: frames(path.names) })),
  };
  await open(comparisonHtml(known), async (page) => {
    assert.match((await rows(page))[0] ?? "", /extra growth.c:10/);
    assert.match(await page.innerText("#panel-body"), /growth.c:10/);
    assert.deepEqual(await page.locator("#series .key").allTextContents(), ["later", "earlier"]);
    const steps = (most: number): Point[] => [[0, 0], [1, 0], [1, most], [2, most], [2, 2 * most]];
    assert.deepEqual(await graph(page, "#timeline", ".line.live", 2), [steps(900)]);
    assert.deepEqual(await graph(page, "#timeline", ".line.earlier", 2), [steps(500)]);
    assert.ok(!await page.isVisible("#memory") && !await page.isVisible("#rss"));
    await page.hover("#timeline svg");
    assert.match(await page.innerText("#tooltip"), /later\n.* earlier/);
  });
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
  const html = htmlReport(hostile, nameless, { answer: [evil], marks: [{ name: evil, seconds: 0 }] });
  assert.ok(!html.includes("<img"));
  await open(html, async (page) => {
    assert.equal(await page.textContent("h1"), `${evil} $& $\``);
    assert.equal(await page.textContent("#answer"), evil);
    await page.click("#tab-functions");
    assert.match((await column(page, "Function")).join(), /script>"'&/);
    await page.click("#tab-threads");
    assert.match((await column(page, "Thread")).join(), /onerror=alert/);
    const { x, y } = await boxPoint(page, 0);
    await page.mouse.move(x, y);
    assert.ok(await page.isVisible("#tooltip"));
  });
});

test("a recording without call paths or frames makes a page too", { skip: noBrowser }, async () => {
  const out = join(folder, "counters.heaptap");
  const run = await profile(["perl", "-e", "1"], { out, mode: "counters", stdio: "ignore" });
  assert.ok(run.recording);
  using none = new Symbols(run.recording.profile());
  await open(htmlReport(run.recording.profile(), none), async (page) => {
    assert.ok(await page.isVisible("text=Nothing here."));
    await page.click("#dir-inner");
    for (const tab of ["functions", "leaks", "threads"]) await page.click(`#tab-${tab}`);
  });
  const bare: Profile = { ...recorded, callPaths: recorded.callPaths.map((path) => ({ ...path, stack: [] })) };
  await open(String(exportProfile(bare, symbols, "html")), async (page) => {
    assert.match((await column(page, "Function")).join(), /not kept/);
    await page.click("#tab-functions");
  });
});

test("the command line writes it", () => {
  const out = join(folder, "cli.html");
  const { status, stderr } = heaptap(["report", "--format", "html", "--view", "live", "-o", out, file]);
  assert.equal(status, 0, stderr);
  assert.equal(dataOf(readFileSync(out, "utf8")).view, "live");
  assert.equal(Recording.open(file).profile().totals.bytes, dataOf(readFileSync(out, "utf8")).totals.bytes);
  // Who starts a program looks at its memory too.
  const program = ["perl", "-e", 'my $s = "x" x 3e7; select undef, undef, undef, 0.8'];
  const run = heaptap(["run", "--html", out, "-o", join(folder, "seen.heaptap"), "--", ...program]);
  assert.equal(run.status, 0, run.stderr);
  const { memory, timeline, layers } = dataOf(readFileSync(out, "utf8"));
  assert.ok(Math.max(...memory.parts.live) >= 3e7, memory.parts.live.join());
  assert.ok(Math.max(...timeline.rss) >= 3e7, timeline.rss.join());
  assert.ok(layers.bytes.flat().some((n: number) => n >= 3e7), JSON.stringify(layers));
});
