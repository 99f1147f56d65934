/**
 * What two runs are compared by: totals, and call paths by the names on their stacks. Names, not addresses,
 * so that a rebuild, another place in memory or another build folder changes nothing.
 */
import { basename } from "node:path";
import { intervalText } from "../profile/facts.ts";
import { commandLine } from "../profile/profile.ts";
import { blocksMargin, bytesMargin } from "../profile/sampling.ts";
import type { Limits, Module, Profile, Sample } from "../profile/profile.ts";
import { leadIndex } from "../symbols/lead.ts";
import { frameName } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { addFigures, isBytes } from "./run_figures.ts";
import type { RunFigures } from "./run_figures.ts";

/** A frame of a call path. */
export type ComparableFrame = NamedFrame;

/** A call path of a run, or several whose names are alike. */
export interface ComparablePath {
  /** Names of its frames from the innermost outwards, to read. */
  readonly names: readonly string[];
  /** The same frames with all that is known of them; of several call paths those of the first. */
  readonly frames: readonly ComparableFrame[];
  /** Where the function that explains it is: the innermost that is not an allocation function. */
  readonly culprit: Pick<NamedFrame, "function" | "file" | "line" | "module">;
  /** Its figures. */
  readonly figures: RunFigures;
}

/** A run as it is compared. */
export interface Comparable {
  /** Command line, or the file's name. */
  readonly title: string;
  /** Path of the program. */
  readonly executable: string;
  /** Totals of the process, or of what was selected of it. */
  readonly totals: RunFigures;
  /** What was live, and when; empty when that is not known. */
  readonly timeline: readonly Pick<Sample, "seconds" | "bytes">[];
  /** Build ids of loaded objects by the last parts of their paths. */
  readonly builds: ReadonlyMap<string, string>;
  /** What was recorded of it: see `Limits` of a profile. */
  readonly limits: Pick<Limits, "mode" | "interval">;
  /** How far the totals may be off that are estimates; 0 where they are not. */
  readonly margins: { readonly peakBytes: number; readonly liveBytes: number };
  /** Call paths by what they are known by. */
  readonly paths: ReadonlyMap<string, ComparablePath>;
}

/** What a run's figures do not tell exactly, in words; "" when that is nothing. */
function inexactness({ limits: { mode, interval } }: Pick<Comparable, "limits">): string {
  if (mode === "totals") return "has totals only: its peak, and what is live, are not known";
  return interval
    ? `is sampled, every ${intervalText(interval)}: its call paths, its peak and what is live are estimates`
    : "";
}

/** What the figures of a comparison's runs do not tell exactly, in words that begin with which run it is. */
export function inexactRuns(...runs: readonly Pick<Comparable, "limits">[]): string[] {
  return runs.flatMap((run, i) => inexactness(run) ? [`the ${i ? "second" : "first"} ${inexactness(run)}`] : []);
}

/** How far a figure of a run's may be off: of its totals, or of call paths that have these figures together. */
export function marginOf(run: Comparable, figure: keyof RunFigures, part?: RunFigures): number {
  const { interval } = run.limits;
  if (!part) return figure === "peakBytes" || figure === "liveBytes" ? run.margins[figure] : 0;
  if (!isBytes(figure)) return blocksMargin({ blocks: part[figure], bytes: part.bytes }, interval);
  // How many blocks are live, or were at the peak, is taken from their bytes.
  const blocks = part.bytes > 0 ? part.allocations * part[figure] / part.bytes : 0;
  return bytesMargin({ blocks, bytes: part[figure] }, interval);
}

/** Version of the JSON report's shape; counts up when a key changes its meaning or goes away. */
export const JSON_VERSION = 2;

/** Build ids by the last parts of paths; none where two modules share that and not the build. */
export function buildsOf(modules: readonly Pick<Module, "path" | "buildId">[]): Map<string, string> {
  const builds = new Map<string, string>();
  for (const { path, buildId } of modules) {
    const name = basename(path);
    builds.set(name, (builds.get(name) ?? buildId) === buildId ? buildId : "");
  }
  return builds;
}

/** Adds a call path, or its figures to those of one that is known by the same. */
export function keep(paths: Map<string, ComparablePath>, key: string, path: ComparablePath): void {
  const known = paths.get(key);
  paths.set(key, known ? { ...known, figures: addFigures(known.figures, path.figures) } : path);
}

/** Call paths by what they are known by, from their stacks. */
export function collect(
  stacks: Iterable<readonly [stack: readonly ComparableFrame[], figures: RunFigures]>,
): Map<string, ComparablePath> {
  const paths = new Map<string, ComparablePath>();
  for (const [frames, figures] of stacks) {
    const { function: name, file, line, module } = frames[leadIndex(frames)] ??
      { function: "", file: "", line: 0, module: "" };
    const key = frames.map((frame) => frame.function ? frame.key : frameName(frame)).join("\0");
    keep(paths, key, {
      names: frames.map(frameName),
      frames,
      culprit: { function: name, file, line, module },
      figures,
    });
  }
  return paths;
}

/** The figures that are compared, of what has more. */
export function figuresOf({ allocations, bytes, peakBytes, liveBytes, temporary }: RunFigures): RunFigures {
  return { allocations, bytes, peakBytes, liveBytes, temporary };
}

/**
 * A profile as it is compared. Its call paths' names must have been resolved.
 *
 * @example
 * ```ts
 * import { comparable, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(comparable(profile, symbols).paths.size);
 * ```
 */
export function comparable(profile: Profile, symbols: Symbols): Comparable {
  const { process, totals } = profile;
  return {
    title: commandLine(process),
    executable: process.executable,
    totals: figuresOf(totals),
    timeline: profile.timeline.map(({ seconds, bytes }) => ({ seconds, bytes })),
    builds: buildsOf(profile.modules),
    limits: profile.limits,
    margins: { peakBytes: totals.margins?.peak ?? 0, liveBytes: totals.margins?.live ?? 0 },
    paths: collect(profile.callPaths.map((path) => [symbols.stack(path), figuresOf(path)])),
  };
}
