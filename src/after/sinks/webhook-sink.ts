import { createHash } from 'node:crypto';
import { z } from 'zod';
import { redactWebhook } from '../../base/core/redact.ts';
import { whole } from '../../settings/config/number.ts';
import { orPlaceholder } from '../../settings/config/placeholders.ts';
import { mark, mayHoldPlaceholders } from '../../settings/config/schema-text.ts';
import {
  type MessageBody,
  type MessageTemplate,
  messageBody,
  messageTemplate,
  ntfyAddress,
  snapshotBody,
} from './message-template.ts';
import { openSpooled, spoolSettings } from './open-spooled.ts';
import { type ConnectReceiver, connectHere, type ReceiverKind } from './receiver-kind.ts';
import { sinkKind } from './sink-kind.ts';
import { filter, MEGABYTE, phases, type Sent, send, sendsNewEventsOnly, streams } from './sink-settings.ts';
import { SpooledSink, type SpooledSinkOptions } from './spooled-sink.ts';
import { type Attempt, type Batch, isEventText, outgoingRecord, SNAPSHOT, type Transport } from './transport.ts';
import { attemptPost, type Destination, parseDestination } from './webhook-request.ts';

const LEAST_SECRET_CHARS = 16;
const webAddress = z.url({ protocol: /^https?$/ });
/** No name, or that of a header which the sink sets itself. */
const OTHER_HEADER = /[^A-Za-z0-9-]|^$|^(?:content-type|content-length|host|idempotency-key|sightline-.*)$/i;

