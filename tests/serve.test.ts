/** `heaptap serve`: who is let in, what tools read, what pages are told, and the page itself in Chromium while a program goes on. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { Recording } from "../mod.ts";
import type { LookData } from "../src/export/page/data.ts";
import { stepping } from "./grows.ts";
import { noBrowser, startBrowser } from "./browser.ts";
import { CLI, heaptap, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const browser = await startBrowser();

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Uint8Array;
  readonly text: string;
}

/** A server that runs, with what may be asked of it. */
interface Site {
  readonly url: string;
  /** Its address below `/`, with the token. */
  at(path: string): string;
  readonly child: ChildProcess;
  said(): string;
  /** Ends it with Ctrl-C; its exit status. */
  end(): Promise<number | null>;
}

/** Asks as no browser would: with any headers. */
function ask(url: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answered> {
  return new Promise((done, fail) => {
    const asking = request(url, { method, headers }, (answer) => {
      const pieces: Uint8Array[] = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => {
        const body = Buffer.concat(pieces);
        done({ status: answer.statusCode ?? 0, headers: answer.headers, body, text: body.toString() });
      });
    });
    asking.on("error", fail);
    asking.end();
  });
}

async function serving(args: readonly string[], use: (site: Site) => Promise<void>): Promise<void> {
  const [command = "", ...rest] = CLI;
  const child = spawn(command, [...rest, ...args], { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  const ended = new Promise<number | null>((done) => child.once("exit", done));
  const url = await new Promise<string>((done, fail) => {
    child.stderr.on("data", (bytes) => {
      said += bytes;
      const [found] = /http:\S+/.exec(said) ?? [];
      if (found) done(found);
    });
    ended.then(() => fail(new Error(said)));
  });
  const { origin, search } = new URL(url);
  try {
    await use({
      url,
      at: (path) => `${origin}/${path}${search}`,
      child,
      said: () => said,
      end: () => {
        // Not child.kill, whose signal Deno takes for the end.
        process.kill(child.pid ?? 0, "SIGINT");
        return ended;
      },
    });
  } finally {
    child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }
}

/** What a look of 50 ms ago may not have yet. */
const settle = () => new Promise((done) => setTimeout(done, 120));

/** A page as a program has it: what looks have told, put together. */
class Told {
  recording = 0;
  running = false;
  totals: Readonly<Record<string, number>> = {};
  names: string[] = [];
  readonly ends: number[] = [];
  readonly figures: Record<string, number[]> = {};
  marks: readonly { name: string }[] = [];
  memory: LookData["memory"] = undefined;
  looks = 0;
  bytes = 0;
  isOver = false;
  #rest = "";

  take(text: string): void {
    this.#rest += text;
    const events = this.#rest.split("\n\n");
    this.#rest = events.pop() ?? "";
    for (const event of events) {
      const [, name, data = ""] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      if (name === "end") this.isOver = true;
      else this.#look(JSON.parse(data));
    }
  }

  #look(look: LookData): void {
    this.looks++;
    this.recording = look.recording;
    this.running = look.running;
    this.totals = look.totals;
    this.marks = look.marks ?? this.marks;
    this.memory = look.memory ?? this.memory;
    this.names.push(...look.added?.functions.name ?? []);
    this.ends.push(...look.added?.ends ?? []);
    for (const [name, now] of Object.entries(look.figures)) {
      const column = this.figures[name] ??= [];
      now.forEach((n, i) => column[look.paths ? look.paths[i] as number : i] = n);
    }
    for (const column of Object.values(this.figures)) {
      for (let p = 0; p < this.ends.length; p++) column[p] ??= 0;
    }
  }
}

/** Listens to looks until that is ended. */
function listen(url: string): { told: Told; until(is: (told: Told) => boolean): Promise<Told>; close(): void } {
  const told = new Told();
  let [again, failure]: [() => void, Error | undefined] = [() => {}, undefined];
  const asking = request(url, (answer) => {
    assert.match(answer.headers["content-type"] ?? "", /^text\/event-stream/);
    answer.setEncoding("utf8").on("data", (text) => {
      told.take(text);
      again();
    });
  });
  asking.on("error", (error) => {
    failure = error;
    again();
  });
  asking.end();
  return {
    told,
    until: async (is) => {
      const late = Date.now() + 20_000;
      while (!is(told)) {
        if (failure) throw failure;
        if (Date.now() > late) {
          throw new Error(`nothing of that in ${told.looks} looks: ${JSON.stringify(told.totals)}`);
        }
        await new Promise<void>((done) => {
          again = done;
          setTimeout(done, 1000);
        });
      }
      return told;
    },
    close: () => asking.destroy(),
  };
}

test("nobody is let in without the token, under another name, or from another page", async () => {
  await stepping(folder, async ({ pid }) => {
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ url, at }) => {
      const { origin, host, port, searchParams } = new URL(url);
      const token = searchParams.get("token") ?? "";
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{32}$/);
      const refused = async (what: string, asked: Promise<Answered>, status = 403) => {
        const { status: got, text } = await asked;
        assert.equal(got, status, what);
        assert.match(text, /^Cannot [^\n]*\n$|^There is [^\n]*\n$/, what);
        assert.ok(!text.includes(token), what);
      };
      for (const path of ["", "metrics", "looks", "pprof/heap", "report.json", "nothing"]) {
        await refused(`no token: ${path}`, ask(`${origin}/${path}`));
      }
      await refused("a wrong token", ask(`${origin}/metrics?token=${"0".repeat(32)}`));
      await refused("a token cut short", ask(`${origin}/metrics?token=${token.slice(1)}`));
      await refused("a name that leads here", ask(at("metrics"), { host: `evil.example:${port}` }));
      await refused("another port", ask(at("metrics"), { host: "127.0.0.1:1" }));
      await refused("a page elsewhere", ask(at("metrics"), { origin: "http://evil.example" }));
      await refused("a page of another port", ask(at("metrics"), { origin: "http://127.0.0.1:1" }));
      await refused("no page", ask(at("nothing"), {}), 404);
      await refused("a broken path", ask(at("%ff"), {}), 400);
      await refused("another method", ask(at("metrics"), {}, "DELETE"), 405);
      // Nothing is written for whoever is not the page.
      const mark = `${at("mark")}&name=no`;
      await refused("a mark without an origin", ask(mark, {}, "POST"));
      await refused("a mark of another page", ask(mark, { origin: "http://evil.example" }, "POST"));
      await refused("a mark without a token", ask(`${origin}/mark?name=no`, { origin }, "POST"));
      await refused("a mark read", ask(mark), 404);
      await refused("a mark elsewhere", ask(`${at("mark")}&name=..%2Fno`, { origin }, "POST"), 400);
      assert.ok(!existsSync(join(folder, `grows.${pid}.no.mark`)));

      const page = await ask(url);
      assert.equal(page.status, 200);
      const cookie = page.headers["set-cookie"]?.[0] ?? "";
      assert.match(cookie, new RegExp(`^heaptap-${port}=${token}; Path=/; HttpOnly; SameSite=Strict$`));
      assert.match(page.text, /Content-Security-Policy" content="default-src 'none';[^"]*; connect-src 'self'"/);
      assert.equal(page.headers["referrer-policy"], "no-referrer");
      const kept = { cookie: `other=1; ${cookie.split(";")[0]}` };
      assert.equal((await ask(`${origin}/metrics`, kept)).status, 200);
      assert.equal((await ask(`http://localhost:${port}/metrics`, { ...kept, host: `localhost:${port}` })).status, 200);
      assert.equal((await ask(`${origin}/metrics`, { authorization: `Bearer ${token}` })).status, 200);
      // A page elsewhere that has the browser fetch something: the cookie comes with it.
      await refused("fetched for others", ask(`${origin}/metrics`, { ...kept, "sec-fetch-site": "same-site" }));
      assert.equal((await ask(`${origin}/metrics`, { ...kept, "sec-fetch-site": "same-origin" })).status, 200);
      assert.equal((await ask(mark.replace("no", "yes"), { origin, host }, "POST")).status, 200);
      assert.ok(existsSync(join(folder, `grows.${pid}.yes.mark`)));
    });
  });
});

