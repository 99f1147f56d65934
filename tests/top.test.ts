/** The live view: looks, the state that keys make, its text, lines, and once all of it in a terminal. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { profile } from "../mod.ts";
import type { CallPath, Look, NamedFrame, Profile } from "../mod.ts";
import { keysOf } from "../src/command/screen.ts";
import { Names } from "../src/live/names.ts";
import { rowsOf } from "../src/live/rows.ts";
import { looked, pressed, START } from "../src/live/state.ts";
import type { LiveState } from "../src/live/state.ts";
import { pageOf, plain, short, sparkline, viewLines } from "../src/live/view.ts";
import { stepping } from "./grows.ts";
import { CLI, heaptap, ROOT, scratch, SCRIPT, target, without } from "./helpers.ts";

const folder = scratch();

async function next(looks: AsyncGenerator<Look>): Promise<Look> {
  const { value, done } = await looks.next();
  assert.ok(!done);
  return value;
}

/** The call paths by the function that called malloc. */
async function byFunction(look: Look): Promise<Map<string, CallPath>> {
  using names = new Names(look);
  await names.learn(look, look.used);
  return new Map(Array.from(look.used, (id) => [names.group(look, id, "functions"), look.path(id)]));
}

test("looks tell what is live, what came since the look before, and which call paths moved", async () => {
  await stepping(folder, async ({ recording, step, end }) => {
    const looks = recording.watch({ interval: 10 });
    const first = await next(looks);
    assert.deepEqual([first.running, first.interval, first.allocationsPerSecond], [true, 0, 0]);
    assert.deepEqual([first.totals.liveBytes, first.totals.allocations], [50_000, 1]);
    assert.deepEqual(first.changed, first.used);
    assert.ok((first.resident ?? 0) > 100_000, String(first.resident));

    await step("l");
    const second = await next(looks);
    assert.deepEqual([second.totals.liveBytes, second.totals.allocations], [51_000, 11]);
    assert.ok(Math.abs(second.allocationsPerSecond * second.interval - 10) < 1e-6);
    assert.ok(Math.abs(second.bytesPerSecond * second.interval - 1000) < 1e-6);
    const leak = (await byFunction(second)).get("leak");
    assert.ok(leak);
    assert.deepEqual([...second.changed], [leak.id]);
    assert.deepEqual([leak.liveBytes, leak.liveCount], [1000, 10]);
    // The earlier look stays what it was.
    assert.deepEqual([first.totals.liveBytes, first.figure(leak.id, "live")], [50_000, 0]);

    await step("c");
    const third = await next(looks);
    const churn = (await byFunction(third)).get("churn");
    assert.deepEqual([...third.changed], [churn?.id]);
    assert.deepEqual([churn?.allocations, churn?.liveBytes, third.totals.frees], [50, 0, 50]);
    const idle = await next(looks);
    assert.deepEqual([idle.changed.length, idle.bytesPerSecond], [0, 0]);

    await step("l");
    await end();
    const rest: Look[] = [];
    for await (const look of looks) rest.push(look);
    const last = rest.at(-1);
    assert.deepEqual([last?.running, last?.resident, last?.totals.liveBytes], [false, undefined, 52_000]);
  });
});

