/** What `top` and `serve` look at: a recording, a process, or one that is attached to for that and let go at the end. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { isRecording } from "../file/reader.ts";
import type { RecordOptions } from "../native/variables.ts";
import { Recording } from "../profile/recording.ts";
import { attach } from "../run/attach.ts";
import { whyNoRecording } from "../run/no_recording.ts";
import type { ProfileResult } from "../run/profile.ts";
import { recordingsNow } from "./followed.ts";
import { checkRecording } from "./plan.ts";
import { recordingsOfProcess, UnrecordedError } from "./memory.ts";
import { say } from "./say.ts";

/** Looks at recordings, which are those that there are when they are asked for. */
type Look = (recordings: () => readonly Recording[]) => Promise<void>;

/** What a recording is to be like, of what is recorded to be looked at. */
export interface RecordedOptions extends RecordOptions {
  readonly out?: string | undefined;
}

const FLAGS = {
  out: "-o",
  buckets: "--buckets",
  depth: "--depth",
  mode: "--mode",
  sample: "--sample",
  exactPeak: "--exact-peak",
  sizes: "--sizes",
  lifetimes: "--lifetimes",
} satisfies Record<keyof RecordedOptions, string>;

const NAMES = Object.keys(FLAGS) as (keyof RecordedOptions)[];

/** These of a command's options. */
export function recordedOptions(options: RecordedOptions): RecordedOptions {
  const recorded = Object.fromEntries(NAMES.map((name) => [name, options[name]]));
  checkRecording({ ...recorded, budget: [] });
  return recorded;
}

/** Refuses them where nothing is recorded. */
export function refuseRecorded(options: RecordedOptions): void {
  const given = NAMES.find((name) => options[name] !== undefined);
  if (given) throw new OutputError(`Cannot record what is recorded elsewhere already: leave out ${FLAGS[given]}`);
}

/** Attaches to a process, and looks until whoever looks leaves. */
async function lookAtRunning(pid: number, options: RecordedOptions, look: Look): Promise<void> {
  const attachment = await attach(pid, options);
  let { recording } = attachment;
  for (const note of attachment.notes) say(note);
  try {
    await look(() => [attachment.recording]);
  } finally {
    recording = await attachment.detach();
  }
  say(`recorded in ${recording.path}`);
}

/** Looks at what is named: a file, a process by its number or name; the last run here where nothing is. */
export async function lookAt(named: string | undefined, options: RecordedOptions, look: Look): Promise<void> {
  const isFile = named !== undefined && isRecording(named);
  let found: Recording[];
  try {
    found = named === undefined
      ? [Recording.newest(".").chosen().recording]
      : isFile
      ? [Recording.open(named).chosen().recording]
      : recordingsOfProcess(named);
  } catch (error) {
    if (error instanceof UnrecordedError) return await lookAtRunning(error.pid, options, look);
    throw error;
  }
  refuseRecorded(options);
  if (found.length > 1) {
    say(`${found.length} processes named ${named} are recorded; this is ${found[0]?.profile().process.pid}`);
  }
  // A process may go on with another program, and others of its name may come.
  await look(() => named !== undefined && !isFile ? [...found, ...recordingsNow(named)] : found);
}

/** Tells of a program that was run to be looked at, and ends as it did. */
export function endAs(
  { exitCode, notes, recording, unrecorded }: ProfileResult,
  out: string | undefined,
): void {
  process.exitCode = exitCode;
  for (const note of notes) say(note);
  if (unrecorded !== undefined) return;
  say(recording ? `recorded in ${recording.path}` : `no recording was made: ${whyNoRecording(out ?? ".")}`);
}
