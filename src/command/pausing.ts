/** `heaptap pause` and `heaptap resume`: of the processes of a run, those that run. */
import { programName } from "../profile/launchers.ts";
import { readOutline } from "../profile/read.ts";
import { Recording } from "../profile/recording.ts";
import { RecordingError } from "../file/recording_error.ts";
import { say } from "./say.ts";

/**
 * Pauses the recording of processes, or resumes it.
 *
 * @throws {RecordingError} when none of them runs.
 */
export function setPaused(path: string, what: "pause" | "resume", pid: number | undefined): void {
  const opened = Recording.open(path);
  const asked = pid === undefined ? opened.processes() : [opened.process(pid)];
  const running = asked.filter((recording) => readOutline(recording.path).process.running);
  if (running.length === 0) {
    const which = pid === undefined ? "no process of it runs any more" : `its process ${pid} has ended`;
    throw new RecordingError(`Cannot ${what} "${opened.path}": ${which}`);
  }
  for (const recording of running) {
    recording[what]();
    const { process } = readOutline(recording.path);
    say(`${what}d: ${programName(process.executable, process.command)} (pid ${process.pid})`);
  }
}
