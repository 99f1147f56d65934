/**
 * The file of a page: its data stand in it gzipped, and the page's own script (src/export/page) draws them; a policy
 * in it lets nothing else run, and nothing be fetched, but for one that a server has, from there.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ownFolder } from "../file/own_folder.ts";
import type { PageData } from "./page/data.ts";

/** The page's scripts, each of which may use those before it. They become one. */
export const PAGE_SCRIPTS = [
  ...[
    "format",
    "dom",
    "moments",
    "kept",
    "model",
    "stacks",
    "tree",
    "colours",
    "tooltip",
    "hash",
    "chart",
    "curve",
    "brush",
    "layers",
    "timeline",
    "resident",
  ],
  ...[
    "layout",
    "svg",
    "flame",
    "table",
    "rows",
    "functions",
    "bars",
    "sizes",
    "lifetimes",
    "source",
    "stack",
    "sandwich",
    "panel",
  ],
  ...["processes", "tabs", "head", "search", "live", "main"],
] as const;

function part(name: string): string {
  const files = [...PAGE_SCRIPTS.map((script) => `${script}.js`), "page.css", "page.html"];
  return readFileSync(join(ownFolder("src/export/page", files), name), "utf8");
}

/** The scripts as one, in which what a file imports is there already. */
function script(): string {
  const joined = PAGE_SCRIPTS.map((name) => part(`${name}.js`)).join("\n");
  return joined.replace(/^import [^;]*;\n/gm, "").replace(/^export /gm, "");
}

/** What a policy knows a text by. */
function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** The page with its data. */
export function pageFile(data: PageData): string {
  const [style, code] = [part("page.css"), script()];
  const title = `${data.title} \u00b7 heaptap`.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const policy = `default-src 'none'; script-src ${hash(code)}; style-src ${hash(style)}; img-src data:${
    data.served ? "; connect-src 'self'" : ""
  }`;
  // What each empty element of the page takes.
  const texts: readonly (readonly [before: string, text: string, after: string])[] = [
    ['Content-Security-Policy" content="', policy, '"'],
    ["<title>", title, "</title>"],
    ["<style>", style, "</style>"],
    [
      '<script id="data" type="application/octet-stream">',
      gzipSync(JSON.stringify(data)).toString("base64"),
      "</script>",
    ],
    ['<script type="module">', code, "</script>"],
  ];
  return texts.reduce(
    (html, [before, text, after]) => html.replace(before + after, () => before + text + after),
    part("page.html"),
  );
}

/** Figures of things as columns. */
export function columns<T, K extends string>(
  items: readonly T[],
  of: Readonly<Record<K, (item: T) => number>>,
): Record<K, number[]> {
  return Object.fromEntries(
    Object.entries<(item: T) => number>(of).map(([name, figure]) => [name, items.map(figure)]),
  ) as Record<K, number[]>;
}
