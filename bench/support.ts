/** What the benchmark takes from heaptap itself. */
import { readFileSync } from "node:fs";
import { libraryPath, Recording } from "../mod.ts";

export { libraryPath };

/** Seconds of a processor that a process has had. */
export function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(stat[11]) + Number(stat[12])) / 100;
}

/** Reads a recording a few times; the number of call paths and the median time. */
export function readProfileOf(path: string): { paths: number; milliseconds: number } {
  const recording = Recording.open(path);
  let paths = 0;
  const times = Array.from({ length: 5 }, () => {
    const begun = performance.now();
    paths = recording.profile().callPaths.length;
    return performance.now() - begun;
  });
  return { paths, milliseconds: times.sort((a, b) => a - b)[2] ?? NaN };
}
