// The page: puts the parts together and passes on what the reader chooses.
import { baseName, byId, bytes, count, counted, element, isDark, share, shortName, signed, Slices } from "./format.js";
import { Flame } from "./flame.js";
import { Model, readData } from "./model.js";
import { Table } from "./table.js";
import { drawTimeline } from "./timeline.js";

/** @typedef {import("./model.js").ViewName} ViewName */

/** What a search may take until the reader has typed on, milliseconds. */
const TYPING = 120;

/** @param {Model} model */
function drawHead(model) {
  const { data } = model;
  byId("title").textContent = data.title;
  byId("facts").textContent = data.facts.join(" \u00b7 ");
  byId("notes").append(...data.notes.map((note) => element("li", {}, note)));
  /** @type {[string, string, (n: number) => string][]} */
  const cards = [
    ["Allocations", "allocations", count],
    ["Allocated", "bytes", bytes],
    ["Peak", "peakBytes", bytes],
    [data.live, "liveBytes", bytes],
    ["Temporary", "temporary", count],
  ];
  byId("cards").append(...cards.map(([title, figure, show]) => {
    const is = data.totals[figure];
    const was = data.before?.[figure];
    const change = was === undefined ? 0 : is - was;
    const note = was === undefined
      ? figure === "liveBytes"
        ? `in ${counted(data.totals.liveCount, "block")}`
        : figure === "temporary"
        ? `${share(is, data.totals.allocations) || "0%"} of allocations`
        : ""
      : change === 0
      ? "the same"
      : `${signed(change, show)}${was > 0 ? ` (${signed(100 * change / was, (n) => n.toFixed(1))}%)` : ""}`;
    return element(
      "div",
      { className: "card" },
      element("dt", {}, title),
      element("dd", {}, show(is)),
      element("p", { className: change > 0 ? "worse" : change < 0 ? "better" : "" }, note),
    );
  }));
}

/**
 * The stack of a call path, beside the table.
 * @param {Model} model
 * @param {number | undefined} path
 * @param {(text: string) => void} find
 */
function drawStack(model, path, find) {
  const into = byId("stack");
  if (path === undefined) {
    into.replaceChildren(element("p", { className: "empty" }, "No call path is chosen."));
    return;
  }
  const { functions } = model.data;
  const frames = model.stack(path).map((place) => {
    const fn = model.data.places.fn[place];
    const where = model.placeText(place);
    const module = baseName(model.data.modules[functions.module[fn]] ?? "");
    return element(
      "li",
      {},
      element("button", {
        className: "frame",
        title: `Search for ${functions.name[fn]}`,
        onclick: () => find(functions.name[fn]),
      }, shortName(functions.name[fn])),
      element(
        "span",
        { className: "where", title: where },
        [where && baseName(where), module].filter(Boolean).join(" \u00b7 "),
      ),
    );
  });
  const figures = (/** @type {boolean} */ before) =>
    [
      `${bytes(model.column("bytes", before)[path])} in ${
        counted(model.column("allocations", before)[path], "allocation")
      }`,
      `${bytes(model.column("peakBytes", before)[path])} at the peak`,
      `${bytes(model.column("liveBytes", before)[path])} live`,
      `${count(model.column("temporary", before)[path])} temporary`,
    ].join(", ");
  into.replaceChildren(
    element("h3", {}, "Stack"),
    element("p", { className: "figures" }, `${model.isComparison ? "Later: " : ""}${figures(false)}`),
    ...model.isComparison ? [element("p", { className: "figures" }, `Earlier: ${figures(true)}`)] : [],
    frames.length > 0 ? element("ol", {}, ...frames) : element("p", { className: "empty" }, "No frame was kept."),
    ...histogram(model, [path]),
  );
}

/**
 * How large the requests of some call paths were, as bars.
 * @param {Model} model
 * @param {readonly number[]} paths
 */
function histogram(model, paths) {
  const { sizes } = model.data;
  if (!sizes) return [];
  const sums = sizes.names.map((_, i) => paths.reduce((sum, p) => sum + sizes.requests[p][i], 0));
  const all = sums.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...sums);
  const slack = paths.reduce((sum, p) => sum + sizes.slack[p], 0);
  const bars = sums.flatMap((n, i) => {
    if (n === 0) return [];
    const bar = element("span", { className: "size-bar" });
    bar.style.width = `${100 * n / most}%`;
    return [
      element("span", { className: "figure" }, sizes.names[i]),
      element("span", { className: "size-track" }, bar),
      element("span", { className: "figure" }, `${count(n)} \u00b7 ${share(n, all)}`),
    ];
  });
  const known = paths.every((p) => sizes.slack[p] >= 0);
  return [
    element("h3", {}, "Sizes of requests"),
    element("div", { className: "sizes" }, ...bars),
    element(
      "p",
      { className: "where" },
      known
        ? `Slack: the allocator gave ${bytes(slack)} beyond what was asked for.`
        : "Slack is not known: the allocator does not tell.",
    ),
  ];
}

