/**
 * Makes a release: the version where it stands (src/command/version.ts), the section of CHANGELOG.md, a commit and a tag; and of these the tarballs,
 * the program of one file, a bill of materials and the hashes of all. Nothing is published. `npm run release -- [--dry-run] VERSION FOLDER`;
 * all of it is done in a clone, which with `--dry-run` is thrown away.
 */
import { createHash } from "node:crypto";
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { run } from "./commands.ts";
import { sbom } from "./sbom.ts";

const ROOT = join(import.meta.dirname ?? "", "../");

/** The section of a changelog that is not released yet, dated; and what it says. */
export function dated(changelog: string, version: string, day: string): { text: string; section: string } {
  const [, heading, body] = /^(## .*, unreleased)\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(changelog) ?? [];
  if (heading === undefined || !body?.trim()) {
    throw new Error("CHANGELOG.md has no section that is unreleased: ## VERSION, unreleased");
  }
  return { text: changelog.replace(heading, `## ${version}, ${day}`), section: body.trim() };
}

/** Whether a version comes after another, or is the same; both as 1.2.3. */
export function follows(version: string, before: string): boolean {
  const [now, then] = [version, before].map((text) => text.split(".").map(Number)) as [number[], number[]];
  const at = now.findIndex((n, i) => n !== then[i]);
  return at < 0 || (now[at] ?? 0) > (then[at] ?? 0);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest("hex");
}

/** Makes the release in a clone, and puts what is handed out into a folder. */
async function release(version: string, clone: string, to: string): Promise<void> {
  run("git", ["clone", "--quiet", ROOT, clone], { cwd: ROOT });
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  const at = (name: string) => join(clone, name);
  const change = (name: string, by: (text: string) => string) =>
    writeFileSync(at(name), by(readFileSync(at(name), "utf8")));

  const standing = /VERSION = "(.*)"/.exec(readFileSync(at("src/command/version.ts"), "utf8"))?.[1] ?? "";
  if (!follows(version, standing)) throw new Error(`${version} does not come after ${standing}`);
  const now = new Date().toISOString();
  const { text, section } = dated(readFileSync(at("CHANGELOG.md"), "utf8"), version, now.slice(0, 10));
  change("src/command/version.ts", (file) => file.replace(`"${standing}"`, `"${version}"`));
  change("CHANGELOG.md", () => text);
  run("git", ["commit", "--quiet", "--all", "-m", `release: ${version}`], { cwd: clone });
  run("git", ["tag", "-a", `v${version}`, "-m", `heaptap ${version}\n\n${section}`], { cwd: clone });

  const deno = (tool: string, place: string) =>
    run(process.execPath, ["run", "-A", at(`tools/${tool}`), place], { cwd: clone });
  mkdirSync(to, { recursive: true });
  deno("pack.ts", to);
  deno("compile.ts", join(to, "heaptap-linux-x64"));
  writeFileSync(join(to, "NOTES.md"), `${section}\n`);
  const bill = sbom(version, readFileSync(at("package-lock.json"), "utf8"), now);
  writeFileSync(join(to, "sbom.cdx.json"), JSON.stringify(bill, null, 2) + "\n");
  const made = readdirSync(to).filter((name) => name !== "SHA256SUMS").sort();
  const sums = await Promise.all(made.map(async (name) => `${await sha256(join(to, name))}  ${name}\n`));
  writeFileSync(join(to, "SHA256SUMS"), sums.join(""));
}

if (import.meta.main) {
  const dry = process.argv.includes("--dry-run");
  const [version = "", to = ""] = process.argv.slice(2).filter((word) => word !== "--dry-run");
  if (!/^\d+\.\d+\.\d+$/.test(version) || !to) {
    console.error("release: name a version and a folder: npm run release -- [--dry-run] 1.2.3 FOLDER");
    process.exit(2);
  }
  const folder = mkdtempSync(join(tmpdir(), "heaptap-release-"));
  try {
    if (run("git", ["status", "--porcelain"], { cwd: ROOT })) {
      throw new Error("there are changes that are not committed");
    }
    const clone = join(folder, "clone");
    await release(version, clone, resolve(to));
    console.log(readFileSync(join(to, "SHA256SUMS"), "utf8").trimEnd());
    console.log(run("git", ["show", "--stat", "--format=%s", `v${version}^{commit}`], { cwd: clone }).trim());
    if (!dry) run("git", ["pull", "--quiet", "--ff-only", "--tags", clone, "HEAD"], { cwd: ROOT });
    const rest = dry ? "nothing of it is kept here" : `git push --follow-tags; npm publish ${to}/*.tgz`;
    console.log(`heaptap ${version} is in ${to}; ${rest}`);
  } catch (error) {
    console.error(`release: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
