/**
 * Compiles and runs the C tests: every source in tests/ffi, in the variants below, with each compiler that is
 * there. Warnings are errors. Ends with `N passed, N failed`. test_c.ts [PART], one of c_parts.ts; SEED.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { isPathPattern } from "../mod.ts";
import { findInPath, FLAGS } from "../src/native/build.ts";
import { C_PARTS } from "./c_parts.ts";
import type { CPart } from "./c_parts.ts";

const ROOT = join(import.meta.dirname ?? "", "../");
const WARNINGS = ["-Wall", "-Wextra", "-Werror"];
// In a test the library's functions are static and not all of them are used.
const TEST = ["-std=gnu11", "-g", "-DHT_TEST", "-fno-strict-aliasing", "-Wno-unused-function"];
/** C and C++, by whom. */
interface Compiler {
  readonly c: string;
  readonly cc: string;
}
const KNOWN: readonly Compiler[] = [{ c: "gcc", cc: "g++" }, { c: "clang", cc: "clang++" }];

type Kind = readonly [name: string, flags: readonly string[]];
// gcc's: clang's are in the program itself, where the library does not look for the functions underneath.
const SANITIZERS: readonly Kind[] = [
  ["address sanitizer", ["-fsanitize=address", "-fno-omit-frame-pointer"]],
  ["undefined behaviour sanitizer", ["-fsanitize=undefined", "-fno-sanitize-recover=all"]],
];

/** For what is shared without locks. It wants memory where it lies without address space randomisation. */
const THREADS: Kind = ["thread sanitizer", ["-fsanitize=thread"]];
const placed = (flags: readonly string[], command: string, args: string[]): [string, string[]] =>
  flags.includes("-fsanitize=thread") ? ["setarch", ["-R", command, ...args]] : [command, args];

const work = mkdtempSync(join(tmpdir(), "heaptap-test-"));
const seed = process.env.SEED ?? String(Date.now() % 100000);
let passed = 0;
let failed = 0;
let skipped = 0;

interface Outcome {
  readonly ok: boolean;
  readonly said: string;
}

function run(command: string, args: string[], env: Record<string, string> = {}): Outcome {
  const result = spawnSync(command, args, {
    cwd: work,
    encoding: "utf8",
    timeout: 300_000,
    env: { ...process.env, ...env },
  });
  return { ok: result.status === 0, said: `${result.stdout}${result.stderr}${result.error?.message ?? ""}`.trim() };
}

/** The same while others run. */
function runBeside(command: string, args: string[], env: Record<string, string>): Promise<Outcome> {
  return new Promise((done) =>
    execFile(
      command,
      args,
      { cwd: work, timeout: 300_000, env: { ...process.env, ...env } },
      (error, stdout, stderr) => done({ ok: !error, said: `${stdout}${stderr}${error?.message ?? ""}`.trim() }),
    )
  );
}

