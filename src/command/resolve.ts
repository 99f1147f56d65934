/** `heaptap resolve`: a copy of a recording that has its names. */
import { OutputError } from "../file/output_error.ts";
import { RecordingError } from "../file/recording_error.ts";
import { Recording } from "../profile/recording.ts";
import { carryNames } from "../symbols/carry.ts";
import { naming } from "./plan.ts";
import type { NameOptions } from "./plan.ts";
import { say } from "./say.ts";
import { progressBar } from "./terminal.ts";

/** Writes a copy of a recording with the names in it. */
export async function resolve(path: string, options: NameOptions & { output?: string | undefined }): Promise<void> {
  const output = options.output ?? `${path.replace(/\.heaptap(\.gz|\.zst)?$/, "")}.named.heaptap`;
  const bar = progressBar();
  let problem: string;
  try {
    problem = await carryNames(Recording.open(path).chosen().recording.path, output, naming(options), bar.step);
  } catch (cause) {
    if (cause instanceof RecordingError) throw cause;
    throw new OutputError(`Cannot write "${output}": ${(cause as Error).message}`, { cause });
  } finally {
    bar.end();
  }
  if (problem) say(problem);
  say(`names written into ${output}`);
}