test("a look is what a reading of the whole recording is, after random steps", async () => {
  const seed = Date.now() % 1e6;
  console.log(`seed ${seed}`);
  const figuresOf = (path: CallPath) => {
    const { allocations, bytes, frees, freedBytes, reallocations, carried, temporary } = path;
    const { liveBytes, liveCount, peakBytes, peakCount } = path;
    return {
      allocations,
      bytes,
      frees,
      freedBytes,
      reallocations,
      carried,
      temporary,
      liveBytes,
      liveCount,
      peakBytes,
      peakCount,
    };
  };
  const all = ({ callPaths }: Profile) => new Map(callPaths.map((path) => [path.id, path]));
  await stepping(folder, async ({ recording, step }) => {
    const looks = recording.watch({ interval: 10 });
    await next(looks);
    let before = all(recording.profile());
    for (let round = 0; round < 20; round++) {
      // What is read while steps are done is of some moment between.
      const racing = step("r");
      await next(looks);
      await racing;
      before = all(recording.profile());
      await next(looks);
      await step("lcr"[round % 3] ?? "r");
      const look = await next(looks);
      const naive = recording.profile();
      const now = all(naive);
      assert.deepEqual([...look.used], [...now.keys()].sort((a, b) => a - b));
      for (const id of look.used) {
        const path = now.get(id) as CallPath;
        assert.deepEqual(figuresOf(look.path(id)), figuresOf(path));
        assert.deepEqual(look.path(id).stack, path.stack);
        assert.deepEqual([look.figure(id, "live"), look.figure(id, "peak")], [path.liveBytes, path.peakBytes]);
      }
      const moved = [...now.values()].filter((path) => {
        const then = before.get(path.id);
        return !then || JSON.stringify(figuresOf(then)) !== JSON.stringify(figuresOf(path));
      });
      assert.deepEqual([...look.changed], moved.map(({ id }) => id).sort((a, b) => a - b));
      const { timeline: _, ...totals } = naive;
      assert.deepEqual(look.totals, totals.totals);
    }
  }, String(seed));
});

test("looking ends with a signal, once at a recording that has ended, and not at all at a wrong interval", async () => {
  await stepping(folder, async ({ recording, end }) => {
    const leave = new AbortController();
    let n = 0;
    for await (const _ of recording.watch({ interval: 10, signal: leave.signal })) if (++n === 3) leave.abort();
    assert.equal(n, 3);
    await end();
    const seen: boolean[] = [];
    for await (const look of recording.watch()) seen.push(look.running);
    assert.deepEqual(seen, [false]);
    for (const interval of [0, -1, NaN, 1e9]) {
      await assert.rejects(
        recording.watch({ interval }).next(),
        /^RangeError: Cannot look every .* ms: it takes 10 to/,
      );
    }
  });
});

/** Figures of a call path in a look that never was. */
type Told = readonly [name: string, live: number, bytes: number, allocations: number, peak: number];

const frame = (name: string): NamedFrame => ({
  ...{ function: name, key: name, file: `/src/${name}.c`, line: 7, inlined: false, kind: "own" as const },
  ...{ module: "/bin/app", address: 4096 },
});

/** A look as views want it, with these call paths, from 1 on. */
function told(seconds: number, interval: number, paths: readonly Told[], more: Partial<Look> = {}): Look {
  const columns = { live: 1, size: 2, count: 3, peak: 4 } as Readonly<Record<string, number>>;
  const live = paths.reduce((sum, path) => sum + path[1], 0);
  const look = {
    ...{ seconds, interval, running: true, resident: 9_000_000, allocationsPerSecond: 1234, bytesPerSecond: 5_000_000 },
    totals: { liveBytes: live, peakBytes: 2 * live, allocations: 1_500_000 },
    used: Uint32Array.from(paths, (_, i) => i + 1),
    profile: {
      process: { pid: 42, executable: "/bin/app", command: ["app"], paused: false },
      limits: { mode: "paths" },
      threads: [],
    },
    figure: (id: number, figure: string) => paths[id - 1]?.[columns[figure] ?? 0] ?? 0,
    path: (id: number) => ({
      id,
      name: paths[id - 1]?.[0],
      end: "root",
      liveCount: 1,
      liveBytes: 9,
      allocations: 2,
      bytes: 18,
    }),
    ...more,
  };
  return look as unknown as Look;
}

