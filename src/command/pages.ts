/** `heaptap pages`: who holds the pages of a running program's heap. */
import { targetOf } from "../native/terminals.ts";
import { isRecording } from "../file/reader.ts";
import { Recording } from "../profile/recording.ts";
import { memoryReport, recordingOfProcess } from "./memory.ts";
import type { MemoryReportOptions } from "./memory.ts";
import { checkReportPath, put } from "./terminal.ts";

/** Reports of a recording, or of a process by its number or name; of the last run in this folder where none is named. */
export async function pages(
  named: string | undefined,
  options: MemoryReportOptions & { output: string },
): Promise<void> {
  checkReportPath(options.output);
  const recording = named === undefined
    ? Recording.newest(".")
    : isRecording(named)
    ? Recording.open(named)
    : recordingOfProcess(named);
  const of = options.process === undefined && named !== undefined && !isRecording(named)
    ? recording
    : recording.chosen().recording;
  const to = options.output === "-" ? targetOf(1) : {};
  put(await memoryReport(of, "pinned", options, to), options.output, 1);
}
