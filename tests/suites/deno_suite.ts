/*
 * Of the library, allocations, bytes, bytes left:
 *   keeps 10, 1000, 1000 · pairs 5, 250, 0 · over an await 3, 21, 21 · throws 4, 40, 0 (fails)
 *   named 1, 9, 9 · steps 2, 2, 2 · steps > inner 6, 36, 36 · skipped: none
 * and of Deno itself: buffer leaves 1,000,000.
 */
import { blocks, keeps, overAnAwait, pairs, throws } from "./blocks.ts";

const kept: unknown[] = [];
Deno.test("keeps", keeps);
Deno.test({ name: "pairs", fn: pairs });
Deno.test("over an await", overAnAwait);
Deno.test("throws", throws);
Deno.test(function named() {
  blocks.keep(1, 9);
});
Deno.test("steps", async (t) => {
  blocks.keep(2, 1);
  await t.step("inner", () => {
    blocks.keep(6, 6);
  });
});
Deno.test.ignore("skipped", () => {
  blocks.keep(100, 100);
});
Deno.test("buffer", () => {
  kept.push(new Uint8Array(1_000_000));
});
