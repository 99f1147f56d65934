// What was live over the run: of one process with the resident set beside it, of two runs over each other, or of the
// processes of one run.
import {
  areaText,
  drawAxes,
  highest,
  labelPlace,
  LEFT,
  pointsText,
  readTimes,
  sampleAt,
  stepPoints,
  timeScale,
} from "./chart.js";
import { curve } from "./curve.js";
import { byId, element, shape } from "./dom.js";
import { baseName, bytes } from "./format.js";
import { Layers } from "./layers.js";

/** @typedef {{ seconds: number[], bytes: number[], tops: number[] }} Steps */
/** @typedef {Steps & { title: string, look: string }} Series */

const HEIGHT = 190;
/** Room for the peak's label above the line. */
const TOP = 26;
const MARK_ROW = 14;
/** A letter's width in labels, about. */
const LETTER = 6.4;
/** Share of the peak that a sample must have to be called its time. */
const NEAR_PEAK = 0.95;
/** What the drawing is called, and how keys choose from it. */
const TITLE = "Live bytes over time";
const BRUSHED = `${TITLE}; Enter shows a moment, arrow keys with shift a span`;
/** Processes that have a line. */
const LINES = 6;

/**
 * The steps of what is live, up to the end of the run.
 * @param {import("./data.ts").TimelineData} timeline
 * @param {number} [begun]
 * @returns {Steps}
 */
function stepsOf({ end, seconds, bytes, highest = bytes }, begun = 0) {
  const levels = bytes.map((n) => Math.max(0, n));
  const last = seconds.length - 1;
  const more = last >= 0 && seconds[last] < end;
  return {
    seconds: [...seconds, ...more ? [end] : []].map((s) => s + begun),
    bytes: [...levels, ...more ? [levels[last]] : []],
    tops: [...highest, ...more ? [levels[last]] : []],
  };
}

/**
 * The lines of a page.
 * @param {import("./data.ts").PageData} data
 * @returns {Series[]}
 */
export function seriesOf(data) {
  if (data.processes) {
    return [...data.processes].sort((a, b) => b.peakBytes - a.peakBytes).slice(0, LINES)
      .filter(({ timeline }) => timeline.seconds.length > 0)
      .map(({ command, pid, timeline, begun }, i) => ({
        title: `${baseName(command.split(" ")[0])} ${pid}`,
        look: `process process-${i}`,
        ...stepsOf(timeline, begun),
      }));
  }
  const { timeline, timelineBefore } = data;
  if (!timeline?.seconds.length) return [];
  return [
    { title: timelineBefore ? "later" : "live", look: "live", ...stepsOf(timeline) },
    ...timelineBefore ? [{ title: "earlier", look: "earlier", ...stepsOf(timelineBefore) }] : [],
  ];
}

/**
 * Draws the timeline, and again when its width changes.
 * @param {import("./data.ts").PageData} data
 * @param {import("./tooltip.js").Tooltip} tooltip
 * @param {import("./brush.js").Brush | undefined} brush what chooses a span of it, where one can be looked at
 * @param {{ onRss: (shown: boolean) => void, onParts: (shown: boolean) => void, onPath: (path: number) => void }} told
 *   called when the reader shows or hides the resident set, or what is live by function, or chooses a function of those
 * @returns {((rss: boolean, parts: boolean) => void) | undefined} draws it with or without them; undefined when there is nothing to draw
 */
