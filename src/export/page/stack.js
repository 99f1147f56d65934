// The stack of a row of call paths, with what is folded away and the source lines beside its functions.
import { element } from "./dom.js";
import { baseName, bytes, count, counted, shortName, signed } from "./format.js";
import { VIEW_FIGURES } from "./rows.js";
import { lifetimesOf } from "./lifetimes.js";
import { histogram } from "./sizes.js";
import { sourceAround } from "./source.js";

/** @typedef {{ model: import("./model.js").Model, stacks: import("./stacks.js").Stacks, onFunction: (fn: number) => void }} StackContext */

/**
 * A call path's figures in words.
 * @param {import("./model.js").Model} model
 * @param {readonly number[]} paths
 * @param {import("./model.js").Run} [run]
 */
function figuresText(model, paths, run) {
  const sum = (/** @type {string} */ name) => paths.reduce((all, p) => all + model.column(name, run)[p], 0);
  const allocated = `${bytes(sum("bytes"))} in ${counted(sum("allocations"), "allocation")}`;
  const live = model.isGrowth ? `${signed(sum("liveBytes"), bytes)} live` : `${bytes(sum("liveBytes"))} live`;
  if (model.span) return `${allocated}, ${live}`;
  return [allocated, `${bytes(sum("peakBytes"))} at the peak`, live, `${count(sum("temporary"))} temporary`].join(", ");
}

/**
 * A stack as text: figures, then a line for each function, the innermost first.
 * @param {import("./model.js").Model} model
 * @param {import("./stacks.js").Stacks} stacks
 * @param {number} path
 */
function stackText(model, stacks, path) {
  const { functions, places } = model.data;
  const lines = stacks.whole(path).map((place) => {
    const where = model.placeText(place) || model.moduleOf(places.fn[place]);
    return `  ${functions.name[places.fn[place]]}${where ? `  ${where}` : ""}`;
  });
  return [figuresText(model, [path]), ...lines].join("\n") + "\n";
}

/**
 * Puts a text on the clipboard, also where a page from a file may not use the newer way.
 * @param {string} text
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = /** @type {HTMLTextAreaElement} */ (element("textarea", { value: text, className: "for-copy" }));
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("the browser did not let the page copy");
  }
}

/**
 * @param {StackContext} context
 * @param {number} place
 */
function frameItem({ model, onFunction }, place) {
  const { functions, places } = model.data;
  const fn = places.fn[place];
  const where = model.placeText(place);
  return element(
    "li",
    { className: model.own[fn] ? "own" : "" },
    element("button", {
      className: "frame",
      type: "button",
      title: `Callers and callees of ${functions.name[fn]}`,
      onclick: () => onFunction(fn),
    }, shortName(functions.name[fn])),
    element(
      "span",
      { className: "where", title: where },
      [where && baseName(where), baseName(model.moduleOf(fn))].filter(Boolean).join(" \u00b7 "),
    ),
    ...model.own[fn] ? sourceAround(model, place) : [],
  );
}

/**
 * The frames of a path, those that are not the user's own behind a word that says how many.
 * @param {StackContext} context
 * @param {number} path
 */
function frameList(context, path) {
  const { model, stacks } = context;
  const { functions, places } = model.data;
  /** @type {HTMLElement[]} */
  const items = [];
  /** @type {number[]} */
  let folded = [];
  const all = stacks.whole(path);
  const hasOwn = all.some((place) => model.own[places.fn[place]]);
  const unfold = () => {
    if (folded.length === 0) return;
    const list = folded.map((place) => frameItem(context, place));
    // An interpreter's loop is below every script's function: what it called says more.
    const telling = folded.findLast((place) => model.kindOf(places.fn[place]) !== "runtime") ??
      folded[folded.length - 1];
    const shown = shortName(functions.name[places.fn[telling]]);
    const name = folded.length > 1 ? `${shown} and ${folded.length - 1} more` : shown;
    items.push(element(
      "li",
      { className: "folded" },
      element("details", {}, element("summary", {}, name), element("ol", {}, ...list)),
    ));
    folded = [];
  };
  for (const place of all) {
    if (stacks.folded && hasOwn && !model.own[places.fn[place]]) folded.push(place);
    else {
      unfold();
      items.push(frameItem(context, place));
    }
  }
  unfold();
  return items;
}

/**
 * What stands beside a table for a row: one of its stacks at a time.
 * @param {StackContext} context
 * @param {import("./rows.js").PathRow} row
 * @param {import("./model.js").ViewName} view
 * @returns {HTMLElement[]}
 */
export function stackView(context, row, view) {
  const { model, stacks } = context;
  const column = model.column(VIEW_FIGURES[view]);
  const first = row.paths.reduce((most, p) => column[p] > column[most] ? p : most);
  /** @type {number[] | undefined} */
  let sorted;
  const { paths } = row;
  const into = element("div", {});
  let at = 0;
  const draw = () => {
    // There may be thousands: they are put in order when more than one is asked for.
    if (at > 0) sorted ??= [...paths].sort((a, b) => column[b] - column[a]);
    const path = at > 0 && sorted ? sorted[at] : first;
    const items = frameList(context, path);
    const step = (/** @type {number} */ by, /** @type {string} */ sign, /** @type {string} */ label) =>
      element("button", {
        type: "button",
        "aria-label": label,
        disabled: at + by < 0 || at + by >= paths.length,
        onclick: () => {
          at += by;
          draw();
        },
      }, sign);
    const copy = element("button", {
      type: "button",
      className: "copy",
      onclick: () =>
        copyText(stackText(model, stacks, path)).then(
          () => copy.textContent = "Copied",
          (error) => copy.textContent = error.message,
        ),
    }, "Copy stack");
    const figures = (/** @type {import("./model.js").Run} */ run) => figuresText(model, [path], run);
    into.replaceChildren(
      element(
        "div",
        { className: "panel-bar" },
        ...paths.length > 1
          ? [
            step(-1, "\u2039", "Previous stack"),
            element("span", { className: "where" }, `${at + 1} of ${counted(paths.length, "stack")}`),
            step(1, "\u203a", "Next stack"),
          ]
          : [],
        copy,
      ),
      element("p", { className: "figures" }, `${model.isComparison ? "Later: " : ""}${figures("after")}`),
      ...model.isComparison ? [element("p", { className: "figures" }, `Earlier: ${figures("before")}`)] : [],
      items.length > 0
        ? element("ol", { className: "stack" }, ...items)
        : element("p", { className: "empty" }, "No frame was kept."),
      ...histogram(model, paths.length > 1 ? row.paths : [path]),
      ...lifetimesOf(model, paths.length > 1 ? row.paths : [path]),
    );
  };
  draw();
  return [into];
}
