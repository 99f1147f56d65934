// The tree that a flame graph shows, from the outermost functions inwards or from the innermost outwards. It grows
// where it is looked at: a node knows the call paths that go through it, and parts them by the next function when
// its children are asked for. So neither direction costs anything before it is seen.

/**
 * A function at a place of the tree. The call paths through it are `order[from]` to `order[to - 1]` of its tree.
 * @typedef {{ fn: number, depth: number, from: number, to: number, parent: TreeNode | undefined,
 *   sums: Float64Array, kids: TreeNode[] | undefined }} TreeNode
 */

/** The columns that nodes have sums of; those of an earlier run follow in the same order. */
export const SUMMED = ["bytes", "peakBytes", "liveBytes", "temporary", "allocations", "peakCount", "liveCount"];

export class Tree {
  /**
   * @param {import("./model.js").Model} model
   * @param {boolean} inverted from the innermost functions outwards
   */
  constructor(model, inverted) {
    this.model = model;
    this.inverted = inverted;
    this.order = Uint32Array.from({ length: model.paths }, (_, p) => p);
    const runs = model.isComparison ? [false, true] : [false];
    this.columns = runs.flatMap((before) => SUMMED.map((name) => Float64Array.from(model.column(name, before))));
    // What was freed more often than allocated since a moment has less than nothing: no width shows that.
    for (const column of this.columns) column.forEach((n, p) => column[p] = Math.max(0, n));
    /** @type {TreeNode} */
    this.root = this.#node(-1, undefined, 0, model.paths);
    for (let p = 0; p < model.paths; p++) this.#add(this.root, p);
  }

  /**
   * @param {number} fn
   * @param {TreeNode | undefined} parent
   * @param {number} from
   * @param {number} to
   * @returns {TreeNode}
   */
  #node(fn, parent, from, to) {
    const sums = new Float64Array(this.columns.length);
    return { fn, depth: parent ? parent.depth + 1 : 0, from, to, parent, sums, kids: undefined };
  }

  /**
   * @param {TreeNode} node
   * @param {number} path
   */
  #add(node, path) {
    for (let i = 0; i < this.columns.length; i++) node.sums[i] += this.columns[i][path];
  }

  /**
   * The functions at a depth of the paths through a node, -1 where a path has ended.
   * @param {TreeNode} node
   */
  #next({ from, to, depth }) {
    const { order, inverted } = this;
    const { starts, functions } = this.model;
    const next = new Int32Array(to - from);
    for (let i = from; i < to; i++) {
      const [first, end] = [starts[order[i]], starts[order[i] + 1]];
      next[i - from] = first + depth >= end ? -1 : functions[inverted ? end - 1 - depth : first + depth];
    }
    return next;
  }

  /**
   * The functions that come next.
   * @param {TreeNode} node
   * @returns {TreeNode[]}
   */
  kids(node) {
    if (node.kids) return node.kids;
    const next = this.#next(node);
    if (next.every((fn) => fn === next[0])) {
      // All go the same way: nothing to part, and nothing to add up.
      if (node.from === node.to || next[0] < 0) return node.kids = [];
      const kid = this.#node(next[0], node, node.from, node.to);
      kid.sums = node.sums;
      return node.kids = [kid];
    }
    /** @type {Map<number, TreeNode>} */
    const kids = new Map();
    const paths = this.order.slice(node.from, node.to);
    paths.forEach((path, i) => {
      let kid = kids.get(next[i]);
      if (!kid) kids.set(next[i], kid = this.#node(next[i], node, 0, 0));
      kid.to++;
      this.#add(kid, path);
    });
    let from = node.from;
    for (const kid of kids.values()) {
      [kid.from, from] = [from, from + kid.to];
      kid.to = kid.from;
    }
    paths.forEach((path, i) => {
      const kid = /** @type {TreeNode} */ (kids.get(next[i]));
      this.order[kid.to++] = path;
    });
    kids.delete(-1);
    return node.kids = [...kids.values()];
  }

  /**
   * The sum of a column.
   * @param {TreeNode} node
   * @param {string} column
   * @param {boolean} [before]
   */
  sum(node, column, before = false) {
    return node.sums[SUMMED.indexOf(column) + (before ? SUMMED.length : 0)];
  }
}
