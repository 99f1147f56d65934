// What drawings over time have in common: axes, steps, labels that no line goes through, and how they are read.
import { shape } from "./dom.js";
import { bytes, clock } from "./format.js";

/** @typedef {readonly (readonly [x: number, y: number])[]} Points */

/** Where axes begin: the same in drawings beneath each other, which so have one scale of time. */
export const LEFT = 64;
const RIGHT = 10;
const BOTTOM = 22;

/**
 * A round step for an axis of about so many.
 * @param {number} span
 * @param {number} steps
 */
export function roundStep(span, steps) {
  const rough = span / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 2.5, 5].find((n) => n * power >= rough) ?? 10) * power;
}

/** @param {readonly number[]} figures */
export function highest(figures) {
  return figures.reduce((most, n) => Math.max(most, n), 0);
}

/** @param {Points} points */
export function pointsText(points) {
  return points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
}

/**
 * A line of steps: a level holds until the next. Above a level that was exceeded for a moment stands a line up to `tops`.
 * @param {readonly number[]} seconds
 * @param {readonly number[]} levels -1 where nothing is known: what was before goes on
 * @param {(seconds: number) => number} x
 * @param {(level: number) => number} y
 * @param {readonly number[]} [tops]
 * @returns {[x: number, y: number][]}
 */
export function stepPoints(seconds, levels, x, y, tops = levels) {
  /** @type {[number, number][]} */
  const points = [];
  let before = -1;
  seconds.forEach((s, i) => {
    if (before >= 0) points.push([x(s), y(before)]);
    const { [i]: level } = levels;
    if (level < 0) return;
    if (tops[i] > level) points.push([x(s), y(tops[i])]);
    points.push([x(s), y(level)]);
    before = level;
  });
  return points;
}

/**
 * What is between a line and the one beneath it, or the ground.
 * @param {Points} line
 * @param {Points} beneath
 */
export function areaText(line, beneath) {
  return pointsText([...line, ...[...beneath].reverse()]);
}

/**
 * Draws areas over each other, from the ground up.
 * @param {SVGElement} svg
 * @param {readonly { look: string, bytes: readonly number[] }[]} areas how high each is, of each moment
 * @param {readonly number[]} seconds when the moments are, and the end
 * @param {(seconds: number) => number} x
 * @param {(bytes: number) => number} y
 */
export function stackAreas(svg, areas, seconds, x, y) {
  let sums = seconds.slice(1).map(() => 0);
  const line = () => stepPoints(seconds, [...sums, sums[sums.length - 1]], x, y);
  let beneath = line();
  for (const { look, bytes } of areas) {
    sums = sums.map((sum, i) => sum + bytes[i]);
    const above = line();
    svg.append(shape("polygon", { points: areaText(above, beneath), class: look }));
    beneath = above;
  }
}

/**
 * Where times are in a drawing.
 * @param {number} width
 * @param {number} end
 */
export function timeScale(width, end) {
  return (/** @type {number} */ s) => LEFT + (width - LEFT - RIGHT) * s / end;
}

/**
 * An empty drawing over time with its axes, and where bytes are in it.
 * @param {{ width: number, height: number, top: number, end: number, most: number, lines: number, words: string }} of
 */
