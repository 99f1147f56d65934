/**
 * Makes the outputs in the documents anew, and says where a document shows another. A ```console block below `<!-- made anew -->` has
 * commands, each behind `$ `, and what they print; `<!-- setup: COMMAND -->` is a command that readers need not see. A document is one
 * session of a shell in a folder of its own, $EXAMPLES is docs/examples. Numbers, times and paths may differ. `--write` writes what is
 * printed now. outputs.ts [--write] [FILE …]
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative, resolve } from "node:path";
import process from "node:process";

const ROOT = join(import.meta.dirname ?? "", "../");

/** A command that is not shown, or a block of those that are. */
const PARTS = /^<!-- setup: (?<setup>.*) -->$|^<!-- made anew -->\n```console\n(?<block>[\s\S]*?)^```$/gm;

/** What parts the output of one command from the next. */
const MARK = "\x1e";

/** The documents that have such blocks. */
export function documents(): string[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !name.includes("node_modules"))
    .map((name) => join(ROOT, "docs", name));
  return [join(ROOT, "README.md"), ...docs].filter((path) => readFileSync(path, "utf8").includes("<!-- made anew -->"));
}

/** The commands of a block; one goes on in the next line behind a backslash. */
function commands(block: string): string[] {
  return [...block.matchAll(/^\$ ((?:.*\\\n)*.*)$/gm)].map(([, command = ""]) => command);
}

/** What commands print, one after the other, in one shell. */
function printed(shown: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "heaptap-outputs-"));
  try {
    const [bin, work] = [join(folder, "bin"), join(folder, "work")];
    for (const made of [bin, work]) mkdirSync(made);
    const deno = join(ROOT, "node_modules/.bin/deno");
    writeFileSync(join(bin, "heaptap"), `#!/bin/sh\nexec "${deno}" run -A "${join(ROOT, "cli.ts")}" "$@"\n`, {
      mode: 0o755,
    });
    // Shells tell of jobs that end; here they would tell where somebody reads.
    const script = `exec 2>&1; set +m\nnext() { local status=$?; printf '${MARK}'; return $status; }\n${
      shown.map((command) => `next\n${command}\n`).join("")
    }`;
    const { stdout, error } = spawnSync("bash", ["-c", script], {
      cwd: work,
      encoding: "utf8",
      timeout: 100_000,
      env: {
        ...process.env,
        ...{ EXAMPLES: join(ROOT, "docs/examples"), LC_ALL: "C.UTF-8", COLUMNS: "88", NO_COLOR: "1", HEAPTAP_OUT: "" },
        ...{ GITHUB_ACTIONS: "", GITHUB_STEP_SUMMARY: "", DEBUGINFOD_URLS: "", LD_PRELOAD: "" },
        PATH: [bin, join(ROOT, "node_modules/.bin"), process.env.PATH].join(delimiter),
      },
    });
    if (error) throw error;
    return stdout.replaceAll(work, "/home/you").split(MARK).slice(1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A document with what its commands print now. */
export function madeAnew(text: string): string {
  const parts = [...text.matchAll(PARTS)].map(({ groups }) => groups ?? {});
  const outputs = printed(parts.flatMap(({ setup, block = "" }) => setup === undefined ? commands(block) : [setup]));
  let at = 0;
  return text.replace(PARTS, (whole, setup?: string, block = "") => {
    const shown = setup === undefined ? commands(block) : [setup];
    const made = shown.map((command) => `$ ${command}\n${(outputs[at++] ?? "").trimEnd()}\n`.replace(/\n\n$/, "\n"));
    return setup === undefined ? `<!-- made anew -->\n\`\`\`console\n${made.join("")}\`\`\`` : whole;
  });
}

/** What is the same on every machine: words, without numbers, units, times, places, and where lines are broken. */
export function shape(text: string): string {
  return text
    .replace(/^ {2}resident .*\n(?: {4}.*\n)+/gm, "  resident\n") // in parts that depend on when it was looked at
    .replace(/(heaptap was attached are not known).*\n(?: {4}.*\n)*/g, "$1\n") // and what was seen by then
    .replace(/(?:^.* has (?:functions without names|no files and lines)[\s\S]*?(?=\n\S|\n```))\n/gm, "") // what is installed
    .replace(/(?:\/[\w.~+-]+){2,}\/?/g, "/…")
    .replace(/(?!^\d+$)(?<![\d,.])[\d,.]*\d(?: ?(?:[KMGT]?B|ms|s|min|%))?(?![\w.]*\.\w)/gm, "0")
    .replace(/#+/g, "#") // bars
    .replace(/[ \n]+/g, " ");
}

/** Where two shapes part, in the words of both. */
function parting(made: string, text: string): string {
  const [now, then] = [made.split(" "), text.split(" ")];
  const at = now.findIndex((word, i) => word !== then[i]);
  const around = (words: readonly string[]) => words.slice(Math.max(0, at - 4), at + 8).join(" ");
  return `prints "${around(now)}", where it shows "${around(then)}"`;
}

/** What is wrong with a document: where it shows what is not printed. "" when nothing is. */
export function difference(path: string): string {
  const text = readFileSync(path, "utf8");
  const [made, shown] = [shape(madeAnew(text)), shape(text)];
  return made === shown ? "" : `${relative(ROOT, path)} ${parting(made, shown)}`;
}

if (import.meta.main) {
  const write = process.argv.includes("--write");
  const named = process.argv.slice(2).filter((word) => word !== "--write").map((path) => resolve(path));
  for (const path of named.length > 0 ? named : documents()) {
    if (write) {
      writeFileSync(path, madeAnew(readFileSync(path, "utf8")));
      continue;
    }
    const wrong = difference(path);
    if (wrong) console.error(`${wrong}; --write writes it anew`);
    if (wrong) process.exitCode = 1;
  }
}
