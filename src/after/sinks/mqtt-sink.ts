import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { IClientOptions, IClientPublishOptions, MqttClient } from 'mqtt';
import { z } from 'zod';
import { systemClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { redactWebhook } from '../../base/core/redact.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { BackOff } from '../../base/flow/back-off.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import { type BrokerAddress, brokerAddress, brokerProblem, brokerSettings, brokerUrl } from './broker-address.ts';
import { messageSettings, openSpooled } from './open-spooled.ts';
import type { ReceiverKind } from './receiver-kind.ts';
import { type RetainedMessage, RetainedState } from './retained-state.ts';
import type { SinkFigures } from './sink.ts';
import { sinkKind } from './sink-kind.ts';
import { sendsNewEventsOnly } from './sink-settings.ts';
import { SpooledSink, type SpooledSinkOptions } from './spooled-sink.ts';
import { topicLevel } from './topic-level.ts';
import {
  ConnectedTransport,
  type Connection,
  type OutgoingRecord,
  Pipeline,
  Refusal,
  reasonOf,
  type Transport,
} from './transport.ts';

const SCHEMES = { mqtt: 1883, mqtts: 8883 };
const CONNECT_MS = 5000;
const KEEPALIVE_S = 15;
/** Messages that wait for their confirmation at once. */
const MOST_AT_ONCE = 50;
/** Time that one round of retained messages may take. */
const STATE_MS = 10_000;
/** Time that the last message of a connection may take. */
const GOODBYE_MS = 500;
/** Bytes of a PUBLISH packet besides topic and payload, at most. */
const PACKET_OVERHEAD = 128;
/** Nothing is subscribed to, so only confirmations come. The client needs a second for 200 kB of the smallest packets. */
const MOST_REPLY_BYTES = 65_536;
const SESSION_TAKEN_OVER = 0x8e;
/** From this reason on, MQTT 5 calls it an error. */
const FIRST_ERROR = 0x80;
/** Reasons that may pass: unspecified, busy, shutting down, quota exceeded. With all others the broker does not want the message. */
const PASSING_ERRORS: ReadonlySet<number> = new Set([0x80, 0x83, 0x89, 0x8b, 0x97]);

/** A topic without wildcards, or the prefix of one. */
const topicPrefix = z
  .string()
  .max(256)
  .regex(
    /^[^\p{Cc}+#/$][^\p{Cc}+#]*(?<!\/)$/u,
    'expected a topic without +, #, control characters, or / or $ at its ends',
  );

export const mqtt = sinkKind({
  settings: z.strictObject({
    type: z.literal('mqtt').describe('Events, and the state of streams, for an MQTT 5 broker and Home Assistant.'),
    url: brokerUrl(SCHEMES, 'mqtt://10.0.0.5:1883').describe('Address of the broker; mqtts:// with TLS.'),
    topic: topicPrefix
      .default('sightline')
      .describe('Begins each topic: TOPIC/events/STREAM/RULE, TOPIC/streams/STREAM/state, TOPIC/status/CLIENT.'),
    clientId: z
      .string()
      .min(1)
      .max(128)
      .regex(/^[^\p{Cc}]*$/u, 'expected no control characters')
      .optional()
      .describe('Name of this connection, one for each process; sightline-HOST-SINK if absent.'),
    discovery: z
      .union([topicPrefix, z.literal(false)])
      .default('homeassistant')
      .describe("Prefix of Home Assistant's discovery, which shows each stream as a device; false for none."),
    ...brokerSettings,
    ...messageSettings,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  tellsAlerts: sendsNewEventsOnly,
  problem: (settings) => {
    if ((settings.filter?.frames ?? 'all') !== 'all')
      return 'filter.frames: expected all, since the counts of other frames would stay as they are';
    return brokerProblem(settings, SCHEMES);
  },
  open: (settings, context) => {
    const {
      url,
      topic,
      clientId = `sightline-${hostname()}-${context.id}`,
      discovery,
      send: sent,
      phases: only,
    } = settings;
    const address = brokerAddress(context.id, settings, SCHEMES);
    const labels = settings.filter?.labels ?? [];
    return openSpooled(settings, `${url} ${topic}`, context, (options) => {
      const place = { ...address, clientId, topic, statusTopic: `${topic}/status/${topicLevel(clientId)}` };
      const transport = context.connect(mqttReceiver, place);
      return new MqttSink({ ...options, place, transport, discovery, labels, send: sent, phases: only });
    });
  },
});

interface MqttSinkOptions extends SpooledSinkOptions {
  readonly place: MqttPlace;
  readonly discovery: string | false;
  readonly labels: readonly string[];
}

/**
 * Publishes events with QoS 1, never retained, and what streams are like now as retained messages. These are no records: only the newest
 * counts, so they wait nowhere. A last will says when this host is gone.
 */
class MqttSink extends SpooledSink {
  readonly #transport: Transport;
  readonly #state: RetainedState;
  readonly #options: MqttSinkOptions;
  readonly #backOff = new BackOff({ firstMs: 1000, maxMs: 30_000 });
  /** The connection that has the retained messages. */
  #told: string | null = null;
  #isTelling = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #stateProblem: SightlineError | null = null;

  constructor(options: MqttSinkOptions) {
    const { place, transport, discovery, labels } = options;
    super({ ...options, batchMs: 0 });
    this.#options = options;
    this.#transport = transport;
    this.#state = new RetainedState({ ...place, discovery, labels });
  }

  override publish(frame: PublishedFrame, source: string, canWait?: boolean): boolean {
    this.#state.noteResult(frame);
    return super.publish(frame, source, canWait);
  }

  observe(streams: readonly StreamReport[]): void {
    const nowMs = systemClock.now();
    this.#state.noteReports(streams, nowMs);
    if (!this.#isTelling && nowMs >= this.#notBeforeMs) void this.#tell();
  }

  override get figures(): SinkFigures {
    const figures = super.figures;
    return { ...figures, problem: figures.problem ?? this.#stateProblem?.message ?? null };
  }

  /** Publishes the retained messages that the broker lacks. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    try {
      // Each with a time limit of its own: those of many streams take long over a slow line.
      for (let isMore = true; isMore; ) {
        const [message = null] = this.#state.missing;
        const question: Retain = { told: this.#told, message };
        const answer = await this.#transport.ask!(question, AbortSignal.timeout(STATE_MS));
        const { connection, isPublished } = answer as Retained;
        isMore = message !== null || connection !== this.#told;
        if (connection !== this.#told) this.#state.forget();
        else if (message !== null && isPublished) this.#state.published(message);
        this.#told = connection;
      }
      this.#backOff.reset();
      if (this.#stateProblem !== null) this.#options.onRecovery?.(0);
      this.#stateProblem = null;
    } catch (error) {
      this.#notBeforeMs = systemClock.now() + this.#backOff.nextMs();
      const isFirst = this.#stateProblem === null;
      const text = `sink ${this.id} (${this.#transport.shownUrl}): the state of streams could not be published: ${reasonOf(error)}`;
      this.#stateProblem = new SightlineError('SINK_FAILED', text, { sink: this.id });
      if (isFirst) this.#options.onFailure(this.#stateProblem);
    } finally {
      this.#isTelling = false;
    }
  }
}

interface MqttPlace extends BrokerAddress {
  readonly clientId: string;
  readonly topic: string;
  readonly statusTopic: string;
}

/** Publishes a retained message, if there is one, over the connection that has the others. */
interface Retain {
  /** The connection that has them; null if none has. */
  readonly told: string | null;
  readonly message: RetainedMessage | null;
}

interface Retained {
  /** The connection that there is now. */
  readonly connection: string;
  readonly isPublished: boolean;
}

export const mqttReceiver: ReceiverKind<MqttPlace> = {
  name: 'mqtt',
  mostReplyBytes: MOST_REPLY_BYTES,
  connect: (place) => new MqttTransport(place),
};

class MqttTransport extends ConnectedTransport<MqttConnection> {
  constructor(place: MqttPlace) {
    const known: KnownBroker = {};
    super({
      shownUrl: place.shownUrl,
      mostAtOnce: MOST_AT_ONCE,
      open: (onLost) => MqttConnection.open(place, known, onLost),
    });
  }

  ask(question: unknown, signal: AbortSignal): Promise<Retained> {
    const { told, message } = question as Retain;
    return this.use(async (connection) => {
      const isPublished = message !== null && told === connection.id;
      if (isPublished) await connection.publish(message.topic, message.payload, { retain: true });
      return { connection: connection.id, isPublished };
    }, signal);
  }
}

/** What earlier connections have shown. */
interface KnownBroker {
  /** The broker does not want its status. */
  isStatusRefused?: boolean;
}

class MqttConnection implements Connection {
  readonly id = randomUUID();
  readonly #client: MqttClient;
  readonly #place: MqttPlace;
  readonly #pipeline = new Pipeline();
  /** Rejects when the connection ends. */
  readonly #lost: Promise<never>;

  private constructor(client: MqttClient, place: MqttPlace, lost: Promise<never>) {
    this.#client = client;
    this.#place = place;
    this.#lost = lost;
  }

  static async open(place: MqttPlace, known: KnownBroker, onLost: () => void): Promise<MqttConnection> {
    const { host, port, user, password, tls, clientId, statusTopic } = place;
    const { connect } = await import('mqtt');
    const options: IClientOptions = {
      protocol: tls === null ? 'mqtt' : 'mqtts',
      host,
      port,
      clientId,
      protocolVersion: 5,
      clean: true,
      keepalive: KEEPALIVE_S,
      connectTimeout: CONNECT_MS,
      will: { topic: statusTopic, payload: Buffer.from('offline'), qos: 1, retain: true },
      // The sink repeats what fails.
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      ...(user === undefined ? {} : { username: user }),
      ...(password === undefined ? {} : { password }),
      ...tls,
    };
    const client = connect(options);
    // A connection that ends rejects what is under way; the broker may have said why.
    let reason = 'the broker ended the connection';
    client.on('disconnect', ({ reasonCode }) => {
      reason +=
        reasonCode === SESSION_TAKEN_OVER ? `: another client has the id ${clientId}` : ` (reason ${reasonCode})`;
    });
    client.on('error', () => undefined);
    const lost = new Promise<never>((_, reject) => {
      client.once('error', reject);
      client.once('close', () => reject(new Error(reason)));
    });
    lost.catch(() => undefined);
    client.once('close', onLost);
    const connection = new MqttConnection(client, place, lost);
    try {
      await Promise.race([new Promise((resolve) => client.once('connect', resolve)), lost]);
      // Whoever may not say so may still publish events. Some brokers end the connection then: the next one says nothing.
      if (known.isStatusRefused !== true)
        await connection.publish(statusTopic, 'online', { retain: true }).catch((error: unknown) => {
          if (!(error instanceof Refusal)) throw error;
          known.isStatusRefused = true;
        });
    } catch (error) {
      client.end(true);
      throw error;
    }
    return connection;
  }

  send(records: readonly OutgoingRecord[]): Promise<void> {
    // A broker ends a connection that has more under way than it allows. One may be about the state of streams.
    const atOnce = Math.max(1, (this.#client.serverProperties?.receiveMaximum ?? Number.POSITIVE_INFINITY) - 1);
    return this.#pipeline.send(records, (record) => this.#publishRecord(record), atOnce);
  }

  #publishRecord({ stream, rule, text }: OutgoingRecord): Promise<void> {
    const { topic } = this.#place;
    const place =
      rule === null
        ? `${topic}/results/${topicLevel(stream)}`
        : `${topic}/events/${topicLevel(stream)}/${topicLevel(rule)}`;
    const contentType = rule === null ? 'application/json' : 'application/cloudevents+json; charset=utf-8';
    return this.publish(place, text, { properties: { contentType } });
  }

  /** Resolves once the broker has confirmed it. @throws Refusal if it does not want it. */
  async publish(topic: string, payload: string, options: IClientPublishOptions): Promise<void> {
    const limit = this.#client.serverProperties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    // A broker ends the connection at a larger packet, and the next one again.
    if (Buffer.byteLength(payload) + Buffer.byteLength(topic) + PACKET_OVERHEAD > limit)
      throw new Refusal(`a message has more than ${limit} bytes`);
    try {
      await Promise.race([this.#client.publishAsync(topic, payload, { ...options, qos: 1 }), this.#lost]);
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      const isRefused = typeof code === 'number' && code >= FIRST_ERROR && !PASSING_ERRORS.has(code);
      throw isRefused ? new Refusal((error as Error).message) : error;
    }
  }

  async end(): Promise<void> {
    const client = this.#client;
    // A goodbye is no last will: the broker would not say it.
    if (client.connected)
      await settlesWithin(
        client.publishAsync(this.#place.statusTopic, 'offline', { qos: 1, retain: true }),
        GOODBYE_MS,
      ).catch(() => false);
    await client.endAsync(true);
  }
}
