// How large requests were.
import { classBars, classSums } from "./bars.js";
import { element } from "./dom.js";
import { bytes } from "./format.js";

/**
 * How large the requests of some call paths were, as bars.
 * @param {import("./model.js").Model} model
 * @param {readonly number[]} paths
 */
export function histogram(model, paths) {
  const { sizes } = model.data;
  // They are of the whole run.
  if (!sizes || model.span) return [];
  const slack = paths.reduce((sum, p) => sum + sizes.slack[p], 0);
  const known = paths.every((p) => sizes.slack[p] >= 0);
  return [
    ...classBars("Sizes of requests", sizes.names, classSums(sizes.names, sizes.requests, paths)),
    element(
      "p",
      { className: "where" },
      known
        ? `Slack: the allocator gave ${bytes(slack)} beyond what was asked for.`
        : "Slack is not known: the allocator does not tell.",
    ),
  ];
}
