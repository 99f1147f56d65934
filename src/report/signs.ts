/** Signs of reports that are not ASCII, and what stands for them in the C locale. */
import { variable } from "../native/ffi.ts";

/** What parts a function from its caller, to the right of it. */
export const CALLED_BY = "\u2190";

const IN_ASCII: Readonly<Record<string, string>> = {
  [CALLED_BY]: "<-",
  "\u2192": "->",
  "\u2026": "...",
  "\u00b7": "-",
  "\u00b1": "+-",
  ...{
    "\u2581": "_",
    "\u2582": ".",
    "\u2583": ":",
    "\u2584": "-",
    "\u2585": "=",
    "\u2586": "+",
    "\u2587": "*",
    "\u2588": "#",
  },
  ...{ "\u2191": "^", "\u2193": "v" },
};

const SIGNS = new RegExp(`[${Object.keys(IN_ASCII).join("")}]`, "g");

/** Whether the locale has no signs but ASCII. */
export function isAsciiLocale(): boolean {
  return /^(C|POSIX)$/.test(variable("LC_ALL") || variable("LC_CTYPE") || variable("LANG") || "");
}

/** A text with the signs that the locale has, or that a target with `ascii` has. */
export function inLocale(text: string, ascii: boolean = isAsciiLocale()): string {
  return ascii ? text.replace(SIGNS, (sign) => IN_ASCII[sign] ?? sign) : text;
}
