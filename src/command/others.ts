/** What there is beside the process that a report is of. */
import { plural } from "../profile/format.ts";

/** Recordings of other processes, in words; nothing when that of the report is alone. */
export function othersText(others: number): string[] {
  const recordings = `${others} more ${plural(others, "recording")} of its run`;
  return others > 0 ? [`${recordings}: heaptap processes FILE lists them, --all takes all`] : [];
}
