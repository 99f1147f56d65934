// The flame graph: a canvas as large as what is seen of it, in an area that scrolls.
import { Colours } from "./colours.js";
import { byId, isDark, Slices } from "./dom.js";
import { baseName, bytes, count, counted, nameParts, share, shortName, signed } from "./format.js";
import { layOutRows } from "./layout.js";
import { Tree } from "./tree.js";

/** @typedef {import("./tree.js").TreeNode} TreeNode */

const BOX = 20;
const GAP = 1;

export class Flame {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./tooltip.js").Tooltip} tooltip
   * @param {{ onZoom: (zoomed: readonly number[], fn: number) => void }} told called when the reader zooms, with the
   *   functions from the outermost on, and that which they chose, -1 for none
   */
  constructor(model, tooltip, told) {
    this.model = model;
    this.tooltip = tooltip;
    this.told = told;
    this.area = byId("flame-area");
    this.space = byId("flame-space");
    this.canvas = /** @type {HTMLCanvasElement} */ (byId("flame"));
    this.colours = new Colours(model);
    /** @type {Map<string, Tree>} */
    this.trees = new Map();
    /** @type {Tree | undefined} */
    this.shown = undefined;
    /** @type {TreeNode | undefined} */
    this.zoomedOn = undefined;
    /** @type {import("./model.js").ViewName} */
    this.view = model.data.view;
    /** @type {import("./model.js").Run} */
    this.run = "after";
    /** @type {Uint8Array | undefined} */
    this.found = undefined;
    /** @type {TreeNode | undefined} */
    this.pointed = undefined;
    /** @type {TreeNode | undefined} */
    this.chosen = undefined;
    /** @type {import("./layout.js").Box[][]} */
    this.rows = [];
    /** Counts the layouts that have begun. */
    this.layout = 0;
    /** How much of it is seen, and from where on: kept, as to ask for them would have the browser lay out what has just been changed. */
    this.seen = { width: this.area.clientWidth, height: this.area.clientHeight, top: 0 };
    this.#listen();
  }

  get tree() {
    if (!this.shown) throw new Error("no stacks are shown yet");
    return this.shown;
  }

  get zoomed() {
    return this.zoomedOn ?? this.tree.root;
  }

  /** @param {TreeNode} node */
  value(node) {
    return this.tree.sum(node, this.model.views[this.view].figure, this.run);
  }

  /**
   * Shows stacks in a direction, by a view's figure of a run.
   * @param {{ stacks: import("./stacks.js").Stacks, inverted: boolean, view: import("./model.js").ViewName,
   *   run: import("./model.js").Run, zoom: readonly number[] }} state
   */
  show({ stacks, inverted, view, run, zoom }) {
    [this.view, this.run] = [view, run];
    const key = `${stacks.folded} ${inverted}`;
    let tree = this.trees.get(key);
    if (!tree) this.trees.set(key, tree = new Tree(this.model, stacks, inverted));
    if (tree !== this.shown) {
      this.shown = tree;
      this.chosen = this.pointed = undefined;
    }
    let zoomed = tree.root;
    for (const fn of zoom) {
      const kid = tree.kids(zoomed).find((node) => node.fn === fn);
      if (!kid) break;
      zoomed = kid;
    }
    while (zoomed.parent && this.value(zoomed) === 0) zoomed = zoomed.parent;
    this.zoomedOn = zoomed;
    byId("reset").toggleAttribute("disabled", zoomed === tree.root);
    return this.layOut();
  }

  /**
   * Zooms in on a function, or out to it.
   * @param {TreeNode} node
   * @param {boolean} isChosen
   */
  zoom(node, isChosen) {
    /** @type {number[]} */
    const functions = [];
    for (let at = node; at.parent; at = at.parent) functions.unshift(at.fn);
    this.told.onZoom(functions, isChosen ? node.fn : -1);
    this.area.scrollTop = Math.max(0, (node.depth - 3) * BOX);
  }

  /** Adds up anew what is shown, as figures have changed. Other trees grow when they are asked for. */
  addUp() {
    for (const [key, tree] of this.trees) {
      if (tree === this.shown) tree.addUp();
      else this.trees.delete(key);
    }
  }

  /** Begins anew, as there are call paths that were not. */
  renew() {
    this.trees.clear();
    this.colours = new Colours(this.model);
  }

  /** @param {Uint8Array | undefined} functions which functions a search has found */
  mark(functions) {
    this.found = functions;
    this.draw();
  }

