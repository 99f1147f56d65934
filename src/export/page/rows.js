// Rows of call paths: those that read the same are one row.
import { element } from "./dom.js";
import { baseName, bytes, count, nameParts, share, shortName, signed } from "./format.js";

/** The figure of each view. */
export const VIEW_FIGURES = /** @type {const} */ ({
  peak: "peakBytes",
  allocated: "bytes",
  live: "liveBytes",
  temporary: "temporary",
});

/**
 * Call paths that read the same: the place that leads, the function that it called to allocate, and the place that
 * called it; -1 for what there is not.
 * @typedef {{ lead: number, called: number, from: number, paths: number[] }} PathRow
 */

/**
 * Numbers for what reads the same.
 * @param {readonly string[]} texts
 */
function alike(texts) {
  /** @type {Map<string, number>} */
  const numbers = new Map();
  return texts.map((text) => {
    const known = numbers.get(text);
    if (known === undefined) numbers.set(text, numbers.size);
    return known ?? numbers.size - 1;
  });
}

/** @type {WeakMap<import("./model.js").Model, { names: number[], places: number[] }>} */
const readings = new WeakMap();

/**
 * Numbers of functions and places that read the same.
 * @param {import("./model.js").Model} model
 */
function reading(model) {
  let known = readings.get(model);
  if (known?.places.length !== model.data.places.fn.length) {
    const names = alike(model.data.functions.name.map(shortName));
    const places = alike(model.data.places.fn.map((fn, place) => `${names[fn]} ${baseName(model.placeText(place))}`));
    readings.set(model, known = { names, places });
  }
  return known;
}

/**
 * Puts call paths together, without their figures.
 * @param {import("./model.js").Model} model
 * @param {import("./stacks.js").Stacks} stacks
 * @param {(path: number) => boolean} wanted
 * @returns {PathRow[]}
 */
export function pathRows(model, stacks, wanted) {
  const { data } = model;
  const { names, places } = reading(model);
  /** @type {Map<number, Map<number, PathRow>>} */
  const rows = new Map();
  /** @type {PathRow[]} */
  const all = [];
  for (let p = 0; p < model.paths; p++) {
    if (!wanted(p)) continue;
    const [lead, called, from] = [stacks.lead(p), stacks.called(p), stacks.from(p)];
    const place = (lead < 0 ? 0 : places[lead] + 1) * (data.places.fn.length + 1) + (from < 0 ? 0 : places[from] + 1);
    const via = called < 0 ? -1 : names[called];
    let same = rows.get(place);
    if (!same) rows.set(place, same = new Map());
    let row = same.get(via);
    if (!row) {
      same.set(via, row = { lead, called, from, paths: [] });
      all.push(row);
    }
    row.paths.push(p);
  }
  return all;
}

/**
 * What a figure comes to for some call paths. Of tens of thousands of rows it is asked for where they are sorted by it, or seen.
 * @param {Float64Array} column
 * @param {readonly number[]} paths
 */
export function sumOf(column, paths) {
  let sum = 0;
  for (let i = 0; i < paths.length; i++) sum += column[paths[i]];
  return sum;
}

/**
 * What a change is shown as.
 * @param {number} n
 */
export const growth = (n) => n > 0 ? "worse" : n < 0 ? "better" : "";

/**
 * A function and where it is, and beneath it another line.
 * @param {string} name
 * @param {string} where
 * @param {string} [beneath]
 */
export function placeCell(name, where, beneath = "") {
  const at = baseName(where);
  const [start, end] = nameParts(shortName(name));
  return [
    element(
      "span",
      { className: "first" },
      element(
        "span",
        { className: "name" },
        element("span", { className: "name-start" }, start),
        ...end ? [element("span", { className: "name-end" }, end)] : [],
      ),
      element("span", { className: "at" }, at),
    ),
    element(
      "span",
      { className: "second" },
      // Where the table is narrow there is no room for it beside the name.
      ...at ? [element("span", { className: "at-beneath" }, `${at} `)] : [],
      beneath,
    ),
  ];
}

/**
 * A figure with its share of all as a bar.
 * @param {string} text
 * @param {number} part
 * @param {number} whole
 */
export function shareCell(text, part, whole) {
  const bar = element("span", { className: "share-bar" });
  bar.style.width = `${whole > 0 ? Math.max(0, Math.min(100, 100 * part / whole)) : 0}%`;
  return [
    element("span", { className: "first" }, text),
    element(
      "span",
      { className: "second" },
      part > 0 ? share(part, whole) : "",
      element("span", { className: "share-track" }, bar),
    ),
  ];
}

