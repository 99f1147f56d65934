/** `heaptap processes`: the processes of a run. */
import { targetOf } from "../native/terminals.ts";
import { OutputError } from "../file/output_error.ts";
import { Recording } from "../profile/recording.ts";
import { processesJson, processesText } from "../report/processes.ts";
import { checkReportPath, looks, put, shownAt } from "./terminal.ts";
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
  const to = options.output === "-" ? targetOf(1) : {};
  put(processesReport(recording, options.format, to), options.output, 1);
}
