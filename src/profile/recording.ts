/** A recording on disk, finished or growing. */
import { closeSync, existsSync, openSync } from "node:fs";
import { basename } from "node:path";
import { copyRecording } from "../file/copy.ts";
import { writeHeader } from "../file/fields.ts";
import { isRecording, readSnapshot, RecordingError } from "../file/reader.ts";
import { writeWhole } from "../file/whole_file.ts";
import { pageUse } from "../memory/pages.ts";
import type { PageUse } from "../memory/pages.ts";
import { MemoryError } from "../memory/process_memory.ts";
import { looksAt } from "./looks.ts";
import type { Look, LookOptions } from "./looks.ts";
import { markPath, marksBeside } from "./marks.ts";
import type { TimelineMark } from "./marks.ts";
import { accountNow, memoryUse, surveyedOf } from "./memory.ts";
import { mergeProfiles } from "./merge.ts";
import { unpackPages } from "./kept_pages.ts";
import { atMoment, momentTimes } from "./moments.ts";
import { choiceText, chooseProcess, standsForRun } from "./asked.ts";
import { byAllocations, newestRecording, outlined, processesBeside } from "./processes.ts";
import type { OutlinedProcess } from "./processes.ts";
import { processTree } from "./process_tree.ts";
import type { ProcessRow } from "./process_tree.ts";
import { mayNotLook } from "./here.ts";
import { matching, readMoment, readOutline, readProfile } from "./read.ts";
import type { ReadOptions } from "./read.ts";
import type { Profile } from "./profile.ts";

/** Options of {@linkcode Recording.profile}. */
export interface ProfileReadOptions extends ReadOptions {
  /** Leave out what came before: the name of a {@linkcode Recording.mark}, or a copy of the same recording, made while it was being written. */
  readonly since?: string | undefined;
  /**
   * The recording as it was so many seconds after it began, at the nearest of the {@linkcode Recording.moments} that were kept of it; or the
   * name of a {@linkcode Recording.mark}. Not with `since`, `thread` or `all`.
   */
  readonly at?: number | string | undefined;
  /** What came between two times, in seconds: what is live is by how much that grew. Not with the others. */
  readonly between?: readonly [from: number, to: number] | undefined;
  /** Read the recording of another process of the same run. */
  readonly process?: number | undefined;
  /** Put the figures of all processes of the run together. Not with `since`. */
  readonly all?: boolean | undefined;
}

/** What {@linkcode Recording.chosen} gives. */
export interface ChosenRecording {
  /** The recording to report. */
  readonly recording: Recording;
  /** Whose it is and why that one was taken; "" where there is no other, or it was asked for itself. */
  readonly words: string;
  /** How many recordings the run has. */
  readonly recordings: number;
}

/**
 * A recording file. Opening checks it; {@linkcode Recording.profile} reads it anew each time, so on a recording that a program is still writing each call shows a later moment.
 *
 * @example
 * ```ts
 * import { Recording } from "./mod.ts";
 *
 * const { totals } = Recording.open("sort.heaptap").profile();
 * console.log(totals.allocations, totals.peakBytes);
 * ```
 */
export class Recording {
  /** Path of the file. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Opens a recording.
   *
   * @throws {RecordingError} when the file is missing, foreign, truncated or of another version.
   */
  static open(path: string): Recording {
    readSnapshot(path, []);
    return new Recording(path);
  }

  /**
   * Opens the recording of the last run in a folder.
   *
   * @throws {RecordingError} when there is none.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * console.log(Recording.newest(".").path);
   * ```
   */
  static newest(folder: string): Recording {
    const path = newestRecording(folder);
    if (path === undefined) {
      throw new RecordingError(`Cannot find a recording in "${folder}": name one, or make one with heaptap run`);
    }
    return Recording.open(path);
  }

  /**
   * Bytes that are live at this moment, of blocks that were recorded. Costs a reading of the threads' records alone.
   *
   * @throws {RecordingError} when the file is gone.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * console.log(Recording.open("sort.heaptap").liveBytes());
   * ```
   */
  liveBytes(): number {
    return readOutline(this.path).liveBytes;
  }

  /**
   * The recordings of the run that this one belongs to: those beside it of the processes that its program started, or
   * that started it, itself among them, the one with most allocations first.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for (const process of Recording.open("sort.heaptap").processes()) {
   *   console.log(process.profile().process.pid, process.path);
   * }
   * ```
   */
  processes(): Recording[] {
    return byAllocations(outlined(processesBeside(this.path)), ({ path }) => path === this.path)
      .map(({ path }) => new Recording(path));
  }