const nameOf = (path: unknown) => (path as { name: string }).name;
/** Names that need no look-up. */
const NAMES = {
  lead: (path: CallPath) => ({ lead: frame(nameOf(path)), via: undefined, callers: [frame("caller"), frame("main")] }),
  stack: (path: CallPath) => [frame(nameOf(path)), frame("caller"), frame("main")],
  group: (look: Look, id: number) => nameOf(look.path(id)).slice(0, 4),
  matches: (look: Look, id: number, pattern: RegExp) => pattern.test(nameOf(look.path(id))),
} as unknown as Names;

const PATHS: readonly Told[] = [
  ["table", 4_000_000, 4_000_000, 10, 4_000_000],
  ["cache_fill", 300_000, 900_000, 100, 310_000],
  ["cache_leak\x1b[31m", 20_000, 20_000, 20, 0],
];
/** A second later the leak has grown, and the cache has let go. */
const LATER: readonly Told[] = [
  ["table", 4_000_000, 4_000_000, 10, 4_000_000],
  ["cache_fill", 299_000, 2_900_000, 350, 310_000],
  ["cache_leak\x1b[31m", 25_000, 25_000, 25, 0],
];
const TWO = looked(looked(START, told(10, 0, PATHS)), told(11, 1, LATER));

const screen = (state: LiveState, columns: number, rows: number) =>
  plain(viewLines(state, rowsOf(state, NAMES), NAMES, { columns, rows }));

/** After these keys. */
function after(state: LiveState, ...keys: string[]): LiveState {
  return keys.reduce((state, key) => pressed(state, key, { rows: rowsOf(state, NAMES), page: 10, depth: 3 }), state);
}

test("a view of 80 columns has the figures above, and what grows first", () => {
  assert.equal(
    screen(TWO, 80, 10),
    [
      "app (pid 42) \u00b7 11.0 s \u00b7 growth of 1 s",
      "live         4.32 MB  \u2588\u2588                      peak 8.65 MB   resident 9.00 MB",
      "allocated  5.00 MB/s  \u2588\u2588                      1.23k allocations/s   1.50M in all",
      "    LIVE    GROWTH  BYTES/S ALLOCS/S  CALL PATH",
      " 25.0 KB  +5.00 KB  5.00 KB        5  cache_leak\ufffd[31m cache_leak\ufffd[31m.c:7",
      " 4.00 MB       0 B      0 B        0  table table.c:7 \u2190 \u2026 \u2190 main main.c:7",
      "  299 KB  -1.00 KB  2.00 MB      250  cache_fill cache_fill.c:7",
      "",
      "",
      "q quit  / filter  enter stack  g l b a p sort  tab view  m mark  space pause  s\u2026",
    ].join("\n"),
  );
});

test("of what was attached to it is said how much is in blocks from before", () => {
  const look = told(12, 1, LATER);
  const attached = {
    ...look,
    profile: { ...look.profile, memory: { end: { before: 105_000_000 } } },
  } as unknown as Look;
  const [title] = screen(looked(TWO, attached), 80, 10).split("\n");
  assert.equal(title, "app (pid 42) \u00b7 12.0 s \u00b7 growth of 2 s \u00b7 105 MB in blocks from before");
});

test("a view of 200 columns has callers and the peak, the past as wide as it fits; small ones have what is left", () => {
  const wide = screen(TWO, 200, 12).split("\n");
  assert.equal(wide[3], "    LIVE    GROWTH  BYTES/S ALLOCS/S  AT PEAK  CALL PATH");
  assert.equal(
    wide[5],
    " 4.00 MB       0 B      0 B        0  4.00 MB  table table.c:7 \u2190 caller caller.c:7 \u2190 main main.c:7",
  );
  assert.equal(
    screen(TWO, 20, 5),
    [
      "app (pid 42) \u00b7 11.0\u2026",
      "    GROWTH  CALL PAT",
      "  +5.00 KB  cache\u2026k\u2026",
      "       0 B  table t\u2026",
      "q quit  / filter  e\u2026",
    ]
      .join("\n"),
  );
  for (const [columns, rows] of [[1, 1], [2, 2], [10, 3], [40, 8], [500, 100]] as const) {
    for (const state of [START, TWO, after(TWO, "enter"), after(TWO, "?"), after(TWO, "/", "x")]) {
      const lines = screen(state, columns, rows).split("\n");
      assert.equal(lines.length, rows);
      for (const line of lines) assert.ok(line.length <= columns, `${columns}: ${line}`);
    }
  }
});

