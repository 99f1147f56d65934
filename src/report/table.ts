/** Tables for people: columns as wide as they need, in the form that Markdown reads too. */

/** A column: its heading, and whether its cells are figures, which stand at the right. */
export interface Column {
  readonly title: string;
  readonly figures: boolean;
}

/** A cell's text: a bar in it, and backslashes before that, which would take the escape for their own, stay in the cell. */
function cell(text: string): string {
  return text.replace(/(\\*)\|/g, (_, before: string) => `${before}${before.length % 2 ? "\\" : ""}\\|`);
}

/** A table with `|` between its columns. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(cell));
  const widths = columns.map(({ title }, i) => Math.max(3, title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${columns.map(({ figures }, i) => pad(row[i] ?? "", widths[i] ?? 0, figures)).join(" | ")} |\n`;
  const rule = columns.map(({ figures }, i) => "-".repeat((widths[i] ?? 0) - Number(figures)) + (figures ? ":" : ""));
  return line(columns.map((c) => c.title)) + line(rule) + cells.map(line).join("");
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width);
}

/** Columns of figures for a terminal, at the left of what they are of: a line of them, and how much of a line they take. */
export function figureColumns(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): { line(row: readonly string[]): string; readonly used: number } {
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  return {
    line: (row) => row.map((text, i) => `${pad(text, widths[i] ?? 0, true)}  `).join(""),
    used: widths.reduce((sum, n) => sum + n + 2, 0),
  };
}
