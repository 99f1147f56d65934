// What was live by the functions that allocated it, at the moments that were kept of a run: areas beneath the exact line.
import { highest, sampleAt, stackAreas } from "./chart.js";
import { byId, element } from "./dom.js";
import { bytes, shortName } from "./format.js";

/** @typedef {{ title: string, look: string, path: number, bytes: readonly number[] }} Layer */

export class Layers {
  /**
   * @param {import("./data.ts").LayerData | undefined} data
   * @param {(path: number) => void} onPath called when the reader chooses one
   */
  constructor(data, onPath) {
    this.seconds = data?.seconds ?? [];
    /** From the ground up. @type {Layer[]} */
    this.all = (data?.names ?? []).map((name, i) => {
      const [path, has] = [data?.paths[i] ?? -1, data?.bytes[i] ?? []];
      return { title: shortName(name), look: `layer-${i}`, path, bytes: has };
    });
    if (data && highest(data.other) > 0) {
      this.all.push({ title: "other", look: "layer-other", path: -1, bytes: data.other });
    }
    this.sums = this.seconds.map((_, i) => this.all.reduce((sum, { bytes }) => sum + bytes[i], 0));
    byId("layers").replaceChildren(...this.all.map(({ title, look, path }) => {
      const className = `key layer ${look}`;
      if (path < 0) return element("span", { className }, title);
      return element("button", { type: "button", className, title, onclick: () => onPath(path) }, title);
    }));
  }

  /**
   * Puts the areas into a drawing.
   * @param {SVGElement} svg
   * @param {number} end
   * @param {(seconds: number) => number} x
   * @param {(bytes: number) => number} y
   */
  draw(svg, end, x, y) {
    stackAreas(
      svg,
      this.all.map(({ look, bytes }) => ({ look: `layer ${look}`, bytes })),
      [...this.seconds, end],
      x,
      y,
    );
  }

  /**
   * The moment that holds at a time; -1 before the first.
   * @param {number} at
   */
  momentAt(at) {
    return this.seconds.length > 0 && at >= this.seconds[0] ? sampleAt(this.seconds, at) : -1;
  }

  /**
   * What had something live at a moment, in the order in which areas stand over each other.
   * @param {number} moment
   */
  told(moment) {
    return [...this.all].reverse().filter(({ bytes }) => bytes[moment] > 0).map(({ title, look, bytes: has }) =>
      element("span", { className: `key layer ${look}` }, `${bytes(has[moment])} ${title}`)
    );
  }
}
