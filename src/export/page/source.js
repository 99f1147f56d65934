// Lines of the source around a place, where the report holds them.
import { element } from "./dom.js";

/** Lines shown before and after. */
const NEAR = 2;

/**
 * The lines around a place; nothing where the report has none.
 * @param {import("./model.js").Model} model
 * @param {number} place
 */
export function sourceAround(model, place) {
  const { source, places } = model.data;
  const [file, line] = [places.file[place], places.line[place]];
  if (!source || line < 1) return [];
  if (source.changed.includes(file)) {
    return [element("p", { className: "source-changed" }, "The file has changed since the recording.")];
  }
  const part = source.parts.find((part) =>
    part.file === file && line >= part.first && line < part.first + part.lines.length
  );
  if (!part) return [];
  const from = Math.max(part.first, line - NEAR);
  const lines = part.lines.slice(from - part.first, line + NEAR + 1 - part.first);
  const indent = Math.min(...lines.filter((text) => text.trim()).map((text) => text.search(/\S/)));
  return [element(
    "pre",
    { className: "source", tabIndex: 0, "aria-label": `Source around line ${line}` },
    ...lines.map((text, i) =>
      element(
        "span",
        { className: from + i === line ? "source-line here" : "source-line" },
        element("span", { className: "number" }, String(from + i)),
        `${text.slice(Number.isFinite(indent) ? indent : 0)}\n`,
      )
    ),
  )];
}
