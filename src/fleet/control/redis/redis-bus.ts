import type { Redis } from 'ioredis';
import { Incidents, type Refusal } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { BusTopic } from '../../../wire/protocol/fleet.ts';
import { BUS_PROTOCOL, busMessage, complaintOf, MOST_MESSAGE_CHARS } from '../../../wire/protocol/fleet-bus.ts';
import type { BusMessage, FleetBus } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import type { RedisConnection } from './connect.ts';

/** Bytes sent to Redis and not yet answered; messages beyond this are dropped. */
const DEFAULT_MAX_IN_FLIGHT_BYTES = 1024 * 1024;

/**
 * The bus over Redis pub/sub, on its own connection so that pictures never delay a heartbeat.
 *
 * A message is published once, on the channel of its topic and stream; subscribers to all streams use a pattern. Redis
 * cannot count the subscribers of a pattern, so these also subscribe to a marker channel (`bus-all:`), on which nothing is
 * published, for `audience`.
 */
export class RedisBus implements FleetBus {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #notices: Notices;
  readonly #incidents: Incidents;
  readonly #maxInFlightBytes: number;
  readonly #signer: FleetSigner | null;
  readonly #pinging: NodeJS.Timeout;
  readonly #byChannel = new Map<string, Listeners<BusMessage>>();
  /** Listeners to all streams of a topic. */
  readonly #byTopic = new Map<BusTopic, Listeners<BusMessage>>();
  #inFlightBytes = 0;
  #droppedCount = 0;

  /**
   * @param prefix - of every channel, with its hash tag.
   * @param pingMs - time between two pings: a connection that only subscribes would never notice that Redis is gone.
   */
  constructor(options: {
    readonly connection: RedisConnection;
    readonly prefix: string;
    readonly pingMs: number;
    readonly notices: Notices;
    readonly maxInFlightBytes?: number;
    /** Signs and checks messages; null or absent: they are not signed. */
    readonly signer?: FleetSigner | null;
    /** Counts refused messages and exceptions in listeners; without it they become notices. */
    readonly incidents?: Incidents;
  }) {
    this.#connection = options.connection;
    this.#prefix = options.prefix;
    this.#notices = options.notices;
    this.#incidents = options.incidents ?? new Incidents((text) => options.notices.add(text));
    this.#maxInFlightBytes = options.maxInFlightBytes ?? DEFAULT_MAX_IN_FLIGHT_BYTES;
    this.#signer = options.signer ?? null;
    const { client } = this.#connection;
    const guard: Incidents['guard'] = (place, handler) => this.#incidents.guard(place, handler);
    client.on(
      'ready',
      guard('the bus', () => this.#resubscribe()),
    );
    client.on(
      'message',
      guard('the bus', (channel: string, text: string) =>
        this.#dispatch(this.#byChannel.get(channel), 'channel', channel, text),
      ),
    );
    client.on(
      'pmessage',
      guard('the bus', (_: string, channel: string, text: string) =>
        this.#dispatch(this.#byTopic.get(this.#topicOf(channel)), 'topic', channel, text),
      ),
    );
    this.#pinging = setInterval(
      guard('the bus', () => this.#ping()),
      options.pingMs,
    );
    this.#pinging.unref();
  }

  get droppedCount(): number {
    return this.#droppedCount;
  }

  publish(message: BusMessage): void {
    const { client } = this.#connection;
    if (client.status !== 'ready' || this.#inFlightBytes >= this.#maxInFlightBytes) {
      this.#droppedCount += 1;
      return;
    }
    let text: string;
    try {
      text = JSON.stringify({ v: BUS_PROTOCOL, ...message });
    } catch (error) {
      this.#droppedCount += 1;
      this.#notices.add(`a message on ${message.topic} was not sent: ${(error as Error).message}`);
      return;
    }
    const channel = this.#channel(message.topic, message.stream);
    if (this.#signer !== null) text = this.#signer.seal(channel, text);
    this.#inFlightBytes += text.length;
    client
      .publish(channel, text)
      .catch(() => {
        this.#droppedCount += 1;
      })
      .finally(() => {
        this.#inFlightBytes -= text.length;
      });
  }

  subscribe(topic: BusTopic, stream: string | null, listener: (message: BusMessage) => void): () => void {
    return stream === null ? this.#subscribeAll(topic, listener) : this.#subscribeOne(topic, stream, listener);
  }

  async audience(topic: BusTopic, streams: readonly string[]): Promise<ReadonlySet<string>> {
    const channels = [this.#marker(topic), ...streams.map((stream) => this.#channel(topic, stream))];
    // Channel, count, channel, count ... in the order of the request.
    const answer = (await this.#connection.call((client) => client.pubsub('NUMSUB', ...channels))) as (
      | string
      | number
    )[];
    const hasListeners = (index: number) => Number(answer[2 * index + 1]) > 0;
    return new Set(streams.filter((_, index) => hasListeners(0) || hasListeners(index + 1)));
  }

  /** Stops the pings. The owner closes the connection. */
  close(): void {
    clearInterval(this.#pinging);
  }

  #subscribeOne(topic: BusTopic, stream: string, listener: (message: BusMessage) => void): () => void {
    const channel = this.#channel(topic, stream);
    return addListener(this.#incidents, this.#byChannel, channel, listener, {
      first: () => this.#send((client) => client.subscribe(channel)),
      last: () => this.#send((client) => client.unsubscribe(channel)),
    });
  }

  #subscribeAll(topic: BusTopic, listener: (message: BusMessage) => void): () => void {
    const [pattern, marker] = [this.#pattern(topic), this.#marker(topic)];
    return addListener(this.#incidents, this.#byTopic, topic, listener, {
      first: () => {
        // The pattern before the marker: `audience` must not count a subscriber that receives nothing yet.
        this.#send((client) => client.psubscribe(pattern));
        this.#send((client) => client.subscribe(marker));
      },
      last: () => {
        this.#send((client) => client.unsubscribe(marker));
        this.#send((client) => client.punsubscribe(pattern));
      },
    });
  }

  /** Subscribes again on a new connection: Redis drops subscriptions with the old one. */
  #resubscribe(): void {
    const topics = [...this.#byTopic.keys()];
    const channels = [...this.#byChannel.keys(), ...topics.map((topic) => this.#marker(topic))];
    if (topics.length > 0) this.#send((client) => client.psubscribe(...topics.map((topic) => this.#pattern(topic))));
    if (channels.length > 0) this.#send((client) => client.subscribe(...channels));
  }

  /** Does nothing without a connection: `#resubscribe` catches up once there is one. */
  #send(command: (client: Redis) => Promise<unknown>): void {
    const { client } = this.#connection;
    if (client.status !== 'ready') return;
    command(client).catch((error: unknown) => {
      // It is unknown whether Redis executed it; a new connection subscribes to exactly what is wanted.
      if (client.status !== 'ready') return;
      this.#notices.add(`the bus reconnects: ${(error as Error).message}`);
      client.disconnect(true);
    });
  }

  #ping(): void {
    const { client } = this.#connection;
    // Without an answer `socketTimeout` closes the connection, so the answer itself is not needed.
    if (client.status === 'ready') client.ping().catch(() => {});
  }

