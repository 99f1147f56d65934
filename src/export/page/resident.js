// The resident set over the run by what it was, beneath what was live.
import { drawAxes, highest, pointsText, readTimes, sampleAt, stackAreas, stepPoints } from "./chart.js";
import { byId, element, shape } from "./dom.js";
import { bytes } from "./format.js";
import { endOf, seriesOf } from "./timeline.js";

const MEMORY_HEIGHT = 128;
/** Part of the highest resident set below which something is not shown by itself. */
const NOTABLE = 0.01;

/** What the resident set is made of, from the ground up, and what that is called. */
const PARTS = {
  live: "live blocks",
  slack: "rounding and headers",
  before: "blocks from before",
  allocatorFree: "free in the allocator",
  mapped: "mapped by the program",
  stacks: "stacks",
  files: "files",
  shared: "shared",
  heaptap: "heaptap",
  other: "other",
};

/**
 * The parts of the resident set that are shown by themselves, and the rest of it.
 * @param {import("./data.ts").MemoryData} memory
 */
function notableParts({ seconds, parts }) {
  const known = /** @type {(keyof typeof PARTS)[]} */ (Object.keys(PARTS)).filter((id) => parts[id]);
  const sum = (/** @type {string[]} */ ids) => seconds.map((_, i) => ids.reduce((n, id) => n + parts[id][i], 0));
  const resident = sum(known);
  const own = known.filter((id) => id !== "other" && highest(parts[id]) >= NOTABLE * highest(resident));
  const rest = sum(known.filter((id) => !own.includes(id)));
  const shown = [
    ...own.map((id) => ({ id, title: PARTS[id], bytes: parts[id] })),
    ...highest(rest) > 0 ? [{ id: "other", title: PARTS.other, bytes: rest }] : [],
  ];
  return { resident, shown };
}

/**
 * Draws what the resident set is made of, again when the width changes, and whenever the data have: what is returned does that.
 * @param {import("./data.ts").PageData} data
 * @param {import("./tooltip.js").Tooltip} tooltip
 */
export function makeMemory(data, tooltip) {
  const into = byId("memory-chart");
  let room = 0;
  const draw = () => {
    const { memory } = data;
    byId("memory").hidden = !memory?.seconds.length;
    if (memory?.seconds.length && room > 0) into.replaceChildren(drawMemory(data, memory, room, tooltip));
  };
  new ResizeObserver(() => {
    room = into.clientWidth;
    draw();
  }).observe(into);
  draw();
  return draw;
}

/**
 * @param {import("./data.ts").PageData} data
 * @param {import("./data.ts").MemoryData} memory
 * @param {number} room
 * @param {import("./tooltip.js").Tooltip} tooltip
 */
function drawMemory(data, memory, room, tooltip) {
  const { resident, shown } = notableParts(memory);
  const { seconds: times = [], rss = [] } = data.timeline ?? {};
  const end = endOf(data, seriesOf(data));
  // One alone is of the whole run.
  const from = memory.seconds.length > 1 ? memory.seconds : [0];
  byId("memory-parts").replaceChildren(
    ...shown.map(({ id, title }) => element("span", { className: `key part part-${id}` }, title)),
    ...rss.some((n) => n >= 0) ? [element("span", { className: "key line-key between" }, "resident set")] : [],
  );
  const [top, most] = [8, Math.max(highest(resident), highest(rss))];
  const scale = { width: Math.max(280, room), height: MEMORY_HEIGHT, top, end, most };
  const { svg, x, y, base } = drawAxes({ ...scale, lines: 3, words: "Resident memory over time, by what it is" });
  stackAreas(svg, shown.map(({ id, bytes }) => ({ look: `part part-${id}`, bytes })), [...from, end], x, y);
  // Accounts are taken now and then: how high it was between them is known too.
  const between = stepPoints([...times, end], [...rss, -1], x, y);
  svg.append(shape("polyline", { points: pointsText(between), class: "line between" }));
  const level = (/** @type {number} */ s) => y(resident[sampleAt(from, s)]);
  readTimes(svg, { top, base, end, times: from, x, y: level }, tooltip, (pointed) => {
    const i = sampleAt(from, pointed);
    const parts = shown.map(({ title, bytes: has }) => `${bytes(has[i])} ${title}`);
    return { where: memory.seconds[i], lines: [`resident set ${bytes(resident[i])}`, ...parts] };
  });
  return svg;
}
