/** One measurement of bench/scope.ts, in a process of its own. Prints JSON. */
import process from "node:process";
import { install, Session } from "../../mod.ts";
import { openLibrary } from "../../src/native/ffi.ts";

const [way = "", library = ""] = process.argv.slice(2);

const begun = performance.now();
if (way !== "plain") install();
const installed = performance.now() - begun;

const { functions: blocks } = openLibrary(library, {
  pairs: [["u32", "u32"], "void"],
  start_threads: [["u32"], "void"],
  end_threads: [[], "void"],
  threaded: [["u32", "u32", "u32"], "void"],
});

/** Nanoseconds that one call of a function takes, the least of some rounds: what warmth makes possible. */
function nanoseconds(calls: number, rounds: number, run: () => number): number {
  let best = Infinity;
  let used = 0;
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    for (let i = 0; i < calls; i++) used += run();
    best = Math.min(best, (performance.now() - begun) / calls * 1e6);
  }
  return used >= 0 ? best : NaN;
}

const PAIRS = 2_000_000;
blocks.pairs(1000, 24);
const pair = nanoseconds(1, 5, () => (blocks.pairs(PAIRS, 24), 0)) / PAIRS;

const figures: Record<string, number> = { installed, pair };
if (way === "install") {
  const session = new Session();
  const operation = session.operation("empty");
  const thread = () => operation.measureThread().end().allocations;
  const all = () => operation.measureProcess().end().allocations;
  figures.thread = nanoseconds(200_000, 10, thread);
  figures.process = nanoseconds(200_000, 10, all);
  blocks.start_threads(7);
  figures.process8 = nanoseconds(200_000, 10, all);
  blocks.end_threads();
  for (let i = 0; i < 32; i++) blocks.threaded(32, 1, 10);
  figures.ended = nanoseconds(200_000, 10, all);
}
console.log(JSON.stringify(figures));
