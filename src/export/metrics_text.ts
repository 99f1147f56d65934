/** The OpenMetrics text format, as Prometheus and others scrape it. */

/** The content type of that text. */
export const METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** A label's value: three characters are written otherwise. */
export function label(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

/** A family of metrics: its name, what it is, and a line for each of its samples; none without samples. */
export function family(
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
