/**
 * Checks the tree: imports go one way, mod.ts needs nothing but Node's built-in modules, the command line loads little at once, and the top
 * level holds what it should. Prints each breach and fails.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";

const ROOT = join(import.meta.dirname ?? "", "../");

/** Each folder of src/ may import from itself and from those before it. report and export
 * do not know each other, nor do run (programs that are run) and scope (the process that a script is in), nor run and suite (the
 * process that tests are in). */
const LAYERS = [
  "file",
  "native",
  "memory",
  "profile",
  "symbols",
  "judge",
  "report",
  "export",
  "live",
  "run",
  "scope",
  "suite",
  "entry",
  "command",
];
const PEERS = [new Set(["report", "export"]), new Set(["run", "scope"]), new Set(["run", "suite"])];

const TOP_LEVEL = new Set(
  "mod.ts cli.ts action.yml ffi src tests bench tools docs deno.json bunfig.toml package.json package-lock.json tsconfig.json tsconfig.build.json README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE .ci .git .gitignore node_modules"
    .split(" "),
);

const breaches: string[] = [];

function files(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

function imports(file: string): string[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(/^(?:import|export)\b[^"';]*?from "([^"]+)"|import\("([^"]+)"\)/gm)].map((m) =>
    m[1] ?? m[2] ?? ""
  );
}

function layer(file: string): string {
  return /^src\/([^/]+)\//.exec(file)?.[1] ?? "";
}

for (const file of [...files("src"), "mod.ts"]) {
  for (const specifier of imports(file)) {
    if (specifier.startsWith("node:")) continue;
    // What only the command line needs may come from packages.
    if (!specifier.startsWith(".") && layer(file) === "command") continue;
    if (!specifier.startsWith(".")) {
      breaches.push(`${file} imports "${specifier}": mod.ts must work by path from any project, without packages`);
      continue;
    }
    const target = relative(ROOT, resolve(ROOT, dirname(file), specifier));
    const [from, to] = [LAYERS.indexOf(layer(file)), LAYERS.indexOf(layer(target))];
    if (file === "mod.ts") continue;
    if (to < 0) breaches.push(`${file} imports ${target}, which is outside src/`);
    else if (to > from) breaches.push(`${file} imports ${target}: ${LAYERS[from]} comes before ${LAYERS[to]}`);
    else if (to !== from && PEERS.some((peers) => peers.has(layer(file)) && peers.has(layer(target)))) {
      breaches.push(`${file} imports ${target}: ${LAYERS[from]} and ${LAYERS[to]} do not know each other`);
    }
  }
}
for (const folder of new Set(files("src").map(layer))) {
  if (!LAYERS.includes(folder)) breaches.push(`src/${folder} is no layer`);
}
/** A file and all that is loaded with it: not what it imports for types alone, or by import() when it runs. */
function loadedWith(file: string, known: Set<string> = new Set()): Set<string> {
  if (known.has(file)) return known;
  known.add(file);
  const text = readFileSync(join(ROOT, file), "utf8");
  for (const [, specifier = ""] of text.matchAll(/^(?:import|export)\b(?! type)[^"';]*? from "(\.[^"]+)"/gm)) {
    loadedWith(relative(ROOT, resolve(ROOT, dirname(file), specifier)), known);
  }
  return known;
}

/** Files that there may be before it is known which command is meant. */
const AT_ONCE = 12;
const atOnce = loadedWith("cli.ts");
if (atOnce.size > AT_ONCE) {
  const names = [...atOnce].join(", ");
  breaches.push(`cli.ts loads ${names}: what a command needs is loaded by import() when the command is meant`);
}
const { commander } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).dependencies;
if (!readFileSync(join(ROOT, "cli.ts"), "utf8").includes(`"npm:commander@${commander}"`)) {
  breaches.push(`cli.ts names another version of commander than package.json, ${commander}`);
}
for (const name of readdirSync(ROOT)) {
  if (!TOP_LEVEL.has(name) && !name.endsWith(".heaptap")) breaches.push(`${name} does not belong at the top level`);
}

for (const breach of breaches) console.error(breach);
process.exitCode = breaches.length === 0 ? 0 : 1;
