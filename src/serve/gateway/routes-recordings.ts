import { lstat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { History } from '../../after/history/history.ts';
import { picturePath, type RecordingFile } from '../../after/recording/archive.ts';
import { boxesOf } from '../../after/recording/clip-boxes.ts';
import { cardPicture, pictureOf } from '../../after/recording/clip-picture.ts';
import { exportSpan, hostKey } from '../../after/recording/export-span.ts';
import { readComplete, summaryOf } from '../../after/recording/fragment-file.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import { playlistOf, recordingsIn, spansOf } from '../../after/recording/spans.ts';
import { isMissing } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import type { AlertsReply } from '../../wire/protocol/alert-delivery.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { EventClip, RecordedElsewhere, RecordingsReply } from '../../wire/protocol/recordings-reply.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import { isLoopback } from './auth.ts';
import { described } from './route-schema.ts';
import { timeOf } from './routes-history.ts';
import { whyNoVideo } from './routes-live.ts';
import { pictureQuery } from './routes-pictures.ts';
import { sendVideo } from './send-video.ts';

/** A playlist reads the index of each file. */
const LONGEST_PLAYLIST_MS = 6 * 3_600_000;
/** Hosts in a message. */
const MOST_NAMED = 8;

const stream = z.string().min(1).max(64);
const time = z
  .string('expected a date and time such as 2026-01-31T08:00:00Z, or milliseconds since 1970')
  .min(1)
  .max(40);
const listQuery = z.strictObject({
  stream: stream.optional(),
  from: time.optional(),
  to: time.optional(),
  event: z.string().min(1).max(64).optional(),
});
const spanQuery = z.strictObject({ stream, from: time, to: time });
const keptPictureQuery = z.strictObject({
  moment: z
    .enum(['at', 'before'])
    .optional()
    .describe(
      'at: as it was raised; before: the last one in which all was well. Absent: the first, or else the second.',
    ),
});
const fileQuery = z.strictObject({ stream });

/** Adds the routes of clips and recordings. @param recorder - null if this gateway has none. */
export function addRecordingRoutes(
  app: FastifyInstance,
  recorder: Recorder | null,
  history: History,
  { port, fleet }: { port: Pick<RuntimePort, 'report' | 'alertsOf'>; fleet: FleetPort | null },
): void {
  const elsewhere = (host: string | undefined): RecordedElsewhere | null => {
    if (fleet === null || host === undefined || host === fleet.hostId) return null;
    const url = fleet.fleet().hosts.find(({ id }) => id === host)?.url ?? '';
    return { host, url: URL.canParse(url) && !isLoopback(new URL(url).hostname) ? url : null };
  };
  /** Which other host runs a stream now. */
  const runsAt = (stream: string): RecordedElsewhere | null =>
    fleet === null ? null : elsewhere(port.report().streams.find(({ id }) => id === stream)?.host);
  /** Where the clip of an event may be that this host knows nothing of: events do not say it to other hosts. Names no hosts to those who may see some streams. */
  const otherHosts = async ({ identity }: FastifyRequest, event: string): Promise<RecordedElsewhere[]> => {
    if (fleet === null || identity?.streams !== undefined) return [];
    const known = await history.page({ event, limit: 1 }).catch(() => null);
    return known?.events.length === 0 ? fleet.fleet().hosts.flatMap(({ id }) => elsewhere(id) ?? []) : [];
  };

  const recordings = async (request: FastifyRequest): Promise<Span> => {
    const span = check(spanQuery, request.query, 'query');
    const [fromMs, toMs] = [timeOf('from', span.from)!, timeOf('to', span.to)!];
    requireOrder(fromMs, toMs);
    const all = (await recorder?.archive())?.files ?? [];
    // Who may see some streams only learns of no other.
    const known = [...new Set(all.filter((file) => maySee(request, file)).map((file) => file.stream))].sort();
    const runs = maySee(request, span) ? runsAt(span.stream) : null;
    if (!known.includes(span.stream)) {
      const text = `Nothing of stream "${span.stream}" is recorded; recorded are: ${known.join(', ') || 'none'}.`;
      throw notOfStream(text, runs);
    }
    const files = recordingsIn(all, { stream: span.stream, fromMs, toMs });
    if (files.length === 0) throw notOfStream('Nothing of this stream is recorded in this time.', runs);
    return { files, fromMs, toMs };
  };

  app.get(
    '/api/recordings',
    described('What is recorded, and what is missing in between.', { query: listQuery }),
    async (request): Promise<RecordingsReply> => {
      const { stream, from, to, event } = check(listQuery, request.query, 'query');
      const archive = await recorder?.archive();
      const query = { stream, fromMs: timeOf('from', from), toMs: timeOf('to', to) };
      // One moment is a question too.
      if (query.fromMs !== query.toMs) requireOrder(query.fromMs, query.toMs);
      const spans = spansOf(recordingsIn(archive?.files ?? [], query).filter((file) => maySee(request, file)));
      const { bytes = 0, problem = null } = recorder?.figures ?? {};
      // Its path may name any stream.
      const shown = problem !== null && request.identity?.streams !== undefined ? 'nothing can be written' : problem;
      const clip = event === undefined ? undefined : archive?.clipOf(event);
      const isShown = clip !== undefined && maySee(request, clip);
      const at = stream === undefined ? null : runsAt(stream);
      const noLive = at === null ? whyNoVideo(recorder) : `its video is where it runs, on host ${placeOf(at)}`;
      return {
        spans,
        bytes,
        problem: shown,
        ...(stream === undefined ? {} : { noLive: recorder?.streamOf(stream) == null ? noLive : null }),
        ...(event === undefined ? {} : { clip: isShown ? await stateOf(clip, recorder!) : null }),
        ...(at === null ? {} : { elsewhere: at }),
      };
    },
  );

  app.get(
    '/api/recordings/playlist.m3u8',
    described('An HLS playlist of what is recorded.', {
      query: spanQuery,
      replyTypes: ['application/vnd.apple.mpegurl'],
    }),
    async (request, reply): Promise<FastifyReply> => {
      const { files, fromMs, toMs } = await recordings(request);
      if (toMs - fromMs > LONGEST_PLAYLIST_MS)
        throw new SightlineError('CONFIG_INVALID', 'query: to: expected at most 6 hours after "from".');
      const of = encodeURIComponent(files[0]!.stream);
      const text = await unlessDeleted(playlistOf(files, (startMs) => `files/${startMs}.mp4?stream=${of}`));
      return reply.type('application/vnd.apple.mpegurl').send(text);
    },
  );

  app.get(
    '/api/recordings/export.mp4',
    described('One MP4 of a time, with a signed manifest of what it lacks.', {
      query: spanQuery,
      replyTypes: ['video/mp4'],
    }),
    async (request, reply): Promise<FastifyReply> => {
      const { files, ...span } = await recordings(request);
      const parts = exportSpan(files, span, await hostKey((await recorder!.archive()).folder));
      // What is wrong is said before the answer begins.
      const first = await parts.next();
      const name = `${files[0]!.stream}-${span.fromMs}.mp4`;
      return reply
        .type('video/mp4')
        .header('content-disposition', `attachment; filename="${name}"`)
        .send(Readable.from(continued(first.value as Buffer, parts), { objectMode: false }));
    },
  );

  app.get<{ Params: { name: string } }>(
    '/api/recordings/files/:name',
    described('A file of a recording, by when it begins: milliseconds since 1970. Also in parts.', {
      replyTypes: ['video/mp4'],
      query: fileQuery,
    }),
    async (request, reply): Promise<FastifyReply> => {
      const { stream } = check(fileQuery, request.query, 'query');
      const files = recordingsIn((await recorder?.archive())?.files ?? [], { stream });
      const { name } = request.params;
      const file = files.find(({ path, startMs }) => name === `${startMs}.mp4` || name === basename(path));
      if (file === undefined) throw notOfStream('No such file of this stream.', runsAt(stream));
      return unlessDeleted(sendVideo(request, reply, file));
    },
  );

  const newestRecordOf = async (event: string): Promise<RuleEvent | undefined> =>
    (await history.page({ event, phase: 'last', limit: 1 })).events[0]?.rule;
  const eventOf = async (request: FastifyRequest, id: string): Promise<RuleEvent> => {
    const event = await newestRecordOf(id);
    if (event === undefined || !maySee(request, event)) throw notFound('No such event is known.');
    return event;
  };
  const clipOf = async (request: FastifyRequest): Promise<RecordingFile> => {
    const { id } = request.params as { id: string };
    const found = (await recorder?.archive())?.clipOf(id);
    const clip = found !== undefined && maySee(request, found) ? found : undefined;
    if (clip?.isOpen === false) return clip;
    const message = clip ? 'The clip of this event is not complete yet.' : 'There is no clip of this event.';
    const hosts = clip === undefined ? await otherHosts(request, id) : [];
    if (hosts.length === 0) throw notFound(message);
    const named = hosts.slice(0, MOST_NAMED).map(placeOf).join(', ');
    const more = hosts.length > MOST_NAMED ? ` and ${hosts.length - MOST_NAMED} more` : '';
    throw notFound(`${message} It did not happen on this host; the one where it did keeps its clip: ${named}${more}.`);
  };

  app.get(
    '/api/events/:id/clip.mp4',
    described('The clip of an event, also in parts.', { replyTypes: ['video/mp4'] }),
    async (request, reply) => unlessDeleted(sendVideo(request, reply, await clipOf(request))),
  );

  app.get(
    '/api/events/:id/clip.json',
    described('What the clip of an event shows, and what it lacks.'),
    async (request) => {
      const { path } = await clipOf(request);
      return { ...summaryOf(await unlessDeleted(readComplete(path))), boxes: await boxesOf(path) };
    },
  );

  app.get(
    '/api/events/:id/alerts',
    described('What became of the alerts of an event: in which channel, when, and what answered.'),
    async (request): Promise<AlertsReply> => {
      const { id } = request.params as { id: string };
      await eventOf(request, id);
      return { deliveries: port.alertsOf?.(id) ?? null };
    },
  );

  app.get(
    '/api/events/:id/picture.jpg',
    described('A small picture of an event as it was raised, and in the header X-Picture what it shows.', {
      query: keptPictureQuery,
      replyTypes: ['image/jpeg'],
    }),
    async (request, reply): Promise<FastifyReply> => {
      const { moment } = check(keptPictureQuery, request.query, 'query');
      const { id } = request.params as { id: string };
      const event = await eventOf(request, id);
      const clip = moment === 'before' ? undefined : (await recorder?.archive())?.clipOf(id);
      const picture =
        (clip?.isOpen === false ? await cardPicture(clip, event).catch(() => null) : null) ??
        (await history.pictureOf(id, moment ?? 'at')) ??
        (moment === undefined ? await history.pictureOf(id, 'before') : null);
      // No error: a list asks for many, and browsers complain of each.
      if (picture === null) return reply.code(204).header('x-picture-missing', noPicture(event)).send();
      return reply
        .type('image/jpeg')
        .header('cache-control', 'no-cache')
        .header('x-picture', JSON.stringify(picture.facts))
        .send(Buffer.from(picture.jpeg));
    },
  );

  app.get(
    '/api/events/:id/snapshot.jpg',
    described('The picture in which the object of an event is seen best.', {
      query: pictureQuery,
      replyTypes: ['image/jpeg'],
    }),
    async (request, reply): Promise<FastifyReply> => {
      const { boxes } = check(pictureQuery, request.query, 'query');
      const clip = await clipOf(request);
      const picture = (): Promise<Buffer> => pictureOf(clip.path, boxes === '1');
      const remade = async (): Promise<Buffer> => {
        const event = await newestRecordOf(clip.event!);
        if (event !== undefined) await recorder!.remakePicture(event, clip);
        return picture();
      };
      const jpeg = await picture()
        .catch(remade)
        .catch(() => {
          throw notFound('There is no picture of this event, or not yet.');
        });
      return reply.type('image/jpeg').header('cache-control', 'no-cache').send(jpeg);
    },
  );
}

/** Why there is no picture of an event, for people. */
function noPicture({ kind, sign }: RuleEvent): string {
  if (kind === 'stream' && sign === 'down') return 'No picture was kept: the camera had sent none.';
  return 'No picture was kept.';
}

interface Span {
  readonly files: RecordingFile[];
  readonly fromMs: number;
  readonly toMs: number;
}

async function* continued(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

async function stateOf(clip: RecordingFile, recorder: Recorder): Promise<EventClip> {
  const { path, stream, isOpen } = clip;
  const hasPicture = await lstat(picturePath(path)).then(
    (stats) => stats.isFile(),
    () => false,
  );
  return { stream, isReady: !isOpen, hasPicture, keptUntilMs: recorder.keptUntilMs(clip) };
}

/** A file may be deleted by somebody else, or between the look at what there is and the request. @throws RECORDING_NOT_FOUND */
async function unlessDeleted<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw isMissing(error) ? notFound('This recording was deleted.') : error;
  }
}

function maySee({ identity }: FastifyRequest, { stream }: Pick<RecordingFile, 'stream'>): boolean {
  return identity?.streams === undefined || identity.streams.has(stream);
}

/** @throws CONFIG_INVALID */
function requireOrder(fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): void {
  if (fromMs >= toMs) throw new SightlineError('CONFIG_INVALID', 'query: from: expected a time before "to".');
}

/** @param at - which other host runs the stream. */
function notOfStream(message: string, at: RecordedElsewhere | null): SightlineError {
  return notFound(
    at === null ? message : `${message} It runs on host ${placeOf(at)}, which keeps what it records.`,
    at,
  );
}

function notFound(message: string, details: object | null = null): SightlineError {
  return new SightlineError('RECORDING_NOT_FOUND', message, { ...details });
}

function placeOf({ host, url }: RecordedElsewhere): string {
  return url === null ? `"${host}" (it has no gateway.publicUrl)` : `"${host}" at ${url}`;
}
