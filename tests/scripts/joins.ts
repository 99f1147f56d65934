/** Runs under `heaptap run`: joins the recording that is under way, and prints what it sees. */
import process from "node:process";
import { callSites, install, mark, Profiler } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

const [library = ""] = process.argv.slice(2);
const { joined } = install();
const blocks = openBlocks(library);
const since = mark();
const profiler = Profiler.start({ thread: true });
blocks.keep(10, 100);
const { allocations } = profiler.stop();
const sites = await callSites({
  since,
  filter: (path, { modules }) => modules[path.stack[0]?.module ?? -1]?.path === library,
});
console.log(JSON.stringify({ joined, allocations, sites: sites.map((s) => [s.function, s.allocations, s.bytes]) }));
