/** `heaptap mark`: a moment of a recording, under a name. */
import { OutputError } from "../file/output_error.ts";
import { Recording } from "../profile/recording.ts";
import { say } from "./say.ts";

/** Keeps this moment of a recording, or of that of another process of its run. */
export function mark(path: string, name: string, pid: number | undefined): void {
  const opened = Recording.open(path);
  const recording = pid === undefined ? opened.chosen().recording : opened.process(pid);
  let made: string;
  try {
    made = recording.mark(name);
  } catch (cause) {
    const { message } = cause as Error;
    throw new OutputError(cause instanceof TypeError ? message : `Cannot mark "${path}": ${message}`, { cause });
  }
  say(`marked in ${made}; to leave out what came before: heaptap report --since ${name} ${recording.path}`);
}
