/** What the library is told, as variables. */
import type { RecordOptions } from "../native/variables.ts";

/** The variables that stand for options. */
export function variablesOf(
  { buckets, depth, mode, sample, exactPeak, sizes, lifetimes }: RecordOptions,
): Record<string, string> {
  return {
    ...buckets !== undefined && { HEAPTAP_BUCKETS: String(buckets) },
    ...depth !== undefined && { HEAPTAP_DEPTH: String(depth) },
    ...mode !== undefined && { HEAPTAP_MODE: mode },
    ...sample !== undefined && { HEAPTAP_SAMPLE: String(sample) },
    ...exactPeak && { HEAPTAP_PEAK: "exact" },
    ...sizes && { HEAPTAP_SIZES: "on" },
    ...lifetimes && { HEAPTAP_LIFETIMES: "on" },
  };
}
