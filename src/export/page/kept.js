// Moments of a run that is still looked at: those that its recording kept, and what was seen since.
import { Moments } from "./moments.js";

/** Moments that are kept at most, and figures of each kind in all of them: beyond that every second one goes. */
const MOST_MOMENTS = 60, MOST_FIGURES = 1_500_000;

/** Nothing kept yet. */
const NO_MOMENTS = {
  seconds: [],
  changes: [],
  after: [],
  figures: { allocations: [], bytes: [], frees: [], freedBytes: [] },
};

export class KeptMoments extends Moments {
  /** @param {import("./data.ts").MomentData | undefined} data */
  constructor(data) {
    super(data ?? NO_MOMENTS);
    this.seconds = [...this.seconds];
    /** The figures of all paths at each. @type {Record<string, Float64Array>[]} */
    this.kept = this.seconds.map((_, to) => super.figures({ from: -1, to }));
  }

  /**
   * Keeps this moment, when it is time for that.
   * @param {number} seconds
   * @param {import("./data.ts").Columns} figures
   * @returns {boolean} whether others went: then a moment's number is half of what it was
   */
  keep(seconds, figures) {
    const most = Math.max(4, Math.min(MOST_MOMENTS, Math.floor(MOST_FIGURES / Math.max(1, figures.bytes.length))));
    const { length } = this.seconds;
    const [first = 0, last = -Infinity] = [this.seconds[0], this.seconds[length - 1]];
    if (seconds - last < (seconds - first) / most || seconds <= last) return false;
    this.seconds.push(seconds);
    this.kept.push(Object.fromEntries(Object.keys(this.had).map((name) => [name, Float64Array.from(figures[name])])));
    if (this.seconds.length <= most) return false;
    const later = (/** @type {unknown} */ _, /** @type {number} */ i) => i % 2 === 1;
    [this.seconds, this.kept] = [this.seconds.filter(later), this.kept.filter(later)];
    return true;
  }

  /**
   * @override
   * @param {import("./moments.js").Span} span
   * @param {number} [paths] how many there are by now
   */
  figures({ from, to }, paths = this.kept[to].bytes.length) {
    const [before, { [to]: then }] = [this.kept[from], this.kept];
    // Paths that came later had nothing.
    const at = (/** @type {Float64Array | undefined} */ column, /** @type {number} */ p) => column?.[p] ?? 0;
    return Object.fromEntries(
      Object.entries(then).map(([name, column]) => [
        name,
        Float64Array.from({ length: paths }, (_, p) => at(column, p) - at(before?.[name], p)),
      ]),
    );
  }

  /**
   * @override
   * @param {readonly number[]} paths
   */
  live(paths) {
    return this.kept.map(({ liveBytes }) => paths.reduce((sum, p) => sum + (liveBytes[p] ?? 0), 0));
  }
}
