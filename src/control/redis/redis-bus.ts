import type { Redis } from 'ioredis';
import { Listeners } from '../../flow/listeners.ts';
import type { BusTopic } from '../../protocol/fleet.ts';
import { BUS_PROTOCOL, busMessage, complaintOf, MOST_MESSAGE_CHARS } from '../../protocol/fleet-bus.ts';
import { Incidents, type Refusal } from '../../telemetry/incidents.ts';
import type { BusMessage, FleetBus } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import type { RedisConnection } from './connect.ts';

/** Bytes that may be on the way to Redis without an answer; what comes on top is dropped. */
const DEFAULT_MAX_UNDERWAY_BYTES = 1024 * 1024;

/**
 * The bus over Redis pub/sub, on a connection of its own so that no picture stands before a heartbeat.
 *
 * A message is published once, on the channel of its topic and stream; whoever takes all streams follows a pattern. Redis
 * cannot say who follows a pattern, so those also follow a channel that nobody publishes on (`bus-all:`), for `audience`.
 */
export class RedisBus implements FleetBus {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #notices: Notices;
  readonly #incidents: Incidents;
  readonly #maxUnderwayBytes: number;
  readonly #pinging: NodeJS.Timeout;
  readonly #byChannel = new Map<string, Listeners<BusMessage>>();
  /** By topic. */
  readonly #ofAll = new Map<BusTopic, Listeners<BusMessage>>();
  #underwayBytes = 0;
  #droppedCount = 0;

