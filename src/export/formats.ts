/** Every format by its name. */
import type { Profile } from "../profile/profile.ts";
import type { Report } from "../file/whole_file.ts";
import type { ViewName } from "../profile/views.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { collapsedStacks } from "./collapsed.ts";
import { csvReport } from "./csv.ts";
import { dhatReport } from "./dhat.ts";
import { FORMAT_NAMES } from "./format_names.ts";
import type { FormatName } from "./format_names.ts";
import { htmlReport } from "./html.ts";
import type { HtmlOptions } from "./html.ts";
import { jsonBlocks } from "./json.ts";
import { massifReport } from "./massif.ts";
import { pprofProfile } from "./pprof.ts";
import { speedscopeReport } from "./speedscope.ts";

/** Options of {@linkcode exportProfile}. */
export interface ExportOptions extends HtmlOptions {
  /** What formats show that have one figure for a stack; `allocated` when left out. */
  readonly view?: ViewName | undefined;
  /** So many call paths, the first; 0, which is what it is when left out, for all. */
  readonly limit?: number | undefined;
  /** Of JSON: whether each frame stands once, in `frames`, and stacks are their numbers. */
  readonly compact?: boolean | undefined;
}

/** How each format is written: whole, or in pieces what may be too large for that. */
const FORMATS: Readonly<
  Record<
    FormatName,
    (profile: Profile, symbols: Symbols, options: ExportOptions) => Report
  >
> = {
  // It says how many call paths there are, beside those that it holds.
  json: jsonBlocks,
  pprof: pprofProfile,
  dhat: dhatReport,
  speedscope: speedscopeReport,
  collapsed: collapsedStacks,
  csv: csvReport,
  massif: massifReport,
  html: htmlReport,
};

function written(profile: Profile, symbols: Symbols, format: FormatName, options: ExportOptions): Report {
  if (!Object.hasOwn(FORMATS, format)) {
    throw new TypeError(`Cannot export "${format}": it takes ${FORMAT_NAMES.join(", ")}`);
  }
  const { limit = 0 } = options;
  const limited = limit > 0 && format !== "json"
    ? { ...profile, callPaths: profile.callPaths.slice(0, limit) }
    : profile;
  return FORMATS[format](limited, symbols, options);
}

/**
 * Writes a profile in a format. The names of the call paths that go into it must have been resolved.
 *
 * @example
 * ```ts
 * import { exportProfile, FORMAT_NAMES, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * for (const format of FORMAT_NAMES) console.log(format, exportProfile(profile, symbols, format).length);
 * ```
 */
export function exportProfile(
  profile: Profile,
  symbols: Symbols,
  format: FormatName,
  options: ExportOptions = {},
): string | Uint8Array {
  const report = written(profile, symbols, format, options);
  if (typeof report === "string" || report instanceof Uint8Array) return report;
  const pieces = [...report];
  const all = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/**
 * The same in blocks, one after the other: JSON of a hundred thousand call paths need not be in memory at once.
 *
 * @example
 * ```ts
 * import { exportBlocks, Recording, Symbols, writeReport } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * writeReport("sort.json", exportBlocks(profile, symbols, "json"));
 * ```
 */
export function exportBlocks(
  profile: Profile,
  symbols: Symbols,
  format: FormatName,
  options: ExportOptions = {},
): Iterable<Uint8Array> {
  const report = written(profile, symbols, format, options);
  if (typeof report === "string") return [new TextEncoder().encode(report)];
  return report instanceof Uint8Array ? [report] : report;
}
