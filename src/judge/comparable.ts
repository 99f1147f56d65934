/**
 * What two runs are compared by: totals, and call paths by the names on their stacks. Names, not addresses,
 * so that a rebuild, another place in memory or another build folder changes nothing. A function without a
 * name is known by its place where both runs had the same build of its module, else by the module alone.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { combine } from "../profile/figures.ts";
import { Recording } from "../profile/recording.ts";
import type { ProfileReadOptions } from "../profile/recording.ts";
import { commandLine } from "../profile/profile.ts";
import type { Module, Profile } from "../profile/profile.ts";
import { isRecording, RecordingError } from "../file/reader.ts";
import { culprit } from "../symbols/allocators.ts";
import { programSuppressions } from "../symbols/lsan.ts";
import { suppressLeaks } from "../symbols/suppressions.ts";
import type { Suppression } from "../symbols/suppressions.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { NamedFrame, SymbolOptions } from "../symbols/symbols.ts";

/** Figures that are compared. */
export interface RunFigures {
  /** Allocations. */
  readonly allocations: number;
  /** Bytes allocated. */
  readonly bytes: number;
  /** Bytes live at the process's peak. */
  readonly peakBytes: number;
  /** Bytes live at the end. */
  readonly liveBytes: number;
  /** Temporary blocks. */
  readonly temporary: number;
}

/** A call path of a run, or several whose names are alike. */
export interface ComparablePath {
  /** Names of its frames from the innermost outwards, which it is known by. */
  readonly names: readonly string[];
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
  /** Totals of the process. */
  readonly totals: RunFigures;
  /** Build ids of loaded objects by the last parts of their paths. */
  readonly builds: ReadonlyMap<string, string>;
  /** Call paths by what they are known by. */
  readonly paths: ReadonlyMap<string, ComparablePath>;
}

/** The figures of a call path that is not there. */
export const NO_FIGURES: RunFigures = { allocations: 0, bytes: 0, peakBytes: 0, liveBytes: 0, temporary: 0 };

/** Whether a figure is bytes, not blocks. */
export function isBytes(figure: keyof RunFigures): boolean {
  return figure !== "allocations" && figure !== "temporary";
}

const FIGURES = ["allocations", "bytes", "peakBytes", "liveBytes", "temporary"] as const;

/** Figures put together. */
export function addFigures(a: RunFigures, b: RunFigures): RunFigures {
  return combine(FIGURES, a, b);
}

/** Version of the JSON report's shape; counts up when a key changes its meaning or goes away. */
export const JSON_VERSION = 1;

type PlainFrame = Pick<NamedFrame, "function" | "file" | "line" | "module" | "address">;

/** Which name a frame is known by. Compilers number their clones of a function, differently each time. */
function knownBy(frame: PlainFrame): string {
  return frame.function.replace(/\.(isra|part|constprop|cold|lto_priv)(\.\d+)?/g, "") ||
    `${frame.module ? basename(frame.module) : JIT}+0x${frame.address.toString(16)}`;
}

/** What stands for the module of code that is in none. */
const JIT = "JIT code";

/** Build ids by the last parts of paths; none where two modules share that and not the build. */
function buildsOf(modules: readonly Pick<Module, "path" | "buildId">[]): Map<string, string> {
  const builds = new Map<string, string>();
  for (const { path, buildId } of modules) {
    const name = basename(path);
    builds.set(name, (builds.get(name) ?? buildId) === buildId ? buildId : "");
  }
  return builds;
}

/**
 * Call paths in which a function without a name, in a module that `isKnown` says nothing good of, is known by that
 * module alone: its place there would be another in the other run.
 */
export function withoutPlaces(
  paths: Comparable["paths"],
  isKnown: (module: string) => boolean,
): Comparable["paths"] {
  const general = (name: string) => {
    const [, module] = /^(.*)\+0x[0-9a-f]+$/.exec(name) ?? [];
    return module === undefined || isKnown(module) ? name : `${module}+?`;
  };
  const put = new Map<string, ComparablePath>();
  for (const path of paths.values()) keep(put, { ...path, names: path.names.map(general) });
  return put;
}

/** Adds a call path, or its figures to those of one with the same names. */
function keep(paths: Map<string, ComparablePath>, path: ComparablePath): void {
  const key = path.names.join("\0");
  const known = paths.get(key);
  paths.set(key, known ? { ...path, figures: addFigures(known.figures, path.figures) } : path);
}

