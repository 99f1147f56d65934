// Functions with what they allocate themselves and what goes through them; of two runs, how that changed.
import { element } from "./dom.js";
import { baseName, bytes, count, shortName, signed } from "./format.js";
import { growth, placeCell, shareCell, sumOf, VIEW_FIGURES } from "./rows.js";

/**
 * A function, the call paths through it and those of them that end there.
 * @typedef {{ fn: number, place: number, paths: number[], ends: number[] }} FunctionRow
 */

/**
 * Functions, without their figures.
 * @param {import("./model.js").Model} model
 * @param {import("./stacks.js").Stacks} stacks
 * @param {Uint8Array | undefined} lit the functions wanted; all when left out
 * @returns {FunctionRow[]}
 */
export function functionRows(model, stacks, lit) {
  const names = model.data.functions.name;
  /** @type {(FunctionRow | undefined)[]} */
  const rows = new Array(names.length);
  /** @type {Map<string, FunctionRow>} */
  const alike = new Map();
  const seen = new Int32Array(names.length).fill(-1);
  const rowOf = (/** @type {number} */ fn, /** @type {number} */ place) => {
    const key = `${names[fn]}\0${baseName(model.moduleOf(fn))}`;
    let row = alike.get(key);
    if (!row) {
      row = { fn, place, paths: [], ends: [] };
      alike.set(key, row);
    }
    return row;
  };
  for (let p = 0; p < model.paths; p++) {
    const [first, end] = [stacks.starts[p], stacks.starts[p + 1]];
    for (let at = end - 1; at >= first; at--) {
      const fn = stacks.functions[at];
      const row = rows[fn] ??= rowOf(fn, stacks.places[at]);
      if (at === end - 1) row.ends.push(p);
      // A function that calls itself has its call path once.
      if (seen[row.fn] === p) continue;
      seen[row.fn] = p;
      row.paths.push(p);
    }
  }
  return [...alike.values()].filter(({ fn }) => !lit || lit[fn] === 1);
}

/**
 * Columns of the table of functions, the view's figures first.
 * @param {import("./model.js").Model} model
 * @param {import("./model.js").ViewName} view
 * @param {readonly import("./table.js").Column<FunctionRow>[]} curves
 * @returns {import("./table.js").Column<FunctionRow>[]}
 */
export function functionColumns(model, view, curves) {
  const { data } = model;
  const chosen = VIEW_FIGURES[view];
  const other = chosen !== "bytes" ? "bytes" : model.span ? "liveBytes" : "peakBytes";
  const titles = {
    peakBytes: "Peak",
    bytes: "Allocated",
    liveBytes: model.isGrowth ? "Grew" : "Live",
    temporary: "Temporary",
  };
  /** @typedef {keyof typeof titles} Figure */
  const show = (/** @type {Figure} */ figure) =>
    figure === "temporary"
      ? count
      : figure === "liveBytes" && model.isGrowth
      ? (/** @type {number} */ n) => signed(n, bytes)
      : bytes;
  const column = (
    /** @type {string} */ id,
    /** @type {string} */ title,
    /** @type {"ends" | "paths"} */ part,
    /** @type {Figure} */ figure,
    /** @type {boolean} */ wide,
  ) => {
    const [is, was] = [model.column(figure), model.column(figure, "before")];
    const whole = figure === chosen ? is.reduce((sum, n) => sum + Math.max(0, n), 0) : 0;
    const now = (/** @type {FunctionRow} */ row) => sumOf(is, row[part]);
    const change = (/** @type {FunctionRow} */ row) => now(row) - (model.isComparison ? sumOf(was, row[part]) : 0);
    const words = (/** @type {FunctionRow} */ row) =>
      model.isComparison ? signed(change(row), show(figure)) : show(figure)(now(row));
    return {
      id,
      title,
      figures: true,
      wide,
      track: figure === chosen ? "124px" : "116px",
      text: words,
      cell: (/** @type {FunctionRow} */ row) =>
        figure === chosen && !model.isComparison ? shareCell(words(row), now(row), whole) : [
          element("span", { className: "first" }, words(row)),
          element("span", { className: "second" }),
        ],
      by: change,
      mark: (/** @type {FunctionRow} */ row) =>
        change(row) === 0 ? "none" : model.isComparison ? growth(change(row)) : "",
    };
  };
  const name = (/** @type {FunctionRow} */ { fn }) => data.functions.name[fn];
  return [
    column("self", `${titles[chosen]}, self`, "ends", chosen, false),
    column("all", "with callees", "paths", chosen, true),
    {
      id: "function",
      title: "Function",
      text: (row) => shortName(name(row)),
      cell: (row) => placeCell(name(row), model.placeText(row.place), baseName(model.moduleOf(row.fn))),
      by: name,
      hint: (row) => [name(row), model.placeText(row.place), model.moduleOf(row.fn)].filter(Boolean).join("\n"),
    },
    ...curves,
    column("other-self", `${titles[other]}, self`, "ends", other, true),
    column("other-all", "with callees", "paths", other, true),
  ];
}