test("keys sort, choose, open, mark, hold still and leave", () => {
  const firsts = (state: LiveState) => rowsOf(state, NAMES).map(({ path }) => path);
  assert.deepEqual(firsts(TWO), [3, 1, 2]);
  assert.deepEqual(firsts(after(TWO, "l")), [1, 2, 3]);
  assert.deepEqual(firsts(after(TWO, "b")), [2, 3, 1]);
  assert.deepEqual(firsts(after(TWO, "a")), [2, 3, 1]);
  assert.deepEqual(firsts(after(TWO, "p")), [1, 2, 3]);
  // A row that is chosen stays chosen where others come before it.
  const chosen = after(TWO, "down", "down", "up");
  assert.equal(chosen.selected, "1");
  assert.equal(after(chosen, "end").selected, "2");
  assert.equal(after(chosen, "wheel-down", "pageup").selected, "3");
  assert.match(screen(after(chosen, "enter"), 80, 12), /\n +caller +caller\.c:7\n +main +main\.c:7\n/);
  assert.equal(after(chosen, "enter", "escape").open, undefined);
  const marked = looked(after(TWO, "m"), told(12, 1, LATER));
  assert.deepEqual(rowsOf(marked, NAMES).map(({ figures }) => figures.growth), [0, 0, 0]);
  assert.match(screen(marked, 80, 10), /growth of 1 s, since the mark/);
  const held = looked(after(TWO, " "), told(12, 1, PATHS));
  assert.deepEqual([held.look?.seconds, held.past.length], [11, 3]);
  assert.match(screen(held, 80, 10), /the view is paused/);
  assert.deepEqual([after(held, " ").look?.seconds, after(held, " ").before?.seconds], [12, 11]);
  const next = looked(after(held, " "), told(13, 1, LATER));
  assert.deepEqual([next.look?.seconds, next.before?.seconds], [13, 12]);
  assert.equal(looked(after(TWO, " "), told(12, 1, PATHS, { running: false })).look?.seconds, 12);
  assert.deepEqual(["q", "s", "n", "ctrl-c", "ctrl-z", "x"].map((key) => after(TWO, key).wish), [
    ...["quit", "save", "next", "interrupt", "suspend", undefined],
  ]);
});

test("a filter applies as it is typed; what is no regular expression yet says why and changes no row", () => {
  const typed = after(TWO, "/", ..."cache_l");
  assert.deepEqual(rowsOf(typed, NAMES).map(({ path }) => path), [3]);
  assert.match(screen(typed, 80, 10), /\/cache_l\u2588 {2}1 row$/);
  const broken = after(typed, "(");
  assert.deepEqual(rowsOf(broken, NAMES).map(({ path }) => path), [3]);
  assert.match(screen(broken, 80, 10), /\/cache_l\(\u2588 {2}.*(group|parenthes|\))/i);
  assert.deepEqual([after(broken, "backspace").problem, after(broken, "escape").filter], ["", ""]);
  // Keys of the view are letters while one types, and a capital makes it exact.
  const kept = after(TWO, "/", "q", "enter");
  assert.deepEqual([kept.filter, kept.wish, kept.typing], ["q", undefined, false]);
  assert.match(screen(kept, 80, 10), /nothing here matches q/);
  assert.equal(rowsOf(after(TWO, "/", ..."Cache"), NAMES).length, 0);
  assert.equal(after(TWO, "/", ..."cache", "ctrl-u").filter, "");
});

