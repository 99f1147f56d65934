/** Speedscope's own format: one file with a profile for each view. */
import { commandLine } from "../profile/profile.ts";
import type { Profile } from "../profile/profile.ts";
import { VIEWS } from "../profile/views.ts";
import type { ViewName } from "../profile/views.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { outwardIn } from "./stacks.ts";
import type { ExportFrame, StackOptions } from "./stacks.ts";

const TITLES: Readonly<Record<ViewName, string>> = {
  allocated: "allocated bytes",
  peak: "bytes live at the peak",
  live: "bytes live at the end",
  temporary: "temporary blocks",
};

/**
 * The file's text, for https://www.speedscope.app or a copy of it. Names must have been resolved.
 *
 * @example
 * ```ts
 * import { Recording, speedscopeReport, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(JSON.parse(speedscopeReport(profile, symbols)).profiles.length);
 * ```
 */
export function speedscopeReport(profile: Profile, symbols: Symbols, options: StackOptions = {}): string {
  const frames: { name: string; file?: string; line?: number }[] = [];
  const numbers = new Map<string, number>();
  const number = ({ name, file, line, module }: ExportFrame): number => {
    const key = `${name}\0${file}\0${line}\0${module}`;
    let index = numbers.get(key);
    if (index === undefined) {
      numbers.set(key, index = frames.length);
      frames.push({ name, ...(file || module) && { file: file || module }, ...line > 0 && { line } });
    }
    return index;
  };
  const stacks = profile.callPaths.map((path) => outwardIn(path, symbols, options).map(number));
  const profiles = (Object.keys(VIEWS) as ViewName[]).map((view) => {
    const { of, unit } = VIEWS[view];
    const kept = profile.callPaths.map((path, i) => [of(path), stacks[i]] as const).filter(([figure]) => figure > 0);
    return {
      type: "sampled",
      name: TITLES[view],
      unit: unit === "bytes" ? "bytes" : "none",
      startValue: 0,
      endValue: kept.reduce((total, [figure]) => total + figure, 0),
      samples: kept.map(([, stack]) => stack),
      weights: kept.map(([figure]) => figure),
    };
  }).filter((p) => p.samples.length > 0);
  return JSON.stringify({
    $schema: "https://www.speedscope.app/file-format-schema.json",
    name: commandLine(profile.process),
    exporter: "heaptap",
    activeProfileIndex: 0,
    shared: { frames },
    profiles,
  });
}
