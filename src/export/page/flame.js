// The flame graph: a canvas as large as what is seen of it, in an area that scrolls.
import { baseName, byId, bytes, count, counted, element, isDark, share, shortName, signed, Slices } from "./format.js";
import { Tree } from "./tree.js";

/** @typedef {import("./tree.js").TreeNode} TreeNode */
/** @typedef {{ node: TreeNode, x: number, width: number }} Box */

const BOX = 20;
const GAP = 1;
/** Boxes that are narrower are not drawn, and their callees are not looked at. */
const NARROWEST = 0.6;
/** Hues of modules, in the order of what they allocate; the program's own is the first. */
const HUES = [22, 205, 150, 275, 48, 330, 180, 95, 240, 0];

export class Flame {
  /**
   * @param {import("./model.js").Model} model
   * @param {(node: TreeNode | undefined) => void} onPick called when a function is pointed at or chosen
   */
  constructor(model, onPick) {
    this.model = model;
    this.onPick = onPick;
    this.area = byId("flame-area");
    this.space = byId("flame-space");
    this.canvas = /** @type {HTMLCanvasElement} */ (byId("flame"));
    this.trees = [new Tree(model, false)];
    this.tree = this.trees[0];
    this.zoomed = this.tree.root;
    /** @type {import("./model.js").ViewName} */
    this.view = model.data.view;
    this.before = false;
    /** @type {Uint8Array | undefined} */
    this.found = undefined;
    /** @type {TreeNode | undefined} */
    this.pointed = undefined;
    /** @type {TreeNode | undefined} */
    this.chosen = undefined;
    /** @type {Box[][]} */
    this.rows = [];
    /** Counts the layouts that have begun. */
    this.layout = 0;
    this.hues = model.data.modules.map((module, i) =>
      module === model.data.program ? HUES[0] : module === "" ? -1 : HUES[1 + i % (HUES.length - 1)]
    );
    this.#listen();
  }

  /** @param {TreeNode} node */
  value(node) {
    return this.tree.sum(node, this.model.views[this.view].figure, this.before);
  }

  /** Shows another view, direction or run; what is zoomed in on stays where that is possible. */
  show({ view = this.view, inverted = this.tree.inverted, before = this.before }) {
    this.view = view;
    this.before = before;
    if (inverted !== this.tree.inverted) {
      this.trees[Number(inverted)] ??= new Tree(this.model, inverted);
      this.tree = this.trees[Number(inverted)];
      this.zoomed = this.tree.root;
      this.chosen = this.pointed = undefined;
      this.onPick(undefined);
    }
    if (this.value(this.zoomed) === 0) this.zoomed = this.tree.root;
    this.layOut();
  }

  /** @param {TreeNode} node */
  zoom(node) {
    this.zoomed = node;
    this.layOut();
    this.area.scrollTop = Math.max(0, (node.depth - 3) * BOX);
  }

  /** @param {Uint8Array | undefined} functions which functions a search has found */
  mark(functions) {
    this.found = functions;
    this.draw();
  }

  /** Works out the boxes, row by row, and shows them; those outside the zoomed function's are as wide as all. */
  async layOut() {
    const layout = ++this.layout;
    const slices = new Slices();
    const width = this.area.clientWidth;
    /** @type {Box[][]} */
    const rows = [];
    /** @type {TreeNode[]} */
    const outer = [];
    for (let node = this.zoomed.parent; node; node = node.parent) outer.unshift(node);
    for (const node of outer) rows.push([{ node, x: 0, width }]);
    rows.push([{ node: this.zoomed, x: 0, width }]);
    const whole = this.value(this.zoomed);
    for (let row = rows[rows.length - 1]; whole > 0 && row.length > 0;) {
      /** @type {Box[]} */
      const next = [];
      for (const box of row) {
        if (slices.isUsedUp) {
          this.#present(rows);
          await slices.rest();
          // What is shown has changed meanwhile: somebody else lays it out.
          if (layout !== this.layout) return;
        }
        let x = box.x;
        const kids = this.tree.kids(box.node).map((node) => ({ node, value: this.value(node) }));
        kids.sort((a, b) => b.value - a.value);
        for (const { node, value } of kids) {
          const wide = width * value / whole;
          if (wide < NARROWEST) break;
          next.push({ node, x, width: wide });
          x += wide;
        }
      }
      if (next.length > 0) rows.push(next);
      row = next;
    }
    this.#present(rows);
  }