test("views put call paths together, and a group opens as its call paths", () => {
  const groups = after(TWO, "2");
  const rows = rowsOf(groups, NAMES);
  assert.deepEqual(rows.map(({ name, figures }) => [name, figures.live, figures.growth]), [
    ["cach", 324_000, 4000],
    ["tabl", 4_000_000, 0],
  ]);
  const opened = after(groups, "enter");
  assert.deepEqual([opened.view, opened.filter], ["paths", "^cach$"]);
  assert.equal(after(TWO, "shift-tab").view, "operations");
  assert.equal(after(TWO, "tab", "tab").view, "modules");
  assert.match(screen(after(TWO, "4"), 80, 10), /THREAD/);
});

test("of many call paths those that count are found, among many that are alike", () => {
  const many = Array.from({ length: 5000 }, (_, i): Told => ["same", i === 4321 ? 9 : i % 7 === 0 ? 5 : 4, 0, 0, 0]);
  const rows = rowsOf({ ...looked(START, told(1, 0, many)), sort: "live" }, NAMES);
  assert.deepEqual([rows.length, rows[0]?.path, rows[1]?.path, rows[714]?.figures.live], [1000, 4322, 1, 5]);
  assert.equal(rows[999]?.figures.live, 4);
  assert.equal(new Set(rows.map(({ key }) => key)).size, 1000);
});

test("what a terminal sends is keys, in pieces too", () => {
  assert.deepEqual(keysOf("q\x1b[A\x1bOB\x1b[<64;10;5M\x1b[<65;1;1M\x1b[<0;1;1M\x1b[6~\r\x7f\x03").keys, [
    ...["q", "up", "down", "wheel-up", "wheel-down", "pagedown", "enter", "backspace", "ctrl-c"],
  ]);
  assert.deepEqual(keysOf("\x1b"), { keys: ["escape"], rest: "" });
  assert.deepEqual(keysOf("a\x1b[<64;1"), { keys: ["a"], rest: "\x1b[<64;1" });
  assert.deepEqual(keysOf("\u00fc\u{1f600}\x00").keys, ["\u00fc", "\u{1f600}"]);
  assert.deepEqual([short(0.25), short(999), short(1234), short(45_600_000)], ["0.3", "999", "1.23k", "45.6M"]);
  assert.deepEqual([sparkline([0, 4, 8], 10), sparkline([1, 2, 3], 2), sparkline([0], 3), sparkline([], 3)], [
    ...["\u2581\u2585\u2588", "\u2586\u2588", "\u2581", ""],
  ]);
  assert.equal(pageOf({ columns: 80, rows: 24 }), 19);
});

test("without a terminal there is a line for each look, or an object; a reader that has seen enough ends it", async () => {
  await stepping(folder, async ({ pid, recording, step, end }) => {
    const top = spawn(CLI[0] ?? "", [
      ...CLI.slice(1),
      "top",
      String(pid),
      "--json",
      "--interval",
      "300ms",
      "--count",
      "3",
    ]);
    let said = "";
    top.stdout.on("data", (bytes) => {
      // Behind the first line.
      if (!said) step("l");
      said += bytes;
    });
    assert.equal(await new Promise((done) => top.once("exit", done)), 0);
    const lines = said.trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.length, 3);
    const [first, , last] = lines;
    assert.deepEqual([first.pid, first.version, first.running, first.live_bytes, first.allocations], [
      pid,
      1,
      true,
      50_000,
      1,
    ]);
    assert.deepEqual([last.live_bytes, last.live_count, last.allocations, last.bytes], [51_000, 11, 11, 51_000]);
    assert.deepEqual(
      last.call_paths.map((path: Record<string, unknown>) => [path.function, path.live_bytes, path.growth_bytes]),
      [["leak", 1000, 1000], ["hold", 50_000, 0]],
    );
    const text = heaptap(["top", "--count", "1", String(pid)]);
    assert.match(text.stdout, /^ +\d+\.\d s {2}live 51\.0 KB {2}peak 51\.0 KB {2}resident .* 0 allocations\/s\n$/);
    const shell = `${CLI.map((word) => `'${word}'`).join(" ")} top --interval 50ms ${pid} | head -n 2`;
    const piped = spawnSync("bash", ["-c", `set -o pipefail; ${shell}`], { encoding: "utf8", timeout: 60_000 });
    assert.deepEqual([piped.stdout.split("\n").length, piped.stderr], [3, ""]);
    await end();
    const ended = heaptap(["top", recording.path]);
    assert.match(ended.stdout, /^[^\n]*live 51\.0 KB {2}peak 51\.0 KB {2}ended[^\n]*\n$/);
  });
});

