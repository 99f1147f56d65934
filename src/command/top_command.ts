/** `heaptap top`: which recordings are looked at; a process that is not recorded is attached to, and let go at the end. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { isRecording } from "../file/reader.ts";
import { Recording } from "../profile/recording.ts";
import { attach } from "../run/attach.ts";
import { whyNoRecording } from "../run/doctor.ts";
import { recordingsNow } from "./followed.ts";
import { recordingsOfProcess, UnrecordedError } from "./memory.ts";
import { say } from "./say.ts";
import { top } from "./top.ts";
import type { TopOptions } from "./top.ts";
import { topProgram } from "./top_program.ts";

/** The options of `top`. */
export interface TopCommandOptions extends TopOptions {
  readonly out?: string | undefined;
}

/** Runs a program and looks on. */
async function lookAtProgram(command: readonly string[], options: TopCommandOptions): Promise<void> {
  const { exitCode, notes, recording } = await topProgram(command, { out: options.out, forwardSignals: true }, options);
  process.exitCode = exitCode;
  for (const note of notes) say(note);
  say(recording ? `recorded in ${recording.path}` : `no recording was made: ${whyNoRecording(options.out ?? ".")}`);
}

/** Attaches to a process, and looks until whoever looks leaves. */
async function lookAtRunning(pid: number, options: TopCommandOptions): Promise<void> {
  const attachment = await attach(pid, { out: options.out });
  let recording = attachment.recording;
  try {
    await top({ recordings: () => [attachment.recording], lines: process.stdout }, options);
  } finally {
    recording = await attachment.detach();
  }
  say(`recorded in ${recording.path}`);
}

/** Looks at what is named; `isProgram`: it is to be run. */
export async function topCommand(
  words: readonly string[],
  isProgram: boolean,
  options: TopCommandOptions,
): Promise<void> {
  const [named, ...more] = words;
  if (named !== undefined && isProgram) return await lookAtProgram(words, options);
  if (more.length > 0) {
    throw new OutputError(`Cannot look at "${words.join(" ")}": to run it write heaptap top -- ${words.join(" ")}`);
  }
  const isFile = named !== undefined && isRecording(named);
  let found: Recording[];
  try {
    found = named === undefined
      ? [Recording.newest(".").chosen().recording]
      : isFile
      ? [Recording.open(named).chosen().recording]
      : recordingsOfProcess(named);
  } catch (error) {
    if (error instanceof UnrecordedError) return await lookAtRunning(error.pid, options);
    throw error;
  }
  if (options.out !== undefined) {
    throw new OutputError("Cannot record what is recorded elsewhere already: leave out -o");
  }
  if (found.length > 1) {
    say(`${found.length} processes named ${named} are recorded; this is ${found[0]?.profile().process.pid}`);
  }
  // A process may go on with another program, and others of its name may come.
  const recordings = () => named !== undefined && !isFile ? [...found, ...recordingsNow(named)] : found;
  await top({ recordings, lines: process.stdout }, options);
}
