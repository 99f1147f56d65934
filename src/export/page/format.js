// Figures as the page shows them: the same as in the text report.

/** Made once: that takes longer than to use it a hundred times. */
const WHOLE = new Intl.NumberFormat("en-US");
const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

/**
 * Bytes with a unit, in powers of 1000 and three digits.
 * @param {number} n
 */
export function bytes(n) {
  let value = Math.abs(n);
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 ? (Number.isInteger(value) ? 0 : 1) : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${n < 0 ? "-" : ""}${value.toFixed(digits)} ${UNITS[unit]}`;
}

/**
 * A whole number with thousands separators.
 * @param {number} n
 */
export function count(n) {
  return WHOLE.format(n);
}

/**
 * A share in percent.
 * @param {number} part
 * @param {number} whole
 */
export function share(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(1)}%` : "";
}

/**
 * A figure with its sign.
 * @param {number} n
 * @param {(n: number) => string} show
 */
export function signed(n, show) {
  return `${n > 0 ? "+" : ""}${show(n)}`;
}

/**
 * Seconds on an axis.
 * @param {number} s
 */
export function clock(s) {
  if (s === 0) return "0";
  if (s < 1) return `${+(s * 1000).toPrecision(3)} ms`;
  if (s < 120) return `${+s.toPrecision(3)} s`;
  return `${Math.floor(s / 60)} min${Math.round(s % 60) ? ` ${Math.round(s % 60)} s` : ""}`;
}

/** Names that are longer lose their template arguments. */
const LONG_NAME = 60;

/**
 * A function's name with `<…>` for its template arguments when it is long.
 * @param {string} name
 */
export function shortName(name) {
  if (name.length <= LONG_NAME) return name;
  let short = "";
  let depth = 0;
  for (let i = 0; i < name.length; i++) {
    // "operator<", "operator->" and the like are no brackets.
    if (/[<>]/.test(name[i]) && /operator[-<>=]*$/.test(name.slice(Math.max(0, i - 12), i))) {
      short += depth ? "" : name[i];
    } else if (name[i] === "<" && depth++ === 0) short += "<\u2026";
    else if (name[i] === ">" && depth > 0 && --depth === 0) short += ">";
    else if (depth === 0) short += name[i];
  }
  return short;
}

/** The end of a name that is longer is no better than its beginning. */
const LONG_END = 32;

/**
 * A name in two parts, where it may lose some of its middle: `Cache<Order>` and `::put`. What the user wrote is at the end.
 * @param {string} name
 * @returns {[start: string, end: string]}
 */
export function nameParts(name) {
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    if (name[at] === ">" || name[at] === "}") depth++;
    else if (name[at] === "<" || name[at] === "{") depth--;
    else if (depth === 0 && name.startsWith("::", at - 1)) {
      return name.length - at < LONG_END ? [name.slice(0, at - 1), name.slice(at - 1)] : [name, ""];
    }
  }
  return [name, ""];
}

/**
 * So many of something.
 * @param {number} n
 * @param {string} noun
 */
export function counted(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * The last part of a path.
 * @param {string} path
 */
export function baseName(path) {
  return path.replace(/^.*\//, "");
}
