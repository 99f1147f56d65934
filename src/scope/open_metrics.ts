/** Figures of this process in the OpenMetrics text format, as Prometheus and others scrape it. */
import { own } from "./install.ts";
import { counters } from "./counters.ts";
import type { Session } from "./session.ts";

/** The content type of that text. */
export const METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** A label's value: three characters are written otherwise. */
function label(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

/** A family of metrics: its name, what it is, and a line for each of its samples. */
function family(
  name: string,
  type: "gauge" | "counter",
  help: string,
  samples: readonly (readonly [labels: string, value: number])[],
): string[] {
  if (samples.length === 0) return [];
  const unit = name.endsWith("_bytes") ? [`# UNIT ${name} bytes`] : [];
  const suffix = type === "counter" ? "_total" : "";
  return [
    `# TYPE ${name} ${type}`,
    ...unit,
    `# HELP ${name} ${help}`,
    ...samples.map(([labels, value]) => `${name}${suffix}${labels} ${value}`),
  ];
}

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
