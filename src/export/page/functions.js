// Functions with what they allocate themselves and what goes through them; of two runs, how that changed.
import { element } from "./dom.js";
import { baseName, bytes, count, shortName, signed } from "./format.js";
import { growth, placeCell, shareCell, sumsOf, VIEW_FIGURES } from "./rows.js";

/**
 * A function, the call paths through it and those of them that end there, and what these come to.
 * @typedef {{ fn: number, place: number, paths: number[], ends: number[], self: Float64Array, all: Float64Array }} FunctionRow
 */

const SUMS = ["peakBytes", "bytes", "liveBytes", "temporary"];

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
      row = { fn, place, paths: [], ends: [], self: new Float64Array(), all: new Float64Array() };
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
 * Adds up the figures of functions.
 * @param {import("./model.js").Model} model
 * @param {readonly FunctionRow[]} rows
 */
export function addUpFunctions(model, rows) {
  const runs = model.isComparison ? /** @type {const} */ (["after", "before"]) : /** @type {const} */ (["after"]);
  const columns = runs.flatMap((run) => SUMS.map((name) => model.column(name, run)));
  for (const row of rows) {
    row.self = sumsOf(columns, row.ends, row.self);
    row.all = sumsOf(columns, row.paths, row.all);
  }
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
  const chosen = SUMS.indexOf(VIEW_FIGURES[view]);
  const other = chosen !== 1 ? 1 : model.span ? 2 : 0;
  const whole = model.column(SUMS[chosen]).reduce((sum, n) => sum + Math.max(0, n), 0);
  const title = {
    peakBytes: "Peak",
    bytes: "Allocated",
    liveBytes: model.isGrowth ? "Grew" : "Live",
    temporary: "Temporary",
  };
  const show = (/** @type {number} */ i) =>
    SUMS[i] === "temporary"
      ? count
      : SUMS[i] === "liveBytes" && model.isGrowth
      ? (/** @type {number} */ n) => signed(n, bytes)
      : bytes;
  /** @typedef {"self" | "all"} Part */
  const change = (/** @type {FunctionRow} */ row, /** @type {Part} */ part, /** @type {number} */ i) =>
    row[part][i] - (model.isComparison ? row[part][SUMS.length + i] : 0);
  const words = (/** @type {FunctionRow} */ row, /** @type {Part} */ part, /** @type {number} */ i) =>
    model.isComparison ? signed(change(row, part, i), show(i)) : show(i)(row[part][i]);
  const figure = (
    /** @type {string} */ id,
    /** @type {string} */ text,
    /** @type {"self" | "all"} */ part,
    /** @type {number} */ i,
    /** @type {boolean} */ wide,
  ) => ({
    id,
    title: text,
    figures: true,
    wide,
    track: i === chosen ? "124px" : "116px",
    text: (/** @type {FunctionRow} */ row) => words(row, part, i),
    cell: (/** @type {FunctionRow} */ row) =>
      i === chosen && !model.isComparison ? shareCell(words(row, part, i), row[part][i], whole) : [
        element("span", { className: "first" }, words(row, part, i)),
        element("span", { className: "second" }),
      ],
    by: (/** @type {FunctionRow} */ row) => change(row, part, i),
    mark: (/** @type {FunctionRow} */ row) =>
      change(row, part, i) === 0 ? "none" : model.isComparison ? growth(change(row, part, i)) : "",
  });
  const name = (/** @type {FunctionRow} */ { fn }) => data.functions.name[fn];
  const named = /** @type {keyof typeof title} */ (SUMS[chosen]);
  const otherName = /** @type {keyof typeof title} */ (SUMS[other]);
  return [
    figure("self", `${title[named]}, self`, "self", chosen, false),
    figure("all", "with callees", "all", chosen, true),
    {
      id: "function",
      title: "Function",
      text: (row) => shortName(name(row)),
      cell: (row) => placeCell(name(row), model.placeText(row.place), baseName(model.moduleOf(row.fn))),
      by: name,
      hint: (row) => [name(row), model.placeText(row.place), model.moduleOf(row.fn)].filter(Boolean).join("\n"),
    },
    ...curves,
    figure("other-self", `${title[otherName]}, self`, "self", other, true),
    figure("other-all", "with callees", "all", other, true),
  ];
}
