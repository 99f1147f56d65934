/** The four ways to look at a profile's call paths: what was allocated, what is live, was live at the peak, was temporary. */
import type { PathCounters } from "./profile.ts";

/** The name of a view. */
export type ViewName = "allocated" | "live" | "peak" | "temporary";

/** Figures that views go by: of a call path, a group of them, or the process. */
export type Weighed = Pick<PathCounters, "bytes" | "liveBytes" | "peakBytes" | "temporary">;

/** The same with the blocks behind them, which of the process's peak are not known. */
export type Viewed = Weighed & Pick<PathCounters, "allocations" | "liveCount" | "peakCount">;

/** How much something has in a view. */
export interface View {
  /** Bytes; of temporary blocks, whose sizes are not kept apart, the blocks. */
  readonly of: (figures: Weighed) => number;
  /** What `of` counts. */
  readonly unit: "bytes" | "blocks";
  /** Blocks. */
  readonly count: (figures: Viewed) => number;
}

/** The views by name. */
export const VIEWS: Readonly<Record<ViewName, View>> = {
  allocated: { of: (f) => f.bytes, unit: "bytes", count: (f) => f.allocations },
  live: { of: (f) => f.liveBytes, unit: "bytes", count: (f) => f.liveCount },
  peak: { of: (f) => f.peakBytes, unit: "bytes", count: (f) => f.peakCount },
  temporary: { of: (f) => f.temporary, unit: "blocks", count: (f) => f.temporary },
};
