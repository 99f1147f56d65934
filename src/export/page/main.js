// The page: puts the parts together. What the reader has chosen is one state, which the address has too; whoever
// changes it says what, and the parts that show it are drawn again.
import { Brush, tellSpan } from "./brush.js";
import { byId, choices, isDark, press, Slices } from "./dom.js";
import { Flame } from "./flame.js";
import { readState, writeState } from "./hash.js";
import { drawHead } from "./head.js";
import { keepUp } from "./live.js";
import { Model, readData, RUNS } from "./model.js";
import { spanText } from "./moments.js";
import { Panel } from "./panel.js";
import { sandwichView } from "./sandwich.js";
import { escaped, Search } from "./search.js";
import { stackView } from "./stack.js";
import { Stacks } from "./stacks.js";
import { graphSvg, saveText } from "./svg.js";
import { Tabs } from "./tabs.js";
import { makeMemory } from "./resident.js";
import { makeTimeline } from "./timeline.js";
import { Tooltip } from "./tooltip.js";

/** @typedef {import("./hash.js").ViewState} ViewState */

/** Share of what was allocated from which on the user's own code is shown first. */
const ENOUGH_OWN = 0.01;

/**
 * The state that the page begins with.
 * @param {Model} model
 * @param {Stacks} own
 * @returns {ViewState}
 */
function firstState(model, own) {
  const { ends, view } = model.data;
  const allocated = model.column("bytes");
  let [all, known] = [0, 0];
  ends.forEach((end, p) => {
    all += allocated[p];
    if (end >= 0 && own.last[end] >= 0) known += allocated[p];
  });
  const code = known > all * ENOUGH_OWN ? "own" : "all";
  const run = model.isComparison ? "change" : "after";
  return {
    view,
    code,
    dir: "outer",
    run,
    q: "",
    tab: "paths",
    sort: "",
    zoom: "",
    fn: "",
    path: "",
    span: "",
    rss: "1",
    parts: "1",
  };
}

