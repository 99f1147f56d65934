import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, processesJson, processesText, profile, Recording } from "../mod.ts";
import { programName, role } from "../src/profile/launchers.ts";
import { CLI, heaptap, recordings, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const quiet = { stdio: "ignore" } as const;
const counts = target(folder, "counts.c");
const starts = target(folder, "starts.c");

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** What is run, and the program that its report is of. */
const RUNS: Readonly<Record<string, { command: string[]; is: string; why: RegExp; needs?: string }>> = {
  "a shell that waits": {
    command: ["sh", "-c", `${counts}; exit 3`],
    is: counts,
    why: /sh \(pid \d+\) was told to start/,
  },
  "a shell that ends by exec": {
    command: ["sh", "-c", `ls / > /dev/null; exec ${counts}`],
    is: counts,
    why: /was started/,
  },
  "a program that starts others": { command: [starts, "late"], is: starts, why: /was started/ },
  "nice": { command: ["nice", counts], is: counts, why: /was started/ },
  "timeout": { command: ["timeout", "60", counts], is: counts, why: /timeout .* was told to start/ },
  "wrappers of wrappers": {
    command: ["timeout", "60", "sh", "-c", `nice ${counts}; true`],
    is: counts,
    why: /was told to start/,
  },
  "a script whose helpers allocate more": {
    command: [
      script("helpers.sh", `#!/bin/sh\nls -la /usr/bin > /dev/null\n${starts} leaf\nsort /etc/passwd > /dev/null\n`),
    ],
    is: starts,
    why: /most allocations of what .*helpers.sh .* waited for/,
  },
  "make": {
    command: ["make", "-s", "-f", script("Makefile", `all:\n\t@ls / > /dev/null\n\t@${counts} || true\n`)],
    is: counts,
    why: /most allocations of what make .* waited for/,
    needs: "make",
  },
  "npm run": {
    command: ["npm", "run", "--silent", "--prefix", mkdtempSync(join(folder, "npm-")), "go"],
    is: counts,
    why: /most allocations of what node .*npm .* waited for/,
    needs: "npm",
  },
  "a shell that works": {
    command: ["bash", "-c", "for i in {1..20000}; do x=$i$x; x=${x:0:10}; done; ls / > /dev/null; true"],
    is: "/bash",
    why: /was started/,
    needs: "bash",
  },
  "a script language that starts a program": {
    // Work of its own: how much perl allocates before, by the locale, would decide else.
    command: ["perl", "-e", `my @own = map { "own $_" } 1 .. 20000; system("${counts}"); exit 0`],
    is: "/perl",
    why: /was started/,
    needs: "perl",
  },
  "strace": {
    command: ["strace", "-f", "-o", "/dev/null", counts],
    is: counts,
    why: /strace .* start/,
    needs: "strace",
  },
};
writeFileSync(join(RUNS["npm run"]?.command[4] ?? "", "package.json"), JSON.stringify({ scripts: { go: counts } }));

for (const [name, { command, is, why, needs }] of Object.entries(RUNS)) {
  test(`the report is of what was asked for: ${name}`, { skip: needs ? without(needs) : false }, async () => {
    const out = join(mkdtempSync(join(folder, "asked-")), "a.heaptap");
    const { recording, others, choice } = await profile(command, { out, ...quiet });
    assert.ok(recording && others.length > 0);
    assert.ok(recording.profile().process.executable.endsWith(is), recording.profile().process.executable);
    assert.match(choice, /^the report is of /);
    assert.match(choice, why);
    // The recording that -o named stands for the run; every other file is what it is.
    assert.equal(Recording.open(out).chosen().recording.path, recording.path);
    assert.equal(Recording.open(out).chosen().words, choice);
    for (const { path } of others) {
      if (path !== out) assert.equal(Recording.open(path).chosen().recording.path, path);
    }
    assert.deepEqual(Recording.open(out).processTree().filter((row) => row.chosen).map((row) => row.path), [
      recording.path,
    ]);
  });
}

test("report, budgets, --save, --compare and marks go by the same choice as run", () => {
  const inside = mkdtempSync(join(folder, "same-"));
  const [out, saved] = [join(inside, "a.heaptap"), join(inside, "saved.json")];
  const command = ["sh", "-c", `${counts}; exit 0`];
  const run = (...options: string[]) => heaptap(["run", "-o", out, ...options, "--", ...command]);
  assert.equal(run("--no-report", "--max-allocations", "1111", "--save", saved).status, 0);
  assert.equal(run("--no-report", "--max-allocations", "1110").status, 3);
  const report = (...options: string[]) => heaptap(["report", ...options, out]);
  const { stdout, stderr } = report("--format", "json");
  assert.equal(JSON.parse(stdout).summary.allocations, 1111);
  assert.match(
    stderr,
    /^heaptap: the report is of .*counts \(pid \d+\), which sh \(pid \d+\) was told to start; 1 more/,
  );
  assert.equal(report("--max-allocations", "1110").status, 3);
  assert.equal(report("--compare", saved, "--max-growth", "0").status, 0);
  assert.match(heaptap(["compare", saved, out]).stdout, /1,111/);
  assert.equal(heaptap(["mark", out, "end"]).status, 0);
  assert.equal(JSON.parse(report("--since", "end", "--format", "json").stdout).summary.allocations, 0);
  // The one that waited is there when it is asked for.
  const waiting = Recording.open(out).processTree().find((row) => !row.chosen)!;
  assert.match(report("-p", String(waiting.pid)).stdout, /^heaptap: sh -c/);
});

test("heaptap processes: a tree with what each allocated, and statuses where they are known", () => {
  const inside = mkdtempSync(join(folder, "tree-"));
  const out = join(inside, "a.heaptap");
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--", "sh", "-c", `nice ${starts} late; exit 5`]).status, 5);
  const found = JSON.parse(heaptap(["processes", "--format", "json", out]).stdout);
  const [shell, nice, first, ...rest] = found.processes;
  assert.deepEqual([shell.depth, shell.exit_code, shell.exit_signal, shell.reported], [0, 5, null, false]);
  assert.deepEqual([nice.depth, nice.replaced, nice.pid === first.pid], [1, true, true]);
  assert.deepEqual([first.allocations, first.peak_bytes, first.reported], [10, 1000, true]);
  assert.ok(found.processes.slice(2).every((row: { exit_code: number | null }) => !row.exit_code), "null or 0");
  assert.deepEqual(rest.map((row: { allocations: number; depth: number }) => [row.allocations, row.depth]), [
    [5, 2],
    [3, 2],
  ]);
  assert.ok(
    rest.every((row: { parent_pid: number; file: string }) =>
      row.parent_pid === first.pid && Recording.open(row.file).profile().process.parentPid === first.pid
    ),
  );
  const { stdout } = heaptap(["report", "--processes", out], { env: { COLUMNS: "200" } });
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 6);
  assert.match(lines[0]!, /pid +parent +allocations +peak +status +program +file/);
  assert.match(lines[1]!, /exit 5 +sh -c/);
  assert.match(lines[2]!, /exec +nice/);
  assert.match(lines[3]!, /^\* ?\d+ .* 10 +1.00 KB +(exit 0)? +\S*starts late/);
  assert.doesNotMatch(heaptap(["report", first.file]).stdout, /not seen/);
  assert.equal(heaptap(["report", "--processes", "--format", "html", out]).status, 2);
});

