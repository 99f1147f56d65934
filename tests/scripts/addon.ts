/** Installs, then loads a Node-API addon, which opens a library. Prints the call sites of both. */
import { createRequire } from "node:module";
import process from "node:process";
import { callSites, install } from "../../mod.ts";

const [addon = "", library = ""] = process.argv.slice(2);
install();
const { work } = createRequire(import.meta.url)(addon) as { work(path: string): void };
work(library);
const of = async (path: string) =>
  (await callSites({ filter: (site, { modules }) => modules[site.stack[0]?.module ?? -1]?.path === path }))
    .map((site) => [site.function, site.allocations, site.bytes, site.frees]);
console.log(JSON.stringify({ addon: await of(addon), library: await of(library) }));
