// The flame graph as an SVG file.
import { byId, element, shape } from "./dom.js";

const ROW_HEIGHT = 20;
const LETTER_WIDTH = 6.6;

/**
 * What a graph shows, as the text of an SVG file. Each box has its figures as a tooltip.
 * @param {import("./flame.js").Flame} flame
 * @param {string} title
 */
export function graphSvg(flame, title) {
  const width = flame.area.clientWidth;
  const height = (flame.rows.length + 1) * ROW_HEIGHT;
  const svg = shape("svg", {
    xmlns: "http://www.w3.org/2000/svg",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    "font-family": "system-ui, sans-serif",
    "font-size": 12,
  });
  const { ground, text } = flame.papers();
  svg.append(shape("rect", { width, height, fill: ground }));
  svg.append(shape("text", { x: 4, y: 14, fill: text, "font-weight": "bold" }, title));
  flame.rows.forEach((row, depth) => {
    for (const { node, x, width: wide } of row) {
      const y = (depth + 1) * ROW_HEIGHT;
      const group = shape("g");
      const { fill, ink } = flame.paint(node);
      group.append(shape("title", {}, `${flame.name(node)}\n${flame.describe(node).join("\n")}`));
      group.append(shape("rect", {
        x: x.toFixed(2),
        y,
        width: Math.max(0.5, wide - 1).toFixed(2),
        height: ROW_HEIGHT - 1,
        fill,
      }));
      const letters = Math.floor((wide - 8) / LETTER_WIDTH);
      const name = flame.label(node);
      if (letters > 2) {
        const shown = name.length > letters ? `${name.slice(0, letters - 1)}\u2026` : name;
        group.append(shape("text", { x: (x + 4).toFixed(2), y: y + 14, fill: ink }, shown));
      }
      svg.append(group);
    }
  });
  return new XMLSerializer().serializeToString(svg);
}

/**
 * Lets the browser save a text as a file.
 * @param {string} name
 * @param {string} text
 */
export function saveText(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const link = element("a", { href: url, download: name, hidden: true });
  byId("flame-section").append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
