/**
 * Folders of heaptap's own files that are no modules: the C library's sources, the page. They lie beside the modules; where Deno had those
 * over a network, they are fetched from there, once, into the cache folder; a program of one file has them in it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { nodeCrypto, requireFrom } from "./builtin.ts";
import { carriedFolder, sharedFolder, sharedPlace } from "./carried.ts";
import { cacheFolder, makeFolder } from "./folder.ts";

/** Where heaptap's own modules lie: a folder, or an address. */
const OWN_MODULES = import.meta.dirname === undefined
  ? new URL("../", import.meta.url).href
  : join(import.meta.dirname, "../");

/** Where processes that are started find heaptap's own modules: a folder, or an address. */
export function startedModules(): string {
  const shared = sharedFolder("src");
  return shared === undefined ? OWN_MODULES : join(shared, "/");
}

/** Whether a module is heaptap's own, in a process that imports it from there. */
export function isOwnModule(file: string): boolean {
  return file.startsWith(sharedPlace("src/") ?? OWN_MODULES);
}

/** The folder of a package that heaptap can use; throws where it is not installed. */
export function ownPackage(name: string): string {
  return sharedFolder(`packages/${name}`) ??
    dirname(requireFrom(import.meta.url).resolve(`${name}/package.json`));
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
  const inProgram = carriedFolder(path);
  if (inProgram !== undefined) return inProgram;
  if (import.meta.dirname !== undefined) return join(import.meta.dirname, "../../", path);
  const base = new URL(`../../${path}/`, import.meta.url).href;
  const folder = join(
    cacheFolder(),
    "fetched",
    nodeCrypto().createHash("sha256").update(base).digest("hex").slice(0, 24),
    path,
  );
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