/** @param {number} n */
const growth = (n) => n > 0 ? "worse" : n < 0 ? "better" : "";

/** The column of a table of call paths that shows a view. */
const VIEW_COLUMNS = { peak: 0, allocated: 1, live: 3, temporary: 4 };

/**
 * Columns of a table of call paths.
 * @param {Model} model
 * @returns {import("./table.js").Column<number>[]}
 */
function pathColumns(model) {
  const { functions } = model.data;
  const name = (/** @type {number} */ p) => model.innermost(p) < 0 ? "(not kept)" : functions.name[model.innermost(p)];
  const called = { title: "Function", text: (/** @type {number} */ p) => shortName(name(p)), by: name, hint: name };
  /** @type {[string, string, (n: number) => string, boolean][]} */
  const figures = [
    ["Peak", "peakBytes", bytes, false],
    ["Allocated", "bytes", bytes, false],
    ["Allocations", "allocations", count, true],
    ["Live", "liveBytes", bytes, true],
    ["Temporary", "temporary", count, true],
  ];
  return [
    ...figures.map(([title, figure, show, wide]) => {
      const [is, was] = [model.column(figure), model.column(figure, true)];
      const change = (/** @type {number} */ p) => model.isComparison ? is[p] - was[p] : is[p];
      return {
        title,
        wide,
        figures: true,
        text: (/** @type {number} */ p) => model.isComparison ? signed(change(p), show) : show(is[p]),
        by: change,
        hint: (/** @type {number} */ p) =>
          model.isComparison ? `${show(was[p])} \u2192 ${show(is[p])}` : `${count(is[p])}`,
        mark: (/** @type {number} */ p) => model.isComparison ? growth(change(p)) : is[p] === 0 ? "none" : "",
      };
    }),
    called,
  ];
}

/** @typedef {{ fn: number, self: Float64Array, all: Float64Array }} FunctionRow */

/**
 * Functions with what they allocate themselves and what goes through them.
 * @param {Model} model
 * @returns {FunctionRow[]}
 */
function functionRows(model) {
  const figures = ["peakBytes", "bytes", "liveBytes"].map((name) => model.column(name));
  /** @type {FunctionRow[]} */
  const rows = model.data.functions.name.map((_, fn) => ({
    fn,
    self: new Float64Array(figures.length),
    all: new Float64Array(figures.length),
  }));
  const seen = new Int32Array(rows.length).fill(-1);
  for (let p = 0; p < model.paths; p++) {
    for (let at = model.starts[p]; at < model.starts[p + 1]; at++) {
      const fn = model.functions[at];
      // A function that calls itself has its call path once.
      if (seen[fn] === p) continue;
      seen[fn] = p;
      figures.forEach((column, i) => rows[fn].all[i] += column[p]);
    }
    const inner = model.innermost(p);
    if (inner >= 0) figures.forEach((column, i) => rows[inner].self[i] += column[p]);
  }
  return rows;
}

/**
 * Columns of the table of functions.
 * @param {Model} model
 * @returns {import("./table.js").Column<FunctionRow>[]}
 */