test("metrics are the recording's figures, as OpenMetrics", async () => {
  await stepping(folder, async ({ pid, step, end }) => {
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ at }) => {
      const figures = async () => {
        const { headers, text } = await ask(at("metrics"));
        assert.equal(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert.match(text, /\n# EOF\n$/);
        const found = text.matchAll(/^(heaptap_\w+)\{pid="(\d+)",program="([^"]+)"\} (\d+)$/gm);
        return Object.fromEntries([...found].map(([, name, of, , value]) => {
          assert.equal(Number(of), pid);
          return [name, Number(value)];
        }));
      };
      const first = await figures();
      assert.ok((first.heaptap_resident_bytes ?? 0) > 100_000);
      await step("l");
      await step("c");
      await settle();
      const { heaptap_resident_bytes: _, ...rest } = await figures();
      assert.deepEqual(rest, {
        heaptap_running: 1,
        heaptap_live_bytes: 51_000,
        heaptap_live_blocks: 11,
        heaptap_peak_bytes: 51_064,
        heaptap_allocations_total: 61,
        heaptap_allocated_bytes_total: 54_200,
        heaptap_frees_total: 50,
        heaptap_failed_allocations_total: 0,
      });
      await end();
      await settle();
      const last = await figures();
      assert.deepEqual([last.heaptap_running, last.heaptap_resident_bytes], [0, undefined]);
    });
  });
});

