// Where the boxes of a flame graph are: rows of functions, each as wide as its share.

/** @typedef {import("./tree.js").TreeNode} TreeNode */
/** @typedef {{ node: TreeNode, x: number, width: number }} Box */

/** Boxes that are narrower are not drawn, and their callees are not looked at. */
const NARROWEST = 0.6;

/**
 * The rows from the whole to the innermost functions; those outside the zoomed one are as wide as all.
 * @param {import("./tree.js").Tree} tree
 * @param {TreeNode} zoomed
 * @param {number} width
 * @param {(node: TreeNode) => number} value
 * @param {(rows: Box[][]) => Promise<boolean> | undefined} pause called now and then, with the rows so far: says
 *   whether to stop
 */
export async function layOutRows(tree, zoomed, width, value, pause) {
  /** @type {Box[][]} */
  const rows = [];
  /** @type {TreeNode[]} */
  const outer = [];
  for (let node = zoomed.parent; node; node = node.parent) outer.unshift(node);
  for (const node of [...outer, zoomed]) rows.push([{ node, x: 0, width }]);
  const whole = value(zoomed);
  for (let row = rows[rows.length - 1]; whole > 0 && row.length > 0;) {
    /** @type {Box[]} */
    const next = [];
    for (const box of row) {
      const paused = pause(rows);
      if (paused && await paused) return undefined;
      let x = box.x;
      const kids = [];
      for (const node of tree.kids(box.node)) {
        const wide = width * value(node) / whole;
        if (wide >= NARROWEST) kids.push({ node, wide });
      }
      kids.sort((a, b) => b.wide - a.wide);
      for (const { node, wide } of kids) {
        next.push({ node, x, width: wide });
        x += wide;
      }
    }
    if (next.length > 0) rows.push(next);
    row = next;
  }
  return rows;
}
