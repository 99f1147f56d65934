/** The figures of a process that is recorded, for Prometheus and others. */
import { family, label } from "../export/metrics_text.ts";
import { programName } from "../profile/launchers.ts";
import type { Look } from "../profile/looks.ts";

/** A look as OpenMetrics text. */
export function lookMetrics({ profile: { process, limits }, totals, resident, running }: Look): string {
  const who = `{pid="${process.pid}",program="${label(programName(process.executable, process.command))}"}`;
  const one = (value: number | undefined) => value === undefined ? [] : [[who, value] as const];
  // Of totals alone what is live is not known.
  const live = (value: number) => one(limits.mode === "totals" ? undefined : value);
  return [
    ...family("heaptap_running", "gauge", "Whether the process runs.", one(Number(running))),
    ...family("heaptap_live_bytes", "gauge", "Bytes in use.", live(totals.liveBytes)),
    ...family("heaptap_live_blocks", "gauge", "Blocks in use.", live(totals.liveCount)),
    ...family("heaptap_peak_bytes", "gauge", "Highest number of bytes in use so far.", live(totals.peakBytes)),
    ...family("heaptap_resident_bytes", "gauge", "The resident set.", one(resident)),
    ...family("heaptap_allocations", "counter", "Allocations, reallocations included.", one(totals.allocations)),
    ...family("heaptap_allocated_bytes", "counter", "Bytes asked for.", one(totals.bytes)),
    ...family("heaptap_frees", "counter", "Blocks freed.", one(totals.frees)),
    ...family(
      "heaptap_failed_allocations",
      "counter",
      "Allocations for which there was no memory.",
      one(totals.failed),
    ),
    "# EOF\n",
  ].join("\n");
}