test("go tool pprof reads what is in use and what was allocated", { skip: without("go") }, async () => {
  await stepping(folder, async ({ pid, step }) => {
    await step("l");
    await step("c");
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ at }) => {
      const top = async (url: string) => {
        const { stdout } = await promisify(execFile)(
          "go",
          ["tool", "pprof", "-top", "-nodecount=10", "-unit=B", url],
          { env: { ...process.env, PPROF_TMPDIR: folder } },
        );
        return stdout;
      };
      assert.match(await top(at("pprof/heap")), /Type: inuse_space[^]*50000B .*hold\n[^]*1000B .*leak\n/);
      assert.match(
        await top(at("pprof/allocs")),
        /Type: alloc_space[^]*50000B .*hold\n[^]*3200B .*churn\n[^]*1000B .*leak\n/,
      );
    });
  });
});

test("profiles and reports without go", async () => {
  await stepping(folder, async ({ pid, step }) => {
    await step("l");
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ at }) => {
      assert.ok(gunzipSync((await ask(at("pprof/heap"))).body).includes("leak"));
      const report = JSON.parse((await ask(at("report.json"))).text);
      const leak = report.allocations.find(({ stack }: { stack: { function: string }[] }) =>
        stack.some((frame) => frame.function === "leak")
      );
      assert.deepEqual([leak.live_bytes, leak.count], [1000, 10]);
    });
  });
});

/** What call paths have, in an order of its own. */
function sorted(rows: readonly (readonly number[])[]): string[] {
  return rows.map((row) => row.join(" ")).sort();
}

test("what looks tell adds up to what a reading of the whole recording says, after random steps", async () => {
  const names = ["allocations", "bytes", "peakCount", "peakBytes", "liveCount", "liveBytes", "temporary"] as const;
  await stepping(folder, async ({ pid, recording, step, end }) => {
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ at }) => {
      const early = listen(at("looks"));
      await early.until(({ looks }) => looks > 1);
      assert.deepEqual(early.told.figures.liveBytes, [50_000]);
      for (let round = 0; round < 12; round++) {
        await step("lcr"[round % 3] ?? "r");
        if (round % 4 === 3) await settle();
        const { totals, callPaths } = recording.profile();
        const told = await early.until(({ totals: told }) => told.allocations === totals.allocations);
        assert.deepEqual([told.totals.bytes, told.totals.liveBytes], [totals.bytes, totals.liveBytes]);
        assert.deepEqual(
          sorted(told.ends.map((_, p) => names.map((name) => told.figures[name]?.[p] ?? NaN))),
          sorted(callPaths.map((path) => names.map((name) => path[name]))),
        );
      }
      assert.ok(["hold", "leak", "churn", "first", "second"].every((name) => early.told.names.includes(name)));
      // Who comes later is told the same at once.
      const late = listen(at("looks"));
      await late.until(({ looks }) => looks > 0);
      assert.deepEqual([late.told.figures, late.told.ends], [early.told.figures, early.told.ends]);
      // Whoever has the names already is not told them again.
      const known = listen(`${at("looks")}&known=0.0.0.0.0.0.${early.told.ends.length}`);
      await known.until(({ looks }) => looks > 0);
      assert.deepEqual([known.told.ends.length, known.told.names.length], [0, early.told.names.length]);
      known.close();
      await end();
      await early.until(({ isOver }) => isOver);
      assert.equal(early.told.running, false);
      late.close();
    });
  });
});

