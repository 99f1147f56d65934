/**
 * Which process of a run its report is of: see docs/decisions/which-process.md.
 *
 * The last program of the process that was started; where that only waited for others, the one of them that did the work.
 */
import { basename } from "node:path";
import { programName, role } from "./launchers.ts";
import { byAllocations, driverOf } from "./processes.ts";
import type { OutlinedProcess } from "./processes.ts";

/** The process that a report is of, and why. */
export interface Choice {
  /** The process. */
  readonly process: OutlinedProcess;
  /**
   * `alone` in its run; `started` by it; `named` by the arguments of `by`, which waited for it; with the most allocations
   * of those that `by` `waited` for; or with `most` of all, where what was started is not recorded.
   */
  readonly why: "alone" | "started" | "named" | "waited" | "most";
  /** The process that waited. */
  readonly by: OutlinedProcess | undefined;
}

/** A shell with fewer has run a script of some lines, one with more may have done the work itself. */
const SHELL_START = 10_000;

/** Times as much as a program has allocated by itself that one which it waits for has. */
const NEXT_TO_NOTHING = 1000;

/** The last program of each process. */
function lastImages(processes: readonly OutlinedProcess[]): OutlinedProcess[] {
  const last = new Map<number, OutlinedProcess>();
  for (const process of processes) {
    if ((last.get(process.pid)?.image ?? -1) < process.image) last.set(process.pid, process);
  }
  return [...last.values()];
}

/** The recordings of the process that was started, its first program first; none when it made none. */
export function startedImages(processes: readonly OutlinedProcess[]): OutlinedProcess[] {
  const images = (pid: number) => processes.filter((p) => p.pid === pid).toSorted((a, b) => a.image - b.image);
  // Only of its own child the driver knows how long it ran.
  const ended = processes.find(({ process }) => process.exit?.seconds !== undefined);
  if (ended) return images(ended.pid);
  const run = processes[0]?.run ?? 0;
  const pids = new Set(processes.map(({ pid }) => pid));
  // Preloaded by hand, what was started is the one whose parent is none of them.
  const isFirst = (p: OutlinedProcess) => run === 0 ? !pids.has(p.parentPid) : p.parentPid === driverOf(run);
  const [first] = processes.filter(isFirst).toSorted((a, b) => a.image - b.image);
  return first ? images(first.pid) : [];
}

/** What a process started, and what that started. */
function descendants(of: OutlinedProcess, among: readonly OutlinedProcess[]): OutlinedProcess[] {
  const found = new Set([of.pid]);
  // A set is iterated with what comes to it meanwhile.
  for (const pid of found) {
    for (const other of among) if (other.parentPid === pid) found.add(other.pid);
  }
  found.delete(of.pid);
  return among.filter(({ pid }) => found.has(pid));
}

function roleOf({ process }: OutlinedProcess) {
  return role(process.executable, process.command);
}

/** The part of its life that a process spent in its longest wait between two samples; 1 of one without any. */
function waited({ process, image, moments }: OutlinedProcess, started: readonly OutlinedProcess[]): number {
  const [first] = started;
  // What the driver saw is from the start of the process, which may have run other programs before.
  const before = first?.pid === process.pid ? (image - first.image) / 1e9 : 0;
  const until = process.exit?.seconds !== undefined
    ? process.exit.seconds - before
    : process.running
    ? (Date.now() - process.startTime) / 1000
    : moments.at(-1) ?? 0;
  const edges = [0, ...moments, Math.max(until, moments.at(-1) ?? 0)];
  const longest = edges.reduce((most, at, i) => Math.max(most, at - (edges[i - 1] ?? 0)), 0);
  return until > 0 ? longest / until : 1;
}

/** Whether a shell did the work of its script itself. */
function works(shell: OutlinedProcess, started: readonly OutlinedProcess[]): boolean {
  return shell.allocations >= SHELL_START && waited(shell, started) < 0.5;
}

