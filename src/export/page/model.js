// The page's data: call paths with their figures, names, and what a search finds in them.
import { KeptMoments } from "./kept.js";
import { Moments } from "./moments.js";

/** @typedef {import("./data.ts").PageData} PageData */
/** @typedef {import("./data.ts").ViewName} ViewName */
/** @typedef {{ title: string, hint?: string, figure: string, blocks: string, bytes: boolean }} View */
/** @typedef {"after" | "before" | "change"} Run */
/** @typedef {ReturnType<Model["search"]>} Found */

/** @type {readonly Run[]} */
export const RUNS = ["after", "before", "change"];

/**
 * Unpacks the data that stand in the page.
 * @returns {Promise<PageData>}
 */
export async function readData() {
  const text = document.getElementById("data")?.textContent ?? "";
  const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

export class Model {
  /** @param {PageData} data */
  constructor(data) {
    this.data = data;
    this.paths = data.ends.length;
    this.isComparison = data.figuresBefore !== undefined;
    /** @type {Record<ViewName, View>} */
    this.views = {
      peak: { title: "Peak", figure: "peakBytes", blocks: "peakCount", bytes: true },
      allocated: { title: "Allocated", figure: "bytes", blocks: "allocations", bytes: true },
      live: { title: data.live, figure: "liveBytes", blocks: "liveCount", bytes: true },
      temporary: { title: "Temporary", figure: "temporary", blocks: "temporary", bytes: false },
    };
    /** Of a run that is looked at while it goes on. */
    this.kept = data.served && new KeptMoments(data.moments);
    this.moments = this.kept ?? (data.moments && new Moments(data.moments));
    /** The moment that is looked at, or what came between two; the whole run when undefined. @type {import("./moments.js").Span | undefined} */
    this.span = undefined;
    /** Which paths have something there. @type {Uint8Array | undefined} */
    this.shown = undefined;
    /** Figures of call paths: those of the whole run, or of what is looked at of it. @type {Record<string, readonly number[] | Float64Array>} */
    this.figures = data.figures;
    /** Which functions the user wrote. */
    this.own = this.#ownFunctions();
    /** @type {Map<string, Float64Array>} */
    this.known = new Map();
  }

  #ownFunctions() {
    const { functions, kinds } = this.data;
    return Uint8Array.from(functions.kind, (kind) => Number(["own", "script"].includes(kinds[kind])));
  }

  /** Goes on with the names and call paths that its data have now, behind those that were there. */
  grow() {
    this.paths = this.data.ends.length;
    this.own = this.#ownFunctions();
  }

  /**
   * Looks at a moment, or at what came between two, or at the whole run.
   * @param {import("./moments.js").Span | undefined} span
   */
  look(span) {
    this.span = span;
    this.figures = span && this.moments ? this.moments.figures(span, this.paths) : this.data.figures;
    this.views.live.title = this.isGrowth ? "Grew" : span ? "Live" : this.data.live;
    this.views.live.hint = this.isGrowth ? "What was live at the end of the span, less what was at its beginning" : "";
    const { allocations, liveBytes } = this.figures;
    this.shown = span && new Uint8Array(this.paths).map((_, p) => Number(allocations[p] !== 0 || liveBytes[p] !== 0));
    this.known.clear();
  }

  /** Whether figures are what came between two moments, where what is live may be less than nothing. */
  get isGrowth() {
    return this.span !== undefined && this.span.from >= 0;
  }

  /** Names of the views that there is something for: of a moment neither the peak nor what was temporary is kept. */
  get viewNames() {
    const names = /** @type {ViewName[]} */ (Object.keys(this.views));
    return names.filter((name) => !this.span || this.views[name].figure in this.figures);
  }

  /**
   * Whether any of some paths has something in what is looked at.
   * @param {readonly number[]} paths
   */
  shows(paths) {
    const { shown } = this;
    return !shown || paths.some((path) => shown[path] === 1);
  }

  /**
   * A column of figures; zeroes when it was not recorded. Of a change it is how large that is, up or down.
   * @param {string} name
   * @param {Run} [run]
   * @returns {Float64Array}
   */
  column(name, run = "after") {
    const [figures, { figuresBefore }] = [this.figures, this.data];
    const key = `${run} ${name}`;
    let column = this.known.get(key);
    if (!column) {
      if (run === "change") {
        const [was, is] = [this.column(name, "before"), this.column(name)];
        column = is.map((n, p) => Math.abs(n - was[p]));
      } else {
        const figure = (run === "before" ? figuresBefore : figures)?.[name];
        column = figure ? new Float64Array(figure) : new Float64Array(this.paths);
      }
      this.known.set(key, column);
    }
    return column;
  }

  /**
   * Whether any figure of a path differs between two runs.
   * @param {number} path
   */
  hasChanged(path) {
    const { figures, figuresBefore } = this.data;
    return figuresBefore !== undefined &&
      Object.keys(figuresBefore).some((name) => figures[name]?.[path] !== figuresBefore[name][path]);
  }

  /**
   * The same as trees add it up. What was freed more often than allocated since a moment has less than nothing: no width shows that.
   * @param {string} name
   * @param {Run} [run]
   */
  widths(name, run = "after") {
    const column = this.column(name, run);
    return column.some((n) => n < 0) ? column.map((n) => Math.max(0, n)) : column;
  }

  /** @param {number} fn */
  functionName(fn) {
    return this.data.functions.name[fn];
  }

  /** @param {number} fn */
  moduleOf(fn) {
    return this.data.modules[this.data.functions.module[fn]];
  }

  /** @param {number} fn */
  kindOf(fn) {
    return this.data.kinds[this.data.functions.kind[fn]];
  }

  /**
   * Where a place is, `/src/file.c:12`; "" when that is not known.
   * @param {number} place
   */
  placeText(place) {
    const file = this.data.files[this.data.places.file[place]];
    const line = this.data.places.line[place];
    return file ? `${file}${line > 0 ? `:${line}` : ""}` : "";
  }

  /**
   * What a pattern finds: functions by name or module, places by file too, and the call paths that go through them.
   * @param {RegExp} pattern
   */
  search(pattern) {
    const { modules, files, functions, places, nodes, ends } = this.data;
    const inModules = modules.map((module) => pattern.test(module));
    const inFiles = files.map((file) => file !== "" && pattern.test(file));
    const inFunctions = Uint8Array.from(
      functions.name,
      (name, fn) => Number(pattern.test(name) || inModules[functions.module[fn]]),
    );
    const inPlaces = Uint8Array.from(places.fn, (fn, place) => inFunctions[fn] | Number(inFiles[places.file[place]]));
    inPlaces.forEach((found, place) => inFunctions[places.fn[place]] |= found);
    const inNodes = new Uint8Array(nodes.place.length);
    nodes.place.forEach((place, node) => {
      const { [node]: back } = nodes.back;
      inNodes[node] = inPlaces[place] | (back === 0 ? 0 : inNodes[node - back]);
    });
    const inPaths = Uint8Array.from(ends, (node) => node < 0 ? 0 : inNodes[node]);
    return { functions: inFunctions, places: inPlaces, paths: inPaths };
  }
}
