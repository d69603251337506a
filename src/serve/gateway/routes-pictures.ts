import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { drawOnJpeg } from '../../after/sinks/drawing/draw-on-jpeg.ts';
import type { PreviewPicture } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import { seenBy, unknownStream } from './access/stream-scope.ts';
import type { Identity } from './access/token-table.ts';
import { FairPlaces } from './fair-places.ts';
import type { FeedServer } from './feed-server.ts';
import { described } from './route-schema.ts';

interface PictureRequest {
  readonly Params: { readonly id: string };
}

/** Longest wait for the first picture: there are none while nobody watches. */
const FIRST_MS = 5_000;
/** Readers of endless pictures at a time, all together: each holds a connection. */
const MOST_READERS = 64;
const BOUNDARY = 'picture';

/** How a picture is asked for. */
export const pictureQuery = z.strictObject({
  boxes: z.enum(['0', '1']).default('1').describe('0: as it came; 1: with what was found drawn on it.'),
});

/** Adds `/api/streams/:id/snapshot.jpg` and `.../mjpeg`: the pictures of the page, for programs that know no WebSocket. */
export function addPictureRoutes(app: FastifyInstance, port: RuntimePort, feed: FeedServer): void {
  const places = new FairPlaces(MOST_READERS, 'programs that read pictures');
  const drawn = perPicture((picture) => drawnOn(port, picture));
  const plainParts = perPicture((picture) => Promise.resolve(partOf(picture, picture.jpeg)));
  const drawnParts = perPicture(async (picture) => partOf(picture, await drawn(picture)));
  app.get<PictureRequest>(
    '/api/streams/:id/snapshot.jpg',
    described('A picture of a stream, as it is now.', { query: pictureQuery, replyTypes: ['image/jpeg'] }),
    async (request, reply) => {
      const { id } = request.params;
      const hasBoxes = wantsBoxes(request.query);
      requireStream(port, request.identity, id);
      const picture = await firstPicture(feed, { stream: id, identity: request.identity, hasBoxes }, () =>
        stateOf(port, id),
      );
      const jpeg = hasBoxes ? await drawn(picture) : picture.jpeg;
      return reply
        .header('content-type', 'image/jpeg')
        .header('cache-control', 'no-store')
        .header('x-pts-us', String(ptsUsOf(picture)))
        .send(Buffer.from(jpeg));
    },
  );

  app.get<PictureRequest>(
    '/api/streams/:id/mjpeg',
    described('Pictures of a stream without end, as cameras send them (multipart/x-mixed-replace).', {
      replyTypes: ['multipart/x-mixed-replace'],
      query: pictureQuery,
    }),
    (request, reply) => {
      const { id } = request.params;
      const hasBoxes = wantsBoxes(request.query);
      requireStream(port, request.identity, id);
      const body = new PassThrough();
      const leave = places.take(request, () => body.destroy());
      // The head of the reply leaves with the first bytes, and a picture may be long in coming.
      body.write('\r\n');
      let isDrawing = false;
      const write = async (picture: PreviewPicture): Promise<void> => {
        // A slow reader gets fewer pictures, not old ones, and holds one.
        if (isDrawing || body.readableLength > 0 || body.writableNeedDrain || reply.raw.writableLength > 0) return;
        isDrawing = true;
        try {
          const part = await (hasBoxes ? drawnParts : plainParts)(picture);
          if (body.writable) body.write(part);
        } finally {
          isDrawing = false;
        }
      };
      const stop = feed.watchStream({
        stream: id,
        identity: request.identity,
        onPicture: (picture) => void write(picture).catch((error: Error) => body.destroy(error)),
        onEnd: () => body.end(),
      });
      body.once('close', () => {
        leave();
        stop();
      });
      return reply
        .header('content-type', `multipart/x-mixed-replace; boundary=${BOUNDARY}`)
        .header('cache-control', 'no-store')
        .send(body);
    },
  );
}

function wantsBoxes(query: unknown): boolean {
  return check(pictureQuery, query, 'query').boxes === '1';
}

/** @throws STREAM_NOT_FOUND */
export function requireStream(port: RuntimePort, identity: Identity | null, id: string): void {
  if (stateOf(port, id) === null) throw unknownStream(id, seenBy(identity, port.report()).streams);
}

export function stateOf(port: RuntimePort, id: string): string | null {
  return port.report().streams.find((stream) => stream.id === id)?.state ?? null;
}

/**
 * Resolves to the first picture that comes; to one whose frame has its result, if there is such a one in time.
 *
 * @throws STREAM_STATE if none comes.
 */
function firstPicture(
  feed: FeedServer,
  {
    stream,
    identity,
    hasBoxes,
  }: { stream: string; identity: Parameters<FeedServer['watchStream']>[0]['identity']; hasBoxes: boolean },
  state: () => string | null,
): Promise<PreviewPicture> {
  return new Promise((resolve, reject) => {
    let newest: PreviewPicture | null = null;
    const settle = (): void => {
      clearTimeout(timer);
      stop();
      if (newest !== null) resolve(newest);
      else
        reject(
          new SightlineError(
            'STREAM_STATE',
            `stream "${stream}": no picture came within ${FIRST_MS / 1000} s; its state is ${state() ?? 'removed'}`,
            { stream },
          ),
        );
    };
    const timer = setTimeout(settle, FIRST_MS);
    const stop = feed.watchStream({
      stream,
      identity,
      onPicture(picture) {
        newest = picture;
        if (!hasBoxes || picture.hasResult !== false) settle();
      },
      onEnd: settle,
    });
  });
}

/** Does something once for each picture, however many ask for it; it is kept as long as the picture. */
function perPicture(make: (picture: PreviewPicture) => Promise<Buffer>): (picture: PreviewPicture) => Promise<Buffer> {
  const made = new WeakMap<PreviewPicture, Promise<Buffer>>();
  return (picture) => {
    const known = made.get(picture) ?? make(picture);
    made.set(picture, known);
    return known;
  };
}

function partOf(picture: PreviewPicture, jpeg: Uint8Array): Buffer {
  const head = `--${BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length}\r\nX-Pts-Us: ${ptsUsOf(picture)}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), jpeg, Buffer.from('\r\n')]);
}

function ptsUsOf({ pictureUs, frame }: PreviewPicture): number {
  return pictureUs ?? frame.ptsUs;
}

/** Returns the picture with the boxes of its result, and the zones and lines of its stream. */
function drawnOn(port: RuntimePort, { jpeg, frame }: PreviewPicture): Promise<Buffer> {
  const report = port.report().streams.find(({ id }) => id === frame.streamId);
  const counts = { zones: frame.zones ?? [], lines: report?.lines ?? [] };
  return drawOnJpeg(jpeg, frame, port.streamSettings(frame.streamId).settings, counts);
}
