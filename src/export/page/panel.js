// What stands beside the tables and the graph: the stack of the row that is chosen, or a function's callers and callees.
import { byId, element, press } from "./dom.js";

export class Panel {
  /** @param {() => void} onClose called when the reader has seen enough of it, on a phone */
  constructor(onClose) {
    this.box = byId("panel");
    this.into = byId("panel-body");
    byId("panel-close").addEventListener("click", () => {
      this.box.classList.remove("open");
      onClose();
    });
    this.kinds = byId("panel-kind");
  }

  /**
   * Shows what was chosen.
   * @param {"stack" | "function"} kind
   * @param {readonly Node[]} content
   * @param {boolean} isAsked whether the reader asked for it: a phone then shows it over the rest
   * @param {boolean} [isLook] whether it is the same, of other figures
   */
  show(kind, content, isAsked, isLook) {
    press(this.kinds, kind);
    this.into.replaceChildren(...content);
    if (!isLook) this.into.scrollTop = 0;
    if (isAsked) this.box.classList.add("open");
  }

  /** @param {"stack" | "function"} kind */
  showNothing(kind) {
    const words = kind === "stack"
      ? "Choose a row of the table to see its stack."
      : "Choose a function in the graph, a table or a stack to see who calls it and what it calls.";
    this.show(kind, [element("p", { className: "empty" }, words)], false);
  }
}