export function makeTimeline(data, tooltip, brush, { onRss, onParts, onPath }) {
  let series = seriesOf(data);
  if (series.length === 0) return undefined;
  const into = byId("timeline");
  const layers = new Layers(data.layers, onPath);
  const [areas, partsToggle] = [byId("layers"), byId("parts")];
  let [hasRss, hasParts] = [true, true];
  byId("brush").textContent = brush
    ? "Drag: what grew in a span. Click: what was live then."
    : data.timelineBefore
    ? ""
    : data.processes
    ? "What grew in a span is told of one process: heaptap report --process PID"
    : "What grew in a span cannot be told here: heaptap run keeps moments, of whole runs";
  const toggle = byId("rss");
  toggle.addEventListener("click", () => onRss(!hasRss));
  partsToggle.hidden = layers.all.length === 0;
  partsToggle.addEventListener("click", () => onParts(!hasParts));
  byId("series").replaceChildren(...series.map(({ title, look }) => {
    return element("span", { className: `key line-key ${look}` }, title);
  }));

  const draw = () => {
    // Of a run that goes on there is more each time.
    series = seriesOf(data);
    const { seconds: times = [], rss: resident = [] } = data.timeline ?? {};
    const isWatched = resident.some((n) => n >= 0);
    toggle.hidden = !isWatched;
    const end = endOf(data, series);
    const marks = data.marks ?? [];
    const isStacked = hasParts && layers.all.length > 0;
    const width = Math.max(280, into.clientWidth);
    const most = Math.max(
      1,
      data.processes ? 0 : data.totals.peakBytes,
      ...series.map(({ bytes, tops }) => Math.max(highest(bytes), highest(tops))),
      hasRss ? highest(resident) : 0,
      isStacked ? highest(layers.sums) : 0,
    );
    // Marks that would stand over each other get rows of their own.
    /** @type {number[]} */
    const taken = [];
    const x = timeScale(width, end);
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
    const { svg, y, base } = drawAxes({ width, height, top, end, most, lines: 4, words: brush ? BRUSHED : TITLE });
    const lines = series.map(({ seconds, bytes, tops }) => stepPoints(seconds, bytes, x, y, tops));
    if (isStacked) layers.draw(svg, end, x, y);
    series.forEach(({ look }, i) => {
      if (look === "live" && !isStacked) {
        const [[from], [to]] = [lines[i][0], lines[i][lines[i].length - 1]];
        svg.append(shape("polygon", { points: areaText(lines[i], [[from, base], [to, base]]), class: "area" }));
      }
      svg.append(shape("polyline", { points: pointsText(lines[i]), class: `line ${look}` }));
    });
    if (hasRss && isWatched) {
      const points = stepPoints([...times, end], [...resident, -1], x, y);
      lines.push(points);
      svg.append(shape("polyline", { points: pointsText(points), class: "line rss" }));
    }
    for (const { name, seconds, at, row } of labels) {
      const foot = 12 + row * MARK_ROW;
      svg.append(shape("line", { x1: x(seconds), x2: x(seconds), y1: foot + 4, y2: base, class: "mark" }));
      svg.append(shape("text", { x: at, y: foot, "text-anchor": "middle", class: "mark-label" }, name));
    }
    if (!data.processes) {
      const [{ seconds, bytes: live, tops }] = series;
      const most = live.map((n, i) => Math.max(n, tops[i]));
      const isSampled = highest(most) >= NEAR_PEAK * data.totals.peakBytes;
      const at = isSampled ? seconds[most.indexOf(highest(most))] : end / 2;
      const peak = /** @type {[number, number]} */ ([x(at), y(data.totals.peakBytes)]);
      if (isSampled) svg.append(shape("circle", { cx: peak[0], cy: peak[1], r: 4, class: "peak" }));
      else svg.append(shape("line", { x1: LEFT, x2: x(end), y1: peak[1], y2: peak[1], class: "peak-level" }));
      const text = `peak ${bytes(data.totals.peakBytes)}`;
      const room = { left: LEFT + 2, right: width - 6, top: top - TOP, bottom: base };
      const place = labelPlace(peak, { width: text.length * LETTER, height: 11 }, room, lines);
      svg.append(shape("text", { ...place, "text-anchor": "middle", class: "peak-label" }, text));
    }
    const [{ seconds, bytes: live }] = series;
    const level = (/** @type {number} */ s) => y(live[sampleAt(seconds, s)]);
    const stops = isStacked ? [...new Set([...seconds, ...layers.seconds])].sort((a, b) => a - b) : seconds;
    readTimes(svg, { top: top - 8, base, end, times: stops, x, y: level }, tooltip, (pointed) => told(pointed, x));
    brush?.attach(svg, { top: top - 8, base, end, x });
    into.replaceChildren(svg);
  };

  /**
   * What there is to say of a time: of one line that of the sample which holds then, or of the moment that came after it.
   * @param {number} pointed
   * @param {(seconds: number) => number} x
   */
  const told = (pointed, x) => {
    const [{ seconds }] = series;
    const { seconds: times = [], rss: resident = [], mapped = [] } = data.timeline ?? {};
    const moment = hasParts ? layers.momentAt(pointed) : -1;
    const sampled = series.length > 1 ? pointed : seconds[sampleAt(seconds, pointed)];
    const where = Math.max(sampled, layers.seconds[moment] ?? 0);
    const figures = series.map(({ title, seconds, bytes: live, tops }) => {
      if (where < seconds[0] || where > seconds[seconds.length - 1]) return "";
      const i = sampleAt(seconds, where);
      const [now, most] = [bytes(live[i]), bytes(tops[i])];
      return `${now} ${title}${tops[i] > live[i] && most !== now ? `, for a moment ${most}` : ""}`;
    });
    const i = sampleAt(times, where);
    if (brush) brush.pointed = where;
    return {
      where,
      lines: [
        ...figures,
        hasRss && resident[i] >= 0 ? `resident set ${bytes(resident[i])}` : "",
        mapped[i] > 0 ? `mapped by the program ${bytes(mapped[i])}` : "",
        ...(data.marks ?? []).filter((mark) => Math.abs(x(mark.seconds) - x(where)) < 6).map(({ name }) =>
          `mark ${name}`
        ),
        ...layers.told(moment),
      ],
    };
  };

  new ResizeObserver(draw).observe(into);
  return (rss, parts) => {
    [hasRss, hasParts] = [rss, parts];
    toggle.setAttribute("aria-pressed", String(rss));
    partsToggle.setAttribute("aria-pressed", String(parts));
    areas.hidden = !parts || layers.all.length === 0;
    draw();
  };
}

/**
 * When the run ended, of all that is drawn here and in resident.js.
 * @param {import("./data.ts").PageData} data
 * @param {readonly Series[]} series
 */
export function endOf({ memory, layers }, series) {
  // Of a process that runs the last account, or moment, is of later than the last sample.
  const looks = [...memory?.seconds ?? [], ...layers?.seconds ?? []];
  return Math.max(1e-6, highest(looks), ...series.map(({ seconds }) => highest(seconds)));
}

/**
 * A small line of what a process had live, on the time of all.
 * @param {import("./data.ts").ProcessData} process
 * @param {number} end
 * @param {number} most
 */
export function sparkline({ begun, timeline }, end, most) {
  return curve(stepsOf(timeline, begun), end, (b) => Math.sqrt(b / most));
}