async function start() {
  const slices = new Slices();
  const data = await readData();
  await slices.rest();
  const model = new Model(data);
  drawHead(model);
  let own = new Stacks(model, true);
  /** @type {Stacks | undefined} */
  let whole;
  const defaults = firstState(model, own);
  await slices.rest();

  let state = readState(defaults);
  const stacks = () => state.code === "own" ? own : whole ??= new Stacks(model, false);
  // Of a moment there are not all of them.
  const view = () =>
    [state.view, data.view].map((name) => model.viewNames.find((known) => known === name)).find(Boolean) ?? "live";
  const run =
    () => /** @type {import("./model.js").Run} */ (RUNS.includes(/** @type {import("./model.js").Run} */ (state.run)) &&
        model.isComparison
      ? state.run
      : defaults.run);

  const tooltip = new Tooltip();
  const brush = model.moments && new Brush(model.moments, (span, isPassing) => isPassing ? follow(span) : choose(span));
  const timeline = makeTimeline(data, tooltip, brush, {
    onRss: (shown) => set({ rss: shown ? "1" : "0" }),
    onParts: (shown) => set({ parts: shown ? "1" : "0" }),
    // Its row is among those of all call paths.
    onPath: (path) => set({ tab: "paths", sort: "", q: "", fn: "", path: String(path) }, true),
  });
  const memory = timeline && makeMemory(data, tooltip);
  const drawTime = (/** @type {boolean} */ isLook) => {
    timeline?.(state.rss === "1", state.parts === "1");
    if (isLook) memory?.();
  };
  byId("timeline-section").hidden = !timeline;
  byId("top").classList.toggle("alone", !timeline);
  const flame = new Flame(model, tooltip, {
    onZoom: (zoomed, fn) => set({ zoom: zoomed.join("."), ...fn >= 0 && { fn: String(fn) } }, fn >= 0),
  });
  const tabs = new Tabs(model, {
    onTab: (tab) => set({ tab, sort: "" }),
    onSort: (sort) => set({ sort }),
    onRow: (row) => set({ path: String(row.paths[0]), fn: "" }, true),
    onFunction: (fn) => set({ fn: String(fn) }, true),
  });
  const panel = new Panel(() => {});
  /** Whether there is a selection in it. */
  let isSelected = false;
  document.addEventListener("selectionchange", () => {
    const selection = getSelection();
    isSelected = selection !== null && !selection.isCollapsed && panel.box.contains(selection.anchorNode);
  });
  const search = new Search(model, (text) => set({ q: text }));

  const showPanel = (/** @type {boolean} */ isAsked, /** @type {boolean} */ isLook) => {
    const onFunction = (/** @type {number} */ fn) => set({ fn: String(fn) }, true);
    const fn = state.fn === "" ? -1 : Number(state.fn);
    if (data.functions.name[fn] !== undefined) {
      const onFind = (/** @type {string} */ name) => set({ q: `^${escaped(name)}$` });
      const onUnfold = () => set({ code: "all" });
      const context = { model, stacks: stacks(), view: view(), run: run(), onFunction, onFind, onUnfold };
      panel.show("function", sandwichView(context, fn), isAsked, isLook);
      return;
    }
    const row = tabs.rowOf(state.path === "" ? -1 : Number(state.path), !isLook);
    if (row) panel.show("stack", stackView({ model, stacks: stacks(), onFunction }, row, view()), isAsked, isLook);
    else panel.showNothing(tabs.hasPaths ? "stack" : "function");
  };

  /**
   * Draws what depends on the parts of the state that have changed.
   * @param {ReadonlySet<string>} changed
   * @param {boolean} isAsked
   */
  const draw = async (changed, isAsked) => {
    const has = (/** @type {(keyof ViewState | "looks")[]} */ ...names) => names.some((name) => changed.has(name));
    const isLook = has("looks");
    const slices = new Slices();
    const before = state;
    if (has("span", "looks")) {
      const span = model.moments?.spanOf(state.span);
      model.look(span);
      brush?.mark(span);
      flame.addUp();
      tellSpan(model);
    }
    if (has("span")) offerViews();
    for (const name of /** @type {const} */ (["view", "code", "dir", "run"])) {
      press(byId(name), name === "view" ? view() : state[name]);
    }
    if (has("q")) search.look(state.q);
    if (has("q", "view", "run", "span", "looks")) search.tell(view(), run());
    if (has("rss", "parts", "looks")) drawTime(isLook);
    if (has("view", "code", "q", "tab", "run", "span", "looks") || has("sort") && tabs.sorted !== state.sort) {
      if (slices.isUsedUp) await slices.rest();
      if (before !== state) return;
      const tab = tabs.has(state.tab) ? state.tab : "paths";
      tabs.show({ tab, view: view(), run: run(), sort: state.sort, stacks: stacks(), found: search.found, isLook });
    }
    // What somebody has selected there stays.
    if (has("view", "code", "q", "tab", "fn", "path", "run", "sort", "span", "looks") && !(isLook && isSelected)) {
      if (slices.isUsedUp) await slices.rest();
      if (before !== state) return;
      showPanel(isAsked, isLook);
    }
    if (has("q", "code")) {
      if (slices.isUsedUp) await slices.rest();
      if (before !== state) return;
      flame.mark(search.found && stacks().lit(search.found));
    }
    if (has("code")) byId("legend").replaceChildren(...flame.colours.legend(stacks()));
    if (has("view", "code", "dir", "run", "zoom", "span", "looks")) {
      if (slices.isUsedUp) await slices.rest();
      if (before !== state) return;
      const zoom = state.zoom === "" ? [] : state.zoom.split(".").map(Number);
      await flame.show({ stacks: stacks(), inverted: state.dir === "inner", view: view(), run: run(), zoom });
    }
  };

  /** What has changed and is not drawn yet. */
  const due = new Set();

  /**
   * Changes the state.
   * @param {Partial<ViewState>} change
   * @param {boolean} [isAsked] whether the reader wants to see the panel
   * @param {boolean} [isPassing] whether the next change is about to come, and the address can wait
   */
  const set = (change, isAsked = false, isPassing = false) => {
    const next = { ...state, ...change };
    // Zooming is in one graph: another has other functions on the way.
    if (change.zoom === undefined && (next.code !== state.code || next.dir !== state.dir)) next.zoom = "";
    for (const name of /** @type {(keyof ViewState)[]} */ (Object.keys(next))) {
      if (next[name] !== state[name]) due.add(name);
    }
    state = next;
    if (!isPassing) writeState(state, defaults);
    const changed = new Set(due);
    if (isAsked) changed.add("fn");
    return draw(changed, isAsked).then(() => {
      if (state === next) due.clear();
    });
  };

  // A press that ends elsewhere than it began is none: what is drawn stays until the pointer is up, and where nobody sees it.
  const looked = {
    isNew: false,
    isDue: false,
    isDrawn: false,
    isPressed: false,
    come(/** @type {import("./data.ts").LookData} */ { seconds, added }) {
      if (model.kept?.keep(seconds, data.figures)) {
        const span = model.kept.spanOf(state.span);
        const half = (/** @type {number} */ moment) => Math.floor(moment / 2);
        if (span) choose({ from: half(Math.min(span.from, span.to - 2)), to: half(span.to) });
      }
      this.isNew ||= added !== undefined;
      this.isDue = true;
      return this.draw();
    },
    async draw() {
      if (this.isDrawn || this.isPressed) return;
      this.isDrawn = true;
      while (this.isDue && !this.isPressed && !document.hidden) {
        const { isNew } = this;
        [this.isDue, this.isNew] = [false, false];
        if (isNew) {
          [own, whole] = [new Stacks(model, true), undefined];
          flame.renew();
        }
        // A moment that is looked at stays what it was.
        if (!isNew && state.span !== "") drawTime(true);
        else {
          // What the reader does meanwhile goes before, and draws this too.
          const before = state;
          for (const name of isNew ? ["code", "q", "looks"] : ["looks"]) due.add(name);
          await draw(new Set(due), false);
          if (before === state) due.clear();
        }
        drawHead(model);
      }
      this.isDrawn = false;
    },
    press(/** @type {boolean} */ isPressed) {
      this.isPressed = isPressed;
      // What the press does comes first.
      if (!isPressed) setTimeout(() => this.draw());
    },
  };
  addEventListener("pointerdown", () => looked.press(true), true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => looked.press(false), true);
  document.addEventListener("visibilitychange", () => looked.draw());

  /** The span that the reader would see, and whether one is being drawn. */
  let [wanted, isFollowing] = [state.span, false];
  const choose = (/** @type {import("./moments.js").Span | undefined} */ span) => {
    wanted = spanText(span);
    return set({ span: wanted });
  };
  /** Shows spans as fast as that goes, the last one in any case. */
  const follow = async (/** @type {import("./moments.js").Span | undefined} */ span) => {
    wanted = spanText(span);
    if (isFollowing) return;
    for (isFollowing = true; wanted !== state.span;) await set({ span: wanted }, false, true);
    isFollowing = false;
  };
  const offerViews = () =>
    choices(
      byId("view"),
      model.viewNames.map((id) => [id, model.views[id].title, model.views[id].hint ?? ""]),
      (id) => set({ view: id, sort: "" }),
    );
  byId("span-clear").addEventListener("click", () => choose(undefined));
  choices(byId("code"), [
    ["own", "Your code", "Fold away libraries, runtimes and interpreters"],
    ["all", "All frames", "Every function on the stacks"],
  ], (id) => set({ code: id }));
  byId("code").hidden = model.own.every((is) => is === 1) || model.own.every((is) => is === 0);
  choices(byId("dir"), [["outer", "Callers first"], ["inner", "Allocators first"]], (id) => set({ dir: id }));
  choices(byId("panel-kind"), [["stack", "Stack"], ["function", "Callers and callees"]], (id) => {
    if (id === "stack") set({ fn: "" }, true);
    else {
      const row = tabs.rowOf(state.path === "" ? -1 : Number(state.path));
      if (row && row.lead >= 0) set({ fn: String(data.places.fn[row.lead]) }, true);
      else panel.showNothing("function");
    }
  });
  if (model.isComparison) {
    choices(byId("run"), [
      ["change", "What changed", "What changed alone, as wide as the change, up or down"],
      ["after", "Later run", "All of it, as wide as in the later run"],
      ["before", "Earlier run", "All of it, as wide as in the earlier run"],
    ], (id) => set({ run: id }));
  }
  byId("reset").addEventListener("click", () => set({ zoom: "" }));
  byId("save").addEventListener("click", () => {
    const name = `${data.title.split(/[\s/]+/).filter(Boolean)[0] ?? "heaptap"}-${view()}.svg`;
    saveText(name, graphSvg(flame, `${data.title} \u00b7 ${model.views[view()].title}`));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    tooltip.hide();
    if (!event.defaultPrevented && event.target !== search.input && state.span !== "") choose(undefined);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => flame.draw());
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    flame.draw();
  });
  addEventListener("hashchange", () => set(readState(defaults)));
  for (const name of Object.keys(state)) due.add(name);
  await set({});
  document.body.dataset.ready = "1";
  if (data.served) keepUp(model, (look) => looked.come(look));
}

start().catch((error) => {
  byId("title").textContent = `This page could not be drawn: ${error.message}`;
  throw error;
});
