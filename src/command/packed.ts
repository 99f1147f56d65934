/** Packing, as a command does it. */
import { packRecording } from "../file/copy.ts";
import { RecordingError } from "../file/reader.ts";
import { bytes } from "../profile/format.ts";
import { OutputError } from "../file/output_error.ts";
import { checkReportPath, WHY } from "./terminal.ts";

/** Packs a recording; what was done, in words. */
export function packed(path: string, output: string): string {
  checkReportPath(output, { recordings: true });
  try {
    const { before, after } = packRecording(path, output);
    return `packed into ${output}: ${bytes(before)} on disk before, ${bytes(after)} now`;
  } catch (cause) {
    if (cause instanceof RecordingError) throw cause;
    const { code = "", message } = cause as { code?: string; message: string };
    throw new OutputError(`Cannot write "${output}": ${WHY[code] ?? message}`, { cause });
  }
}