  /**
   * The same as a table: each process behind the one that started it, the programs that one ran in their order.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for (const { pid, depth, executable } of Recording.open("sort.heaptap").processTree()) {
   *   console.log("  ".repeat(depth) + executable, pid);
   * }
   * ```
   */
  processTree(): ProcessRow[] {
    return processTree(outlined(processesBeside(this.path)));
  }

  /**
   * The recording that a report of this one's run is of: that of the last program that the started process ran, or,
   * where that only waited, of the process that did what it waited for. One that was asked for by its own name, not as
   * the run's first, is that one itself.
   *
   * @param since A mark or an earlier copy: then the process that it is of.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * const { recording, words } = Recording.open("sort.heaptap").chosen();
   * console.log(recording.path, words);
   * ```
   */
  chosen(since?: string): ChosenRecording {
    const all = outlined(processesBeside(this.path));
    const own = all.find(({ path }) => path === this.path);
    const marked = since === undefined ? undefined : all.find((process) => this.#isOf(since, process));
    const choice = own && !marked && standsForRun(own, all) ? chooseProcess(all) : undefined;
    const path = marked?.path ?? choice?.process.path ?? this.path;
    return {
      recording: new Recording(path),
      words: choice ? choiceText(choice, all) : "",
      recordings: all.length,
    };
  }

  /**
   * What the recording says at this moment.
   *
   * @throws {RecordingError} when the process or the mark that the options name is not there, or the file is no
   * recording any more.
   */
  profile(options: ProfileReadOptions = {}): Profile {
    if (options.all) return this.#together(options);
    if (options.process !== undefined) return this.process(options.process).profile({ ...options, process: undefined });
    const { since, at, between } = options;
    if (at !== undefined || between) return this.#atMoment(options);
    return readProfile(
      this.path,
      options,
      since === undefined ? undefined : ({ process, threads }) => {
        // A thread may have had another name then.
        const then = readMoment(this.#earlier(since), matching(threads, options.thread));
        if (then.pid === process.pid && then.startTime === process.startTime) return then;
        throw new RecordingError(
          `Cannot start from "${since}": it is no earlier copy of "${this.path}"; to put two runs side by side use heaptap compare`,
        );
      },
    );
  }

  /**
   * Keeps this moment under a name, to leave out later what came before: `profile({ since: name })`,
   * `heaptap report --since name`. It is a copy of the recording beside it, whose path is returned; a mark of
   * the same name is replaced.
   *
   * @throws {TypeError} when the name is empty or has other characters than letters, digits, `-`, `_` and `.`.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * const recording = Recording.open("sort.heaptap");
   * recording.mark("loaded");
   * console.log(recording.profile({ since: "loaded" }).totals.allocations); // 0: it has ended
   * ```
   */
  mark(name: string): string {
    if (!/^[\w.-]+$/.test(name)) {
      throw new TypeError(`Cannot name a mark "${name}": it takes letters, digits, "-", "_" and "."`);
    }
    const path = markPath(this.path, name);
    writeWhole(path, (fd) => copyRecording(this.path, fd), { mode: 0o600 });
    return path;
  }

  /**
   * Who holds the pages of the heap of this recording's process: see {@linkcode PageUse}. Now, where it runs, and nothing of it is stopped; of
   * one that has ended, at the moment with most resident memory beside live blocks among those that `heaptap run` looked at.
   *
   * @param options `wait`: seconds between the two readings that tell which blocks are old, 0.2 when left out; 0 charges all.
   * @throws {RecordingError} when the process has ended and no moment was kept, may not be looked at, or its single blocks are not recorded.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for (const recording of Recording.open("sort.heaptap").processes()) {
   *   if (!recording.profile().process.running) continue;
   *   const { resident, inUse, beside, empty } = await recording.pages();
   *   console.log(`${resident} bytes: ${inUse} in use, ${beside} beside live blocks, ${empty} in empty pages`);
   * }
   * ```
   */
  async pages({ wait = 0.2 }: { readonly wait?: number | undefined } = {}): Promise<PageUse> {
    if (!(wait >= 0 && wait <= 60)) {
      throw new RangeError(`Cannot wait ${wait} s between two readings: it takes 0 to 60`);
    }
    const { process } = readOutline(this.path);
    const cannot = (why: string) => new RecordingError(`Cannot look at the pages of "${this.path}": ${why}`);
    if (!process.running) {
      const kept = unpackPages(readSnapshot(this.path, ["timeline"]).pages);
      if (kept) return kept;
      if (mayNotLook(process.pid)) {
        throw cannot(`this user may not look at process ${process.pid}, which may be its (try sudo)`);
      }
      throw cannot(
        `its process (pid ${process.pid}) has ${
          process.attached?.left === undefined ? "ended" : "been let go"
        }, and nobody ` +
          "looked; heaptap run and attach do where it runs long enough",
      );
    }
    const target = surveyedOf(readSnapshot(this.path, ["strings"]), 0);
    if (target.shadow === 0) {
      throw cannot("its single blocks are not recorded (--sample, --mode totals, or an earlier heaptap)");
    }
    try {
      const pages = await pageUse(target, wait * 1000);
      if (process.attached && !pages.before) {
        const why = target.mayWalk
          ? "its heap could not be walked through, as it is changed meanwhile, swapped out, or goes on elsewhere (try again)"
          : "its allocator does not tell";
        throw cannot(`what is in blocks from before it was attached to is not known: ${why}`);
      }
      return pages;
    } catch (cause) {
      if (cause instanceof MemoryError) throw new RecordingError(cause.message, { cause });
      throw cause;
    }
  }

  /**
   * Looks at this recording again and again while its process writes it: at once, then every second, and once more when the process has
   * ended. Of one that has ended there is one look. Nothing of the process is stopped, and it does nothing for it.
   *
   * @throws {RangeError} when the interval is out of its range.
   * @throws {RecordingError} when the file goes away meanwhile.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for await (const look of Recording.open("sort.heaptap").watch({ interval: 500, signal: AbortSignal.timeout(5000) })) {
   *   const [first] = look.changed; // the number of a call path that did something since the look before
   *   if (first !== undefined) console.log(look.seconds, look.path(first).liveBytes, look.bytesPerSecond);
   * }
   * ```
   */
  watch(options: LookOptions = {}): AsyncGenerator<Look> {
    return looksAt(this.path, options);
  }

  /**
   * A profile with the account of this moment, where the process runs and may be looked at; the same profile else.
   */
  withAccount(profile: Profile): Profile {
    const { process, totals, memory } = profile;
    if (!process.running || profile.merged || profile.path !== this.path) return profile;
    try {
      const now = accountNow(readSnapshot(this.path, ["strings"]), totals.liveBytes);
      return { ...profile, memory: memoryUse([...memory?.accounts ?? [], now], memory?.highestResident) };
    } catch (cause) {
      if (cause instanceof MemoryError) return profile;
      throw cause;
    }
  }

  /**
   * Has the process of this recording, which runs, count nothing that is allocated from here on; blocks that are known end as
   * ever. It hears of that at the next look that one of its threads takes, every 1,024 allocations.
   *
   * @throws {RecordingError} when the process has ended.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for (const recording of Recording.open("sort.heaptap").processes()) {
   *   if (recording.profile().process.running) recording.pause();
   * }
   * ```
   */
  pause(): void {
    this.#setPaused(1);
  }

  /**
   * Has it count again; it hears of that at its next allocation.
   *
   * @throws {RecordingError} when the process has ended.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * for (const recording of Recording.open("sort.heaptap").processes()) {
   *   if (recording.profile().process.running) recording.resume();
   * }
   * ```
   */
  resume(): void {
    this.#setPaused(0);
  }

  #setPaused(paused: number): void {
    const { pid, running } = readOutline(this.path).process;
    if (!running) {
      const what = paused ? "pause" : "resume";
      throw new RecordingError(`Cannot ${what} "${this.path}": its process (pid ${pid}) has ended`);
    }
    writeInto(this.path, { paused });
  }

  /**
   * The marks beside this recording, and when they were made; the earliest first.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * const recording = Recording.open("sort.heaptap");
   * recording.mark("done");
   * console.log(recording.marks().map(({ name, seconds }) => `${name} after ${seconds} s`));
   * ```
   */
  marks(): TimelineMark[] {
    return marksBeside(this.path, readProfile(this.path));
  }

  /**
   * Seconds since the recording began of the moments that were kept of it, whose call paths can be looked at: see `at`, and
   * {@linkcode Recording.marks}.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * const recording = Recording.open("sort.heaptap");
   * const middle = recording.moments()[0];
   * if (middle !== undefined) console.log(recording.profile({ at: middle }).totals.liveBytes);
   * ```
   */
  moments(): number[] {
    return momentTimes(this.packedMoments());
  }

  /**
   * The same moments as they stand in the recording, for the chart of {@linkcode htmlReport}; undefined where none were kept.
   *
   * @example
   * ```ts
   * import { htmlReport, Recording, Symbols } from "./mod.ts";
   *
   * const recording = Recording.open("sort.heaptap");
   * const profile = recording.profile();
   * using symbols = new Symbols(profile);
   * await symbols.resolve(profile.callPaths);
   * console.log(htmlReport(profile, symbols, { moments: recording.packedMoments() }).length);
   * ```
   */
  packedMoments(): Uint8Array | undefined {
    return readSnapshot(this.path, ["timeline"]).moments;
  }

  #atMoment({ at, between, since, thread, byThread }: ProfileReadOptions): Profile {
    if (since !== undefined || thread !== undefined) {
      const other = since === undefined ? "of threads" : "since another";
      throw new RecordingError(`Cannot show a moment ${other}: what threads had then is not kept`);
    }
    if (typeof at === "string") {
      const marked = markPath(this.path, at);
      if (existsSync(marked)) return readProfile(marked, { byThread });
      throw new RecordingError(`Cannot show the mark "${at}": there is none in "${marked}"; heaptap mark makes one`);
    }
    const profile = readProfile(this.path);
    const moments = this.packedMoments();
    if (between) return atMoment(profile, moments, { at: between[1], from: between[0] });
    return atMoment(profile, moments, { at: at as number });
  }