  /**
   * @param prefix - of every channel, with its hash tag.
   * @param pingMs - time between two questions whether Redis is still there: one who only listens would never notice.
   */
  constructor(options: {
    readonly connection: RedisConnection;
    readonly prefix: string;
    readonly pingMs: number;
    readonly notices: Notices;
    readonly maxUnderwayBytes?: number;
    /** Counts messages that are refused, and exceptions of listeners; absent, they are notices. */
    readonly incidents?: Incidents;
  }) {
    this.#connection = options.connection;
    this.#prefix = options.prefix;
    this.#notices = options.notices;
    this.#incidents = options.incidents ?? new Incidents((text) => options.notices.add(text));
    this.#maxUnderwayBytes = options.maxUnderwayBytes ?? DEFAULT_MAX_UNDERWAY_BYTES;
    const { client } = this.#connection;
    const guard: Incidents['guard'] = (place, handler) => this.#incidents.guard(place, handler);
    client.on(
      'ready',
      guard('the bus', () => this.#followAll()),
    );
    client.on(
      'message',
      guard('the bus', (channel: string, text: string) => this.#take(this.#byChannel.get(channel), channel, text)),
    );
    client.on(
      'pmessage',
      guard('the bus', (_: string, channel: string, text: string) =>
        this.#take(this.#ofAll.get(this.#topicOf(channel)), channel, text),
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
    if (client.status !== 'ready' || this.#underwayBytes >= this.#maxUnderwayBytes) {
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
    this.#underwayBytes += text.length;
    client
      .publish(this.#channel(message.topic, message.stream), text)
      .catch(() => {
        this.#droppedCount += 1;
      })
      .finally(() => {
        this.#underwayBytes -= text.length;
      });
  }

  subscribe(topic: BusTopic, stream: string | null, listener: (message: BusMessage) => void): () => void {
    return stream === null ? this.#subscribeAll(topic, listener) : this.#subscribeOne(topic, stream, listener);
  }

  async audience(topic: BusTopic, streams: readonly string[]): Promise<ReadonlySet<string>> {
    const channels = [this.#marker(topic), ...streams.map((stream) => this.#channel(topic, stream))];
    // Channel, count, channel, count ... in the order of the question.
    const answer = (await this.#connection.call((client) => client.pubsub('NUMSUB', ...channels))) as (
      | string
      | number
    )[];
    const hasListeners = (index: number) => Number(answer[2 * index + 1]) > 0;
    return new Set(streams.filter((_, index) => hasListeners(0) || hasListeners(index + 1)));
  }

  /** Stops asking whether Redis is there; the connection is its owner's to close. */
  close(): void {
    clearInterval(this.#pinging);
  }

  #subscribeOne(topic: BusTopic, stream: string, listener: (message: BusMessage) => void): () => void {
    const channel = this.#channel(topic, stream);
    return follow(this.#incidents, this.#byChannel, channel, listener, {
      first: () => this.#tell((client) => client.subscribe(channel)),
      last: () => this.#tell((client) => client.unsubscribe(channel)),
    });
  }

  #subscribeAll(topic: BusTopic, listener: (message: BusMessage) => void): () => void {
    const [pattern, marker] = [this.#pattern(topic), this.#marker(topic)];
    return follow(this.#incidents, this.#ofAll, topic, listener, {
      first: () => {
        // The pattern before the marker: nobody is told of an audience that does not hear yet.
        this.#tell((client) => client.psubscribe(pattern));
        this.#tell((client) => client.subscribe(marker));
      },
      last: () => {
        this.#tell((client) => client.unsubscribe(marker));
        this.#tell((client) => client.punsubscribe(pattern));
      },
    });
  }

  /** Redis forgets a connection's subscriptions with the connection. */
  #followAll(): void {
    const topics = [...this.#ofAll.keys()];
    const channels = [...this.#byChannel.keys(), ...topics.map((topic) => this.#marker(topic))];
    if (topics.length > 0) this.#tell((client) => client.psubscribe(...topics.map((topic) => this.#pattern(topic))));
    if (channels.length > 0) this.#tell((client) => client.subscribe(...channels));
  }

  /** While there is no connection there is nothing to tell: `#followAll` does it once there is one. */
  #tell(say: (client: Redis) => Promise<unknown>): void {
    const { client } = this.#connection;
    if (client.status !== 'ready') return;
    say(client).catch((error: unknown) => {
      // Redis may or may not follow now; a new connection begins from what is wanted.
      if (client.status !== 'ready') return;
      this.#notices.add(`the bus connects anew: ${(error as Error).message}`);
      client.disconnect(true);
    });
  }

  #ping(): void {
    const { client } = this.#connection;
    // One that is not answered makes the connection's socketTimeout end it, so the answer itself is of no interest.
    if (client.status === 'ready') client.ping().catch(() => {});
  }

  #take(listeners: Listeners<BusMessage> | undefined, channel: string, text: string): void {
    // Unsubscribed a moment ago, or the channel of those who take all.
    if (listeners === undefined) return;
    const message = this.#read(channel, text);
    if (message !== null) listeners.emit(message);
  }

  #read(channel: string, text: string): BusMessage | null {
    const topic = this.#topicOf(channel);
    const refuse = (reason: Refusal, why: () => string): null => {
      this.#droppedCount += 1;
      this.#incidents.refuse(`bus-${topic}`, reason, () => `a message on ${channel} was dropped: ${why()}`);
      return null;
    };
    if (text.length > MOST_MESSAGE_CHARS[topic])
      return refuse('size', () => `expected at most ${MOST_MESSAGE_CHARS[topic]} characters, received ${text.length}`);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return refuse('json', () => 'expected JSON');
    }
    const version = versionOf(value);
    if (version !== BUS_PROTOCOL)
      return refuse('version', () => `expected protocol ${BUS_PROTOCOL}, received ${JSON.stringify(version)}`);
    const parsed = busMessage.safeParse(value);
    if (!parsed.success) return refuse('envelope', () => `expected a message of a host; ${complaintOf(parsed.error)}`);
    if (this.#channel(parsed.data.topic, parsed.data.stream) !== channel)
      return refuse('envelope', () => `it says it is of topic ${parsed.data.topic} and stream ${parsed.data.stream}`);
    return parsed.data;
  }

  /** Of a channel that this bus follows. */
  #topicOf(channel: string): BusTopic {
    return channel.slice(this.#prefix.length).split(':')[2] as BusTopic;
  }

  #channel(topic: BusTopic, stream: string | null): string {
    return `${this.#prefix}:bus:${topic}:${stream ?? ''}`;
  }

  /** Prefixes hold no character that means something in a pattern. */
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

/** Adds a listener under a key, and says when the key gets its first and loses its last one. */
function follow<K>(
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
