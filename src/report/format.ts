/** Figures and names as text reports show them. */

/** Bytes with a unit, in powers of 1000 and three digits: `83.8 MB`. */
export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let value = Math.abs(n);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 ? (Number.isInteger(value) ? 0 : 1) : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${n < 0 ? "-" : ""}${value.toFixed(digits)} ${units[unit]}`;
}

/** A whole number with thousands separators. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/** A noun for a number of things. */
export function plural(n: number, noun: string): string {
  return n === 1 ? noun : `${noun}s`;
}

/** A share of a total in percent; empty when there is no total. */
export function share(part: number, total: number): string {
  return total > 0 ? `${(100 * part / total).toFixed(1)}%` : "";
}

/** A time span with a unit. */
export function seconds(s: number): string {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s.toFixed(2)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

/** Text without control characters, so that no name in a recording reaches the terminal's controls. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- taking them out is the point
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** Text of at most `width` columns, the end cut off. */
export function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}\u2026`;
}