  #together({ thread, byThread, since }: ProfileReadOptions): Profile {
    if (since !== undefined) {
      throw new RecordingError(
        `Cannot leave out what came before "${since}" in all processes: a mark is of one; name it with --process`,
      );
    }
    const [first = this, ...rest] = this.processes();
    const read = (recording: Recording) => recording.profile({ thread, byThread });
    return mergeProfiles([read(first), ...rest.map(read)]);
  }

  /**
   * The recording of a process of the same run; of one that ran several programs, that of the last.
   *
   * @throws {RecordingError} when there is none beside this one.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * const recording = Recording.open("sort.heaptap");
   * console.log(recording.process(recording.profile().process.pid).path); // itself
   * ```
   */
  process(pid: number): Recording {
    const all = processesBeside(this.path);
    const found = all.filter((process) => process.pid === pid).toSorted((a, b) => b.image - a.image)[0];
    if (found) return new Recording(found.path);
    const known = all.slice(0, 10).map(({ path, pid }) =>
      `${pid} (${basename(readProfile(path).process.command[0] ?? "")})`
    );
    const some = known.join(", ") + (all.length > known.length ? ` and ${all.length - known.length} more` : "");
    throw new RecordingError(
      `Cannot show process ${pid}: beside "${this.path}" its run has recordings of ${some}`,
    );
  }

  /** Whether a mark, or a copy, is of a process. */
  #isOf(since: string, { path, pid, process }: OutlinedProcess): boolean {
    if (!since.includes("/") && existsSync(markPath(path, since))) return true;
    if (!isRecording(since)) return false;
    const then = readOutline(since).process;
    return then.pid === pid && then.startTime === process.startTime;
  }

  /** The file of a mark, or of a copy. */
  #earlier(since: string): string {
    const marked = markPath(this.path, since);
    if (!since.includes("/") && existsSync(marked)) return marked;
    if (existsSync(since)) return since;
    throw new RecordingError(
      `Cannot start from "${since}": there is no file of that name, and no mark "${marked}"; heaptap mark makes one`,
    );
  }
}

/** Notes in a recording how its process ended, and after how long where that is known. Only the driver does that, after the end. */
export function noteExit(path: string, exit: { code: number; signal: number; seconds?: number | undefined }): void {
  const { code, signal, seconds = 0 } = exit;
  writeInto(path, { exit_code: code, exit_signal: signal, wall_time: Math.round(seconds * 1e9), ended: 1 });
}

function writeInto(path: string, values: Readonly<Record<string, number>>): void {
  const fd = openSync(path, "r+");
  try {
    writeHeader(fd, values);
  } finally {
    closeSync(fd);
  }
}