/**
 * The columns of a row's function and of who called it.
 * @template {{ lead: number, from: number }} Row
 * @param {import("./model.js").Model} model
 * @param {(row: Row) => string} beneath what stands beneath the function's name
 * @param {(row: Row) => string} hint
 * @returns {import("./table.js").Column<Row>[]}
 */
export function placeColumns(model, beneath, hint) {
  const { functions, places } = model.data;
  const name = (/** @type {number} */ place) => place < 0 ? "" : functions.name[places.fn[place]];
  const where = (/** @type {number} */ place) => place < 0 ? "" : model.placeText(place);
  const module = (/** @type {number} */ place) => place < 0 ? "" : model.moduleOf(places.fn[place]);
  return [
    {
      id: "function",
      title: "Function",
      track: "minmax(0, 1.5fr)",
      text: ({ lead }) => lead < 0 ? "(not kept)" : name(lead),
      cell: (row) => placeCell(row.lead < 0 ? "(not kept)" : name(row.lead), where(row.lead), beneath(row)),
      by: ({ lead }) => name(lead),
      hint,
    },
    {
      id: "from",
      title: "Called from",
      wide: true,
      text: ({ from }) => name(from),
      cell: ({ from }) => from < 0 ? [] : placeCell(name(from), "", baseName(where(from))),
      by: ({ from }) => name(from),
      hint: ({ from }) => [name(from), where(from), module(from)].filter(Boolean).join("\n"),
    },
  ];
}

/**
 * Columns of a table of call paths, the view's figure first.
 * @param {import("./model.js").Model} model
 * @param {import("./model.js").ViewName} view
 * @param {readonly import("./table.js").Column<PathRow>[]} curves
 * @returns {import("./table.js").Column<PathRow>[]}
 */
export function pathColumns(model, view, curves) {
  const { data } = model;
  const name = (/** @type {number} */ place) => place < 0 ? "" : data.functions.name[data.places.fn[place]];
  const where = (/** @type {number} */ place) => place < 0 ? "" : model.placeText(place);
  const module = (/** @type {number} */ place) => place < 0 ? "" : model.moduleOf(data.places.fn[place]);
  const beneath = (/** @type {PathRow} */ { lead, called }) =>
    called < 0 ? baseName(module(lead)) : `via ${shortName(data.functions.name[called])}`;
  /** @type {[string, string, (n: number) => string][]} */
  const figures = [
    ["Peak", "peakBytes", bytes],
    ["Allocated", "bytes", bytes],
    [model.isGrowth ? "Grew" : "Live", "liveBytes", model.isGrowth ? (n) => signed(n, bytes) : bytes],
    ["Allocations", "allocations", count],
    ["Temporary", "temporary", count],
  ];
  const known = figures.filter(([, figure]) => figure in model.figures);
  const [first, ...rest] = known.sort(([, a], [, b]) =>
    Number(b === VIEW_FIGURES[view]) - Number(a === VIEW_FIGURES[view])
  );
  const figureColumn = (
    /** @type {[string, string, (n: number) => string]} */ [title, figure, show],
    /** @type {number} */ at,
  ) => {
    const [is, was] = [model.column(figure), model.column(figure, "before")];
    const now = (/** @type {PathRow} */ { paths }) => sumOf(is, paths);
    const before = (/** @type {PathRow} */ { paths }) => sumOf(was, paths);
    const change = (/** @type {PathRow} */ row) => model.isComparison ? now(row) - before(row) : now(row);
    const text = (/** @type {PathRow} */ row) => model.isComparison ? signed(change(row), show) : show(now(row));
    const all = at > 0 ? 0 : is.reduce((sum, n) => sum + Math.max(0, n), 0);
    return {
      id: figure,
      title,
      figures: true,
      wide: at > 0,
      extra: at > 2,
      track: at > 0 ? undefined : model.isComparison ? "170px" : "124px",
      text,
      cell: (/** @type {PathRow} */ row) =>
        at === 0 && !model.isComparison ? shareCell(text(row), now(row), all) : [
          element("span", { className: "first" }, text(row)),
          element(
            "span",
            { className: "second" },
            at === 0 ? `${show(before(row))} \u2192 ${show(now(row))}` : "",
          ),
        ],
      by: change,
      hint: (/** @type {PathRow} */ row) =>
        model.isComparison ? `${show(before(row))} \u2192 ${show(now(row))}` : count(now(row)),
      mark: (/** @type {PathRow} */ row) => change(row) === 0 ? "none" : model.isComparison ? growth(change(row)) : "",
    };
  };
  return [
    figureColumn(first, 0),
    ...placeColumns(
      model,
      beneath,
      (row) => [name(row.lead), where(row.lead), beneath(row), module(row.lead)].filter(Boolean).join("\n"),
    ),
    ...curves,
    ...rest.map((figure, i) => figureColumn(figure, i + 1)),
  ];
}
