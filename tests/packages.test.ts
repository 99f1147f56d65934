/** Imported as people do: from a package on three runtimes, over a network, in a program of one file, with strict types. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath } from "../mod.ts";
import { tooOld } from "../src/native/oldest.ts";
import { ROOT, RUNTIME, scratch, without } from "./helpers.ts";

const bin = (name: string) => join(ROOT, "node_modules/.bin", name);
const folder = scratch();
/** A project in a folder whose name has a space, and a home where nothing is. */
const project = join(folder, "a project");
const home = join(folder, "home");
const { HEAPTAP_LIBRARY: _library, HEAPTAP_BUILD: _build, ...rest } = process.env;
/** Without a compiler: the package brings the library. */
const env = {
  ...rest,
  CC: "/nowhere/cc",
  HOME: home,
  XDG_CACHE_HOME: "",
  DENO_DIR: join(folder, "deno"),
  NO_COLOR: "1",
};
mkdirSync(project);
mkdirSync(home);

/** All runtimes are tried here, once. */
const once = RUNTIME === "Bun" ? "Deno's tests try all runtimes" : without("npm");
const packed = once
  ? undefined
  : spawnSync(bin("deno"), ["run", "-A", join(ROOT, "tools/pack.ts"), folder], { encoding: "utf8" });
/** The library of a package is compiled by Zig, which comes from Python's package index. */
const skip = once ||
  (/^pack: (python3|ziglang)/.test(packed?.stderr ?? "") && `no Zig to be had: ${packed?.stderr.trim()}`);

function run(command: string, args: readonly string[], cwd: string = project, more: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...env, ...more } });
  return { status, stdout, stderr };
}

/** The package, installed without a network; once. */
function install(): void {
  if (existsSync(join(project, "node_modules/heaptap"))) return;
  assert.ok(packed);
  assert.equal(packed.status, 0, packed.stderr);
  writeFileSync(join(project, "package.json"), '{ "type": "module", "private": true }');
  const installed = run("npm", [
    "install",
    "--offline",
    "--no-audit",
    "--no-fund",
    ...packed.stdout.trim().split("\n"),
  ]);
  assert.equal(installed.status, 0, installed.stderr);
}

const SCRIPT = `
import { install, Session } from "heaptap";
import { expectAllocations, measure } from "heaptap/test";
import { heapHandler } from "heaptap/server";
import { Recording, textReport } from "heaptap/report";

const session = new Session();
session.operation("x").measureThread().end();
await expectAllocations(() => 1, { maxBytes: 1e6 });
const page = await heapHandler({ path: "/heap" })(new Request("http://localhost/heap/"));
const text = await page.text();
console.log(JSON.stringify({
  runtime: install().runtime.split(" ")[0],
  measured: (await measure(() => 1, { rounds: 3 })).rounds,
  page: [page.status, text.includes("<script")],
  report: typeof Recording.open + typeof textReport,
}));
`;
const said = (runtime: string) => ({ runtime, measured: 3, page: [200, true], report: "functionfunction" });

test("a package: its subpaths on Deno, Bun and Node, and the command line", { skip }, () => {
  install();
  writeFileSync(join(project, "script.mjs"), SCRIPT);
  const runtimes: [string, string, string[]][] = [
    ["Deno", bin("deno"), ["run", "-A"]],
    ["Bun", bin("bun"), []],
    ["Node", bin("node"), ["--experimental-ffi"]],
  ];
  for (const [name, program, args] of runtimes) {
    const { status, stdout, stderr } = run(program, [...args, "script.mjs"]);
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), said(name));
  }
  const out = join(folder, "ls.heaptap");
  const ways: [string, string[]][] = [
    ["npx", ["heaptap"]],
    [bin("bun"), ["x", "heaptap"]],
    [bin("deno"), ["run", "-A", "npm:heaptap"]],
  ];
  for (const [program, args] of ways) {
    const recorded = run(program, [...args, "run", "-o", out, "--limit", "1", "--", "ls"]);
    assert.equal(recorded.status, 0, recorded.stderr);
    assert.match(recorded.stderr, /allocations +\d+/);
    assert.match(recorded.stdout, /package\.json/);
  }
  for (const [, program, args] of runtimes) {
    const { status, stdout, stderr } = run(program, [
      ...args,
      "node_modules/heaptap/bin.js",
      "report",
      "--limit",
      "1",
      out,
    ]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /Top call paths by allocated bytes/);
  }
  // Only what a user needs is in it.
  assert.ok(
    ["tests", "bench", "tools", "deno.json"].every((name) => !existsSync(join(project, "node_modules/heaptap", name))),
  );
  // The suite's hooks are found from a package too.
  writeFileSync(
    join(project, "x.test.mjs"),
    'import { test } from "node:test"; test("a", () => { new Uint8Array(1e5); });',
  );
  const tests = run("npx", ["heaptap", "test", bin("node"), "x.test.mjs"]);
  assert.match(tests.stderr, /100 KB .* a {2}x\.test\.mjs/);
});

