// A page that a server keeps up with a recording: what each look tells goes into its data, and is drawn; pausing, and marks.
import { byId } from "./dom.js";
import { clock } from "./format.js";

/** @typedef {import("./data.ts").LookData} LookData */
/** @template T @typedef {{ -readonly [K in keyof T]: T[K] }} Writable */

/** Samples of the timeline, above which every second one goes. */
const MOST_SAMPLES = 2000;
/** Milliseconds until a server that does not answer is asked again. */
const AGAIN = 1000;

/**
 * Puts what comes behind what is there.
 * @param {Record<string, any>} all
 * @param {Record<string, any>} added
 */
function appendAll(all, added) {
  for (const [name, more] of Object.entries(added)) {
    if (!Array.isArray(more)) appendAll(all[name], more);
    else for (const one of more) all[name].push(one);
  }
}

/**
 * Adds a sample to a timeline.
 * @param {Record<string, number[]>} columns
 * @param {LookData} look
 */
function addSample({ seconds, bytes, highest, rss, mapped }, { seconds: now, totals, resident }) {
  const last = seconds.length - 1;
  if (seconds[last] >= now) return;
  seconds.push(now);
  bytes.push(totals.liveBytes ?? -1);
  highest.push(totals.liveBytes ?? -1);
  rss.push(resident);
  mapped.push(mapped[last] ?? -1);
  if (seconds.length <= MOST_SAMPLES) return;
  highest.forEach((n, i) => highest[i] = Math.max(n, highest[i + 1] ?? 0));
  for (const column of [seconds, bytes, highest, rss, mapped]) {
    column.splice(0, column.length, ...column.filter((_, i) => i % 2 === 0));
  }
}

/**
 * Takes over sizes and lifetimes. Blocks that are live grow older, those of call paths too of which nothing is told.
 * @param {Writable<import("./data.ts").PageData>} data
 * @param {LookData} look
 */
function takeBeside(data, { paths, sizes, lifetimes, seconds }) {
  /** @type {(column: readonly any[] | undefined, now: readonly any[] | undefined) => void} */
  const put = (column, now) => now?.forEach((one, i) => /** @type {any[]} */ (column)[paths ? paths[i] : i] = one);
  put(data.sizes?.requests, sizes?.requests);
  put(data.sizes?.slack, sizes?.slack);
  const live = data.lifetimes?.live;
  const elapsed = Math.max(0, seconds - (data.timeline?.end ?? seconds));
  live?.blocks.forEach((n, p) => /** @type {number[]} */ (live.seconds)[p] += n * elapsed);
  put(data.lifetimes?.times.classes, lifetimes?.times.classes);
  put(data.lifetimes?.allocations.classes, lifetimes?.allocations.classes);
  put(data.lifetimes?.seconds, lifetimes?.seconds);
  put(live?.blocks, lifetimes?.live?.blocks);
  put(live?.seconds, lifetimes?.live?.seconds);
}

/**
 * Takes over what a look tells.
 * @param {import("./model.js").Model} model
 * @param {LookData} look
 */
function take(model, look) {
  const data = /** @type {Writable<import("./data.ts").PageData>} */ (model.data);
  const { totals, threads, marks, memory, mapped, added, figures, paths } = look;
  data.totals = totals;
  if (threads) data.threads = threads;
  if (marks) data.marks = marks;
  if (memory) data.memory = memory;
  if (mapped) data.mapped = mapped;
  takeBeside(data, look);
  if (added) {
    appendAll(data, added);
    model.grow();
  }
  for (const [name, column] of Object.entries(/** @type {Record<string, number[]>} */ (data.figures))) {
    while (column.length < model.paths) column.push(0);
    const { [name]: now } = figures;
    now?.forEach((n, i) => column[paths ? paths[i] : i] = n);
  }
  if (data.timeline) {
    data.timeline = { ...data.timeline, end: Math.max(data.timeline.end, look.seconds) };
    addSample(/** @type {any} */ (data.timeline), look);
  }
}

/** How many of each part a page has that only grow. */
function knownOf(/** @type {import("./data.ts").PageData} */ data) {
  const { modules, files, kinds, functions, places, nodes, ends } = data;
  return [modules, files, kinds, functions.name, places.fn, nodes.place, ends].map(({ length }) => length).join(".");
}

/**
 * Keeps the page up with what its server tells.
 * @param {import("./model.js").Model} model
 * @param {(look: LookData) => void} onLook called with each look, which the data have then
 */
export function keepUp(model, onLook) {
  const { data } = model;
  const [pause, told] = [byId("pause"), byId("served-told")];
  let [isPaused, isOver] = [false, false];
  /** @type {EventSource | undefined} */
  let looks;
  const connect = () => {
    looks?.close();
    if (isPaused || isOver) return;
    looks = new EventSource(`looks?known=${knownOf(data)}`);
    looks.addEventListener("message", ({ data: text }) => {
      const look = /** @type {LookData} */ (JSON.parse(text));
      if (look.recording !== data.served?.recording) return location.reload();
      take(model, look);
      told.textContent = look.running ? `live, ${clock(look.seconds)}` : "ended";
      onLook(look);
    });
    looks.addEventListener("end", ({ data: why }) => {
      isOver = true;
      looks?.close();
      told.textContent = JSON.parse(why) || "ended";
      for (const id of ["pause", "mark"]) byId(id).toggleAttribute("disabled", true);
    });
    looks.addEventListener("error", () => {
      looks?.close();
      if (isPaused || isOver) return;
      told.textContent = "heaptap serve does not answer";
      setTimeout(connect, AGAIN);
    });
  };
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    if (isPaused) told.textContent = "paused";
    connect();
  });
  byId("mark").addEventListener("click", async () => {
    const taken = new Set(data.marks?.map(({ name }) => name));
    let n = 1;
    while (taken.has(`mark-${n}`)) n++;
    const answer = await fetch(`mark?name=mark-${n}`, { method: "POST" });
    if (!answer.ok) told.textContent = await answer.text();
  });
  byId("served").hidden = false;
  connect();
}
