import type { SubscribeMessage, Topic } from '../protocol/feed.ts';
import type { FeedMessage } from './read-message.ts';

/** What a subscription asks of the gateway. Absent: the gateway's default. */
export type FeedSettings = Omit<SubscribeMessage, 'type' | 'topics'>;

interface Waiting<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

export interface SubscriptionOptions<T extends FeedMessage> {
  readonly topic: Topic;
  /** Types of the messages that it passes on. */
  readonly types: readonly T['type'][];
  readonly settings: FeedSettings;
  readonly queueSize: number;
  readonly signal: AbortSignal | undefined;
  /** Connects it, with the first `next`. */
  readonly onStart: (subscriber: Subscriber) => void;
}

/** What a connection needs of a subscription. */
export interface Subscriber {
  readonly topic: Topic;
  /** The message that subscribes it; null if it wants no stream. */
  readonly request: SubscribeMessage | null;
  /** Ids that the gateway must have; none once it has shown them, or after `update`. */
  unseen: readonly string[];
  connect(onChange: () => void, onEnd: () => void): void;
  receive(message: FeedMessage): void;
  /** @param failure - null: without an error. */
  end(failure: { readonly error: unknown } | null): void;
}

/**
 * Messages of one topic, as an async iterable for one consumer. It connects when it is first iterated, and ends when the loop is
 * left.
 *
 * Messages wait for a slow consumer in a queue of limited size with the policy `latest`: if it is full, the oldest message is
 * dropped and counted. Messages that were sent while the connection was lost are not sent again.
 *
 * It rejects with the reason of the signal that aborts it, and with a `SightlineError` that a new attempt cannot fix: UNAUTHORIZED,
 * FORBIDDEN, PROTOCOL_INVALID, STREAM_NOT_FOUND. It ends without an error when the client is closed.
 */
export class FeedSubscription<T extends FeedMessage> implements AsyncIterableIterator<T, undefined>, Subscriber {
  readonly #options: SubscriptionOptions<T>;
  readonly #queue: T[] = [];
  #waiting: Waiting<T>[] = [];
  #settings: FeedSettings;
  /** @internal */
  unseen: readonly string[];
  #dropped = 0;
  #hasStarted = false;
  #isDone = false;
  #failure: { readonly error: unknown } | null = null;
  /** Set while it is connected. */
  #onChange: (() => void) | null = null;
  #onEnd: (() => void) | null = null;
  readonly #abort = (): void => this.end({ error: this.#options.signal?.reason });

  /** @internal */
  constructor(options: SubscriptionOptions<T>) {
    this.#options = options;
    this.#settings = options.settings;
    this.unseen = options.settings.streams ?? [];
  }

  /** Messages that were dropped here because the consumer was slow. `droppedMessages` of `stats` counts those of the gateway. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Replaces settings, such as the streams, without a new connection. No streams: `[]`; those that do not exist yet are waited for. */
  update(settings: FeedSettings): void {
    if (settings.streams !== undefined) this.unseen = [];
    this.#settings = { ...this.#settings, ...settings };
    this.#onChange?.();
  }

  /** Resolves to the next message; `done` after the end. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (!this.#hasStarted && !this.#isDone) this.#start();
    const message = this.#queue.shift();
    if (message !== undefined) return Promise.resolve({ done: false, value: message });
    if (this.#failure !== null) {
      const { error } = this.#failure;
      this.#failure = null;
      return Promise.reject(error);
    }
    if (this.#isDone) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends it: called when a `for await` loop is left. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#queue.length = 0;
    this.end(null);
    return Promise.resolve({ done: true, value: undefined });
  }

  /** It is its own iterator: one loop at a time. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  get topic(): Topic {
    return this.#options.topic;
  }

  /** @internal */
  get request(): SubscribeMessage | null {
    if (this.#settings.streams?.length === 0) return null;
    return { type: 'subscribe', topics: [this.topic], ...this.#settings };
  }

  /** @internal */
  connect(onChange: () => void, onEnd: () => void): void {
    this.#onChange = onChange;
    this.#onEnd = onEnd;
  }

  /** @internal */
  receive(message: FeedMessage): void {
    if (this.#isDone || !this.#options.types.some((type) => type === message.type)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.resolve({ done: false, value: message as T });
      return;
    }
    this.#queue.push(message as T);
    if (this.#queue.length <= this.#options.queueSize) return;
    this.#queue.shift();
    this.#dropped += 1;
  }

  /** Messages that wait are still delivered, except after an error. @internal */
  end(failure: { readonly error: unknown } | null): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#onEnd?.();
    if (failure !== null) this.#queue.length = 0;
    const [first, ...others] = this.#waiting.splice(0);
    if (failure !== null && first !== undefined) first.reject(failure.error);
    else {
      this.#failure = failure;
      first?.resolve({ done: true, value: undefined });
    }
    for (const { resolve } of others) resolve({ done: true, value: undefined });
  }

  #start(): void {
    this.#hasStarted = true;
    const { signal, onStart } = this.#options;
    if (signal?.aborted) {
      this.#abort();
      return;
    }
    signal?.addEventListener('abort', this.#abort, { once: true });
    try {
      onStart(this);
    } catch (error) {
      this.end({ error });
    }
  }
}
