/*
 * Of the library, allocations and bytes a call: pairs 5 and 250 · group > part 2 and 40, of 12 · later 1 and 9
 */
import { blocks, later } from "./blocks.ts";

Deno.bench("pairs", { n: 10, warmup: 1 }, () => {
  blocks.pairs(5, 50);
});
Deno.bench("part", { group: "group", n: 10, warmup: 1 }, (b) => {
  blocks.pairs(10, 10);
  b.start();
  blocks.pairs(2, 20);
  b.end();
});
Deno.bench({
  name: "later",
  n: 10,
  warmup: 1,
  async fn() {
    await later();
    blocks.pairs(1, 9);
  },
});
