// What drawings over time have in common: scales, lines, and labels that no line goes through.

/** @typedef {{ seconds: readonly number[], bytes: readonly number[] }} Samples */
/** @typedef {readonly (readonly [x: number, y: number])[]} Points */

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
