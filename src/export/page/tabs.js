// The tables under their tabs; each is made when its tab is chosen, and again when what it shows changes.
import { liveColumn } from "./curve.js";
import { byId, element } from "./dom.js";
import { baseName, bytes, count, counted, shortName } from "./format.js";
import { functionColumns, functionRows } from "./functions.js";
import { processColumns } from "./processes.js";
import { pathColumns, pathRows, placeColumns, VIEW_FIGURES } from "./rows.js";
import { lifetimesOf } from "./lifetimes.js";
import { histogram } from "./sizes.js";
import { Stacks } from "./stacks.js";
import { Table } from "./table.js";
import { endOf, seriesOf } from "./timeline.js";

/** @typedef {import("./rows.js").PathRow} PathRow */
/**
 * A call path that mapped memory itself: its places, the innermost first, and those of them that a row tells; -1 for none.
 * @typedef {{ kind: string, lead: number, from: number, whole: number[], figures: Record<string, number> }} MappedRow
 */

/**
 * Columns of the table of threads.
 * @returns {import("./table.js").Column<Readonly<Record<string, string | number>>>[]}
 */
function threadColumns() {
  /** @type {[string, string, (n: number) => string, boolean][]} */
  const figures = [
    ["Allocated", "bytes", bytes, false],
    ["Allocations", "allocations", count, false],
    ["Frees", "frees", count, true],
    ["Live", "liveBytes", bytes, true],
    ["Temporary", "temporary", count, true],
    ["Freed by others", "freedByOthersBytes", bytes, true],
  ];
  return [
    ...figures.map(([title, figure, show, wide]) => ({
      id: figure,
      title,
      wide,
      figures: true,
      track: figure === "freedByOthersBytes" ? "132px" : undefined,
      text: (/** @type {Readonly<Record<string, string | number>>} */ row) => show(Number(row[figure])),
      by: (/** @type {Readonly<Record<string, string | number>>} */ row) => Number(row[figure]),
    })),
    {
      id: "tid",
      title: "Kernel's number",
      wide: true,
      figures: true,
      track: "132px",
      text: (row) => String(row.tid),
      by: (row) => Number(row.tid),
    },
    {
      id: "name",
      title: "Thread",
      text: (row) => String(row.name) || "(no name)",
      by: (row) => String(row.name),
    },
  ];
}

/**
 * What the program mapped itself.
 * @param {import("./model.js").Model} model
 * @param {boolean} folded
 * @returns {MappedRow[]}
 */
function mappedRows(model, folded) {
  const { mapped } = model.data;
  if (!mapped) return [];
  const stacks = new Stacks(model, folded, mapped.ends);
  return mapped.kinds.map((kind, p) => ({
    kind,
    lead: stacks.lead(p),
    from: stacks.from(p),
    whole: stacks.whole(p),
    figures: Object.fromEntries(Object.entries(mapped.figures).map(([name, column]) => [name, column[p]])),
  }));
}

/**
 * Columns of the table of what the program mapped itself.
 * @param {import("./model.js").Model} model
 * @returns {import("./table.js").Column<MappedRow>[]}
 */
function mappedColumns(model) {
  const { functions, places } = model.data;
  const name = (/** @type {number} */ place) => place < 0 ? "" : functions.name[places.fn[place]];
  const where = (/** @type {number} */ place) => place < 0 ? "" : model.placeText(place);
  const module = (/** @type {number} */ place) => place < 0 ? "" : baseName(model.moduleOf(places.fn[place]));
  const figure = (
    /** @type {string} */ id,
    /** @type {string} */ title,
    show = bytes,
    wide = true,
    track = "108px",
  ) => ({
    id,
    title,
    wide,
    figures: true,
    track,
    text: (/** @type {MappedRow} */ { figures }) => show(figures[id]),
    by: (/** @type {MappedRow} */ { figures }) => figures[id],
    hint: (/** @type {MappedRow} */ { figures }) => count(figures[id]),
  });
  return [
    figure("peakBytes", "At the peak", bytes, false, "112px"),
    { id: "kind", title: "Kind", wide: true, track: "86px", text: ({ kind }) => kind, by: ({ kind }) => kind },
    ...placeColumns(
      model,
      (/** @type {MappedRow} */ { lead }) => module(lead),
      ({ whole }) => whole.map((place) => [shortName(name(place)), baseName(where(place))].join(" ")).join("\n"),
    ),
    figure("liveBytes", "Mapped still"),
    figure("bytes", "In all", bytes, true, "84px"),
    figure("count", "Calls", count, true, "76px"),
  ];
}