test("its types, as strict as they come", { skip }, () => {
  install();
  const types = join(project, "node_modules/@types");
  mkdirSync(types, { recursive: true });
  symlinkSync(join(ROOT, "node_modules/@types/node"), join(types, "node"));
  symlinkSync(join(ROOT, "node_modules/undici-types"), join(project, "node_modules/undici-types"));
  writeFileSync(
    join(project, "typed.ts"),
    SCRIPT + `
import type { Figures, RecordOptions } from "heaptap";
import type { AllocationLimits } from "heaptap/test";
export const limits: AllocationLimits = { maxBytes: 1 };
export const options: RecordOptions = { buckets: 64 };
export const figures = (f: Figures): number => f.bytes;
// @ts-expect-error -- an option that it does not have
install({ buckts: 64 });
// @ts-expect-error -- a name that it does not export
import { nothing } from "heaptap";
`,
  );
  for (const moduleKind of ["nodenext", "preserve"]) {
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          ...{ target: "es2023", module: moduleKind, lib: ["es2023", "dom", "esnext.disposable"], types: ["node"] },
          ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, isolatedModules: true },
          ...{ noPropertyAccessFromIndexSignature: true, verbatimModuleSyntax: true, isolatedDeclarations: true },
          ...{ declaration: true, outDir: "out", skipLibCheck: false },
        },
        files: ["typed.ts"],
      }),
    );
    const { status, stdout } = run(bin("tsc"), ["-p", "."]);
    assert.equal(status, 0, stdout);
  }
});

const { stdout: version } = run("node", ["--version"], ROOT);
const older = Number(/^v(\d+)/.exec(version)?.[1]) >= 20 ? skip : "no Node from 20 on is installed";

test("the system's Node runs the command line", { skip: older }, () => {
  install();
  assert.match(run("node", ["node_modules/heaptap/bin.js", "--version"]).stdout, /^\d+\.\d+\.\d+\n$/);
  for (const version of ["18.20.0", "20.15.1", "21.7.3", "22.2.0"]) {
    const older =
      `Object.defineProperty(process.versions, "node", { value: "${version}" }); import("./node_modules/heaptap/bin.js");`;
    const { status, stderr } = run("node", ["-e", older]);
    assert.deepEqual([status, stderr], [
      2,
      `heaptap: Node ${version} is too old: heaptap takes Deno 2.2, Bun 1.2.6, Node 20.16 or 22.3, or later\n`,
    ]);
  }
});

test("runtimes that are too old are refused, others are not", () => {
  const none = [{ deno: "2.2.0" }, { deno: "3.0.1" }, { bun: "1.2.6" }, { bun: "1.10.0" }, { bun: "2.0.0-canary.1" }];
  for (const versions of [...none, { node: "20.16.0" }, { node: "22.3.0" }, { node: "26.10.0" }]) {
    assert.equal(tooOld(versions), "", JSON.stringify(versions));
  }
  for (
    const versions of [{ deno: "2.1.9" }, { deno: "1.46.3" }, { bun: "1.2.5", node: "22.6.0" }, { node: "21.9.0" }]
  ) {
    assert.match(tooOld(versions), /^(Deno|Bun|Node) [\d.]+ is too old: heaptap takes Deno 2\.2, [^\n]*, or later$/);
  }
});

