/** Interpreters with pools of their own: `run --python` and `--php`, and the remark without them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Recording } from "../mod.ts";
import { poolNotes, withoutPools } from "../src/run/interpreters.ts";
import { heaptap, perfPython, ROOT, scratch, without, withoutWorking } from "./helpers.ts";
import type { Outcome } from "./helpers.ts";

const folder = scratch();
const OBJECTS = 50_000;
// What the tests themselves were started with is nothing to them.
for (const name of ["PYTHONMALLOC", "PYTHONPERFSUPPORT", "USE_ZEND_ALLOC"]) delete process.env[name];

/** Objects that live when the program ends at once: each is a block of its own, in a pool or not. */
const SCRIPTS = {
  python: `import os, sys
before = sys.getallocatedblocks()
kept = [object() for _ in range(int(sys.argv[1]))]
print(sys.getallocatedblocks() - before, flush=True)
os._exit(0)
`,
  php: `<?php
$before = memory_get_usage();
$kept = [];
for ($i = 0; $i < $argv[1]; $i++) $kept[] = new stdClass();
echo memory_get_usage() - $before, "\\n";
posix_kill(getmypid(), SIGKILL);
`,
} as const;

function script(option: keyof typeof SCRIPTS): string {
  const path = join(folder, `objects.${option}`);
  writeFileSync(path, SCRIPTS[option]);
  return path;
}

const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout?.trim();

/** Records a command; the blocks that live at its end, and how heaptap ended. */
function record(options: readonly string[], command: readonly string[], env = {}): Outcome & { readonly live: number } {
  const out = join(folder, "objects.heaptap");
  const ran = heaptap(["run", "--no-report", "-o", out, ...options, "--", ...command], {
    env: { PYTHONHASHSEED: "0", ...env },
  });
  return { ...ran, live: Recording.open(out).chosen().recording.profile().totals.liveCount };
}

const interpreters: readonly (readonly [option: keyof typeof SCRIPTS, program: string, skip: string | false])[] = [
  ["python", python ?? "", withoutWorking("python3")],
  [
    "php",
    "php",
    withoutWorking("php") ||
    (spawnSync("php", ["-r", "exit(function_exists('posix_kill') ? 0 : 1);"]).status ? "php has no posix_kill" : false),
  ],
];
for (const [option, program, skip] of interpreters) {
  test(`--${option}: each of ${OBJECTS} objects is a block, and without it few are seen`, { skip }, () => {
    const more = (options: readonly string[], command: readonly string[]) => {
      const of = (objects: number) => record(options, [...command, script(option), String(objects)]);
      const { live, stdout, stderr } = of(OBJECTS);
      return { live: live - of(0).live, stdout: Number(stdout), stderr };
    };
    const [seen, hidden] = [more([`--${option}`], [program]), more([], [program])];
    // What Python makes for itself differs by some tens of blocks from run to run.
    const all = (live: number) => assert.ok(Math.abs(live - OBJECTS) < 100, `${live}`);
    all(seen.live);
    assert.ok(hidden.live < OBJECTS / 50, `${hidden.live}`);
    // They were there: Python counts the blocks in its pools, PHP the bytes, 40 and more an object.
    assert.ok(hidden.stdout >= OBJECTS * (option === "php" ? 40 : 1), `${hidden.stdout}`);
    assert.doesNotMatch(seen.stderr, /pools/);
    const remark = new RegExp(`^heaptap: ".*" serves .* from pools .*: heaptap run --${option} sets it$`);
    const remarks = (stderr: string) => stderr.split("\n").filter((line) => remark.test(line)).length;
    assert.equal(remarks(hidden.stderr), 1, hidden.stderr);
    // Whoever starts it.
    const starter = ["sh", "-c", '"$@"; exit', "sh"];
    all(more([`--${option}`], [...starter, program]).live);
    assert.equal(remarks(record([], [...starter, program, script(option), "0"]).stderr), 1);
  });
}

test("Python's functions have names with --python", { skip: perfPython() ? false : "no Python 3.12 or later" }, () => {
  const command = [perfPython() ?? "", join(ROOT, "tests/answers/lists.py")];
  const report = (...options: string[]) => {
    const out = join(folder, "names.heaptap");
    return heaptap(["run", "-o", out, ...options, "--", ...command]).stderr;
  };
  assert.match(report("--python"), /made by collect lists\.py/);
  const plain = report();
  assert.doesNotMatch(plain, /collect/);
  assert.match(plain, /Python functions are not shown: record with heaptap run --python/);
});

