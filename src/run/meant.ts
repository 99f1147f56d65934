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

/**
 * The command line that was meant by arguments that begin with no command, where they begin with a recording or a program;
 * undefined for other words.
 *
 * @example
 * ```ts
 * import { meantCommand } from "./mod.ts";
 *
 * console.log(meantCommand(["sort", "-n"])); // heaptap run sort -n
 * ```
 */
export function meantCommand(args: readonly string[]): string | undefined {
  const [first = "", ...rest] = args;
  if (first === "" || first.startsWith("-")) return undefined;
  const command = isRecording(first) || first.endsWith(".heaptap") ? "report" : isProgram(first) ? "run" : undefined;
  const words = command === "report" ? [...rest, first] : [first, ...rest];
  return command && ["heaptap", command, ...words.map(quoted)].join(" ");
}
