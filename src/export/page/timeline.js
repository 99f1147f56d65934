// What was live over the run: of one process with the resident set beside it, of two runs over each other, or of the
// processes of one run.
import { highest, labelPlace, pointsText, roundStep, sampleAt } from "./chart.js";
import { byId, element, shape } from "./dom.js";
import { baseName, bytes, clock } from "./format.js";

/** @typedef {{ title: string, look: string, seconds: readonly number[], bytes: readonly number[] }} Series */

const HEIGHT = 190;
const LEFT = 64;
const BOTTOM = 22;
/** Room for the peak's label above the line. */
const TOP = 26;
const MARK_ROW = 14;
/** A letter's width in labels, about. */
const LETTER = 6.4;
/** Share of the peak that a sample must have to be called its time. */
const NEAR_PEAK = 0.95;
/** Processes that have a line. */
const LINES = 6;

/**
 * The lines of a page: what is live, with what was at its end.
 * @param {import("./data.ts").PageData} data
 * @returns {Series[]}
 */
function seriesOf(data) {
  const line = (
    /** @type {string} */ title,
    /** @type {string} */ look,
    /** @type {import("./data.ts").TimelineData} */ { end, seconds, bytes },
    /** @type {number} */ last,
    begun = 0,
  ) => ({ title, look, seconds: [...seconds, end].map((s) => s + begun), bytes: [...bytes, last] });
  if (data.processes) {
    return [...data.processes].sort((a, b) => b.peakBytes - a.peakBytes).slice(0, LINES)
      .filter(({ timeline }) => timeline.seconds.length > 0)
      .map((p, i) =>
        line(
          `${baseName(p.command.split(" ")[0])} ${p.pid}`,
          `process process-${i}`,
          p.timeline,
          p.liveBytes,
          p.begun,
        )
      );
  }
  if (!data.timeline?.seconds.length) return [];
  const { timeline, timelineBefore } = data;
  return [
    line(timelineBefore ? "later" : "live", "live", timeline, data.totals.liveBytes),
    ...timelineBefore ? [line("earlier", "earlier", timelineBefore, data.before?.liveBytes ?? 0)] : [],
  ];
}

/**
 * Draws the timeline, and again when its width changes.
 * @param {import("./data.ts").PageData} data
 * @param {import("./tooltip.js").Tooltip} tooltip
 * @param {(shown: boolean) => void} onRss called when the reader shows or hides the resident set
 * @returns {((rss: boolean) => void) | undefined} draws it with or without the resident set; undefined when there is nothing to draw
 */
