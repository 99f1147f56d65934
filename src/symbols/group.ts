/** Call paths put together by a function, module, file or line that they have in common; and trees of callers and callees. */
import type { CallPath, Profile } from "../profile/profile.ts";
import { matches } from "../profile/select.ts";
import { leadIndex } from "./lead.ts";
import { frameName } from "./named_frame.ts";
import type { NamedFrame } from "./named_frame.ts";
import type { Symbols } from "./symbols.ts";

/** What call paths can be put together by. */
export type GroupBy = "function" | "module" | "file" | "line" | "thread" | "operation";

/** Figures of a group or of a tree's node. */
export interface GroupFigures {
  /** Allocations. */
  allocations: number;
  /** Bytes allocated. */
  bytes: number;
  /** Blocks live. */
  liveCount: number;
  /** Bytes live. */
  liveBytes: number;
  /** Blocks live at the process's peak. */
  peakCount: number;
  /** Bytes live at the process's peak. */
  peakBytes: number;
  /** Temporary blocks. */
  temporary: number;
}

/** What call paths have in common, and what they have together. */
export interface Group {
  /** The function, module, file, line (`file:line`) or thread. */
  readonly name: string;
  /** Of the call paths that end in it: it called the allocator, by way of allocation functions at most. */
  readonly self: GroupFigures;
  /** Of the call paths that go through it, each once. */
  readonly inclusive: GroupFigures;
}

function nothing(): GroupFigures {
  return { allocations: 0, bytes: 0, liveCount: 0, liveBytes: 0, peakCount: 0, peakBytes: 0, temporary: 0 };
}

function add(to: GroupFigures, path: Omit<GroupFigures, "peakCount" | "peakBytes"> & Partial<GroupFigures>): void {
  to.allocations += path.allocations;
  to.bytes += path.bytes;
  to.liveCount += path.liveCount;
  to.liveBytes += path.liveBytes;
  to.peakCount += path.peakCount ?? 0;
  to.peakBytes += path.peakBytes ?? 0;
  to.temporary += path.temporary;
}

const NAMES: Readonly<Record<Exclude<GroupBy, "thread" | "operation">, (frame: NamedFrame) => string>> = {
  function: frameName,
  module: (frame) => frame.module || "JIT code",
  file: (frame) => frame.file || `(no file) ${frame.module || "JIT code"}`,
  line: (frame) => frame.file ? `${frame.file}:${frame.line}` : frameName(frame),
};

/** Name of the group of what has no frames at all. */
const NO_FRAME = "(not kept: the table was full)";

/**
 * The groups of a profile, unsorted. Names of all call paths must have been resolved. Threads have their own
 * figures, of which none are known at the peak.
 *
 * @example
 * ```ts
 * import { groupPaths, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * for (const { name, self, inclusive } of groupPaths(profile, symbols, "module")) {
 *   console.log(name, self.bytes, inclusive.bytes);
 * }
 * ```
 */
export function groupPaths(profile: Profile, symbols: Symbols, by: GroupBy): Group[] {
  const groups = new Map<string, Group>();
  const group = (name: string): Group => {
    let found = groups.get(name);
    if (!found) groups.set(name, found = { name, self: nothing(), inclusive: nothing() });
    return found;
  };
  if (by === "thread") {
    for (const thread of profile.threads) {
      const { self, inclusive } = group(thread.name || "(no name)");
      add(self, thread);
      add(inclusive, thread);
    }
    return [...groups.values()];
  }
  if (by === "operation") {
    for (const path of profile.callPaths) {
      const { self, inclusive } = group(path.operation ?? "(none)");
      add(self, path);
      add(inclusive, path);
    }
    return [...groups.values()];
  }
  const nameOf = NAMES[by];
  for (const path of profile.callPaths) {
    const stack = symbols.stack(path);
    const at = stack[leadIndex(stack)];
    add(group(at ? nameOf(at) : NO_FRAME).self, path);
    // A function that calls itself has its call path once.
    for (const name of stack.length > 0 ? new Set(stack.map(nameOf)) : [NO_FRAME]) add(group(name).inclusive, path);
  }
  return [...groups.values()];
}

/** A function in a tree of callers or callees. */
export interface TreeNode {
  /** The function. */
  readonly name: string;
  /** What call paths that go this way have together. */
  readonly figures: GroupFigures;
  /** Its callers, or callees. */
  readonly children: Map<string, TreeNode>;
}

/**
 * Who calls the functions that match (`callers`), or what they call (`callees`), as a tree that begins with
 * them. Of a call path with several that match the innermost counts for callers, the outermost for callees,
 * so that each is in the tree once. Names of all call paths must have been resolved.
 *
 * @example
 * ```ts
 * import { callTree, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * const tree = callTree(profile, symbols, /./, "callers");
 * console.log(tree.figures.bytes, [...tree.children.keys()].length);
 * ```
 */
export function callTree(
  profile: Profile,
  symbols: Symbols,
  functions: RegExp,
  direction: "callers" | "callees",
): TreeNode {
  const root: TreeNode = { name: "", figures: nothing(), children: new Map() };
  for (const path of profile.callPaths) {
    const names = symbols.stack(path).map(frameName);
    if (direction === "callees") names.reverse();
    const at = names.findIndex((name) => matches(functions, name));
    if (at >= 0) grow(root, names.slice(at), path);
  }
  return root;
}

function grow(root: TreeNode, names: readonly string[], path: CallPath): void {
  let node = root;
  add(node.figures, path);
  names.forEach((name, i) => {
    if (i > 0 && name === names[i - 1]) return; // recursion folded
    let next = node.children.get(name);
    if (!next) node.children.set(name, next = { name, figures: nothing(), children: new Map() });
    add(next.figures, path);
    node = next;
  });
}
