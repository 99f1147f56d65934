/**
 * Looks now and then at the processes of a run while it goes on: which of them the library is not in, and what the others
 * have loaded. What lives for a moment only is not seen; what is seen is certain.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { Endings } from "../native/pidfd.ts";
import type { Onlooker } from "./onlooker.ts";
import { whyNotRecordable } from "./recordable.ts";

/** A program that was started and is not recorded. */
export interface Escaped {
  /** Its process. */
  readonly pid: number;
  /** Path of the program, or how it was called where that cannot be read. */
  readonly program: string;
  /** Why. */
  readonly why: string;
}

/** Milliseconds between looks, at least and at most: a quarter of the time so far, so that what lives as long is seen. */
const [SHORTEST, LONGEST] = [20, 2000];

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // it has ended, or is another user's
  }
}

function children(pid: number): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((tid) => (read(`/proc/${pid}/task/${tid}/children`) ?? "").split(" ")).filter(Boolean)
    .map(Number);
}

/** A process and all that it has started, as far as they live. */
export function family(pid: number): Set<number> {
  const found = new Set([pid]);
  // A set is iterated with what comes to it meanwhile.
  for (const member of found) for (const child of children(member)) found.add(child);
  return found;
}

function executable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** Why the library is not in a process that has another user, which the process that is watched cannot have given it. */
function changedUser(pid: number): string | undefined {
  const user = /^Uid:\s+(\d+)\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? "");
  const own = process.getuid?.();
  return user && (user[1] !== user[2] || Number(user[2]) !== own)
    ? "it runs as another user (setuid), so the dynamic linker ignores preloaded libraries"
    : undefined;
}

/** What is seen of the processes of a run. */
export class Watch {
  readonly #library: string;
  readonly #onlooker: Onlooker;
  readonly #escaped = new Map<string, Escaped>();
  readonly #suspects = new Map<number, string>();
  /** How the recorded ones ended. */
  readonly endings = new Endings();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param library The library that is preloaded.
   * @param onlooker Who is told of processes that record.
   */
  constructor(library: string, onlooker: Onlooker) {
    this.#library = library;
    this.#onlooker = onlooker;
  }

  /** Begins to look at a process and what it starts. */
  start(pid: number): void {
    const begun = performance.now();
    const next = () => {
      const pause = Math.min(LONGEST, Math.max(SHORTEST, (performance.now() - begun) / 4));
      this.#timer = setTimeout(() => {
        for (const member of family(pid)) this.#look(member);
        next();
      }, pause);
      // The end of the program must not wait for the next look.
      this.#timer.unref?.();
    };
    next();
  }

  /** Ends it. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The programs that were seen without the library, each once. */
  get escaped(): Escaped[] {
    return [...this.#escaped.values()];
  }

  #look(pid: number): void {
    const file = executable(pid);
    const maps = read(`/proc/${pid}/maps`);
    if (file === undefined || !maps) {
      const why = changedUser(pid);
      const called = read(`/proc/${pid}/cmdline`)?.split("\0")[0];
      if (why && called) this.#note({ pid, program: called, why });
      return;
    }
    if (maps.includes(this.#library)) {
      this.endings.watch(pid);
      this.#onlooker.add(pid, maps);
      return;
    }
    const never = whyNotRecordable(file);
    // The dynamic linker, and the kernel with the environment, may not have come to it yet: one look is not enough.
    const again = this.#suspects.get(pid) === file;
    this.#suspects.set(pid, file);
    const cleared = again && read(`/proc/${pid}/environ`)?.includes(this.#library) === false
      ? "it was started with an environment without LD_PRELOAD"
      : undefined;
    const why = never ?? cleared;
    if (why && executable(pid) === file) this.#note({ pid, program: file, why });
  }

  #note(escaped: Escaped): void {
    if (!this.#escaped.has(escaped.program)) this.#escaped.set(escaped.program, escaped);
  }
}