test("how children ended is told where the kernel tells it, and nothing else", () => {
  const out = join(mkdtempSync(join(folder, "ended-")), "a.heaptap");
  const sleeps = (end: string) => `sh -c 'sleep 0.5; ${end}'`;
  const script = `${sleeps("exit 7")} & ${sleeps("kill -9 $$")} & wait; exit 0`;
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--", "sh", "-c", script]).status, 0);
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const tells = major > 6 || (major === 6 && minor >= 15);
  const rows = Recording.open(out).processTree();
  for (const [end, code, signal] of [["exit 7", 7, 0], ["kill -9", 0, 9]] as const) {
    const row = rows.findLast(({ command }) => command[2]?.endsWith(end) || command[2]?.endsWith(`${end} $$`));
    assert.ok(row, end);
    assert.deepEqual(row.exit ?? tells, tells ? { code, signal } : false);
    const { exit } = Recording.open(row.path).profile().process;
    assert.equal(exit?.seconds, undefined);
  }
  // The driver's own child is still known as that.
  assert.equal(rows[0]?.exit?.code, 0);
  assert.equal(rows[0]?.depth, 0);
});

test("the table and its JSON are functions of rows; a child's status is left out", () => {
  const row = {
    parentPid: 1,
    command: ["a\x1b", "b"],
    executable: "/a",
    peakBytes: 5,
    interval: 0,
    path: "/x/a.heaptap",
  };
  const rows = [
    {
      ...row,
      pid: 2,
      depth: 0,
      allocations: 1,
      exit: { code: 0, signal: 9 },
      replaced: false,
      running: false,
      chosen: true,
    },
    { ...row, pid: 3, depth: 1, allocations: 1e6, exit: undefined, replaced: false, running: true, chosen: false },
    { ...row, pid: 4, depth: 1, allocations: 0, exit: undefined, replaced: false, running: false, chosen: false },
  ];
  assert.equal(
    processesText(rows, 80),
    `pid  parent  allocations  peak  status   program  file
* 2       1            1   5 B  SIGKILL  a\ufffd b     a.heaptap
  3       1    1,000,000   5 B  running    a\ufffd b   a.heaptap
  4       1            0   5 B             a\ufffd b   a.heaptap
`,
  );
  assert.deepEqual(JSON.parse(processesJson(rows)).processes.map((p: { exit_signal: number }) => p.exit_signal), [
    9,
    null,
    null,
  ]);
});