  /** @param {Box[][]} rows */
  #present(rows) {
    this.rows = rows;
    this.space.style.height = `${rows.length * BOX}px`;
    this.draw();
  }

  draw() {
    const { canvas, area } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    const width = area.clientWidth;
    const height = Math.min(area.clientHeight, this.rows.length * BOX);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    if (!pen) return;
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const dark = isDark();
    const focus = getComputedStyle(document.body).color;
    const first = Math.floor(area.scrollTop / BOX);
    const last = Math.min(this.rows.length, Math.ceil((area.scrollTop + height) / BOX));
    for (let row = first; row < last; row++) {
      const y = row * BOX - area.scrollTop;
      for (const { node, x, width: wide } of this.rows[row]) {
        const missed = this.found && (node.fn < 0 || !this.found[node.fn]);
        pen.globalAlpha = row < this.zoomed.depth ? 0.55 : 1;
        pen.fillStyle = this.#colour(node, dark, Boolean(missed));
        pen.fillRect(x, y, Math.max(0.5, wide - GAP), BOX - GAP);
        if (wide > 24) {
          pen.fillStyle = dark ? (missed ? "#8b93a1" : "#fff") : (missed ? "#8a8f98" : "#1b1d22");
          pen.fillText(clipped(pen, shortName(this.name(node)), wide - 8), x + 4, y + BOX / 2);
        }
        if (node === this.chosen || node === this.pointed) {
          pen.globalAlpha = 1;
          pen.strokeStyle = focus;
          pen.lineWidth = node === this.chosen ? 2 : 1;
          pen.strokeRect(x + 1, y + 1, Math.max(1, wide - GAP - 2), BOX - GAP - 2);
        }
      }
    }
    pen.globalAlpha = 1;
  }

  /**
   * @param {TreeNode} node
   * @param {boolean} dark
   * @param {boolean} missed
   */
  #colour(node, dark, missed) {
    if (missed) return dark ? "#2a2e36" : "#e8eaee";
    if (node.fn < 0) return dark ? "#3a3f49" : "#d5d9e0";
    if (this.model.isComparison) return this.#changeColour(node, dark);
    const hue = this.hues[this.model.data.functions.module[node.fn]];
    // Neighbours of one module differ a little.
    const shade = (node.fn * 7) % 5 * 2;
    if (hue < 0) return dark ? `hsl(220 6% ${32 + shade}%)` : `hsl(220 10% ${80 + shade}%)`;
    const near = hue + (node.fn * 11) % 7 * 3 - 9;
    return dark ? `hsl(${near} 45% ${31 + shade}%)` : `hsl(${near} 78% ${70 + shade}%)`;
  }

  /**
   * @param {TreeNode} node
   * @param {boolean} dark
   */
  #changeColour(node, dark) {
    const { figure } = this.model.views[this.view];
    const [was, is] = [this.tree.sum(node, figure, true), this.tree.sum(node, figure)];
    const change = (is - was) / Math.max(1, was, is);
    const strength = Math.sqrt(Math.abs(change));
    const hue = change > 0 ? 4 : 214;
    return dark
      ? `hsl(${hue} ${8 + 62 * strength}% ${30 + 12 * strength}%)`
      : `hsl(${hue} ${10 + 75 * strength}% ${88 - 22 * strength}%)`;
  }

  /** @param {TreeNode} node */
  name(node) {
    return node.fn < 0 ? "all" : this.model.functionName(node.fn);
  }

  /**
   * A function's figures in words.
   * @param {TreeNode} node
   */
  describe(node) {
    const view = this.model.views[this.view];
    const show = view.bytes ? bytes : count;
    const [value, all] = [this.value(node), this.value(this.tree.root)];
    const parts = [`${show(value)}${view.bytes ? "" : " blocks"}`, `${share(value, all)} of all`];
    if (this.zoomed !== this.tree.root && node.depth > this.zoomed.depth) {
      parts.push(`${share(value, this.value(this.zoomed))} of ${this.name(this.zoomed)}`);
    }
    if (this.model.isComparison) {
      const [was, is] = [this.tree.sum(node, view.figure, true), this.tree.sum(node, view.figure)];
      return `${show(was)} \u2192 ${show(is)} (${signed(is - was, show)})`;
    }
    if (view.bytes) parts.push(counted(this.tree.sum(node, view.blocks), "block"));
    return parts.join(" \u00b7 ");
  }

  /** The modules with most boxes' colours, for the legend. */
  legend() {
    const { modules } = this.model.data;
    if (this.model.isComparison) {
      return [
        element("span", { className: "key grew" }, "has more now"),
        element("span", { className: "key shrank" }, "has less"),
      ];
    }
    return modules.map((module, i) => ({ module, hue: this.hues[i] })).filter(({ hue }) => hue >= 0).slice(0, 8)
      .map(({ module, hue }) => {
        const key = element("span", { className: "key" }, baseName(module));
        key.style.setProperty("--hue", String(hue));
        return key;
      });
  }

  /**
   * The box at a point of the canvas.
   * @param {{ offsetX: number, offsetY: number }} at
   */
  #boxAt({ offsetX, offsetY }) {
    const row = this.rows[Math.floor((offsetY + this.area.scrollTop) / BOX)] ?? [];
    return row.find(({ x, width }) => offsetX >= x && offsetX < x + width)?.node;
  }

  #listen() {
    const { canvas, area } = this;
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const node = this.#boxAt(event);
      if (node === this.pointed) return;
      this.pointed = node;
      canvas.style.cursor = node ? "pointer" : "default";
      this.onPick(node ?? this.chosen);
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointed = undefined;
      this.onPick(this.chosen);
      this.draw();
    });
    canvas.addEventListener("click", (event) => {
      const node = this.#boxAt(event);
      if (!node) return;
      // A finger cannot point: its first touch chooses, the second zooms.
      const touched = /** @type {PointerEvent} */ (event).pointerType === "touch" && node !== this.chosen;
      this.#choose(node);
      if (!touched) this.zoom(node);
    });
    area.addEventListener("scroll", () => this.draw());
    area.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: "outer", ArrowDown: "inner", ArrowLeft: "before", ArrowRight: "after" };
      const move = moves[/** @type {keyof typeof moves} */ (event.key)];
      if (move) this.#choose(this.#neighbour(move));
      else if (event.key === "Enter" && this.chosen) this.zoom(this.chosen);
      else if (event.key === "Escape" || event.key === "Backspace") this.zoom(this.zoomed.parent ?? this.tree.root);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.layOut()).observe(area);
  }

  /** @param {string} move */
  #neighbour(move) {
    const node = this.chosen ?? this.zoomed;
    if (!this.chosen) return node;
    const row = this.rows[node.depth] ?? [];
    const at = row.findIndex((box) => box.node === node);
    const inner = (this.rows[node.depth + 1] ?? []).find((box) => box.node.parent === node);
    const found = { outer: node.parent, inner: inner?.node, before: row[at - 1]?.node, after: row[at + 1]?.node };
    return found[/** @type {keyof typeof found} */ (move)] ?? node;
  }

  /** @param {TreeNode} node */
  #choose(node) {
    this.chosen = node;
    this.onPick(node);
    const top = node.depth * BOX;
    if (top < this.area.scrollTop) this.area.scrollTop = top;
    if (top + BOX > this.area.scrollTop + this.area.clientHeight) {
      this.area.scrollTop = top + BOX - this.area.clientHeight;
    }
    this.draw();
  }
}

/**
 * As much of a name as fits.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} name
 * @param {number} room
 */
function clipped(pen, name, room) {
  const width = pen.measureText(name).width;
  if (width <= room) return name;
  let letters = Math.floor(name.length * room / width);
  while (letters > 1 && pen.measureText(`${name.slice(0, letters)}\u2026`).width > room) letters--;
  return letters < 2 ? "" : `${name.slice(0, letters)}\u2026`;
}
