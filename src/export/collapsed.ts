/** Collapsed stacks: a line each, frames from the outermost by semicolons, then the figure. For any flame graph tool. */
import type { Profile } from "../profile/profile.ts";
import { VIEWS } from "../profile/views.ts";
import type { ViewName } from "../profile/views.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { outwardIn } from "./stacks.ts";
import type { StackOptions } from "./stacks.ts";

/** Semicolons part frames, and a line break parts stacks: in a name they become what looks alike. */
function safe(name: string): string {
  // deno-lint-ignore no-control-regex -- taking them out is the point
  return name.replace(/;/g, ":").replace(/[\u0000-\u001f\u007f]/g, " ");
}

/**
 * The stacks of a view, each with its bytes (of the view `temporary`: blocks); equal ones are one line.
 * The names of all call paths must have been resolved.
 *
 * @example
 * ```ts
 * import { collapsedStacks, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(collapsedStacks(profile, symbols, { view: "peak" }));
 * ```
 */
export function collapsedStacks(
  profile: Profile,
  symbols: Symbols,
  { view = "allocated", ...options }: StackOptions & { readonly view?: ViewName | undefined } = {},
): string {
  const { of } = VIEWS[view];
  const lines = new Map<string, number>();
  for (const path of profile.callPaths) {
    const figure = of(path);
    if (figure <= 0) continue;
    const stack = outwardIn(path, symbols, options).map((frame) => safe(frame.name)).join(";");
    lines.set(stack, (lines.get(stack) ?? 0) + figure);
  }
  return [...lines].map(([stack, figure]) => `${stack} ${figure}\n`).join("");
}
