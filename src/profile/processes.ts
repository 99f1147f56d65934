/** The recordings of one run: a program's, and those of the processes that it started. */
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { packingOf, unpackedSource } from "../file/packed.ts";
import { isRecording, readSnapshot } from "../file/reader.ts";
import { readOutline } from "./read.ts";
import type { Outline } from "./read.ts";

/** A recording as its header has it: whose it is. */
export interface RecordedProcess {
  /** The file. */
  readonly path: string;
  /** Number of the run, 0 when the library was preloaded by hand. */
  readonly run: number;
  /** The process. */
  readonly pid: number;
  /** Its parent when recording began. */
  readonly parentPid: number;
  /** When recording began, milliseconds since 1970. */
  readonly startTime: number;
  /** The same by another clock, which only goes forward: a process that runs one program after the other has a recording of each. */
  readonly image: number;
  /** Whether the file is compressed. */
  readonly packed: boolean;
}

/** Whether a file is compressed, by its first bytes. */
function isPacked(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    const head = new Uint8Array(4);
    readSync(fd, head, 0, 4, 0);
    return packingOf(head) !== undefined;
  } finally {
    closeSync(fd);
  }
}

/** Numbers of processes are below this on Linux. */
const PROCESS_NUMBERS = 2 ** 22;

/** A number for a run: by chance, and by the process that starts its program, which every recording of the run then names. */
export function newRun(driver: number): number {
  return (1 + (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % (2 ** 26 - 1)) * PROCESS_NUMBERS +
    driver % PROCESS_NUMBERS;
}

/** The process that started a run's program; none when the number was not made by {@linkcode newRun}. */
export function driverOf(run: number): number {
  return run % PROCESS_NUMBERS;
}

/** Recordings that a process has mapped, from its /proc/PID/maps; `root` is the folder before the paths that it has, as they are from here. */
export function mappedRecordings(maps: string, root = ""): string[] {
  const shared = [...maps.matchAll(/^\S+ rw-s 00000000 \S+ \d+ +(\/.*)$/gm)];
  return shared.map(([, path = ""]) => root + path).filter(isRecording);
}

export function look(path: string): RecordedProcess | undefined {
  if (!isRecording(path)) return undefined;
  try {
    const { header } = readSnapshot(path, []);
    const h = (field: string) => header.number(0, field);
    return {
      path,
      run: h("run"),
      pid: h("pid"),
      parentPid: h("parent_pid"),
      startTime: h("start_time") / 1e6,
      image: h("image"),
      packed: isPacked(path),
    };
  } catch {
    return undefined; // of another version, or half of one
  }
}

/** Those that can be read: compressed ones when they have been unpacked. */
function recordingsIn(folder: string, wanted: (name: string) => boolean): RecordedProcess[] {
  return filesIn(folder, wanted).filter(({ path, packed }) => !packed || unpackedSource(path, statSync(path)))
    // A compressed copy gives way to what it was made of.
    .sort((a, b) => Number(b.packed) - Number(a.packed));
}

export function filesIn(folder: string, wanted: (name: string) => boolean): RecordedProcess[] {
  return readdirSync(folder).filter((name) => !name.endsWith(".mark") && wanted(name))
    .map((name) => look(join(folder, name))).filter((found) => found !== undefined);
}

/** What the names of a run's recordings begin with, from one and what stands in it for the process. */
function stem(path: string, process: string): string {
  return (basename(path).replace(/\.heaptap(\.gz|\.zst)?$/, "").split(process)[0] ?? "").replace(/\.$/, "");
}

/** Each once: a copy that somebody made is no other process. That of the run's own name stands for both. */
function withoutCopies(found: readonly RecordedProcess[], beginning: string): RecordedProcess[] {
  const kept = new Map<string, RecordedProcess>();
  for (const process of found) {
    const key = `${process.pid} ${process.image}`;
    if (!kept.has(key) || basename(process.path).startsWith(beginning)) kept.set(key, process);
  }
  return [...kept.values()];
}

/** The recording in a folder that began last: of the run that it belongs to the one that it stands for. */
export function newestRecording(folder: string): string | undefined {
  const found = recordingsIn(folder, (name) => !name.startsWith("."))
    .toSorted((a, b) => b.startTime - a.startTime || a.path.length - b.path.length);
  const [newest] = found;
  if (!newest || newest.run === 0) return newest?.path;
  const run = found.filter(({ run }) => run === newest.run).toSorted((a, b) => a.image - b.image);
  return run[0]?.path;
}

/** The recordings in a folder of the run with that number, which the file `out` was to be the first of. */
export function processesOfRun(folder: string, run: number, out: string): RecordedProcess[] {
  const found = recordingsIn(folder, () => true).filter((process) => process.run === run);
  return withoutCopies(found, stem(out, "%p"));
}

/**
 * The recordings of the run that one belongs to, itself among them: those beside it with its run's number. Where the
 * library was preloaded by hand there is none; then those whose names come from the same pattern (`ffi/file.c`), as far
 * as their processes are parents and children.
 */
export function processesBeside(path: string): RecordedProcess[] {
  const own = look(path);
  if (!own) return [];
  const beginning = stem(path, String(own.pid));
  // Asked for a copy, it is the copy.
  const others = (found: RecordedProcess[]) => [
    own,
    ...withoutCopies(found, beginning).filter(({ pid, image }) => pid !== own.pid || image !== own.image),
  ];
  if (own.run !== 0) return others(recordingsIn(dirname(path), () => true).filter(({ run }) => run === own.run));
  const rest = recordingsIn(dirname(path), (name) => name.startsWith(beginning) && name !== basename(path))
    .filter((process) => process.run === 0);
  const family = new Set<RecordedProcess>([own]);
  const related = (a: RecordedProcess, b: RecordedProcess) =>
    a.pid === b.pid || a.parentPid === b.pid || a.pid === b.parentPid;
  // Each that joins may bring others along; a set is iterated with what comes to it meanwhile.
  for (const member of family) {
    for (const other of rest) if (related(member, other)) family.add(other);
  }
  return others([...family]);
}

/** A recorded process with the outline of its recording. */
export interface OutlinedProcess extends RecordedProcess, Outline {}

/** The same with their outlines. */
export function outlined(processes: readonly RecordedProcess[]): OutlinedProcess[] {
  return processes.map((process) => ({ ...process, ...readOutline(process.path) }));
}

/** The same, the one with most allocations first; among equals the one that `isFirst` names. */
export function byAllocations<P extends RecordedProcess & { readonly allocations: number }>(
  processes: readonly P[],
  isFirst: (process: P) => boolean,
): P[] {
  return processes.toSorted((a, b) => b.allocations - a.allocations || Number(isFirst(b)) - Number(isFirst(a)));
}
