/** What cannot be recorded runs all the same: whoever waits for it waits for the program first. */
import { profile, whyUnrecorded } from "../run/profile.ts";
import type { ProfileOptions, ProfileResult } from "../run/profile.ts";
import { say } from "./say.ts";

/** Tells of a program that runs as it is. */
export const onUnrecorded = (why: string) => say(`${why}; the program runs, and is not recorded`);

/** Runs a program that there is nothing to see of, since it cannot be recorded; undefined where it can. */
export async function runUnrecorded(
  command: readonly string[],
  options: ProfileOptions,
): Promise<ProfileResult | undefined> {
  if (whyUnrecorded(command, options) === undefined) return undefined;
  return await profile(command, { ...options, onUnrecorded });
}