  /** Works out the boxes, row by row, and shows them. */
  async layOut() {
    if (!this.shown) return;
    const layout = ++this.layout;
    const slices = new Slices();
    const rows = await layOutRows(
      this.shown,
      this.zoomed,
      this.seen.width,
      (node) => this.value(node),
      (rows) => {
        if (!slices.isUsedUp) return undefined;
        this.#present(rows);
        // What is shown may have changed meanwhile: then somebody else lays it out.
        return slices.rest().then(() => layout !== this.layout);
      },
    );
    if (rows) this.#present(rows);
  }

  /** @param {import("./layout.js").Box[][]} rows */
  #present(rows) {
    this.rows = rows;
    this.space.style.height = `${rows.length * BOX}px`;
    this.draw();
  }

  /** Says how much there is beyond what is seen. */
  #hint() {
    const { top, height } = this.seen;
    const below = Math.ceil(this.rows.length - (top + height) / BOX - 0.2);
    const more = byId("more");
    more.hidden = below < 1;
    const text = `\u25be ${counted(below, "more row")}`;
    if (below >= 1 && more.textContent !== text) more.textContent = text;
    this.area.classList.toggle("more-above", top > 4);
    this.area.classList.toggle("more-below", below >= 1);
  }

  draw() {
    this.#hint();
    const { canvas, seen: { width, top } } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    const height = Math.min(this.seen.height, this.rows.length * BOX);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    if (!pen) return;
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const { text: focus } = this.papers();
    const dark = isDark();
    const first = Math.floor(top / BOX);
    const last = Math.min(this.rows.length, Math.ceil((top + height) / BOX));
    for (let row = first; row < last; row++) {
      const y = row * BOX - top;
      for (const { node, x, width: wide } of this.rows[row]) {
        pen.globalAlpha = row < this.zoomed.depth ? 0.55 : 1;
        const { fill, ink } = this.paint(node, dark);
        pen.fillStyle = fill;
        pen.fillRect(x, y, Math.max(0.5, wide - GAP), BOX - GAP);
        if (wide > 24) {
          pen.fillStyle = ink;
          pen.fillText(clipped(pen, this.label(node), wide - 8), x + 4, y + BOX / 2);
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

  /** The colours behind the graph and of what is written there. */
  papers() {
    const { color, backgroundColor } = getComputedStyle(byId("flame-section"));
    return { ground: backgroundColor, text: color };
  }

  /**
   * The colours of a box.
   * @param {TreeNode} node
   */
  paint(node, dark = isDark()) {
    const isMissed = this.found && (node.fn < 0 || !this.found[node.fn]);
    if (isMissed) return { fill: this.colours.missed(dark), ink: dark ? "#949cab" : "#666b75" };
    return { fill: this.#fill(node, dark), ink: dark ? "#fff" : "#1b1d22" };
  }

  /**
   * @param {TreeNode} node
   * @param {boolean} dark
   */
  #fill(node, dark) {
    if (node.fn < 0) return dark ? "#3a3f49" : "#d5d9e0";
    if (this.model.isComparison) {
      const { figure } = this.model.views[this.view];
      const [was, is] = [this.tree.sum(node, figure, "before"), this.tree.sum(node, figure)];
      // Where widths are changes, those that went up and down within one are what it is a part of.
      const whole = this.run === "change" ? this.value(node) : Math.max(was, is);
      return this.colours.ofChange((is - was) / Math.max(1, whole), dark);
    }
    return this.colours.of(node.fn, dark, this.found !== undefined);
  }

  /** @param {TreeNode} node */
  name(node) {
    return node.fn < 0 ? "all" : this.model.functionName(node.fn);
  }

  /**
   * What is written on a box: its name, and its line where there is one.
   * @param {TreeNode} node
   */
  label(node) {
    return shortName(this.name(node));
  }

  /**
   * What is known of a function there: its share and figures, where it is, and the loaded object.
   * @param {TreeNode} node
   * @returns {string[]}
   */
  describe(node) {
    const view = this.model.views[this.view];
    const show = view.bytes ? bytes : count;
    const [value, all] = [this.value(node), this.value(this.tree.root)];
    /** @type {string[]} */
    const lines = [];
    if (this.model.isComparison) {
      const [was, is] = [this.tree.sum(node, view.figure, "before"), this.tree.sum(node, view.figure)];
      lines.push(`${show(was)} \u2192 ${show(is)} (${signed(is - was, show)})`);
    } else {
      const parts = [`${share(value, all) || "0%"} of all`, `${show(value)}${view.bytes ? "" : " blocks"}`];
      if (view.bytes) parts.push(counted(this.tree.sum(node, view.blocks), "block"));
      lines.push(parts.join(" \u00b7 "));
    }
    if (this.zoomed !== this.tree.root && node.depth > this.zoomed.depth) {
      lines.push(`${share(value, this.value(this.zoomed))} of ${shortName(this.name(this.zoomed))}`);
    }
    if (node.fn < 0) return lines;
    const places = this.tree.places(node).map((place) => this.model.placeText(place)).filter(Boolean);
    if (places.length > 0) {
      lines.push(`${places[0]}${places.length > 1 ? ` and ${counted(places.length - 1, "more line")}` : ""}`);
    }
    lines.push(baseName(this.model.moduleOf(node.fn)));
    return lines;
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
    const tell = (/** @type {TreeNode} */ node, /** @type {{ x: number, y: number }} */ at) =>
      this.tooltip.show(at, this.name(node), this.describe(node));
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const node = this.#boxAt(event);
      if (node) tell(node, { x: event.clientX, y: event.clientY });
      else this.tooltip.hide();
      if (node === this.pointed) return;
      this.pointed = node;
      canvas.style.cursor = node ? "pointer" : "default";
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointed = undefined;
      this.tooltip.hide();
      this.draw();
    });
    canvas.addEventListener("click", (event) => {
      const node = this.#boxAt(event);
      if (!node) return;
      // A finger cannot point: its first touch chooses and tells, the second zooms.
      const isTouch = /** @type {PointerEvent} */ (event).pointerType === "touch";
      const isFirst = isTouch && node !== this.chosen;
      this.#choose(node);
      if (isTouch) tell(node, { x: event.clientX, y: event.clientY });
      if (isFirst) return;
      this.zoom(node, true);
    });
    area.addEventListener("scroll", () => {
      if (this.pointed) this.tooltip.hide();
      this.seen.top = area.scrollTop;
      this.draw();
    });
    area.addEventListener("blur", () => this.tooltip.hide());
    area.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: "outer", ArrowDown: "inner", ArrowLeft: "before", ArrowRight: "after" };
      const move = moves[/** @type {keyof typeof moves} */ (event.key)];
      if (move) {
        const node = this.#neighbour(move);
        this.#choose(node);
        const box = this.rows[node.depth]?.find((box) => box.node === node);
        const { left, top } = area.getBoundingClientRect();
        const inner = left + (box ? box.x + Math.min(box.width, area.clientWidth) / 2 : 0);
        tell(node, { x: inner, y: top + (node.depth + 1) * BOX - area.scrollTop - 8 });
      } else if (event.key === "Enter" && this.chosen) {
        this.zoom(this.chosen, true);
      } else if (event.key === "Escape" || event.key === "Backspace") {
        this.tooltip.hide();
        this.zoom(this.zoomed.parent ?? this.tree.root, false);
      } else return;
      event.preventDefault();
    });
    byId("more").addEventListener("click", () => area.scrollBy({ top: area.clientHeight - 2 * BOX }));
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height, scrollTop: top } = area;
      this.seen = { width, height, top };
      return this.layOut();
    }).observe(area);
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
    const top = node.depth * BOX;
    if (top < this.area.scrollTop) this.area.scrollTop = top;
    if (top + BOX > this.area.scrollTop + this.area.clientHeight) {
      this.area.scrollTop = top + BOX - this.area.clientHeight;
    }
    this.seen.top = this.area.scrollTop;
    this.draw();
  }
}

/**
 * As much of a name as fits: of a longer one the middle goes, where its end fits, else the end.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} name
 * @param {number} room
 */
function clipped(pen, name, room) {
  const width = pen.measureText(name).width;
  if (width <= room) return name;
  const [start, end] = nameParts(name);
  const [text, last] = pen.measureText(`\u2026${end}`).width < room * 0.7 ? [start, end] : [name, ""];
  let letters = Math.floor(name.length * room / width) - last.length;
  while (letters > 1 && pen.measureText(`${text.slice(0, letters)}\u2026${last}`).width > room) letters--;
  if (letters + last.length < 2) return "";
  return `${text.slice(0, Math.max(0, letters))}\u2026${last}`;
}
