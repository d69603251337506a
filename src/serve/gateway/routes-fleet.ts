import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import { jobReport } from '../../wire/protocol/fleet.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import { streamReport } from '../../wire/protocol/report.ts';
import { jobRequest, moveRequest, type ScaleReply } from '../../wire/protocol/rest.ts';
import { described } from './route-schema.ts';
import { noBody } from './routes-streams.ts';

interface IdParams {
  readonly Params: { readonly id: string };
}

/**
 * Adds `/api/hosts`, `/api/jobs`, `/api/scale` and `/api/streams/:id/move`.
 *
 * @param port - null if the gateway shows a single machine: then the routes answer with an error that says so.
 */
export function addFleetRoutes(app: FastifyInstance, port: FleetPort | null): void {
  const fleet = (): FleetPort => port ?? refuse();

  app.get('/api/hosts', described('The hosts of the fleet.'), () => ({ hosts: fleet().fleet().hosts }));
  for (const verb of ['drain', 'undrain'])
    app.post<IdParams>(`/api/hosts/:id/${verb}`, described(`Makes a host ${verb}.`), ({ params, body }) =>
      withoutBody(fleet(), body).drainHost(params.id, verb === 'drain'),
    );

  app.post<IdParams>(
    '/api/streams/:id/move',
    described('Moves a stream to a host.', { body: moveRequest, reply: streamReport }),
    ({ params, body }) => {
      const port = fleet();
      return port.moveStream(params.id, check(moveRequest, body, 'body').host);
    },
  );

  app.get(
    '/api/jobs',
    described('The jobs, newest first.', { reply: z.object({ jobs: z.array(jobReport) }) }),
    async () => ({ jobs: await fleet().jobs() }),
  );
  app.post(
    '/api/jobs',
    described('Submits a job.', { body: jobRequest, reply: jobReport, status: 201 }),
    async (request, reply) => {
      const report = await fleet().submitJob(request.body);
      return reply
        .code(201)
        .header('location', `/api/jobs/${encodeURIComponent(report.id)}`)
        .send(report);
    },
  );
  app.get<IdParams>('/api/jobs/:id', described('A job with its failures.'), ({ params }) => fleet().job(params.id));
  app.post<IdParams>('/api/jobs/:id/cancel', described('Cancels a job.', { reply: jobReport }), ({ params, body }) =>
    withoutBody(fleet(), body).cancelJob(params.id),
  );
  app.post<IdParams>(
    '/api/jobs/:id/retry',
    described('Queues its failed tasks again.', { reply: z.object({ retried: z.int() }) }),
    async ({ params, body }) => ({
      retried: await withoutBody(fleet(), body).retryJob(params.id),
    }),
  );

  app.get('/api/scale', described('How many hosts the fleet needs.'), (): ScaleReply => {
    const { scale, hosts, queue } = fleet().fleet();
    return { scale, hosts: hosts.length, queue };
  });
}

/** Rejects a request body where none is expected: the client has misunderstood the route. @throws CONFIG_INVALID */
function withoutBody(port: FleetPort, body: unknown): FleetPort {
  check(noBody, body, 'body');
  return port;
}

function refuse(): never {
  throw new SightlineError(
    'ROUTE_NOT_FOUND',
    'This gateway shows one machine (sightline run), without hosts and jobs. Start a fleet with `sightline host`.',
  );
}
