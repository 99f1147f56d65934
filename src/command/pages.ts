/** `heaptap pages`: who holds the pages of a running program's heap. */
import { isRecording } from "../file/reader.ts";
import { Recording } from "../profile/recording.ts";
import { memoryReport, recordingOfProcess } from "./memory.ts";
import type { MemoryReportOptions } from "./memory.ts";
import { checkReportPath, outputTarget, put } from "./terminal.ts";

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
  put(await memoryReport(of, "pinned", options, outputTarget(options.output)), options.output, 1);
}
