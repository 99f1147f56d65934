/** What the runtime says of its own memory. */
import process from "node:process";

/** What the runtime says of its own memory, bytes, from `process.memoryUsage()`. */
export interface RuntimeMemory {
  /** In use on the JavaScript heap. */
  readonly heapUsed: number;
  /** Outside of it, held by its objects, as the runtime accounts for it. */
  readonly external: number;
  /** Resident set of the process. */
  readonly rss: number;
}

/** Its memory now. */
export function runtimeMemory(): RuntimeMemory {
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss };
}
