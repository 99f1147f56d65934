// What is said of a thing beside the pointer, or beside the thing itself for those who go by keyboard.
import { byId, element } from "./dom.js";

/** Room between the pointer and the words. */
const AWAY = 14;

export class Tooltip {
  constructor() {
    this.box = byId("tooltip");
    document.addEventListener("scroll", () => this.hide(), { passive: true });
  }

  /**
   * Shows words beside a point of the window.
   * @param {{ x: number, y: number }} at
   * @param {string} title
   * @param {readonly (string | Node)[]} lines
   */
  show({ x, y }, title, lines) {
    const { box } = this;
    box.replaceChildren(
      element("strong", {}, title),
      ...lines.filter(Boolean).map((line, i) =>
        typeof line === "string" ? element("span", { className: i === 0 ? "figures" : "where" }, line) : line
      ),
    );
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const room = { x: document.documentElement.clientWidth - 8, y: innerHeight - 8 };
    const left = x + AWAY + width > room.x ? x - AWAY - width : x + AWAY;
    const top = y + AWAY + height > room.y ? y - AWAY - height : y + AWAY;
    box.style.left = `${Math.max(8, Math.min(left, room.x - width))}px`;
    box.style.top = `${Math.max(8, top)}px`;
  }

  hide() {
    this.box.hidden = true;
  }
}