  #dispatch(listeners: Listeners<BusMessage> | undefined, route: string, channel: string, text: string): void {
    // Just unsubscribed, or the marker channel.
    if (listeners === undefined) return;
    const message = this.#read(route, channel, text);
    if (message !== null) listeners.emit(message);
  }

  #read(route: string, channel: string, sealed: string): BusMessage | null {
    const topic = this.#topicOf(channel);
    const refuse = (reason: Refusal, why: () => string): null => {
      this.#droppedCount += 1;
      this.#incidents.refuse(`bus-${topic}`, reason, () => `a message on ${channel} was dropped: ${why()}`);
      return null;
    };
    if (sealed.length > MOST_MESSAGE_CHARS[topic])
      return refuse(
        'size',
        () => `expected at most ${MOST_MESSAGE_CHARS[topic]} characters, received ${sealed.length}`,
      );
    const opened = this.#signer === null ? { text: sealed } : this.#signer.open(route, channel, sealed);
    if ('refusal' in opened) return refuse(opened.refusal, () => opened.why);
    let value: unknown;
    try {
      value = JSON.parse(opened.text);
    } catch {
      return refuse('json', () => 'expected JSON');
    }
    const version = versionOf(value);
    if (version !== BUS_PROTOCOL)
      return refuse('version', () => `expected protocol ${BUS_PROTOCOL}, received ${JSON.stringify(version)}`);
    const parsed = busMessage.safeParse(value);
    if (!parsed.success) return refuse('envelope', () => `expected a message of a host; ${complaintOf(parsed.error)}`);
    if (this.#channel(parsed.data.topic, parsed.data.stream) !== channel)
      return refuse('envelope', () => `its envelope names topic ${parsed.data.topic} and stream ${parsed.data.stream}`);
    return parsed.data;
  }

  /** @param channel - one that this bus subscribes to. */
  #topicOf(channel: string): BusTopic {
    return channel.slice(this.#prefix.length).split(':')[2] as BusTopic;
  }

  #channel(topic: BusTopic, stream: string | null): string {
    return `${this.#prefix}:bus:${topic}:${stream ?? ''}`;
  }

  /** `keyPrefix` allows no character that is special in a pattern. */
  #pattern(topic: BusTopic): string {
    return `${this.#prefix}:bus:${topic}:*`;
  }

  #marker(topic: BusTopic): string {
    return `${this.#prefix}:bus-all:${topic}`;
  }
}

/** The first version had no number. */
function versionOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'v' in value ? value.v : 1;
}

/** Adds a listener under a key; calls `on.first` and `on.last` when the key gets its first and loses its last listener. */
function addListener<K>(
  incidents: Incidents,
  map: Map<K, Listeners<BusMessage>>,
  key: K,
  listener: (message: BusMessage) => void,
  on: { readonly first: () => void; readonly last: () => void },
): () => void {
  const listeners = map.get(key) ?? new Listeners<BusMessage>('bus messages', incidents);
  if (!map.has(key)) {
    map.set(key, listeners);
    on.first();
  }
  const remove = listeners.add(listener);
  return () => {
    remove();
    if (listeners.size > 0 || map.get(key) !== listeners) return;
    map.delete(key);
    on.last();
  };
}
