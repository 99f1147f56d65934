/** A program whose code moves: functions are optimised and thrown away while native blocks are kept below two of them. moves.ts LIBRARY [report|names] */
import process from "node:process";
import { backtraceReport, install, mark } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

interface Made {
  readonly round: number;
}
type Maker = (round: number) => Made | undefined;

const [library = "", report] = process.argv.slice(2);
if (report) install({ jsNames: report === "names" });
const blocks = openBlocks(library);
const since = report ? mark() : undefined;
let kept = 0;

// What follows is on lines of its own: the test looks for them.
function keepHere(i: number) {
  blocks.keep(1, 1000 + (i & 1));
  kept++;
}
function handleRequest(i: number) {
  keepHere(i);
}
async function turn(i: number) {
  handleRequest(i);
  await null;
}

/** Functions that nobody has any more a moment later, hot enough to be compiled. */
function churn(round: number): number {
  const make = new Function(
    "n",
    `let sum = ${round}; for (let i = 0; i < n; i++) sum += i % ${1 + round % 7}; return sum;`,
  );
  const other: Maker = (n) => n % 2 ? { round: n } : undefined;
  let sum = 0;
  for (let i = 0; i < 200; i++) sum += make(50) + (other(i)?.round ?? 0);
  return sum;
}

for (let i = 0; i < 20_000; i++) {
  await turn(i);
  if (i % 40 === 0) churn(i);
}
if (report) {
  const { rows } = await backtraceReport({ since, limit: 0, functions: /^keep$/ });
  console.log(JSON.stringify({
    kept,
    rows: rows.map(({ liveCount, backtrace }) => ({
      liveCount,
      frames: backtrace.map((f) => [f.function, f.file, f.line]),
    })),
  }));
}
