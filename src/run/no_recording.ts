/** Why a run has left no recording. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { bytes } from "../profile/format.ts";

const LIMITS = "/proc/self/limits";
/** Below so much room there is none for a recording. */
const LEAST_ROOM = 1e6;

/** That there is no room for recordings any more, in words; undefined where there is. */
export function noRoom(out: string): string | undefined {
  const { bavail, bsize } = statfsSync(dirname(out));
  const left = bavail * bsize;
  return left < LEAST_ROOM ? `the file system of "${out}" has ${bytes(left)} left` : undefined;
}

/** What this process may use, of what a recording takes; what has no limit is left out. */
export function limits(): Record<string, string> {
  const rows: Record<string, string> = {};
  const text = existsSync(LIMITS) ? readFileSync(LIMITS, "utf8") : "";
  for (const [label, key] of [["Max file size", "file size"], ["Max address space", "address space"]] as const) {
    const line = text.split("\n").find((l) => l.startsWith(label));
    const soft = line?.slice(label.length).trim().split(/\s+/)[0];
    if (soft) rows[key] = soft;
  }
  return rows;
}

/**
 * Why there is no recording where one was to be, as far as that can be told afterwards.
 *
 * @example
 * ```ts
 * import { profile, whyNoRecording } from "./mod.ts";
 *
 * const { recording } = await profile(["true"], { out: "true.heaptap" });
 * if (!recording) console.log(whyNoRecording("true.heaptap"));
 * ```
 */
export function whyNoRecording(out: string): string {
  const full = noRoom(out);
  if (full) return full;
  const largest = Number(limits()["file size"]);
  if (largest) {
    return `files may have ${bytes(largest)} (ulimit -f), less than a recording takes; lower --buckets`;
  }
  return "the program ended before its first allocation, or dropped LD_PRELOAD";
}
