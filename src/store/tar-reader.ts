import { gunzipSync } from 'node:zlib';

const BLOCK_BYTES = 512;

/**
 * Finds one file in a gzipped tar archive as npm writes them; null if the archive lacks the file. Reads ustar headers
 * (POSIX.1-1988, pax Interchange Format: name at 0, size in octal at 124, type at 156, prefix at 345) and the `path` of pax
 * headers, which hold names that are too long for ustar.
 *
 * @param path - as written in the archive, such as `package/models/a.bin`.
 * @returns a copy of the file's bytes. Throws `RangeError` if the archive is truncated.
 */
export function readTarEntry(archive: Uint8Array, path: string): Uint8Array | null {
  const tar = gunzipSync(archive);
  let longName: string | null = null;
  for (let at = 0; at + BLOCK_BYTES <= tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + BLOCK_BYTES);
    const size = Number.parseInt(text(header, 124, 12), 8) || 0;
    const start = at + BLOCK_BYTES;
    if (start + size > tar.length) throw new RangeError(`archive cut short: ${size} bytes announced at ${start}`);
    const body = tar.subarray(start, start + size);
    const type = text(header, 156, 1);
    if (type === 'x') {
      longName = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(body.toString('utf8'))?.[1] ?? null;
    } else {
      const prefix = text(header, 345, 155);
      const name: string = longName ?? (prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`);
      longName = null;
      if ((type === '0' || type === '') && name === path) return Uint8Array.from(body);
    }
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return null;
}

/** Reads a header field, which ends at its first zero byte. */
function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field
    .subarray(0, end === -1 ? length : end)
    .toString('utf8')
    .trim();
}
