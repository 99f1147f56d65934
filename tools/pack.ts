/**
 * Makes the package: JavaScript and types, the page, the C library's sources, and the packages that the command line needs, so that it
 * installs without a network. `npm run pack -- FOLDER` puts the tarball there, and prints its path.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

const ROOT = join(import.meta.dirname ?? "", "../");

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr + stdout}`);
  return stdout;
}

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

/** Builds the package in a folder. */
export function build(folder: string): void {
  const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  run(join(ROOT, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json", "--outDir", folder], ROOT);
  change(folder, ".js", (text) => named(text).replace(/^#!.*\n/, "#!/usr/bin/env node\n"));
  change(folder, ".d.ts", declared);
  cpSync(join(ROOT, "ffi"), join(folder, "ffi"), { recursive: true });
  mkdirSync(join(folder, "src/export/page"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "src/export/page"))) {
    if (/\.(js|css|html)$/.test(name)) {
      cpSync(join(ROOT, "src/export/page", name), join(folder, "src/export/page", name));
    }
  }
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md"]) cpSync(join(ROOT, name), join(folder, name));
  const dependencies = Object.keys(own.dependencies);
  for (const name of dependencies) {
    cpSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name), { recursive: true });
  }
  const { name, version, description, license, type, os, cpu, engines } = own;
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify(
      {
        ...{ name, version, description, license, type, os, cpu, engines },
        bin: { heaptap: "cli.js" },
        exports: exported(own.exports),
        dependencies: own.dependencies,
        bundleDependencies: dependencies,
      },
      null,
      2,
    ) + "\n",
  );
}

if (import.meta.main) {
  const [to] = process.argv.slice(2);
  if (to === undefined) {
    console.error("pack: name the folder for the package: npm run pack -- FOLDER");
    process.exit(2);
  }
  const folder = mkdtempSync(join(tmpdir(), "heaptap-pack-"));
  try {
    build(folder);
    mkdirSync(to, { recursive: true });
    const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", resolve(to)], folder));
    console.log(join(resolve(to), packed.filename));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
