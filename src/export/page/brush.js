// Choosing a moment of the run on its timeline, or a span from one to another: by pointer, finger and keys.
import { secondsAt } from "./chart.js";
import { byId, shape } from "./dom.js";
import { bytes, counted } from "./format.js";

/** @typedef {import("./moments.js").Span} Span */

/** How far a pointer goes before that is a span and no click, in pixels. */
const DRAG = 4;
/** Half the width of a moment in the drawing, in pixels, and the height of the notch that each has. */
const NARROW = 1, NOTCH = 4;

export class Brush {
  /**
   * @param {import("./moments.js").Moments} moments
   * @param {(span: Span | undefined, isPassing: boolean) => void} onSpan called with what the reader chooses; while it
   *   goes on to change, `isPassing`
   */
  constructor(moments, onSpan) {
    this.moments = moments;
    this.onSpan = onSpan;
    /** @type {Span | undefined} */
    this.span = undefined;
    /** The time at which the reader looks: keys begin there. */
    this.pointed = 0;
    /** The moment from which keys choose, -1 when they do not, and that up to which. */
    this.anchor = -1;
    this.head = -1;
    this.band = shape("rect", { class: "band" });
    this.x = (/** @type {number} */ seconds) => seconds;
  }

  /**
   * Puts it into a drawing.
   * @param {SVGElement} svg
   * @param {{ top: number, base: number, end: number, x: (seconds: number) => number }} scale
   */
  attach(svg, { top, base, end, x }) {
    this.x = x;
    const notches = this.moments.seconds.map((s) => `M${x(s).toFixed(1)} ${base}v${NOTCH}`).join("");
    this.band.setAttribute("y", String(top));
    this.band.setAttribute("height", String(base - top));
    svg.classList.add("can-drag");
    svg.append(shape("path", { d: notches, class: "notches" }), this.band);
    this.mark(this.span);
    this.#listenToPointer(svg, end);
    svg.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Shows what is chosen.
   * @param {Span | undefined} span
   */
  mark(span) {
    this.span = span;
    if (!span) this.anchor = -1;
    this.band.toggleAttribute("hidden", !span);
    if (!span) return;
    const to = this.x(this.moments.seconds[span.to]);
    const [left, right] = span.from < 0 ? [to - NARROW, to + NARROW] : [this.x(this.moments.seconds[span.from]), to];
    this.band.setAttribute("x", left.toFixed(1));
    this.band.setAttribute("width", (right - left).toFixed(1));
  }

  /**
   * @param {number} one
   * @param {number} other
   * @param {boolean} isPassing
   */
  #choose(one, other, isPassing) {
    const span = { from: one === other ? -1 : Math.min(one, other), to: Math.max(one, other) };
    this.mark(span);
    this.onSpan(span, isPassing);
  }

  /**
   * @param {SVGElement} svg
   * @param {number} end
   */
  #listenToPointer(svg, end) {
    /** @type {{ x: number, moment: number, before: Span | undefined, isDrag: boolean } | undefined} */
    let pressed;
    const momentAt = (/** @type {PointerEvent} */ event) => this.moments.nearest(secondsAt(svg, event, end));
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      pressed = { x: event.clientX, moment: momentAt(event), before: this.span, isDrag: false };
      this.anchor = -1;
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (!pressed) return;
      pressed.isDrag ||= Math.abs(event.clientX - pressed.x) >= DRAG;
      if (pressed.isDrag) this.#choose(pressed.moment, momentAt(event), true);
    });
    svg.addEventListener("pointerup", (event) => {
      if (!pressed) return;
      this.#choose(pressed.moment, pressed.isDrag ? momentAt(event) : pressed.moment, false);
      pressed = undefined;
    });
    // A finger that goes up or down scrolls the page.
    svg.addEventListener("pointercancel", () => {
      if (pressed?.isDrag) this.onSpan(pressed.before, false);
      pressed = undefined;
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const here = this.moments.nearest(this.pointed);
    if (event.key === "Enter") this.#choose(here, here, false);
    else if (event.shiftKey && step !== undefined) {
      if (this.anchor < 0) this.anchor = this.head = here;
      this.head = Math.max(0, Math.min(this.moments.seconds.length - 1, this.head + step));
      this.#choose(this.anchor, this.head, false);
    } else {
      if (step !== undefined) this.anchor = -1;
      return;
    }
    event.preventDefault();
  }
}

/**
 * Says what is chosen of a run, and what there was then.
 * @param {import("./model.js").Model} model
 */
export function tellSpan(model) {
  const { moments, span } = model;
  byId("span").hidden = !span;
  if (!moments || !span) return;
  const sum = (/** @type {string} */ name) => model.column(name).reduce((all, n) => all + n, 0);
  const live = sum("liveBytes");
  byId("span-clear").textContent = `${moments.words(span)} \u00d7`;
  if (span.from < 0) byId("span-told").textContent = `${bytes(live)} live in ${counted(sum("liveCount"), "block")}`;
  else {
    const before = moments.figures({ from: -1, to: span.from }).liveBytes.reduce((all, n) => all + n, 0);
    const allocated = `${bytes(sum("bytes"))} in ${counted(sum("allocations"), "allocation")}`;
    byId("span-told").textContent = `${allocated}, live ${bytes(before)} \u2192 ${bytes(before + live)}`;
  }
}
