/** The profile of this process, for every exporter, without a file. */
import type { CallPath, Profile } from "../profile/profile.ts";
import { checkSelection } from "../profile/select.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { own } from "./install.ts";
import { checkOptions } from "./options.ts";
import { nameFrames } from "./own_names.ts";
import { stopsOf } from "./rows.ts";
import { chosenPaths, largestPaths, readingNow, SITE_OPTIONS } from "./sites.ts";
import type { SiteOptions } from "./sites.ts";
import { inBatches, inSlices } from "./slices.ts";

/** A profile of this process with what names its frames. */
export interface NamedProfile {
  /** The profile: its totals are the process's, its call paths those that were chosen. */
  readonly profile: Profile;
  /** Names of all its frames. They are the process's, and kept: do not dispose of them. */
  readonly symbols: Symbols;
}

/**
 * What this process's recording says now, or since a mark, with names: what reports and exporters of recordings take. All call paths
 * that were chosen, the largest first, when no limit is given.
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {RangeError} when the limit is negative.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { exportProfile, profileNow } from "./mod.ts";
 *
 * const { profile, symbols } = await profileNow({ sortBy: "live", limit: 1000 });
 * writeFileSync("now.pb.gz", exportProfile(profile, symbols, "pprof")); // go tool pprof now.pb.gz
 * ```
 */
export async function profileNow(options: SiteOptions = {}): Promise<NamedProfile> {
  checkOptions("profileNow", options, SITE_OPTIONS);
  checkSelection(options);
  const { limit = 0, sortBy = "size" } = options;
  using reading = await readingNow(options.since);
  const ids = await inSlices(largestPaths(reading, await chosenPaths(reading, options), limit, sortBy));
  const callPaths: CallPath[] = [];
  await inSlices(inBatches(ids.length, (from, to) => {
    for (let i = from; i < to; i++) callPaths.push(reading.path(ids[i] as number));
  }));
  const symbols = await nameFrames(reading, await inSlices(stopsOf(reading, ids)));
  return own(() => ({ profile: { ...reading.profile, callPaths }, symbols }));
}
