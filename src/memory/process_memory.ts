/**
 * A process's memory as the kernel shows it to whoever may look: what is mapped, which pages are resident, what stands there.
 * Nothing is stopped and nothing of the process changes: /proc/PID/smaps, pagemap and mem, read at places.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** Bytes of a page. */
export const PAGE = 4096;

/**
 * Why the memory of a process cannot be looked at: the message names it, and what to do.
 *
 * @example
 * ```ts
 * import { install, MemoryError, memoryNow } from "./mod.ts";
 *
 * install();
 * try {
 *   console.log(memoryNow().resident);
 * } catch (error) {
 *   console.log(error instanceof MemoryError, String(error)); // on Deno without --allow-all
 * }
 * ```
 */
export class MemoryError extends Error {
  /** The class's name. */
  override name = "MemoryError";
}

/** A part of the address space. */
export interface Area {
  /** First address. */
  readonly start: number;
  /** End. */
  readonly end: number;
  /** `rw-p`, as /proc/PID/maps has it. */
  readonly access: string;
  /** File, or what the kernel calls it, `[heap]`; "" for anonymous memory. */
  readonly path: string;
  /** Where in the file. */
  readonly offset: number;
  /** Bytes that are resident. */
  readonly resident: number;
  /** Bytes that are swapped out. */
  readonly swapped: number;
  /** The kernel's flags, two letters each. */
  readonly flags: string;
}

/** Bits of the upper half of a pagemap entry. */
export const PRESENT = 2 ** 31 | 0, SWAPPED = 1 << 30, EXCLUSIVE = 1 << 24;

const HEAD = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ *(.*)$/;

function reason(error: unknown, pid: number): string {
  const code = (error as { code?: string }).code;
  if (code === "ENOENT" || code === "ESRCH") return `there is no process ${pid}`;
  if ((error as Error).name === "NotCapable") return "Deno needs --allow-all (files of /proc)";
  if (code === "EACCES" || code === "EPERM") {
    return "this user may not look into it: it is another's, or has more rights (try sudo)";
  }
  return (error as Error).message;
}

/** What /proc/PID/stat has behind the program's name, which may hold anything, parentheses too. */
export function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

const RESIDENT_AT = 21, STACK_AT = 25;

/**
 * The resident set of a process in bytes, by a file that the kernel makes in some microseconds, and what is another number when the process runs
 * another program: where its stack begins. Undefined when it is gone.
 */
export function residentSet(pid: number): { readonly resident: number; readonly image: string } | undefined {
  try {
    const fields = statFields(pid);
    const pages = Number(fields[RESIDENT_AT]);
    return pages > 0 ? { resident: pages * PAGE, image: fields[STACK_AT] ?? "" } : undefined;
  } catch {
    return undefined;
  }
}

/** The highest resident set of a process since it runs its program, in bytes; undefined when that cannot be had. */
export function highestResidentSet(pid: number): number | undefined {
  try {
    const kilobytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
    return kilobytes > 0 ? kilobytes * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** What a process has mapped, in the order of addresses. */
export function areasOf(pid: number): Area[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps`, "latin1");
  } catch (cause) {
    throw new MemoryError(`Cannot look at the memory of process ${pid}: ${reason(cause, pid)}`, { cause });
  }
  const areas: Area[] = [];
  let now: { -readonly [key in keyof Area]: Area[key] } | undefined;
  for (let from = 0; from < text.length;) {
    let to = text.indexOf("\n", from);
    if (to < 0) to = text.length;
    const letter = text.charCodeAt(from);
    // Only heads begin with a lower-case letter or a digit.
    if (letter >= 97 || letter <= 57) {
      const head = HEAD.exec(text.slice(from, to));
      if (head) {
        const [, start, end, access = "", offset, path = ""] = head;
        now = {
          ...{ start: parseInt(start ?? "", 16), end: parseInt(end ?? "", 16), access, path },
          ...{ offset: parseInt(offset ?? "", 16), resident: 0, swapped: 0, flags: "" },
        };
        areas.push(now);
      }
    } else if (now) {
      if (text.startsWith("Rss:", from)) now.resident = parseInt(text.slice(from + 4, to)) * 1024;
      else if (text.startsWith("Swap:", from)) now.swapped = parseInt(text.slice(from + 5, to)) * 1024;
      else if (text.startsWith("VmFlags:", from)) now.flags = text.slice(from + 8, to);
    }
    from = to + 1;
  }
  return areas;
}

/** The memory of a process, open for reading. */
export class ProcessMemory {
  /** The process. */
  readonly pid: number;
  readonly #memory: number;
  readonly #pagemap: number;

  private constructor(pid: number, memory: number, pagemap: number) {
    this.pid = pid;
    this.#memory = memory;
    this.#pagemap = pagemap;
  }

  /**
   * Opens it.
   *
   * @throws {MemoryError} when the process is gone or may not be looked at.
   */
  static open(pid: number): ProcessMemory {
    let memory: number | undefined;
    try {
      memory = openSync(`/proc/${pid}/mem`, "r");
      return new ProcessMemory(pid, memory, openSync(`/proc/${pid}/pagemap`, "r"));
    } catch (cause) {
      if (memory !== undefined) closeSync(memory);
      throw new MemoryError(`Cannot look at the memory of process ${pid}: ${reason(cause, pid)}`, { cause });
    }
  }

  /** Reads what stands at an address; how many bytes of `into` could be had from its beginning on. */
  read(address: number, into: Uint8Array): number {
    return readInto(this.#memory, address, into);
  }

  /** A number of 8 bytes at an address, undefined where nothing can be read, or it is more than an address. */
  word(address: number): number | undefined {
    const bytes = new Uint8Array(8);
    if (address % 8 !== 0 || this.read(address, bytes) < 8) return undefined;
    const word = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    return Number.isSafeInteger(word) ? word : undefined;
  }

  /** The upper halves of the pagemap's entries for so many pages: {@linkcode PRESENT} and the others. */
  presence(address: number, pages: number): Uint32Array {
    const words = new Uint32Array(2 * pages);
    readInto(this.#pagemap, address / PAGE * 8, new Uint8Array(words.buffer));
    const upper = new Uint32Array(pages);
    for (let i = 0; i < pages; i++) upper[i] = words[2 * i + 1]!;
    return upper;
  }

  /** The runs of resident pages among so many from an address on: their first pages and how many, counted from there. */
  *runs(address: number, pages: number): Generator<readonly [first: number, count: number]> {
    const present = this.presence(address, pages);
    for (let first = 0; first < pages;) {
      while (first < pages && !(present[first]! & PRESENT)) first++;
      let end = first;
      while (end < pages && present[end]! & PRESENT) end++;
      if (end > first) yield [first, end - first];
      first = end;
    }
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    closeSync(this.#memory);
    closeSync(this.#pagemap);
  }
}

function readInto(fd: number, position: number, into: Uint8Array): number {
  let done = 0;
  try {
    while (done < into.length) {
      const n = readSync(fd, into, done, into.length - done, position + done);
      if (n === 0) break;
      done += n;
    }
  } catch {
    // What is not there any more, or never was.
  }
  return done;
}
