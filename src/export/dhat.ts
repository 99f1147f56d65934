/**
 * The format of Valgrind's DHAT, version 2, for its viewer (dh_view.html).
 *
 * What heaptap does not record: accesses (`bkacc` is false), and a call path's own maximum, for which the larger of what it had
 * live at the process's peak and at the end stands. `tl`, microseconds, is what blocks lived that ended, and the others so far, where
 * lifetimes were recorded, else 0.
 */
import { commandLine } from "../profile/profile.ts";
import type { Profile } from "../profile/profile.ts";
import { sourcePlace } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { outwardIn } from "./stacks.ts";
import type { ExportFrame, StackOptions } from "./stacks.ts";

function frameText(frame: ExportFrame): string {
  const place = sourcePlace(frame, true) || (frame.module && `in ${frame.module}`);
  return place ? `${frame.name} (${place})` : frame.name;
}

/**
 * The file's text. Names must have been resolved.
 *
 * @example
 * ```ts
 * import { dhatReport, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(JSON.parse(dhatReport(profile, symbols)).dhatFileVersion); // 2
 * ```
 */
export function dhatReport(profile: Profile, symbols: Symbols, options: StackOptions = {}): string {
  const table = ["[root]"];
  const numbers = new Map<string, number>();
  const number = (text: string): number => {
    let index = numbers.get(text);
    if (index === undefined) {
      numbers.set(text, index = table.length);
      table.push(text);
    }
    return index;
  };
  const points = profile.callPaths.filter((path) => path.allocations > 0).map((path) => ({
    tb: path.bytes,
    tbk: path.allocations,
    tl: Math.round(((path.lifetimes?.seconds ?? 0) + (path.lifetimes?.live?.seconds ?? 0)) * 1e6),
    mb: Math.max(path.peakBytes, path.liveBytes, 0),
    mbk: Math.max(path.peakCount, path.liveCount, 0),
    gb: Math.max(path.peakBytes, 0),
    gbk: Math.max(path.peakCount, 0),
    eb: Math.max(path.liveBytes, 0),
    ebk: Math.max(path.liveCount, 0),
    fs: outwardIn(path, symbols, options).reverse().map((frame) => number(frameText(frame))),
  }));
  const peak = profile.timeline.reduce((best, sample) => sample.highest > best.highest ? sample : best, {
    highest: -1,
    seconds: 0,
  });
  const end = profile.process.exit?.seconds ?? profile.timeline.at(-1)?.seconds ?? 0;
  const micros = (seconds: number) => Math.round(seconds * 1e6);
  return JSON.stringify({
    dhatFileVersion: 2,
    mode: "heap",
    verb: "Allocated",
    bklt: true,
    bkacc: false,
    tu: "\u00b5s",
    Mtu: "s",
    tuth: 10,
    cmd: commandLine(profile.process),
    pid: profile.process.pid,
    tg: micros(Math.min(peak.seconds, end)),
    te: micros(end),
    pps: points,
    ftbl: table,
  });
}
