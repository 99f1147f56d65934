/** What `top` and `serve` look at: a recording, a process, or one that is attached to for that and let go at the end. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { isRecording } from "../file/reader.ts";
import { Recording } from "../profile/recording.ts";
import { attach } from "../run/attach.ts";
import { whyNoRecording } from "../run/no_recording.ts";
import type { ProfileResult } from "../run/profile.ts";
import { recordingsNow } from "./followed.ts";
import { recordingsOfProcess, UnrecordedError } from "./memory.ts";
import { say } from "./say.ts";

/** Looks at recordings, which are those that there are when they are asked for. */
type Look = (recordings: () => readonly Recording[]) => Promise<void>;

/** Refuses a name for a recording where none is made. */
export function refuseOut(out: string | undefined): void {
  if (out !== undefined) throw new OutputError("Cannot record what is recorded elsewhere already: leave out -o");
}

/** Attaches to a process, and looks until whoever looks leaves. */
async function lookAtRunning(pid: number, out: string | undefined, look: Look): Promise<void> {
  const attachment = await attach(pid, { out });
  let { recording } = attachment;
  try {
    await look(() => [attachment.recording]);
  } finally {
    recording = await attachment.detach();
  }
  say(`recorded in ${recording.path}`);
}

/** Looks at what is named: a file, a process by its number or name; the last run here where nothing is. */
export async function lookAt(named: string | undefined, out: string | undefined, look: Look): Promise<void> {
  const isFile = named !== undefined && isRecording(named);
  let found: Recording[];
  try {
    found = named === undefined
      ? [Recording.newest(".").chosen().recording]
      : isFile
      ? [Recording.open(named).chosen().recording]
      : recordingsOfProcess(named);
  } catch (error) {
    if (error instanceof UnrecordedError) return await lookAtRunning(error.pid, out, look);
    throw error;
  }
  refuseOut(out);
  if (found.length > 1) {
    say(`${found.length} processes named ${named} are recorded; this is ${found[0]?.profile().process.pid}`);
  }
  // A process may go on with another program, and others of its name may come.
  await look(() => named !== undefined && !isFile ? [...found, ...recordingsNow(named)] : found);
}

/** Tells of a program that was run to be looked at, and ends as it did. */
export function endAs({ exitCode, notes, recording }: ProfileResult, out: string | undefined): void {
  process.exitCode = exitCode;
  for (const note of notes) say(note);
  say(recording ? `recorded in ${recording.path}` : `no recording was made: ${whyNoRecording(out ?? ".")}`);
}