function functionColumns(model) {
  const figure = (
    /** @type {string} */ title,
    /** @type {"self" | "all"} */ part,
    /** @type {number} */ i,
    wide = false,
  ) => ({
    title,
    wide,
    figures: true,
    text: (/** @type {FunctionRow} */ row) => bytes(row[part][i]),
    by: (/** @type {FunctionRow} */ row) => row[part][i],
    mark: (/** @type {FunctionRow} */ row) => row[part][i] === 0 ? "none" : "",
  });
  return [
    figure("Peak, self", "self", 0),
    figure("with callees", "all", 0),
    figure("Allocated, self", "self", 1, true),
    figure("with callees", "all", 1, true),
    figure("Live, self", "self", 2, true),
    {
      title: "Function",
      text: (row) => shortName(model.functionName(row.fn)),
      by: (row) => model.functionName(row.fn),
      hint: (row) => model.functionName(row.fn),
    },
    {
      title: "Module",
      wide: true,
      text: (row) => baseName(model.moduleOf(row.fn)),
      by: (row) => model.moduleOf(row.fn),
      hint: (row) => model.moduleOf(row.fn),
    },
  ];
}

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
    ["Live", "liveBytes", bytes, false],
    ["Temporary", "temporary", count, true],
    ["Freed by others", "freedByOthersBytes", bytes, true],
  ];
  return [
    ...figures.map(([title, figure, show, wide]) => ({
      title,
      wide,
      figures: true,
      text: (/** @type {Readonly<Record<string, string | number>>} */ row) => show(Number(row[figure])),
      by: (/** @type {Readonly<Record<string, string | number>>} */ row) => Number(row[figure]),
    })),
    {
      title: "Kernel's number",
      wide: true,
      figures: true,
      text: (row) => String(row.tid),
      by: (row) => Number(row.tid),
    },
    { title: "Thread", text: (row) => String(row.name) || "(no name)", by: (row) => String(row.name) },
  ];
}

/**
 * The tables under their tabs; each is made when its tab is chosen.
 * @param {Model} model
 * @param {(text: string) => void} find
 */
function makeTables(model, find) {
  /** @type {Table<any> | undefined} */
  let table;
  /** @type {ReturnType<Model["search"]> | undefined} */
  let found;
  const live = model.column("liveBytes");
  const paths = Array.from({ length: model.paths }, (_, p) => p);
  const leaks = paths.filter((p) => live[p] > 0);
  const tabs = [
    { id: "paths", title: `Call paths`, count: paths.length },
    ...model.isComparison ? [] : [
      { id: "functions", title: "Functions", count: model.data.functions.name.length },
      { id: "leaks", title: model.data.live, count: leaks.length },
      { id: "threads", title: "Threads", count: model.data.threads?.length ?? 0 },
      ...model.data.sizes ? [{ id: "sizes", title: "Sizes", count: -1 }] : [],
    ],
  ];
  let shown = "paths";
  /** @type {ViewName} */
  let view = model.data.view;
  const make = (/** @type {string} */ id) => {
    const into = byId("table");
    const onChoose = (/** @type {number | undefined} */ path) => drawStack(model, path, find);
    if (id === "paths") {
      return new Table(into, pathColumns(model), paths, {
        sortBy: VIEW_COLUMNS[view],
        onChoose,
        name: "Call paths",
      });
    }
    if (id === "leaks") {
      return new Table(into, pathColumns(model), leaks, { sortBy: VIEW_COLUMNS.live, onChoose, name: model.data.live });
    }
    if (id === "functions") {
      const columns = functionColumns(model);
      return new Table(into, columns, functionRows(model), { sortBy: 0, name: "Functions" });
    }
    return new Table(into, threadColumns(), model.data.threads ?? [], { sortBy: 0, name: "Threads" });
  };
  const showSizes = () =>
    byId("table").replaceChildren(...histogram(model, found ? paths.filter((p) => found?.paths[p] === 1) : paths));
  const filter = () => {
    if (shown === "sizes") showSizes();
    else if (shown === "functions") table?.keep((row) => !found || found.functions[row.fn] === 1);
    else if (shown !== "threads") table?.keep((path) => !found || found.paths[path] === 1);
  };
  const show = (/** @type {string} */ id) => {
    shown = id;
    table = id === "sizes" ? undefined : make(id);
    const hasStack = id === "paths" || id === "leaks";
    byId("stack").hidden = !hasStack;
    byId("beside").classList.toggle("alone", !hasStack);
    for (const button of byId("tabs").children) {
      button.setAttribute("aria-selected", String(button.id === `tab-${id}`));
    }
    if (found || id === "sizes") filter();
  };
  byId("tabs").append(
    ...tabs.map(({ id, title, count: n }) =>
      element(
        "button",
        {
          id: `tab-${id}`,
          role: "tab",
          "aria-controls": "table",
          onclick: () => show(id),
        },
        title,
        element("span", { className: "count", hidden: n < 0 }, count(n)),
      )
    ),
  );
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step && document.activeElement?.[step > 0 ? "nextElementSibling" : "previousElementSibling"];
    if (!(next instanceof HTMLElement)) return;
    next.focus();
    next.click();
  });
  show("paths");
  return {
    /** @param {ReturnType<Model["search"]> | undefined} result */
    mark(result) {
      found = result;
      filter();
    },
    /** @param {ViewName} chosen */
    sortBy(chosen) {
      view = chosen;
      if (shown === "paths") table?.sort(VIEW_COLUMNS[view]);
    },
  };
}

