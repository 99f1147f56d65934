/**
 * Makes a program of one file, which runs where no runtime is: Bun, the command line, and in it the library, the page, the header and what
 * tests of other runtimes import. `npm run compile -- FILE [musl]`: for systems on glibc, or on musl, as Alpine is; that runtime comes from npm's registry.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { run } from "./commands.ts";
import { build, buildLibrary } from "./pack.ts";

const ROOT = join(import.meta.dirname ?? "", "../");

/** Folders that are carried: what is read as a file, or imported by a process that is started. */
const CARRIED = ["ffi", "library", "packages", "src"];

/** Compiles the program. */
function compile(to: string, folder: string, libc: string | undefined): void {
  const library = join(folder, "library");
  mkdirSync(library);
  build(folder, buildLibrary(library));
  const demangler = "gecko-profiler-demangle";
  cpSync(join(folder, "node_modules", demangler), join(folder, "packages", demangler), { recursive: true });
  const hash = createHash("sha256");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(folder, name);
    if (name.endsWith(".d.ts")) rmSync(path);
    else if (statSync(path).isFile()) hash.update(`${name}\0`).update(readFileSync(path));
  }
  writeFileSync(
    join(folder, "main.js"),
    `import { carryFiles } from "./src/file/carried.js";
carryFiles({ key: "${hash.digest("hex").slice(0, 24)}", folder: import.meta.dirname });
await import("./cli.js");
`,
  );
  run(join(ROOT, "node_modules/.bin/bun"), [
    ...[
      "build",
      "--compile",
      ...libc === "musl" ? ["--target=bun-linux-x64-musl"] : [],
      "--bytecode",
      "--format=esm",
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
    ],
    ...[...CARRIED.flatMap((name) => ["--asset", name]), "main.js", "--outfile", resolve(to)],
  ], { cwd: folder });
}

const [to, libc] = process.argv.slice(2);
if (to === undefined || (libc !== undefined && libc !== "musl")) {
  console.error("compile: name the file for the program: npm run compile -- FILE [musl]");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "heaptap-compile-"));
try {
  compile(to, folder, libc);
  console.log(`${resolve(to)}  ${(statSync(to).size / 1e6).toFixed(1)} MB`);
} catch (error) {
  console.error(`compile: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
