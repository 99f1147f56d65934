/** Packing, as a command does it. */
import { packRecording } from "../file/copy.ts";
import { RecordingError } from "../file/reader.ts";
import { bytes } from "../profile/format.ts";
import { OutputError } from "../file/output_error.ts";
import { say } from "./say.ts";
import { checkReportPath, WHY } from "./terminal.ts";

/** Packs a recording: into a file beside it where none is named. */
export function pack(path: string, output: string = `${path.replace(/\.(gz|zst)$/, "")}.gz`): void {
  checkReportPath(output, { recordings: true });
  try {
    const { before, after } = packRecording(path, output);
    say(`packed into ${output}: ${bytes(before)} on disk before, ${bytes(after)} now`);
  } catch (cause) {
    if (cause instanceof RecordingError) throw cause;
    const { code = "", message } = cause as { code?: string; message: string };
    throw new OutputError(`Cannot write "${output}": ${WHY[code] ?? message}`, { cause });
  }
}
