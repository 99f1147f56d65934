/** Call paths as comma-separated values, a row each. */
import { csvText } from "../profile/csv.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { leadIndex } from "../symbols/lead.ts";
import { frameName } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { outwardIn } from "./stacks.ts";
import type { StackOptions } from "./stacks.ts";

const FIGURES: readonly [title: string, of: (path: CallPath) => number][] = [
  ["allocations", (p) => p.allocations],
  ["bytes", (p) => p.bytes],
  ["frees", (p) => p.frees],
  ["freed_bytes", (p) => p.freedBytes],
  ["live_count", (p) => p.liveCount],
  ["live_bytes", (p) => p.liveBytes],
  ["peak_count", (p) => p.peakCount],
  ["peak_bytes", (p) => p.peakBytes],
  ["temporary", (p) => p.temporary],
  ["reallocations", (p) => p.reallocations],
  ["carried_bytes", (p) => p.carried],
];

/**
 * The call paths: figures, then function, module, file and line of the innermost frame that is not an
 * allocation function, then the stack from the outermost frame. Names must have been resolved.
 *
 * @example
 * ```ts
 * import { csvReport, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(csvReport(profile, symbols).split("\r\n")[0]);
 * ```
 */
export function csvReport(profile: Profile, symbols: Symbols, options: StackOptions = {}): string {
  const titles = [...FIGURES.map(([title]) => title), "function", "module", "file", "line", "stack"];
  const rows = profile.callPaths.map((path) => {
    const stack = symbols.stack(path);
    const frame = stack[leadIndex(stack)];
    const place = [frameName(frame), frame?.module ?? "", frame?.file ?? "", frame?.line ?? 0];
    return [
      ...FIGURES.map(([, of]) => of(path)),
      ...place,
      outwardIn(path, symbols, options).map((f) => f.name).join(" > "),
    ];
  });
  return csvText(titles, rows);
}
