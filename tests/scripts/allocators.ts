/**
 * allocators.ts BEFORE AFTER: opens a library, puts the hooks in, opens another, calls `run` of both. Prints what each
 * library's own calls came to, and what its `run` returned.
 */
import process from "node:process";
import { callSites, install, mark } from "../../mod.ts";
import { openLibrary } from "../../src/native/ffi.ts";

const [before = "", after = ""] = process.argv.slice(2);
const open = (path: string) => openLibrary(path, { run: [[], "u32"] }).functions as { run: () => number };
const opened = open(before);
install();
const libraries = [[before, opened], [after, open(after)]] as const;

const results = [];
for (const [path, { run }] of libraries) {
  const since = mark();
  const status = run();
  const sites = await callSites({
    since,
    filter: ({ stack }, profile) => profile.modules[stack[0]?.module ?? -1]?.path === path,
  });
  const sum = (figure: "allocations" | "bytes" | "frees") => sites.reduce((n, site) => n + site[figure], 0);
  results.push({ status, allocations: sum("allocations"), bytes: sum("bytes"), frees: sum("frees") });
}
console.log(JSON.stringify(results));
