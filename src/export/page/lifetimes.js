// How long blocks lived.
import { classBars, classSums } from "./bars.js";
import { element } from "./dom.js";
import { count } from "./format.js";

/**
 * A time span of any length with a unit, in three digits.
 * @param {number} seconds
 */
function lifetime(seconds) {
  const unit = seconds < 1e-6 ? "ns" : seconds < 1e-3 ? "\u00b5s" : seconds < 1 ? "ms" : "s";
  const n = Number((seconds * { ns: 1e9, "\u00b5s": 1e6, ms: 1e3, s: 1 }[unit]).toPrecision(3));
  return `${count(n)} ${unit}`;
}

/**
 * How long the blocks of some call paths lived, as bars, and how old those are that were never freed.
 * @param {import("./model.js").Model} model
 * @param {readonly number[]} paths
 */
export function lifetimesOf(model, paths) {
  const { lifetimes } = model.data;
  // They are of the whole run.
  if (!lifetimes || model.span) return [];
  const { times, allocations } = lifetimes;
  /** @param {readonly number[]} column */
  const sum = (column) => paths.reduce((sum, p) => sum + column[p], 0);
  const byTime = classSums(times.names, times.classes, paths);
  const ended = byTime.reduce((sum, n) => sum + n, 0);
  const live = lifetimes.live ? sum(lifetimes.live.blocks) : 0;
  const words = [
    ended > 0 ? `${count(ended)} freed, after ${lifetime(sum(lifetimes.seconds) / ended)} on average` : "",
    live > 0 ? `${count(live)} not freed, ${lifetime(sum(lifetimes.live?.seconds ?? []) / live)} old on average` : "",
  ].filter(Boolean).join("; ");
  const byAllocations = classSums(allocations.names, allocations.classes, paths);
  return [
    ...ended > 0
      ? [
        ...classBars("Lifetimes", times.names, byTime),
        ...classBars("Lifetimes in allocations", allocations.names, byAllocations),
      ]
      : [element("h3", {}, "Lifetimes")],
    element("p", { className: "where" }, `Blocks: ${words || "none that is its own in the end"}.`),
  ];
}
