/** What users have in their CI: the action, the workflow, the jobs of GitLab, as far as they can be run here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { ROOT, RUNTIME, scratch, without } from "./helpers.ts";

const folder = scratch();
const bin = (name: string) => join(ROOT, "node_modules/.bin", name);
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
/** Bun reads YAML. */
const skip = RUNTIME !== "Bun" && "Bun's tests have it";
// deno-lint-ignore no-explicit-any -- what YAML holds
const yaml = (path: string): any => Bun.YAML.parse(read(path));

/** Programs that stand for those of a runner: GitHub's own says what it was asked for. */
const tools = join(folder, "tools");
mkdirSync(tools);
writeFileSync(join(tools, "heaptap"), `#!/bin/sh\nexec "${bin("bun")}" "${join(ROOT, "cli.ts")}" "$@"\n`, {
  mode: 0o755,
});
writeFileSync(
  join(tools, "gh"),
  `#!/bin/sh\necho "$*" >> "$FOLDER/asked"\ncase "$*" in *--jq*) cat "$FOLDER/known" 2>/dev/null;; *) cp "$FOLDER/body.md" "$FOLDER/posted";; esac\nexit 0\n`,
  { mode: 0o755 },
);

/** Compiles docs/examples/orders.cc into a folder, as it was or with what has come. */
function program(to: string, ...flags: string[]): void {
  const built = spawnSync("g++", ["-g", "-O1", ...flags, "-o", join(to, "app"), join(ROOT, "docs/examples/orders.cc")]);
  assert.equal(built.status, 0, String(built.stderr));
}

function bash(script: string, cwd: string, env: Record<string, string>, ...flags: string[]) {
  return spawnSync("bash", ["--noprofile", "--norc", ...flags, "-c", script], {
    cwd,
    encoding: "utf8",
    env: {
      ...process.env,
      ...{ GITHUB_ACTIONS: "", GITHUB_STEP_SUMMARY: "", NO_COLOR: "1" },
      PATH: [tools, join(ROOT, "node_modules/.bin"), process.env.PATH].join(delimiter),
      ...env,
    },
  });
}

test("the action and the workflow that uses it are what GitHub's schemas want", () => {
  for (const path of ["action.yml", "docs/ci/github.yml"]) {
    const valid = spawnSync(bin("action-validator"), [path], { cwd: ROOT, encoding: "utf8" });
    assert.equal(valid.status, 0, valid.stdout + valid.stderr);
  }
  writeFileSync(join(folder, "action.yml"), read("action.yml").replace("using: composite", "uses: composite"));
  assert.notEqual(spawnSync(bin("action-validator"), [join(folder, "action.yml")]).status, 0);
});

test("the action's steps: save, compare, one comment, fail over budget", { skip: skip || without("g++") }, () => {
  const { steps } = yaml("action.yml").runs;
  const step = (name: string): string => {
    const { run } = steps.find((step: { name: string }) => step.name === name);
    // What a caller says is never part of a script.
    assert.ok(!run.includes("${{"), run);
    return run;
  };
  const work = join(folder, "github");
  const FOLDER = join(work, "temp/a name");
  mkdirSync(work);
  const files = { GITHUB_STEP_SUMMARY: join(work, "summary"), GITHUB_OUTPUT: join(work, "output") };
  const env = { FOLDER, ACTION: ROOT, COMMAND: "./app 2000 | cat", GROWTH: "5", OPTIONS: "--limit 3", ...files };
  const run = (name: string, more = {}) => bash(step(name), work, { ...env, ...more }, "-eo", "pipefail");

  program(work);
  const first = run("Run");
  assert.equal(first.status, 0, first.stderr);
  assert.match(readFileSync(files.GITHUB_OUTPUT, "utf8"), /^status=0$/m);
  assert.ok(existsSync(join(FOLDER, "report.json")));
  assert.equal(run("Comment").status, 0);
  assert.ok(!existsSync(join(FOLDER, "asked")), "there is nothing to say yet");

  program(work, "-DCACHE");
  const second = run("Run", { GITHUB_ACTIONS: "true" });
  assert.match(readFileSync(files.GITHUB_OUTPUT, "utf8"), /^status=3$/m, second.stderr);
  assert.match(second.stderr, /^::error/m);
  assert.match(readFileSync(files.GITHUB_STEP_SUMMARY, "utf8"), /handle_request/);
  const told = { NAME: "a name", NUMBER: "7", REPOSITORY: "o/r" };
  assert.equal(run("Comment", told).status, 0);
  assert.match(readFileSync(join(FOLDER, "asked"), "utf8"), /-X POST repos\/o\/r\/issues\/7\/comments/);
  assert.match(readFileSync(join(FOLDER, "posted"), "utf8"), /^<!-- heaptap a name -->\n[\s\S]*max-growth/);
  writeFileSync(join(FOLDER, "known"), "4711\n");
  assert.equal(run("Comment", told).status, 0);
  assert.match(readFileSync(join(FOLDER, "asked"), "utf8"), /-X PATCH repos\/o\/r\/issues\/comments\/4711/);
  assert.equal(run("Fail over budget", { STATUS: "3" }).status, 3);
  assert.equal(run("Fail over budget", { STATUS: "0" }).status, 0);
});

test("the jobs of GitLab: main saves, a merge request is held to it", { skip: skip || without("g++") }, () => {
  const jobs = yaml("docs/ci/gitlab.yml");
  const work = join(folder, "gitlab");
  mkdirSync(work);
  const job = (name: string) => bash(jobs[name].script.join("\n"), work, { PROGRAM: "./app 2000" }, "-eo", "pipefail");
  program(work);
  const alone = job("heaptap");
  assert.equal(alone.status, 0, alone.stderr);
  const main = job("heaptap-main");
  assert.equal(main.status, 0, main.stderr);
  program(work, "-DCACHE");
  assert.equal(job("heaptap").status, 3);
  assert.match(readFileSync(join(work, "heaptap.xml"), "utf8"), /<failure/);
  assert.ok(jobs.heaptap.artifacts.paths.every((path: string) => existsSync(join(work, path))));
});

test("the snippets of docs/CI.md are those of the files", () => {
  const text = read("docs/CI.md");
  assert.ok(text.includes(`\`\`\`dockerfile\n${read("docs/ci/Dockerfile")}\`\`\``));
  const [, snippet = ""] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  assert.ok(read("docs/ci/github.yml").includes(snippet.replace(/^(?=.)/gm, "      ")));
});