/**
 * A pattern from what was typed: a regular expression, or the text itself where it is none.
 * @param {string} text
 */
function patternOf(text) {
  try {
    return { pattern: new RegExp(text, /[A-Z]/.test(text) ? "" : "i"), isLiteral: false };
  } catch {
    return { pattern: new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i"), isLiteral: true };
  }
}

async function start() {
  const slices = new Slices();
  const data = await readData();
  await slices.rest();
  const model = new Model(data);
  drawHead(model);
  await slices.rest();
  if (!drawTimeline(byId("timeline"), model.data)) byId("timeline-section").hidden = true;
  const details = byId("details");
  const flame = new Flame(model, (node) => {
    details.replaceChildren(
      ...node
        ? [
          element("strong", {}, shortName(flame.name(node))),
          element("span", { className: "figures" }, flame.describe(node)),
          element("span", { className: "where" }, node.fn < 0 ? "" : model.moduleOf(node.fn)),
        ]
        : [element("span", { className: "where" }, "Point at a function, or choose one with the arrow keys.")],
    );
  });
  const search = /** @type {HTMLInputElement} */ (byId("search"));
  await slices.rest();
  const tables = makeTables(model, (text) => find(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`));
  const answer = byId("matched");
  /** @type {ReturnType<Model["search"]> | undefined} */
  let result;
  let note = "";
  const tell = () => {
    if (!result) {
      answer.textContent = "";
      return;
    }
    const { figure, bytes: isBytes } = model.views[flame.view];
    const column = model.column(figure, flame.before);
    let [sum, all, n] = [0, 0, 0];
    for (let p = 0; p < model.paths; p++) {
      all += Math.max(0, column[p]);
      if (result.paths[p]) {
        sum += Math.max(0, column[p]);
        n++;
      }
    }
    answer.textContent = `${note}${share(sum, all) || "0.0%"} \u00b7 ${(isBytes ? bytes : count)(sum)} in ${
      counted(n, "call path")
    }`;
  };
  const look = async () => {
    const text = search.value.trim();
    const slices = new Slices();
    const { pattern, isLiteral } = patternOf(text);
    result = text ? model.search(pattern) : undefined;
    note = isLiteral ? "no regular expression, taken as it stands: " : "";
    tell();
    byId("clear").hidden = !text;
    if (slices.isUsedUp) await slices.rest();
    flame.mark(result?.functions);
    if (slices.isUsedUp) await slices.rest();
    tables.mark(result);
  };
  const find = (/** @type {string} */ text) => {
    search.value = text;
    look();
  };
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(look, TYPING);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") look();
    if (event.key === "Escape") find("");
  });
  byId("clear").addEventListener("click", () => find(""));
  choices("views", Object.entries(model.views).map(([id, view]) => [id, view.title]), data.view, (id) => {
    flame.show({ view: /** @type {ViewName} */ (id) });
    tables.sortBy(/** @type {ViewName} */ (id));
    tell();
  });
  choices(
    "direction",
    [["outer", "Callers first"], ["inner", "Allocators first"]],
    "outer",
    (id) => flame.show({ inverted: id === "inner" }),
  );
  if (model.isComparison) {
    choices("run", [["after", "Sized by the later run"], ["before", "by the earlier"]], "after", (id) => {
      flame.show({ before: id === "before" });
      tell();
    });
  }
  byId("legend").append(...flame.legend());
  byId("reset").addEventListener("click", () => flame.zoom(flame.tree.root));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target === search) return;
    event.preventDefault();
    search.focus();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => flame.draw());
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    flame.draw();
  });
  flame.onPick(undefined);
  await flame.layOut();
  document.body.dataset.ready = "1";
}

/**
 * A group of buttons of which one is chosen.
 * @param {string} into
 * @param {readonly (readonly string[])[]} options
 * @param {string} chosen
 * @param {(id: string) => void} onChange
 */
function choices(into, options, chosen, onChange) {
  const group = byId(into);
  group.hidden = false;
  group.append(...options.map(([id, title]) =>
    element("button", {
      id: `${into}-${id}`,
      "aria-pressed": id === chosen,
      onclick: () => {
        for (const button of group.children) button.setAttribute("aria-pressed", String(button.id === `${into}-${id}`));
        onChange(id);
      },
    }, title)
  ));
}

start().catch((error) => {
  byId("title").textContent = `This page could not be drawn: ${error.message}`;
  throw error;
});
