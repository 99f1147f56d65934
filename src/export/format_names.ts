/** The formats that other tools read, by name. */

/** The name of a format that other tools read. */
export type FormatName = "json" | "pprof" | "dhat" | "speedscope" | "collapsed" | "csv" | "massif" | "html";

/** The names of all formats. */
export const FORMAT_NAMES: readonly FormatName[] = [
  "json",
  "pprof",
  "dhat",
  "speedscope",
  "collapsed",
  "csv",
  "massif",
  "html",
];
