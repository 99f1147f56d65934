/** What tools say of an address, held against the symbol table and put together. */
import type { Name } from "./backend.ts";

/** Whether a line is known: only debug information has those. */
export function hasLine(names: readonly Name[]): boolean {
  return names.some(({ line }) => line > 0);
}

/** The function whose code it is, after all that is inlined in it; "" when unknown. */
export function outermost(names: readonly Name[]): string {
  return names.at(-1)?.function ?? "";
}

/** Whether nothing is missing that another tool might know. */
export function isWhole(names: readonly Name[]): boolean {
  return names.length > 0 && names.every((name) => name.function !== "" && name.line > 0);
}

/** The same with another name for the outermost function; nothing at all when that is "" and no line is known. */
export function withFunction(names: readonly Name[], name: string): Name[] {
  const last = names.at(-1);
  if (!last || !hasLine(names)) return name ? [{ function: name, file: "", line: 0, inlined: false }] : [];
  return [...names.slice(0, -1), { ...last, function: name }];
}

/** How much an answer says: a line before inlined functions, these before names. */
function worth(names: readonly Name[]): number {
  if (names.length === 0) return 0;
  return (hasLine(names) ? 1e6 : 0) + 1e3 * names.length + names.filter((name) => name.function).length;
}

/** Of two answers the one that says more; the other fills its gaps where both see the same functions. */
export function merge(first: readonly Name[], second: readonly Name[]): readonly Name[] {
  const [best, other] = worth(second) > worth(first) ? [second, first] : [first, second];
  if (other.length === 0 || isWhole(best)) return best;
  if (best.length === other.length) {
    return best.map((name, i): Name => {
      const { function: fn = "", file = "", line = 0 } = other[i] ?? {};
      const place = name.line > 0 || line === 0 ? name : { file, line };
      return { function: name.function || fn, file: place.file, line: place.line, inlined: name.inlined };
    });
  }
  return outermost(best) ? best : withFunction(best, outermost(other));
}
