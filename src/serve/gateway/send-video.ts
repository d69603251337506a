import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RecordingFile } from '../../after/recording/archive.ts';
import { requireRecording } from '../../after/recording/fragment-file.ts';
import { openStored } from '../../after/recording/stored-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/** Bytes of a file, both included. */
interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Sends a stored video, whole or in part. It is opened once: what is checked is what is sent.
 *
 * @throws RECORDING_DAMAGED, with `details.problem` `missing` if it was deleted; RANGE_UNMET.
 */
export async function sendVideo(
  request: FastifyRequest,
  reply: FastifyReply,
  { path, isOpen }: RecordingFile,
): Promise<FastifyReply> {
  const { handle, size, mtimeMs } = await openStored(path);
  try {
    // The first fragment of a file that is being written may come in a second.
    if (!isOpen) await requireRecording(path, handle, size);
    const etag = `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`;
    reply.header('etag', etag).header('last-modified', new Date(mtimeMs).toUTCString());
    reply.header('cache-control', 'no-cache').header('accept-ranges', 'bytes').type('video/mp4');
    if (isKnown(request, etag, mtimeMs)) {
      await handle.close();
      return reply.code(304).send();
    }
    const range = rangeOf(request, size, etag);
    const { start, end } = range ?? { start: 0, end: size - 1 };
    if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end}/${size}`);
    reply.header('content-length', end - start + 1);
    if (request.method === 'HEAD' || size === 0) {
      await handle.close();
      // Of a text, Fastify would state its length instead.
      return reply.send(Readable.from([]));
    }
    return reply.send(handle.createReadStream({ start, end }));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function isKnown({ headers }: FastifyRequest, etag: string, mtimeMs: number): boolean {
  const { 'if-none-match': known, 'if-modified-since': since } = headers;
  if (known !== undefined)
    return known.split(',').some((each) => ['*', etag].includes(each.trim().replace(/^W\//, '')));
  return since !== undefined && Math.floor(mtimeMs / 1000) * 1000 <= Date.parse(since);
}

/**
 * As RFC 9110: what is no range is ignored, as are several, and one that counts from the end may be longer than the file.
 *
 * @throws RANGE_UNMET
 */
function rangeOf({ headers }: FastifyRequest, size: number, etag: string): ByteRange | null {
  const { range, 'if-range': asked = etag } = headers;
  const [, first, last] = /^\s*bytes=\s*(\d*)-(\d*)\s*$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '') || asked !== etag) return null;
  if (first === '') {
    if (Number(last) > size) return null;
    return met(range!, size, { start: size - Number(last), end: size - 1 });
  }
  if (last !== '' && Number(first) > Number(last)) return null;
  return met(range!, size, { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) });
}

function met(asked: string, bytes: number, range: ByteRange): ByteRange {
  if (range.start < bytes) return range;
  throw new SightlineError('RANGE_UNMET', `Range: expected a part of its ${bytes} bytes, received "${asked}"`, {
    bytes,
  });
}
