import type { Producer } from '@platformatic/kafka';
import { z } from 'zod';
import { redactWebhook } from '../../base/core/redact.ts';
import { type BrokerAddress, brokerAddress, brokerProblem, brokerSettings, brokerUrl } from './broker-address.ts';
import { messageSettings, openMessages } from './open-spooled.ts';
import type { ReceiverKind } from './receiver-kind.ts';
import { sinkKind } from './sink-kind.ts';
import { MEGABYTE, sendsNewEventsOnly } from './sink-settings.ts';
import { ConnectedTransport, type Connection, type OutgoingRecord, Refusal } from './transport.ts';

const SCHEMES = { kafka: 9092, kafkas: 9093 };
const CONNECT_MS = 5000;
const REQUEST_MS = 8000;
const MOST_AT_ONCE = 50;
/** What the broker says about a record or its topic that it will not take. */
const REFUSED: ReadonlySet<string> = new Set([
  ...['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_TOPIC_EXCEPTION', 'INVALID_RECORD', 'POLICY_VIOLATION'],
  ...['TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'],
]);

export const kafka = sinkKind({
  settings: z.strictObject({
    type: z.literal('kafka').describe('Records of a Kafka topic.'),
    url: brokerUrl(SCHEMES, 'kafka://10.0.0.5:9092').describe(
      'Address of one broker, which names the others; kafkas:// with TLS.',
    ),
    topic: z
      .string()
      .regex(/^[\w.-]{1,249}$/, 'expected 1 to 249 letters, digits, dots, - and _')
      .default('sightline')
      .describe('Topic, which must exist. The key of each record is its stream, so that a stream keeps its order.'),
    mechanism: z
      .enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])
      .default('SCRAM-SHA-512')
      .describe('How `user` and `password` are sent.'),
    ...brokerSettings,
    ...messageSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: sendsNewEventsOnly,
  problem: (settings) => brokerProblem(settings, SCHEMES),
  open: (settings, context) => {
    const { url, topic, mechanism } = settings;
    const address = brokerAddress(context.id, settings, SCHEMES);
    const transport = context.connect(kafkaReceiver, { ...address, topic, mechanism });
    return openMessages(settings, `${url} ${topic}`, context, transport);
  },
});

interface TopicPlace {
  readonly topic: string;
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
}

export const kafkaReceiver: ReceiverKind<BrokerAddress & TopicPlace> = {
  name: 'kafka',
  mostReplyBytes: MEGABYTE,
  connect: (plan) =>
    new ConnectedTransport({
      shownUrl: plan.shownUrl,
      // Each partition stores its share as one; a stream is in one partition.
      mostAtOnce: MOST_AT_ONCE,
      open: () => KafkaTopic.open(plan, plan),
    }),
};

class KafkaTopic implements Connection {
  readonly #producer: Producer<string, string, string, string>;
  readonly #topic: string;

  private constructor(producer: Producer<string, string, string, string>, topic: string) {
    this.#producer = producer;
    this.#topic = topic;
  }

  /** Connects with the first record: until then Kafka needs to know nothing. */
  static async open(address: BrokerAddress, { topic, mechanism }: TopicPlace): Promise<KafkaTopic> {
    const { host, port, user: username, password, tls } = address;
    const { Producer, stringSerializers } = await import('@platformatic/kafka');
    const producer = new Producer({
      clientId: 'sightline',
      bootstrapBrokers: [{ host, port }],
      serializers: stringSerializers,
      // Idempotent: what the client itself repeats is stored once.
      idempotent: true,
      autocreateTopics: false,
      connectTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      ...(tls === null ? {} : { tls }),
      ...(username === undefined || password === undefined ? {} : { sasl: { mechanism, username, password } }),
    });
    return new KafkaTopic(producer, topic);
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    const messages = records.map(({ id, type, stream, text }) => {
      // As CloudEvents' Kafka binding has structured events; an id lets a reader drop a record that comes twice.
      const contentType =
        type === 'io.sightline.result' ? 'application/json' : 'application/cloudevents+json; charset=utf-8';
      return { topic: this.#topic, key: stream, value: text, headers: { 'content-type': contentType, id, type } };
    });
    try {
      await this.#producer.send({ messages });
    } catch (error) {
      throw codesOf(error).some((code) => REFUSED.has(code))
        ? new Refusal(`the broker refuses it: ${codesOf(error).join(', ')}`)
        : error;
    }
  }

  async end(): Promise<void> {
    await this.#producer.close(true);
  }
}

/** Returns what Kafka calls the errors in an error. */
function codesOf(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { apiId, errors = [], cause } = error as { apiId?: unknown; errors?: readonly unknown[]; cause?: unknown };
  return [...(typeof apiId === 'string' ? [apiId] : []), ...[...errors, cause].flatMap(codesOf)];
}
