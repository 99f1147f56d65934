// The page's data: call paths with their figures, names, and what a search finds in them.

/** @typedef {import("./data.ts").PageData} PageData */
/** @typedef {import("./data.ts").ViewName} ViewName */
/** @typedef {{ title: string, figure: string, blocks: string, bytes: boolean }} View */
/** @typedef {"after" | "before" | "change"} Run */
/** @typedef {ReturnType<Model["search"]>} Found */

/** The figures that call paths are added up by. */
export const SUMMED = ["bytes", "peakBytes", "liveBytes", "temporary", "allocations", "peakCount", "liveCount"];
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
    /** Which functions the user wrote. */
    this.own = Uint8Array.from(data.functions.kind, (kind) => Number(["own", "script"].includes(data.kinds[kind])));
    /** @type {Map<string, readonly number[]>} */
    this.known = new Map();
    /** @type {Float64Array[] | undefined} */
    this.summed = undefined;
  }

  /**
   * A column of figures; zeroes when it was not recorded. Of a change it is how large that is, up or down.
   * @param {string} name
   * @param {Run} [run]
   * @returns {readonly number[]}
   */
  column(name, run = "after") {
    const { figures, figuresBefore } = this.data;
    const key = `${run} ${name}`;
    let column = this.known.get(key);
    if (!column) {
      if (run === "change") {
        const [was, is] = [this.column(name, "before"), this.column(name)];
        column = is.map((n, p) => Math.abs(n - was[p]));
      } else column = (run === "before" ? figuresBefore : figures)?.[name] ?? new Array(this.paths).fill(0);
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

  /** The columns that trees add up, of each run that there is. */
  get columns() {
    // What was freed more often than allocated since a moment has less than nothing: no width shows that.
    return this.summed ??= (this.isComparison ? RUNS : RUNS.slice(0, 1)).flatMap((run) =>
      SUMMED.map((name) => Float64Array.from(this.column(name, run), (n) => Math.max(0, n)))
    );
  }

  /**
   * The place of a figure among `columns`.
   * @param {string} name
   * @param {Run} [run]
   */
  columnOf(name, run = "after") {
    return SUMMED.indexOf(name) + RUNS.indexOf(run) * SUMMED.length;
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
