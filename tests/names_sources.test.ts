import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { before, test } from "node:test";
import { libraryPath, profile, Recording, Symbols } from "../mod.ts";
import type { SymbolOptions } from "../mod.ts";
import { findInPath } from "../src/native/build.ts";
import { merge } from "../src/symbols/answers.ts";
import { Debuginfod } from "../src/symbols/debuginfod.ts";
import { readElf } from "../src/symbols/elf.ts";
import { debugPackages, distributionServer, remedy } from "../src/symbols/remedies.ts";
import { programRemedy } from "../src/symbols/runtimes.ts";
import { SymbolTable } from "../src/symbols/symbol_table.ts";
import { CLI, heaptap, scratch, without } from "./helpers.ts";

const folder = scratch();
const TOOLS = ["llvm-symbolizer", "eu-addr2line", "addr2line"];

/** Seven blocks of 100 bytes by a function that no table exports, ten bytes by one that is exported, through an inlined one. */
const SOURCE = `#include <stdlib.h>
static void *volatile sink;
__attribute__((noinline)) void exported(void) { sink = malloc(10); }
static inline __attribute__((always_inline)) void inlined(void) { sink = malloc(100); }
__attribute__((noinline)) static void hidden(void) { for (int i = 0; i < 7; i++) inlined(); }
int main(void) { exported(); hidden(); return 0; }
`;

function run(tool: string, args: readonly string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(tool, args, { cwd, encoding: "utf8" });
  assert.equal(status, 0, `${tool} ${args.join(" ")}: ${stderr} ${error ?? ""}`);
}

/** A folder with the program of SOURCE, built with these flags. */
function built(name: string, ...flags: string[]): string {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "main.c"), SOURCE);
  run("cc", ["-O1", "-g", "-rdynamic", "-Wl,--build-id", ...flags, "main.c", "-o", "prog"], place);
  return place;
}

async function recorded(place: string, program = "./prog"): Promise<string> {
  const out = join(place, "r.heaptap");
  const { recording } = await profile([program], { out, cwd: place, stdio: "ignore" });
  assert.ok(recording);
  return out;
}

/** Who made the blocks of so many bytes in all: function and line of each frame of the program, innermost first. */
async function maker(out: string, bytes: number, options: SymbolOptions = {}): Promise<string> {
  const read = Recording.open(out).profile();
  using symbols = new Symbols(read, { cache: false, debuginfod: false, ...options });
  await symbols.resolve(read.callPaths);
  const path = read.callPaths.find((c) => c.bytes === bytes);
  assert.ok(path, `${bytes} bytes in one call path`);
  const own = symbols.stack(path).filter(({ module }) => !/\/(libc|ld-linux-x86-64)\.so/.test(module));
  return own.filter(({ function: name }) => name !== "_start").map(({ function: name, line }) =>
    `${name || "?"}${line ? `:${line}` : ""}`
  ).join(" ");
}

