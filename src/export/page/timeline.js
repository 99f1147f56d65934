// What was live over the run, and the resident set beside it.
import { byId, bytes, clock, element } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 170;
const LEFT = 64;
const BOTTOM = 22;
const TOP = 14;

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

/**
 * A round step for an axis of about so many.
 * @param {number} span
 * @param {number} steps
 */
function roundStep(span, steps) {
  const rough = span / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5].find((n) => n * power >= rough) ?? 10) * power;
}

/** @param {readonly number[]} figures */
function highest(figures) {
  return figures.reduce((most, n) => Math.max(most, n), 0);
}

/**
 * Draws the timeline into an element, and again when its width changes.
 * @param {HTMLElement} into
 * @param {import("./data.ts").PageData} data
 */
export function drawTimeline(into, data) {
  const line = data.timeline;
  if (!line || line.seconds.length === 0) return false;
  const end = Math.max(line.end, line.seconds[line.seconds.length - 1], 1e-6);
  const peak = data.totals.peakBytes;
  const readout = element("p", { className: "readout" });
  let hasRss = true;
  const draw = () => {
    const width = Math.max(280, into.clientWidth);
    const top = Math.max(peak, highest(line.bytes), hasRss ? highest(line.rss) : 0, 1);
    const x = (/** @type {number} */ s) => LEFT + (width - LEFT - 8) * s / end;
    const y = (/** @type {number} */ b) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * b / top;
    const svg = shape("svg", { width, height: HEIGHT, role: "img", "aria-label": "Live bytes over time" });
    for (let step = roundStep(top, 3), at = 0; at <= top; at += step) {
      svg.append(shape("line", { x1: LEFT, x2: width - 8, y1: y(at), y2: y(at), class: "grid" }));
      svg.append(shape("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, bytes(at)));
    }
    for (let step = roundStep(end, Math.max(2, width / 130)), at = 0; at <= end; at += step) {
      svg.append(shape("text", { x: x(at), y: HEIGHT - 4, "text-anchor": "middle" }, clock(at)));
    }
    const corners = line.seconds.map((s, i) => `${x(s).toFixed(1)},${y(Math.max(0, line.bytes[i])).toFixed(1)}`);
    corners.push(`${x(end).toFixed(1)},${y(Math.max(0, data.totals.liveBytes)).toFixed(1)}`);
    svg.append(shape("polygon", {
      points: `${x(line.seconds[0])},${y(0)} ${corners.join(" ")} ${x(end)},${y(0)}`,
      class: "live",
    }));
    svg.append(shape("polyline", { points: corners.join(" "), class: "live-edge" }));
    if (hasRss) {
      const resident = line.seconds.flatMap((s, i) =>
        line.rss[i] < 0 ? [] : [`${x(s).toFixed(1)},${y(line.rss[i]).toFixed(1)}`]
      );
      const last = line.rss[line.rss.length - 1];
      if (last >= 0) resident.push(`${x(end).toFixed(1)},${y(last).toFixed(1)}`);
      svg.append(shape("polyline", { points: resident.join(" "), class: "rss" }));
    }
    const atPeak = line.bytes.indexOf(highest(line.bytes));
    const [px, py] = [x(line.seconds[atPeak]), y(peak)];
    svg.append(shape("circle", { cx: px, cy: py, r: 4, class: "peak" }));
    const toTheLeft = px > width - 130;
    svg.append(shape("text", {
      x: px + (toTheLeft ? -9 : 9),
      y: Math.max(12, py + 4),
      "text-anchor": toTheLeft ? "end" : "start",
      class: "peak-label",
    }, `peak ${bytes(peak)}`));
    const cursor = shape("line", { y1: TOP, y2: HEIGHT - BOTTOM, x1: -9, x2: -9, class: "cursor" });
    svg.append(cursor);
    svg.addEventListener("pointermove", (event) => {
      const seconds = end * (/** @type {PointerEvent} */ (event).offsetX - LEFT) / (width - LEFT - 8);
      let at = line.seconds.findIndex((s) => s > seconds) - 1;
      if (at === -2) at = line.seconds.length - 1;
      at = Math.max(0, at);
      cursor.setAttribute("x1", String(x(line.seconds[at])));
      cursor.setAttribute("x2", String(x(line.seconds[at])));
      const rss = line.rss[at] < 0 ? "" : `, resident set up to ${bytes(line.rss[at])}`;
      readout.textContent = `at ${clock(line.seconds[at])}: ${bytes(line.bytes[at])} live${rss}`;
    });
    into.replaceChildren(svg, readout);
  };
  const toggle = byId("rss");
  toggle.hidden = line.rss.every((n) => n < 0);
  toggle.addEventListener("click", () => {
    hasRss = !hasRss;
    toggle.setAttribute("aria-pressed", String(hasRss));
    draw();
  });
  new ResizeObserver(draw).observe(into);
  return true;
}
