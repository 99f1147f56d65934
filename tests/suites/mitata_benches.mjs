/*
 * Of the library, allocations and bytes a call: pairs 5 and 250 · iterated 2 and 40 · size 3 1 and 3 · size 9 1 and 9
 * both 2 5 and both 4 5 (2 or 4) and (10 or 20), both 2 7 and 4 7 (2 or 4) and (14 or 28)
 * with 4 and 28, of which what makes its argument has no part
 */
import { bench, boxplot, group, lineplot, run, summary } from "mitata";
import { blocks } from "./blocks.ts";

bench("pairs", () => blocks.pairs(5, 50));
bench("iterated", (state) => {
  blocks.pairs(100, 1);
  for (const _ of state) blocks.pairs(2, 20);
});
bench("size $n", function* (state) {
  const n = state.get("n");
  yield () => blocks.pairs(1, n);
}).args("n", [3, 9]);
summary(() => {
  boxplot(() => {
    group("together", () => {
      lineplot(() => {
        bench("both $n $m", function* (state) {
          const [n, m] = [state.get("n"), state.get("m")];
          yield () => blocks.pairs(n, m);
        }).args({ n: [2, 4], m: [5, 7] });
      });
    });
  });
});
bench("with", function* () {
  yield {
    [0]() {
      blocks.pairs(50, 50);
      return 7;
    },
    bench: (n) => blocks.pairs(4, n),
  };
});
await run();
