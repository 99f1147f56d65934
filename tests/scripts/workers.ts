/** Several workers and the main thread at once, each with spans of its own. Prints what each saw. */
import { join } from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { counters, Session, SessionReport } from "../../mod.ts";
import type { SessionReportJson } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

const [library = ""] = process.argv.slice(2);
const ROUNDS = 2000;
const blocks = openBlocks(library);
const session = new Session();
interface Said {
  counts: number[];
  thread: number;
  process: number;
  report: SessionReportJson;
}

const workers = [1, 2, 3].map(() => {
  const worker = new Worker(join(import.meta.dirname ?? "", "worker.ts"));
  return new Promise<Said>((done, fail) => {
    worker.on("message", (said: Said) => {
      worker.terminate();
      done(said);
    });
    worker.on("error", fail);
    worker.postMessage({ library, rounds: ROUNDS });
  });
});
const own: number[] = [];
const span = session.operation("all").measureProcess();
for (let i = 0; i < ROUNDS; i++) {
  const each = session.operation("main").measureThread();
  blocks.blocks_hundred();
  own.push(each.end().allocations);
  if (i % 100 === 0) await new Promise((done) => setTimeout(done, 1));
}
const said = await Promise.all(workers);
const all = span.end();
const report = said.reduce((sum, { report }) => sum.merge(SessionReport.fromJSON(report)), session.toReport());
console.log(JSON.stringify({
  rounds: ROUNDS,
  main: own,
  workers: said.map(({ counts }) => counts),
  threads: said.map(({ thread }) => thread),
  all: all.allocations,
  process: counters().allocations,
  spans: Object.fromEntries(report.operations.map(({ name, spans }) => [name, spans])),
}));
process.exit(0);
