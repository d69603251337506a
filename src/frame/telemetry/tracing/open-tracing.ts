import type { Attributes } from '@opentelemetry/api';
import { monoNowMs } from '../../../base/core/clock.ts';
import { redactWebhook } from '../../../base/core/redact.ts';
import type { TraceIds, TraceParent } from '../../../base/flow/trace-context.ts';
import type { TracingConfig } from '../../../settings/config/tracing.ts';
import type { HostReport } from '../../../wire/protocol/report.ts';
import type { FrameTracer } from '../frame-tracer.ts';
import { BoundedExport, type Send } from './bounded-export.ts';
import { SpanFrames } from './span-frames.ts';

/** How long a collector may take for a request, attempts after a failure included. */
const TIMEOUT_MS = 5000;

/** A line of the log. */
export interface TracedLine {
  /** Wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
  readonly details: Attributes;
  /** The span in which it was written. */
  readonly ids: TraceIds | undefined;
}

/** The span of a request that another program traces. */
export interface RequestSpan {
  readonly ids: TraceIds;
  end(status: number): void;
}

/** What a host does with traces, once they are set. */
export interface Tracing {
  readonly frames: FrameTracer;
  /** Begins the span of a request. @returns null if its headers are no trace, or one that is not sampled. */
  request(method: string, route: string, parent: TraceParent): RequestSpan | null;
  log(line: TracedLine): void;
  readonly figures: NonNullable<HostReport['tracing']>;
  close(): Promise<void>;
}

const SEVERITIES = { info: 9, warn: 13, error: 17 } as const;

/** Loads OpenTelemetry, which nothing else does, and prepares to send to a collector, which need not be there yet. */
export async function openTracing(
  { url, headers = {}, sampleRatio, service }: TracingConfig,
  version: string,
  onNotice: (text: string) => void,
): Promise<Tracing> {
  const [api, core, { resourceFromAttributes }, sdk, sdkLogs, { OTLPTraceExporter }, { OTLPLogExporter }] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/sdk-logs'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/exporter-logs-otlp-http'),
    ]);
  const { ROOT_CONTEXT, trace } = api;
  const resource = resourceFromAttributes({
    'service.name': service,
    'service.version': version,
    'process.pid': process.pid,
  });
  const place = (path: string) => ({
    url: `${url.replace(/\/$/, '')}/v1/${path}`,
    headers,
    timeoutMillis: TIMEOUT_MS,
    concurrencyLimit: 1,
  });
  const told = tellChanges(onNotice, redactWebhook(url));

  const spanExporter = new OTLPTraceExporter(place('traces'));
  const spans = new BoundedExport(sendBy(spanExporter, told));
  const provider = new sdk.BasicTracerProvider({
    resource,
    // What is traced is decided by what became of a frame.
    sampler: new sdk.AlwaysOnSampler(),
    spanProcessors: [{ ...IDLE, onStart: () => undefined, onEnd: (span) => spans.add(span) }],
  });
  const tracer = provider.getTracer('sightline', version);

  const logExporter = new OTLPLogExporter(place('logs'));
  const logs = new BoundedExport(sendBy(logExporter, told));
  const logProvider = new sdkLogs.LoggerProvider({
    resource,
    processors: [{ ...IDLE, onEmit: (record) => logs.add(record) }],
  });
  const logger = logProvider.getLogger('sightline', version);

  const parentOf = ({ traceparent, tracestate }: TraceParent) => {
    const parent = core.parseTraceParent(traceparent);
    if (parent === null) return null;
    const traceState = tracestate === undefined ? undefined : new core.TraceState(tracestate);
    return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true, ...(traceState && { traceState }) });
  };
  const frames = new SpanFrames(
    {
      tracer,
      root: ROOT_CONTEXT,
      parentOf,
      errorCode: api.SpanStatusCode.ERROR,
      within: (span) => trace.setSpanContext(ROOT_CONTEXT, span),
      isFull: () => spans.isFull,
      lose: (count) => spans.lose(count),
    },
    sampleRatio,
    { now: monoNowMs, wallNowMs: Date.now, random: Math.random },
  );
  return {
    frames,
    request: (method, route, parent) => {
      const context = parentOf(parent);
      if (context === null || !trace.getSpanContext(context)!.traceFlags || spans.isFull) return null;
      const attributes = { 'http.request.method': method, 'http.route': route };
      const span = tracer.startSpan(`${method} ${route}`, { kind: api.SpanKind.SERVER, attributes }, context);
      const { traceId, spanId } = span.spanContext();
      return {
        ids: { trace_id: traceId, span_id: spanId },
        end: (status) => {
          span.setAttribute('http.response.status_code', status);
          if (status >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    log: ({ timeMs, level, text: body, details: attributes, ids }) => {
      const span = ids && { traceId: ids.trace_id, spanId: ids.span_id, traceFlags: api.TraceFlags.SAMPLED };
      const context = span === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, span);
      const severity = { severityNumber: SEVERITIES[level], severityText: level.toUpperCase() };
      logger.emit({ timestamp: timeMs, ...severity, body, attributes, context });
    },
    get figures() {
      return { spans: spans.figures, logs: logs.figures };
    },
    close: async () => {
      await Promise.all([spans.close(), logs.close()]);
      await Promise.all([spanExporter.shutdown(), logExporter.shutdown()]);
    },
  };
}

/** Of a processor: what `BoundedExport` does itself. */
const IDLE = { forceFlush: async () => undefined, shutdown: async () => undefined };

interface Exporter<T> {
  export(items: T[], done: (result: { readonly code: number; readonly error?: Error }) => void): void;
}

function sendBy<T>(exporter: Exporter<T>, told: (error: string | null) => void): Send<T> {
  return (items) =>
    new Promise((resolve) => {
      exporter.export(items, ({ code, error }) => {
        told(code === 0 ? null : (error?.message ?? 'unknown error'));
        resolve(code === 0);
      });
    });
}

/** Says once that a collector takes nothing, and once that it does again. */
function tellChanges(onNotice: (text: string) => void, url: string): (error: string | null) => void {
  let isFailing = false;
  return (error) => {
    if (isFailing === (error !== null)) return;
    isFailing = error !== null;
    onNotice(isFailing ? `traces cannot be sent to ${url} and are lost: ${error}` : `traces are sent to ${url} again`);
  };
}
