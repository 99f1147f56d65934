/*
 * Of the library, allocations, bytes, bytes left:
 *   keeps 10, 1000, 1000 · group > pairs 5, 250, 0 · group > over an await 3, 21, 21 · throws 4, 40, 0 (fails)
 *   calls done 1, 8, 8 · outer 2, 2, 2 · outer > inner 6, 36, 36 · skipped: none
 *   beside one another: both > a 3, 27, 27 · both > b 4, 52, 52
 */
import { describe, it, test } from "node:test";
import { blocks, keeps, later, overAnAwait, pairs, throws } from "./blocks.ts";

test("keeps", keeps);
describe("group", () => {
  it("pairs", pairs);
  it("over an await", overAnAwait);
});
test("throws", throws);
test("calls done", (_, done) => {
  blocks.keep(1, 8);
  setTimeout(done, 5);
});
test("outer", async (t) => {
  blocks.keep(2, 1);
  await t.test("inner", () => {
    blocks.keep(6, 6);
  });
});
test("skipped", { skip: true }, () => {
  blocks.keep(100, 100);
});
describe("both", { concurrency: true }, () => {
  it("a", async () => {
    blocks.keep(2, 11);
    await later();
    blocks.keep(1, 5);
  });
  it("b", async () => {
    await later();
    blocks.keep(4, 13);
    await later();
  });
});