export function drawAxes({ width, height, top, end, most, lines, words }) {
  const x = timeScale(width, end);
  const base = height - BOTTOM;
  const y = (/** @type {number} */ b) => base - (base - top) * Math.max(0, b) / most;
  const svg = shape("svg", { width, height, role: "img", tabindex: 0, "aria-label": `${words}; arrow keys read it` });
  for (let step = roundStep(most, lines), at = 0; at <= most; at += step) {
    svg.append(shape("line", { x1: LEFT, x2: width - 8, y1: y(at), y2: y(at), class: "grid" }));
    svg.append(shape("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, bytes(at)));
  }
  for (let step = roundStep(end, Math.max(2, width / 130)), at = 0; at <= end; at += step) {
    const anchor = at > 0 && x(at) > width - 30 ? "end" : "middle";
    svg.append(shape("text", { x: x(at), y: height - 4, "text-anchor": anchor }, clock(at)));
  }
  return { svg, x, y, base };
}

/**
 * The time at a point of the window.
 * @param {SVGElement} svg
 * @param {{ clientX: number }} point
 * @param {number} end
 */
export function secondsAt(svg, { clientX }, end) {
  const { left, width } = svg.getBoundingClientRect();
  return Math.max(0, Math.min(end, end * (clientX - left - LEFT) / (width - LEFT - RIGHT)));
}

/**
 * Lets the reader point at a time of a drawing, or go there by keys.
 * @param {SVGElement} svg
 * @param {{ top: number, base: number, end: number, times: readonly number[], x: (seconds: number) => number, y: (seconds: number) => number }} scale
 *   the times that keys go to, and where a tooltip stands for those who go by keys
 * @param {import("./tooltip.js").Tooltip} tooltip
 * @param {(seconds: number) => { where: number, lines: (string | Node)[] }} told what there is to say of a time, and of which one it is
 */
export function readTimes(svg, { top, base, end, times, x, y }, tooltip, told) {
  const cursor = shape("line", { y1: top, y2: base, class: "cursor" });
  const move = (/** @type {number} */ to) => {
    cursor.setAttribute("x1", String(to));
    cursor.setAttribute("x2", String(to));
  };
  move(-9);
  svg.append(cursor);
  let at = -1;
  const show = (/** @type {number} */ seconds, /** @type {{ x: number, y: number } | undefined} */ point) => {
    const { where, lines } = told(seconds);
    move(x(where));
    const box = svg.getBoundingClientRect();
    tooltip.show(point ?? { x: box.left + x(where), y: box.top + y(where) }, `at ${clock(where)}`, lines);
  };
  const hide = () => {
    move(-9);
    tooltip.hide();
  };
  svg.addEventListener("pointermove", (event) => {
    show(secondsAt(svg, event, end), { x: event.clientX, y: event.clientY });
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape" || event.shiftKey) hide();
    if (step === undefined || event.shiftKey) return;
    event.preventDefault();
    at = Math.max(0, Math.min(times.length - 1, at + step));
    show(times[at], undefined);
  });
}

/**
 * The sample that counts at a time: the last before it.
 * @param {readonly number[]} seconds
 * @param {number} at
 */
export function sampleAt(seconds, at) {
  const next = seconds.findIndex((s) => s > at);
  return Math.max(0, next < 0 ? seconds.length - 1 : next - 1);
}

/**
 * Whether a line goes through a box.
 * @param {Points} points
 * @param {{ left: number, right: number, top: number, bottom: number }} box
 */
function crosses(points, { left, right, top, bottom }) {
  return points.some(([x2, y2], i) => {
    const [x1, y1] = points[Math.max(0, i - 1)];
    if (x2 < left || x1 > right) return false;
    // The part of it that is above the box.
    const at = (/** @type {number} */ x) => x2 === x1 ? y2 : y1 + (y2 - y1) * (x - x1) / (x2 - x1);
    const ends = x2 === x1 ? [y1, y2] : [at(Math.max(left, x1)), at(Math.min(right, x2))];
    return Math.min(...ends) <= bottom && Math.max(...ends) >= top;
  });
}

/**
 * A place for a label at a point that no line goes through: the middle of its base line.
 * @param {readonly [x: number, y: number]} point
 * @param {{ width: number, height: number }} label
 * @param {{ left: number, right: number, top: number, bottom: number }} within
 * @param {readonly Points[]} lines
 */
export function labelPlace([x, y], { width, height }, within, lines) {
  const [near, far] = [width / 2 + 9, height + 8];
  const places = [[0, -10], [-near, -8], [near, -8], [near, 4], [-near, 4], [-near, far], [near, far], [0, far + 6]];
  const found = places.map(([dx, dy]) => ({
    x: Math.max(within.left + width / 2, Math.min(within.right - width / 2, x + dx)),
    y: y + dy,
  })).filter((place) => place.y - height >= within.top && place.y + 3 <= within.bottom);
  const isFree = (/** @type {{ x: number, y: number }} */ place) => {
    const box = {
      left: place.x - width / 2 - 2,
      right: place.x + width / 2 + 2,
      top: place.y - height,
      bottom: place.y + 3,
    };
    return !lines.some((points) => crosses(points, box));
  };
  return found.find(isFree) ?? found[0] ?? { x, y: Math.max(within.top + height, y - 10) };
}
