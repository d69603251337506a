import type { Transporter } from 'nodemailer';
import { z } from 'zod';
import { redactWebhook } from '../../base/core/redact.ts';
import { whole } from '../../settings/config/number.ts';
import type { CloudEvent } from '../../wire/protocol/rule-event.ts';
import { type BrokerAddress, brokerAddress, brokerProblem, brokerSettings, brokerUrl } from './broker-address.ts';
import { sentenceOf, titleOf } from './message-template.ts';
import { openSpooled, spoolSettings } from './open-spooled.ts';
import type { ReceiverKind } from './receiver-kind.ts';
import { sinkKind } from './sink-kind.ts';
import { streams } from './sink-settings.ts';
import { type EventLimit, SpooledSink } from './spooled-sink.ts';
import { topicLevel } from './topic-level.ts';
import {
  type Attempt,
  type Batch,
  ConnectedTransport,
  type Connection,
  type OutgoingRecord,
  Refusal,
  SNAPSHOT,
  type Transport,
} from './transport.ts';

const SCHEMES = { smtp: 587, smtps: 465 };
const CONNECT_MS = 5000;
/** A server that looks at a mail before it accepts it takes minutes; one that was sent again would come twice. */
const ACCEPT_MS = 300_000;
/** A reply has a few lines. The client searches all lines of one again with each that comes. */
const MOST_REPLY_BYTES = 65_536;
const HOUR_MS = 3_600_000;
/** Replies from here on are final: the server will not take this mail later either (RFC 5321, section 4.2.1). */
const FIRST_FINAL_REPLY = 500;
/** A server counts refused sign-ins, and locks the account in the end. */
const RETRY = { firstRetryMs: 5000, maxRetryMs: 300_000 };

const mailAddress = z
  .string()
  .regex(/^[^\s@<>,;"\p{Cc}]+@[^\s@<>,;"\p{Cc}]+$/u, 'expected an address such as door@example.org');