test("a program that it runs keeps its output and its exit status", () => {
  const program = target(folder, "grows.c");
  const out = join(folder, "run.heaptap");
  const ran = heaptap(["top", "--interval", "100ms", "-o", out, "--", program], { input: "lll" });
  assert.deepEqual([ran.status, ran.stdout], [3, "...."]);
  assert.match(ran.stderr, /live 53\.0 KB {2}peak 53\.0 KB {2}ended.*\nheaptap: recorded in .*run\.heaptap\n$/);
  const ranToo = heaptap(["run", "--top", "-o", out, "--limit", "1", "--", program], { input: "l" });
  assert.match(ranToo.stderr, /live 51\.0 KB[^]*Top call paths/);
  assert.equal(ranToo.status, 3);
});

test("a program that only waits gives way to the one that it waits for", async () => {
  const shell = `${target(folder, "grows.c")}; exit 5`;
  const out = join(folder, "shell.%p.heaptap");
  const top = spawn(CLI[0] ?? "", [...CLI.slice(1), "top", "--interval", "50ms", "-o", out, "--", "sh", "-c", shell]);
  let said = "";
  const switched = new Promise<void>((done) =>
    top.stderr.on("data", (bytes) => {
      said += bytes;
      if (/live 50\.0 KB {2}peak 50\.0 KB {2}resident/.test(said)) done();
    })
  );
  const late = setTimeout(() => top.kill("SIGKILL"), 60_000);
  const ended = new Promise((done) => top.once("exit", done));
  await Promise.race([switched, ended]);
  top.stdin.end("l");
  assert.equal(await ended, 5);
  clearTimeout(late);
  assert.match(said, /live 51\.0 KB {2}peak 51\.0 KB {2}ended.*\n.*recorded in .*\n$/);
});

