/** The documents, and the links between them: none may be dead. links.ts prints those that are, and fails. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";

const ROOT = join(import.meta.dirname ?? "", "../");

/** Every document, by its path from the top. */
export function pages(): string[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !name.startsWith("site/"));
  return ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ...docs.map((name) => join("docs", name))];
}

/** What a document links to: a path from the top, and a heading there; not what is elsewhere. */
export function links(page: string, text: string): { written: string; path: string; heading: string }[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)/g)].map(([, written = "", heading = ""]) => ({
    written,
    path: written === "" ? page : join(dirname(page), written),
    heading,
  }));
}

/** The names that headings are linked by. */
function headings(text: string): Set<string> {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  return new Set([...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading)));
}

function slug(heading: string): string {
  return heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase().replace(/[^\p{L}\p{N}\s-]/gu, "").trim()
    .replaceAll(" ", "-");
}

/** The links that lead nowhere, a line each. */
export function deadLinks(): string[] {
  const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
  return pages().flatMap((page) =>
    links(page, read(page)).flatMap(({ path, heading }) => {
      if (!existsSync(join(ROOT, path))) return [`${page}: there is no ${path}`];
      const isThere = !heading || !path.endsWith(".md") || headings(read(path)).has(heading);
      return isThere ? [] : [`${page}: ${relative("", path)} has no heading #${heading}`];
    })
  );
}

if (import.meta.main) {
  const dead = deadLinks();
  for (const line of dead) console.error(line);
  process.exitCode = dead.length === 0 ? 0 : 1;
}
