/** Reports of where memory is that malloc does not tell of: what the program mapped, who holds the heap's pages. */
import { readdirSync, readFileSync } from "node:fs";
import type { PageUse } from "../memory/pages.ts";
import { JSON_VERSION } from "../judge/comparable.ts";
import { mappingsJson, pagesJson } from "../export/memory_json.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { mappedRecordings } from "../profile/processes.ts";
import { Recording } from "../profile/recording.ts";
import { RecordingError } from "../file/recording_error.ts";
import { asCallPath } from "../profile/memory.ts";
import { mappedText, pagesText } from "../report/memory.ts";
import { OutputError } from "../file/output_error.ts";
import { Symbols } from "../symbols/symbols.ts";
import { naming } from "./plan.ts";
import type { NameOptions } from "./plan.ts";
import { looks, progressBar, shownAt } from "./terminal.ts";
import type { Target } from "../native/terminals.ts";
import type { MEMORY_VIEWS } from "./values.ts";

/** What a report of memory shows. */
export interface MemoryReportOptions extends NameOptions {
  readonly format: string;
  readonly limit?: number | undefined;
  readonly verbose?: number | true | undefined;
  readonly raw?: boolean | undefined;
  readonly process?: number | undefined;
  readonly all?: boolean | undefined;
  readonly since?: string | undefined;
  readonly wait?: number | undefined;
}

/** A report of what the program mapped, or of the heap's pages. */
export async function memoryReport(
  recording: Recording,
  view: typeof MEMORY_VIEWS[number],
  options: MemoryReportOptions,
  to: Target,
): Promise<string> {
  const { format, all, since, process } = options;
  if (format !== "text" && format !== "json") {
    throw new OutputError(`Cannot write --view ${view} as ${format}: it is text or json`);
  }
  if (all) {
    throw new OutputError(`Cannot show --view ${view} of all processes together: each has an address space of its own`);
  }
  if (since !== undefined) throw new OutputError(`Cannot show --view ${view} since a mark: it is what there is now`);
  const of = process === undefined ? recording : recording.process(process);
  const profile = of.profile();
  const pages = view === "pinned" ? await of.pages({ wait: options.wait }) : undefined;
  const paths = pages ? pathsOf(pages, profile) : (profile.mappings?.paths ?? []).map(asCallPath);
  using symbols = new Symbols(profile, naming(options));
  const bar = progressBar();
  await symbols.resolve(paths, bar.step);
  bar.end();
  if (format === "json") {
    const body = pages ? { pages: pagesJson(pages, profile, symbols) } : { mappings: mappingsJson(profile, symbols) };
    return `${JSON.stringify({ version: JSON_VERSION, ...body }, null, 1)}\n`;
  }
  const look = looks(to);
  const verbosity = Number(options.verbose ?? 0);
  const shown = {
    limit: options.limit ?? 10,
    width: look.width,
    wholeFiles: verbosity >= 2,
    raw: options.raw === true || verbosity >= 3,
  };
  return shownAt(look, pages ? pagesText(pages, profile, symbols, shown) : mappedText(profile, symbols, shown));
}

function pathsOf({ paths }: PageUse, { callPaths }: Profile): CallPath[] {
  const held = new Set(paths.map(({ id }) => id));
  return callPaths.filter(({ id }) => held.has(id));
}

/** A process that runs and is not recorded. */
export class UnrecordedError extends RecordingError {
  /** Its number. */
  readonly pid: number;

  /** Of a process of that number. */
  constructor(pid: number) {
    super(
      `Cannot look at process ${pid}: it is not recorded; start it with heaptap run, or with LD_PRELOAD=$(heaptap lib)`,
    );
    this.pid = pid;
  }
}

/**
 * The recordings that processes write, by the number of one or the name of their program; at least one.
 *
 * @throws {UnrecordedError} when there are such processes, of which none is recorded.
 * @throws {RecordingError} when there are none, or they may not be looked at.
 */
export function recordingsOfProcess(named: string): Recording[] {
  const pids = /^\d+$/.test(named) ? [Number(named)] : pidsOf(named);
  const found: Recording[] = [];
  for (const pid of pids) {
    let maps: string;
    try {
      maps = readFileSync(`/proc/${pid}/maps`, "utf8");
    } catch (cause) {
      if (pids.length > 1) continue;
      const why = (cause as { code?: string }).code === "EACCES"
        ? "this user may not look at it (try sudo)"
        : "there is no such process";
      throw new RecordingError(`Cannot look at process ${pid}: ${why}`, { cause });
    }
    const [path] = mappedRecordings(maps);
    if (path !== undefined) found.push(Recording.open(path));
  }
  if (found.length > 0) return found;
  if (pids[0] !== undefined) throw new UnrecordedError(pids[0]);
  throw new RecordingError(`Cannot find "${named}": it is neither a recording nor a process that runs`);
}

/** The recording that a process writes, by its number or its program's name. */
export function recordingOfProcess(named: string): Recording {
  return recordingsOfProcess(named)[0] as Recording;
}

/** The processes that run a program of that name. */
function pidsOf(name: string): number[] {
  return readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd() === name.slice(0, 15);
    } catch {
      return false;
    }
  }).map(Number);
}
