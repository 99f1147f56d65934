// A table of any length: only the rows that are seen are in the page.
import { element } from "./format.js";

/**
 * A column: text for people, and a figure or text to sort by. `wide` ones are left out on a phone.
 * @template R
 * @typedef {{ title: string, text: (row: R) => string, by: (row: R) => number | string, figures?: boolean,
 *   wide?: boolean, mark?: (row: R) => string, hint?: (row: R) => string }} Column
 */

const ROW = 28;

/** @template R */
export class Table {
  /**
   * @param {HTMLElement} into
   * @param {readonly Column<R>[]} columns
   * @param {readonly R[]} rows
   * @param {{ sortBy: number, onChoose?: (row: R | undefined) => void, name: string }} options
   */
  constructor(into, columns, rows, { sortBy, onChoose, name }) {
    this.columns = columns;
    this.all = rows;
    this.rows = [...rows];
    this.sortBy = sortBy;
    this.down = true;
    this.onChoose = onChoose;
    this.chosen = -1;
    const track = (/** @type {Column<R>} */ c) => c.figures ? "var(--figure)" : "minmax(0, 1fr)";
    this.head = element("div", { className: "row head", role: "row" });
    this.body = element("div", { className: "rows", role: "rowgroup" });
    this.scroll = element(
      "div",
      { className: "table", role: "grid", tabIndex: 0, "aria-label": name },
      this.head,
      this.body,
    );
    this.scroll.style.setProperty("--columns", columns.map(track).join(" "));
    this.scroll.style.setProperty("--columns-phone", columns.filter((c) => !c.wide).map(track).join(" "));
    this.empty = element("p", { className: "empty", hidden: true }, "Nothing here.");
    into.replaceChildren(this.scroll, this.empty);
    this.scroll.addEventListener("scroll", () => this.draw());
    this.scroll.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    this.#drawHead();
    this.keep(() => true);
  }

  /** @param {(row: R) => boolean} wanted which rows to show */
  keep(wanted) {
    this.rows = this.all.filter(wanted);
    this.#sort();
  }

  /**
   * @param {number} column
   * @param {boolean} [down] largest first
   */
  sort(column, down = this.columns[column].figures === true) {
    [this.sortBy, this.down] = [column, down];
    this.#drawHead();
    this.#sort();
  }

  #sort() {
    const { by, figures } = this.columns[this.sortBy];
    const sign = this.down ? -1 : 1;
    const keyed = this.rows.map((row) => ({ row, key: by(row) }));
    if (figures) keyed.sort((a, b) => sign * (Number(a.key) - Number(b.key)));
    else keyed.sort((a, b) => sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.rows = keyed.map(({ row }) => row);
    this.scroll.scrollTop = 0;
    this.empty.hidden = this.rows.length > 0;
    this.choose(this.rows.length > 0 ? 0 : -1);
  }

  /** @param {number} index */
  choose(index) {
    this.chosen = index;
    this.onChoose?.(this.rows[index]);
    this.draw();
  }

  #drawHead() {
    this.head.replaceChildren(...this.columns.map((column, i) => {
      const sorted = i === this.sortBy;
      const cell = element(
        "button",
        {
          className: cellClass(column),
          role: "columnheader",
          "aria-sort": sorted ? (this.down ? "descending" : "ascending") : "none",
          onclick: () => this.sort(i, sorted ? !this.down : column.figures === true),
        },
        column.title,
        element("span", { className: "arrow" }, sorted ? (this.down ? "\u2193" : "\u2191") : ""),
      );
      return cell;
    }));
  }

  draw() {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - 4);
    const last = Math.min(this.rows.length, first + Math.ceil(this.scroll.clientHeight / ROW) + 8);
    this.body.style.height = `${this.rows.length * ROW}px`;
    this.scroll.setAttribute("aria-rowcount", String(this.rows.length));
    const made = [];
    for (let i = first; i < last; i++) made.push(this.#row(i));
    this.body.replaceChildren(...made);
  }

  /** @param {number} i */
  #row(i) {
    const row = this.rows[i];
    const line = element("div", {
      className: "row",
      role: "row",
      "aria-rowindex": i + 1,
      "aria-selected": this.onChoose !== undefined && i === this.chosen,
      onclick: () => this.choose(i),
    });
    line.style.transform = `translateY(${i * ROW}px)`;
    for (const column of this.columns) {
      line.append(element("div", {
        className: `${cellClass(column)} ${column.mark?.(row) ?? ""}`,
        role: "gridcell",
        title: column.hint?.(row) ?? "",
      }, column.text(row)));
    }
    return line;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2);
    const last = this.rows.length - 1;
    const to = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = to[/** @type {keyof typeof to} */ (event.key)];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(last, this.chosen + step));
    const { scrollTop, clientHeight } = this.scroll;
    // The head covers the first row's height of what is seen.
    if (index * ROW < scrollTop) this.scroll.scrollTop = index * ROW;
    if ((index + 2) * ROW > scrollTop + clientHeight) this.scroll.scrollTop = (index + 2) * ROW - clientHeight;
    this.choose(index);
  }
}

/** @param {Column<any>} column */
function cellClass(column) {
  return `cell${column.figures ? " figure" : ""}${column.wide ? " wide" : ""}`;
}
