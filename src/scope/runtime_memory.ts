/** What the runtime says of its own memory, and how much of the process was resident at most. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { mayTouch } from "../native/ffi.ts";

/** What the runtime says of its own memory, bytes, from `process.memoryUsage()`. */
export interface RuntimeMemory {
  /** In use on the JavaScript heap. */
  readonly heapUsed: number;
  /** Outside of it, held by its objects, as the runtime accounts for it. */
  readonly external: number;
  /** Resident set of the process. */
  readonly rss: number;
}

/** The runtime's own view of a span. */
export interface SpanMemory {
  /** At its start. */
  readonly before: RuntimeMemory;
  /** At its end. */
  readonly after: RuntimeMemory;
  /** The process's resident set at its highest in between, bytes, as the kernel saw it; undefined where it does not tell. */
  readonly peakRss: number | undefined;
}

/** Its memory now. */
export function runtimeMemory(): RuntimeMemory {
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss };
}

/** Bytes that Bun's own allocator has from the system: at once, where `external` waits for a garbage collection. 0 on other runtimes. */
export function committedByBun(): number {
  if (!("Bun" in globalThis)) return 0;
  const jsc = createRequire(import.meta.url)("bun:jsc") as { memoryUsage(): { readonly currentCommit: number } };
  return jsc.memoryUsage().currentCommit;
}

/** Spans that are open, each with the highest resident set so far. */
const open = new Set<MemoryWindow>();

/** The kernel's highest resident set of this process since it was last set back; undefined where it may not be asked. */
function highWater(): number | undefined {
  if (!mayTouch("/proc/self/status", "/proc/self/clear_refs")) return undefined;
  try {
    const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    // The next question is about what comes from here on.
    writeFileSync("/proc/self/clear_refs", "5");
    return kilobytes === undefined ? undefined : 1024 * Number(kilobytes);
  } catch {
    return undefined;
  }
}

/** From its making to its end: the runtime's view of both, and what was resident in between. Such windows may overlap. */
export class MemoryWindow {
  #highest: number | undefined;
  readonly #before: RuntimeMemory;

  /** Begins it. */
  constructor() {
    this.#before = runtimeMemory();
    look(this.#before);
    open.add(this);
  }

  /** Takes in what was resident since the last look. */
  see(highest: number | undefined): void {
    this.#highest = highest === undefined ? undefined : Math.max(this.#highest ?? 0, highest);
  }

  /** Ends it. */
  end(): SpanMemory {
    const [before, after] = [this.#before, runtimeMemory()];
    look(after);
    open.delete(this);
    const peakRss = this.#highest === undefined ? undefined : Math.max(this.#highest, before.rss);
    return { before, after, peakRss };
  }
}

/**
 * Setting the kernel's mark back for one span must not lose what others have seen, nor what the runtime says just now: the mark is of counters that the
 * kernel brings together now and then.
 */
function look({ rss }: RuntimeMemory): void {
  const highest = highWater();
  for (const window of open) window.see(highest && Math.max(highest, rss));
}
