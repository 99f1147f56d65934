/** Terminals and files that reports go to. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { isRecording } from "../file/reader.ts";
import { writeReport } from "../file/whole_file.ts";
import type { Report } from "../file/whole_file.ts";
import { targetOf } from "../native/terminals.ts";
import type { Target } from "../native/terminals.ts";
import { printable } from "../profile/format.ts";
import { inLocale, isAsciiLocale } from "../report/signs.ts";
import { OutputError } from "../file/output_error.ts";
import { say, tell, USAGE, write } from "./say.ts";
import type { Progress } from "../symbols/symbols.ts";

/** How a report is to look there. */
export interface Looks {
  readonly width: number;
  readonly color: boolean;
  /** Whether to use no signs but ASCII. */
  readonly ascii: boolean;
}

/** Columns that signs of several letters may take more than those that they stand for. */
const SIGNS = 6;

/** How a report is to look where it goes. */
export function looks(to: Target): Looks {
  const { NO_COLOR, TERM, COLUMNS } = process.env;
  const color = to.isTTY === true && !NO_COLOR && TERM !== "dumb";
  const ascii = isAsciiLocale();
  // Into a pipe it is as wide as whoever reads it says.
  const width = Math.max(60, to.columns ?? (Number(COLUMNS) || 80));
  return { width: ascii ? width - SIGNS : width, color, ascii };
}

/** A text as its target can show it. */
export function shownAt({ ascii }: Looks, text: string): string {
  return inLocale(text, ascii);
}

/** Draws a bar on a terminal once a look-up has taken a second. */
export function progressBar(): { step: Progress; end: () => void } {
  const begun = performance.now();
  let drawn = 0;
  let target: Target | undefined;
  return {
    step: (done, total, doing) => {
      const now = performance.now();
      if (now - begun < 1000 || now - drawn < 100) return;
      target ??= targetOf(2);
      if (!target.isTTY) return;
      drawn = now;
      if (doing !== undefined) {
        tell(`\r\x1b[K${printable(doing).slice(0, looks(target).width - 1)}`);
        return;
      }
      const filled = Math.round(30 * done / total);
      tell(`\r\x1b[Klooking up names ${"#".repeat(filled)}${".".repeat(30 - filled)} ${done}/${total}`);
    },
    end: () => {
      if (drawn) tell("\r\x1b[K");
    },
  };
}

/** A bar of progress. */
export type Bar = ReturnType<typeof progressBar>;

/** What nobody can read on a terminal. */
const UNREADABLE: Readonly<Record<string, string>> = { pprof: "is binary", html: "is a page for a browser" };

/** What a report is to look like that goes to a file, or, as `-`, to stdout. */
export function outputTarget(path: string): Target {
  return path === "-" ? targetOf(1) : {};
}

/** Refuses a terminal for a format that is not text. */
export function checkTerminal(to: Target, format: string, option: string): void {
  const why = UNREADABLE[format];
  if (why && to.isTTY) {
    throw new OutputError(`Cannot write ${format} to a terminal: it ${why}; name a file with ${option}`);
  }
}

/** Refuses, before anything is done, to write what is no text among a program's words and heaptap's. */
export function checkStderr({ report, reportFile, format }: ReportedTo): void {
  const why = UNREADABLE[format];
  if (report && reportFile === undefined && why) {
    throw new OutputError(
      `Cannot write ${format} to stderr, which has messages too: it ${why}; name a file with --report-file`,
    );
  }
}

/** Whether a command that runs or records something reports, how, and where. */
interface ReportedTo {
  readonly report: boolean;
  readonly reportFile?: string | undefined;
  readonly format: string;
}

/** What the system's words for a path that cannot be written mean. */
export const WHY: Readonly<Record<string, string>> = {
  ENOENT: "its folder is not there",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/** Refuses, before anything is done, a place where a report cannot or must not be written. */
export function checkReportPath(path: string, { recordings = false } = {}): void {
  if (path === "-") return;
  const refuse = (why: string): never => {
    throw new OutputError(`Cannot write "${path}": ${why}`);
  };
  if (path === "") refuse("name a file, or - for stdout");
  const found = statSync(path, { throwIfNoEntry: false });
  if (!recordings && isRecording(path)) refuse("it is a recording; name another file for the report");
  if (found?.isDirectory()) refuse("it is a folder");
  if (!found && !statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory()) refuse("its folder is not there");
}

/** For commands that write to stdout and stderr as streams: what these say when nobody reads any more, or nothing can be written. */
export function heedStreams(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: { code?: string; message: string }) => {
      // Who has something to let go listens too.
      if (stream.listenerCount("error") > 1) return;
      if (error.code !== "EPIPE" && stream === process.stdout) say(`Cannot write to stdout: ${error.message}`);
      process.exit(error.code === "EPIPE" ? process.exitCode ?? 0 : process.exitCode || USAGE);
    });
  }
}

/** Waits until what was written to a stream has gone, or cannot go: the command line ends when its command has. */
export function written(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((done) => {
    try {
      stream.write("", () => done());
    } catch {
      done(); // Deno throws
    }
  });
}

/** Writes a report where the options want it: to a file, or, as `-`, to stdout or stderr. */
export function put(report: Report, path: string, descriptor: 1 | 2): void {
  if (path === "-") {
    const pieces = typeof report === "string" || report instanceof Uint8Array ? [report] : report;
    try {
      for (const piece of pieces) write(descriptor, piece);
    } catch (cause) {
      // A reader that closes our pipe has seen enough.
      if ((cause as { code?: string }).code === "EPIPE") process.exit(process.exitCode ?? 0);
      throw new OutputError(
        `Cannot write to ${descriptor === 1 ? "stdout" : "stderr"}: ${(cause as Error).message}`,
        { cause },
      );
    }
    return;
  }
  checkReportPath(path);
  try {
    writeReport(path, report);
  } catch (cause) {
    const { code = "", message } = cause as { code?: string; message: string };
    throw new OutputError(`Cannot write "${path}": ${WHY[code] ?? message}`, { cause });
  }
}
