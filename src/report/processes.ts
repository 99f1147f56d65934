/** The table of a run's processes. */
import { basename } from "node:path";
import { exitText } from "../profile/facts.ts";
import { bytes, clip, count, printable } from "../profile/format.ts";
import { estimateText } from "../profile/sampling.ts";
import type { ProcessRow } from "../profile/process_tree.ts";

function status({ exit, replaced, running }: ProcessRow): string {
  if (replaced) return "exec";
  return running ? "running" : exit ? exitText(exit) : "";
}

/** An estimate has a sign of one. */
function peak({ peakBytes, interval }: ProcessRow): string {
  if (peakBytes === undefined) return "";
  return `${interval > 0 && peakBytes > 0 ? "~" : ""}${estimateText(peakBytes, interval, bytes)}`;
}

const TITLES = ["pid", "parent", "allocations", "peak", "status"] as const;

/**
 * The processes of a run as a table for people: whose recordings there are, behind each what it started, with a star at
 * the one that a report is of.
 *
 * @example
 * ```ts
 * import { processesText, Recording } from "./mod.ts";
 *
 * console.log(processesText(Recording.open("sort.heaptap").processTree(), 80));
 * ```
 */
export function processesText(rows: readonly ProcessRow[], width: number): string {
  const cells = rows.map((row) => [
    `${row.chosen && rows.length > 1 ? "* " : ""}${row.pid}`,
    String(row.parentPid),
    count(row.allocations),
    peak(row),
    status(row),
  ]);
  const widths = TITLES.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => i === TITLES.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)).join(
      "  ",
    );
  const programs = rows.map((row) =>
    "  ".repeat(Math.min(row.depth, 8)) + printable(row.command.join(" ").trim() || row.executable)
  );
  const files = rows.map(({ path }) => printable(basename(path)));
  const file = Math.max(4, ...files.map((name) => name.length));
  const used = widths.reduce((sum, n) => sum + n + 2, 0);
  // The file's name is whole: it is what is typed next.
  const room = Math.max(16, width - used - file - 2);
  const longest = Math.min(room, Math.max(7, ...programs.map((name) => name.length)));
  const put = (row: readonly string[], program: string, name: string) =>
    `${line(row)}  ${clip(program, longest).padEnd(longest)}  ${name}\n`;
  const lines = cells.map((row, i) => put(row, programs[i] ?? "", files[i] ?? ""));
  return put(TITLES, "program", "file") + lines.join("");
}

/**
 * The same as JSON.
 *
 * @example
 * ```ts
 * import { processesJson, Recording } from "./mod.ts";
 *
 * console.log(JSON.parse(processesJson(Recording.open("sort.heaptap").processTree())).processes[0].pid);
 * ```
 */
export function processesJson(rows: readonly ProcessRow[]): string {
  const processes = rows.map((row) => ({
    pid: row.pid,
    parent_pid: row.parentPid,
    depth: row.depth,
    command: row.command,
    executable: row.executable,
    allocations: row.allocations,
    peak_bytes: row.peakBytes ?? null,
    interval_bytes: row.interval || null,
    exit_code: row.exit && !row.exit.signal ? row.exit.code : null,
    exit_signal: row.exit?.signal || null,
    replaced: row.replaced,
    running: row.running,
    reported: row.chosen,
    file: row.path,
  }));
  return JSON.stringify({ version: 1, processes }, null, 2) + "\n";
}
