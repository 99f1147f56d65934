/**
 * Perf map files: names of just-in-time compiled code, as V8 (`--perf-basic-prof`), CPython (`-X perf`)
 * and JVM agents write them to /tmp/perf-PID.map. A line is `start size name`, numbers hexadecimal.
 *
 * Compilers throw code away and put other code in its place, which is another line about the same addresses. A recording notes how
 * long the file was when a place was first met: what stood there is the last of the lines before that. A compiler that writes late has
 * none there, and the first one after it is meant.
 */
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { Name } from "./backend.ts";
import { readableSource } from "./transpiled.ts";
import type { SourceOf } from "./transpiled.ts";

/** A function that was compiled at run time: it is in no file. */
interface CompiledCode {
  readonly address: number;
  readonly size: number;
  readonly name: string;
  /** Where its line begins in the file. */
  readonly at: number;
}

/** Addresses are looked up by pages: code of several is under each of them, but for what no compiler makes. */
const PAGE = 4096;
const MOST_PAGES = 1024;
/** Bytes that are read at a time. */
const CHUNK = 1 << 20;

/** Functions of a perf map, by address. */
export class PerfMap {
  readonly #byPage = new Map<number, CompiledCode[]>();
  readonly #large: CompiledCode[] = [];
  readonly #path: string;
  /** Bytes of whole lines that have been read. */
  #read = 0;

  /** The map that a file holds, or a text. */
  constructor({ path = "", text = "" }: { path?: string; text?: string }) {
    this.#path = path;
    this.#take(Buffer.from(text));
    if (path) this.update();
  }

  /** Reads what was written since. Throws what the file system throws. */
  update(): void {
    const fd = openSync(this.#path, "r");
    try {
      for (let left = fstatSync(fd).size - this.#read; left > 0;) {
        const bytes = Buffer.alloc(Math.min(left, CHUNK));
        const n = readSync(fd, bytes, 0, bytes.length, this.#read);
        const before = this.#read;
        this.#take(bytes.subarray(0, n));
        // The rest is half a line, or one longer than anything is.
        if (this.#read === before) break;
        left -= this.#read - before;
      }
    } finally {
      closeSync(fd);
    }
  }

  #take(bytes: Buffer): void {
    let from = 0;
    for (let to; (to = bytes.indexOf(10, from)) >= 0; from = to + 1) {
      const parts = /^(?:0x)?([0-9a-f]+) (?:0x)?([0-9a-f]+) (.+)$/i.exec(bytes.toString("utf8", from, to));
      if (!parts) continue;
      const [address, size] = [parseInt(parts[1] as string, 16), parseInt(parts[2] as string, 16)];
      this.#add({ address, size, name: parts[3] as string, at: this.#read + from });
    }
    this.#read += from;
  }

  #add(code: CompiledCode): void {
    const [first, last] = [Math.floor(code.address / PAGE), Math.floor((code.address + code.size - 1) / PAGE)];
    if (!(last - first < MOST_PAGES)) {
      this.#large.push(code);
      return;
    }
    for (let page = first; page <= last; page++) {
      const known = this.#byPage.get(page);
      if (known) known.push(code);
      else this.#byPage.set(page, [code]);
    }
  }

  /** The name of the function at an address, when the file had `age` bytes; of the last one there when that is not known. Empty when there is none. */
  lookup(address: number, age = Infinity, sourceOf?: SourceOf): Name[] {
    let before: CompiledCode | undefined, after: CompiledCode | undefined;
    for (const codes of [this.#byPage.get(Math.floor(address / PAGE)) ?? [], this.#large]) {
      for (const code of codes) {
        if (address < code.address || address >= code.address + code.size) continue;
        if (code.at < age) before = !before || code.at > before.at ? code : before;
        else after = !after || code.at < after.at ? code : after;
      }
    }
    const code = before ?? after;
    return code ? [parseName(code.name, sourceOf)] : [];
  }
}

/** How V8 says how a function was compiled, before its name: interpreted, by which compiler, in the middle of a loop. */
const V8 = /^(?:JS|LazyCompile|Function|Script|Eval):(?:o(?=[*+]))?[~^*+]?'?(.*)$/;
/** Where the place of a script begins, behind a function's name: either may have spaces. */
const PLACE = /(?:^| )((?:file:|https?:|data:|blob:|npm:|jsr:|node:|ext:|evalmachine|wasm:|\/)[^]*|[^ ]*):(\d+):(\d+)$/;

/** The name of compiled code. The same function is the same, however it was compiled. */
function parseName(name: string, sourceOf: SourceOf = readableSource): Name {
  const v8 = V8.exec(name)?.[1];
  if (v8 !== undefined) {
    const place = PLACE.exec(v8);
    // WebAssembly: a function's number, and what compiled it.
    if (!place) return nameOf(v8.replace(/-\d+-(?:liftoff|turbofan)$/, ""));
    const fn = v8.slice(0, place.index).trim();
    const [, , line, column] = place;
    // What a file does at its outermost is a function without a name that begins with it.
    const isScript = /^Script:/.test(name) || (line === "1" && column === "1");
    const script = /^Eval:/.test(name) ? "(eval)" : isScript ? "(script)" : "(anonymous)";
    // Code that a program made of a text is in no file: the line is of that text.
    if (!place[1]) return nameOf(fn || script);
    return { function: fn || script, ...sourceOf(place[1], Number(line), Number(column)), inlined: false };
  }
  // CPython: "py::render:/app/view.py".
  const python = /^py::(.+?):(\/.*|<.*>)$/.exec(name);
  return python ? { ...nameOf(python[1] as string), file: python[2] as string } : nameOf(name);
}

function nameOf(name: string): Name {
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
    return new PerfMap({ path });
  } catch {
    return undefined;
  }
}
