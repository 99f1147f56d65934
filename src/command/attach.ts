/** `heaptap attach` and `heaptap detach`: processes that run already. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { bytes, seconds } from "../profile/format.ts";
import { newRun } from "../profile/processes.ts";
import type { Recording } from "../profile/recording.ts";
import { attach as attachTo, letGo } from "../run/attach.ts";
import type { Attachment, AttachOptions } from "../run/attach.ts";
import { AttachError, processesNamed } from "../run/attachable.ts";
import { family } from "../run/watch.ts";
import { checkPlan, checkRecording } from "./plan.ts";
import { isWithin } from "./pronounce.ts";
import { reportRun } from "./run.ts";
import type { ReportedOptions } from "./run.ts";
import { OVER_BUDGET, say, USAGE } from "./say.ts";
import { checkStderr } from "./terminal.ts";

/** The options of `attach`. */
export interface AttachCommandOptions extends ReportedOptions, Omit<AttachOptions, "run" | keyof ReportedOptions> {
  sizes?: boolean | undefined;
  allNamed?: string | undefined;
  for?: number | undefined;
  untilGrowth?: number | undefined;
}

/** Milliseconds between looks at how much there is. */
const LOOK = 100;

/** The process that a number or a name means; where several have the name it is to be said which. */
function meant(named: string): number {
  if (/^\d+$/.test(named)) return Number(named);
  const found = processesNamed(named);
  const [pid, ...others] = found;
  if (pid === undefined) throw new AttachError(`Cannot attach to "${named}": no process runs a program of that name`);
  if (others.length > 0) {
    const some = found.slice(0, 8).join(", ") + (found.length > 8 ? " ..." : "");
    throw new AttachError(
      `Cannot attach to "${named}": ${found.length} processes have that name (${some}): give the number of one, or --all-named ${named}`,
    );
  }
  return pid;
}

/** The processes that are asked for. */
function asked(named: string | undefined, { allNamed, children }: AttachCommandOptions): number[] {
  if ((named === undefined) === (allNamed === undefined)) {
    throw new OutputError("Cannot attach: name one process, by number or name, or all of a name with --all-named");
  }
  const pids = named !== undefined ? [meant(named)] : processesNamed(allNamed ?? "");
  if (pids.length === 0) {
    throw new AttachError(`Cannot attach to "${allNamed}": no process runs a program of that name`);
  }
  return [...new Set(children ? pids.flatMap((pid) => [...family(pid)]) : pids)];
}

/** Attaches to all; to those of many that cannot be attached to it says why, and goes on. */
async function attachAll(
  pids: readonly number[],
  options: AttachCommandOptions,
  signal: AbortSignal,
): Promise<Attachment[]> {
  const run = newRun(process.pid);
  const attachments: Attachment[] = [];
  const out = options.out !== undefined && pids.length > 1 && !options.out.includes("%p")
    ? options.out.replace(/(\.heaptap)?$/, ".%p$1")
    : options.out;
  for (const pid of pids) {
    if (signal.aborted) break;
    try {
      const { buckets, depth, mode, sample, exactPeak, sizes, lifetimes, children } = options;
      const record = { buckets, depth, mode, sample, exactPeak, sizes, lifetimes, children };
      attachments.push(await attachTo(pid, { ...record, out, run }));
    } catch (error) {
      if (!(error instanceof AttachError) || pids.length === 1) throw error;
      say(error.message);
    }
  }
  if (attachments.length === 0 && !signal.aborted) {
    throw new AttachError(`Cannot attach to any of ${pids.length} processes`);
  }
  return attachments;
}

/** Live bytes of what came since. */
function live(attachments: readonly Attachment[]): number {
  return attachments.reduce((sum, { recording }) => sum + recording.liveBytes(), 0);
}

