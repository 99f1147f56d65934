/** A release: what it changes, what it hands out, and that a dry run changes nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { VERSION } from "../src/command/version.ts";
import { dated, follows } from "../tools/release.ts";
import { sbom } from "../tools/sbom.ts";
import { ROOT, scratch, without } from "./helpers.ts";

test("the section that is unreleased gets a day, others stay as they are", () => {
  const before = "# Changes\n\n## 0.3.0, unreleased\n\n- new\n- more\n\n## 0.2.0, 2026-01-02\n\n- old\n";
  assert.deepEqual(dated(before, "1.0.0", "2026-02-03"), {
    text: before.replace("0.3.0, unreleased", "1.0.0, 2026-02-03"),
    section: "- new\n- more",
  });
  assert.throws(() => dated("# Changes\n\n## 0.2.0, 2026-01-02\n\n- old\n", "1.0.0", "2026-02-03"), /no section/);
  assert.throws(() => dated("# Changes\n\n## 0.3.0, unreleased\n\n## 0.2.0, 2026-01-02\n", "1.0.0", ""), /no section/);
});

test("versions go forwards", () => {
  assert.deepEqual(
    [["1.0.0", "0.9.9"], ["0.10.0", "0.9.0"], ["0.1.0", "0.1.0"], ["0.1.0", "0.1.1"], ["0.9.0", "0.10.0"]]
      .map(([a = "", b = ""]) => follows(a, b)),
    [true, true, true, false, false],
  );
});

test("the bill of materials has what is brought, by its hash, and nothing that only we need", () => {
  const lock = readFileSync(join(ROOT, "package-lock.json"), "utf8");
  const { components, dependencies } = sbom("1.2.3", lock, "2026-01-02T03:04:05Z") as {
    components: { name: string; version: string; hashes?: { content: string }[] }[];
    dependencies: { ref: string; dependsOn?: string[] }[];
  };
  const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const { packages } = JSON.parse(lock);
  const theirs = Object.keys(own.dependencies).flatMap((name) =>
    Object.keys(packages[`node_modules/${name}`].dependencies ?? {}).map((
      needed,
    ) => [needed, packages[`node_modules/${needed}`].version])
  );
  assert.deepEqual(
    Object.fromEntries(components.map(({ name, version }) => [name, version])),
    { ...own.dependencies, ...Object.fromEntries(theirs), bun: own.devDependencies.bun },
  );
  assert.ok(components.every(({ hashes }) => /^[0-9a-f]{128}$/.test(hashes?.[0]?.content ?? "")));
  assert.deepEqual(dependencies[0]?.dependsOn, dependencies.slice(1).map(({ ref }) => ref));
});

test("a dry run makes all of a release and changes nothing", {
  // It makes all packages and a program: half a minute, of what rarely breaks.
  skip: process.env.HEAPTAP_RELEASE ? without("git") || without("python3") : "slow: deno task test:release",
}, (t) => {
  const folder = scratch();
  const clone = join(folder, "heaptap");
  const git = (...args: string[]) =>
    spawnSync("git", ["-c", "init.defaultBranch=main", ...args], { cwd: clone, encoding: "utf8", env });
  const env = {
    ...process.env,
    ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@b", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@b" },
  };
  const listed = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  if (listed.status !== 0) return t.skip("this is no clone");
  mkdirSync(clone);
  for (const name of listed.stdout.split("\0").filter(Boolean)) cpSync(join(ROOT, name), join(clone, name));
  for (const args of [["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]]) assert.equal(git(...args).status, 0);
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  writeFileSync(join(clone, ".git/info/exclude"), "node_modules\n"); // .gitignore has it as a folder
  const version = VERSION.replace(/\d+$/, (n) => String(Number(n) + 1));
  const release = (...args: string[]) =>
    spawnSync(join(ROOT, "node_modules/.bin/deno"), ["run", "-A", "tools/release.ts", ...args], {
      cwd: clone,
      encoding: "utf8",
      env,
    });
  const head = git("rev-parse", "HEAD").stdout;
  const to = join(folder, "out");
  const dry = release("--dry-run", version, to);
  if (/pip download|ziglang/.test(dry.stderr)) return t.skip(`no Zig to be had: ${dry.stderr.trim()}`);
  assert.equal(dry.status, 0, dry.stderr);
  assert.deepEqual([git("rev-parse", "HEAD").stdout, git("tag").stdout], [head, ""]);
  const sums = spawnSync("sha256sum", ["-c", "SHA256SUMS"], { cwd: to, encoding: "utf8" });
  assert.equal(sums.status, 0, sums.stdout);
  assert.deepEqual([...sums.stdout.matchAll(/^(.*): OK$/gm)].map(([, name]) => name), [
    "NOTES.md",
    `heaptap-${version}.tgz`,
    "heaptap-linux-x64",
    `heaptap-linux-x64-${version}.tgz`,
    "sbom.cdx.json",
  ]);
  assert.equal(spawnSync(join(to, "heaptap-linux-x64"), ["--version"], { encoding: "utf8" }).stdout, `${version}\n`);
  // What of it is kept is this commit, with its tag.
  assert.match(
    dry.stdout,
    new RegExp(`^release: ${version.replaceAll(".", "\\.")}$[\\s\\S]*CHANGELOG\\.md[\\s\\S]*2 files changed`, "m"),
  );
  assert.match(release("0.0.1", to).stderr, /^release: 0\.0\.1 does not come after/);
});
