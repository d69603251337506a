import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { check } from '../config/check.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { RuntimePort } from './runtime-port.ts';

interface StreamParams {
  readonly Params: { readonly id: string };
}

/** Schema for routes without a body. Anything sent is rejected: the client has misunderstood the route. */
export const noBody = z.strictObject({}).nullish();

/** Adds `/api/streams`: list, add, show, change, pause, resume, remove; and a test of a source. The runtime checks every body. */
export function addStreamRoutes(app: FastifyInstance, port: RuntimePort): void {
  app.get('/api/streams', () => port.report());

  app.post('/api/streams', async (request, reply) => {
    const report = await port.addStream(
      requireBody(request.body, 'a stream, e.g. {"id":"gate","source":"rtsp://..."}'),
    );
    return reply
      .code(201)
      .header('location', `/api/streams/${encodeURIComponent(report.id)}`)
      .send(report);
  });

  app.post('/api/sources/test', (request) =>
    port.testSource(requireBody(request.body, 'a source, e.g. {"source":"rtsp://..."}')),
  );

  app.get<StreamParams>('/api/streams/:id', (request) => {
    const { streams } = port.report();
    const found = streams.find((stream) => stream.id === request.params.id);
    if (found !== undefined) return found;
    const known = streams.map((stream) => stream.id).join(', ') || 'none';
    throw new SightlineError('STREAM_NOT_FOUND', `Stream "${request.params.id}": not found. Streams here: ${known}.`, {
      stream: request.params.id,
    });
  });

  app.patch<StreamParams>('/api/streams/:id', (request) =>
    port.changeStream(request.params.id, requireBody(request.body, 'the keys to change, e.g. {"priority":2}')),
  );

  app.post<StreamParams>('/api/streams/:id/pause', ({ params, body }) => {
    check(noBody, body, 'body');
    return port.pauseStream(params.id);
  });

  app.post<StreamParams>('/api/streams/:id/resume', ({ params, body }) => {
    check(noBody, body, 'body');
    return port.resumeStream(params.id);
  });

  app.delete<StreamParams>('/api/streams/:id', async (request, reply) => {
    await port.removeStream(request.params.id);
    return reply.code(204).send();
  });
}

function requireBody(body: unknown, expected: string): unknown {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  const received = body === undefined || body === null ? 'nothing' : Array.isArray(body) ? 'a list' : typeof body;
  throw new SightlineError('CONFIG_INVALID', `body: expected a JSON object with ${expected}, received ${received}.`);
}
