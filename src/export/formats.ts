/** Every format by its name. */
import type { Profile } from "../profile/profile.ts";
import type { ViewName } from "../profile/views.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { collapsedStacks } from "./collapsed.ts";
import { csvReport } from "./csv.ts";
import { dhatReport } from "./dhat.ts";
import { jsonReport } from "./json.ts";
import { massifReport } from "./massif.ts";
import { pprofProfile } from "./pprof.ts";
import { speedscopeReport } from "./speedscope.ts";

/** The name of a format that other tools read. */
export type FormatName = "json" | "pprof" | "dhat" | "speedscope" | "collapsed" | "csv" | "massif";

/** How each format is written. `view` is what those show that have one figure for a stack. */
const FORMATS: Readonly<
  Record<FormatName, (profile: Profile, symbols: Symbols, view: ViewName) => string | Uint8Array>
> = {
  json: (profile, symbols) => JSON.stringify(jsonReport(profile, symbols, 0), null, 2) + "\n",
  pprof: pprofProfile,
  dhat: dhatReport,
  speedscope: speedscopeReport,
  collapsed: collapsedStacks,
  csv: csvReport,
  massif: massifReport,
};

/** The names of all formats. */
export const FORMAT_NAMES: readonly FormatName[] = Object.keys(FORMATS) as FormatName[];

/**
 * Writes a profile in a format, all its call paths. Their names must have been resolved.
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
  view: ViewName = "allocated",
): string | Uint8Array {
  return FORMATS[format](profile, symbols, view);
}
