/** A worker that measures its own thread, while others allocate. Posts the figures of each span. */
import { parentPort } from "node:worker_threads";
import { counters, Session, threadCounters } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

parentPort?.on("message", ({ library, rounds }: { library: string; rounds: number }) => {
  const blocks = openBlocks(library);
  const session = new Session();
  const operation = session.operation("worker");
  const counts: number[] = [];
  const start = threadCounters().allocations;
  for (let i = 0; i < rounds; i++) {
    const span = operation.measureThread();
    blocks.pairs_seven();
    counts.push(span.end().allocations);
  }
  const thread = threadCounters().allocations - start;
  parentPort?.postMessage({ counts, thread, process: counters().allocations, report: session.toReport().toJSON() });
});