function report(name: string, { ok, said }: Outcome): boolean {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${said ? `: ${ok ? said.split("\n").at(-1) : said}` : ""}`);
  return ok;
}

/** Whether the compiler's sanitizer links and runs here at all. */
function sanitizerWorks({ c }: Compiler, flags: readonly string[]): boolean {
  if (c !== "gcc") return false;
  const probe = join(work, "probe");
  const source = spawnSync(c, [...flags, "-x", "c", "-", "-o", probe], {
    input: "int main(void) { return 0; }",
    cwd: work,
  });
  return source.status === 0 && run(...placed(flags, probe, [])).ok;
}

function source(name: string): string {
  return join(ROOT, "tests/ffi", name);
}

/** The compilers that are there; one that is not is told. */
function compilers(): Compiler[] {
  return KNOWN.filter(({ c, cc }) => {
    if (findInPath(c) && findInPath(cc)) return true;
    console.log(`skip ${c}: not installed`);
    skipped++;
    return false;
  });
}

function library({ c }: Compiler): void {
  const out = join(work, `libheaptap-${c}.so`);
  const made = run(c, [...WARNINGS, ...FLAGS, "-o", out, join(ROOT, "ffi/all.c")]);
  if (!report(`the library with ${c}`, made)) return;
  // Anything else imported could call back into the program or need a newer libc than it has.
  const imports = run("nm", ["-D", "--undefined-only", "--format=just-symbols", out]).said.split("\n").map((l) =>
    l.trim()
  ).sort();
  const meant = ["__libc_stack_end", "_dl_find_object", "dl_iterate_phdr", "environ", "gnu_get_libc_version"];
  report(`its imports with ${c}`, { ok: imports.join() === meant.join(), said: imports.join(" ") });
}

/** What the programs that check their stacks call, and the library with it: once for all that compile it alike. */
const checks = new Map<string, { readonly object: string; readonly made: Outcome }>();

function stackCheck(cc: string, flags: readonly string[]): { readonly object: string; readonly made: Outcome } {
  const compiling = flags.filter((flag) => !flag.startsWith("-Wl,"));
  const key = [cc, ...compiling].join(" ");
  const known = checks.get(key);
  if (known) return known;
  const object = join(work, `check-${checks.size}.o`);
  const made = run(cc, [...WARNINGS, ...TEST, ...compiling, "-c", source("unwind_check.c"), "-o", object]);
  checks.set(key, { object, made });
  return { object, made };
}

/** Links a program that checks its stacks; undefined when that failed, which is reported. */
function stackProgram(
  { c: cc, cc: cxx }: Compiler,
  name: string,
  text: string,
  flags: readonly string[],
): string | undefined {
  const { object, made } = stackCheck(cc, flags);
  const program = join(work, "stacks");
  const [compiler, standard] = text.endsWith("cc") ? [cxx, "-std=c++17"] : [cc, "-std=gnu11"];
  const rest = [...WARNINGS, ...flags, source(text), object, "-lpthread", "-o", program];
  const all = made.ok ? run(compiler, [standard, "-g", ...rest]) : made;
  if (!all.ok) report(name, all);
  return all.ok ? program : undefined;
}

/** Not under the address sanitizer: the search goes over all that is loaded, between variables too. */
function tables(of: Compiler): void {
  for (const [kind, flags] of [["", ["-O2"]], ...SANITIZERS.slice(1)] as [string, string[]][]) {
    if (kind && !sanitizerWorks(of, flags)) continue;
    for (
      const [what, text] of [
        ["unwind tables of every form", "tables_check.c"],
        ["the way out that code without tables tells", "way_check.c"],
      ] as const
    ) {
      const program = join(work, "tables");
      const args = [...TEST, ...flags, source(text), "-Wl,--no-as-needed", "-lpthread", "-lm", "-o", program];
      const built = run(of.c, [...WARNINGS, ...args]);
      report(`${what} (${of.c}${kind && `, ${kind}`})`, built.ok ? run(program, []) : built);
    }
  }
}

function names(of: Compiler): void {
  for (const [kind, flags] of [["", ["-O2"]], ...SANITIZERS.slice(1)] as [string, string[]][]) {
    if (kind && !sanitizerWorks(of, flags)) continue;
    const program = join(work, "names");
    const built = run(of.c, [...WARNINGS, ...TEST, ...flags, source("names_check.c"), "-lpthread", "-o", program]);
    report(`names of code, as V8 tells them (${of.c}${kind && `, ${kind}`})`, built.ok ? run(program, []) : built);
  }
}

/** Arithmetic and the table of samples; plain and under the sanitizers. */
function sampling(of: Compiler): void {
  for (const [kind, flags] of [["", ["-O2"]], ...SANITIZERS] as [string, string[]][]) {
    if (kind && !sanitizerWorks(of, flags)) continue;
    const program = join(work, "sampling");
    const built = run(of.c, [
      ...WARNINGS,
      ...TEST,
      ...flags,
      source("sampling_check.c"),
      "-lpthread",
      "-lm",
      "-o",
      program,
    ]);
    report(`sampling (${of.c}${kind && `, ${kind}`})`, built.ok ? run(...placed(flags, program, [seed])) : built);
  }
}

function unwinding(of: Compiler): void {
  const compiler = of.c;
  const environment = { HEAPTAP_OUT: join(work, "walk.%p.heaptap"), HEAPTAP_BUCKETS: "1048576" };
  for (
    const shape of [
      "-O0",
      "-O2",
      "-O0 -fno-omit-frame-pointer",
      "-O2 -fno-omit-frame-pointer",
      "-O1 -fomit-frame-pointer",
      "-O2 -DHT_COMPARE", // each shortcut beside a walk of the whole stack
    ].slice(0, compiler === "gcc" ? undefined : 2)
  ) {
    const name = `stacks equal libgcc's ${shape} (${compiler})`;
    const program = stackProgram(of, name, "unwind_walk.cc", shape.split(" "));
    for (const depth of program ? ["128", "1024", ...shape === "-O2" ? ["8192"] : []] : []) {
      report(`${name}, depth ${depth}`, run(program ?? "", [seed, "400"], { ...environment, HEAPTAP_DEPTH: depth }));
    }
  }
  // The rest is about stacks and instructions, whose walk does not depend on who compiled it.
  if (compiler !== "gcc") return;
  for (const shape of ["-O0", "-O2", "-O2 -fno-omit-frame-pointer"]) {
    for (const binding of ["now", "lazy"]) {
      const name = `stacks of every instruction equal libgcc's ${shape} -z ${binding} (${compiler})`;
      const program = stackProgram(of, name, "unwind_steps.cc", [...shape.split(" "), `-Wl,-z,${binding}`]);
      if (program) report(name, run(program, [], environment));
    }
  }
  for (
    const [kind, flags] of [
      ["-O0", ["-O0"]],
      ["-O2", ["-O2"]],
      ["-O2 -DHT_COMPARE", ["-O2", "-DHT_COMPARE"]],
      ...SANITIZERS,
    ] as [string, string[]][]
  ) {
    const name = `odd stacks equal libgcc's ${kind} (${compiler})`;
    if (kind.includes("sanitizer") && !sanitizerWorks(of, flags)) {
      console.log(`skip ${name}: not installed`);
      skipped++;
      continue;
    }
    const program = stackProgram(of, name, "unwind_odd.c", [...flags, "-no-pie"]);
    if (program) {
      report(name, run(program, [seed, "200"], { ...environment, ASAN_OPTIONS: "detect_stack_use_after_return=0" }));
    }
  }
}

