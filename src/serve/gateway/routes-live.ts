import { PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { LivePlaylist } from '../../after/recording/live-playlist.ts';
import type { KeptFragment } from '../../after/recording/packet-ring.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import type { StreamRecorder } from '../../after/recording/stream-recorder.ts';
import { MIB } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { mediaTypeOf } from '../../frame/decode/fragment-reader.ts';
import { check } from '../../settings/config/check.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import { FairPlaces } from './fair-places.ts';
import type { FeedServer } from './feed-server.ts';
import { described } from './route-schema.ts';
import { requireStream, stateOf } from './routes-pictures.ts';

interface LiveRequest {
  readonly Params: { readonly id: string; readonly name: string };
}

/** Longest wait for the first video: key frames may be seconds apart. */
const FIRST_MS = 10_000;
/** What came longer ago is not live. */
const STALE_MS = 15_000;
/** Viewers of `live.mp4` at a time, all together: each holds a connection. */
const MOST_VIEWERS = 128;
/** A viewer that has twice as much to read is slow. */
const MOST_WAITING_BYTES = 4 * MIB;
/** A playlist that nobody asks for is not kept up. */
const IDLE_MS = 30_000;
/** A playlist is waited for no longer; the next segments are not promised. */
const MOST_AHEAD = 2;

const playlistQuery = z.strictObject({
  _HLS_msn: z.coerce.number().int().min(0).optional().describe('Answer once this segment is complete.'),
  _HLS_part: z.coerce.number().int().min(0).optional().describe('Answer once the segment has this part.'),
});

/** Adds `/api/streams/:id/live.mp4` and `live.m3u8`: the undecoded video of a stream, for the page and for players. */
export function addLiveRoutes(
  app: FastifyInstance,
  port: RuntimePort,
  feed: FeedServer,
  recorder: Recorder | null,
): void {
  const places = new FairPlaces(MOST_VIEWERS, 'programs that watch live video');
  const requireVideo = ({ identity, params: { id } }: FastifyRequest<LiveRequest>): StreamRecorder => {
    requireStream(port, identity, id);
    const video = recorder?.streamOf(id);
    if (video == null)
      throw new SightlineError('STREAM_STATE', `stream "${id}": it has no live video: ${whyNoVideo(recorder)}`, {
        stream: id,
      });
    return video;
  };
  const late = (id: string): SightlineError =>
    new SightlineError(
      'STREAM_STATE',
      `stream "${id}": no video came within ${FIRST_MS / 1000} s; its state is ${stateOf(port, id) ?? 'removed'}`,
      { stream: id },
    );

  app.get<LiveRequest>(
    '/api/streams/:id/live.mp4',
    described('The video of a stream as it comes, from its newest key frame on and without end: fragmented MP4.', {
      replyTypes: ['video/mp4'],
    }),
    async (request, reply) => {
      const { id } = request.params;
      const video = requireVideo(request);
      const body = new PassThrough({ highWaterMark: MOST_WAITING_BYTES });
      const leave = places.take(request, () => body.destroy());
      let opened: KeptFragment['opened'] | null = null;
      let isBehind = false;
      let settle!: { resolve: (first: KeptFragment) => void; reject: (error: Error) => void };
      const first = new Promise<KeptFragment>((resolve, reject) => {
        settle = { resolve, reject };
      });
      const view = (kept: KeptFragment): void => {
        const { fragment } = kept;
        if (body.writableEnded || body.destroyed || (opened === null && !fragment.isKey)) return;
        if (opened === null) {
          opened = kept.opened;
          body.write(opened.init);
          settle.resolve(kept);
        } else if (opened.connection !== kept.opened.connection) {
          // It has times of its own, and maybe another format.
          body.end();
          return;
        }
        isBehind = body.writableNeedDrain || (isBehind && !fragment.isKey);
        if (isBehind) recorder!.skippedFrames += fragment.frames;
        else body.write(fragment.bytes);
      };
      const end = (): void => {
        body.end();
        settle.reject(late(id));
      };
      const stop = feed.watchStream({ stream: id, identity: request.identity, onEnd: end });
      const timer = setTimeout(() => settle.reject(late(id)), FIRST_MS);
      body.once('close', () => {
        leave();
        video.viewers.delete(view);
        stop();
        settle.reject(late(id));
      });
      reply.raw.once('close', () => body.destroy());
      for (const kept of fresh(video, Number.POSITIVE_INFINITY)) view(kept);
      video.viewers.add(view);
      try {
        const { opened, fragment } = await first;
        const leadUs = Math.round((fragment.firstTicks / opened.timescale) * 1e6);
        return reply
          .header('content-type', mediaTypeOf(opened.init))
          .header('cache-control', 'no-store')
          .header('x-origin-us', String(fragment.firstUs - leadUs))
          .send(body);
      } catch (error) {
        body.destroy();
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
  );

  const playlists = new Map<string, { playlist: LivePlaylist; keep: () => void }>();
  /** Keeps a playlist up while somebody asks for it. */
  const playlistOf = (request: FastifyRequest<LiveRequest>): LivePlaylist => {
    const video = requireVideo(request);
    const { id } = request.params;
    let kept = playlists.get(id);
    if (kept === undefined) {
      const playlist = new LivePlaylist();
      const view = (fragment: KeptFragment): void => playlist.push(fragment);
      const close = (): void => {
        clearTimeout(timer);
        video.viewers.delete(view);
        playlists.delete(id);
        stop();
      };
      const stop = feed.watchStream({ stream: id, identity: null, onEnd: close });
      const timer = setTimeout(close, IDLE_MS).unref();
      for (const fragment of fresh(video, Number.NEGATIVE_INFINITY)) view(fragment);
      video.viewers.add(view);
      kept = { playlist, keep: () => timer.refresh() };
      playlists.set(id, kept);
    }
    kept.keep();
    return kept.playlist;
  };

  app.get<LiveRequest>(
    '/api/streams/:id/live.m3u8',
    described('An HLS playlist of the video of a stream as it comes, with parts for a low latency.', {
      replyTypes: ['application/vnd.apple.mpegurl'],
      query: playlistQuery,
    }),
    async (request, reply) => {
      const { id } = request.params;
      const { _HLS_msn: number, _HLS_part: part } = check(playlistQuery, request.query, 'query');
      const playlist = playlistOf(request);
      if (number !== undefined && number > playlist.newest + MOST_AHEAD)
        throw new SightlineError(
          'CONFIG_INVALID',
          `query: _HLS_msn: expected at most ${playlist.newest + MOST_AHEAD}.`,
        );
      // Without a whole segment, players that know no parts give up.
      if (!(await playlist.until(number ?? 0, part, FIRST_MS))) throw late(id);
      return reply.type('application/vnd.apple.mpegurl').send(playlist.text('live'));
    },
  );

  app.get<LiveRequest>(
    '/api/streams/:id/live/:name',
    described('A segment of the live video of a stream, a part of one, or how it begins.', {
      replyTypes: ['video/mp4'],
    }),
    async (request: FastifyRequest<LiveRequest>, reply) => {
      const bytes = playlistOf(request).file(request.params.name);
      if (bytes === null)
        throw new SightlineError('RECORDING_NOT_FOUND', `"${request.params.name}": it is not kept any more.`);
      return reply.type('video/mp4').send(bytes);
    },
  );
}

/** Why a stream has no live video, if `streamOf` has none. */
export function whyNoVideo(recorder: Recorder | null): string {
  return recorder === null
    ? 'this gateway runs no streams'
    : 'it has neither "live: true" nor a recording or clips, it has masks, or another host runs it';
}

/** What is in memory and has just come. */
function fresh({ ring }: StreamRecorder, fromUs: number): readonly KeptFragment[] {
  const kept = ring.since(fromUs);
  return Date.now() - (kept.at(-1)?.fragment.endMs ?? 0) > STALE_MS ? [] : kept;
}
