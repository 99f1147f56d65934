/**
 * `heaptap/test`: limits on what a function allocates, for tests of any runner, and what a call allocates, for benchmarks.
 *
 * @example
 * ```ts
 * import { expectAllocations, measure } from "heaptap/test";
 *
 * await expectAllocations(() => JSON.parse("[1]"), { maxBytes: 1_000_000, warmUp: 3 });
 * console.log(String(await measure(() => structuredClone([1]), { rounds: 3 })));
 * ```
 *
 * @module
 */
export { measure, Measurement } from "../scope/measure.ts";
export type { MeasureOptions } from "../scope/measure.ts";
export type { PerCall } from "../judge/suite.ts";
export { AllocationLimitError, expectAllocations } from "../scope/expect.ts";
export type { AllocationLimits } from "../scope/expect.ts";
