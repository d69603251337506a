import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly startUs: number;
  readonly endUs: number;
  readonly attributes: Attributes;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 2 is an error. */
  readonly status: { readonly code?: number; readonly message?: string };
}

export interface ReceivedLog {
  readonly text: string;
  readonly severity: string;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly attributes: Attributes;
}

interface Written {
  readonly key: string;
  readonly value: Readonly<Record<string, string | number | boolean>>;
}

/** A small collector that takes OTLP as JSON over HTTP on a port of 127.0.0.1. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly logs: ReceivedLog[] = [];
  /** Of the resource that sent last. */
  resource: Attributes = {};
  headers: IncomingHttpHeaders = {};
  requests = 0;
  /** `hang`: it takes connections and requests, and answers nothing. */
  mode: 'take' | 'hang' | 'refuse' = 'take';
  #server: Server | null = null;
  #port = 0;

  static async open(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await receiver.start();
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it, again on the same port. */
  async start(): Promise<void> {
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const body = Buffer.concat(parts);
      this.headers = request.headers;
      this.#take(request.url!, body[0] === 0x1f ? gunzipSync(body) : body, response);
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Ends it and its connections, as if it was killed. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  #take(path: string, body: Buffer, response: ServerResponse): void {
    this.requests += 1;
    if (this.mode === 'hang') return;
    if (this.mode === 'refuse') {
      response.writeHead(400).end();
      return;
    }
    // biome-ignore lint/suspicious/noExplicitAny: what OTLP looks like is what the test checks.
    const json = JSON.parse(body.toString()) as any;
    if (path === '/v1/traces')
      for (const { resource, scopeSpans } of json.resourceSpans) {
        this.resource = attributesOf(resource.attributes);
        for (const { spans } of scopeSpans) for (const span of spans) this.spans.push(spanOf(span));
      }
    else if (path === '/v1/logs')
      for (const { scopeLogs } of json.resourceLogs)
        for (const { logRecords } of scopeLogs) for (const record of logRecords) this.logs.push(logOf(record));
    else {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('content-type', 'application/json').end('{}');
  }

  /** The children of a span. */
  below({ traceId, spanId }: ReceivedSpan): ReceivedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId && span.parentSpanId === spanId);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function spanOf(span: any): ReceivedSpan {
  const us = (nanoseconds: string | number): number => Number(BigInt(nanoseconds) / 1000n);
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId || undefined,
    traceState: span.traceState || undefined,
    name: span.name,
    status: span.status ?? {},
    links: span.links ?? [],
    startUs: us(span.startTimeUnixNano),
    endUs: us(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function logOf(record: any): ReceivedLog {
  return {
    text: record.body.stringValue,
    severity: record.severityText,
    attributes: attributesOf(record.attributes),
    traceId: record.traceId || undefined,
    spanId: record.spanId || undefined,
  };
}

function attributesOf(written: readonly Written[] = []): Attributes {
  return Object.fromEntries(
    written.map(({ key, value }) => {
      const [type, text] = Object.entries(value)[0]!;
      return [key, type === 'intValue' || type === 'doubleValue' ? Number(text) : text];
    }),
  );
}
