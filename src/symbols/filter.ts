/** Call paths by the names on their stacks. */
import type { CallPath, Profile } from "../profile/profile.ts";
import { frameMatches } from "./named_frame.ts";
import type { Symbols } from "./symbols.ts";

/** Which call paths to keep, by names: a function, a module's path or a source file that matches counts. */
export interface NameFilter {
  /** Keep the paths with a frame that matches. */
  readonly filter?: RegExp | undefined;
  /** Drop the paths with a frame that matches. */
  readonly exclude?: RegExp | undefined;
}

/**
 * The profile with the call paths that a filter keeps, whose names must have been resolved. Its totals stay
 * those of the process.
 *
 * @example
 * ```ts
 * import { filterByName, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(filterByName(profile, symbols, { filter: /sort/, exclude: /libc\.so/ }).callPaths.length);
 * ```
 */
export function filterByName(profile: Profile, symbols: Symbols, { filter, exclude }: NameFilter): Profile {
  if (!filter && !exclude) return profile;
  const matches = (pattern: RegExp, path: CallPath) =>
    symbols.stack(path).some((frame) => frameMatches(frame, pattern));
  const callPaths = profile.callPaths.filter((path) =>
    (!filter || matches(filter, path)) && !(exclude && matches(exclude, path))
  );
  return { ...profile, callPaths };
}
