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