async function model(compiler: Compiler): Promise<void> {
  const variants: [string, Record<string, string>][] = [
    ["", {}],
    [", exact peak", { HEAPTAP_PEAK: "exact" }],
    [", a table of 64", { HEAPTAP_BUCKETS: "64" }],
    [", depth 4", { HEAPTAP_DEPTH: "4" }],
    [", sizes", { HEAPTAP_SIZES: "on" }],
    [", lifetimes", { HEAPTAP_LIFETIMES: "on" }],
    [", blocks that lie close", { CLOSE: "1" }],
    [", their lifetimes", { CLOSE: "1", HEAPTAP_LIFETIMES: "on" }],
    [", such blocks and a large table", { CLOSE: "1", HEAPTAP_BUCKETS: "1048576", HEAPTAP_SIZES: "on" }],
  ];
  // What a compiler may break is seen in the first variants; the sanitizers go over all.
  const some = compiler.c === "gcc" ? variants : variants.slice(0, 2);
  for (const [kind, flags] of [["", []] as Kind, ...SANITIZERS, THREADS]) {
    if (kind && !sanitizerWorks(compiler, flags)) {
      console.log(`skip the model under ${kind} (${compiler.c}): not gcc's, or not installed`);
      skipped++;
      continue;
    }
    const program = join(work, "model");
    const built = run(compiler.c, [
      ...WARNINGS,
      ...TEST,
      "-O2",
      ...flags,
      source("model_test.c"),
      "-lpthread",
      "-o",
      program,
    ]);
    if (!built.ok) {
      report(`model ${kind} (${compiler.c})`, built);
      continue;
    }
    // All at once: threads that have to wait for a processor meet in more ways.
    const results = await Promise.all(
      some.map(([, env]) =>
        runBeside(...placed(flags, program, [seed, kind === THREADS[0] ? "500" : kind ? "3000" : "20000"]), {
          HEAPTAP_OUT: join(work, "model.%p.heaptap"),
          ASAN_OPTIONS: "allocator_may_return_null=1",
          TSAN_OPTIONS: "allocator_may_return_null=1 halt_on_error=1",
          ...env,
        })
      ),
    );
    for (const [i, [variant]] of some.entries()) {
      report(
        `random operations equal the model${variant} (${[compiler.c, kind].filter(Boolean).join(", ")})`,
        results[i] ?? { ok: false, said: "" },
      );
    }
  }
}

