/** Looks as lines: where there is no terminal, a line each. */
import { endedText } from "../profile/facts.ts";
import { bytes, clip, printable } from "../profile/format.ts";
import type { Look } from "../profile/looks.ts";
import { frameName, sourcePlace } from "../symbols/named_frame.ts";
import type { Names } from "./names.ts";
import type { Row } from "./rows.ts";
import { short } from "./view.ts";

/** Counts up when a key changes its meaning or goes away. */
const VERSION = 1;

/** Who grew most, as far as anything did; of a look before which there is one. */
function growing([row]: readonly Row[], look: Look, names: Names): string {
  if (row?.path === undefined || !(row.figures.growth > 0)) return "";
  const { lead } = names.lead(look.path(row.path), 1);
  const place = lead && sourcePlace(lead);
  return `  +${bytes(row.figures.growth)} ${clip(printable(frameName(lead)), 60)}${
    place ? ` ${printable(place)}` : ""
  }`;
}

/** A look as text; `rows` are call paths by their growth since the first look. */
export function lookText(look: Look, rows: readonly Row[], names: Names): string {
  const { seconds, totals, resident, allocationsPerSecond, bytesPerSecond, running } = look;
  const figures = [
    `${seconds.toFixed(1).padStart(7)} s`,
    `live ${bytes(totals.liveBytes).padStart(7)}`,
    `peak ${bytes(totals.peakBytes).padStart(7)}`,
    running
      ? `resident ${resident === undefined ? "unknown" : bytes(resident).padStart(7)}`
      : endedText(look.profile.process),
    `${bytes(Math.round(bytesPerSecond)).padStart(7)}/s`,
    `${short(allocationsPerSecond).padStart(5)} allocations/s`,
  ];
  return figures.join("  ") + growing(rows, look, names);
}

/** A look as an object of one line: docs/JSON.md. */
export function lookJson(look: Look, rows: readonly Row[], names: Names): string {
  const { totals, profile: { process } } = look;
  const tenth = (n: number) => Math.round(10 * n) / 10;
  return JSON.stringify({
    version: VERSION,
    pid: process.pid,
    seconds: Math.round(1000 * look.seconds) / 1000,
    running: look.running,
    live_bytes: totals.liveBytes,
    live_count: totals.liveCount,
    peak_bytes: totals.peakBytes,
    resident: look.resident ?? null,
    allocations: totals.allocations,
    bytes: totals.bytes,
    frees: totals.frees,
    allocations_per_second: tenth(look.allocationsPerSecond),
    bytes_per_second: tenth(look.bytesPerSecond),
    call_paths: rows.map(({ path: id = 0, figures }) => {
      const { lead } = names.lead(look.path(id), 1);
      return {
        id,
        function: frameName(lead),
        file: lead?.file || null,
        line: lead?.line || null,
        module: lead?.module || null,
        live_bytes: figures.live,
        growth_bytes: figures.growth,
        peak_bytes: figures.peak ?? null,
        allocations_per_second: tenth(figures.allocations),
        bytes_per_second: tenth(figures.bytes),
      };
    }),
  });
}