async function looking(url: string, use: (page: Page) => Promise<void>): Promise<void> {
  assert.ok(browser);
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 } });
  try {
    const page = await context.newPage();
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") failures.push(message.text());
    });
    await page.goto(url);
    await page.waitForSelector("body[data-ready]");
    await use(page);
    assert.deepEqual(failures, []);
  } finally {
    await context.close();
  }
}

test(
  "the page goes on as the program does, holds still, keeps marks and compares moments",
  { skip: noBrowser },
  async () => {
    await stepping(folder, async ({ pid, step, end }) => {
      await serving(["serve", "--interval", "100ms", String(pid)], async ({ url }) => {
        await looking(url, async (page) => {
          const shows = (selector: string, text: string) =>
            page.locator(selector).filter({ hasText: text }).first().waitFor({ timeout: 10_000 });
          await shows("#cards", "50.0 KB");
          assert.equal(await page.locator("#table .row:not(.head)").count(), 1);
          // A call path that there was not: its name comes with it.
          await step("l");
          await shows("#cards", "51.0 KB");
          await shows("#table", "leak");
          await page.locator("#table .row", { hasText: "leak" }).click();
          await shows("#panel-body", "1.00 KB in 10 allocations");
          // Nobody looks at its memory.
          assert.equal(await page.isVisible("#memory"), false);
          // What was chosen stays chosen, with other figures.
          await step("l");
          await shows("#panel-body", "2.00 KB in 20 allocations");
          assert.match(page.url(), /path=1/);
          await page.click("#tab-functions");
          await shows("#table", "hold");
          await step("c");
          await shows("#table", "churn");
          await page.click("#tab-leaks");
          await shows("#table", "leak");
          assert.equal(await page.locator("#table .row", { hasText: "churn" }).count(), 0);
          await page.click("#tab-paths");

          await page.click("#mark");
          await shows("#timeline", "mark-1");
          assert.ok(existsSync(join(folder, `grows.${pid}.mark-1.mark`)));

          await page.click("#pause");
          await step("l");
          await settle();
          await shows("#cards", "52.0 KB");
          await page.click("#pause");
          await shows("#cards", "53.0 KB");

          // What came between two moments, while there are more.
          await page.waitForTimeout(300);
          // The drawing itself may be replaced between two questions about it.
          const box = await page.locator("#timeline").boundingBox();
          assert.ok(box);
          await page.mouse.move(box.x + box.width * 0.2, box.y + 100);
          await page.mouse.down();
          await page.mouse.move(box.x + box.width * 0.5, box.y + 100);
          await page.mouse.move(box.x + box.width - 6, box.y + 100);
          await page.mouse.up();
          await shows("#span-told", "live");
          const told = await page.textContent("#span-told");
          await step("l");
          await shows("#cards", "54.0 KB");
          assert.equal(await page.textContent("#span-told"), told);
          // Call paths that come later had nothing in the span.
          await step("r");
          await page.locator("#cards").filter({ hasNotText: "54.0 KB" }).waitFor();
          await settle();
          assert.equal(await page.textContent("#span-told"), told);
          assert.ok(!(await page.content()).includes("NaN"), "a figure is none");
          assert.equal(await page.locator("#table .row", { hasText: "first" }).count(), 0);
          await page.keyboard.press("Escape");
          await shows("#table", "first");
          assert.ok(!(await page.content()).includes("NaN"), "a figure is none");

          await end();
          await shows("#served-told", "ended");
          assert.equal(await page.isDisabled("#pause"), true);
        });
      });
    });
  },
);