test("the program's environment has the variables more, and nothing else is touched", () => {
  const environment = (...options: string[]) => {
    const { stdout } = record(options, ["env"], { EMPTY: "" });
    return stdout.split("\n").filter((line) => !line.startsWith("HEAPTAP_RUN=")).sort();
  };
  const plain = environment();
  const added = (...options: string[]) => {
    const lines = environment(...options);
    assert.deepEqual(lines.filter((line) => plain.includes(line)), plain);
    return lines.filter((line) => !plain.includes(line));
  };
  assert.deepEqual(added(), []);
  assert.deepEqual(added("--python"), ["PYTHONMALLOC=malloc", "PYTHONPERFSUPPORT=1"]);
  assert.deepEqual(added("--php"), ["USE_ZEND_ALLOC=0"]);
  assert.deepEqual(added("--python", "--php"), ["PYTHONMALLOC=malloc", "PYTHONPERFSUPPORT=1", "USE_ZEND_ALLOC=0"]);
  assert.ok(environment("--php", "--follow", "none").includes("USE_ZEND_ALLOC=0"));
});

test("a variable that is set stays, and it is said where it is set to something else", () => {
  const said = (env: Record<string, string>) => {
    const { stdout, stderr } = record(["--python", "--php"], ["env"], env);
    for (const [name, value] of Object.entries(env)) assert.ok(stdout.split("\n").includes(`${name}=${value}`), name);
    return stderr.split("\n").filter((line) => line.includes("stays"));
  };
  assert.deepEqual(said({ PYTHONMALLOC: "malloc_debug", PYTHONPERFSUPPORT: "1", USE_ZEND_ALLOC: "" }), []);
  assert.deepEqual(said({ PYTHONMALLOC: "pymalloc", PYTHONPERFSUPPORT: "0", USE_ZEND_ALLOC: "1" }), [
    "heaptap: PYTHONMALLOC=pymalloc stays as it was set: --python would set malloc",
    "heaptap: PYTHONPERFSUPPORT=0 stays as it was set: --python would set 1",
    "heaptap: USE_ZEND_ALLOC=1 stays as it was set: --php would set 0",
  ]);
});

test("interpreters are known by their files, and those that others are called like are left alone", () => {
  const remedy = (name: string, env = {}) => {
    const note = poolNotes(name, `/opt/bin/${name}`, env).join("\n");
    return /heaptap run --\w+|nothing switches off/.exec(note)?.[0] ?? note;
  };
  for (const name of ["python3.12", "python3", "python3.6m", "python3.11d", "python3.11-dbg"]) {
    assert.equal(remedy(name), "heaptap run --python", name);
  }
  for (const name of ["php", "php8.2", "php-fpm8.2", "php-fpm", "php-cgi", "phpdbg8.2"]) {
    assert.equal(remedy(name), "heaptap run --php", name);
  }
  for (const name of ["python2.7", "python3.13t", "python3.14td"]) {
    assert.equal(remedy(name), "nothing switches off", name);
  }
  for (const name of ["pypy3", "pypy3.10", "graalpy", "python-config", "phpunit", "php-config8.2", "sh", ""]) {
    assert.equal(remedy(name), "", name);
  }
  assert.equal(remedy("python3.12", { PYTHONMALLOC: "pymalloc" }), "");
  assert.equal(remedy("php8.2", { USE_ZEND_ALLOC: "1" }), "");
  assert.notEqual(remedy("php8.2", { PYTHONMALLOC: "malloc" }), "");
  // Free-threaded Python does not start with PYTHONMALLOC=malloc.
  assert.deepEqual(withoutPools({}, { python: true }, "/opt/bin/python3.13t").env, { PYTHONPERFSUPPORT: "1" });
});

test("doctor tells of the pools; other commands than run have no such options", { skip: without("true") }, () => {
  const program = join(folder, "php8.9");
  copyFileSync("/bin/true", program);
  assert.match(heaptap(["doctor", program]).stdout, /pools of its own.*heaptap run --php sets it/);
  for (const option of ["--python", "--php"]) {
    const { status, stderr } = heaptap(["report", option]);
    assert.deepEqual([status, stderr], [2, `heaptap: unknown option '${option}'\n`]);
    assert.match(heaptap(["completions", "bash"]).stdout, new RegExp(` run\\) words='.*${option} .*' ;;`));
  }
});
