/** A worker that measures its own thread, while others allocate. Posts the figures of each span. */
import { counters, Session, threadCounters } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<{ library: string; rounds: number }>) => void) | null;
  postMessage(message: unknown): void;
};

scope.onmessage = ({ data }) => {
  const blocks = openBlocks(data.library);
  const session = new Session();
  const operation = session.operation("worker");
  const counts: number[] = [];
  const start = threadCounters().allocations;
  for (let i = 0; i < data.rounds; i++) {
    const span = operation.measureThread();
    blocks.pairs_seven();
    counts.push(span.end().allocations);
  }
  const thread = threadCounters().allocations - start;
  scope.postMessage({ counts, thread, process: counters().allocations, report: session.toReport().toJSON() });
};
