// Colours of functions: the user's scripts one of their own, the user's other code strong ones by loaded object, the rest pale ones.
import { element } from "./dom.js";
import { baseName } from "./format.js";

/** Hues of loaded objects, in the order of what they allocate; the program's own is the first. */
const HUES = [22, 205, 150, 48, 330, 180, 95, 240, 0];
/** The hue of scripts, which no loaded object has. */
const SCRIPT = 276;
/** Loaded objects that the legend names. */
const NAMED = 8;

/** What scripts are written in, by how their files end. */
const LANGUAGES = {
  Python: /\.pyw?$/,
  JavaScript: /\.[cm]?[jt]sx?$/,
  Ruby: /\.rb$/,
  PHP: /\.php$/,
  Lua: /\.lua$/,
};

export class Colours {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.hues = model.data.modules.map((module, i) =>
      module === model.data.program ? HUES[0] : module === "" ? -1 : HUES[1 + i % (HUES.length - 1)]
    );
  }

  /**
   * The colour of a function.
   * @param {number} fn
   * @param {boolean} dark
   * @param {boolean} isFound whether a search has found it, which a pale colour would not show
   */
  of(fn, dark, isFound) {
    const { data } = this.model;
    const kind = this.model.kindOf(fn);
    const hue = kind === "script" ? SCRIPT : this.hues[data.functions.module[fn]];
    // Neighbours of one hue differ a little.
    const shade = (fn * 7) % 5 * 2;
    if (hue < 0 && isFound) return dark ? "#8a5a1e" : "#ffc76b";
    if (hue < 0) return dark ? `hsl(220 6% ${32 + shade}%)` : `hsl(220 10% ${80 + shade}%)`;
    const near = hue + (fn * 11) % 7 * 3 - 9;
    if (kind === "script") return dark ? `hsl(${near} 48% ${38 + shade}%)` : `hsl(${near} 88% ${76 + shade}%)`;
    if (kind === "own" || isFound) return dark ? `hsl(${near} 55% ${31 + shade}%)` : `hsl(${near} 84% ${69 + shade}%)`;
    return dark ? `hsl(${near} 16% ${29 + shade}%)` : `hsl(${near} 38% ${85 + shade / 2}%)`;
  }

  /**
   * The colour of a function whose figure has changed: red when it has more now.
   * @param {number} change as a part of what it had or has, -1 to 1
   * @param {boolean} dark
   */
  ofChange(change, dark) {
    const strength = Math.sqrt(Math.abs(change));
    const hue = change > 0 ? 4 : 214;
    return dark
      ? `hsl(${hue} ${8 + 62 * strength}% ${30 + 12 * strength}%)`
      : `hsl(${hue} ${10 + 75 * strength}% ${88 - 22 * strength}%)`;
  }

  /** What a search did not find is grey, and nothing else is. */
  missed(/** @type {boolean} */ dark) {
    return dark ? "#2a2e36" : "#e8eaee";
  }

  /** What the scripts among the functions are written in, in words. */
  #languages() {
    const { data } = this.model;
    const scripts = data.kinds.indexOf("script");
    if (scripts < 0) return "";
    const files = new Set(
      data.places.file.filter((_, place) => data.functions.kind[data.places.fn[place]] === scripts),
    );
    const names = [...files].map((file) => data.files[file]);
    const found = Object.entries(LANGUAGES).filter(([, ending]) => names.some((name) => ending.test(name)));
    return `${found.map(([language]) => language).join(", ") || "Script"} functions`;
  }

  /**
   * What the colours of a graph mean.
   * @param {import("./stacks.js").Stacks} stacks
   */
  legend(stacks) {
    if (this.model.isComparison) {
      return [
        element("span", { className: "key grew" }, "has more now"),
        element("span", { className: "key shrank" }, "has less"),
      ];
    }
    const { functions, modules } = this.model.data;
    const shown = new Uint8Array(functions.name.length);
    for (const fn of stacks.functions) shown[fn] = 1;
    const seen = new Map();
    let scripts = "";
    shown.forEach((is, fn) => {
      if (!is) return;
      const kind = this.model.kindOf(fn);
      const module = functions.module[fn];
      if (kind === "script") scripts ||= this.#languages();
      else if (this.hues[module] >= 0) seen.set(module, seen.get(module) || kind === "own");
    });
    const key = (/** @type {string} */ text, /** @type {number} */ hue, /** @type {boolean} */ strong) => {
      const made = element("span", { className: strong ? "key" : "key pale" }, text);
      made.style.setProperty("--hue", String(hue));
      return made;
    };
    return [
      ...scripts ? [key(scripts, SCRIPT, true)] : [],
      ...[...seen].sort(([a, own], [b, ownB]) => Number(ownB) - Number(own) || a - b).slice(0, NAMED)
        .map(([module, own]) => key(baseName(modules[module]), this.hues[module], own)),
      ...seen.size > NAMED ? [element("span", {}, `and ${seen.size - NAMED} more`)] : [],
    ];
  }
}