export const webhook = sinkKind({
  settings: z.strictObject({
    type: z.literal('webhook').describe('Batches of results or events POSTed to a server.'),
    url: mayHoldPlaceholders(
      z.string().refine(
        orPlaceholder((text) => webAddress.safeParse(text).success),
        'expected an http or https URL',
      ),
    )
      .meta(mark({ secret: 'receiver' }))
      .describe('http or https URL where they are POSTed.'),
    headers: z
      .record(
        z.string(),
        mayHoldPlaceholders(
          z
            .string()
            .max(8192)
            .regex(/^[^\p{Cc}]*$/u, 'expected no control characters'),
        ),
      )
      .refine(
        (values) => !Object.keys(values).some((name) => OTHER_HEADER.test(name)),
        'expected names of letters, digits and dashes, and none that the sink sets itself',
      )
      .optional()
      .meta(mark({ secret: true }))
      .describe(`Sent with each request, such as {Authorization: "Bearer \${env:HOOK_TOKEN}"}.`),
    send: send('results'),
    phases,
    template: messageTemplate,
    streams,
    filter,
    batchSize: whole(1, 1000).default(50).describe('Most frames in one request.'),
    secret: mayHoldPlaceholders(
      z.string().refine(
        orPlaceholder(({ length }) => length >= LEAST_SECRET_CHARS),
        `expected at least ${LEAST_SECRET_CHARS} characters`,
      ),
    )
      .optional()
      .meta(mark({ secret: true }))
      .describe('Signs each request with HMAC-SHA256; see docs/alerts.md.'),
    ...spoolSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: sendsNewEventsOnly,
  problem: ({ template, send: sent }) =>
    template !== undefined && sent.includes('results') ? 'send: expected [events] with a template' : null,
  open: (settings, context) => {
    const { url, headers, batchSize, secret, send: sent, phases: only, template } = settings;
    const snapshot = settings.snapshot ?? (template === undefined ? 'link' : template === 'ntfy' ? 'data' : 'none');
    return openSpooled(settings, url, context, (options) => {
      const more = template === undefined ? { phases: only } : { phases: only ?? ['new'], template };
      return new WebhookSink({
        ...options,
        ...more,
        url,
        secret,
        send: sent,
        snapshot,
        batchResults: batchSize,
        ...(headers === undefined ? {} : { headers }),
      });
    });
  },
});

export interface WebhookSinkOptions extends Omit<SpooledSinkOptions, 'transport'> {
  /** http or https; `user:password@` becomes an Authorization header. */
  readonly url: string;
  /** Sent with each request; values are never printed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Signs each request, see docs/alerts.md; never printed. */
  readonly secret?: string | undefined;
  /** Each event is posted alone, in this form. */
  readonly template?: MessageTemplate | undefined;
  /** Default: in this thread. */
  readonly connect?: ConnectReceiver;
}

const KEY_DIGITS = 32;

/**
 * Posts batches: results as `{"sink", "batch", "lostResults", "results": [...]}`, each as in a JSONL line; events as a batch of CloudEvents;
 * both as results with `"events": [...]` beside them. Batches have the same `Idempotency-Key` if they hold the same records. An answer
 * that refuses is 3xx or 4xx other than 408, 425 and 429.
 */
export class WebhookSink extends SpooledSink {
  /** @throws CONFIG_INVALID if `url` is not an http or https address. */
  constructor({ url, headers = {}, secret, template, connect = connectHere, ...options }: WebhookSinkOptions) {
    const { id, send: sent = ['results'] } = options;
    const { server, topic } = template === 'ntfy' ? ntfyAddress(id, url) : { server: url, topic: '' };
    const destination = parseDestination(id, server, headers, secret);
    const alone = template === undefined ? {} : { batchResults: 1, batchMs: 0 };
    const transport = connect(webhookReceiver, { ...destination, sink: id, sent, template, topic });
    super({ ...options, ...alone, transport });
  }
}

interface WebhookPlan extends Destination {
  /** Name of the sink. */
  readonly sink: string;
  readonly sent: readonly Sent[];
  readonly template: MessageTemplate | undefined;
  /** Of ntfy. */
  readonly topic: string;
}

export const webhookReceiver: ReceiverKind<WebhookPlan> = {
  name: 'webhook',
  mostReplyBytes: MEGABYTE,
  connect: (plan) => new WebhookTransport(plan),
};

class WebhookTransport implements Transport {
  readonly #plan: WebhookPlan;

  constructor(plan: WebhookPlan) {
    this.#plan = plan;
  }

  get shownUrl(): string {
    return this.#plan.shownUrl;
  }

  async send(batch: Batch, signal: AbortSignal): Promise<Attempt> {
    const body = bodyOf(this.#plan, batch);
    if (body === null) return { kind: 'failed', reason: 'results have no message', isFinal: true, retryAfterMs: null };
    const key = createHash('sha256').update(batch.texts.join(',')).digest('hex').slice(0, KEY_DIGITS);
    return attemptPost(fetch, this.#plan, { ...body, key }, signal);
  }
}

/** Returns null for records that have no message. */
function bodyOf({ sink, sent, template, topic }: WebhookPlan, batch: Batch): MessageBody | null {
  if (template === undefined) return sent.includes('results') ? resultsBody(sink, batch) : eventsBody(sink, batch);
  // What an earlier run left may be results.
  const { type, event } = outgoingRecord(batch.texts[0]!);
  if (type === SNAPSHOT) return snapshotBody(template, topic, event!.data);
  return event === null ? null : messageBody(template, topic, event.data);
}

function resultsBody(sink: string, { number, lost, texts }: Batch): MessageBody {
  const results = texts.filter((text) => !isEventText(text));
  const events = texts.filter(isEventText);
  const head = JSON.stringify({ sink, batch: number, lostResults: lost }).slice(0, -1);
  const tail = events.length === 0 ? '' : `,"events":[${events.join(',')}]`;
  return { contentType: 'application/json', content: `${head},"results":[${results.join(',')}]${tail}}` };
}

function eventsBody(sink: string, batch: Batch): MessageBody {
  const { texts } = batch;
  // What an earlier run left may be results.
  if (!texts.every(isEventText)) return resultsBody(sink, batch);
  return { contentType: 'application/cloudevents-batch+json', content: `[${texts.join(',')}]` };
}
