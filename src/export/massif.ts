/** The format of Valgrind's Massif, for ms_print: the timeline, and what was live at the peak as a tree. */
import { knownSeconds } from "../profile/facts.ts";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { sourcePlace } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { outwardIn } from "./stacks.ts";
import type { ExportFrame, StackOptions } from "./stacks.ts";

/** Massif leaves out what is less than this share of a snapshot. */
const THRESHOLD = 0.01;

/** A sample of so much of the peak is the peak. */
const HIGH = 0.99;

interface Node {
  readonly frame: ExportFrame | undefined;
  bytes: number;
  readonly callers: Map<string, Node>;
}

function frameText(frame: ExportFrame): string {
  const place = sourcePlace(frame) || (frame.module && `in ${frame.module}`);
  return `0x0: ${frame.name}${place && ` (${place})`}`;
}

/** From the allocating functions to their callers, by what was live at the peak. */
function peakTree(paths: readonly CallPath[], symbols: Symbols, options: StackOptions): Node {
  const root: Node = { frame: undefined, bytes: 0, callers: new Map() };
  for (const path of paths) {
    if (path.peakBytes <= 0) continue;
    root.bytes += path.peakBytes;
    let node = root;
    for (const frame of outwardIn(path, symbols, options).reverse()) {
      const key = frameText(frame);
      let next = node.callers.get(key);
      if (!next) node.callers.set(key, next = { frame, bytes: 0, callers: new Map() });
      next.bytes += path.peakBytes;
      node = next;
    }
  }
  return root;
}

function treeLines(node: Node, total: number, depth: number, lines: string[]): void {
  const all = [...node.callers.values()].sort((a, b) => b.bytes - a.bytes);
  const kept = all.filter((child) => child.bytes >= total * THRESHOLD);
  const dropped = all.length - kept.length;
  const indent = " ".repeat(depth);
  const text = node.frame ? frameText(node.frame) : "(heap allocation functions) malloc/new/new[], --alloc-fns, etc.";
  lines.push(`${indent}n${kept.length + (dropped > 0 ? 1 : 0)}: ${node.bytes} ${text}`);
  for (const child of kept) treeLines(child, total, depth + 1, lines);
  if (dropped > 0) {
    const bytes = all.slice(kept.length).reduce((sum, child) => sum + child.bytes, 0);
    const places = dropped === 1 ? "1 place" : `${dropped} places`;
    lines.push(`${indent} n0: ${bytes} in ${places}, ${dropped === 1 ? "" : "all "}below massif's threshold (1.00%)`);
  }
}

/**
 * The file's text. Bytes are those that the program asked for; what the allocator adds is not known (0). Names
 * must have been resolved.
 *
 * @example
 * ```ts
 * import { massifReport, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(massifReport(profile, symbols).split("\n")[0]);
 * ```
 */
export function massifReport(profile: Profile, symbols: Symbols, options: StackOptions = {}): string {
  const { totals, timeline, process } = profile;
  const tree: string[] = [];
  const root = peakTree(profile.callPaths, symbols, options);
  if (root.bytes > 0) treeLines(root, root.bytes, 0, tree);
  // ms_print wants no tree that is more than its snapshot; with several threads the peak is not exact.
  const peakBytes = Math.max(totals.peakBytes, root.bytes);
  const samples = timeline.map(({ seconds, bytes }) => ({ seconds, bytes, peak: false }));
  const most = timeline.reduce((highest, sample) => Math.max(highest, sample.highest), 0);
  // The peak stands where the sample begins whose time it is of: before it, where that is not as high itself.
  const at = Math.max(0, timeline.findIndex(({ highest }) => highest === most));
  const isHigh = (samples[at]?.bytes ?? 0) >= HIGH * peakBytes;
  samples.splice(at, isHigh ? 1 : 0, { seconds: samples[at]?.seconds ?? 0, bytes: peakBytes, peak: true });
  const end = knownSeconds(profile);
  if ((timeline.at(-1)?.seconds ?? -1) < end) samples.push({ seconds: end, bytes: totals.liveBytes, peak: false });
  const lines = [
    `desc: heaptap${profile.limits.interval ? `, estimates of a block every ${profile.limits.interval} bytes` : ""}`,
    `cmd: ${commandLine(process)}`.replace(/\n/g, " "),
    "time_unit: ms",
  ];
  samples.forEach(({ seconds, bytes, peak }, i) => {
    lines.push(
      "#-----------",
      `snapshot=${i}`,
      "#-----------",
      `time=${Math.round(seconds * 1000)}`,
      `mem_heap_B=${Math.max(0, bytes)}`,
      "mem_heap_extra_B=0",
      "mem_stacks_B=0",
      ...peak && tree.length > 0 ? ["heap_tree=peak", ...tree] : ["heap_tree=empty"],
    );
  });
  return lines.join("\n") + "\n";
}
