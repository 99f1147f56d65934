/** Reports of a process with many call paths, of bench/scope.ts: what they take, and how long the event loop waits. Prints JSON. */
import process from "node:process";
import { backtraceReport, callSites, install, mark } from "../../mod.ts";
import { openLibrary } from "../../src/native/ffi.ts";

const [library = "", depth = "17"] = process.argv.slice(2);
install({ buckets: 262_144 });
const begin = mark();
openLibrary(library, { grow: [["u32"], "void"] }).functions.grow(Number(depth));

let longest = 0;
let last = performance.now();
const timer = setInterval(() => {
  longest = Math.max(longest, performance.now() - last - 1);
  last = performance.now();
}, 1);

const figures: Record<string, number> = {};
async function time(name: string, report: () => unknown): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30));
  [longest, last] = [0, performance.now()];
  const begun = performance.now();
  await report();
  figures[name] = performance.now() - begun;
  await new Promise((resolve) => setTimeout(resolve, 5));
  figures[`${name} stalls`] = longest;
}

// The first time names are looked up and functions compiled.
for (const round of ["first ", ""]) {
  await time(`${round}mark`, () => mark());
  await time(`${round}callSites`, () => callSites({ limit: 3, since: begin, sortBy: "live" }));
  await time(`${round}backtraceReport`, () => backtraceReport({ limit: 3, since: begin, sortBy: "live" }));
}
clearInterval(timer);
console.log(JSON.stringify(figures));
process.exit(0);
