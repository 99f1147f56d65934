/** Runs a program with the library preloaded and finds the recordings that it made. */
import { spawn } from "node:child_process";
import type { StdioOptions } from "node:child_process";
import { basename, dirname } from "node:path";
import process from "node:process";
import { hasMagic } from "../file/packed.ts";
import { ownPath, sharedPath, workingFolder } from "../file/paths.ts";
import { handBackRecording, sudoUser } from "../file/sudo.ts";
import { LibraryError, libraryPath, preloadedLibraries } from "../native/build.ts";
import type { Ending } from "../native/pidfd.ts";
import { checkTogether, isPathPattern } from "../native/variables.ts";
import type { RecordOptions } from "../native/variables.ts";
import { choiceText, chooseProcess } from "../profile/asked.ts";
import { programName } from "../profile/launchers.ts";
import type { OutlinedProcess } from "../profile/processes.ts";
import { byAllocations, newRun, outlined, processesOfRun } from "../profile/processes.ts";
import { readOutline } from "../profile/read.ts";
import { noteExit, Recording } from "../profile/recording.ts";
import { poolNotes, removeV8Logs, withoutPools } from "./interpreters.ts";
import type { InterpreterOptions } from "./interpreters.ts";
import { noRoom } from "./no_recording.ts";
import { Onlooker } from "./onlooker.ts";
import { prepareOutput } from "./output.ts";
import { inspectProgram } from "./program.ts";
import type { Program } from "./program.ts";
import { ProgramError, refuse } from "./recordable.ts";
import { endOf, pass, passSignals } from "./signals.ts";
import { variablesOf } from "./variables.ts";
import { Watch } from "./watch.ts";
import type { Escaped } from "./watch.ts";

/** Options of {@linkcode profile}. */
export interface ProfileOptions extends RecordOptions, InterpreterOptions {
  /** File for the recording; `%p` becomes the process's number. `heaptap.PROGRAM.%p.heaptap` when left out. */
  readonly out?: string | undefined;
  /** Environment of the program; this process's when left out. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Folder that the program starts in. */
  readonly cwd?: string | undefined;
  /** The program's standard streams; `inherit` when left out. */
  readonly stdio?: StdioOptions | undefined;
  /** Whether recordings have the program's arguments, which may be secret; true when left out. */
  readonly commandLine?: boolean | undefined;
  /** Whether processes that the program starts record too: `all`, `exec` (programs, not a fork's children), `none`; `all` when left out. */
  readonly follow?: "all" | "exec" | "none" | undefined;
  /** Record only programs whose file's path matches: literals, classes, groups, alternatives, repetitions and anchors. */
  readonly only?: string | RegExp | undefined;
  /** Whether nothing is counted until the program says `HEAPTAP_RESUME()`, or somebody `heaptap resume`. */
  readonly paused?: boolean | undefined;
  /** Whether signals that this process gets are passed on; for command lines. */
  readonly forwardSignals?: boolean | undefined;
  /**
   * Called, before it starts, with why nothing of it can be recorded: heaptap's library cannot be had, or does not know its C library. It then runs
   * as it is. When left out that is an error, and it does not run.
   */
  readonly onUnrecorded?: ((why: string) => void) | undefined;
  /** Called with the number of its process when it has started: what it does meanwhile can be looked at. */
  readonly onStart?: ((pid: number) => void) | undefined;
}

/** How a profiled program ended. */
export interface ProfileResult {
  /** The recording that a report is of, see {@linkcode Recording.chosen}; undefined when none was made. */
  readonly recording: Recording | undefined;
  /** Whose recording that is and why it was taken, in words; "" where there is no other. */
  readonly choice: string;
  /** Recordings of its other processes, the one with most allocations first. */
  readonly others: readonly Recording[];
  /** Processes of the run that went on when it had ended, daemons: their recordings go on too. */
  readonly running: readonly { readonly path: string; readonly pid: number; readonly program: string }[];
  /** Exit status; 128 + N when signal N ended it. */
  readonly exitCode: number;
  /** Number of the signal that ended it, 0 for none. */
  readonly signal: number;
  /** Wall-clock seconds from start to end. */
  readonly seconds: number;
  /** Programs of the run that were seen to run without being recorded, each once. */
  readonly escaped: readonly Escaped[];
  /** Why nothing could be recorded, which was known before it started: {@linkcode ProfileOptions.onUnrecorded} was told. */
  readonly unrecorded: string | undefined;
  /** What the recording cannot show, a line each. */
  readonly notes: readonly string[];
}

