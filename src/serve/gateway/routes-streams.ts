import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { batchConfig } from '../../settings/config/batch.ts';
import { check } from '../../settings/config/check.ts';
import { modelConfig } from '../../settings/config/model-config.ts';
import { shownSettings } from '../../settings/config/shown-settings.ts';
import { stageConfig } from '../../settings/config/stages.ts';
import { streamConfig } from '../../settings/config/stream.ts';
import { trackConfig } from '../../settings/config/track.ts';
import type { RuntimePort, TagCheck } from '../../wire/protocol/ports/runtime-port.ts';
import { hostReport, type StreamReport, streamReport } from '../../wire/protocol/report.ts';
import { seenBy, unknownStream } from './access/stream-scope.ts';
import { described, named } from './route-schema.ts';

interface StreamParams {
  readonly Params: { readonly id: string };
}

const streamsReply = named(
  'StreamsReply',
  z.looseObject({ timeMs: z.number(), streams: z.array(streamReport), host: hostReport }),
);
const withSettingsReply = named(
  'StreamDetails',
  streamReport.extend({ settings: z.looseObject({}), etag: z.string() }),
);
named('StreamSettings', streamConfig);
named('ModelSettings', modelConfig);
named('SecondStageSettings', stageConfig);
named('BatchSettings', batchConfig);
named('TrackSettings', trackConfig);
/** docs/config.md has the settings; each may be left out. */
const anySettings = z.looseObject({});

/** Schema for routes without a body. Anything sent is rejected: the client has misunderstood the route. */
export const noBody = z.strictObject({}).nullish();

/**
 * Adds `/api/streams`: list, add, show, change, replace, try rules, pause, resume, remove; and a test of a source. The runtime checks every
 * body.
 */
export function addStreamRoutes(app: FastifyInstance, port: RuntimePort): void {
  app.get(
    '/api/streams',
    described('The figures of all streams and of the host.', { reply: streamsReply }),
    ({ identity }) => seenBy(identity, port.report()),
  );

  app.post(
    '/api/streams',
    described('Adds a stream.', { body: streamConfig, reply: withSettingsReply, status: 201 }),
    async (request, reply) => {
      const report = await port.addStream(
        requireBody(request.body, 'a stream, e.g. {"id":"gate","source":"rtsp://..."}'),
      );
      // Relative: a proxy may serve the gateway below a path of its own.
      reply.code(201).header('location', `streams/${encodeURIComponent(report.id)}`);
      return withSettings(port, reply, report);
    },
  );

  app.post('/api/sources/test', described('Opens a source for a moment.', { body: anySettings }), (request) =>
    port.testSource(requireBody(request.body, 'a source, e.g. {"source":"rtsp://..."}')),
  );

  app.get<StreamParams>(
    '/api/streams/:id',
    described('A stream and its settings.', { reply: withSettingsReply }),
    (request, reply) => {
      const { streams } = seenBy(request.identity, port.report());
      const found = streams.find((stream) => stream.id === request.params.id);
      if (found !== undefined) return withSettings(port, reply, found, false);
      throw unknownStream(request.params.id, streams);
    },
  );

  app.patch<StreamParams>(
    '/api/streams/:id',
    described('Changes settings of a stream.', { body: anySettings, reply: withSettingsReply }),
    async (request, reply) => {
      const body = requireBody(request.body, 'the keys to change, e.g. {"priority":2}');
      return withSettings(port, reply, await port.changeStream(request.params.id, body, { check: ifMatch(request) }));
    },
  );

  app.put<StreamParams>(
    '/api/streams/:id',
    described('Replaces the settings of a stream.', { body: anySettings, reply: withSettingsReply }),
    async (request, reply) => {
      const body = requireBody(request.body, 'all settings of the stream, e.g. {"source":"rtsp://..."}');
      const options = { isWhole: true, check: ifMatch(request) };
      return withSettings(port, reply, await port.changeStream(request.params.id, body, options));
    },
  );

  app.post<StreamParams>(
    '/api/streams/:id/rules/try',
    described('What rules would have made of the last hour.', { body: anySettings }),
    ({ params, body }) =>
      port.tryRules(params.id, requireBody(body, 'rules, e.g. {"events":[{"id":"lost","kind":"stream"}]}')),
  );

  app.post<StreamParams>(
    '/api/streams/:id/pause',
    described('Stops reading a stream.', { reply: withSettingsReply }),
    async ({ params, body }, reply) => {
      check(noBody, body, 'body');
      return withSettings(port, reply, await port.pauseStream(params.id));
    },
  );

  app.post<StreamParams>(
    '/api/streams/:id/resume',
    described('Reads a paused stream again.', { reply: withSettingsReply }),
    async ({ params, body }, reply) => {
      check(noBody, body, 'body');
      return withSettings(port, reply, await port.resumeStream(params.id));
    },
  );

  app.delete<StreamParams>(
    '/api/streams/:id',
    described('Removes a stream.', { status: 204 }),
    async (request, reply) => {
      await port.removeStream(request.params.id, ifMatch(request));
      return sayKept(port, reply).code(204).send();
    },
  );
}

/** Returns what of a report somebody may see. */
/** Returns a report with the settings of the stream without secrets, and sends their tag. */
function withSettings(port: RuntimePort, reply: FastifyReply, report: StreamReport, isChange = true): object {
  const { settings, tag } = port.streamSettings(report.id);
  reply.header('etag', `"${tag}"`);
  if (isChange) sayKept(port, reply);
  return { ...report, settings: shownSettings(streamConfig, settings), etag: tag };
}

/** Says whether a change survives a restart. `GET /api/pipeline` has the reason if it does not. */
function sayKept(port: RuntimePort, reply: FastifyReply): FastifyReply {
  return reply.header('sightline-overlay', port.keepingProblem() === null ? 'kept' : 'not-kept');
}

/** Returns a check by the header `If-Match` (RFC 9110, 13.1.1); a weak tag never matches. */
function ifMatch({ headers, params }: FastifyRequest<StreamParams>): TagCheck {
  const given = headers['if-match'];
  return (tag) => {
    if (given === undefined || given.trim() === '*') return;
    const tags = given.split(',').map((text) => text.trim());
    if (tags.includes(`"${tag}"`)) return;
    throw new SightlineError(
      'STREAM_CHANGED',
      `If-Match: expected "${tag}", received ${given.slice(0, 80)}; read stream "${params.id}" again, it has changed`,
      { stream: params.id, etag: `"${tag}"` },
    );
  };
}

function requireBody(body: unknown, expected: string): unknown {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  const received = body === undefined || body === null ? 'nothing' : Array.isArray(body) ? 'a list' : typeof body;
  throw new SightlineError('CONFIG_INVALID', `body: expected a JSON object with ${expected}, received ${received}.`);
}