test("preloaded by hand, the first of a family is what was started", () => {
  const inside = mkdtempSync(join(folder, "hand-"));
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(inside, "x.heaptap") };
  assert.equal(spawnSync("sh", ["-c", `${starts} late; true`], { env }).status, 0);
  const { recording } = Recording.open(join(inside, "x.heaptap")).chosen();
  assert.equal(recording.profile().totals.allocations, 10);
});

test("what a program is there to do is told by its file, its name and its script", () => {
  const roles: [expected: string, executable: string, command: string][] = [
    ["shell", "/usr/bin/dash", "sh -c x"],
    ["wrapper", "/usr/bin/dash", "/bin/sh /usr/bin/xvfb-run ./app"],
    ["builder", "/usr/bin/node", "node /usr/bin/npm run go"],
    ["program", "/usr/bin/node", "node /usr/bin/npm install"],
    ["program", "/usr/bin/node", "node app.js run"],
    ["builder", "/usr/bin/python3.11", "python3 -m tox"],
    ["program", "/usr/bin/python3.11", "python3 -c tox"],
    ["builder", "/usr/bin/x86_64-linux-gnu-gcc-12", "gcc a.c"],
    ["helper", "/usr/bin/mawk", "awk {}"],
    ["program", "/home/me/app", "./app"],
    ["program", "/usr/bin/cmake", "cmake ."],
    ["builder", "/usr/bin/cmake", "cmake --build ."],
  ];
  for (const [expected, executable, command] of roles) {
    assert.equal(role(executable, command.split(" ")), expected, command);
  }
  assert.equal(programName("/usr/bin/python3.11", ["python3", "-X", "dev", "a.py", "x"]), "python3 a.py");
  assert.equal(programName("/usr/bin/node", ["node", "--inspect", "/usr/bin/npm", "run"]), "node /usr/bin/npm");
  assert.equal(programName("/x/app", ["./app", "run"]), "./app");
});

test("a daemon that goes on is named with its number and file", () => {
  const inside = mkdtempSync(join(folder, "daemon-"));
  const ends = target(folder, "ends.c");
  const to = join(inside, "out");
  const run = [
    "run",
    "-o",
    join(inside, "a.heaptap"),
    "--",
    "sh",
    "-c",
    `${ends} wait > ${to} 2>&1 & sleep 0.5; exit 0`,
  ];
  const { status, stderr } = heaptap(run);
  const [, pid, file] = /still running: .*ends \(pid (\d+)\), whose recording goes on in (\S+)/.exec(stderr) ?? [];
  if (pid) process.kill(Number(pid), "SIGKILL");
  assert.equal(status, 0);
  assert.ok(pid && file, stderr);
  assert.equal(Recording.open(file).profile().process.pid, Number(pid));
});

test("what got away is said by name", () => {
  const source = join(folder, "slow.c");
  writeFileSync(source, "#include <unistd.h>\nint main(void) { usleep(700000); return 0; }\n");
  const slow = join(folder, "slow_static");
  assert.equal(spawnSync("cc", ["-static", "-o", slow, source]).status, 0);
  const out = join(mkdtempSync(join(folder, "away-")), "a.heaptap");
  const run = (...options: string[]) =>
    heaptap(["run", "--no-report", ...options, "-o", out, "--", "sh", "-c", `${slow}; true`]);
  const { stderr } = run();
  assert.match(
    stderr,
    /^heaptap: the report is of sh \(pid \d+\) itself: what it started, if anything, has no recording here\n/,
  );
  assert.match(stderr, new RegExp(`not recorded: "${slow}" \\(pid \\d+\\): it is statically linked`));
  assert.doesNotMatch(run("--follow", "none").stderr, /not recorded/);
});