/**
 * What is live and no leak.
 * @param {import("./data.ts").PageData["aside"]} aside
 */
function asideText(aside) {
  if (!aside) return "";
  const keep = aside.whose.includes(" and ") ? "keep" : "keeps";
  return `Set aside: ${bytes(aside.bytes)} in ${counted(aside.blocks, "block")} that ${aside.whose} ${keep}.`;
}

/**
 * @typedef {{ tab: string, view: import("./model.js").ViewName, run: import("./model.js").Run, stacks: import("./stacks.js").Stacks, sort: string,
 *   found: import("./model.js").Found | undefined, isLook: boolean }} TabState `isLook`: figures alone have changed
 */

/** Tabs that can show a moment, or what came between two. */
const OF_MOMENTS = ["paths", "functions"];

export class Tabs {
  /**
   * @param {import("./model.js").Model} model
   * @param {{ onTab: (id: string) => void, onSort: (sort: string) => void, onRow: (row: PathRow) => void,
   *   onFunction: (fn: number) => void }} told called when the reader chooses
   */
  constructor(model, told) {
    this.model = model;
    this.told = told;
    /** @type {Table<any> | undefined} */
    this.table = undefined;
    this.shown = "";
    /** Rows that were put together last, and of what. @type {{ of: unknown[], rows: any[] }} */
    this.kept = { of: [], rows: [] };
    const { data } = model;
    this.tabs = [
      { id: "paths", title: "Call paths" },
      { id: "functions", title: "Functions" },
      ...model.isComparison ? [] : [
        { id: "leaks", title: data.live },
        ...data.processes ? [{ id: "processes", title: "Processes", n: () => data.processes?.length }] : [],
        { id: "threads", title: "Threads", n: () => data.threads?.length },
        ...data.mapped ? [{ id: "mapped", title: "Mapped", n: () => data.mapped?.kinds.length }] : [],
        ...data.sizes ? [{ id: "sizes", title: "Sizes" }] : [],
        ...data.lifetimes ? [{ id: "lifetimes", title: "Lifetimes" }] : [],
      ],
    ];
    byId("tabs").append(...this.tabs.map(({ id, title }) =>
      element(
        "button",
        {
          id: `tab-${id}`,
          type: "button",
          role: "tab",
          "aria-controls": "table",
          onclick: () => told.onTab(id),
        },
        title,
        element("span", { className: "count", hidden: true }),
      )
    ));
    byId("tabs").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && document.activeElement?.[step > 0 ? "nextElementSibling" : "previousElementSibling"];
      if (!(next instanceof HTMLElement) || next.hidden) return;
      next.focus();
      next.click();
    });
  }

  /** Whether there is a tab of that name. */
  has(/** @type {string} */ tab) {
    return this.tabs.some(({ id }) => id === tab) && (!this.model.span || OF_MOMENTS.includes(tab));
  }

  /** Whether rows of call paths are shown, of which one may be chosen. */
  get hasPaths() {
    return this.shown === "paths" || this.shown === "leaks";
  }

  /** How the table is sorted. */
  get sorted() {
    const { table } = this;
    return table ? `${table.columns[table.sortBy].id}.${table.down ? "down" : "up"}` : "";
  }

  /** @param {TabState} state */
  show(state) {
    const { tab, view, run, sort, stacks, found } = state;
    const { model, told } = this;
    const into = byId("table");
    this.shown = tab;
    for (const button of byId("tabs").children) {
      button.toggleAttribute("hidden", !this.has(button.id.replace("tab-", "")));
      button.setAttribute("aria-selected", String(button.id === `tab-${tab}`));
      button.setAttribute("tabindex", button.id === `tab-${tab}` ? "0" : "-1");
    }
    // Of a page that is served there are more from look to look.
    for (const { id, n } of this.tabs) if (n) this.#count(id, n() ?? 0);
    const title = this.tabs.find(({ id }) => id === tab)?.title ?? "";
    const options = { name: title, sort, onSort: told.onSort };
    const curves = liveColumn(model, endOf(model.data, seriesOf(model.data)));
    const before = state.isLook ? this.table : undefined;
    this.table = undefined;
    /**
     * @template R
     * @param {readonly import("./table.js").Column<R>[]} columns
     * @param {readonly R[]} rows
     * @param {{ lines: 1 | 2, sort?: string, onChoose?: (row: R) => void }} more
     */
    const put = (columns, rows, more) => {
      before?.fill(columns, rows);
      this.table = before ?? new Table(into, columns, rows, { ...options, ...more });
    };
    if (tab === "paths" || tab === "leaks") {
      const live = model.column("liveBytes");
      const aside = new Set(tab === "leaks" ? model.data.aside?.paths : []);
      const wanted = (/** @type {number} */ p) => {
        return tab === "leaks" ? live[p] > 0 && !aside.has(p) : run !== "change" || model.hasChanged(p);
      };
      const all = this.#keep(
        state,
        () => pathRows(model, stacks, (p) => (!found || found.paths[p] === 1) && wanted(p)),
      );
      const rows = model.span ? all.filter(({ paths }) => model.shows(paths)) : all;
      const shown = tab === "leaks" ? "live" : view;
      put(pathColumns(model, shown, curves), rows, {
        lines: 2,
        sort: sort || VIEW_FIGURES[shown],
        onChoose: told.onRow,
      });
      if (aside.size > 0 && !before) into.append(element("p", { className: "aside" }, asideText(model.data.aside)));
      this.#count(tab, rows.length);
    } else if (tab === "functions") {
      const all = this.#keep(state, () => functionRows(model, stacks, found && stacks.lit(found)));
      const rows = model.span ? all.filter(({ paths }) => model.shows(paths)) : all;
      put(functionColumns(model, view, curves), rows, {
        lines: 2,
        onChoose: ({ fn }) => told.onFunction(fn),
      });
      this.#count(tab, rows.length);
    } else if (tab === "processes") {
      const processes = model.data.processes ?? [];
      put(processColumns(processes), processes, { lines: 2 });
    } else if (tab === "mapped") {
      const rows = mappedRows(model, stacks.folded)
        .filter(({ whole }) => !found || whole.some((place) => found.places[place]));
      put(mappedColumns(model), rows, { lines: 2 });
      this.#count(tab, rows.length);
    } else if (tab === "sizes" || tab === "lifetimes") {
      const paths = Array.from({ length: model.paths }, (_, p) => p).filter((p) => !found || found.paths[p] === 1);
      into.replaceChildren(...tab === "sizes" ? histogram(model, paths) : lifetimesOf(model, paths));
    } else {
      put(threadColumns(), model.data.threads ?? [], { lines: 1 });
    }
  }

  /**
   * What was put together last, where the same is wanted and figures alone have changed.
   * @template R
   * @param {TabState} state
   * @param {() => R[]} make
   * @returns {R[]}
   */
  #keep({ tab, run, stacks, found, isLook }, make) {
    // Which call paths are live changes with figures.
    if (isLook && tab === "leaks") this.kept.of = [];
    const of = [tab, run, stacks, found];
    if (!of.every((part, i) => this.kept.of[i] === part)) this.kept = { of, rows: make() };
    return this.kept.rows;
  }

  /**
   * @param {string} tab
   * @param {number} n
   */
  #count(tab, n) {
    const shown = byId(`tab-${tab}`).lastElementChild;
    if (!(shown instanceof HTMLElement)) return;
    shown.textContent = count(n);
    shown.hidden = false;
  }

  /**
   * The row that a path is in, shown as chosen; the first when the path is in none.
   * @param {number} path
   * @param {boolean} [reveals] whether to bring it into sight
   * @returns {PathRow | undefined}
   */
  rowOf(path, reveals = true) {
    const table = /** @type {Table<PathRow> | undefined} */ (this.table);
    if (!this.hasPaths || !table?.rows[0]) return undefined;
    const { [table.chosen]: chosen } = table.rows;
    const row = path < 0
      ? table.rows[0]
      : chosen?.paths.includes(path)
      ? chosen
      : table.rows.find(({ paths }) => paths.includes(path)) ?? table.rows[0];
    table.point((other) => other === row, reveals);
    return row;
  }
}
