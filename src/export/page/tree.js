// The tree that a flame graph shows, from the outermost functions inwards or from the innermost outwards, or from one
// function on. It grows where it is looked at: a node knows the call paths that go through it, and parts them by the
// next function when its children are asked for. So no direction costs anything before it is seen.

/**
 * A function at a place of the tree. The call paths through it are `order[from]` to `order[to - 1]` of its tree.
 * @typedef {{ fn: number, depth: number, from: number, to: number, parent: TreeNode | undefined,
 *   kids: TreeNode[] | undefined }} TreeNode
 */

/** Call paths of a node whose places are looked at, to say where it is. */
const LOOKED_AT = 2000;

export class Tree {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./stacks.js").Stacks} stacks
   * @param {boolean} inverted from the innermost functions outwards
   * @param {number} [fn] the function to begin at, of each call path the outermost of it; the whole when left out
   */
  constructor(model, stacks, inverted, fn = -1) {
    this.model = model;
    this.stacks = stacks;
    this.inverted = inverted;
    const { starts, functions } = stacks;
    /** Where each path begins: depth 1 is there. */
    this.origins = new Uint32Array(model.paths);
    const step = inverted ? -1 : 1;
    const order = [];
    for (let p = 0; p < model.paths; p++) {
      let at = inverted ? starts[p + 1] - 1 : starts[p];
      if (fn >= 0) {
        const found = functions.subarray(starts[p], starts[p + 1]).indexOf(fn);
        if (found < 0) continue;
        at = starts[p] + found + step;
      }
      this.origins[p] = at;
      order.push(p);
    }
    this.order = Uint32Array.from(order);
    /**
     * What a figure comes to for the call paths of `order` up to each: of a node, whose call paths stand side by side, it is a difference.
     * @type {Map<string, { column: Float64Array, upTo: Float64Array }>}
     */
    this.sums = new Map();
    /** @type {TreeNode} */
    this.root = this.#node(fn, undefined, 0, order.length);
  }

  /**
   * @param {number} fn
   * @param {TreeNode | undefined} parent
   * @param {number} from
   * @param {number} to
   * @returns {TreeNode}
   */
  #node(fn, parent, from, to) {
    return { fn, depth: parent ? parent.depth + 1 : 0, from, to, parent, kids: undefined };
  }

  /** Figures have changed: they are added up anew where they are asked for. Who goes where has not. */
  addUp() {
    this.sums.clear();
  }

  /**
   * Adds up over a part of `order`.
   * @param {{ column: Float64Array, upTo: Float64Array }} sums
   * @param {number} from
   * @param {number} to
   */
  #addUp({ column, upTo }, from, to) {
    const { order } = this;
    for (let i = from; i < to; i++) upTo[i + 1] = upTo[i] + column[order[i]];
  }

  /**
   * Where the frame at a depth of a path stands among all; -1 where the path has ended.
   * @param {number} path
   * @param {number} depth
   */
  #position(path, depth) {
    const { starts } = this.stacks;
    const at = this.origins[path] + (this.inverted ? 1 - depth : depth - 1);
    return at < starts[path] || at >= starts[path + 1] ? -1 : at;
  }

  /**
   * The functions that come next.
   * @param {TreeNode} node
   * @returns {TreeNode[]}
   */
  kids(node) {
    if (node.kids) return node.kids;
    const next = new Int32Array(node.to - node.from);
    for (let i = node.from; i < node.to; i++) {
      const at = this.#position(this.order[i], node.depth + 1);
      next[i - node.from] = at < 0 ? -1 : this.stacks.functions[at];
    }
    if (next.every((fn) => fn === next[0])) {
      // All go the same way: nothing to part.
      if (node.from === node.to || next[0] < 0) return node.kids = [];
      return node.kids = [this.#node(next[0], node, node.from, node.to)];
    }
    /** @type {Map<number, TreeNode>} */
    const kids = new Map();
    const paths = this.order.slice(node.from, node.to);
    paths.forEach((_, i) => {
      let kid = kids.get(next[i]);
      if (!kid) kids.set(next[i], kid = this.#node(next[i], node, 0, 0));
      kid.to++;
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
    for (const sums of this.sums.values()) this.#addUp(sums, node.from, node.to);
    kids.delete(-1);
    return node.kids = [...kids.values()];
  }

  /**
   * The places of a node's function in the source, those of the first call paths first.
   * @param {TreeNode} node
   */
  places({ from, to, depth }) {
    const places = new Set();
    for (let i = from; i < Math.min(to, from + LOOKED_AT); i++) {
      const at = this.#position(this.order[i], depth);
      if (at >= 0) places.add(this.stacks.places[at]);
    }
    return /** @type {number[]} */ ([...places]);
  }

  /**
   * The sum of a figure.
   * @param {TreeNode} node
   * @param {string} figure
   * @param {import("./model.js").Run} [run]
   */
  sum({ from, to }, figure, run = "after") {
    const key = `${run} ${figure}`;
    let sums = this.sums.get(key);
    if (!sums) {
      this.sums.set(
        key,
        sums = { column: this.model.widths(figure, run), upTo: new Float64Array(this.order.length + 1) },
      );
      this.#addUp(sums, 0, this.order.length);
    }
    return sums.upTo[to] - sums.upTo[from];
  }
}
