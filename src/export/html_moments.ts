/** What call paths had at the moments of a run, as the page of a report holds it. */
import type { KeptMoment } from "../file/moments.ts";
import { MOMENT_FIELDS } from "../file/moments.ts";
import type { CallPath } from "../profile/profile.ts";
import type { MomentData } from "./page/data.ts";

/** Changes that a page has at most, some 5 bytes each. Of a run with more, moments are left out. */
const MOST_CHANGES = 400_000;

/** A change as numbers side by side: its moment, and by how much each figure changed. */
const WIDTH = 1 + MOMENT_FIELDS.length;

/** What call paths had at moments; undefined where there are no two. */
export function momentsOf(all: readonly KeptMoment[], callPaths: readonly CallPath[]): MomentData | undefined {
  const step = Math.max(1, Math.ceil(all.reduce((n, { changes }) => n + changes.ids.length, 0) / MOST_CHANGES));
  // The last one stays.
  const first = (all.length - 1) % step;
  const kept = all.filter((_, i) => i % step === first);
  if (kept.length < 2) return undefined;
  const numbers = new Map(callPaths.map(({ id }, p) => [id, p]));
  const rows = callPaths.map((): number[] => []);
  all.forEach(({ changes: { ids, values } }, i) => {
    const moment = Math.max(0, Math.ceil((i - first) / step));
    ids.forEach((id, k) => {
      const row = rows[numbers.get(id) ?? -1];
      if (!row) return;
      const [allocations = 0, bytes = 0, liveBytes = 0, liveCount = 0] = values.subarray(k * 4, k * 4 + 4);
      if (row.at(-WIDTH) !== moment) row.push(moment, 0, 0, 0, 0);
      // What was freed is a number that many paths have in common, and mostly 0.
      [allocations, bytes, allocations - liveCount, bytes - liveBytes].forEach((n, figure) =>
        row[row.length - WIDTH + 1 + figure]! += n
      );
    });
  });
  const columns: number[][] = Array.from({ length: WIDTH }, () => []);
  for (const row of rows) {
    for (let at = 0; at < row.length; at++) columns[at % WIDTH]!.push(row[at]!);
    // Moments by how many have passed since the path's change before.
    const moments = columns[0]!;
    for (let at = moments.length - 1; at > moments.length - row.length / WIDTH; at--) moments[at]! -= moments[at - 1]!;
  }
  const [after = [], allocations = [], bytes = [], frees = [], freedBytes = []] = columns;
  return {
    seconds: kept.map(({ time }) => time / 1e9),
    changes: rows.map(({ length }) => length / WIDTH),
    after,
    figures: { allocations, bytes, frees, freedBytes },
  };
}