test("while a run goes on no file of an older one is in sight, and it comes back when nothing was recorded", () => {
  const inside = mkdtempSync(join(folder, "old-"));
  const out = join(inside, "a.heaptap");
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--", counts]).status, 7);
  const { stdout } = heaptap(["run", "--no-report", "-o", out, "--", "sh", "-c", `ls ${inside}; true`]);
  assert.doesNotMatch(stdout, /old/);
  assert.match(stdout, /^(a\.(\d+\.(2\.)?)?heaptap\n)+$/);
  assert.equal(heaptap(["run", "--no-report", "-o", out, "--only", "^/nowhere", "--", counts]).status, 7);
  assert.ok(readdirSync(inside).every((name) => name.startsWith("a.")));
  assert.match(Recording.open(out).profile().process.executable, /(da|ba)?sh$/);
  // As long as names can be.
  const long = join(inside, `${"x".repeat(232)}.heaptap`);
  for (let i = 0; i < 2; i++) assert.equal(heaptap(["run", "--no-report", "-o", long, "--", counts]).status, 7);
});

test("a left-out command is guessed, and report alone takes the last run here", () => {
  const inside = mkdtempSync(join(folder, "words-"));
  copyFileSync(counts, join(inside, "app"));
  const here = (...args: string[]) => heaptap(args, { cwd: inside });
  const none = here("report");
  assert.deepEqual([none.status, none.stderr.trim().split("\n").length], [2, 1]);
  const meant = here("./app", "a b");
  assert.deepEqual([meant.status, meant.stdout], [2, ""]);
  assert.match(meant.stderr, /^heaptap: there is no command "\.\/app"; did you mean: heaptap run \.\/app 'a b'\n$/);
  assert.equal(here("run", "--no-report", "-o", "first.heaptap", "--", "./app").status, 7);
  assert.equal(here("run", "--no-report", "-o", "second.heaptap", "--", "sh", "-c", "./app; exit 0").status, 0);
  mkdirSync(join(inside, "sub"));
  const newest = here("report", "--format", "json");
  assert.match(newest.stderr, /^heaptap: the newest recording here is second\.heaptap\n/);
  assert.equal(JSON.parse(newest.stdout).summary.allocations, 1111);
  const named = here("second.heaptap", "--limit", "3");
  assert.deepEqual([named.status, named.stdout], [2, ""]);
  assert.match(named.stderr, /did you mean: heaptap report --limit 3 second\.heaptap/);
  assert.match(here("reprot").stderr, /Did you mean report/);
});

test("how many of the threads allocated is told where not all did", () => {
  const source = join(folder, "idle.c");
  writeFileSync(
    source,
    `#include <pthread.h>
#include <stdlib.h>
static void *one; static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
static void *give(void *block) { pthread_mutex_lock(&hold); free(block); pthread_mutex_unlock(&hold); return one; }
int main(void) { pthread_t t[3]; for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, give, malloc(10));
  for (int i = 0; i < 3; i++) pthread_join(t[i], 0); return 0; }
`,
  );
  const program = join(folder, "idle");
  assert.equal(spawnSync("cc", ["-O1", "-fno-builtin", "-o", program, source, "-lpthread"]).status, 0);
  const out = join(folder, "idle.heaptap");
  const { stderr } = heaptap(["run", "-o", out, "--", program]);
  const threads = Recording.open(out).profile().threads;
  const allocated = threads.filter((thread) => thread.allocations > 0).length;
  assert.ok(allocated < threads.length, "the three threads only free");
  assert.match(stderr, new RegExp(`${allocated} of ${threads.length} threads allocated`));
});

test("a working folder and a program of any name", () => {
  const [command = "", ...args] = CLI;
  for (const name of ["quo\\042te", "line\\012end", "b\\377d"]) {
    const inside = mkdtempSync(join(folder, "names-"));
    const shell = `cd "${inside}"; d="$(printf '${name}x')"; mkdir "$d"; cd "$d"; cp ${counts} app; shift; ` +
      `"$@" run --no-report ./app; "$@" report --view allocated --limit 1; exec "$@" doctor ./app`;
    const { status, stdout, stderr } = spawnSync("sh", ["-c", shell, "sh", "-", command, ...args], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /allocations +1,111/, name);
    assert.match(stdout, /can be recorded/);
    assert.match(stderr, /recorded in .*heaptap\.app\.\d+\.heaptap/);
    assert.doesNotMatch(stderr, /internal error/);
  }
  assert.equal(basename(recordings(folder)[0] ?? "idle.heaptap"), "idle.heaptap");
});
