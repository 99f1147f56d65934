/**
 * Builds the documents into a site: `npm run site -- FOLDER [BASE]`, which is the path that it will
 * be served at. The generator is VitePress, at the version of docs/site/package.json, which is
 * installed there on first use.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { run } from "./commands.ts";
import { deadLinks, links, pages } from "./links.ts";

const ROOT = join(import.meta.dirname ?? "", "../");
const SITE = join(ROOT, "docs/site");

/** Where a document stands in the site: docs/ is its top, and README its first page. */
function placed(path: string): string {
  if (path === "README.md") return "index.md";
  const inside = path.replace(/^docs(\/|$)/, "");
  return existsSync(join(ROOT, path)) && statSync(join(ROOT, path)).isDirectory() ? join(inside, "index.md") : inside;
}

/** The first heading of a document. */
function title(path: string): string {
  return /^# (.*)$/m.exec(readFileSync(join(ROOT, path), "utf8"))?.[1] ?? path;
}

function write(folder: string, path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** Puts the documents, and what they link to, where the site has them. */
function lay(folder: string): void {
  for (const page of pages()) {
    let text = readFileSync(join(ROOT, page), "utf8");
    for (const { written, path } of links(page, text)) {
      if (written === "") continue;
      const isPage = path.endsWith(".md") || statSync(join(ROOT, path)).isDirectory();
      const to = isPage ? placed(path) : path.replace(/^docs\//, "");
      // Pictures lie beside the pages that show them, sources where they are taken as they are.
      if (!isPage) cpSync(join(ROOT, path), join(folder, /\.png$/.test(path) ? "" : "public", to), { recursive: true });
      const from = relative(dirname(placed(page)), to);
      text = text.replaceAll(
        `](${written}`,
        `](${isPage || /\.png$/.test(path) ? from.replace(/^(?!\.)/, "./") : `/${to}`}`,
      );
    }
    write(folder, placed(page), text);
  }
  const decisions = readdirSync(join(ROOT, "docs/decisions")).filter((name) => name.endsWith(".md"));
  const list = decisions.map((name) => `- [${title(join("docs/decisions", name))}](./${name})\n`).join("");
  write(folder, "decisions/index.md", `# Choices that cost something\n\n${list}`);
}

/** The pages beside each page, in groups. */
function sidebar(): unknown {
  const entry = (path: string) => ({ text: title(path), link: `/${placed(path).replace(/(index)?\.md$/, "")}` });
  const all = pages();
  return [
    { text: "heaptap", items: ["README.md", "docs/OPTIONS.md", "docs/SCRIPTING.md", "docs/CI.md"].map(entry) },
    { text: "How to", items: all.filter((path) => path.startsWith("docs/howto/")).map(entry) },
    {
      text: "More",
      items: [
        ...all.filter((path) => /^docs\/(?!OPTIONS|SCRIPTING|CI)[^/]*$/.test(path)).map(entry),
        { text: "Choices that cost something", link: "/decisions/" },
        ...["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(entry),
      ],
    },
  ];
}

const [to, base = "/"] = process.argv.slice(2);
if (to === undefined) {
  console.error("site: name the folder for the site: npm run site -- FOLDER [BASE]");
  process.exit(2);
}
const folder = join(SITE, "pages");
try {
  const dead = deadLinks();
  if (dead.length > 0) throw new Error(dead.join("\n"));
  if (!existsSync(join(SITE, "node_modules/vitepress"))) {
    run("npm", ["ci", "--silent", "--no-fund", "--no-audit"], { cwd: SITE });
  }
  rmSync(folder, { recursive: true, force: true });
  lay(folder);
  const config = {
    title: "heaptap",
    description: "The allocation profiler you script",
    base,
    themeConfig: { sidebar: sidebar(), search: { provider: "local" } },
  };
  // Files that are no pages are no dead links: links.ts has seen that they are there.
  const others = "ignoreDeadLinks: [/^\\/(ffi|examples)\\//]";
  write(folder, ".vitepress/config.mjs", `export default { ...${JSON.stringify(config)}, ${others} };\n`);
  run("npx", ["vitepress", "build", "pages", "--outDir", resolve(to)], { cwd: SITE });
  console.log(join(resolve(to), "index.html"));
} catch (error) {
  console.error(`site: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