test("a program of one file finds a library beside it, or one that is named", { skip }, () => {
  install();
  writeFileSync(join(project, "one.mjs"), 'import { install } from "heaptap"; console.log(install().runtime);');
  const out = join(project, "out");
  const built = run(bin("bun"), ["build", "--compile", "one.mjs", "--outfile", join(out, "one")]);
  assert.equal(built.status, 0, built.stderr);
  const one = join(out, "one");
  const alone = run(one, []);
  assert.notEqual(alone.status, 0);
  assert.match(
    alone.stderr,
    /LibraryError: Cannot compile the library: its sources are not at .* beside the program as libheaptap\.so/,
  );
  copyFileSync(libraryPath(), join(folder, "named.so"));
  assert.match(run(one, [], project, { HEAPTAP_LIBRARY: join(folder, "named.so") }).stdout, /^Bun/);
  assert.match(
    run(one, [], project, { HEAPTAP_LIBRARY: "/nowhere.so" }).stderr,
    /Cannot find the library "\/nowhere\.so"/,
  );
  copyFileSync(libraryPath(), join(out, "libheaptap.so"));
  const beside = run(one, []);
  assert.match(beside.stdout, /^Bun/, beside.stderr);
});

test("heaptap as one file, where there is no runtime, no compiler and no home yet", { skip }, () => {
  const program = join(folder, "heaptap");
  const made = spawnSync(bin("deno"), ["run", "-A", join(ROOT, "tools/compile.ts"), program], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  const alone = { HOME: join(folder, "nobody"), PATH: "/nowhere" };
  const heaptap = (args: readonly string[], more = {}) =>
    spawnSync(program, args, { cwd: project, encoding: "utf8", env: { ...alone, ...more } });
  assert.match(heaptap(["--version"]).stdout, /^\d+\.\d+\.\d+\n$/);
  const out = join(folder, "alone.heaptap");
  const recorded = heaptap(["run", "--limit", "1", "-o", out, "--", "/bin/ls", "/"]);
  assert.equal(recorded.status, 0, recorded.stderr);
  assert.match(recorded.stdout, /^etc$/m);
  assert.match(recorded.stderr, /allocations +[1-9]/);
  assert.match(heaptap(["report", "--format", "html", out]).stdout, /<script id="data".*<script type="module">/s);
  assert.ok(existsSync(join(heaptap(["lib", "--include"]).stdout.trim(), "heaptap.h")));
  // What is not as it is to be is written anew.
  const library = heaptap(["lib"]).stdout.trim();
  const whole = readFileSync(library);
  writeFileSync(library, whole.subarray(0, 1000));
  assert.equal(heaptap(["lib"]).stdout.trim(), library);
  assert.deepEqual(readFileSync(library), whole);
  const refused = heaptap(["lib"], { HOME: "/proc" });
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /^heaptap: Cannot write the library into the cache folder: .*XDG_CACHE_HOME[^\n]*\n$/);
  // A user that the system does not know, as containers have it: by a number alone.
  if (process.getuid?.() === 0 && !without("setpriv")) {
    chmodSync(folder, 0o755);
    const nobody = spawnSync("setpriv", ["--reuid", "4711", "--clear-groups", program, "lib"], {
      encoding: "utf8",
      env: { PATH: process.env.PATH },
    });
    assert.match(nobody.stderr, /^heaptap: Cannot write the library into the cache folder: .*XDG_CACHE_HOME[^\n]*\n$/);
  }
  // Its own modules are there for other runtimes.
  writeFileSync(
    join(project, "alone.test.mjs"),
    'import { test } from "node:test"; test("a", () => { new Uint8Array(1e5); });',
  );
  assert.match(heaptap(["test", bin("node"), "alone.test.mjs"]).stderr, /100 KB .* a {2}alone\.test\.mjs/);
});

