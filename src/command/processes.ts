/** `heaptap processes`: the processes of a run. */
import { OutputError } from "../file/output_error.ts";
import { Recording } from "../profile/recording.ts";
import { processesJson, processesText } from "../report/processes.ts";
import { checkReportPath, looks, outputTarget, put, shownAt } from "./terminal.ts";
import type { Target } from "../native/terminals.ts";

/** The table of a run's processes. */
export function processesReport(recording: Recording, format: string, to: Target): string {
  if (format !== "text" && format !== "json") {
    throw new OutputError(`Cannot write the table of processes as ${format}: it is text or json`);
  }
  const rows = recording.processTree();
  return format === "json" ? processesJson(rows) : shownAt(looks(to), processesText(rows, looks(to).width));
}

/** Lists the processes of a recording's run; of the last in this folder where none is named. */
export function processes(path: string | undefined, options: { format: string; output: string }): void {
  checkReportPath(options.output);
  const recording = path === undefined ? Recording.newest(".") : Recording.open(path);
  put(processesReport(recording, options.format, outputTarget(options.output)), options.output, 1);
}
