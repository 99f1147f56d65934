// What call paths had at the moments that were kept of a run, and what came between two of them.
import { clock } from "./format.js";

/**
 * A moment, by its number, or what came between two: `from` is -1 of one alone.
 * @typedef {{ from: number, to: number }} Span
 */

export class Moments {
  /** @param {import("./data.ts").MomentData} data */
  constructor({ seconds, changes, after, figures }) {
    this.seconds = seconds;
    /** What was live of call paths that a row holds. @type {WeakMap<readonly number[], number[]>} */
    this.lives = new WeakMap();
    /** Where each path's changes begin among all. */
    this.starts = new Uint32Array(changes.length + 1);
    changes.forEach((n, p) => this.starts[p + 1] = this.starts[p] + n);
    /** The moment of each change. */
    this.moments = this.#summed(after);
    const [allocations, bytes] = [this.#summed(figures.allocations), this.#summed(figures.bytes)];
    const [frees, freedBytes] = [this.#summed(figures.frees), this.#summed(figures.freedBytes)];
    /** What its path had from each change on. */
    this.had = {
      allocations,
      bytes,
      liveBytes: bytes.map((n, i) => n - freedBytes[i]),
      liveCount: allocations.map((n, i) => n - frees[i]),
    };
  }

  /**
   * What differences come to, path by path.
   * @param {readonly number[]} differences
   */
  #summed(differences) {
    const sums = Float64Array.from(differences);
    for (let p = 0; p + 1 < this.starts.length; p++) {
      for (let i = this.starts[p] + 1; i < this.starts[p + 1]; i++) sums[i] += sums[i - 1];
    }
    return sums;
  }

  /**
   * The last change of a path up to a moment; -1 before its first.
   * @param {number} path
   * @param {number} moment
   */
  #lastChange(path, moment) {
    let [low, high] = [this.starts[path], this.starts[path + 1]];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.moments[middle] <= moment) low = middle + 1;
      else high = middle;
    }
    return low > this.starts[path] ? low - 1 : -1;
  }

  /**
   * Figures of all paths at a moment, or what came between two.
   * @param {Span} span
   * @param {number} [paths]
   * @returns {Record<string, Float64Array>}
   */
  figures({ from, to }, paths = this.starts.length - 1) {
    const [last, before] = [new Int32Array(paths), new Int32Array(paths)];
    for (let p = 0; p < paths; p++) [last[p], before[p]] = [this.#lastChange(p, to), this.#lastChange(p, from)];
    const column = (/** @type {Float64Array} */ had) => {
      const figures = new Float64Array(paths);
      for (let p = 0; p < paths; p++) {
        if (last[p] >= 0) figures[p] = had[last[p]] - (before[p] < 0 ? 0 : had[before[p]]);
      }
      return figures;
    };
    return Object.fromEntries(Object.entries(this.had).map(([name, had]) => [name, column(had)]));
  }

  /**
   * What some paths had live together at each moment.
   * @param {readonly number[]} paths
   */
  live(paths) {
    const known = this.lives.get(paths);
    if (known) return known;
    const levels = this.seconds.map(() => 0);
    this.lives.set(paths, levels);
    const { liveBytes } = this.had;
    for (const p of paths) {
      const { [p]: first } = this.starts;
      for (let i = first; i < this.starts[p + 1]; i++) {
        levels[this.moments[i]] += liveBytes[i] - (i > first ? liveBytes[i - 1] : 0);
      }
    }
    for (let i = 1; i < levels.length; i++) levels[i] += levels[i - 1];
    return levels;
  }

  /**
   * The moment that is nearest to a time.
   * @param {number} at
   */
  nearest(at) {
    const away = this.seconds.map((s) => Math.abs(s - at));
    return away.indexOf(Math.min(...away));
  }

  /**
   * What an address says: `12`, or `3-12`; undefined when that is nothing here.
   * @param {string} text
   * @returns {Span | undefined}
   */
  spanOf(text) {
    const [, from = "-1", to] = /^(?:(\d+)-)?(\d+)$/.exec(text) ?? [];
    const span = { from: Number(from), to: Number(to) };
    return span.from < span.to && span.to < this.seconds.length ? span : undefined;
  }

  /**
   * When it was, in words.
   * @param {Span} span
   */
  words({ from, to }) {
    const until = clock(this.seconds[to]);
    return from < 0 ? `At ${until}` : `${clock(this.seconds[from])} to ${until}`;
  }
}

/**
 * The same for the address.
 * @param {Span | undefined} span
 */
export function spanText(span) {
  return span ? `${span.from < 0 ? "" : `${span.from}-`}${span.to}` : "";
}
