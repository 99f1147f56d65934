/** Programs that a process started and the library did not get into, as its recording notes them. */
import { text } from "../file/reader.ts";
import type { Snapshot } from "../file/reader.ts";
import type { Unfollowed } from "./profile.ts";

/** By their number in the recording. */
const REASONS: readonly string[] = [
  "cannot be followed",
  "is statically linked",
  "is built for another machine",
  "is setuid or setgid",
  "has file capabilities",
  "has an environment too large to add to on a small stack",
];

/** The last such program of a recording's process; undefined when there was none. */
export function readUnfollowed(snapshot: Snapshot): Unfollowed | undefined {
  const bytes = snapshot.header.bytes(0, "unfollowed");
  const word = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (word === 0n) return undefined;
  const bits = (from: bigint, count: bigint) => Number(word >> from & ((1n << count) - 1n));
  return {
    path: text(snapshot, bits(0n, 32n), bits(32n, 24n)),
    why: REASONS[bits(56n, 7n)] ?? REASONS[0] ?? "",
    became: bits(63n, 1n) === 1,
    count: snapshot.header.number(0, "unfollowed_count"),
  };
}
