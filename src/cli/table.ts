/** Formats rows as columns: numbers right-aligned, everything else left-aligned. */
export function table(written: readonly (readonly string[])[]): string {
  // A name with a line break would make a row of its own.
  const rows = written.map((row) => row.map((cell) => cell.replaceAll(/[\n\t]/g, '?')));
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isNumeric(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function isNumeric(cell: string): boolean {
  return /^-?[\d.,]+( ?(ms|fps|%|MB|s))?$/.test(cell);
}