interface Found extends Pick<ProfileResult, "recording" | "choice" | "others" | "running"> {
  readonly chosen: OutlinedProcess | undefined;
}

/** The recordings of a run whose program has ended, that of the process which its report is of first. */
function findRecordings(
  out: string,
  run: number,
  pid: number,
  exit: Parameters<typeof noteExit>[1],
  endings: ReadonlyMap<number, Ending>,
): Found {
  const made = processesOfRun(dirname(out), run, out);
  for (const process of made) {
    const ended = process.pid === pid ? exit : endings.get(process.pid);
    if (ended) noteExit(process.path, ended);
  }
  const all = outlined(made);
  const choice = chooseProcess(all);
  const others = byAllocations(all, (process) => process.pid === pid)
    .filter(({ path }) => path !== choice?.process.path);
  return {
    chosen: choice?.process,
    recording: choice && Recording.open(choice.process.path),
    choice: choice ? choiceText(choice, all) : "",
    others: others.map(({ path }) => Recording.open(path)),
    running: all.filter(({ process }) => process.running)
      .map(({ path, pid, process }) => ({ path, pid, program: programName(process.executable, process.command) })),
  };
}

/** Whether a recording is the user's now who called sudo. */
function handedBack({ path }: Recording): boolean {
  return handBackRecording(path, hasMagic);
}

/** What a process's recording does not show for want of a variable. */
function missedBy({ process }: OutlinedProcess, env: NodeJS.ProcessEnv): string[] {
  return poolNotes(programName(process.executable, process.command), process.executable, env);
}

/** The library that a program is to be started with, or why it cannot be. */
function libraryFor({ unrecorded }: Program, name: string): string | LibraryError | ProgramError {
  try {
    if (unrecorded !== undefined) refuse(name, unrecorded);
    return libraryPath();
  } catch (error) {
    if (error instanceof LibraryError || error instanceof ProgramError) return error;
    throw error;
  }
}

/** Why nothing of a program can be recorded that could run, as {@linkcode ProfileOptions.onUnrecorded} is told; undefined where it can. */
export function whyUnrecorded(
  [program = "", ...args]: readonly string[],
  { env, cwd = workingFolder() }: ProfileOptions,
): string | undefined {
  const library = libraryFor(inspectProgram(program, env, cwd, args), program);
  return library instanceof Error ? library.message : undefined;
}

/** That another version of heaptap records as well what this one is started by: of a process the first of two libraries makes a recording. */
function otherHeaptaps(env: NodeJS.ProcessEnv, library: string): string[] {
  return preloadedLibraries(env).filter((path) => path !== library)
    .map((path) => `another heaptap's library is preloaded too ("${path}"): what ran here it has not recorded`);
}

function environment(
  options: ProfileOptions,
  library: string,
  out: string,
  run: number,
): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...options.env ?? process.env };
  // First in line, so that an allocator that the user preloads works below us.
  env.LD_PRELOAD = env.LD_PRELOAD ? `${library}:${env.LD_PRELOAD}` : library;
  // AddressSanitizer wants to be loaded first, but works behind us; a program under it may be any of those that are started.
  env.ASAN_OPTIONS = `${env.ASAN_OPTIONS ? `${env.ASAN_OPTIONS}:` : ""}verify_asan_link_order=0`;
  env.HEAPTAP_OUT = out;
  env.HEAPTAP_RUN = String(run);
  // What was asked for by name goes before what the environment says.
  if (
    options.sample === undefined &&
    (options.mode !== undefined || options.sizes || options.lifetimes || options.exactPeak)
  ) {
    delete env.HEAPTAP_SAMPLE;
  }
  if (options.mode === undefined && (options.sample || options.sizes || options.lifetimes)) env.HEAPTAP_MODE = "paths";
  Object.assign(env, variablesOf(options));
  if (options.paused) env.HEAPTAP_PAUSED = "on";
  if (options.commandLine === false) env.HEAPTAP_COMMAND = "name";
  if (options.follow !== undefined) env.HEAPTAP_FOLLOW = options.follow;
  if (options.only !== undefined) env.HEAPTAP_ONLY = source(options.only);
  // The library takes an even number of variables out of the program's environment: see ffi/follow.c.
  const ours = Object.keys(env).filter((name) => name.startsWith("HEAPTAP_")).length +
    Number(env.LD_PRELOAD === library);
  if (options.follow === "none" && ours % 2) env.HEAPTAP_EVEN = "";
  return env;
}

function source(only: string | RegExp): string {
  return typeof only === "string" ? only : only.source;
}

