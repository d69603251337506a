/** `3 files are neither video nor picture, and left out: a.txt, b.pdf, c.srt`. @param what - `neither video nor picture`. */
export function leftOutText(paths: readonly string[], what: string): string {
  const named = `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ` and ${paths.length - 10} more` : ''}`;
  return `${paths.length === 1 ? '1 file is' : `${paths.length} files are`} ${what}, and left out: ${named}`;
}
