import type { FileHandle } from 'node:fs/promises';

const READ_BYTES = 64 * 1024;
/** A frame with a thousand boxes takes 100 kB. */
const MOST_LINE_BYTES = 16 * 2 ** 20;

export interface FileLine {
  /** Without the line break. */
  readonly bytes: Buffer;
  /** Where the next line begins. */
  readonly endBytes: number;
}

/**
 * Yields the lines of a file from its start. A last line without its line break was not completely written, and is left out. A line
 * of more than 16 MiB is damaged: its beginning is the last that is yielded.
 *
 * @param handle - stays open.
 * @param waitsForMore - called at the end of the file; true to look again.
 */
export async function* readLines(
  handle: Pick<FileHandle, 'read'>,
  waitsForMore: () => Promise<boolean> = () => Promise.resolve(false),
): AsyncGenerator<FileLine, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  let position = 0;
  let isLast = false;
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, position);
    if (bytesRead === 0) {
      if (isLast) return;
      // What was written before the answer is read once more.
      isLast = !(await waitsForMore());
      continue;
    }
    const begin = position - rest.length;
    position += bytesRead;
    const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    let start = 0;
    for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n', start)) {
      yield { bytes: bytes.subarray(start, end), endBytes: begin + end + 1 };
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length <= MOST_LINE_BYTES) continue;
    yield { bytes: rest, endBytes: position };
    return;
  }
}