test("the library of the package: no compiler, hashes, and what is wrong in one line", { skip }, () => {
  install();
  const library = join(project, "node_modules/heaptap-linux-x64/libheaptap.so");
  const heaptap = (...args: string[]) => run("npx", ["heaptap", ...args]);
  // Its own path has a space, which the dynamic linker takes for a separator.
  const path = heaptap("lib").stdout.trim();
  assert.match(path, /\/heaptap-\d+\/libheaptap-[0-9a-f]{24}\.so$/);
  assert.deepEqual(readFileSync(path), readFileSync(library));
  const compiled = run("npx", ["heaptap", "lib"], project, { HEAPTAP_BUILD: "1" });
  assert.deepEqual([compiled.status, compiled.stdout], [2, ""]);
  assert.match(
    compiled.stderr,
    /^heaptap: Cannot compile the library: "\/nowhere\/cc" \(from CC\) is not there[^\n]*\n$/,
  );
  const whole = readFileSync(library);
  try {
    writeFileSync(library, whole.subarray(0, 1000));
    const truncated = heaptap("run", "--", "echo", "ran");
    assert.deepEqual([truncated.status, truncated.stdout], [0, "ran\n"]);
    assert.match(
      truncated.stderr,
      /^heaptap: Cannot use the library ".*": it is damaged, or of another version; install heaptap-linux-x64 again[^\n]*; the program runs, and is not recorded\n$/,
    );
    rmSync(library);
    assert.match(
      heaptap("lib").stderr,
      /^heaptap: Cannot read the library ".*install heaptap-linux-x64 again[^\n]*\n$/,
    );
  } finally {
    writeFileSync(library, whole);
  }
  // Without it the sources are compiled, as on a machine for which there is none.
  renameSync(join(project, "node_modules/heaptap-linux-x64"), join(folder, "aside"));
  try {
    assert.match(heaptap("lib").stderr, /^heaptap: Cannot compile the library/);
  } finally {
    renameSync(join(folder, "aside"), join(project, "node_modules/heaptap-linux-x64"));
  }
  const size = spawnSync("du", [
    "-sk",
    join(project, "node_modules/heaptap"),
    join(project, "node_modules/heaptap-linux-x64"),
  ], { encoding: "utf8" });
  const kilobytes = [...size.stdout.matchAll(/^\d+/gm)].reduce((sum, [n]) => sum + Number(n), 0);
  assert.ok(kilobytes < 12_000, size.stdout);
});

test("a module over a network: the library's sources and the page come from there too, once", {
  skip,
}, async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "", "http://x/").pathname;
    asked.push(path);
    try {
      const body = readFileSync(join(ROOT, path));
      const type = path.endsWith(".ts") ? "application/typescript" : "text/plain";
      response.writeHead(200, { "content-type": type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const script = join(project, "remote.ts");
  writeFileSync(
    script,
    SCRIPT.replace('"heaptap"', `"${base}/mod.ts"`).replace(/"heaptap\/(\w+)"/g, `"${base}/src/entry/$1.ts"`),
  );
  const deno = (...args: string[]) => denoRun(...args, script);
  const denoRun = (...args: string[]) =>
    new Promise<{ status: number | null; stdout: string; stderr: string }>((done) => {
      const child = spawn(bin("deno"), ["run", "--no-check", "--quiet", ...args], {
        cwd: project,
        env: { ...env, CC: "" },
      });
      const [out, err]: [string[], string[]] = [[], []];
      child.stdout.on("data", (text) => out.push(String(text)));
      child.stderr.on("data", (text) => err.push(String(text)));
      child.on("close", (status) => done({ status, stdout: out.join(""), stderr: err.join("") }));
    });
  try {
    const denied = await deno("--allow-import", "--allow-ffi", "--allow-env", "--allow-read", "--allow-sys");
    assert.match(denied.stderr, /LibraryError: Cannot fetch heaptap's own files from .*: Deno needs --allow-run/);
    const first = await deno("-A");
    assert.equal(first.status, 0, first.stderr);
    assert.deepEqual(JSON.parse(first.stdout), said("Deno"));
    assert.ok(asked.includes("/ffi/all.c") && asked.includes("/src/export/page/page.css"));
    asked.length = 0;
    assert.deepEqual(JSON.parse((await deno("-A")).stdout), said("Deno"));
    assert.deepEqual(asked, []);
    // The command line, whose parser of options comes from npm's registry.
    const out = join(folder, "remote.heaptap");
    const recorded = await denoRun("-A", `${base}/cli.ts`, "run", "--limit", "1", "-o", out, "--", "ls");
    if (/error sending request|dns error|npm registry/i.test(recorded.stderr)) return t.skip("no registry of npm");
    assert.equal(recorded.status, 0, recorded.stderr);
    assert.match(recorded.stderr, /allocations +\d+/);
    const page = await denoRun("-A", `${base}/cli.ts`, "report", "--format", "html", out);
    assert.match(page.stdout, /<script id="data"/, page.stderr);
  } finally {
    server.close();
  }
});

test("a clone in a folder with a space", { skip }, () => {
  const clone = join(folder, "a clone");
  for (const name of ["mod.ts", "src", "ffi"]) cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  writeFileSync(join(clone, "s.ts"), 'import { install } from "./mod.ts"; console.log(install().runtime);');
  for (const [program, ...args] of [[bin("deno"), "run", "-A"], [bin("bun")]] as const) {
    const { stdout, stderr } = run(program, [...args, "s.ts"], clone, { CC: "" });
    assert.match(stdout, /^(Deno|Bun) /, stderr);
  }
});
