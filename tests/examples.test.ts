/**
 * Every example of the documentation runs: those of the exports' docs, of README and of docs/. Each is a
 * script of its own, in a folder where the files that examples speak of are.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { test } from "node:test";
import * as exported from "../mod.ts";
import { ROOT, scratch } from "./helpers.ts";

const folder = scratch();

interface Example {
  readonly name: string;
  readonly code: string;
}

/** The ```ts blocks of a text, without what comments put before each line. */
function blocks(file: string): Example[] {
  const text = readFileSync(file, "utf8").replace(/^[ \t]*\* ?/gm, file.endsWith(".ts") ? "" : "$&");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((block, i) => ({
    name: `${relative(ROOT, file)} ${i + 1}`,
    code: block[1] ?? "",
  }));
}

function files(path: string, ending: string): string[] {
  return readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending) && !entry.parentPath.includes("node_modules"))
    .map((entry) => join(entry.parentPath, entry.name));
}

const examples = [
  join(ROOT, "mod.ts"),
  join(ROOT, "README.md"),
  ...files("src", ".ts"),
  ...files("docs", ".md"),
].flatMap(blocks);

test("every function and class that is exported is in an example", () => {
  const code = examples.map((example) => example.code).join("\n");
  const missing = Object.keys(exported).filter((name) => !new RegExp(`\\b${name}\\b`).test(code));
  assert.deepEqual(missing, []);
});

test("the examples' files are there", async () => {
  writeFileSync(join(folder, "numbers.txt"), Array.from({ length: 2000 }, (_, i) => `${(i * 7919) % 2000}\n`).join(""));
  const { recording } = await exported.profile(["sort", "-n", join(folder, "numbers.txt")], {
    out: join(folder, "sort.heaptap"),
    stdio: "ignore",
  });
  assert.ok(recording);
  assert.ok(examples.length > 15, String(examples.length));
});

const onDeno = "Deno" in globalThis;

for (const { name, code } of examples) {
  const other = onDeno ? /bun:test/.test(code) && "it is Bun's" : /Deno\.test/.test(code) && "it is Deno's";
  test(`example: ${name}`, { skip: other }, () => {
    assert.match(code, /from "(\.\/mod\.ts|heaptap\/\w+)"/, "an example imports what it shows");
    const at = join(folder, name.replace(/\W/g, "_"));
    mkdirSync(at, { recursive: true });
    const script = join(at, "example.ts");
    const own = code.replaceAll('"./mod.ts"', JSON.stringify(join(ROOT, "mod.ts")))
      .replace(/"heaptap\/(\w+)"/g, (_, entry) => JSON.stringify(join(ROOT, `src/entry/${entry}.ts`)));
    writeFileSync(script, own);
    // A test of the runner's own runs under the runner.
    const isTest = /node:test|bun:test|Deno\.test/.test(code);
    const flags = onDeno ? [isTest ? "test" : "run", "-A", "--no-check"] : isTest ? ["test"] : [];
    if (isTest) writeFileSync(join(at, "example.test.ts"), readFileSync(script));
    const target = isTest ? join(at, "example.test.ts") : script;
    const result = spawnSync(process.execPath, [...flags, target], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    });
    assert.equal(result.status, 0, `${code}\n${result.stdout}${result.stderr}`);
  });
}
