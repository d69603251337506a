import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { ModelSummary, PipelineSummary, ReadyReply } from '../../wire/protocol/rest.ts';
import { includesRole } from './access/route-access.ts';
import type { GatewayMetrics } from './metrics.ts';
import { described, named } from './route-schema.ts';

export interface HostRouteSources {
  readonly version: string;
  readonly pipelines: readonly PipelineSummary[];
  readonly models: () => Promise<readonly ModelSummary[]>;
  readonly metrics: GatewayMetrics;
  /** What is wrong beside streams and sinks: a version that could not be loaded, a history or recordings that cannot be kept. */
  problems(): readonly string[];
}

const readyReply: z.ZodType<ReadyReply> = named(
  'ReadyReply',
  z.object({
    status: z.enum(['ready', 'degraded', 'not-ready']),
    reason: z.string().exactOptional(),
    overload: z.string().exactOptional(),
  }),
);

/** Adds health, metrics, and the lists that belong to the host and not to a stream. */
export function addHostRoutes(app: FastifyInstance, port: RuntimePort, sources: HostRouteSources): void {
  app.get(
    '/healthz',
    described('Whether the process lives.', { reply: z.object({ status: z.string(), version: z.string() }) }),
    () => ({ status: 'alive', version: sources.version }),
  );

  app.get('/readyz', described('Whether it can work.', { reply: readyReply }), ({ identity }, reply): ReadyReply => {
    const { isReady, isDegraded = false, reason } = port.readiness();
    if (!isReady) reply.code(503);
    if (identity === null || !includesRole(identity.role, 'viewer')) return { status: isReady ? 'ready' : 'not-ready' };
    // Reasons name streams.
    const isScoped = identity.streams !== undefined;
    if (!isReady) return { status: 'not-ready', reason: isScoped ? 'not ready' : reason };
    if (isScoped) return { status: isDegraded ? 'degraded' : 'ready', reason: isDegraded ? 'degraded' : 'ready' };
    const problems = [...(isDegraded ? [reason] : []), ...sources.problems()];
    const { overload } = port.report().host;
    return {
      ...(problems.length === 0 ? { status: 'ready', reason } : { status: 'degraded', reason: problems.join('; ') }),
      ...(overload === undefined ? {} : { overload: overload.text }),
    };
  });

  app.get('/metrics', described('Figures for Prometheus.', { replyTypes: ['text/plain'] }), ({ identity }, reply) => {
    const { contentType } = sources.metrics;
    return reply.type(contentType).send(sources.metrics.scrape(identity?.streams));
  });

  app.get('/api/pipelines', described('The pipelines that come with this host.'), () => ({
    pipelines: sources.pipelines,
  }));
  app.get('/api/models', described('The detectors that this host knows.'), async () => ({
    models: await sources.models(),
  }));
}