test("what cannot be looked at is told in a line", async () => {
  const ended = join(folder, "ended.heaptap");
  await profile(["true"], { out: ended });
  const cases: [string[], RegExp][] = [
    [["top", "4194304"], /Cannot look at process 4194304: there is no such process/],
    [["top", "2"], /Cannot attach to process 2: |Cannot look at process 2: /],
    [["top", join(folder, "grows")], /Cannot find ".*grows": it is neither a recording nor a process that runs/],
    [["top", "--interval", "0", "1"], /'0' is invalid\. It takes a time from 50ms to 1h/],
    [["top", "--interval", "soon", "1"], /'soon' is invalid/],
    [["top", "ls", "-x"], /unknown option '-x'/],
    [["top", "ls", "x"], /Cannot look at "ls x": to run it write heaptap top -- ls x/],
    [["top", "-o", "x.heaptap", ended], /Cannot record what is recorded elsewhere already: leave out -o/],
    [["top", "--", "/nowhere/program"], /Cannot run "\/nowhere\/program": there is no such file/],
    [["run", "--top", "./app"], /It takes a number of rows, or nothing\. Before the program write --/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = heaptap(args);
    assert.match(stderr, message);
    assert.deepEqual([stdout, stderr.trim().split("\n").length, status], ["", 1, args[1] === "--" ? 127 : 2], stderr);
  }
});

test("who leaves while names are looked up leaves: no symboliser is started any more", async () => {
  await stepping(folder, ({ recording }) => {
    const script = join(folder, "leave.ts");
    const mod = JSON.stringify(join(ROOT, "mod.ts"));
    writeFileSync(
      script,
      `import { Recording, Symbols } from ${mod};
const profile = Recording.open(${JSON.stringify(recording.path)}).profile();
for (const wait of [0, 1, 5, 20]) {
  const symbols = new Symbols(profile, { cache: false });
  const resolved = symbols.resolve(profile.callPaths);
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  symbols[Symbol.dispose]();
  await resolved;
}
`,
    );
    const left = spawnSync(process.execPath, [...SCRIPT, script], { encoding: "utf8", timeout: 30_000 });
    assert.deepEqual([left.status, left.stderr], [0, ""]);
    return Promise.resolve();
  });
});

test("in a terminal it shows who grows, and leaves the terminal as it was", { skip: without("tmux") }, async () => {
  const socket = `heaptap-test-${process.pid}`;
  const tmux = (...args: string[]) => spawnSync("tmux", ["-L", socket, ...args], { encoding: "utf8" }).stdout;
  const shown = async (pattern: RegExp) => {
    let text = "";
    for (const begun = performance.now(); performance.now() - begun < 30_000;) {
      text = tmux("capture-pane", "-p");
      if (pattern.test(text)) return text;
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.fail(`never matched ${pattern}:\n${text}`);
  };
  const command = CLI.map((word) => `'${word}'`).join(" ");
  const here = [
    "new-session",
    "-d",
    "-c",
    folder,
    "-x",
    "80",
    "-y",
    "24",
    "env PS1='$ ' LC_ALL=C.UTF-8 bash --norc --noprofile -i",
  ];
  try {
    await stepping(folder, async ({ pid, recording, step, end }) => {
      tmux(...here);
      await shown(/\$/);
      tmux("send-keys", "stty -g > before; echo kept", "Enter");
      tmux("send-keys", `clear; ${command} top --interval 100ms ${pid}`, "Enter");
      await shown(/50\.0 KB .*hold grows\.c:\d+/);
      await step("l");
      await shown(/\n 1\.00 KB {2}\+1\.00 KB .*leak grows\.c:\d+/);
      tmux("send-keys", "Enter");
      await shown(/live 1\.00 KB in 10 blocks[^]*leak +grows\.c[^]*main +grows\.c/);
      tmux("send-keys", "Escape");
      tmux("send-keys", "/hol");
      assert.doesNotMatch(await shown(/\/hol.*1 row/), /leak grows/);
      tmux("send-keys", "Escape");
      tmux("resize-window", "-x", "30", "-y", "6");
      await shown(/^grows \(pid \d+\)[^\n]*\n +GROWTH {2}CALL PATH\n/);
      tmux("resize-window", "-x", "80", "-y", "24");
      tmux("send-keys", "C-z");
      await shown(/Stopped/);
      tmux("send-keys", "fg", "Enter");
      await shown(/leak grows/);
      await end();
      await shown(/ended/);
      tmux("send-keys", "q");
      tmux("send-keys", "stty -g | cmp - before && echo 'as it was'", "Enter");
      assert.doesNotMatch(await shown(/^as it was$/m), /leak grows/);
      const { path } = recording;
      for (const [signal, status] of [["SIGTERM", 143], ["SIGHUP", 129]] as const) {
        tmux("send-keys", `clear; ${command} top ${path}; echo left with $?`, "Enter");
        await shown(/ended/);
        const shell = tmux("display-message", "-p", "#{pane_pid}").trim();
        process.kill(Number(readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8")), signal);
        await shown(new RegExp(`^left with ${status}$`, "m"));
        tmux("send-keys", "stty -g | cmp - before && echo 'as it was'", "Enter");
        await shown(/^as it was$/m);
      }
    });
  } finally {
    tmux("kill-server");
  }
});
