// How large requests were.
import { element } from "./dom.js";
import { bytes, count, share } from "./format.js";

/**
 * How large the requests of some call paths were, as bars.
 * @param {import("./model.js").Model} model
 * @param {readonly number[]} paths
 */
export function histogram(model, paths) {
  const { sizes } = model.data;
  // They are of the whole run.
  if (!sizes || model.span) return [];
  const sums = sizes.names.map((_, i) => paths.reduce((sum, p) => sum + sizes.requests[p][i], 0));
  const all = sums.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...sums);
  const slack = paths.reduce((sum, p) => sum + sizes.slack[p], 0);
  const bars = sums.flatMap((n, i) => {
    if (n === 0) return [];
    const bar = element("span", { className: "size-bar" });
    bar.style.width = `${100 * n / most}%`;
    return [
      element("span", { className: "figure" }, sizes.names[i]),
      element("span", { className: "size-track" }, bar),
      element("span", { className: "figure" }, `${count(n)} \u00b7 ${share(n, all)}`),
    ];
  });
  const known = paths.every((p) => sizes.slack[p] >= 0);
  return [
    element("h3", {}, "Sizes of requests"),
    element("div", { className: "sizes" }, ...bars),
    element(
      "p",
      { className: "where" },
      known
        ? `Slack: the allocator gave ${bytes(slack)} beyond what was asked for.`
        : "Slack is not known: the allocator does not tell.",
    ),
  ];
}
