/** Comma-separated values (RFC 4180). */

function cell(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  // A spreadsheet takes a text that begins like this for a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return `"${text.replace(/"/g, '""')}"`;
}

/** A line of titles, which have no commas, then one for each row. */
export function csvText(
  titles: readonly string[],
  rows: readonly (readonly (string | number | boolean)[])[],
): string {
  return [titles.join(","), ...rows.map((row) => row.map(cell).join(","))].map((line) => `${line}\r\n`).join("");
}