test("sizes, lifetimes and what is mapped go on too", { skip: noBrowser }, async () => {
  const grows = target(folder, "grows.c");
  const recorded = ["--sizes", "--lifetimes", "-o", "beside.heaptap"];
  await serving(["serve", "--interval", "100ms", ...recorded, "--", grows], async ({ url, child, end }) => {
    const step = (name: string) => child.stdin?.write(name);
    await looking(url, async (page) => {
      const shows = (text: RegExp) =>
        page.locator("#table").filter({ hasText: text }).first().waitFor({ timeout: 10_000 });
      await page.click("#tab-mapped");
      assert.equal(await page.textContent("#tab-mapped .count"), "0");
      // A path that maps and never allocates: its names come with it.
      step("m");
      await shows(/102 KB.*memory.*map/s);
      assert.equal(await page.textContent("#tab-mapped .count"), "1");
      step("m");
      await shows(/205 KB.*memory.*map/s);
      await page.click("#tab-sizes");
      await shows(/Sizes of requests/);
      step("c");
      await shows(/33-64 B\s*50 \u00b7 /);
      step("l");
      await shows(/65-128 B\s*10 \u00b7 /);
      await page.click("#tab-lifetimes");
      await shows(/Blocks: 50 freed, after .* on average; 11 not freed, /);
      step("c");
      await shows(/Blocks: 100 freed, /);
      // Those that stay grow older, though nothing is told of them.
      const age = async () => Number(/not freed, ([\d.]+) s old/.exec(await page.innerText("#table"))?.[1]);
      await shows(/ s old on average/);
      const before = await age();
      await page.waitForTimeout(1500);
      step("c");
      await shows(/Blocks: 150 freed, /);
      const grown = await age() - before;
      assert.ok(grown > 1 && grown < 10, `${grown} s in 1.5`);
      child.stdin?.end();
      await page.locator("#served-told", { hasText: "ended" }).waitFor();
    });
    assert.equal(await end(), 3);
  });
});

test("a folder is a list, with a page of each recording", { skip: noBrowser }, async () => {
  const many = join(folder, "many <b>");
  mkdirSync(many);
  const grows = target(folder, "grows.c");
  for (const name of ["one", "two"]) {
    const out = join(many, `${name} & more.heaptap`);
    assert.equal(heaptap(["run", "--no-report", "-o", out, "--", grows], { input: "l" }).status, 3);
  }
  writeFileSync(join(many, "other.txt"), "no recording");
  await serving(["serve", many], async ({ url, at, end }) => {
    const { text } = await ask(url);
    assert.match(text, /Recordings in [^<]*many &lt;b>/);
    assert.equal(text.match(/<tr><td/g)?.length, 2);
    assert.match(text, /one%20%26%20more\.heaptap\/"[^]*<td class="figure">11<\/td>/);
    assert.equal((await ask(at("other.txt/"))).status, 404);
    assert.equal((await ask(at("..%2Fgrows/"))).status, 404);
    assert.match((await ask(at("one%20%26%20more.heaptap/metrics"))).text, /heaptap_running\{[^}]*\} 0\n/);
    assert.ok(browser);
    const page = await browser.newPage();
    await page.goto(url);
    await page.locator("a").first().click();
    await page.waitForSelector("body[data-ready]");
    await page.locator("#cards", { hasText: "51.0 KB" }).waitFor();
    await page.locator("#served-told", { hasText: "ended" }).waitFor();
    await page.close();
    assert.equal(await end(), 0);
  });
});

