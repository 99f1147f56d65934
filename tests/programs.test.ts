import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { examine, inspectProgram, profile, ProgramError, Recording } from "../mod.ts";
import { CLI, heaptap, plugin, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const quiet = { stdio: "ignore" } as const;
const LOADER = "/lib64/ld-linux-x86-64.so.2";
const counts = target(folder, "counts.c");

function build(name: string, source: string, ...flags: string[]): string {
  const [file, out] = [join(folder, `${name}.c`), join(folder, name)];
  writeFileSync(file, source);
  const built = spawnSync("cc", ["-O1", "-fno-builtin", "-o", out, file, ...flags], { encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  return out;
}

/** What looks like an allocator whose names were stripped: a message among the constants. */
const allocator = (message: string) => `
static char room[1 << 16]; const char *volatile said;
__attribute__((noinline)) void *hidden(unsigned long n) { said = "${message}"; return room + n; }
void *use(void) { return hidden(100); }
`;
const MESSAGES = {
  jemalloc: "<jemalloc>: Malformed conf string",
  mimalloc: "mimalloc: error: ",
  tcmalloc: "tcmalloc: allocation failed",
} as const;
const notesOf = (program: string) => examine(program).program?.notes ?? [];
const linkedNotesOf = (program: string) => notesOf(program).filter((note) => note.includes("linked in"));

for (const [family, message] of Object.entries(MESSAGES)) {
  test(`${family} linked into a program and into a library, without its names, is told by doctor`, () => {
    const main = "\nint main(void) { return use() == 0; }\n";
    const end = `has ${family} linked in, and its names were stripped: what it hands out is not seen`;
    const program = build(`own_${family}`, allocator(message) + main, "-s");
    assert.deepEqual(linkedNotesOf(program), [`"${program}" ${end}`]);
    const library = build(`lib${family}.so`, allocator(message), "-shared", "-fPIC", "-s");
    const loads = build(`loads_${family}`, `void *use(void);${main}`, library, `-Wl,-rpath,$ORIGIN`);
    assert.deepEqual(linkedNotesOf(loads), [`"${library.split("/").at(-1)}", which "${loads}" loads, ${end}`]);
  });
}

test("a program that has the names, only uses such functions, has a shared allocator, or writes of one, is not accused", () => {
  const text = build(
    "text",
    'int puts(const char *); int main(void) { return puts("jemalloc: mimalloc: tcmalloc") < 0; }',
  );
  assert.deepEqual(linkedNotesOf(text), []);
  assert.deepEqual(linkedNotesOf(target(folder, "linked.c")), []);
  for (const name of ["jemalloc.so.2", "mimalloc.so.2", "tcmalloc_minimal.so.4"]) {
    const library = `/usr/lib/x86_64-linux-gnu/lib${name}`;
    if (!existsSync(library)) continue;
    const program = build(
      `with_${name}`,
      "#include <stdlib.h>\nint main(void) { return !malloc(9); }",
      library,
      "-Wl,--no-as-needed",
    );
    assert.deepEqual(linkedNotesOf(program), [], name);
  }
  for (const name of ["ls", "sh", "cat", "sort", "cc", "perl", "make"]) {
    if (!without(name)) assert.deepEqual(linkedNotesOf(name), [], name);
  }
  if ("Bun" in globalThis) assert.match(linkedNotesOf(process.execPath).join(), /mimalloc linked in/);
});

test("an addon with a nameless allocator of its own, which is loaded later, is told by the recording", async () => {
  const addons = (["first_plugin", "second_plugin"] as const).map((name) => plugin(folder, name, 1000));
  const addon = build(
    "first_plugin.so",
    `#include <stdlib.h>\n#include <sys/mman.h>\n${allocator("mimalloc: error: ")}
void first_plugin(void) { free(malloc(1000)); use(); mmap(0, 4096, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }`,
    "-shared",
    "-fPIC",
    "-s",
  );
  const program = target(folder, "plugins.c", "-ldl");
  const { recording } = await profile([program, addon, addons[1] ?? ""], {
    out: join(folder, "addon.heaptap"),
    ...quiet,
  });
  assert.deepEqual(recording?.profile().process.linked.map(({ name, path, functions }) => [name, path, functions]), [
    ["mimalloc", addon, 0],
  ]);
});

test("a program behind the dynamic linker is recorded, and it is what is looked at", {
  skip: existsSync(LOADER) ? false : `${LOADER} is not there`,
}, () => {
  const out = join(folder, "ldso.heaptap");
  const run = (...args: string[]) => heaptap(["run", "--no-report", "-o", out, "--", LOADER, ...args]);
  for (
    const options of [
      [],
      ["--library-path", "/lib/x86_64-linux-gnu:/lib64"],
      ["--inhibit-cache", "--argv0", "other", "--preload", "libm.so.6"],
    ]
  ) {
    const { status, stderr } = run(...options, counts);
    assert.equal(status, 7, stderr);
    assert.equal(Recording.open(out).profile().totals.allocations, 1111);
  }
  const still = build("still", "int main(void) { return 0; }", "-static");
  const refused: [args: string[], status: number, why: RegExp][] = [
    [["--list", counts], 2, /with --list it starts no program/],
    [[], 2, /name the program behind it/],
    [["--library-path", "/x"], 2, /name the program behind it/],
    [[join(folder, "none")], 127, /no such file/],
    [[still], 2, /statically linked/],
    [[join(folder, "counts.txt")], 2, /no ELF program/],
  ];
  writeFileSync(join(folder, "counts.txt"), "text");
  for (const [args, expected, why] of refused) {
    const { status, stderr } = run(...args);
    assert.deepEqual([status, stderr.trim().split("\n").length], [expected, 1], stderr);
    assert.match(stderr, why);
  }
  assert.match(heaptap(["doctor", "--", LOADER, "--argv0", "x", counts]).stdout, /can be recorded/);
  // Named after the program.
  assert.match(heaptap(["run", "--no-report", "--", LOADER, counts], { cwd: folder }).stderr, /heaptap\.counts\.\d+\./);
});

test("file capabilities are refused as setuid is, before the start and in doctor", {
  skip: process.getuid?.() !== 0 ? "only root can give them" : without("setcap") || without("setpriv"),
}, (t) => {
  const inside = mkdtempSync("/tmp/heaptap-caps-");
  t.after(() => spawnSync("rm", ["-rf", inside]));
  chmodSync(inside, 0o755);
  const program = join(inside, "prog");
  assert.equal(spawnSync("cp", [counts, program]).status, 0);
  if (spawnSync("setcap", ["cap_net_raw+ep", program]).status !== 0) return t.skip("the file system takes none");
  // To root they give nothing, and it is recorded.
  assert.equal(inspectProgram(program).path, program);
  const home = join(inside, "home");
  mkdirSync(home);
  chmodSync(home, 0o777);
  const [command = "", ...args] = CLI;
  const user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "env", `HOME=${home}`, `DENO_DIR=${home}/d`];
  const asUser = (...rest: string[]) =>
    spawnSync("setpriv", [...user, `XDG_CACHE_HOME=${home}`, command, ...args, ...rest], {
      encoding: "utf8",
      cwd: home,
    });
  if (asUser("--version").status !== 0) return t.skip("others may not read the runtime");
  const { status, stderr } = asUser("run", "--", program);
  assert.deepEqual([status, stderr.trim().split("\n").length], [2, 1]);
  assert.match(
    stderr,
    /it has file capabilities \(setcap\), so the dynamic linker ignores preloaded libraries; run a copy/,
  );
  assert.match(asUser("doctor", program).stdout, /cannot be recorded\n.*file capabilities/);
  // Inherited ones alone give a process nothing that has none.
  assert.equal(spawnSync("setcap", ["cap_net_raw+i", program]).status, 0);
  assert.match(asUser("doctor", program).stdout, /can be recorded/);
});

test("a part of a path that is not there is not put right", () => {
  assert.throws(() => inspectProgram(`./no-such-folder/../${counts}`), ProgramError);
  assert.equal(heaptap(["run", "no-such-folder/../cli.ts"], { cwd: ROOT }).status, 127);
});
