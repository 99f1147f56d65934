// A table of any length: only the rows that are seen are in the page.
import { element } from "./dom.js";

/**
 * A column: text for people, or what stands in its cells, and a figure or text to sort by. `wide` ones are left out on a
 * phone, `extra` ones where the table is not wide.
 * @template R
 * @typedef {{ id: string, title: string, text: (row: R) => string, by: (row: R) => number | string, figures?: boolean,
 *   wide?: boolean, extra?: boolean, track?: string | undefined, cell?: (row: R) => Node[], mark?: (row: R) => string,
 *   hint?: (row: R) => string }} Column
 */

/** Height of a row: of one line, or of two. */
const ROW = { 1: 30, 2: 46 };

/** @template R */
export class Table {
  /**
   * @param {HTMLElement} into
   * @param {readonly Column<R>[]} columns
   * @param {readonly R[]} rows
   * @param {{ name: string, lines: 1 | 2, sort: string, onSort: (sort: string) => void, onChoose?: (row: R) => void }} options
   */
  constructor(into, columns, rows, { name, lines, sort, onSort, onChoose }) {
    this.columns = columns;
    this.rows = [...rows];
    this.height = ROW[lines];
    this.onChoose = onChoose;
    this.onSort = onSort;
    this.chosen = -1;
    const tracks = (/** @type {(c: Column<R>) => unknown} */ wanted) =>
      columns.filter(wanted).map((c) => c.track ?? (c.figures ? "var(--figure)" : "minmax(0, 1fr)")).join(" ");
    this.head = element("div", { className: "row head", role: "row" });
    this.body = element("div", { className: "rows", role: "rowgroup" });
    this.scroll = element(
      "div",
      { className: "table", role: "grid", tabIndex: 0, "aria-label": name },
      this.head,
      this.body,
    );
    this.scroll.style.setProperty("--row", `${this.height}px`);
    this.scroll.style.setProperty("--columns", tracks((c) => !c.extra));
    this.scroll.style.setProperty("--columns-all", tracks(() => true));
    this.scroll.style.setProperty("--columns-phone", tracks((c) => !c.wide && !c.extra));
    this.empty = element("p", { className: "empty", hidden: this.rows.length > 0 }, "Nothing here.");
    into.replaceChildren(this.scroll, this.empty);
    /** Where the reader is in it, and how much is seen: kept, as to ask would have the browser lay out what has just been changed. */
    this.top = 0;
    this.seen = this.scroll.clientHeight;
    this.scroll.addEventListener("scroll", () => {
      this.top = this.scroll.scrollTop;
      this.draw();
    });
    this.scroll.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => {
      const { clientHeight } = this.scroll;
      if (this.seen === clientHeight) return;
      this.seen = clientHeight;
      this.draw();
    }).observe(this.scroll);
    /** The first row that is drawn. */
    this.first = 0;
    const [id, way] = sort.split(".");
    const column = Math.max(0, columns.findIndex((column) => column.id === id));
    this.sortBy = column;
    this.down = way ? way === "down" : columns[column].figures === true;
    this.#sort();
  }

  /**
   * @param {number} column
   * @param {boolean} down largest first
   */
  sort(column, down) {
    [this.sortBy, this.down] = [column, down];
    this.chosen = -1;
    this.#sort();
    this.onSort(`${this.columns[column].id}.${down ? "down" : "up"}`);
  }

  /**
   * Goes on with other rows, or other figures of them, where the reader is.
   * @param {readonly Column<R>[]} columns the same ones, of these figures
   * @param {readonly R[]} rows
   */
  fill(columns, rows) {
    const chosen = this.rows[this.chosen];
    [this.columns, this.rows] = [columns, [...rows]];
    this.empty.hidden = rows.length > 0;
    this.#order();
    this.chosen = chosen === undefined ? -1 : this.rows.indexOf(chosen);
    this.draw();
  }

  #sort() {
    this.#order();
    this.scroll.scrollTop = this.top = 0;
    this.#drawHead();
    this.draw();
  }

  #order() {
    const { by, figures } = this.columns[this.sortBy];
    const sign = this.down ? -1 : 1;
    const keyed = this.rows.map((row) => ({ row, key: by(row) }));
    if (figures) keyed.sort((a, b) => sign * (Number(a.key) - Number(b.key)));
    else keyed.sort((a, b) => sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.rows = keyed.map(({ row }) => row);
  }

  /** @param {number} index */
  choose(index) {
    this.chosen = index;
    const row = this.rows[index];
    if (row !== undefined) this.onChoose?.(row);
    this.draw();
  }

  /**
   * Shows a row as chosen.
   * @param {(row: R) => boolean} wanted
   * @param {boolean} reveals whether to bring it into sight
   */
  point(wanted, reveals) {
    const { chosen } = this;
    this.chosen = this.rows.findIndex(wanted);
    if (reveals && this.chosen >= 0) this.#reveal(this.chosen);
    if (reveals) this.draw();
    else if (this.chosen !== chosen) { for (const index of [chosen, this.chosen]) this.#tellChosen(index); }
  }

  /**
   * Says of a row that is drawn whether it is chosen.
   * @param {number} index
   */
  #tellChosen(index) {
    this.body.children[index - this.first]?.setAttribute("aria-selected", String(index === this.chosen));
  }

  #drawHead() {
    this.head.replaceChildren(...this.columns.map((column, i) => {
      const sorted = i === this.sortBy;
      return element(
        "button",
        {
          className: cellClass(column),
          type: "button",
          role: "columnheader",
          "aria-sort": sorted ? (this.down ? "descending" : "ascending") : "none",
          onclick: () => this.sort(i, sorted ? !this.down : column.figures === true),
        },
        column.title,
        element("span", { className: "arrow" }, sorted ? (this.down ? "\u2193" : "\u2191") : ""),
      );
    }));
  }

  draw() {
    const height = `${this.rows.length * this.height}px`;
    if (this.body.style.height !== height) this.body.style.height = height;
    const top = Math.min(this.top, Math.max(0, this.rows.length * this.height - this.seen));
    const first = this.first = Math.max(0, Math.floor(top / this.height) - 4);
    const last = Math.min(this.rows.length, first + Math.ceil(this.seen / this.height) + 8);
    this.scroll.setAttribute("aria-rowcount", String(this.rows.length));
    const made = [];
    for (let i = first; i < last; i++) made.push(this.#row(i));
    this.body.replaceChildren(...made);
  }

  /** @param {number} i */
  #row(i) {
    const row = this.rows[i];
    const line = element("div", {
      className: this.onChoose ? "row can-choose" : "row",
      role: "row",
      "aria-rowindex": i + 1,
      "aria-selected": this.onChoose !== undefined && i === this.chosen,
      onclick: () => this.choose(i),
    });
    line.style.transform = `translateY(${i * this.height}px)`;
    for (const column of this.columns) {
      line.append(element("div", {
        className: `${cellClass(column)} ${column.mark?.(row) ?? ""}`,
        role: "gridcell",
        title: column.hint?.(row) ?? "",
      }, ...column.cell?.(row) ?? [column.text(row)]));
    }
    return line;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / this.height) - 2);
    const last = this.rows.length - 1;
    const to = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = to[/** @type {keyof typeof to} */ (event.key)];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(last, this.chosen + step));
    this.#reveal(index);
    this.choose(index);
  }

  /** @param {number} index */
  #reveal(index) {
    const { scrollTop, clientHeight } = this.scroll;
    const top = index * this.height;
    // The head covers some of what is seen.
    const seen = clientHeight - this.head.offsetHeight;
    if (top < scrollTop) this.scroll.scrollTop = top;
    if (top + this.height > scrollTop + seen) this.scroll.scrollTop = top + this.height - seen;
    this.top = this.scroll.scrollTop;
  }
}

/** @param {Column<any>} column */
function cellClass({ figures, wide, extra }) {
  return ["cell", figures && "figure", wide && "wide", extra && "extra"].filter(Boolean).join(" ");
}
