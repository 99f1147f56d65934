/*
 * Of the library, allocations, bytes, bytes left:
 *   keeps 10, 1000, 1000 · group > pairs 5, 250, 0 · group > over an await 3, 21, 21 · throws 4, 40, 0 (fails)
 *   row 2 2, 4, 4 · row 3 3, 9, 9 · calls done 1, 8, 8 · skipped: none
 */
import { describe, test } from "bun:test";
import { blocks, later } from "./blocks.ts";

test("keeps", () => {
  blocks.keep(10, 100);
});
describe("group", () => {
  test("pairs", () => {
    blocks.pairs(5, 50);
  });
  test("over an await", async () => {
    blocks.keep(1, 7);
    await later();
    blocks.keep(2, 7);
  });
});
test("throws", () => {
  blocks.blocks(4, 10);
  throw new Error("meant");
});
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
