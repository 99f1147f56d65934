/** Whether the library can be put into a process that runs, told before it is touched. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { notCounted } from "../profile/facts.ts";
import { seesOurFiles } from "../profile/here.ts";
import { NAMELESS } from "../profile/linked.ts";
import { mappedRecordings } from "../profile/processes.ts";
import { readElf } from "../symbols/elf.ts";
import { linkedWhereItRuns } from "./linked.ts";
import type { Linked } from "./linked.ts";
import { checkElf, isGoProgram, ProgramError } from "./recordable.ts";

/**
 * A process that cannot be attached to; it is as it was. The message says why, and what to do.
 *
 * @example
 * ```ts
 * import { attach, AttachError } from "./mod.ts";
 *
 * try {
 *   await attach(2 ** 22);
 * } catch (error) {
 *   console.log(error instanceof AttachError, String(error)); // there is no such process
 * }
 * ```
 */
export class AttachError extends Error {
  /** The class's name. */
  override name = "AttachError";
  /** The recording that it makes already; undefined where that is not why. */
  readonly recording: string | undefined;

  /** A message for the user. */
  constructor(message: string, options: { cause?: unknown; recording?: string | undefined } = {}) {
    super(message, options);
    this.recording = options.recording;
  }
}

/** Ends with why a process cannot be attached to. */
export function refuseToAttach(pid: number, why: string, options?: { cause?: unknown; recording?: string }): never {
  throw new AttachError(`Cannot attach to process ${pid}: ${why}`, options);
}

/** A capability that lets a user trace others' processes. */
const SYS_PTRACE = 1n << 19n;

/** Programs that start a system; what records them might end it. */
const INIT = /^(systemd|init|runit|openrc-init|s6-svscan)$/;

/** A process that can be attached to. */
export interface Attachable {
  readonly pid: number;
  /** Its program's name. */
  readonly name: string;
  /** Whose it is. */
  readonly uid: number;
  readonly gid: number;
  /** Whether it sees files as this process does: under the same paths. */
  readonly sharesFiles: boolean;
  /** Whether filters of system calls are in force. */
  readonly isFiltered: boolean;
  /** What will be missing, a line each. */
  readonly notes: readonly string[];
  /** Allocators that are linked into what it has loaded. */
  readonly linked: readonly Linked[];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

const field = (status: string, name: string) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "";

/** Why this user may not trace a process; undefined when that is not it. */
function whyNotAllowed(status: string, uid: number): string | undefined {
  const own = read("/proc/self/status") ?? "";
  if ((BigInt(`0x${field(own, "CapEff") || "0"}`) & SYS_PTRACE) !== 0n) return undefined;
  if (uid !== process.getuid?.()) return `it runs as another user (number ${uid}): sudo heaptap attach`;
  const scope = Number(read("/proc/sys/kernel/yama/ptrace_scope") ?? "0");
  if (scope === 3) return "this machine lets nobody trace (kernel.yama.ptrace_scope is 3, until it is started again)";
  if (scope > 0) {
    return `this machine lets users trace what they have started alone (kernel.yama.ptrace_scope is ${scope}): sudo heaptap attach`;
  }
  const more = BigInt(`0x${field(status, "CapPrm") || "0"}`) & ~BigInt(`0x${field(own, "CapPrm") || "0"}`);
  return more ? "it has capabilities that this user has not: sudo heaptap attach" : undefined;
}

/** Refuses a process that records into a file already. */
export function refuseRecorded(pid: number, maps: string, sharesFiles: boolean): void {
  const [recording] = mappedRecordings(maps, sharesFiles ? "" : `/proc/${pid}/root`);
  if (recording === undefined) return;
  const why = `it is recorded already, in ${recording}: heaptap report or heaptap top shows that`;
  refuseToAttach(pid, `${why}; where whoever attached is gone, heaptap detach ${pid} ends it`, { recording });
}

/**
 * Looks whether a process can be attached to.
 *
 * @throws {AttachError} when it cannot.
 */
export function attachable(pid: number): Attachable {
  const status = Number.isSafeInteger(pid) && pid > 0 ? read(`/proc/${pid}/status`) : undefined;
  if (status === undefined) refuseToAttach(pid, "there is no such process");
  const name = field(status, "Name"), uid = Number(field(status, "Uid").split("\t")[1]);
  if (pid === process.pid) refuseToAttach(pid, "it is heaptap itself; in a script use install()");
  if (Number(field(status, "Tgid")) !== pid) {
    refuseToAttach(pid, `it is a thread of process ${field(status, "Tgid")}: attach to that`);
  }
  if (/^Z/.test(field(status, "State"))) refuseToAttach(pid, "it has ended, and waits for its parent to ask how");
  if (!/^VmSize:/m.test(status)) refuseToAttach(pid, "it is a thread of the kernel");
  const tracer = Number(field(status, "TracerPid"));
  if (tracer !== 0) {
    const by = read(`/proc/${tracer}/comm`)?.trimEnd();
    refuseToAttach(
      pid,
      `it is traced already, by ${by ? `"${by}" (pid ${tracer})` : "a process of another container"}: end that first`,
    );
  }
  const denied = whyNotAllowed(status, uid);
  const maps = read(`/proc/${pid}/maps`);
  const exe = link(`/proc/${pid}/exe`);
  if (denied || !maps || !exe) {
    refuseToAttach(
      pid,
      denied ?? "this user may not look at it: it is another's, or has more rights (sudo heaptap attach)",
    );
  }
  if (pid === 1 && INIT.test(basename(exe))) {
    refuseToAttach(pid, `it is "${basename(exe)}", which the whole system stands on`);
  }
  const sharesFiles = seesOurFiles(pid);
  refuseRecorded(pid, maps, sharesFiles);
  const notes: string[] = [];
  try {
    const elf = readElf(`/proc/${pid}/exe`);
    if (elf) checkElf(exe, elf);
    if (elf && isGoProgram(elf)) {
      notes.push(`"${name}" is a Go program: only what its C code allocates is seen, not Go's own heap`);
    }
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const why = error.message.replace(/^Cannot record ".*?": /s, "");
    refuseToAttach(
      pid,
      why.replace(
        /so no library can be preloaded into it; .*$/,
        "so no library can be loaded into it; start it with valgrind --tool=dhat",
      ),
    );
  }
  if (/\bshstk\b/.test(field(status, "x86_Thread_features"))) {
    refuseToAttach(
      pid,
      "its processor guards return addresses (shadow stacks), which heaptap cannot step around yet; start it with heaptap run",
    );
  }
  const libraries = new Set([...maps.matchAll(/^\S+ r-xp .*? (\/.*)$/gm)].map(([, path = ""]) => path));
  libraries.delete(exe);
  const linked = linkedWhereItRuns(
    [exe, ...libraries],
    (path) => path === exe ? `/proc/${pid}/exe` : `/proc/${pid}/root${path}`,
  );
  // Others are led to the hooks when that is done.
  const nameless = linked.filter(({ isNamed }) => !isNamed);
  notes.push(...nameless.map(({ family, path }) => notCounted({ name: family, path, why: NAMELESS })));
  return {
    ...{ pid, name, uid, gid: Number(field(status, "Gid").split("\t")[1]), notes, linked },
    sharesFiles,
    isFiltered: field(status, "Seccomp") === "2",
  };
}

/** The processes that run a program of that name, this one not among them. */
export function processesNamed(name: string): number[] {
  return readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)).map(Number)
    .filter((pid) => pid !== process.pid && read(`/proc/${pid}/comm`)?.trimEnd() === name.slice(0, 15));
}
