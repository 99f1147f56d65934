/** A recording on disk, finished or growing. */
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { LAYOUT } from "../file/layout.ts";
import { copyRecording } from "../file/copy.ts";
import { readSnapshot } from "../file/reader.ts";
import { RecordingError } from "../file/recording_error.ts";
import { writeWhole } from "../file/whole_file.ts";
import { mergeProfiles } from "./merge.ts";
import { byAllocations, processesBeside } from "./processes.ts";
import { matching, readMoment, readProfile } from "./read.ts";
import type { ReadOptions } from "./read.ts";
import { profileSince } from "./since.ts";
import type { Profile } from "./profile.ts";

/** Options of {@linkcode Recording.profile}. */
export interface ProfileReadOptions extends ReadOptions {
  /** Leave out what came before: the name of a {@linkcode Recording.mark}, or a copy of the same recording, made while it was being written. */
  readonly since?: string | undefined;
  /** Read the recording of another process of the same run. */
  readonly process?: number | undefined;
  /** Put the figures of all processes of the run together. Not with `since`. */
  readonly all?: boolean | undefined;
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
    return byAllocations(processesBeside(this.path), ({ path }) => path === this.path)
      .map(({ path }) => new Recording(path));
  }

  /**
   * How many recordings its run has, itself among them: those of {@linkcode Recording.processes}, whose figures are not
   * read for it.
   *
   * @example
   * ```ts
   * import { Recording } from "./mod.ts";
   *
   * console.log(Recording.open("sort.heaptap").processCount()); // 1 of a program that starts no other
   * ```
   */
  processCount(): number {
    return processesBeside(this.path).length;
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
    const profile = readProfile(this.path, options);
    if (options.since === undefined) return profile;
    // A thread may have had another name then.
    const then = readMoment(this.#earlier(options.since), matching(profile.threads, options.thread));
    if (then.pid !== profile.process.pid || then.startTime !== profile.process.startTime) {
      throw new RecordingError(
        `Cannot start from "${options.since}": it is no earlier copy of "${this.path}"; to put two runs side by side use heaptap compare`,
      );
    }
    return profileSince(profile, then);
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
    const path = this.#markPath(name);
    writeWhole(path, (fd) => copyRecording(this.path, fd), 0o600);
    return path;
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
   * The recording of a process of the same run; of one that ran several programs, that with most allocations.
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
    const [found] = byAllocations(all.filter((process) => process.pid === pid), ({ path }) => path === this.path);
    if (found) return new Recording(found.path);
    const known = all.slice(0, 10).map(({ path, pid }) =>
      `${pid} (${basename(readProfile(path).process.command[0] ?? "")})`
    );
    const some = known.join(", ") + (all.length > known.length ? ` and ${all.length - known.length} more` : "");
    throw new RecordingError(
      `Cannot show process ${pid}: beside "${this.path}" its run has recordings of ${some}`,
    );
  }

  #markPath(name: string): string {
    return `${this.path.replace(/\.heaptap(\.gz|\.zst)?$/, "")}.${name}.mark`;
  }

  /** The file of a mark, or of a copy. */
  #earlier(since: string): string {
    const marked = this.#markPath(since);
    if (!since.includes("/") && existsSync(marked)) return marked;
    if (existsSync(since)) return since;
    throw new RecordingError(
      `Cannot start from "${since}": there is no file of that name, and no mark "${marked}"; heaptap mark makes one`,
    );
  }
}

/** Notes in a recording how its process ended. Only the driver does that, after the end. */
export function noteExit(path: string, exit: { code: number; signal: number; seconds: number }): void {
  const fields = LAYOUT.header.fields;
  const fd = openSync(path, "r+");
  try {
    const put = (field: string, value: number) => {
      const placed = fields[field];
      if (!placed) throw new TypeError(`No field ${field} in header`);
      const bytes = new Uint8Array(placed.size);
      const view = new DataView(bytes.buffer);
      if (placed.size === 8) view.setBigUint64(0, BigInt(Math.round(value)), true);
      else view.setUint32(0, value, true);
      writeSync(fd, bytes, 0, placed.size, placed.offset);
    };
    put("exit_code", exit.code);
    put("exit_signal", exit.signal);
    put("wall_time", exit.seconds * 1e9);
    put("ended", 1);
  } finally {
    closeSync(fd);
  }
}
