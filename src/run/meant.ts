/** What somebody meant who left a command out. */
import { statSync } from "node:fs";
import { findInPath } from "../native/build.ts";
import { isRecording } from "../file/reader.ts";

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function isProgram(word: string): boolean {
  if (!word.includes("/")) return findInPath(word) !== undefined;
  const stat = statSync(word, { throwIfNoEntry: false });
  return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
}

/** What other profilers, and people, call what a command does. */
const CALLED: Readonly<Record<string, RegExp>> = {
  run: /^(record|profile|exec|start|launch|trace)$/,
  report:
    /^(stats?|summary|show|print|view|analy[sz]e|dump|convert|export|transform|table|tree|leaks|flamegraph|flame)$/,
  compare: /^(diff|cmp)$/,
  top: /^(live|watch|monitor)$/,
  serve: /^(server|web|ui|gui)$/,
  detach: /^(stop|unattach)$/,
  processes: /^(ps|ls|list)$/,
  resolve: /^(symboli[sz]e|symbolicate|symbols)$/,
  doctor: /^(check|info|status)$/,
};

/** What makes a report the one that its word asks for. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  leaks: ["--view", "live"],
  flamegraph: ["--html", "flamegraph.html"],
  flame: ["--html", "flamegraph.html"],
};

const isRecorded = (word: string) => word.endsWith(".heaptap") || isRecording(word);

/**
 * The command line that was meant by arguments that begin with no command, where they begin with a recording, a program, or a word that other profilers
 * have for a command; undefined for other words.
 *
 * @example
 * ```ts
 * import { meantCommand } from "./mod.ts";
 *
 * console.log(meantCommand(["sort", "-n"])); // heaptap run sort -n
 * console.log(meantCommand(["diff", "a.heaptap", "b.heaptap"])); // heaptap compare a.heaptap b.heaptap
 * ```
 */
export function meantCommand(args: readonly string[]): string | undefined {
  const [first = "", ...rest] = args;
  if (first === "" || first.startsWith("-")) return undefined;
  const called = Object.keys(CALLED).find((command) => CALLED[command]?.test(first));
  // Some of these words are programs' names too: what follows tells.
  const isCalled = called !== undefined && (rest.some(isRecorded) || !isProgram(first));
  const words = isRecorded(first)
    ? ["report", ...rest, first]
    : isCalled
    ? [called, ...ASKED[first] ?? [], ...rest]
    : isProgram(first)
    ? ["run", first, ...rest]
    : undefined;
  return words && ["heaptap", ...words.map(quoted)].join(" ");
}
