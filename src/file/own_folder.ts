/**
 * Folders of heaptap's own files that are no modules: the C library's sources, the page. They lie beside the modules; where Deno had those
 * over a network, they are fetched from there, once, into the cache folder; a program of one file has them in it.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { cacheFolder, makeFolder } from "./folder.ts";
import { writeWhole } from "./whole_file.ts";

/** Where heaptap's own modules lie: a folder, or an address. */
export const OWN_MODULES: string = import.meta.dirname === undefined
  ? new URL("../", import.meta.url).href
  : join(import.meta.dirname, "../");

/** What a program of one file has in it. */
export interface Carried {
  /** Says which files these are: others have another. */
  readonly key: string;
  /** The folder that this process alone can read them in. */
  readonly folder: string;
}

let carried: Carried | undefined;

/** Says that this program has heaptap's files in it; before anything asks for them. */
export function carryFiles(files: Carried): void {
  carried = files;
}

/** Which of its folders has what is compiled. */
const COMPILED = "library";

/** Writes the files of a folder into the cache folder, as far as they are not there as they are to be. */
function unpacked({ key, folder }: Carried, path: string): string {
  const to = join(cacheFolder(), `carried-${key}`, path);
  for (const name of readdirSync(join(folder, path), { recursive: true, encoding: "utf8" })) {
    const from = join(folder, path, name);
    if (!statSync(from).isFile()) continue;
    const [target, content] = [join(to, name), readFileSync(from)];
    if (existsSync(target) && content.equals(readFileSync(target))) continue;
    makeFolder(dirname(target));
    writeWhole(target, (fd) => writeFileSync(fd, content), { mode: path === COMPILED ? 0o755 : 0o644, isOurs: true });
  }
  return to;
}

/** A compiled file that this program has in it; undefined where it has none. */
export function carriedFile(name: string): string | undefined {
  return carried && join(unpacked(carried, COMPILED), name);
}

/** The folder of a package that heaptap can use; throws where it is not installed. */
export function ownPackage(name: string): string {
  if (carried) return unpacked(carried, `packages/${name}`);
  return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
}

/** Where processes that are started find heaptap's own modules: a folder, or an address. */
export function startedModules(): string {
  return carried ? join(unpacked(carried, "src"), "/") : OWN_MODULES;
}

/** As {@linkcode ownFolder}, for other processes to read too. */
export function sharedFolder(path: string, first: readonly string[]): string {
  return carried ? unpacked(carried, path) : ownFolder(path, first);
}

/** Fetches files, and those that they include, and writes them as JSON: in a process of its own, since those who ask cannot wait. */
const FETCH = `
const found = {};
for (const name of names) {
  const answer = await fetch(new URL(name, base));
  if (!answer.ok) throw new Error(\`\${answer.url}: \${answer.status}\`);
  found[name] = await answer.text();
  for (const [, other] of found[name].matchAll(/^#\\s*include "([^"]+)"/gm)) {
    const path = new URL(other, new URL(name, "http://x/")).pathname.slice(1);
    if (!names.includes(path)) names.push(path);
  }
}
console.log(JSON.stringify(found));
`;

/**
 * A folder of heaptap's, by its path from the top; `first` are the files of it that are needed, beside those that they include.
 *
 * @throws {Error} when it has to be fetched and cannot be.
 */
export function ownFolder(path: string, first: readonly string[]): string {
  if (carried) return join(carried.folder, path);
  if (import.meta.dirname !== undefined) return join(import.meta.dirname, "../../", path);
  const base = new URL(`../../${path}/`, import.meta.url).href;
  const folder = join(cacheFolder(), "fetched", createHash("sha256").update(base).digest("hex").slice(0, 24), path);
  if (existsSync(folder)) return folder;
  const code = `const base = ${JSON.stringify(base)}, names = ${JSON.stringify(first)};${FETCH}`;
  const { status, stdout, stderr, error } = spawnSync(process.execPath, ["eval", "--no-config", code], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    maxBuffer: 1 << 26,
  });
  if (status !== 0) {
    // Deno without --allow-run gives an empty result.
    const why = error?.message ?? stderr?.split("\n").find((line) => line.includes("rror")) ??
      "Deno needs --allow-run for it";
    throw new Error(`Cannot fetch heaptap's own files from ${base}: ${why}`);
  }
  const made = `${folder}.${process.pid}.${Date.now()}`;
  for (const [name, text] of Object.entries(JSON.parse(stdout) as Record<string, string>)) {
    makeFolder(dirname(join(made, name)));
    writeFileSync(join(made, name), text);
  }
  try {
    renameSync(made, folder);
  } catch {
    // Somebody else was first.
    rmSync(made, { recursive: true, force: true });
  }
  return folder;
}