function collect(stacks: Iterable<readonly [stack: readonly PlainFrame[], at: number, figures: RunFigures]>) {
  const paths = new Map<string, ComparablePath>();
  for (const [stack, at, figures] of stacks) {
    const culprit = stack[at] ?? { function: "", file: "", line: 0, module: "" };
    keep(paths, { names: stack.map(knownBy), culprit, figures });
  }
  return paths;
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
    totals,
    builds: buildsOf(profile.modules),
    paths: collect(profile.callPaths.map((path) => {
      const stack = symbols.stack(path);
      return [stack, culprit(stack), path] as const;
    })),
  };
}

interface SavedPath extends PlainFrame {
  readonly count: number;
  readonly total_bytes: number;
  readonly peak_bytes: number;
  readonly live_bytes: number;
  readonly temporary: number;
  readonly stack: readonly (NamedFrame | number)[];
}

/** A saved JSON report as it is compared. */
function fromJson(path: string, text: string): Comparable {
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // No JSON at all: refused below, like JSON of something else.
  }
  const { version, summary, allocations, process, modules, frames: table } = json ?? {};
  if (typeof version !== "number" || !summary || !Array.isArray(allocations)) {
    throw new RecordingError(`Cannot read "${path}": it is neither a recording nor a JSON report of heaptap`);
  }
  if (version !== JSON_VERSION) {
    throw new RecordingError(
      `Cannot read "${path}": it is a JSON report of version ${version}, and this heaptap reads ${JSON_VERSION}`,
    );
  }
  const number = (value: unknown) => typeof value === "number" && Number.isFinite(value) ? value : 0;
  return {
    title: Array.isArray(process?.command) ? process.command.join(" ") : path,
    executable: String(process?.executable ?? ""),
    totals: {
      allocations: number(summary.total_allocations),
      bytes: number(summary.total_bytes_allocated),
      peakBytes: number(summary.peak_memory),
      liveBytes: number(summary.current_memory),
      temporary: number(summary.temporary_allocations),
    },
    builds: buildsOf(
      (Array.isArray(modules) ? modules : []).map((module) => ({
        path: String(module?.path ?? ""),
        buildId: String(module?.build_id ?? ""),
      })),
    ),
    paths: collect((allocations as SavedPath[]).map((saved) => {
      const stack = Array.isArray(saved.stack) ? saved.stack : [];
      const whole = stack.map((frame) =>
        typeof frame === "number" ? (Array.isArray(table) ? table[frame] : undefined) : frame
      );
      const frames = whole.map((frame) => ({
        function: String(frame?.function ?? ""),
        file: String(frame?.file ?? ""),
        line: number(frame?.line),
        module: String(frame?.module ?? ""),
        address: number(Number(frame?.address ?? 0)),
      }));
      const at = frames.findIndex((frame) => frame.function === saved.function && frame.line === saved.line);
      const figures = {
        allocations: number(saved.count),
        bytes: number(saved.total_bytes),
        peakBytes: number(saved.peak_bytes),
        liveBytes: number(saved.live_bytes),
        temporary: number(saved.temporary),
      };
      return [frames, Math.max(0, at), figures] as const;
    })),
  };
}

/** Options of {@linkcode readComparable}. Of those of reading, and of suppressions, a JSON report knows nothing. */
export interface ComparableOptions
  extends SymbolOptions, Pick<ProfileReadOptions, "thread" | "since" | "process" | "all"> {
  /** Known leaks, which are left out of what is live; of a recording, whose stacks are whole. */
  readonly suppressions?: readonly Suppression[] | undefined;
}

/**
 * Reads a run to compare: a recording, whose names are looked up, or a JSON report of all call paths
 * (`heaptap run --save`, `heaptap report --format json`).
 *
 * @throws {RecordingError} when it is neither.
 *
 * @example
 * ```ts
 * import { readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * console.log(run.totals.allocations, run.paths.size);
 * ```
 */
export async function readComparable(path: string, options: ComparableOptions = {}): Promise<Comparable> {
  if (!isRecording(path)) {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (cause) {
      const { code, message } = cause as { code?: string; message: string };
      const why = code === "ENOENT"
        ? "there is no such file"
        : code === "ERR_STRING_TOO_LONG" || /string longer|Out of memory|string length/i.test(message)
        ? "it is too large; write it with run --save, which has each frame once, or compare the recordings"
        : message;
      throw new RecordingError(`Cannot read "${path}": ${why}`, { cause });
    }
    return fromJson(path, text);
  }
  const profile = Recording.open(path).profile(options);
  using symbols = new Symbols(profile, options);
  await symbols.resolve(profile.callPaths);
  const known = [...options.suppressions ?? [], ...programSuppressions(profile)];
  return comparable(suppressLeaks(profile, symbols, known), symbols);
}