/** Refuses what the library could not match. */
function checkOnly({ only }: ProfileOptions): void {
  if (only !== undefined && !isPathPattern(source(only))) {
    throw new TypeError(
      `Cannot record only programs that match "${
        source(only)
      }": it takes literals, classes, groups, alternatives, * + ? and anchors, up to 200 ASCII characters`,
    );
  }
}

/**
 * Runs a program with heaptap's library preloaded.
 *
 * @param command The program and its arguments.
 * @throws {ProgramError} when the program is not there or cannot be recorded; nothing has started then.
 * @throws {LibraryError} when the library cannot be compiled.
 * @throws {OutputError} when the recording cannot be written.
 *
 * @example
 * ```ts
 * import { profile } from "./mod.ts";
 *
 * const { recording, exitCode } = await profile(["sort", "-n", "numbers.txt"], { stdio: "ignore" });
 * console.log(exitCode, recording?.profile().totals.peakBytes);
 * ```
 */
export async function profile(command: readonly string[], options: ProfileOptions = {}): Promise<ProfileResult> {
  const [program, ...args] = command;
  if (program === undefined) throw new TypeError("Cannot run an empty command: name the program");
  checkTogether(options);
  checkOnly(options);
  const cwd = options.cwd ?? workingFolder();
  const seen = inspectProgram(program, options.env, cwd, args);
  const { path, started: byLoader, notes } = seen;
  const found = libraryFor(seen, program);
  const [library, why] = found instanceof Error ? [undefined, found] : [found, undefined];
  if (why && !options.onUnrecorded) throw why;
  if (why) options.onUnrecorded?.(why.message);
  const { env, notes: kept } = withoutPools(options.env ?? process.env, options, seen.file);
  const out = ownPath(options.out ?? `heaptap.${basename(byLoader ?? program).slice(0, 50)}.%p.heaptap`);
  const settle = prepareOutput(out);

  const run = newRun(process.pid);
  const begun = performance.now();
  // Before the program starts: a signal must find the handlers from its first moment on.
  const stopPassing = options.forwardSignals ? passSignals((signal) => pass(child.pid, signal)) : () => {};
  // By the path that was given: a script is told it.
  // Where that is also its name Deno leaves argv0 aside, and makes the path absolute: it gets another one to the same file.
  const given = "Deno" in globalThis && !program.startsWith("/") ? `./${program}` : program;
  const started = program.includes("/") && options.cwd === undefined ? given : path;
  const child = spawn(started, args, {
    stdio: options.stdio ?? "inherit",
    cwd: options.cwd,
    env: library === undefined ? options.env : environment({ ...options, env }, library, sharedPath(out), run),
    argv0: program, // by itself Deno gives a program the path that it found it at
  });
  // Told to follow nothing, the library is not to be found in what is started.
  const onlooker = new Onlooker(run);
  const watch = new Watch(library ?? "", onlooker);
  if (child.pid !== undefined && library !== undefined) {
    onlooker.expect(child.pid);
    options.onStart?.(child.pid);
    if (options.follow !== "none") watch.start(child.pid);
  }
  const { exitCode, signal } = await endOf(child)
    .finally(() => watch.stop()).finally(() => onlooker.stop()).finally(stopPassing).finally(settle);
  const seconds = (performance.now() - begun) / 1000;

  const { chosen, ...made } = findRecordings(out, run, child.pid ?? 0, {
    code: signal ? 0 : exitCode,
    signal,
    seconds,
  }, watch.endings.take());
  const own = [made.recording, ...made.others].map((recording) => recording && handedBack(recording));
  if (options.jsNames) {
    const recorded = [made.recording, ...made.others].flatMap((recording) =>
      recording ? [readOutline(recording.path)] : []
    );
    removeV8Logs(
      options.cwd ?? process.cwd(),
      new Set(recorded.map(({ process }) => process.pid).concat(child.pid ?? 0)),
    );
  }
  const full = made.recording && noRoom(out);
  return {
    ...made,
    unrecorded: why?.message,
    exitCode,
    signal,
    seconds,
    notes: [
      ...library === undefined ? [] : [...notes, ...kept, ...otherHeaptaps(env, library)],
      ...full ? [`${full}: recordings of the run may be missing, or end early`] : [],
      ...chosen ? missedBy(chosen, env) : [],
      ...own.some(Boolean) ? [`what was recorded belongs to ${sudoUser()?.name}, who called sudo`] : [],
    ],
    escaped: watch.escaped,
  };
}
