/*
 * Of the library, allocations, bytes, bytes left:
 *   keeps 10, 1000, 1000 · group > pairs 5, 250, 0 · group > over an await 3, 21, 21 · throws 4, 40, 0 (fails)
 *   row 2 2, 4, 4 · row 3 3, 9, 9 · calls done 1, 8, 8 · skipped: none
 */
import { describe, test } from "bun:test";
import { blocks, keeps, overAnAwait, pairs, throws } from "./blocks.ts";

test("keeps", keeps);
describe("group", () => {
  test("pairs", pairs);
  test("over an await", overAnAwait);
});
test("throws", throws);
test.each([2, 3])("row %d", (n) => {
  blocks.keep(n, n);
});
test("calls done", (done) => {
  blocks.keep(1, 8);
  setTimeout(done, 5);
});
test.skip("skipped", () => {
  blocks.keep(100, 100);
});
