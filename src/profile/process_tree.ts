/** The processes of a run in the order of a tree: each behind its parent. */
import { chooseProcess } from "./asked.ts";
import type { OutlinedProcess } from "./processes.ts";

/** A recorded process of a run, or one of the programs that it ran one after the other. */
export interface ProcessRow {
  /** Process number. */
  readonly pid: number;
  /** Its parent's when recording began. */
  readonly parentPid: number;
  /** How many of those that it stands behind are its parent, and that one's. */
  readonly depth: number;
  /** Arguments, the program's name first. */
  readonly command: readonly string[];
  /** Path of the program. */
  readonly executable: string;
  /** Its allocations. */
  readonly allocations: number;
  /** Highest live bytes; an estimate where blocks were sampled, undefined where it is not known. */
  readonly peakBytes: number | undefined;
  /** Mean bytes between two recorded blocks, 0 when all were. */
  readonly interval: number;
  /** How it ended; undefined where that is not known. */
  readonly exit: { readonly code: number; readonly signal: number } | undefined;
  /** Whether the process went on as another program, by exec. */
  readonly replaced: boolean;
  /** Whether it still runs. */
  readonly running: boolean;
  /** Its recording. */
  readonly path: string;
  /** Whether a report of the run is of this one. */
  readonly chosen: boolean;
}

/** The processes of a run as a tree. */
export function processTree(processes: readonly OutlinedProcess[]): ProcessRow[] {
  const chosen = chooseProcess(processes)?.process;
  const byPid = new Map<number, OutlinedProcess[]>();
  for (const image of processes.toSorted((a, b) => a.image - b.image)) {
    byPid.set(image.pid, [...byPid.get(image.pid) ?? [], image]);
  }
  const rows: ProcessRow[] = [];
  const placed = new Set<number>();
  const place = (pid: number, depth: number) => {
    // A number that was used twice, or a damaged recording, must not lead in circles.
    if (placed.has(pid)) return;
    placed.add(pid);
    const images = byPid.get(pid) ?? [];
    images.forEach((image, i) => {
      const { process, parentPid, allocations, peakBytes, path, limits } = image;
      const replaced = i < images.length - 1;
      rows.push({
        pid,
        parentPid,
        depth,
        command: process.command,
        executable: process.executable,
        allocations,
        peakBytes: limits.mode === "totals" ? undefined : peakBytes,
        interval: limits.interval,
        exit: replaced || !process.exit ? undefined : { code: process.exit.code, signal: process.exit.signal },
        replaced,
        running: process.running && !replaced,
        path,
        chosen: image === chosen,
      });
    });
    for (const [child, [first]] of byPid) if (first?.parentPid === pid) place(child, depth + 1);
  };
  for (const [pid, [first]] of byPid) if (!first || !byPid.has(first.parentPid)) place(pid, 0);
  for (const pid of byPid.keys()) place(pid, 0);
  return rows;
}
