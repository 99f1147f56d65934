/** Thinning of a row of moments: those that say least go, so that what is short and high stays. */

/** What a picture would lose with each moment: its part of the time, and how far it is from the one before. */
function says<T>(all: readonly T[], time: (moment: T) => number, values: (moment: T) => readonly number[]): number[] {
  const run = Math.max(1, time(all.at(-1) as T) - time(all[0] as T));
  const columns = all.map(values);
  const highest = (columns[0] ?? []).map((_, k) => Math.max(1, ...columns.map((column) => column[k] ?? 0)));
  const firsts = highest.map((value, k) => columns.findIndex((column) => column[k] === value));
  return all.map((_, i) => {
    const [before, after] = [all[i - 1], all[i + 1]];
    if (!before || !after) return Infinity;
    const moves = (columns[i] ?? []).map((value, k) => {
      // The highest of all is what people ask for.
      if (i === firsts[k]) return Infinity;
      return Math.abs(value - (columns[i - 1]?.[k] ?? 0)) / (highest[k] ?? 1);
    });
    return (time(after) - time(before)) / run + Math.max(...moves, 0);
  });
}

/**
 * Three quarters of a row that has reached its most, undefined of one that has not: the first, the last and the highest of each value
 * among them, no two neighbours dropped at a time.
 */
export function thinned<T>(
  all: readonly T[],
  most: number,
  time: (moment: T) => number,
  values: (moment: T) => readonly number[],
): T[] | undefined {
  if (all.length < most) return undefined;
  const weights = says(all, time, values);
  const order = weights.map((_, i) => i).sort((a, b) => (weights[a] ?? 0) - (weights[b] ?? 0));
  const drop = new Set<number>();
  for (const i of order) {
    if (drop.size >= most / 4 || weights[i] === Infinity) break; // at most four do not go: the ends, and where a value is highest
    if (!drop.has(i - 1) && !drop.has(i + 1)) drop.add(i);
  }
  return all.filter((_, i) => !drop.has(i));
}