/** A report's text by a process of its own, and the environment that it has. */
function report(out: string, args: readonly string[] = [], env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = heaptap(["report", "--view", "allocated", ...args, out], {
    env: { COLUMNS: "400", ...env }, // no sentence is broken
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** Of a program without any name `_start` is as nameless as the rest. */
const NAMELESS = /^\?( \?)+$/;

before(() => {
  libraryPath();
});

test("stripped code has no name, and never that of the exported function before it", {
  skip: without("strip") || without("objcopy"),
}, async (t) => {
  const place = built("stripped");
  run("objcopy", ["--only-keep-debug", "prog", "hidden-away"], place);
  run("strip", ["prog"], place);
  const out = await recorded(place);
  for (const symboliser of [undefined, ...TOOLS]) {
    await t.test(symboliser ?? "all tools", { skip: symboliser ? without(symboliser) : false }, async () => {
      assert.equal(await maker(out, 700, { symboliser }), "? main");
      assert.equal(await maker(out, 10, { symboliser }), "exported main");
      // A debug file is found by its build id, whatever it is called.
      assert.match(await maker(out, 700, { symboliser, debugFolders: [place] }), /:4 hidden:5 main:6$/);
    });
  }
  assert.equal(await maker(out, 700, { symboliser: "no-such-tool" }), "? main");
});

test("symbols without a size name what the unwind tables say is theirs, and nothing after it", {
  skip: without("strip"),
}, async () => {
  const place = join(folder, "assembly");
  mkdirSync(place);
  const fn = (label: string, size: number, inner = "") =>
    `${label}\n.cfi_startproc\nsubq $8, %rsp\n.cfi_adjust_cfa_offset 8\n${inner}\nmovl $${size}, %edi\ncall malloc@PLT\naddq $8, %rsp\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n`;
  writeFileSync(
    join(place, "fns.S"),
    `.text\n${fn(".globl sizeless\n.type sizeless, @function\nsizeless:", 10)}${
      fn(".globl untyped\nuntyped:", 20, "inner_label:")
    }${
      fn(".Lhidden:", 30)
    }.globl calls_hidden\n.type calls_hidden, @function\ncalls_hidden:\njmp .Lhidden\n.size calls_hidden, .-calls_hidden\n.section .note.GNU-stack,"",@progbits\n`,
  );
  writeFileSync(
    join(place, "main.c"),
    "#include <stdlib.h>\nvoid sizeless(void), untyped(void), calls_hidden(void);\n__attribute__((noinline)) static void hidden(void) { void *volatile p = malloc(40); (void)p; }\nint main(void) { sizeless(); untyped(); calls_hidden(); hidden(); return 0; }\n",
  );
  run("cc", ["-O1", "-rdynamic", "main.c", "fns.S", "-o", "prog"], place);
  const out = await recorded(place);
  const names = async (options?: SymbolOptions) =>
    await Promise.all([10, 20, 30, 40].map((bytes) => maker(out, bytes, options)));
  const expected = ["sizeless main", "untyped main", "? main"];
  for (const symboliser of [undefined, ...TOOLS.filter((tool) => !without(tool))]) {
    assert.deepEqual(await names({ symboliser }), [...expected, "hidden main"], symboliser ?? "all");
  }
  for (const flags of [["-x"], []]) {
    run("cc", ["-O1", "-rdynamic", "main.c", "fns.S", "-o", "prog"], place);
    run("strip", [...flags, "prog"], place);
    await recorded(place);
    for (const symboliser of [undefined, ...TOOLS.filter((tool) => !without(tool))]) {
      assert.deepEqual(await names({ symboliser }), [...expected, "? main"], `strip ${flags} ${symboliser}`);
    }
  }
});

test("a symbol table that is packed into the file itself", {
  skip: without("xz") || without("objcopy") || without("strip"),
}, async () => {
  const place = built("packed");
  run("objcopy", ["--strip-debug", "prog", "table"], place);
  run("xz", ["table"], place);
  run("strip", ["prog"], place);
  run("objcopy", ["--add-section", ".gnu_debugdata=table.xz", "prog"], place);
  const out = await recorded(place);
  for (const symboliser of [undefined, ...TOOLS.filter((tool) => !without(tool)), "no-such-tool"]) {
    assert.equal(await maker(out, 700, { symboliser }), "hidden main", symboliser ?? "all");
  }
});

test("a library that was found by a relative path is found from elsewhere", async () => {
  const place = join(folder, "relative");
  mkdirSync(place);
  writeFileSync(join(place, "lib.c"), SOURCE.replace("int main(void)", "int work(void)"));
  writeFileSync(join(place, "main.c"), "int work(void);\nint main(void) { return work(); }\n");
  run("cc", ["-O1", "-g", "-shared", "-fPIC", "-Wl,--build-id", "lib.c", "-o", "libwork.so"], place);
  run("cc", ["-O1", "-g", "main.c", "-L.", "-lwork", "-o", "prog"], place);
  const out = join(place, "r.heaptap");
  spawnSync("./prog", [], {
    cwd: place,
    env: { ...process.env, LD_LIBRARY_PATH: ".", LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out },
  });
  assert.ok(Recording.open(out).profile().modules.some(({ path }) => path === join(place, "libwork.so")));
  assert.match(await maker(out, 700), /:4 hidden:5 work:6 main:2$/);
});

test("a symbol inside another one, and the one around it", () => {
  const place = join(folder, "nested");
  mkdirSync(place);
  writeFileSync(
    join(place, "n.S"),
    ".text\n.globl around\n.type around, @function\naround:\nnop\nnop\n.globl within\n.type within, @function\nwithin:\nnop\n.size within, 1\nnop\nnop\n.size around, .-around\nnop\nnop\n.section .note.GNU-stack\n",
  );
  run("cc", ["-shared", "-nostdlib", "n.S", "-o", "n.so"], place);
  const table = SymbolTable.of(join(place, "n.so"));
  const start = readElf(join(place, "n.so"))!.layout.find(({ name }) => name === ".text")!.address;
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((at) => table.covering(start + at)?.name),
    ["around", "around", "within", "around", "around", undefined, undefined],
  );
  assert.deepEqual(table.misleading(start + 6).map(({ name }) => name), ["within"]);
});

test("debug information that the first tool cannot read is read by another", {
  skip: without("objcopy") || without("addr2line"),
}, async (t) => {
  const place = built("compressed");
  renameSync(join(place, "prog"), join(place, "plain"));
  for (const kind of ["zlib", "zlib-gnu", "zstd"]) {
    const made = spawnSync("objcopy", [`--compress-debug-sections=${kind}`, "plain", "prog"], { cwd: place });
    await t.test(kind, { skip: made.status === 0 ? false : `objcopy does not know ${kind}` }, async () => {
      const out = await recorded(place);
      assert.match(await maker(out, 700), /:4 hidden:5 main:6$/);
      const said = remedy(
        { path: join(place, "prog"), buildId: "ab", has: "debug", compression: kind === "zstd" ? "zstd" : "zlib" },
        { tools: ["/usr/bin/llvm-symbolizer-14"], debuginfod: "unset" },
        new Map(),
      );
      assert.equal(/zstd, which llvm-symbolizer-14 cannot read/.test(said), kind === "zstd", said);
    });
  }
});

/** A folder with a program that is called as a tool, and what of the real tools is to be there. */
function tools(name: string, fakes: Record<string, string>, real: readonly string[]): string {
  const bin = join(folder, name);
  mkdirSync(bin);
  for (const [tool, script] of Object.entries(fakes)) writeFileSync(join(bin, tool), script, { mode: 0o755 });
  for (const tool of real) symlinkSync(findInPath(tool)!, join(bin, tool));
  return bin;
}

test("a tool that dies, talks nonsense, knows nothing or hangs is followed by the next, and said once", {
  skip: without("addr2line") || without("sh"),
}, async (t) => {
  const place = built("fakes");
  const out = await recorded(place);
  const nothing = `#!/bin/sh
while read -r code file address; do echo "{\\"Address\\":\\"$address\\",\\"Symbol\\":[]}"; done
`;
  const fakes = {
    dies: "#!/bin/sh\nread line\nexit 1\n",
    nonsense: "#!/bin/sh\nwhile read line; do echo '<html>'; done\n",
    "others' answers": `#!/bin/sh
while read line; do echo '{"Address":"0x1","Symbol":[{"FunctionName":"wrong","FileName":"w.c","Line":1}]}'; done
`,
    nothing,
    hangs: "#!/bin/sh\nexec sleep 600\n",
  };
  for (const [kind, script] of Object.entries(fakes)) {
    await t.test(kind, () => {
      const bin = tools(`bin-${kind}`, { "llvm-symbolizer": script }, ["addr2line", "sh", "sleep"]);
      const text = report(out, ["--no-name-cache"], { PATH: bin });
      assert.match(text, /main\.c:4\n +\u2190 hidden [^\n]*\u2190 main/, kind);
      assert.ok(!text.includes("wrong"), text);
      assert.equal(text.match(/failed at/g)?.length ?? 0, kind === "nothing" ? 0 : 1, text);
    });
  }
});

test("of two answers the better one counts, and the other fills its gaps", () => {
  const name = (fn: string, line: number, inlined = false) => ({
    function: fn,
    file: line ? "f.c" : "",
    line,
    inlined,
  });
  assert.deepEqual(merge([name("f", 0)], [name("", 3)]), [name("f", 3)]);
  assert.deepEqual(merge([], [name("f", 0)]), [name("f", 0)]);
  assert.deepEqual(merge([name("f", 3)], []), [name("f", 3)]);
  assert.deepEqual(merge([name("g", 3)], [name("f", 3, true), name("g", 9)]), [name("f", 3, true), name("g", 9)]);
  assert.deepEqual(merge([name("g", 0)], [name("f", 3, true), name("", 9)]), [name("f", 3, true), name("g", 9)]);
});

test("the cache keeps what each tool said of each debug file, and nothing poorer", {
  skip: without("addr2line") || without("objcopy"),
}, async () => {
  const place = built("cached");
  const out = await recorded(place);
  const env = { XDG_CACHE_HOME: join(folder, "cache-tools") };
  const names = join(env.XDG_CACHE_HOME, "heaptap/names");
  const none = { ...env, PATH: tools("bin-none", {}, []) };
  const binutils = { ...env, PATH: tools("bin-binutils", {}, ["addr2line"]) };
  report(out, ["--no-name-cache"], binutils);
  assert.ok(!existsSync(names));
  assert.match(report(out, [], none), /hidden prog\n/);
  // A tool that is installed later knows more.
  assert.match(report(out, [], binutils), /main\.c:4/);
  // One that goes away leaves its names; that it was asked for alone does not.
  assert.match(report(out, [], none), /main\.c:4/);
  const fake = `#!/bin/sh
while read -r code file address; do
  echo "{\\"Address\\":\\"$address\\",\\"Symbol\\":[{\\"FunctionName\\":\\"named_by_fake\\",\\"FileName\\":\\"/x/fake.c\\",\\"Line\\":77}]}"
done
`;
  const both = { ...env, PATH: tools("bin-both", { "llvm-symbolizer": fake }, ["addr2line", "sh"]) };
  const line = (text: string) => /(main|fake)\.c:(\d+)/.exec(text)?.[0];
  assert.equal(line(report(out, ["--symboliser", "addr2line"], both)), "main.c:4");
  assert.equal(line(report(out, ["--symboliser", "llvm-symbolizer"], both)), "fake.c:77");
  assert.equal(line(report(out, ["--symboliser", "addr2line"], both)), "main.c:4");
  // Files of another form, or of none, are looked past.
  for (const module of readdirSync(names)) {
    for (const file of readdirSync(join(names, module))) {
      writeFileSync(join(names, module, file), '{"1189":[["x","y",1]]}');
    }
  }
  assert.equal(line(report(out, [], binutils)), "main.c:4");
  const doctor = heaptap(["doctor"], { env }).stdout;
  assert.match(doctor, new RegExp(`looked up: [1-9]\\d* files?, [\\d.]+ K?B, in ${names}`), doctor);
});

test("a debug file that comes later is used, and what it said holds when it is gone", {
  skip: without("addr2line") || without("objcopy"),
}, async () => {
  const place = built("later");
  run("objcopy", ["--only-keep-debug", "prog", "prog.debug"], place);
  run("strip", ["prog"], place);
  const out = await recorded(place);
  const env = { XDG_CACHE_HOME: join(folder, "cache-later") };
  assert.match(report(out, [], env), /prog\+0x/);
  assert.match(report(out, ["--debug-dir", place], env), /main\.c:4/);
  assert.match(report(out, [], env), /prog\+0x/);
  rmSync(join(place, "prog"));
  assert.match(report(out, [], env), /main\.c:4/);
});

test("pieces of debug information that come later are seen", { skip: without("addr2line") }, async (t) => {
  const place = join(folder, "split");
  mkdirSync(place);
  writeFileSync(join(place, "main.c"), SOURCE);
  const made = spawnSync("cc", ["-O1", "-g", "-gsplit-dwarf", "-c", "main.c", "-o", "main.o"], { cwd: place });
  await t.test(
    "-gsplit-dwarf",
    { skip: made.status === 0 ? without("llvm-symbolizer") : "cc cannot split" },
    async () => {
      run("cc", ["main.o", "-o", "prog"], place);
      const out = await recorded(place);
      const env = { XDG_CACHE_HOME: join(folder, "cache-split") };
      const piece = readdirSync(place).find((name) => name.endsWith(".dwo"))!;
      renameSync(join(place, piece), join(folder, piece));
      const before = report(out, [], env);
      assert.ok(!/inlined/.test(before), before);
      renameSync(join(folder, piece), join(place, piece));
      assert.match(report(out, [], env), /inlined +main\.c:4\n +\u2190 hidden [^\n]*\u2190 main/);
    },
  );
});

test("reports at the same time share a cache", { skip: without("addr2line") }, async () => {
  const place = built("together");
  const out = await recorded(place);
  const env = { ...process.env, NO_COLOR: "1", XDG_CACHE_HOME: join(folder, "cache-together") };
  const [command = "", ...rest] = CLI;
  const texts = await Promise.all(Array.from({ length: 4 }, () =>
    new Promise<string>((resolve) => {
      const child = spawn(command, [...rest, "report", "--view", "allocated", out], {
        env,
        stdio: ["ignore", "pipe", "ignore"],
      });
      let text = "";
      child.stdout.on("data", (piece) => text += piece);
      child.on("close", () => resolve(text));
    })));
  for (const text of texts) assert.match(text, /main\.c:4/);
  assert.match(report(out, [], { XDG_CACHE_HOME: env.XDG_CACHE_HOME }), /main\.c:4/);
});

test("files whose path is no plain text have names", { skip: without("sh") }, async (t) => {
  const place = built("odd");
  const library = libraryPath();
  const kinds = { quote: 'say "hi"', "line end": "a\nb", backslash: "back\\slash", "not UTF-8": "latin\\0351" };
  for (const [kind, name] of Object.entries(kinds)) {
    await t.test(kind, async () => {
      const out = join(place, `${kind.replace(/ /g, "-")}.heaptap`);
      const digits = kind === "not UTF-8" ? name : [...name].map((c) => `\\0${c.charCodeAt(0).toString(8)}`).join("");
      // The shell makes the bytes: no runtime can name such a file.
      const script =
        'd=$(printf "%b." "$1"); d=${d%.}; mkdir "$d" && cp prog "$d/prog" && LD_PRELOAD=$2 HEAPTAP_OUT=$3 "$d/prog"';
      run("sh", ["-c", script, "sh", digits, library, out], place);
      for (const symboliser of [undefined, ...TOOLS.filter((tool) => !without(tool))]) {
        assert.match(await maker(out, 700, { symboliser }), /:4 hidden:5 main:6$/, symboliser ?? "all");
      }
      const env = { XDG_CACHE_HOME: join(folder, "cache-odd") };
      assert.match(report(out, [], env), /main\.c:4/);
      // What was kept is of the build, wherever it lies.
      assert.match(report(out, [], env), /main\.c:4/);
    });
  }
});

test("programs of no file are found by their build id", { skip: without("objcopy") }, async () => {
  const place = join(folder, "nofile");
  mkdirSync(place);
  writeFileSync(
    join(place, "start.c"),
    `#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
  int in = open(argv[1], O_RDONLY), out = memfd_create("bundle", 0);
  char block[4096];
  for (long n; (n = read(in, block, sizeof block)) > 0;) if (write(out, block, n) != n) return 1;
  fexecve(out, (char *[]){ "bundle", 0 }, environ);
  return 1;
}
`,
  );
  run("cc", ["-O1", "start.c", "-o", "start"], place);
  writeFileSync(
    join(place, "main.c"),
    SOURCE.replace("exported(); hidden", 'extern int unlink(const char *); unlink("gone"); exported(); hidden'),
  );
  run("cc", ["-O1", "-g", "-Wl,--build-id", "main.c", "-o", "gone"], place);
  const id = readElf(join(place, "gone"))!.buildId;
  const byId = join(place, "debug/.build-id", id.slice(0, 2));
  mkdirSync(byId, { recursive: true });
  run("objcopy", ["--only-keep-debug", "gone", join(byId, `${id.slice(2)}.debug`)], place);
  copyFileSync(join(place, "gone"), join(place, "kept"));
  const record = (...command: string[]) => {
    const out = join(place, "%p.heaptap");
    const before = new Set(readdirSync(place));
    spawnSync(command[0]!, command.slice(1), {
      cwd: place,
      env: { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out },
    });
    const made = readdirSync(place).filter((name) => name.endsWith(".heaptap") && !before.has(name));
    return made.map((name) => join(place, name)).find((path) =>
      Recording.open(path).profile().callPaths.some((c) => c.bytes === 700)
    )!;
  };
  for (const out of [record("./gone"), record("./start", "kept")]) {
    const debugFolders = [join(place, "debug")];
    assert.match(Recording.open(out).profile().process.executable, /(gone|memfd:bundle)( \(deleted\))?$/);
    assert.match(await maker(out, 700, { debugFolders: [] }), NAMELESS);
    assert.match(await maker(out, 700, { debugFolders }), /:4 hidden:5 main:6$/);
  }
});

test("a file without a build id that is newer than the recording, or replaced, gives no names and a word", async () => {
  const place = built("newer", "-Wl,--build-id=none");
  const out = await recorded(place);
  assert.match(await maker(out, 700), /:4 hidden:5 main:6$/);
  const { mtimeMs } = statSync(join(place, "prog"));
  utimesSync(join(place, "prog"), new Date(), new Date(Date.now() + 1000));
  assert.match(await maker(out, 700), NAMELESS);
  assert.match(report(out), /is newer than the recording and has no build id.*-Wl,--build-id/);
  // Of another size it is another one, however old.
  writeFileSync(join(place, "main.c"), `${SOURCE}int more(int n) { return n < 2 ? n : more(n - 1) * more(n - 2); }\n`);
  run("cc", ["-O1", "-g", "-rdynamic", "-Wl,--build-id=none", "main.c", "-o", "prog"], place);
  utimesSync(join(place, "prog"), new Date(mtimeMs), new Date(mtimeMs));
  assert.match(await maker(out, 700), NAMELESS);
  assert.match(report(out), /has changed since the recording/);
});

test("what has no names is said by module, with the remedy", { skip: without("strip") }, async () => {
  const place = built("remedies");
  const out = await recorded(place);
  const coverage = () => JSON.parse(report(out, ["--format", "json", "--no-name-cache"])).coverage;
  assert.deepEqual(coverage(), []);
  assert.ok(!/no names|no files/.test(report(out)));
  run("strip", ["prog"], place);
  const [first] = coverage();
  assert.deepEqual([first.module, first.without_names], [join(place, "prog"), 0.9859]);
  assert.match(first.remedy, /it is stripped: keep its symbols/);
  assert.match(report(out), /prog has functions without names, on stacks of 98\.6% of what is shown: it is stripped/);
  const doctor = JSON.parse(heaptap(["doctor", "--json", join(place, "prog")]).stdout).program.names;
  assert.deepEqual([doctor[0].module, doctor[0].has], [join(place, "prog"), "exports"]);
  assert.ok(doctor.some(({ module }: { module: string }) => /libc\.so\.6$/.test(module)), JSON.stringify(doctor));
  // Without debug information it is lines that are missing.
  run("cc", ["-O1", "-rdynamic", "main.c", "-o", "prog"], place);
  await recorded(place);
  assert.match(report(out), /prog has no files and lines, in 100\.0% of what is shown: compile it with -g/);
});

test("the package that has the debug information is named", { skip: without("dpkg") }, () => {
  const libc = spawnSync("sh", ["-c", "ls /lib/x86_64-linux-gnu/libc.so.6"], { encoding: "utf8" }).stdout.trim();
  const dpkg = findInPath("dpkg")!;
  const found = debugPackages([libc, dpkg, join(folder, "prog")]);
  assert.deepEqual([...found], [[libc, "install libc6-dbg"], [dpkg, "install dpkg-dbgsym"]]);
  assert.equal(
    remedy({ path: dpkg, buildId: "ab", has: "exports" }, { tools: [], debuginfod: "unset" }, found),
    `install dpkg-dbgsym, or set DEBUGINFOD_URLS=${distributionServer()}`,
  );
});

test("the distribution's server is named", () => {
  const of = (text: string) => {
    writeFileSync(join(folder, "os-release"), text);
    return distributionServer(join(folder, "os-release"));
  };
  assert.equal(of('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'), "https://debuginfod.ubuntu.com");
  assert.equal(of("ID=debian\n"), "https://debuginfod.debian.net");
  assert.equal(of('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'), "https://debuginfod.opensuse.org");
  assert.equal(of("ID=mine\n"), "https://debuginfod.elfutils.org");
});

test("runtimes are known by program and libraries, and each has its flag", () => {
  const flags: Record<string, RegExp> = {
    deno: /--v8-flags=--perf-basic-prof/,
    node: /--perf-basic-prof --interpreted-frames-native-stack/,
    java: /-XX:\+UnlockDiagnosticVMOptions -XX:\+DumpPerfMapAtExit/,
    "ruby3.3": /--yjit-perf=map/,
    luajit: /LUAJIT_USE_PERFTOOLS/,
    "php8.2": /opcache\.jit_debug/,
    "python3.13": /-X perf/,
    "python3.9": /Python 3\.9 cannot.*3\.12/,
  };
  for (const [program, flag] of Object.entries(flags)) assert.match(programRemedy(program) ?? "", flag, program);
  assert.match(programRemedy("app", ["libcoreclr.so"]) ?? "", /DOTNET_PerfMapEnabled=1/);
  assert.match(programRemedy("app", ["libjvm.so"]) ?? "", /DumpPerfMapAtExit/);
  assert.match(programRemedy("app", ["libpython3.12.so.1.0"]) ?? "", /-X perf/);
  assert.equal(programRemedy("sort", ["libc.so.6"]), undefined);
});

test("how JavaScript functions come to names is said where they have none, and only there", {
  skip: without("node"),
}, async () => {
  const script = join(folder, "buffers.js");
  writeFileSync(script, "const kept = [];\nfor (let i = 0; i < 3000; i++) kept.push(Buffer.allocUnsafeSlow(9000));\n");
  const record = async (name: string, ...flags: string[]) => {
    const out = join(folder, `${name}.heaptap`);
    await profile(["node", ...flags, script], { out, cwd: folder, stdio: "ignore" });
    return out;
  };
  const said = /start Node with --perf-basic-prof/g;
  assert.equal(report(await record("nameless")).match(said)?.length, 1);
  const flags = ["--perf-basic-prof", "--interpreted-frames-native-stack"];
  assert.ok(!said.test(report(await record("named", ...flags))));
});

test("debug files come from debuginfod, are kept where its own client looks, and are not asked for when told so", {
  skip: without("debuginfod") || without("objcopy"),
}, async () => {
  const place = built("served");
  const served = join(place, "served");
  mkdirSync(served);
  run("objcopy", ["--only-keep-debug", "prog", join(served, "any.debug")], place);
  run("strip", ["prog"], place);
  const out = await recorded(place);
  const id = readElf(join(place, "prog"))!.buildId;
  const port = await freePort();
  const server = spawn("debuginfod", ["-d", ":memory:", "-F", "-p", String(port), served], { stdio: "ignore" });
  try {
    const url = `http://127.0.0.1:${port}`;
    await ready(url, id);
    const env = { XDG_CACHE_HOME: join(folder, "cache-served"), DEBUGINFOD_URLS: `${url}/` };
    assert.match(report(out, ["--no-debuginfod"], env), /prog\+0x/);
    assert.match(report(out, [], env), /main\.c:4/);
    const kept = join(env.XDG_CACHE_HOME, "debuginfod_client", id, "debuginfo");
    assert.ok(existsSync(kept));
    // What is there is used without the server, by others too.
    const gone = { ...env, DEBUGINFOD_URLS: "http://127.0.0.1:9" };
    if (!without("debuginfod-find")) {
      const found = spawnSync("debuginfod-find", ["debuginfo", id], {
        env: { ...process.env, ...gone },
        encoding: "utf8",
      });
      assert.equal(found.stdout.trim(), kept);
    }
    assert.match(report(out, ["--no-name-cache"], gone), /main\.c:4/);
  } finally {
    server.kill();
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until a server has looked through its folder. */
async function ready(url: string, id: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const status = await fetch(`${url}/buildid/${id}/debuginfo`).then(
      async (r) => (await r.arrayBuffer(), r.status),
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("debuginfod does not serve");
}

test("servers that are slow, dead, wrong or lavish do not hold a report up", async (t) => {
  const id = "0123456789abcdef";
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    if (request.url?.startsWith("/none/")) response.writeHead(404).end();
    else if (request.url?.startsWith("/broken/")) response.writeHead(500).end();
    else if (request.url?.startsWith("/large/")) {
      response.writeHead(200);
      response.write(new Uint8Array(4096));
      response.end(new Uint8Array(4096));
    } else if (request.url?.startsWith("/stalls/")) response.writeHead(200).write("some");
    else if (request.url?.startsWith("/good/")) response.writeHead(200).end("contents");
    // /silent/ gets no answer
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (name: string, ...paths: string[]) =>
    new Debuginfod({ urls: paths.map((path) => `${base}/${path}`), folder: join(folder, name), patience: 300 });
  try {
    await t.test("a denial is remembered for a while", async () => {
      const first = client("denied", "none");
      assert.equal(await first.find(id), undefined);
      assert.equal(await first.find(id), undefined);
      assert.deepEqual([asked, [...first.problems]], [1, []]);
      const kept = join(folder, "denied", id, "debuginfo");
      assert.equal(statSync(kept).size, 0);
      utimesSync(kept, 0, 0);
      await client("denied", "none").find(id);
      assert.equal(asked, 2);
    });
    for (
      const [kind, said] of [["silent", /did not answer within 1 s/], ["stalls", /did not answer within 1 s/], [
        "broken",
        /answered 500/,
      ]] as const
    ) {
      await t.test(kind, async () => {
        const tried = client(kind, kind, "good");
        const path = await tried.find(id);
        assert.equal(readFileSync(path!, "utf8"), "contents");
        assert.match([...tried.problems].join(), said);
        const before = asked;
        await tried.find("ff00ff");
        assert.equal(asked - before, 1, "one that failed is not asked again");
        assert.deepEqual(readdirSync(join(folder, kind, id)), ["debuginfo"]);
      });
    }
    await t.test("a failure is no denial", async () => {
      await client("unsure", "none", "broken").find(id);
      assert.ok(!existsSync(join(folder, "unsure", id, "debuginfo")));
    });
    await t.test("too large", async () => {
      process.env.DEBUGINFOD_MAXSIZE = "5000";
      const tried = client("large", "large");
      delete process.env.DEBUGINFOD_MAXSIZE;
      assert.equal(await tried.find(id), undefined);
      assert.match([...tried.problems].join(), /larger than 5\.00 KB.*DEBUGINFOD_MAXSIZE/);
      assert.deepEqual(readdirSync(join(folder, "large", id)), []);
    });
    await t.test("no build id leads out of the folder", async () => {
      const before = asked;
      assert.equal(await client("odd-id", "good").find("../../x"), undefined);
      assert.equal(asked, before);
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a report of a file that is unreadable or no program any more says so", async () => {
  const place = built("unreadable");
  const out = await recorded(place);
  writeFileSync(join(place, "prog"), "not a program\n");
  chmodSync(join(place, "prog"), 0o644);
  assert.match(report(out, ["--no-name-cache"]), /has changed since the recording/);
  rmSync(join(place, "prog"));
  assert.match(report(out, ["--no-name-cache"]), /is not on this machine.*--debug-dir/);
});
