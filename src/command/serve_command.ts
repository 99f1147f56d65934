/** `heaptap serve`: which recordings are served, and until when. */
import { existsSync, statSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { folderPage } from "../live/folder_page.ts";
import { filesIn, outlined } from "../profile/processes.ts";
import { Recording } from "../profile/recording.ts";
import { profile } from "../run/profile.ts";
import type { ProfileOptions, ProfileResult } from "../run/profile.ts";
import { recordingsNow } from "./followed.ts";
import { LiveRecording } from "./live_recording.ts";
import { endAs, lookAt, recordedOptions, refuseRecorded } from "./looked_at.ts";
import type { RecordedOptions } from "./looked_at.ts";
import { naming } from "./plan.ts";
import type { NameOptions } from "./plan.ts";
import { say } from "./say.ts";
import { serve } from "./serve.ts";
import type { Answer, Asked } from "./serve.ts";
import { runUnrecorded } from "./unrecorded.ts";

/** How it is served. */
export interface ServeOptions extends NameOptions {
  /** Any that is free when left out. */
  readonly port?: number | undefined;
  /** Milliseconds between looks. */
  readonly interval: number;
}

/** The options of `serve`. */
export type ServeCommandOptions = ServeOptions & RecordedOptions;

const STOP = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Waits until whoever started this has seen enough. */
function stopped(): Promise<void> {
  return new Promise((done) => {
    const stop = () => {
      for (const name of STOP) process.off(name, stop);
      done();
    };
    for (const name of STOP) process.on(name, stop);
  });
}

/** Serves one recording while something goes on. */
async function served<T>(live: LiveRecording, { port = 0 }: ServeOptions, meanwhile: () => Promise<T>): Promise<T> {
  try {
    const server = await serve(port, (asked) => live.answer(asked));
    say(`serving ${server.url}`);
    try {
      return await meanwhile();
    } finally {
      live.close();
      await server.close();
    }
  } finally {
    live.close();
  }
}

/**
 * Runs a program and serves its recording, until it has ended; with `stays` until Ctrl-C after that. While the program runs, Ctrl-C is the
 * program's.
 */
export async function serveProgram(
  command: readonly string[],
  options: ProfileOptions,
  how: ServeOptions,
  stays = false,
): Promise<ProfileResult> {
  const unrecorded = await runUnrecorded(command, options);
  if (unrecorded) return unrecorded;
  let pid: number | undefined;
  let end: (recording: Recording | undefined) => void = () => {};
  const ended = new Promise<Recording | undefined>((done) => end = done);
  const recordings = () => pid === undefined ? [] : recordingsNow(String(pid));
  const live = new LiveRecording({ recordings, ended }, how.interval, naming(how));
  return await served(live, how, async () => {
    const result = await profile(command, { ...options, onStart: (number) => pid = number }).catch((error) => {
      end(undefined);
      throw error;
    });
    end(result.recording);
    if (stays && result.recording) {
      say(`${command[0]} has ended; Ctrl-C ends serving`);
      await stopped();
    } else await live.finish();
    return result;
  });
}

/** Serves a folder: a list, and a page of each recording. */
async function serveFolder(folder: string, options: ServeOptions): Promise<void> {
  const known = new Map<string, LiveRecording>();
  const found = () => filesIn(folder, (name) => !name.startsWith("."));
  const answer = (
    { path: [name = "", ...path], ...asked }: Asked,
  ): Answer | undefined | Promise<Answer | undefined> => {
    if (name === "") {
      const recordings = new Map(outlined(found()).map((recording) => [basename(recording.path), recording]));
      return { type: "text/html; charset=utf-8", body: folderPage(folder, recordings) };
    }
    let live = known.get(name);
    if (!live) {
      const named = found().find((recording) => basename(recording.path) === name);
      if (!named || path.length === 0) return undefined;
      const recording = Recording.open(named.path);
      live = new LiveRecording({ recordings: () => [recording] }, options.interval, naming(options));
      known.set(name, live);
    }
    return live.answer({ ...asked, path });
  };
  const server = await serve(options.port ?? 0, answer);
  say(`serving ${server.url}`);
  await stopped();
  for (const live of known.values()) live.close();
  await server.close();
}

/** Serves what is named; `isProgram`: it is to be run. */
export async function serveCommand(
  words: readonly string[],
  isProgram: boolean,
  options: ServeCommandOptions,
): Promise<void> {
  const [named, ...more] = words;
  const recorded = recordedOptions(options);
  if (named !== undefined && isProgram) {
    return endAs(await serveProgram(words, { ...recorded, forwardSignals: true }, options, true), recorded.out);
  }
  if (more.length > 0) {
    throw new OutputError(`Cannot serve "${words.join(" ")}": to run it write heaptap serve -- ${words.join(" ")}`);
  }
  if (named !== undefined && existsSync(named) && statSync(named).isDirectory()) {
    refuseRecorded(recorded);
    return await serveFolder(named, options);
  }
  await lookAt(
    named,
    recorded,
    (recordings) => served(new LiveRecording({ recordings }, options.interval, naming(options)), options, stopped),
  );
}
