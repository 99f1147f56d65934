/** What options stand for: formats by the endings of files, short forms, and what a mistyped value was to be. */

import { OutputError } from "../file/output_error.ts";

/** Endings of files, the longer ones first, and the formats that they name, the first that a command has. */
const ENDINGS: readonly (readonly [ending: RegExp, ...formats: string[]])[] = [
  [/\.speedscope(\.json)?$/, "speedscope"],
  [/\.dhat(\.json)?$|(^|\/)dhat\.out(\.\d+)?$/, "dhat"],
  [/\.massif$|(^|\/)massif\.out(\.\d+)?$/, "massif"],
  [/\.(pb|pb\.gz|pprof)$/, "pprof"],
  [/\.(folded|collapsed)$/, "collapsed"],
  [/\.html?$/, "html"],
  [/\.json$/, "json"],
  [/\.csv$/, "csv"],
  [/\.(md|markdown)$/, "markdown", "text"],
  [/\.(txt|text|log)$/, "text"],
];

/**
 * The format that a file's ending names, of those that there are; undefined when it names none.
 *
 * @throws {OutputError} when it names one that there is not here.
 */
export function formatOf(path: string, formats: readonly string[]): string | undefined {
  const [, ...named] = ENDINGS.find(([ending]) => ending.test(path.toLowerCase())) ?? [/$/];
  const format = named.find((name) => formats.includes(name));
  if (named.length > 0 && !format) {
    throw new OutputError(
      `Cannot write "${path}" as ${named[0]}: it takes ${formats.join(", ")}; say which with --format`,
    );
  }
  return format;
}

/** In how many single letters two words differ: left out, put in, another, or two changed about. */
function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i]);
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j;
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const other = a[i - 1] === b[j - 1] ? 0 : 1;
      const changed = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      (rows[i] as number[])[j] = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + other, changed);
    }
  }
  return at(a.length, b.length);
}

/** The word of a list that a mistyped one was to be; undefined when none is near. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const near = words.map((known) => ({ known, far: distance(lower, known.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)[0];
  const begun = lower.length > 1 ? words.filter((known) => known.toLowerCase().startsWith(lower)) : [];
  return near && near.far <= Math.max(1, word.length / 3) ? near.known : begun.length === 1 ? begun[0] : undefined;
}
