// The processes of a run whose figures are together.
import { element } from "./dom.js";
import { baseName, bytes, count } from "./format.js";
import { sparkline } from "./timeline.js";

/** @typedef {import("./data.ts").ProcessData} ProcessData */

/**
 * Columns of the table of processes, each with its line on the time of all.
 * @param {readonly ProcessData[]} processes
 * @returns {import("./table.js").Column<ProcessData>[]}
 */
export function processColumns(processes) {
  const end = Math.max(1e-6, ...processes.map(({ begun, timeline }) => begun + timeline.end));
  const most = Math.max(1, ...processes.map(({ peakBytes }) => peakBytes));
  /** @type {(id: "allocations" | "bytes" | "peakBytes" | "liveBytes", title: string, show: (n: number) => string, wide: boolean) => import("./table.js").Column<ProcessData>} */
  const figure = (id, title, show, wide) => ({
    id,
    title,
    figures: true,
    wide,
    track: "112px",
    text: (row) => show(row[id]),
    by: (row) => row[id],
    hint: (row) => count(row[id]),
  });
  return [
    figure("allocations", "Allocations", count, false),
    figure("peakBytes", "Peak", bytes, false),
    figure("bytes", "Allocated", bytes, true),
    {
      id: "program",
      title: "Program",
      text: ({ command }) => baseName(command.split(" ")[0]),
      cell: ({ command, program }) => [
        element("span", { className: "first" }, element("span", { className: "name" }, baseName(program) || command)),
        element("span", { className: "second" }, command),
      ],
      by: ({ program }) => baseName(program),
      hint: ({ command, program, file }) => [command, program, file].join("\n"),
    },
    { id: "pid", title: "Pid", figures: true, track: "72px", text: ({ pid }) => String(pid), by: ({ pid }) => pid },
    {
      id: "parent",
      title: "Parent",
      figures: true,
      wide: true,
      track: "76px",
      text: ({ parent }) => String(parent),
      by: ({ parent }) => parent,
    },
    { id: "exit", title: "End", wide: true, track: "120px", text: ({ exit }) => exit, by: ({ exit }) => exit },
    {
      id: "begun",
      title: "Live over time",
      wide: true,
      track: "minmax(120px, 1fr)",
      text: () => "",
      cell: (row) => [/** @type {Node} */ (sparkline(row, end, most))],
      by: ({ begun }) => -begun,
      hint: ({ peakBytes }) => `peak ${bytes(peakBytes)}; heights are roots, so that small ones are seen`,
    },
  ];
}
