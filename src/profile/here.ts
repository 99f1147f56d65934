/**
 * Which process of this machine a recording is of, while it runs. One in a container knows itself by another number than it has here, and its
 * recording has the former, and which numbers these are: the kernel's number of its namespace.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { text } from "../file/reader.ts";
import type { Snapshot } from "../file/reader.ts";
import { statFields } from "../memory/process_memory.ts";
import type { Process } from "./profile.ts";

const STARTED_AT = 19;

/** Seconds since 1970 at which a process of this machine started, as exact as the kernel's second of its own start. */
function startedAt(pid: number): number {
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "latin1"))?.[1]);
  // In hundredths on every machine.
  return boot + Number(statFields(pid)[STARTED_AT]) / 100;
}

/** Whether a process of that number here runs that program, and did when the recording began: numbers are used again. */
function isIt(pid: number, { executable, startTime }: Pick<Process, "executable" | "startTime">): boolean {
  try {
    // Not its link to the program: that is the dynamic linker's when that was given the program's name. Where its root is another folder, that
    // stands before what it calls its files.
    const root = readlinkSync(`/proc/${pid}/root`).replace(/^\/$/, "");
    const program = executable.replace(DELETED, "");
    const paths = readFileSync(`/proc/${pid}/maps`, "utf8").matchAll(/ (\/.*)$/gm);
    return [...paths].some(([, path = ""]) => [program, root + program].includes(path.replace(DELETED, ""))) &&
      startedAt(pid) < startTime / 1000 + 2;
  } catch {
    return false;
  }
}

/** What the kernel says behind the name of a file that was taken away. */
const DELETED = / \(deleted\)$/;

/** The namespace of process numbers that a process is in; 0 where that cannot be had. */
function namespaceOf(pid: number | "self"): number {
  try {
    return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/pid`))?.[0] ?? 0);
  } catch {
    return 0;
  }
}

/** The number in the innermost of its namespaces, where a process is in others than ours. */
function innermost(pid: number): number | undefined {
  try {
    const numbers = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]?.split(/\s+/) ?? [];
    return numbers.length > 1 ? Number(numbers.at(-1)) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a process sees the files that this one sees under the same paths; true where that cannot be told. */
export function seesOurFiles(pid: number): boolean {
  try {
    if (readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync("/proc/self/ns/mnt")) return false;
    const [its, ours] = [statSync(`/proc/${pid}/root`), statSync("/")];
    return its.dev === ours.dev && its.ino === ours.ino;
  } catch {
    return true;
  }
}

/** Where those were that have been looked for: whoever looks on asks again and again. */
const found = new Map<string, number>();

/** The number that a recording's process has here; undefined when it does not run. One in a process's own memory is of that. */
export function pidHere(snapshot: Snapshot): number | undefined {
  const h = (field: string) => snapshot.header.number(0, field);
  if (snapshot.path === "") return h("pid");
  const executable = text(snapshot, h("executable"), h("executable_length"));
  const [pid, namespace, startTime] = [h("pid"), h("pid_namespace"), h("start_time") / 1e6];
  const recorded = { executable, startTime };
  if (namespace === 0 || namespace === namespaceOf("self")) return isIt(pid, recorded) ? pid : undefined;
  const isThere = (here: number) => innermost(here) === pid && namespaceOf(here) === namespace && isIt(here, recorded);
  const key = `${namespace} ${pid} ${startTime}`;
  const before = found.get(key);
  if (before !== undefined && isThere(before)) return before;
  const here = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).find(isThere);
  if (here !== undefined) found.set(key, here);
  return here;
}

/** Whether there is a process of that number that this user may not look at: then nobody knows here whether it is the recorded one. */
export function mayNotLook(pid: number): boolean {
  try {
    readFileSync(`/proc/${pid}/maps`, "latin1");
    return false;
  } catch (error) {
    return /EACCES|EPERM|ESRCH/.test((error as { code?: string }).code ?? "") && existsSync(`/proc/${pid}`);
  }
}