export const mail = sinkKind({
  settings: z.strictObject({
    type: z.literal('mail').describe('A mail for each new event.'),
    url: brokerUrl(SCHEMES, 'smtps://mail.example.org').describe(
      'Address of the mail server; smtps:// with TLS from the start, smtp:// with STARTTLS where it has it.',
    ),
    from: mailAddress.describe('Address of the sender.'),
    to: z.array(mailAddress).min(1).max(20).describe('Addresses of the receivers.'),
    perHour: whole(1, 1000)
      .default(20)
      .describe('Most mails within an hour, those with pictures too; the next mail says how many events had none.'),
    ...brokerSettings,
    streams,
    ...spoolSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: ({ streams: only }) => only === undefined,
  problem: (settings) => brokerProblem(settings, SCHEMES),
  open: (settings, context) => {
    const { url, from, to, perHour } = settings;
    const address = brokerAddress(context.id, settings, SCHEMES);
    const limit = new HourlyLimit(perHour);
    const transport = naming(limit, context.connect(mailReceiver, { ...address, from, to }));
    return openSpooled(settings, `${url} ${to.join()}`, context, (options) => {
      const more = { send: ['events'], phases: ['new'], batchResults: 1, batchMs: 0, timeoutMs: ACCEPT_MS } as const;
      const { snapshot = 'data' } = settings;
      return new SpooledSink({ ...options, ...RETRY, ...more, snapshot, transport, limit });
    });
  },
});

const keptLimit = z.object({ times: z.array(z.number()), skipped: z.int().min(0) });

/** Permits so many mails within an hour, and counts the events that got none. */
export class HourlyLimit implements EventLimit {
  readonly #most: number;
  readonly #wallNow: () => number;
  #keep: (value: z.infer<typeof keptLimit>) => void = () => undefined;
  /** When mails were permitted, within the last hour: milliseconds since 1970, as the next process reads them. */
  #times: number[] = [];
  #skipped = 0;

  constructor(most: number, wallNow: () => number = Date.now) {
    this.#most = most;
    this.#wallNow = wallNow;
  }

  /** Events without a mail that no mail has named yet. */
  get skipped(): number {
    return this.#skipped;
  }

  take(isSnapshot = false): boolean {
    const now = this.#wallNow();
    // A clock that was set back must not stop mails for longer.
    this.#times = this.#times.filter((time) => Math.abs(now - time) < HOUR_MS);
    const isPermitted = this.#times.length < this.#most;
    if (isPermitted) this.#times.push(now);
    else if (!isSnapshot) this.#skipped += 1;
    this.#keepNow();
    return isPermitted;
  }

  /** A mail has named so many. */
  named(count: number): void {
    if (count === 0) return;
    this.#skipped -= count;
    this.#keepNow();
  }

  resume(kept: unknown, keep: (value: object) => void): void {
    this.#keep = keep;
    const { data } = keptLimit.safeParse(kept);
    if (data === undefined) return;
    this.#times.push(...data.times);
    this.#skipped += data.skipped;
  }

  #keepNow(): void {
    this.#keep({ times: this.#times, skipped: this.#skipped });
  }
}

/** Lets each mail name the events before it that had none. */
function naming(limit: HourlyLimit, transport: Transport): Transport {
  return {
    shownUrl: transport.shownUrl,
    send: async (batch, signal) => {
      const { skipped } = limit;
      const attempt = await transport.send({ ...batch, skipped }, signal);
      if (attempt.kind === 'delivered') limit.named(skipped);
      return attempt;
    },
    close: async () => transport.close?.(),
  };
}

interface MailPlan {
  readonly from: string;
  readonly to: readonly string[];
}

export const mailReceiver: ReceiverKind<BrokerAddress & MailPlan> = {
  name: 'mail',
  mostReplyBytes: MOST_REPLY_BYTES,
  connect: (plan) => new MailTransport(plan),
};

class MailTransport extends ConnectedTransport<MailServer> {
  /** Events before the mail that is sent now. */
  #skipped = 0;

  constructor(plan: BrokerAddress & MailPlan) {
    super({ shownUrl: plan.shownUrl, mostAtOnce: 1, open: () => MailServer.open(plan, plan, () => this.#skipped) });
  }

  override send(batch: Batch, signal: AbortSignal): Promise<Attempt> {
    this.#skipped = batch.skipped ?? 0;
    return super.send(batch, signal);
  }
}

class MailServer implements Connection {
  readonly #server: Transporter;
  readonly #plan: MailPlan;
  readonly #skipped: () => number;

  private constructor(server: Transporter, plan: MailPlan, skipped: () => number) {
    this.#server = server;
    this.#plan = plan;
    this.#skipped = skipped;
  }

  /** Each mail has a connection of its own. */
  static async open(address: BrokerAddress, plan: MailPlan, skipped: () => number): Promise<MailServer> {
    const { host, port, user, password, tls, isTls } = address;
    const { createTransport } = await import('nodemailer');
    const server = createTransport({
      host,
      port,
      secure: isTls,
      tls: { ...tls },
      // A password is never sent in clear text.
      ...(user === undefined ? {} : { auth: { user, pass: password ?? '' }, requireTLS: true }),
      connectionTimeout: CONNECT_MS,
      greetingTimeout: CONNECT_MS,
      socketTimeout: ACCEPT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    return new MailServer(server, plan, skipped);
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    const { from, to } = this.#plan;
    for (const { id, type, event } of records) {
      // What an earlier run left may be results.
      if (event === null) throw new Refusal('results have no mail');
      const skipped = this.#skipped();
      const more =
        skipped === 0 ? '' : `\n${skipped} events before this one had no mail, because of the limit perHour.\n`;
      const { data } = event;
      // Mail programs show it below the mail about the beginning of the event.
      const first = messageId(`${data.id}.0`);
      const thread = type === SNAPSHOT ? { inReplyTo: first, references: first } : {};
      const picture =
        data.jpeg === undefined
          ? {}
          : { attachments: [{ filename: 'snapshot.jpg', content: Buffer.from(data.jpeg, 'base64') }] };
      try {
        await this.#server.sendMail({
          from,
          to: [...to],
          messageId: messageId(id),
          ...thread,
          ...picture,
          subject: titleOf(type === SNAPSHOT ? { ...data, phase: 'new' } : data),
          text: `${mailText(data)}${more}`,
        });
      } catch (error) {
        const { responseCode = 0, code } = error as { readonly responseCode?: number; readonly code?: string };
        // A refused sign-in may be mended while events wait.
        throw responseCode >= FIRST_FINAL_REPLY && code !== 'EAUTH' ? new Refusal((error as Error).message) : error;
      }
    }
  }

  end(): void {
    this.#server.close();
  }
}

function messageId(id: string): string {
  return `<${topicLevel(id)}@sightline>`;
}

/** Returns an event as plain text, a line for each fact. */
function mailText(event: CloudEvent['data']): string {
  const { stream, rule, zone, line, label, count, id, snapshot } = event;
  const facts = Object.entries({ stream, rule, zone, line, label, count, event: id, snapshot });
  const lines = facts.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`);
  return `${sentenceOf(event)}\n\n${lines.join('\n')}\n`;
}
