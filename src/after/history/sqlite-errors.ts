/** Result codes of SQLite, https://sqlite.org/rescode.html. */
export const SQLITE = { full: 13, corrupt: 11, notADatabase: 26 } as const;
/** Extended codes: bytes of the file are missing, cannot be read, or are not those that were written. Other faults of a disk may pass. */
const UNREADABLE: readonly number[] = [266, 522, 8202, 8458];

/** A write, or the growth of the shared memory, failed. */
const NO_ROOM: readonly number[] = [778, 4874];

/** Returns the primary code of an error of SQLite; 0 for any other. */
export function codeOf(error: unknown): number {
  return extendedCodeOf(error) & 0xff;
}

/** Returns whether the file of a database is damaged, as an error says. */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === SQLITE.corrupt || code === SQLITE.notADatabase || UNREADABLE.includes(extendedCodeOf(error));
}

/** Returns whether a disk has no room. SQLite calls it a fault of the disk where it needs room for its shared memory. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (
    codeOf(error) === SQLITE.full || NO_ROOM.includes(extendedCodeOf(error)) || code === 'ENOSPC' || code === 'EDQUOT'
  );
}

function extendedCodeOf(error: unknown): number {
  return (error as { errcode?: number }).errcode ?? 0;
}
