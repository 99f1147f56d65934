/** Two runs side by side by function, module, file or line. */
import { cleanFrames, leadIndex } from "../symbols/lead.ts";
import { moduleName, shortPath } from "../symbols/named_frame.ts";
import { addFigures, NO_FIGURES } from "./run_figures.ts";
import type { Comparable, ComparableFrame } from "./comparable.ts";
import type { RunFigures } from "./run_figures.ts";
import { commonNames, isSame } from "./compare.ts";
import type { CompareBy } from "./compare.ts";

/** What a comparison's call paths can be put together by. */
export type CompareGroupBy = "function" | "module" | "file" | "line";

/** Figures in both runs. */
export interface Change {
  /** In the earlier run. */
  readonly before: RunFigures;
  /** In the later run. */
  readonly after: RunFigures;
}

/** What call paths have in common, and what they have together in both runs. */
export interface ComparedGroup {
  /** The function, module, file or line (`file:line`). */
  readonly name: string;
  /** Whether it is in both runs, or in one alone. */
  readonly state: "both" | "new" | "gone";
  /** Of the call paths that end in it, by way of allocation functions at most. */
  readonly self: Change;
  /** Of the call paths that go through it, each once. */
  readonly inclusive: Change;
}

const NOTHING: Change = { before: NO_FIGURES, after: NO_FIGURES };

function sum(a: Change, b: Change): Change {
  return { before: addFigures(a.before, b.before), after: addFigures(a.after, b.after) };
}

/** Of files that two runs have in other folders, a checkout each: one, where there is no doubt which belong together. */
function acrossFolders(groups: readonly ComparedGroup[]): ComparedGroup[] {
  const byName = new Map<string, ComparedGroup[]>();
  for (const group of groups) {
    const name = shortPath(group.name, false);
    byName.set(name, [...byName.get(name) ?? [], group]);
  }
  return [...byName.values()].flatMap((found) => {
    const [a, b] = found.toSorted((one) => one.state === "gone" ? -1 : 1);
    if (found.length !== 2 || a?.state !== "gone" || b?.state !== "new") return found;
    return [{ ...b, state: "both", self: sum(a.self, b.self), inclusive: sum(a.inclusive, b.inclusive) }];
  });
}

/**
 * Compares two runs by what their call paths have in common; groups that did not change are left out. Worst growth of
 * their own first.
 *
 * @example
 * ```ts
 * import { compareGroups, readComparable } from "./mod.ts";
 *
 * const run = await readComparable("sort.heaptap");
 * console.log(compareGroups(run, run, "function").length); // 0
 * ```
 */
export function compareGroups(
  before: Comparable,
  after: Comparable,
  by: CompareGroupBy,
  figure: CompareBy = "bytes",
): ComparedGroup[] {
  const names: Readonly<Record<CompareGroupBy, (frame: ComparableFrame) => string>> = {
    function: commonNames(before, after),
    module: (frame) => frame.module || moduleName(frame),
    file: (frame) => frame.file || `(no file) ${moduleName(frame)}`,
    line: (frame) => frame.file ? `${frame.file}:${frame.line}` : `(no line) ${moduleName(frame)}`,
  };
  const nameOf = names[by];
  const groups = new Map<string, ComparedGroup>();
  for (const [run, { paths }] of [["before", before], ["after", after]] as const) {
    const state = run === "before" ? "gone" : "new";
    for (const { frames, figures } of paths.values()) {
      const change = { ...NOTHING, [run]: figures };
      const at = frames[leadIndex(frames)];
      const own = at ? nameOf(at) : "(not kept: the table was full)";
      for (const name of new Set([own, ...cleanFrames(frames).map(nameOf)])) {
        const known = groups.get(name) ?? { name, state, self: NOTHING, inclusive: NOTHING };
        groups.set(name, {
          name,
          state: known.state === state ? state : "both",
          self: name === own ? sum(known.self, change) : known.self,
          inclusive: sum(known.inclusive, change),
        });
      }
    }
  }
  const rows = by === "function" ? [...groups.values()] : acrossFolders([...groups.values()]);
  const growth = ({ before, after }: Change) => after[figure] - before[figure];
  return rows.filter(({ inclusive, self }) =>
    !isSame(inclusive.before, inclusive.after) || !isSame(self.before, self.after)
  ).sort((a, b) =>
    growth(b.self) - growth(a.self) || growth(b.inclusive) - growth(a.inclusive) || a.name.localeCompare(b.name, "en")
  );
}
