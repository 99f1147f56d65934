/** The library of known behaviour (tests/targets/blocks.c) for the suites that `heaptap test` is tried on, and tests that all of them have. */
import process from "node:process";
import { openCopy } from "../blocks.ts";

export const { blocks } = openCopy(process.env.SUITE_BLOCKS ?? "", `suite-${process.pid}.so`);
export const later = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

/** 10 allocations, 1000 bytes, 1000 left. */
export function keeps(): void {
  blocks.keep(10, 100);
}
/** 5, 250, 0. */
export function pairs(): void {
  blocks.pairs(5, 50);
}
/** 3, 21, 21. */
export async function overAnAwait(): Promise<void> {
  blocks.keep(1, 7);
  await later();
  blocks.keep(2, 7);
}
/** 4, 40, 0; fails. */
export function throws(): void {
  blocks.blocks(4, 10);
  throw new Error("meant");
}