test("serve -- program stays when the program has ended; run --serve reports then", async () => {
  const grows = target(folder, "grows.c");
  await serving(
    ["serve", "--interval", "50ms", "-o", "started.heaptap", "--", grows],
    async ({ at, child, said, end }) => {
      const looks = listen(at("looks"));
      await looks.until(({ totals }) => totals.liveBytes === 50_000);
      // Whoever runs it looks at its memory too, and pages are told.
      const { memory } = await looks.until(({ memory }) => memory !== undefined);
      assert.ok(Number(memory?.parts.files?.at(-1)) > 100_000 && memory?.seconds.length === memory?.parts.live?.length);
      child.stdin?.end("l");
      await looks.until(({ isOver }) => isOver);
      assert.equal(looks.told.totals.liveBytes, 51_000);
      while (!said().includes("has ended")) await settle();
      assert.match((await ask(at("metrics"))).text, /heaptap_live_bytes\{[^}]*\} 51000\n/);
      assert.equal(await end(), 3);
      assert.match(said(), /recorded in .*started\.heaptap/);
    },
  );
  await serving(["run", "--serve", "-o", "run.heaptap", "--", grows], async ({ at, child, said }) => {
    const looks = listen(at("looks"));
    await looks.until(({ totals }) => totals.liveBytes === 50_000);
    const ended = new Promise((done) => child.once("exit", done));
    child.stdin?.end("l");
    await looks.until(({ isOver }) => isOver);
    assert.equal(looks.told.totals.liveBytes, 51_000);
    assert.equal(await ended, 3);
    assert.match(said(), /hold[^]*recorded in .*run\.heaptap/);
  });
});

test("a process that is attached to is let go at Ctrl-C", async () => {
  const child = spawn(target(folder, "grows.c"), [], { stdio: ["pipe", "pipe", "inherit"] });
  const dot = () => new Promise<void>((done) => child.stdout.once("data", () => done()));
  try {
    await dot();
    const step = async (name: string) => {
      const done = dot();
      child.stdin.write(name);
      await done;
    };
    await serving(
      ["serve", "--interval", "50ms", "-o", "attached.heaptap", String(child.pid)],
      async ({ at, said, end }) => {
        await step("l");
        await settle();
        assert.match((await ask(at("metrics"))).text, /heaptap_live_bytes\{[^}]*\} 1000\n/);
        // A page is open, and looks go on.
        const page = listen(at("looks"));
        await page.until(({ looks }) => looks > 2);
        assert.equal(await end(), 0);
        assert.match(said(), /^[^\n]*\n(heaptap: )?recorded in .*attached\.heaptap\n$/);
      },
    );
    await step("l");
    const { totals, process: { attached } } = Recording.open(join(folder, "attached.heaptap")).profile();
    assert.equal(totals.liveBytes, 1000);
    assert.ok((attached?.left ?? 0) > 0);
  } finally {
    child.kill("SIGKILL");
  }
});

test("mistakes are told in a line", () => {
  const line = (args: readonly string[]) => {
    const { status, stderr } = heaptap(args, { cwd: folder });
    assert.equal(status, 2);
    return stderr;
  };
  assert.match(
    line(["serve", "sleep", "5"]),
    /^heaptap: Cannot serve "sleep 5": to run it write heaptap serve -- sleep 5\n$/,
  );
  assert.match(line(["serve", "no-such-program"]), /^heaptap: Cannot find "no-such-program"/);
  assert.match(line(["serve", "--port", "70000"]), /whole number from 0 to 65535/);
});

test("Prometheus scrapes it", { skip: without("prometheus") }, async () => {
  await stepping(folder, async ({ pid, step }) => {
    await step("l");
    await serving(["serve", "--interval", "50ms", String(pid)], async ({ url }) => {
      const { host, searchParams } = new URL(url);
      const config = join(folder, "prometheus.yml");
      writeFileSync(
        config,
        JSON.stringify({
          scrape_configs: [{
            job_name: "heaptap",
            scrape_interval: "1s",
            authorization: { credentials: searchParams.get("token") },
            static_configs: [{ targets: [host] }],
          }],
        }),
      );
      const scraper = spawn("prometheus", [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, "prometheus")}`,
        "--web.listen-address=127.0.0.1:19093",
      ], { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      scraper.stderr.on("data", (bytes) => said += bytes);
      try {
        const query = "http://127.0.0.1:19093/api/v1/query?query=heaptap_live_bytes";
        let value: string | undefined;
        for (let n = 0; n < 100 && value === undefined; n++) {
          await settle();
          const answer = await ask(query).catch(() => undefined);
          value = answer?.status === 200 ? JSON.parse(answer.text).data.result[0]?.value[1] : undefined;
        }
        assert.equal(value, "51000", said);
      } finally {
        scraper.kill("SIGKILL");
      }
    });
  });
});
