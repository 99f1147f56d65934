/**
 * Perf map files: names of just-in-time compiled code, as V8 (`--perf-basic-prof`), CPython (`-X perf`)
 * and JVM agents write them to /tmp/perf-PID.map. A line is `start size name`, numbers hexadecimal.
 */
import { readFileSync, statSync } from "node:fs";
import type { Name } from "./backend.ts";
import type { CodeSymbol } from "./symbol_table.ts";

/** A function that was compiled at run time: it is in no file. */
type JitSymbol = Omit<CodeSymbol, "file">;

/** Functions of a perf map, by address. */
export class PerfMap {
  readonly #symbols: readonly JitSymbol[];

  constructor(text: string) {
    // Later lines win: the same place may hold another function by then.
    const byAddress = new Map<number, JitSymbol>();
    for (const line of text.split("\n")) {
      const parts = /^(?:0x)?([0-9a-f]+) (?:0x)?([0-9a-f]+) (.+)$/i.exec(line);
      if (!parts) continue;
      const [address, size] = [parseInt(parts[1] as string, 16), parseInt(parts[2] as string, 16)];
      byAddress.set(address, { address, size, name: parts[3] as string });
    }
    this.#symbols = [...byAddress.values()].sort((a, b) => a.address - b.address);
  }

  /** The name of the function at an address; empty when there is none. */
  lookup(address: number): Name[] {
    const symbol = symbolAt(this.#symbols, address);
    return symbol ? [parseName(symbol.name)] : [];
  }
}

function parseName(name: string): Name {
  // V8: "JS:*render file:///app/view.js:12:7", the sign saying how it was compiled.
  const v8 = /^(?:JS|LazyCompile|Function|Script|Eval):[~*^+']*(.*?) ?(\S+):(\d+):\d+$/.exec(name);
  if (v8) {
    const [, fn = "", file = "", line = "0"] = v8;
    return { function: fn || "(anonymous)", file: file.replace(/^file:\/\//, ""), line: Number(line), inlined: false };
  }
  // CPython: "py::render:/app/view.py".
  const python = /^py::(.+?):(\/.*|<.*>)$/.exec(name);
  if (python) return { function: python[1] as string, file: python[2] as string, line: 0, inlined: false };
  return { function: name, file: "", line: 0, inlined: false };
}

/**
 * The perf map of a process that began at `startTime` (milliseconds since 1970); undefined when there
 * is none, or when it is an older process's that had the same number.
 */
export function findPerfMap(pid: number, startTime: number, folder = "/tmp"): PerfMap | undefined {
  const path = `${folder}/perf-${pid}.map`;
  try {
    const stat = statSync(path);
    // In a folder that all share it may be anything.
    if (!stat.isFile() || stat.mtimeMs < startTime - 1000) return undefined;
    return new PerfMap(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** The last entry at or before an address, when the address is in it. */
function symbolAt(symbols: readonly JitSymbol[], address: number): JitSymbol | undefined {
  let low = 0;
  let high = symbols.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((symbols[middle]?.address ?? Infinity) <= address) low = middle + 1;
    else high = middle;
  }
  const found = symbols[low - 1];
  return found && address < found.address + found.size ? found : undefined;
}
