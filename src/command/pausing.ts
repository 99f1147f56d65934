/** `heaptap pause` and `heaptap resume`: of the processes of a run, those that run. */
import { programName } from "../profile/launchers.ts";
import { readOutline } from "../profile/read.ts";
import type { Recording } from "../profile/recording.ts";
import { RecordingError } from "../file/recording_error.ts";

/** A process that was told. */
export interface Told {
  readonly pid: number;
  readonly program: string;
}

/**
 * Pauses the recording of processes, or resumes it.
 *
 * @throws {RecordingError} when none of them runs.
 */
export function setPaused(opened: Recording, what: "pause" | "resume", pid: number | undefined): Told[] {
  const asked = pid === undefined ? opened.processes() : [opened.process(pid)];
  const running = asked.filter((recording) => readOutline(recording.path).process.running);
  if (running.length === 0) {
    const which = pid === undefined ? "no process of it runs any more" : `its process ${pid} has ended`;
    throw new RecordingError(`Cannot ${what} "${opened.path}": ${which}`);
  }
  return running.map((recording) => {
    recording[what]();
    const { process } = readOutline(recording.path);
    return { pid: process.pid, program: programName(process.executable, process.command) };
  });
}
