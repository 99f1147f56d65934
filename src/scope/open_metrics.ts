/** Figures of this process in the OpenMetrics text format, as Prometheus and others scrape it. */
import { family, label } from "../export/metrics_text.ts";
import { own } from "./install.ts";
import { counters } from "./counters.ts";
import type { Session } from "./session.ts";

/**
 * Figures of this process, and of the operations of a session, as OpenMetrics text.
 *
 * @throws {LibraryError} when the library cannot be installed.
 *
 * @example
 * ```ts
 * import { openMetrics, Session } from "./mod.ts";
 *
 * const session = new Session();
 * session.operation("encode").measureThread().end();
 * console.log(openMetrics(session)); // heaptap_live_bytes 12345 …
 * ```
 */
export function openMetrics(session?: Session): string {
  const { allocations, bytes, frees, liveBytes, liveCount, peakBytes } = counters();
  return own(() => {
    // Those that were run only have call paths, and no spans.
    const operations = (session?.toReport().operations ?? []).filter(({ spans }) => spans > 0);
    const by = (of: (operation: typeof operations[number]) => number) =>
      operations.map((operation) => [`{operation="${label(operation.name)}"}`, of(operation)] as const);
    return [
      ...family("heaptap_live_bytes", "gauge", "Bytes in use of those allocated since heaptap was put in.", [[
        "",
        liveBytes,
      ]]),
      ...family("heaptap_live_blocks", "gauge", "Blocks in use of those.", [["", liveCount]]),
      ...family("heaptap_peak_bytes", "gauge", "Highest number of bytes in use so far.", [["", peakBytes]]),
      ...family("heaptap_allocations", "counter", "Successful allocations, reallocations included.", [[
        "",
        allocations,
      ]]),
      ...family("heaptap_allocated_bytes", "counter", "Bytes asked for.", [["", bytes]]),
      ...family("heaptap_frees", "counter", "Blocks freed.", [["", frees]]),
      ...family("heaptap_operation_spans", "counter", "Spans of an operation that have ended.", by((o) => o.spans)),
      ...family("heaptap_operation_allocations", "counter", "Allocations in its spans.", by((o) => o.allocations)),
      ...family("heaptap_operation_allocated_bytes", "counter", "Bytes asked for in its spans.", by((o) => o.bytes)),
      ...family(
        "heaptap_operation_grown_bytes",
        "gauge",
        "How much its spans left in use.",
        by((o) => o.grownLiveBytes),
      ),
      "# EOF\n",
    ].join("\n");
  });
}