export function makeTimeline(data, tooltip, onRss) {
  const series = seriesOf(data);
  if (series.length === 0) return undefined;
  const into = byId("timeline");
  const resident = data.processes ? [] : data.timeline?.rss ?? [];
  const end = Math.max(1e-6, ...series.map(({ seconds }) => highest(seconds)));
  const marks = data.marks ?? [];
  let hasRss = true;
  const toggle = byId("rss");
  toggle.hidden = resident.every((n) => n < 0);
  toggle.addEventListener("click", () => onRss(!hasRss));
  byId("series").replaceChildren(...series.map(({ title, look }) => {
    return element("span", { className: `key line-key ${look}` }, title);
  }));

  const draw = () => {
    const width = Math.max(280, into.clientWidth);
    const most = Math.max(
      1,
      data.processes ? 0 : data.totals.peakBytes,
      ...series.map(({ bytes }) => highest(bytes)),
      hasRss ? highest(resident) : 0,
    );
    // Marks that would stand over each other get rows of their own.
    /** @type {number[]} */
    const taken = [];
    const x = (/** @type {number} */ s) => LEFT + (width - LEFT - 10) * s / end;
    const labels = marks.map(({ name, seconds }) => {
      const half = name.length * LETTER / 2;
      const at = Math.max(LEFT + half, Math.min(width - 4 - half, x(seconds)));
      let row = taken.findIndex((until) => until < at - half - 6);
      if (row < 0) row = taken.length;
      taken[row] = at + half;
      return { name, seconds, at, row };
    });
    const top = TOP + taken.length * MARK_ROW;
    const height = HEIGHT + taken.length * MARK_ROW;
    const base = height - BOTTOM;
    const y = (/** @type {number} */ b) => base - (base - top) * Math.max(0, b) / most;
    const svg = shape("svg", {
      width,
      height,
      role: "img",
      tabindex: 0,
      "aria-label": "Live bytes over time; arrow keys read it",
    });
    for (let step = roundStep(most, 4), at = 0; at <= most; at += step) {
      svg.append(shape("line", { x1: LEFT, x2: width - 8, y1: y(at), y2: y(at), class: "grid" }));
      svg.append(shape("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, bytes(at)));
    }
    for (let step = roundStep(end, Math.max(2, width / 130)), at = 0; at <= end; at += step) {
      const anchor = at > 0 && x(at) > width - 30 ? "end" : "middle";
      svg.append(shape("text", { x: x(at), y: height - 4, "text-anchor": anchor }, clock(at)));
    }
    const lines = series.map(({ seconds, bytes }) =>
      seconds.map((s, i) => /** @type {[number, number]} */ ([x(s), y(bytes[i])]))
    );
    series.forEach(({ look }, i) => {
      const points = lines[i];
      if (look === "live") {
        const area =
          /** @type {[number, number][]} */ ([[points[0][0], base], ...points, [points[points.length - 1][0], base]]);
        svg.append(shape("polygon", { points: pointsText(area), class: "area" }));
      }
      svg.append(shape("polyline", { points: pointsText(points), class: `line ${look}` }));
    });
    if (hasRss && resident.length > 0 && data.timeline) {
      const { seconds } = data.timeline;
      const points = resident.flatMap((n, i) => n < 0 ? [] : [/** @type {[number, number]} */ ([x(seconds[i]), y(n)])]);
      const last = points[points.length - 1];
      if (last) points.push([x(end), last[1]]);
      lines.push(points);
      svg.append(shape("polyline", { points: pointsText(points), class: "line rss" }));
    }
    for (const { name, seconds, at, row } of labels) {
      const foot = 12 + row * MARK_ROW;
      svg.append(shape("line", { x1: x(seconds), x2: x(seconds), y1: foot + 4, y2: base, class: "mark" }));
      svg.append(shape("text", { x: at, y: foot, "text-anchor": "middle", class: "mark-label" }, name));
    }
    if (!data.processes) {
      const [{ seconds, bytes: live }] = series;
      const isSampled = highest(live) >= NEAR_PEAK * data.totals.peakBytes;
      const at = isSampled ? seconds[live.indexOf(highest(live))] : end / 2;
      const peak = /** @type {[number, number]} */ ([x(at), y(data.totals.peakBytes)]);
      if (isSampled) svg.append(shape("circle", { cx: peak[0], cy: peak[1], r: 4, class: "peak" }));
      else svg.append(shape("line", { x1: LEFT, x2: x(end), y1: peak[1], y2: peak[1], class: "peak-level" }));
      const text = `peak ${bytes(data.totals.peakBytes)}`;
      const room = { left: LEFT + 2, right: width - 6, top: top - TOP, bottom: base };
      const place = labelPlace(peak, { width: text.length * LETTER, height: 11 }, room, lines);
      svg.append(shape("text", { ...place, "text-anchor": "middle", class: "peak-label" }, text));
    }
    svg.append(shape("line", { y1: top - 8, y2: base, x1: -9, x2: -9, class: "cursor" }));
    read(svg, x, (s) => y(series[0].bytes[sampleAt(series[0].seconds, s)]));
    into.replaceChildren(svg);
  };

  /**
   * Lets the reader point at a time, or go there by keys.
   * @param {SVGElement} svg
   * @param {(seconds: number) => number} x
   * @param {(seconds: number) => number} y
   */
  const read = (svg, x, y) => {
    const times = series[0].seconds;
    let at = -1;
    const show = (/** @type {number} */ seconds, /** @type {{ x: number, y: number } | undefined} */ point) => {
      const cursor = svg.querySelector(".cursor");
      const sample = times[sampleAt(times, seconds)];
      const where = series.length > 1 ? seconds : sample;
      cursor?.setAttribute("x1", String(x(where)));
      cursor?.setAttribute("x2", String(x(where)));
      const figures = series.map(({ title, seconds, bytes: live }) => {
        if (where < seconds[0] || where > seconds[seconds.length - 1]) return "";
        return `${bytes(live[sampleAt(seconds, where)])} ${title}`;
      });
      const rss = hasRss && data.timeline && !data.processes
        ? resident[Math.min(resident.length - 1, sampleAt(data.timeline.seconds, where))]
        : -1;
      const near = marks.filter((mark) => Math.abs(x(mark.seconds) - x(where)) < 6).map(({ name }) => `mark ${name}`);
      const box = svg.getBoundingClientRect();
      tooltip.show(point ?? { x: box.left + x(where), y: box.top + y(where) }, `at ${clock(where)}`, [
        ...figures,
        rss >= 0 ? `resident set up to ${bytes(rss)}` : "",
        ...near,
      ]);
    };
    const hide = () => {
      svg.querySelector(".cursor")?.setAttribute("x1", "-9");
      svg.querySelector(".cursor")?.setAttribute("x2", "-9");
      tooltip.hide();
    };
    svg.addEventListener("pointermove", (event) => {
      const seconds = end * (event.offsetX - LEFT) / (svg.clientWidth - LEFT - 10);
      show(Math.max(0, Math.min(end, seconds)), { x: event.clientX, y: event.clientY });
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") hide();
      if (step === undefined) return;
      event.preventDefault();
      at = Math.max(0, Math.min(times.length - 1, at + step));
      show(times[at], undefined);
    });
  };

  new ResizeObserver(draw).observe(into);
  return (rss) => {
    hasRss = rss;
    toggle.setAttribute("aria-pressed", String(rss));
    draw();
  };
}

/**
 * A small line of what a process had live, on the time of all.
 * @param {import("./data.ts").ProcessData} process
 * @param {number} end
 * @param {number} most
 */
export function sparkline({ begun, timeline, liveBytes }, end, most) {
  const [width, height] = [220, 30];
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "sparkline" });
  const x = (/** @type {number} */ s) => 1 + (width - 2) * (begun + s) / end;
  const y = (/** @type {number} */ b) => height - 1 - (height - 4) * Math.sqrt(Math.max(0, b) / most);
  const seconds = [...timeline.seconds, timeline.end];
  const live = [...timeline.bytes, liveBytes];
  const points = seconds.map((s, i) => /** @type {[number, number]} */ ([x(s), y(live[i])]));
  const ends = /** @type {[number, number][]} */ ([[points[0][0], height], ...points, [x(timeline.end), height]]);
  svg.append(shape("polygon", { points: pointsText(ends), class: "area" }));
  svg.append(shape("polyline", { points: pointsText(points), class: "line live" }));
  return svg;
}
