import type { FastifyInstance } from 'fastify';
import type { ModelSummary, PipelineSummary, ReadyReply } from '../protocol/rest.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { RuntimePort } from './runtime-port.ts';

export interface HostRouteSources {
  readonly version: string;
  readonly pipelines: readonly PipelineSummary[];
  readonly models: () => Promise<readonly ModelSummary[]>;
  readonly metrics: GatewayMetrics;
  /** What keeps a host from doing what a roll-out wants, although it works; null if nothing does. */
  rolloutProblem(): string | null;
}

/** Adds health, metrics, and the lists that belong to the host and not to a stream. */
export function addHostRoutes(app: FastifyInstance, port: RuntimePort, sources: HostRouteSources): void {
  app.get('/healthz', () => ({ status: 'alive', version: sources.version }));

  app.get('/readyz', (_request, reply): ReadyReply => {
    const { isReady, isDegraded = false, reason } = port.readiness();
    if (!isReady) {
      reply.code(503);
      return { status: 'not-ready', reason };
    }
    const problem = isDegraded ? reason : sources.rolloutProblem();
    const { overload } = port.report().host;
    return {
      ...{ status: problem === null ? 'ready' : 'degraded', reason: problem ?? reason },
      ...(overload === undefined ? {} : { overload: overload.text }),
    };
  });

  app.get('/metrics', async (_request, reply) => {
    const text = await sources.metrics.scrape();
    return reply.type(sources.metrics.contentType).send(text);
  });

  app.get('/api/pipelines', () => ({ pipelines: sources.pipelines }));
  app.get('/api/models', async () => ({ models: await sources.models() }));
}
