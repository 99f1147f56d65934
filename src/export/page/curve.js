// Small curves of what was live over the run, beside rows of tables.
import { areaText, highest, pointsText, stepPoints } from "./chart.js";
import { shape } from "./dom.js";
import { bytes, clock } from "./format.js";

const CURVE = { width: 220, height: 30 };

/**
 * A row of steps with what is beneath it.
 * @param {{ seconds: readonly number[], bytes: readonly number[], tops?: readonly number[] }} steps
 * @param {number} end seconds that its width is
 * @param {(bytes: number) => number} part how high a level is, from 0 to 1
 * @param {readonly Node[]} [behind]
 */
export function curve({ seconds, bytes, tops }, end, part, behind = []) {
  const svg = shape("svg", {
    viewBox: `0 0 ${CURVE.width} ${CURVE.height}`,
    preserveAspectRatio: "none",
    class: "sparkline",
  });
  const y = (/** @type {number} */ b) => CURVE.height - 1 - (CURVE.height - 4) * part(b);
  const points = stepPoints(seconds, bytes, (s) => curveAt(s, end), y, tops);
  if (points.length === 0) return svg;
  const ground =
    /** @type {[number, number][]} */ ([[points[0][0], CURVE.height], [points[points.length - 1][0], CURVE.height]]);
  svg.append(...behind, shape("polygon", { points: areaText(points, ground), class: "area" }));
  svg.append(shape("polyline", { points: pointsText(points), class: "line live" }));
  return svg;
}

/**
 * Where a time is in a curve.
 * @param {number} seconds
 * @param {number} end
 */
function curveAt(seconds, end) {
  return 1 + (CURVE.width - 2) * seconds / end;
}

/**
 * A column of curves, each as high as its own highest: what some call paths had live at the moments of the run. None where none were kept.
 * @param {import("./model.js").Model} model
 * @param {number} end
 * @returns {import("./table.js").Column<{ paths: readonly number[] }>[]}
 */
export function liveColumn({ data, moments, span }, end) {
  if (!moments) return [];
  const seconds = [...moments.seconds, end];
  // What is live at the end is known too.
  const levelsOf = (/** @type {readonly number[]} */ paths) => {
    return [...moments.live(paths), paths.reduce((sum, p) => sum + data.figures.liveBytes[p], 0)];
  };
  const band = () => {
    if (!span || span.from < 0) return [];
    const [x, to] = [span.from, span.to].map((moment) => curveAt(seconds[moment], end));
    return [shape("rect", { x, width: to - x, height: CURVE.height, class: "band" })];
  };
  return [{
    id: "over-time",
    title: "Over time",
    figures: true,
    track: "var(--curve)",
    text: () => "",
    cell: ({ paths }) => {
      const levels = levelsOf(paths);
      const most = highest(levels);
      const svg = curve({ seconds, bytes: levels }, end, (b) => b / Math.max(1, most), band());
      const last = levels[levels.length - 1];
      const words = `highest ${bytes(most)} at ${clock(seconds[levels.indexOf(most)])}, last ${bytes(last)}`;
      svg.setAttribute("role", "img");
      svg.prepend(shape("title", {}, words));
      return [svg];
    },
    by: ({ paths }) => highest(levelsOf(paths)),
  }];
}
