/**
 * `heaptap/server`: the leak hunt in a server: a handler of pages, profiles and metrics, and what grows from mark to mark.
 *
 * @example
 * ```ts
 * import { heapHandler } from "heaptap/server";
 *
 * const heap = heapHandler({ path: "/debug/heap" });
 * console.log((await heap(new Request("http://localhost/debug/heap/counters"))).status);
 * ```
 *
 * @module
 */
export { growth, GrowthReport, watch } from "../scope/growth.ts";
export type { GrowthOptions, GrowthRow, Watch, WatchOptions } from "../scope/growth.ts";
export { heapHandler, nodeListener } from "../scope/server.ts";
export type { HeapHandler, HeapHandlerOptions, NodeRequest, NodeResponse } from "../scope/server.ts";
export { openMetrics } from "../scope/open_metrics.ts";
export { memoryNow } from "../scope/memory_now.ts";
export { profileNow } from "../scope/own_profile.ts";
export type { NamedProfile } from "../scope/own_profile.ts";
