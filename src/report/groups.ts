/** Groups and trees as text. */
import { intervalText } from "../profile/facts.ts";
import type { Profile } from "../profile/profile.ts";
import { VIEWS } from "../profile/views.ts";
import type { ViewName } from "../profile/views.ts";
import type { Group, GroupBy, TreeNode } from "../symbols/group.ts";
import { bytes, clip, count, plural, printable, share } from "../profile/format.ts";

/** How the text is to look. */
export interface GroupOptions {
  /** Groups, or a node's children, to show; 0 for all. */
  readonly limit: number;
  /** What is shown and sorted by; `allocated` when left out. */
  readonly view?: ViewName | undefined;
  /** Whether groups are sorted by what goes through them, not by what is their own. */
  readonly inclusive?: boolean | undefined;
  /** Columns of the terminal. */
  readonly width: number;
  /** Mean bytes between two samples, where figures are estimates. */
  readonly interval?: number | undefined;
}

const TITLES: Readonly<Record<ViewName, string>> = {
  allocated: "allocated",
  live: "live",
  peak: "live at the peak",
  temporary: "temporary",
};

/** A view with its title, and how its figures are written. */
function measure(view: ViewName = "allocated") {
  return { ...VIEWS[view], title: TITLES[view], show: VIEWS[view].unit === "bytes" ? bytes : count };
}

/**
 * A table of groups, the largest of their own first.
 *
 * @example
 * ```ts
 * import { groupPaths, groupsText, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(groupsText(profile, "function", groupPaths(profile, symbols, "function"), { limit: 5, width: 80 }));
 * ```
 */
export function groupsText(profile: Profile, by: GroupBy, groups: readonly Group[], options: GroupOptions): string {
  const { title, of, count: counted, show } = measure(options.view);
  const sorted = groups.filter((g) => of(g.inclusive) !== 0)
    .sort((a, b) =>
      (options.inclusive ? of(b.inclusive) - of(a.inclusive) : of(b.self) - of(a.self)) ||
      of(b.inclusive) - of(a.inclusive) || a.name.localeCompare(b.name, "en")
    );
  const kept = options.limit > 0 ? sorted.slice(0, options.limit) : sorted;
  const { interval } = profile.limits;
  // Estimates are parts of what they come to together.
  const all = interval ? profile.callPaths.reduce((n, path) => n + of(path), 0) : of(profile.totals);
  const lines = [
    `${title} by ${by}: ${count(sorted.length)} of them, ${show(all)} in all`,
    ...interval ? [`estimates, of a block every ${intervalText(interval)}`] : [],
    "",
    `${"self".padStart(10)} ${"share".padStart(6)} ${"inclusive".padStart(10)} ${"share".padStart(6)} ${
      "blocks".padStart(11)
    }  ${by}`,
    ...kept.map(({ name, self, inclusive }) => {
      const left = `${show(of(self)).padStart(10)} ${share(of(self), all).padStart(6)} ${
        show(of(inclusive)).padStart(10)
      } ${share(of(inclusive), all).padStart(6)} ${count(counted(self)).padStart(11)}  `;
      return left + clip(printable(name), Math.max(20, options.width - left.length));
    }),
  ];
  const hidden = sorted.length - kept.length;
  if (hidden > 0) lines.push("", `and ${count(hidden)} more, see --limit`);
  return lines.map((line) => line.trimEnd()).join("\n") + "\n";
}

/** A node is shown when it has as much of the tree's whole. */
const SMALLEST = 0.005;

/**
 * A tree of callers or callees, the largest first, branches of less than half a percent left out.
 *
 * @example
 * ```ts
 * import { callTree, Recording, Symbols, treeText } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * const tree = callTree(profile, symbols, /main/, "callees");
 * console.log(treeText(tree, "callees", { limit: 5, width: 80 }));
 * ```
 */
export function treeText(root: TreeNode, direction: "callers" | "callees", options: GroupOptions): string {
  const { title, of, show } = measure(options.view);
  const all = of(root.figures);
  if (root.children.size === 0) return `${title}, by ${direction}: no function matches\n`;
  const sampled = options.interval ? `, estimates of a block every ${intervalText(options.interval)}` : "";
  const lines = [`${title}, by ${direction}: ${show(all)}${sampled}`, ""];
  const draw = (node: TreeNode, depth: number) => {
    const children = [...node.children.values()].filter((child) => of(child.figures) > 0)
      .sort((a, b) => of(b.figures) - of(a.figures));
    const large = children.filter((child) => of(child.figures) >= all * SMALLEST);
    const kept = options.limit > 0 ? large.slice(0, options.limit) : large;
    const line = (figure: number, text: string) => {
      const left = `${show(figure).padStart(10)} ${share(figure, all).padStart(6)}  ${"  ".repeat(depth)}`;
      lines.push(left + clip(printable(text), Math.max(20, options.width - left.length)));
    };
    for (const child of kept) {
      line(of(child.figures), child.name);
      draw(child, depth + 1);
    }
    const rest = children.filter((child) => !kept.includes(child));
    if (rest.length > 0) {
      const sum = rest.reduce((n, child) => n + of(child.figures), 0);
      line(sum, `(${count(rest.length)} more ${plural(rest.length, direction.slice(0, -1))})`);
    }
  };
  draw(root, 0);
  return lines.join("\n") + "\n";
}
