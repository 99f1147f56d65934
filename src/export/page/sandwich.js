// Callers and callees of a function: who leads to it above, what it leads to below, each opened as far as wanted.
import { element } from "./dom.js";
import { baseName, bytes, count, counted, share, shortName, signed } from "./format.js";
import { Tree } from "./tree.js";

/** @typedef {import("./tree.js").TreeNode} TreeNode */
/**
 * @typedef {{ model: import("./model.js").Model, stacks: import("./stacks.js").Stacks,
 *   view: import("./model.js").ViewName, run: import("./model.js").Run, onFunction: (fn: number) => void,
 *   onFind: (name: string) => void, onUnfold: () => void }} SandwichContext
 */

/** Levels that open by themselves where there is one way to go. */
const OPENED = 5;
/** Functions that a level shows until the rest is asked for. */
const FIRST = 8;

/**
 * One side: the functions that come next, as a tree that opens.
 * @param {SandwichContext} context
 * @param {Tree} tree
 * @param {TreeNode} node
 * @param {string} rest what the part is called that has no next function
 */
function level(context, tree, node, rest) {
  const { model, view, run } = context;
  const { figure, bytes: isBytes } = model.views[view];
  const show = isBytes ? bytes : count;
  const value = (/** @type {TreeNode} */ at) => tree.sum(at, figure, run);
  const whole = value(tree.root);
  const kids = tree.kids(node).filter((kid) => value(kid) > 0).sort((a, b) => value(b) - value(a));
  const left = value(node) - kids.reduce((sum, kid) => sum + value(kid), 0);
  const list = element("ul", { className: "level" });
  const line = (/** @type {Node} */ name, /** @type {number} */ n, /** @type {string} */ text) => {
    const bar = element("span", { className: "share-bar" });
    bar.style.width = `${whole > 0 ? 100 * n / whole : 0}%`;
    return [
      element("span", { className: "name" }, name),
      element("span", { className: "figure" }, text, " ", element("span", { className: "part" }, share(n, whole))),
      element("span", { className: "share-track" }, bar),
    ];
  };
  const item = (/** @type {TreeNode} */ kid) => {
    const row = element("li", {});
    const toggle = element("button", {
      type: "button",
      className: "toggle",
      "aria-expanded": false,
      "aria-label": `Show what is beyond ${model.functionName(kid.fn)}`,
      onclick: () => {
        const open = row.querySelector(":scope > ul");
        toggle.setAttribute("aria-expanded", String(!open));
        if (open) open.remove();
        else row.append(level(context, tree, kid, rest));
      },
    });
    const place = model.placeText(tree.places(kid)[0]);
    const name = element(
      "button",
      {
        type: "button",
        className: "frame",
        title: [model.functionName(kid.fn), place].filter(Boolean).join("\n"),
        onclick: () => context.onFunction(kid.fn),
      },
      shortName(model.functionName(kid.fn)),
      " ",
      element("span", { className: "at" }, baseName(place)),
    );
    const text = model.isComparison
      ? signed(tree.sum(kid, figure) - tree.sum(kid, figure, "before"), show)
      : show(value(kid));
    row.append(element("div", { className: "line" }, toggle, ...line(name, value(kid), text)));
    return row;
  };
  const [only] = kids;
  const add = (/** @type {readonly TreeNode[]} */ some) => list.append(...some.map(item));
  add(kids.slice(0, FIRST));
  // Where all goes one way, the way is shown.
  if (kids.length === 1 && left <= whole / 1000 && node.depth < OPENED && tree.kids(only).length > 0) {
    /** @type {HTMLElement | null} */ (list.querySelector(".toggle"))?.click();
  }
  if (left > whole / 1000) {
    list.append(
      element(
        "li",
        { className: "rest" },
        element(
          "div",
          { className: "line" },
          element("span", { className: "toggle" }),
          ...line(document.createTextNode(rest), left, show(left)),
        ),
      ),
    );
  }
  if (kids.length > FIRST) {
    const more = element("button", {
      type: "button",
      className: "more-kids",
      onclick: () => {
        more.remove();
        add(kids.slice(FIRST));
      },
    }, counted(kids.length - FIRST, "more function"));
    list.append(more);
  }
  return list;
}

/**
 * What stands beside the tables and the graph for a function.
 * @param {SandwichContext} context
 * @param {number} fn
 * @returns {HTMLElement[]}
 */
export function sandwichView(context, fn) {
  const { model, stacks, view, run } = context;
  const { figure, bytes: isBytes, blocks, title } = model.views[view];
  const show = isBytes ? bytes : count;
  const callers = new Tree(model, stacks, true, fn);
  const callees = new Tree(model, stacks, false, fn);
  const name = model.functionName(fn);
  const all = model.column(figure, run).reduce((sum, n) => sum + Math.max(0, n), 0);
  const value = callees.sum(callees.root, figure, run);
  const [was, is] = [callees.sum(callees.root, figure, "before"), callees.sum(callees.root, figure)];
  const where = [
    ...new Set(
      [...model.data.places.fn.keys()].filter((place) => model.data.places.fn[place] === fn)
        .map((place) => model.placeText(place)).filter(Boolean),
    ),
  ];
  const isShown = callees.root.to > 0;
  return [
    element("h3", { className: "chosen-name" }, name),
    element(
      "p",
      { className: "where" },
      [
        where.slice(0, 3).join(", ") + (where.length > 3 ? ` and ${counted(where.length - 3, "more line")}` : ""),
        model.moduleOf(fn),
      ].filter(Boolean).join(" \u00b7 "),
    ),
    element(
      "div",
      { className: "panel-bar" },
      element("button", { type: "button", onclick: () => context.onFind(name) }, "Find in graph and tables"),
    ),
    ...isShown
      ? [
        element(
          "p",
          { className: "figures" },
          model.isComparison
            ? `${title}: ${show(was)} \u2192 ${show(is)} (${signed(is - was, show)})`
            : `${title}: ${show(value)}${
              isBytes ? ` in ${counted(callees.sum(callees.root, blocks, run), "block")}` : ""
            }, ${share(value, all) || "0%"} of all`,
        ),
        element("h4", {}, "Called from"),
        level(context, callers, callers.root, "nothing further out"),
        element("h4", {}, "Calls"),
        level(context, callees, callees.root, "allocated here"),
      ]
      : [
        element("p", { className: "empty" }, "It is no code of yours, and folded away."),
        element("button", { type: "button", onclick: context.onUnfold }, "Show all frames"),
      ],
  ];
}
