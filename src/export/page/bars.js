// Classes, and how many there are of each.
import { element } from "./dom.js";
import { count, share } from "./format.js";

/**
 * Classes that have something, as bars under a title.
 * @param {string} title
 * @param {readonly string[]} names
 * @param {readonly number[]} sums
 */
export function classBars(title, names, sums) {
  const all = sums.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...sums);
  const bars = sums.flatMap((n, i) => {
    if (n === 0) return [];
    const bar = element("span", { className: "class-bar" });
    bar.style.width = `${100 * n / most}%`;
    return [
      element("span", { className: "figure" }, names[i]),
      element("span", { className: "class-track" }, bar),
      element("span", { className: "figure" }, `${count(n)} \u00b7 ${share(n, all)}`),
    ];
  });
  return [element("h3", {}, title), element("div", { className: "classes" }, ...bars)];
}

/**
 * What some call paths have of each class together.
 * @param {readonly string[]} names
 * @param {readonly (readonly number[])[]} classes of each call path
 * @param {readonly number[]} paths
 */
export function classSums(names, classes, paths) {
  return names.map((_, i) => paths.reduce((sum, p) => sum + classes[p][i], 0));
}
