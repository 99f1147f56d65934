// The page's data: call paths with their stacks and figures, and what a search finds in them.

/** @typedef {import("./data.ts").PageData} PageData */
/** @typedef {import("../../profile/views.ts").ViewName} ViewName */
/** @typedef {{ title: string, figure: string, blocks: string, bytes: boolean }} View */

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

/** Call paths as flat arrays. Path `p` has the places `places[starts[p]]` to `places[starts[p + 1] - 1]`, the outermost first. */
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
    const { back, place } = data.nodes;
    const depth = new Uint32Array(back.length);
    back.forEach((steps, node) => depth[node] = steps === 0 ? 1 : depth[node - steps] + 1);
    this.starts = new Uint32Array(this.paths + 1);
    data.ends.forEach((node, p) => this.starts[p + 1] = this.starts[p] + (node < 0 ? 0 : depth[node]));
    this.places = new Uint32Array(this.starts[this.paths]);
    data.ends.forEach((end, p) => {
      let node = end;
      for (let at = this.starts[p + 1] - 1; at >= this.starts[p]; at--) {
        this.places[at] = place[node];
        node -= back[node];
      }
    });
    /** The function of each place, as `places` has them. */
    this.functions = this.places.map((place) => data.places.fn[place]);
  }

  /**
   * A column of figures, of the later run unless `before`; zeroes when it was not recorded.
   * @param {string} name
   * @param {boolean} [before]
   * @returns {readonly number[]}
   */
  column(name, before = false) {
    return (before ? this.data.figuresBefore : this.data.figures)?.[name] ?? new Array(this.paths).fill(0);
  }

  /**
   * What a place in the source is called.
   * @param {number} place
   */
  placeText(place) {
    const file = this.data.files[this.data.places.file[place]];
    const line = this.data.places.line[place];
    return file ? `${file}${line > 0 ? `:${line}` : ""}` : "";
  }

  /** @param {number} fn */
  functionName(fn) {
    return this.data.functions.name[fn];
  }

  /** @param {number} fn */
  moduleOf(fn) {
    return this.data.modules[this.data.functions.module[fn]];
  }

  /**
   * The function that called the allocator; -1 when no frame is known.
   * @param {number} path
   */
  innermost(path) {
    return this.starts[path + 1] > this.starts[path] ? this.functions[this.starts[path + 1] - 1] : -1;
  }

  /**
   * The places of a path, the innermost first.
   * @param {number} path
   */
  stack(path) {
    return [...this.places.subarray(this.starts[path], this.starts[path + 1])].reverse();
  }

  /**
   * What a pattern finds: functions by name or module, places by file, and the call paths that go through them.
   * @param {RegExp} pattern
   */
  search(pattern) {
    const { modules, files, functions, places } = this.data;
    const inModules = modules.map((module) => pattern.test(module));
    const inFiles = files.map((file) => file !== "" && pattern.test(file));
    const inFunctions = Uint8Array.from(
      functions.name,
      (name, fn) => Number(pattern.test(name) || inModules[functions.module[fn]]),
    );
    const inPlaces = Uint8Array.from(places.fn, (fn, place) => inFunctions[fn] | Number(inFiles[places.file[place]]));
    inPlaces.forEach((found, place) => inFunctions[places.fn[place]] |= found);
    const inPaths = new Uint8Array(this.paths);
    for (let p = 0; p < this.paths; p++) {
      for (let at = this.starts[p]; at < this.starts[p + 1]; at++) {
        if (inPlaces[this.places[at]]) {
          inPaths[p] = 1;
          break;
        }
      }
    }
    return { functions: inFunctions, paths: inPaths };
  }
}
