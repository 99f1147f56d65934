/** The four ways to look at a profile's call paths: what was allocated, what is live, was live at the peak, was temporary. */
import type { CallPath } from "./profile.ts";

/** The name of a view. */
export type ViewName = "allocated" | "live" | "peak" | "temporary";

/** What a call path has in a view. */
export interface View {
  /** Bytes; of temporary blocks, whose sizes are not kept apart, undefined. */
  readonly bytes: ((path: CallPath) => number) | undefined;
  /** Blocks. */
  readonly count: (path: CallPath) => number;
}

/** The views by name. */
export const VIEWS: Readonly<Record<ViewName, View>> = {
  allocated: { bytes: (p) => p.bytes, count: (p) => p.allocations },
  live: { bytes: (p) => p.liveBytes, count: (p) => p.liveCount },
  peak: { bytes: (p) => p.peakBytes, count: (p) => p.peakCount },
  temporary: { bytes: undefined, count: (p) => p.temporary },
};

/** What flame graphs of a view are drawn by: bytes where there are any, else blocks. */
export function weight(view: ViewName): { of: (path: CallPath) => number; unit: "bytes" | "none" } {
  const { bytes, count } = VIEWS[view];
  return bytes ? { of: bytes, unit: "bytes" } : { of: count, unit: "none" };
}