/** What ends a look: a signal, the time, growth. Signals are taken from the first: nothing is to stay attached. */
class End implements Disposable {
  readonly #controller = new AbortController();
  readonly #handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((name) => {
    const handler = () => this.is(name);
    process.on(name, handler);
    return [name, handler] as const;
  });
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  /** Why it has ended; "" while it has not. */
  why = "";

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  is(why: string): void {
    this.why ||= why;
    this.#controller.abort();
  }

  /** Begins to count the time, and to look at what there is. */
  watch(attachments: readonly Attachment[], options: AttachCommandOptions): void {
    const most = options.untilGrowth;
    if (options.for !== undefined) this.#timers.push(setTimeout(() => this.is("time"), options.for * 1000));
    if (most !== undefined) {
      this.#timers.push(setInterval(() => {
        if (live(attachments) >= most) this.is("growth");
      }, LOOK));
    }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }
}

/** Lets all go; one that cannot be let go is told, and the others are. */
async function letAllGo(attachments: readonly Attachment[]): Promise<Recording[]> {
  const recordings: Recording[] = [];
  for (const attachment of attachments) {
    const { name, pid, running, left } = attachment;
    const before = attachment.notes.length;
    try {
      recordings.push(await attachment.detach());
      const gone = !running ? "has ended" : left ? "was let go by somebody else" : "";
      say(gone ? `${name} (pid ${pid}) ${gone}` : `let go of ${name} (pid ${pid}), which goes on`);
      for (const note of attachment.notes.slice(before)) say(note);
    } catch (error) {
      process.exitCode = USAGE;
      say(`${(error as Error).message}; heaptap detach ${pid} tries again`);
      recordings.push(attachment.recording);
    }
  }
  return recordings;
}

/** The one that a report is of. */
function chosen(recordings: readonly Recording[]): Recording {
  const counted = recordings.map((recording) => ({ recording, n: recording.profile().totals.bytes }));
  return counted.reduce((most, one) => one.n > most.n ? one : most).recording;
}

/** Records processes that run, and reports. */
export async function attach(named: string | undefined, options: AttachCommandOptions): Promise<void> {
  checkRecording(options);
  checkStderr(options);
  checkPlan(options, [options.reportFile, options.save]);
  using end = new End();
  const attachments = await attachAll(asked(named, options), options, end.signal);
  for (const { name, pid, stopped, notes } of attachments) {
    say(`attached to ${name} (pid ${pid}), a thread of which was held for ${stopped.toFixed(1)} ms`);
    for (const note of notes) say(note);
  }
  const until = options.for === undefined ? "" : `after ${seconds(options.for)}, or `;
  say(`recording until it ends; ${until}Ctrl-C lets it go on without heaptap`);
  end.watch(attachments, options);
  await Promise.all(attachments.map((attachment) => attachment.ended(end.signal)));
  const recordings = await letAllGo(attachments);
  if (recordings.length === 0) return;
  const recording = chosen(recordings);
  try {
    await reportRun(recording, options);
    if (!await isWithin(recording.path, options)) process.exitCode = OVER_BUDGET;
  } finally {
    for (const { path } of recordings) say(`recorded in ${path}`);
  }
  if (options.untilGrowth !== undefined && end.why === "time") {
    say(`what came since never was ${bytes(options.untilGrowth)}`);
  }
}

/** Lets a process go that was attached to, by somebody who is gone. */
export async function detach(named: string): Promise<void> {
  const pids = /^\d+$/.test(named) ? [Number(named)] : processesNamed(named);
  if (pids.length === 0) throw new AttachError(`Cannot detach from "${named}": no process runs a program of that name`);
  let count = 0;
  for (const pid of pids) {
    try {
      for (const note of await letGo(pid)) say(note);
      count++;
    } catch (error) {
      if (!(error instanceof AttachError) || pids.length === 1) throw error;
    }
  }
  if (count === 0) process.exitCode = USAGE;
  say(`let go of ${count} ${count === 1 ? "process" : "processes"}`);
}
