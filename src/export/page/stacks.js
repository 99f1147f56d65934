// The stacks of call paths as flat arrays: whole, or with what is not the user's own code folded away. What that takes
// is worked out once for each node of the tree in which stacks are stored, not for each frame of each stack.

/** Stacks. Path `p` has the places `places[starts[p]]` to `places[starts[p + 1] - 1]`, the outermost first. */
export class Stacks {
  /**
   * @param {import("./model.js").Model} model
   * @param {boolean} folded whether to keep the user's own frames alone
   * @param {readonly number[]} [ends] the innermost node of each
   */
  constructor(model, folded, ends = model.data.ends) {
    const { nodes, places } = model.data;
    const { back, place } = nodes;
    this.model = model;
    this.folded = folded;
    this.ends = ends;
    const size = back.length;
    /** The innermost node kept from a node outwards, itself included; -1 for none. */
    this.last = new Int32Array(size);
    /** The kept node that called a kept node. A function that calls itself stands once, where it was called last. */
    this.up = new Int32Array(size);
    /** The outermost node folded away since the last kept one that tells something; -1 for none. */
    this.via = new Int32Array(size);
    const depth = new Uint32Array(size);
    for (let node = 0; node < size; node++) {
      const outer = back[node] === 0 ? -1 : node - back[node];
      const before = outer < 0 ? -1 : this.last[outer];
      if (folded && !model.own[places.fn[place[node]]]) {
        this.last[node] = before;
        const via = outer >= 0 && outer !== before ? this.via[outer] : -1;
        this.via[node] = via < 0 && this.#tells(node) ? node : via;
        continue;
      }
      const repeats = folded && before >= 0 && places.fn[place[before]] === places.fn[place[node]];
      this.last[node] = node;
      this.up[node] = repeats ? this.up[before] : before;
      this.via[node] = -1;
      depth[node] = this.up[node] < 0 ? 1 : depth[this.up[node]] + 1;
    }
    const count = ends.length;
    this.starts = new Uint32Array(count + 1);
    ends.forEach((end, p) => {
      const inner = end < 0 ? -1 : this.last[end];
      // Of a stack that has nothing of the user's own, one frame stands for all.
      this.starts[p + 1] = this.starts[p] + (end < 0 ? 0 : inner < 0 ? 1 : depth[inner]);
    });
    this.places = new Uint32Array(this.starts[count]);
    ends.forEach((end, p) => {
      if (end < 0) return;
      let node = this.last[end];
      if (node < 0) {
        this.places[this.starts[p]] = place[this.#reason(end)];
        return;
      }
      for (let at = this.starts[p + 1] - 1; at >= this.starts[p]; at--) {
        this.places[at] = place[node];
        node = this.up[node];
      }
    });
    /** The function of each place, as `places` has them. */
    this.functions = this.places.map((place) => places.fn[place]);
  }

  /** @param {number} node */
  #kind(node) {
    const { nodes, places } = this.model.data;
    return this.model.kindOf(places.fn[nodes.place[node]]);
  }

  /** @param {number} node */
  #passesOn(node) {
    return ["allocation", "wrapper"].includes(this.#kind(node));
  }

  /**
   * Whether a node between the user's code and the allocator tells how it got there: as in text reports, no interpreter's own
   * function does, which stand below every script's, and none without a name.
   * @param {number} node
   */
  #tells(node) {
    const { nodes, places } = this.model.data;
    return !this.#passesOn(node) && this.#kind(node) !== "runtime" &&
      !/\+0x[0-9a-f]+$/.test(this.model.functionName(places.fn[nodes.place[node]]));
  }

  /** @param {number} node */
  #outer(node) {
    const { [node]: back } = this.model.data.nodes.back;
    return back === 0 ? -1 : node - back;
  }

  /**
   * The innermost node of a stack without code of the user's that explains an allocation: as text reports choose it.
   * @param {number} end
   */
  #reason(end) {
    let standard = -1;
    for (let node = end; node >= 0; node = this.#outer(node)) {
      if (this.#passesOn(node)) continue;
      if (this.#kind(node) !== "standard") return node;
      if (standard < 0) standard = node;
    }
    return standard < 0 ? end : standard;
  }

  /**
   * The place that leads a path's row; -1 when no frame is known.
   * @param {number} path
   */
  lead(path) {
    return this.starts[path + 1] > this.starts[path] ? this.places[this.starts[path + 1] - 1] : -1;
  }

  /**
   * The place that called it; -1 for none.
   * @param {number} path
   */
  from(path) {
    const { nodes } = this.model.data;
    const { ends } = this;
    if (ends[path] >= 0 && this.last[ends[path]] < 0) {
      const outer = this.#outer(this.#reason(ends[path]));
      return outer < 0 ? -1 : nodes.place[outer];
    }
    return this.starts[path + 1] > this.starts[path] + 1 ? this.places[this.starts[path + 1] - 2] : -1;
  }

  /**
   * The function that the leading one called to allocate; -1 when that was the allocator.
   * @param {number} path
   */
  called(path) {
    const { nodes, places } = this.model.data;
    const { [path]: end } = this.ends;
    if (end < 0) return -1;
    let via = -1;
    if (this.last[end] >= 0) via = this.via[end];
    else {
      const reason = this.#reason(end);
      for (let node = end; node !== reason; node = this.#outer(node)) if (this.#tells(node)) via = node;
    }
    return via < 0 ? -1 : places.fn[nodes.place[via]];
  }

  /**
   * All places of a path, folded or not, the innermost first.
   * @param {number} path
   */
  whole(path) {
    const { nodes } = this.model.data;
    const found = [];
    for (let node = this.ends[path]; node >= 0;) {
      found.push(nodes.place[node]);
      node = nodes.back[node] === 0 ? -1 : node - nodes.back[node];
    }
    return found;
  }

  /**
   * The functions that stand for what a search found: themselves, or those that what was found is folded into.
   * @param {import("./model.js").Found} found
   */
  lit(found) {
    const { nodes, places } = this.model.data;
    const lit = found.functions.slice();
    if (!this.folded) return lit;
    nodes.place.forEach((place, node) => {
      if (found.places[place] && this.last[node] >= 0) lit[places.fn[nodes.place[this.last[node]]]] = 1;
    });
    found.paths.forEach((is, p) => {
      const lead = this.lead(p);
      if (is && lead >= 0 && this.last[this.ends[p]] < 0) lit[places.fn[lead]] = 1;
    });
    return lit;
  }
}
