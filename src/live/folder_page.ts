/** The list of a folder's recordings, as a page: a link each. */
import { createHash } from "node:crypto";
import { bytes, count, printable } from "../profile/format.ts";
import { programName } from "../profile/launchers.ts";
import type { OutlinedProcess } from "../profile/processes.ts";

const STYLE = `:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 0.35rem 0.7rem; text-align: left; border-bottom: 1px solid #8884; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }`;

function escaped(text: string): string {
  return printable(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
}

/** What one process did, with a link to its page. */
function row(name: string, { pid, startTime, process, allocations, peakBytes }: OutlinedProcess): string {
  const begun = new Date(startTime).toISOString().slice(0, 19).replace("T", " ");
  const cells = [
    ["", `<a href="${encodeURIComponent(name)}/">${escaped(programName(process.executable, process.command))}</a>`],
    ["figure", String(pid)],
    ["", `${begun} UTC`],
    ["figure", count(allocations)],
    ["figure", bytes(peakBytes)],
    ["", process.running ? "runs" : ""],
    ["", escaped(name)],
  ];
  return `<tr>${cells.map(([look, text]) => `<td class="${look}">${text}</td>`).join("")}</tr>`;
}

const HEADS = [
  ["", "Program"],
  ["figure", "Process"],
  ["", "Begun"],
  ["figure", "Allocations"],
  ["figure", "Peak"],
  ["", ""],
  ["", "Recording"],
];

/** The page of a folder: its recordings by the names of their files, the latest first. */
export function folderPage(folder: string, recordings: ReadonlyMap<string, OutlinedProcess>): string {
  const hash = createHash("sha256").update(STYLE).digest("base64");
  const rows = [...recordings].sort(([, a], [, b]) => b.startTime - a.startTime).map(([name, one]) => row(name, one));
  const title = `Recordings in ${escaped(folder)}`;
  const heads = HEADS.map(([look, text]) => `<th class="${look}">${text}</th>`).join("");
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'; img-src data:">
<link rel="icon" href="data:,"><title>${title} · heaptap</title><style>${STYLE}</style></head><body><h1>${title}</h1>
${rows.length > 0 ? `<table><tr>${heads}</tr>\n${rows.join("\n")}</table>` : "<p>There is none yet.</p>"}
</body></html>
`;
}
