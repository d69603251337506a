/** Result codes of SQLite, https://sqlite.org/rescode.html. */
export const SQLITE = { full: 13, corrupt: 11, notADatabase: 26 } as const;
/** Extended codes: bytes of the file are missing, cannot be read, or are not those that were written. Other faults of a disk may pass. */
const UNREADABLE: readonly number[] = [266, 522, 8202, 8458];

/** Returns the primary code of an error of SQLite; 0 for any other. */
export function codeOf(error: unknown): number {
  return extendedCodeOf(error) & 0xff;
}

/** Returns whether the file of a database is damaged, as an error says. */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === SQLITE.corrupt || code === SQLITE.notADatabase || UNREADABLE.includes(extendedCodeOf(error));
}

function extendedCodeOf(error: unknown): number {
  return (error as { errcode?: number }).errcode ?? 0;
}