/** The words of a command line, and of a script in one of its arguments. */
function words(command: readonly string[]): Set<string> {
  return new Set(command.slice(1).flatMap((arg) => [arg, ...arg.split(/[\s;|&()<>"'`]+/)]).filter(Boolean));
}

function isNamed({ process }: OutlinedProcess, words: ReadonlySet<string>): boolean {
  const [called = ""] = process.command;
  return words.has(called) || words.has(process.executable) || words.has(basename(called));
}

/** The one that did the work: programs first, then helpers of scripts, then what waits itself. */
function worker(
  candidates: readonly OutlinedProcess[],
  started: readonly OutlinedProcess[],
): OutlinedProcess | undefined {
  const rank = (process: OutlinedProcess) => {
    const what = roleOf(process);
    if (what === "helper") return 1;
    return what === "program" || (what === "shell" && works(process, started)) ? 0 : 2;
  };
  const least = Math.min(...candidates.map(rank));
  const [best] = byAllocations(candidates.filter((process) => rank(process) === least), () => false);
  return best;
}

/** The process that did what `by` waited for; undefined when `by` did its own work. */
function waitedFor(
  by: OutlinedProcess,
  others: readonly OutlinedProcess[],
  started: readonly OutlinedProcess[],
): Choice | undefined {
  const what = roleOf(by);
  const told = what === "builder" ? new Set<string>() : words(by.process.command);
  // A copy of itself by fork has its command line.
  const line = by.process.command.join("\0");
  const named = others.filter((other) => other.process.command.join("\0") !== line && isNamed(other, told));
  const first = worker(named, started);
  const tells = what === "wrapper" || (what === "shell" && !works(by, started));
  if (first && (tells || (first.allocations > by.allocations && what !== "shell" && waited(by, started) >= 0.5))) {
    const deeper = waitedFor(first, descendants(first, others), started);
    return deeper ?? { process: first, why: "named", by };
  }
  const best = worker(others, started);
  if (!best) return undefined;
  const bestRole = roleOf(best);
  const waits = what === "program" || what === "helper"
    ? best.allocations >= NEXT_TO_NOTHING * Math.max(1, by.allocations) && waited(by, started) >= 0.5
    : what !== "shell" || !works(by, started);
  // Where all that was started waits too, nothing is better than what was asked for.
  const does = bestRole === "program" || bestRole === "helper" || (bestRole === "shell" && works(best, started));
  return waits && does ? { process: best, why: "waited", by } : undefined;
}

/** Whether a recording stands for its run: that of the first program, or, whoever came first, the one that has the run's name. */
export function standsForRun(process: OutlinedProcess, processes: readonly OutlinedProcess[]): boolean {
  const [first] = startedImages(processes);
  if (first?.pid === process.pid) return first.image === process.image;
  const earliest = processes.every(({ image }) => image >= process.image);
  return earliest && !basename(process.path).includes(String(process.pid));
}

function called({ process }: OutlinedProcess): string {
  return `${programName(process.executable, process.command)} (pid ${process.pid})`;
}

/** Which process the report is of and why, in words; "" where there is but one, which did its own work. */
export function choiceText({ process, why, by }: Choice, processes: readonly OutlinedProcess[]): string {
  if (why === "alone" || why === "started") {
    const what = roleOf(process);
    const waits = what === "wrapper" || what === "builder" || (what === "shell" && process.allocations < SHELL_START);
    const left = descendants(process, processes).length === 0;
    if (waits && left) {
      return `the report is of ${called(process)} itself: what it started, if anything, has no recording here`;
    }
  }
  const reason = {
    alone: "",
    started: ", the program that was started",
    named: `, which ${by && called(by)} was told to start`,
    waited: `, which has the most allocations of what ${by && called(by)} waited for`,
    most: ", which has the most allocations: what was started is not recorded",
  }[why];
  return processes.length > 1 ? `the report is of ${called(process)}${reason}` : "";
}

/** The process of a run that its report is of. */
export function chooseProcess(processes: readonly OutlinedProcess[]): Choice | undefined {
  const last = lastImages(processes);
  const started = startedImages(processes);
  const by = started.at(-1);
  if (!by) {
    const process = worker(last, started);
    return process && { process, why: last.length > 1 ? "most" : "alone", by: undefined };
  }
  if (processes.length === 1) return { process: by, why: "alone", by: undefined };
  const others = last.filter(({ pid }) => pid !== by.pid);
  return waitedFor(by, others, started) ?? { process: by, why: "started", by: undefined };
}
