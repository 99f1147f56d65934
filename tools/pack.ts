/**
 * Makes the packages. `heaptap` has JavaScript and types, the page, the C library's sources, and the packages that the command line needs, so that
 * it installs without a network; `heaptap-linux-x64` has the compiled library, so that no compiler is needed. `npm run pack -- FOLDER` puts the
 * tarballs there, and prints their paths.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { VERSION } from "../src/command/version.ts";
import { run } from "./commands.ts";
import { compileAttacher, compileLibrary } from "./library.ts";

const ROOT = join(import.meta.dirname ?? "", "../");

/** Changes every file of a folder whose name ends so. */
function change(folder: string, ending: string, to: (text: string) => string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(ending) || name.includes("node_modules/")) continue;
    writeFileSync(join(folder, name), to(readFileSync(join(folder, name), "utf8")));
  }
}

/** Examples name the package; declarations name what is beside them. */
const named = (text: string) => text.replace(/^( \*.* from )"\.\/mod\.ts"/gm, '$1"heaptap"');
const declared = (text: string) => named(text).replace(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"');

/** Subpaths, each with its types. */
function exported(entries: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entries).map(([name, path]) => {
      const built = path.replace(/\.ts$/, "");
      return [name, { types: `${built}.d.ts`, default: `${built}.js` }];
    }),
  );
}

const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const { name, description, license, type, os, cpu, engines } = own;

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value, null, 2) + "\n");
}

/** Builds the package of what is compiled; the hashes that its files are known by. */
export function buildLibrary(folder: string): Record<string, string> {
  const files = ["libheaptap.so", "libheaptap-late.so", "heaptap-attach"];
  compileLibrary(join(folder, "libheaptap.so"), "early");
  compileLibrary(join(folder, "libheaptap-late.so"), "late");
  compileAttacher(join(folder, "heaptap-attach"));
  cpSync(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
  writeJson(join(folder, "package.json"), {
    ...{
      name: LIBRARY_PACKAGE,
      version: VERSION,
      description: `heaptap's library for Linux on x86-64`,
      license,
      os,
      cpu,
    },
    files,
  });
  return Object.fromEntries(
    files.map((name) => [name, createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")]),
  );
}

const LIBRARY_PACKAGE = "heaptap-linux-x64";

/** What the package's command runs first: older runtimes would end with a trace of the first thing that they lack. */
const BIN = `#!/usr/bin/env node
import { tooOld } from "./src/native/oldest.js";

const problem = tooOld(process.versions);
if (problem) {
  console.error("heaptap: " + problem);
  process.exit(2);
}
await import("./src/cli/cli.js");
`;

/** Packages with those that they need. */
function withTheirs(names: readonly string[]): string[] {
  const all = new Set(names);
  for (const name of all) {
    const { dependencies = {} } = JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8"));
    for (const needed of Object.keys(dependencies)) all.add(needed);
  }
  return [...all];
}

/** Builds the package in a folder. */
export function build(folder: string, hashes: Readonly<Record<string, string>>): void {
  run(join(ROOT, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json", "--outDir", folder], { cwd: ROOT });
  change(folder, ".js", (text) => named(text).replace(/^#!.*\n/, ""));
  writeFileSync(join(folder, "bin.js"), BIN);
  change(folder, ".d.ts", declared);
  cpSync(join(ROOT, "ffi"), join(folder, "ffi"), { recursive: true });
  mkdirSync(join(folder, "src/export/page"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "src/export/page"))) {
    if (/\.(js|css|html)$/.test(name)) {
      cpSync(join(ROOT, "src/export/page", name), join(folder, "src/export/page", name));
    }
  }
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md"]) cpSync(join(ROOT, name), join(folder, name));
  const manual = run(process.execPath, ["run", "-A", join(ROOT, "cli.ts"), "man"], { cwd: ROOT });
  writeFileSync(join(folder, "heaptap.1"), manual);
  const dependencies = withTheirs(Object.keys(own.dependencies));
  for (const name of dependencies) {
    cpSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name), { recursive: true });
  }
  // Which library belongs to it: it is loaded by what it holds, not by its version alone.
  writeJson(join(folder, "library.json"), { "linux-x64": hashes });
  writeJson(join(folder, "package.json"), {
    ...{ name, version: VERSION, description, license, type, os, engines },
    bin: { heaptap: "bin.js" },
    man: ["heaptap.1"], // npm installs a list alone
    exports: exported(own.exports),
    dependencies: own.dependencies,
    optionalDependencies: { [LIBRARY_PACKAGE]: VERSION },
    bundleDependencies: Object.keys(own.dependencies),
  });
}

/**
 * Puts the modules of the command line together: a few are there sooner than two hundred. They lie as deep as those that they are made of, which
 * find other files from where they are.
 */
function bundleCommandLine(folder: string): void {
  const how = ["build", "cli.js", "--target=node", "--splitting", "--format=esm", "--outdir", "src/cli"];
  run(join(ROOT, "node_modules/.bin/bun"), how, { cwd: folder });
  for (const name of ["cli.js", "cli.d.ts", "src/command"]) rmSync(join(folder, name), { recursive: true });
}

if (import.meta.main) {
  const [to] = process.argv.slice(2);
  if (to === undefined) {
    console.error("pack: name the folder for the package: npm run pack -- FOLDER");
    process.exit(2);
  }
  const folder = mkdtempSync(join(tmpdir(), "heaptap-pack-"));
  try {
    mkdirSync(to, { recursive: true });
    const [main, library] = ["heaptap", LIBRARY_PACKAGE].map((name) => join(folder, name)) as [string, string];
    mkdirSync(library);
    build(main, buildLibrary(library));
    bundleCommandLine(main);
    for (const built of [main, library]) {
      const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", resolve(to)], { cwd: built }));
      console.log(join(resolve(to), packed.filename));
    }
  } catch (error) {
    console.error(`pack: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