/** Random expressions of what the library takes, and texts, against the runtime's own. */
function matching(compiler: Compiler): void {
  const program = join(work, "match");
  const sanitizers = SANITIZERS.filter(([, flags]) => sanitizerWorks(compiler, flags)).flatMap(([, flags]) => flags);
  const flags = [...WARNINGS, ...TEST, "-O1", ...sanitizers];
  const built = run(compiler.c, [...flags, source("match_check.c"), "-lpthread", "-o", program]);
  if (!built.ok) {
    report(`expressions for paths (${compiler.c})`, built);
    return;
  }
  let state = Number(seed) >>> 0;
  const pick = (n: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % 65537 % n;
  const one = (of: readonly string[]) => of[pick(of.length)] ?? "";
  const atom = (depth: number): string => {
    if (depth > 0 && pick(4) === 0) return `(${one(["", "?:"])}${alternatives(depth - 1)})`;
    return one(["a", "b", "c", "/", "\\.", ".", "[ab]", "[^a/]", "[a-c]", "\\w", "\\d", "[\\w.]", "\\W"]);
  };
  const sequence = (depth: number): string =>
    Array.from({ length: pick(4) }, () => atom(depth) + one(["", "", "", "*", "+", "?", "*?", "+?"])).join("");
  const alternatives = (depth: number): string =>
    Array.from({ length: 1 + pick(3) * pick(2) }, () => sequence(depth)).join("|");
  const lines: string[] = [];
  let expected = "";
  for (let i = 0; i < 20000; i++) {
    const pattern = one(["", "", "^"]) + alternatives(3) + one(["", "", "$"]);
    if (!isPathPattern(pattern)) continue;
    const text = Array.from({ length: pick(8) }, () => one(["a", "b", "c", "/", ".", "1", "-"])).join("");
    lines.push(`${pattern}\t${text}`);
    expected += new RegExp(pattern).test(text) ? "1" : "0";
  }
  const result = spawnSync(program, [], { input: lines.join("\n") + "\n", encoding: "utf8", env: { HEAPTAP_OUT: "" } });
  const got = result.stdout.trim();
  const at = [...expected].findIndex((answer, i) => answer !== got[i]);
  const ok = result.status === 0 && at < 0 && got.length === expected.length && expected.length > 5000;
  const wrong = `seed ${seed}: ${lines[at]}: ${got[at]}, not ${expected[at]} ${result.stderr}`;
  report(`expressions for paths equal the runtime's (${compiler.c})`, {
    ok,
    said: ok ? `${expected.length} of them` : wrong,
  });
}

const TESTS: Readonly<Record<CPart, (compiler: Compiler) => void | Promise<void>>> = {
  library,
  tables,
  names,
  sampling,
  unwinding,
  model,
  matching,
};
const only = process.argv[2];
if (only !== undefined && !Object.hasOwn(TESTS, only)) {
  console.error(`test_c: there is no part "${only}"; there are ${C_PARTS.join(", ")}`);
  process.exit(2);
}
for (const compiler of compilers()) {
  for (const part of C_PARTS) if (only === undefined || only === part) await TESTS[part](compiler);
}
rmSync(work, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
