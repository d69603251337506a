import type { FastifyInstance, FastifyRequest } from 'fastify';
import { inTrace } from '../../base/flow/trace-context.ts';
import type { RequestSpan, Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';

/** Gives each request that another program traces a span of its own; what it logs names that span. */
export function traceRequests(app: FastifyInstance, tracing: Pick<Tracing, 'request'>): void {
  const spans = new WeakMap<FastifyRequest, RequestSpan>();
  app.addHook('onRequest', (request, _reply, done) => {
    const { traceparent, tracestate } = request.headers;
    if (typeof traceparent !== 'string') return done();
    const parent = { traceparent, tracestate: tracestate?.toString() };
    const span = tracing.request(request.method, request.routeOptions.url ?? 'unknown', parent);
    if (span === null) return done();
    spans.set(request, span);
    inTrace(span.ids, done);
  });
  // A body arrives outside of the context.
  app.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else inTrace(span.ids, done);
  });
  app.addHook('onResponse', (request, reply, done) => {
    spans.get(request)?.end(reply.statusCode);
    done();
  });
}
