// The search: what it finds, and in words how much of what is shown that is.
import { byId } from "./dom.js";
import { bytes, count, counted, share } from "./format.js";

/** What a search may take until the reader has typed on, milliseconds. */
const TYPING = 120;

/** @param {string} text */
export function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/**
 * A pattern from what was typed: a regular expression, or the text itself where it is none.
 * @param {string} text
 */
function patternOf(text) {
  try {
    return { pattern: new RegExp(text, /[A-Z]/.test(text) ? "" : "i"), isLiteral: false };
  } catch {
    return { pattern: new RegExp(escaped(text), "i"), isLiteral: true };
  }
}

export class Search {
  /**
   * @param {import("./model.js").Model} model
   * @param {(text: string) => void} onSearch called with what the reader looks for
   */
  constructor(model, onSearch) {
    this.model = model;
    this.input = /** @type {HTMLInputElement} */ (byId("search"));
    /** @type {import("./model.js").Found | undefined} */
    this.found = undefined;
    this.isLiteral = false;
    let typing = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => onSearch(this.input.value), TYPING);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") onSearch(this.input.value);
      if (event.key === "Escape") onSearch("");
    });
    byId("clear").addEventListener("click", () => onSearch(""));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target === this.input) return;
      event.preventDefault();
      this.input.focus();
    });
  }

  /** @param {string} typed */
  look(typed) {
    const text = typed.trim();
    const { pattern, isLiteral } = patternOf(text);
    this.isLiteral = isLiteral;
    this.found = text ? this.model.search(pattern) : undefined;
    if (this.input.value !== typed) this.input.value = typed;
    byId("clear").hidden = !text;
  }

  /**
   * Says how much of a view goes through what was found.
   * @param {import("./model.js").ViewName} view
   * @param {import("./model.js").Run} run
   */
  tell(view, run) {
    const { model, found } = this;
    const answer = byId("matched");
    answer.hidden = !found;
    if (!found) return;
    const { figure, bytes: isBytes } = model.views[view];
    const column = model.column(figure, run);
    let [sum, all, n] = [0, 0, 0];
    for (let p = 0; p < model.paths; p++) {
      all += Math.max(0, column[p]);
      if (found.paths[p]) {
        sum += Math.max(0, column[p]);
        n++;
      }
    }
    const note = this.isLiteral ? "no regular expression, taken as it stands: " : "";
    const figures = `${share(sum, all) || "0.0%"} \u00b7 ${(isBytes ? bytes : count)(sum)}`;
    answer.textContent = `${note}${figures} in ${counted(n, "call path")}`;
  }
}
