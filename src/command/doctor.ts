/** `heaptap doctor`: what there is to work with, and what will be seen of a program. */
import process from "node:process";
import { bytes, count } from "../profile/format.ts";
import { examine } from "../run/doctor.ts";
import { namesText } from "../symbols/foresee.ts";
import { put } from "./terminal.ts";

/** Tells what there is to work with. */
export function doctor(
  command: string | undefined,
  args: readonly string[],
  options: { json?: true | undefined },
): void {
  const found = examine(command, args);
  if (found.problems.length > 0) process.exitCode = 1;
  if (options.json) {
    put(JSON.stringify(found, null, 2) + "\n", "-", 1);
    return;
  }
  const rows: [string, string][] = [
    ["runtime", found.runtime],
    ["kernel", found.kernel],
    ["compiler", found.compiler ?? "none"],
    ["library", found.library],
    [
      "symboliser",
      found.symboliser ?? "none: names come from symbol tables, without lines; install llvm or binutils",
    ],
    ["debuginfod", found.debuginfod.join(" ") || "no server: DEBUGINFOD_URLS is not set"],
    ["cache", found.cache],
    [
      "",
      `names that were looked up: ${count(found.names.files)} files, ${
        bytes(found.names.bytes)
      }, in ${found.names.folder}`,
    ],
    ...Object.entries(found.limits),
  ];
  if (found.program) {
    rows.push(["program", found.program.path]);
    rows.push(["", found.program.recordable ? "can be recorded" : "cannot be recorded"]);
    for (const note of found.program.notes) rows.push(["", note]);
    for (const line of namesText(found.program.names)) rows.push(["", line]);
  }
  put(rows.map(([label, value]) => `${label.padEnd(14)} ${value}\n`).join(""), "-", 1);
}
