import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { redactWebhook } from '../../base/core/redact.ts';
import { type BrokerAddress, brokerAddress, brokerProblem, brokerSettings, brokerUrl } from './broker-address.ts';
import { messageSettings, openMessages } from './open-spooled.ts';
import type { ReceiverKind } from './receiver-kind.ts';
import { sinkKind } from './sink-kind.ts';
import { MEGABYTE, sendsNewEventsOnly } from './sink-settings.ts';
import { topicLevel } from './topic-level.ts';
import { ConnectedTransport, type Connection, type OutgoingRecord, Pipeline, Refusal } from './transport.ts';

const SCHEMES = { nats: 4222, tls: 4222 };
const CONNECT_MS = 5000;
/** Messages that wait for their confirmation at once. */
const MOST_AT_ONCE = 50;
/** Status of a message that the stream would not take later either, such as a too large one. A full stream has another. */
const REFUSED = 400;

export const nats = sinkKind({
  settings: z.strictObject({
    type: z.literal('nats').describe('Messages of a JetStream stream of NATS.'),
    url: brokerUrl(SCHEMES, 'nats://10.0.0.5:4222').describe('Address of NATS; tls:// with TLS.'),
    subject: z
      .string()
      .regex(/^[\w-]+(?:\.[\w-]+)*$/, 'expected names of letters, digits, - and _, with dots between them')
      .default('sightline')
      .describe(
        'Begins each subject: SUBJECT.events.STREAM.RULE and SUBJECT.results.STREAM. A JetStream stream must take SUBJECT.>.',
      ),
    ...brokerSettings,
    ...messageSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: sendsNewEventsOnly,
  problem: (settings) => brokerProblem(settings, SCHEMES),
  open: (settings, context) => {
    const { url, subject } = settings;
    const address = brokerAddress(context.id, settings, SCHEMES);
    const transport = context.connect(natsReceiver, { ...address, subject });
    return openMessages(settings, `${url} ${subject}`, context, transport);
  },
});

export const natsReceiver: ReceiverKind<BrokerAddress & { readonly subject: string }> = {
  name: 'nats',
  mostReplyBytes: MEGABYTE,
  connect: (plan) =>
    new ConnectedTransport({
      shownUrl: plan.shownUrl,
      mostAtOnce: MOST_AT_ONCE,
      open: (onLost) => JetStream.open(plan, plan.subject, onLost),
    }),
};

class JetStream implements Connection {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #subject: string;
  readonly #pipeline = new Pipeline();

  private constructor(connection: NatsConnection, client: JetStreamClient, subject: string) {
    this.#connection = connection;
    this.#client = client;
    this.#subject = subject;
  }

  static async open(address: BrokerAddress, subject: string, onLost: () => void): Promise<JetStream> {
    const { host, port, user, password, tls } = address;
    const [{ connect }, { jetstream }] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
    ]);
    await requireGreeting(host, port);
    const connection = await connect({
      servers: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      name: 'sightline',
      timeout: CONNECT_MS,
      // The sink repeats what fails.
      reconnect: false,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
      ...(tls === null ? {} : { tls }),
    });
    void connection.closed().then(onLost);
    return new JetStream(connection, jetstream(connection), subject);
  }

  send(records: readonly OutgoingRecord[]): Promise<void> {
    return this.#pipeline.send(records, async ({ id, stream, rule, text }) => {
      const kind = rule === null ? 'results' : 'events';
      const levels = rule === null ? [stream] : [stream, rule];
      const subject = [this.#subject, kind, ...levels.map(topicLevel)].join('.');
      const limit = this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
      if (Buffer.byteLength(text) > limit) throw new Refusal(`a message has more than ${limit} bytes`);
      // The server drops a message whose id it has had within the duplicate window of the stream.
      await this.#client.publish(subject, text, { msgID: id }).catch((error: unknown) => {
        const { status, message } = error as Error & { readonly status?: number };
        throw status === REFUSED ? new Refusal(message) : error;
      });
    });
  }

  async end(): Promise<void> {
    await this.#connection.close();
  }
}

/** A server that is frozen accepts connections and says nothing; the library gives up on it, but leaves its socket open for ever. */
async function requireGreeting(host: string, port: number): Promise<void> {
  const socket = createConnection({ host, port });
  try {
    await once(socket, 'data', { signal: AbortSignal.timeout(CONNECT_MS) });
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error;
    throw new Error(`the server did not answer within ${CONNECT_MS / 1000} s`);
  } finally {
    socket.destroy();
  }
}
