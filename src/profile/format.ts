/** Figures and names as text reports show them. */

/**
 * Bytes with a unit, in powers of 1000 and three digits.
 *
 * @example
 * ```ts
 * import { bytes } from "./mod.ts";
 *
 * console.log(bytes(83_812_345)); // 83.8 MB
 * ```
 */
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

const UNITS: Readonly<Record<string, number>> = {
  ...{ "": 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, t: 1e12, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/**
 * A size as people write it, in bytes: `1500`, `64KB` (1,000 each), `1.5 MiB` (1,024 each). Undefined when it
 * is none.
 *
 * @example
 * ```ts
 * import { parseBytes } from "./mod.ts";
 *
 * console.log(parseBytes("64KB"), parseBytes("1.5 MiB"), parseBytes("many")); // 64000 1572864 undefined
 * ```
 */
export function parseBytes(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) *([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[parts?.[2]?.toLowerCase() ?? "?"];
  return parts && unit !== undefined ? Math.round(Number(parts[1]) * unit) : undefined;
}

/**
 * A whole number with thousands separators.
 *
 * @example
 * ```ts
 * import { count, plural } from "./mod.ts";
 *
 * console.log(count(1234567), plural(1234567, "block")); // 1,234,567 blocks
 * ```
 */
export function count(n: number | bigint): string {
  // By hand where that is easy: a runtime's first number in a locale takes it some 10 ms.
  return Number.isInteger(Number(n)) ? String(n).replace(/\B(?=(?:\d{3})+$)/g, ",") : n.toLocaleString("en-US");
}

/** A figure of a call of several, which need not be whole: `4.01`. */
export function perCall(n: number): string {
  return Number.isInteger(n) ? count(n) : n.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** The same of bytes: `345.5 B`, `1.05 KB`. */
export function bytesPerCall(n: number): string {
  return Math.abs(n) < 1000 ? `${perCall(n)} B` : bytes(Math.round(n));
}

/**
 * A noun for a number of things.
 *
 * @example
 * ```ts
 * import { plural } from "./mod.ts";
 *
 * console.log(plural(1, "block"), plural(2, "block")); // block blocks
 * ```
 */
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

/**
 * Text without control characters, so that no name in a recording reaches the terminal's controls.
 *
 * @example
 * ```ts
 * import { printable } from "./mod.ts";
 *
 * console.log(printable("a\x1b[31mb").length); // 7: what would colour the rest is one other character
 * ```
 */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- taking them out is the point
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** Text in lines of at most `width` columns, broken between words; all but the first are indented. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? word : `  ${word}`);
  }
  return lines;
}

/** Text of at most `width` columns, the end cut off. */
export function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}\u2026`;
}
