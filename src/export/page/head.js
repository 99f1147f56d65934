// What stands above: what ran, the answer in a few sentences, and the totals.
import { byId, element } from "./dom.js";
import { bytes, count, counted, share, signed } from "./format.js";

/** @param {import("./model.js").Model} model */
export function drawHead({ data }) {
  byId("title").textContent = data.title;
  byId("title").title = data.title;
  byId("facts").textContent = data.facts.join(" \u00b7 ");
  byId("answer").replaceChildren(...data.answer.map((line) => element("li", {}, line)));
  byId("answer").hidden = data.answer.length === 0;
  byId("notes").replaceChildren(...data.notes.map((note) => element("li", {}, note)));
  byId("notes").hidden = data.notes.length === 0;
  /** @type {[string, string, (n: number) => string][]} */
  const cards = [
    ["Peak", "peakBytes", bytes],
    [data.live, "liveBytes", bytes],
    ["Allocated", "bytes", bytes],
    ["Allocations", "allocations", count],
    ["Temporary", "temporary", count],
  ];
  const known = cards.filter(([, figure]) => data.totals[figure] !== undefined);
  byId("cards").replaceChildren(...known.map(([title, figure, show]) => {
    const is = data.totals[figure];
    const was = data.before?.[figure];
    const change = was === undefined ? 0 : is - was;
    const margin = data.margins?.[figure];
    const note = margin
      ? `${margin}, an estimate`
      : was === undefined
      ? figure === "liveBytes"
        ? `in ${counted(data.totals.liveCount, "block")}`
        : figure === "temporary"
        ? `${share(is, data.totals.allocations) || "0%"} of allocations`
        : ""
      : change === 0
      ? "the same"
      : `${signed(change, show)}${was > 0 ? ` (${signed(100 * change / was, (n) => n.toFixed(1))}%)` : ""}`;
    return element(
      "div",
      { className: "card" },
      element("dt", {}, title),
      element("dd", {}, show(is)),
      element("p", { className: change > 0 ? "worse" : change < 0 ? "better" : "" }, note),
    );
  }));
}
