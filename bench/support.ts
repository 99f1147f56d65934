/** What the benchmark takes from heaptap itself. */
import { libraryPath, Recording } from "../mod.ts";

export { libraryPath };

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
