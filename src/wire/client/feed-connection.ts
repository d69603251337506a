import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { ClientMessage, FEED_PROTOCOL, HelloMessage, Topic } from '../protocol/feed.ts';
import type { Subscriber } from './feed-subscription.ts';
import { type FeedMessage, readMessage } from './read-message.ts';

/** The part of a WebSocket that the client uses: browsers, Node.js from version 22, and the package `ws` have it. */
export interface SocketLike {
  /** How binary frames arrive; the client sets `arraybuffer`. */
  binaryType: string;
  /** Sends one text frame. */
  send(data: string): void;
  /** Begins the closing handshake. */
  close(): void;
  /** Calls `listener` when it is open, or failed. */
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  /** Calls `listener` for each frame: text, or an ArrayBuffer. */
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  /** Calls `listener` when it has closed. */
  addEventListener(type: 'close', listener: () => void): void;
}
/** Opens a WebSocket. */
export type SocketConstructor = new (url: string) => SocketLike;

/**
 * State of a connection to the feed. open: `hello` says who the client is and which streams exist. waiting: the connection is lost, and
 * tried again at `retryAtMs`, wall clock in milliseconds since 1970. closed: no subscription is left, or `error` says why a new attempt
 * cannot help.
 */
export type FeedState =
  | { readonly name: 'connecting' }
  | { readonly name: 'open'; readonly hello: HelloMessage }
  | { readonly name: 'waiting'; readonly retryAtMs: number }
  | { readonly name: 'closed'; readonly error: SightlineError | null };

export interface FeedConnectionOptions {
  /** Address of `/ws`, with the token. */
  readonly url: string;
  readonly WebSocket: SocketConstructor;
  /** Milliseconds before the first attempt after a loss, and at most. */
  readonly retryMs: readonly [first: number, longest: number];
  /** Milliseconds without a message after which the connection counts as lost, even if TCP has not noticed yet. */
  readonly silenceMs: number;
  readonly onState: (state: FeedState) => void;
  /** Returns why the gateway refuses this client; null if it does not. A WebSocket does not say why an upgrade was refused. */
  readonly findRefusal: () => Promise<SightlineError | null>;
  /** Returns the ids of all streams; null if the gateway does not say now. */
  readonly findStreams: () => Promise<readonly string[] | null>;
  readonly onClosed: (connection: FeedConnection) => void;
}

/** The only protocol version that this client can read. */
const PROTOCOL: typeof FEED_PROTOCOL = 1;
/** Is never the id of a stream. */
const NO_STREAM = '-';

/**
 * One WebSocket of the feed. It has at most one subscription of each topic, because a second one would replace the first. After a
 * loss it connects again with growing, random delays, and subscribes again.
 */
export class FeedConnection {
  readonly #options: FeedConnectionOptions;
  readonly #subscribers = new Map<Topic, Subscriber>();
  #socket: SocketLike | null = null;
  #isOpen = false;
  /** Streams of the gateway when it was connected to; null before. */
  #streams: readonly string[] | null = null;
  #waitMs: number;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: FeedConnectionOptions) {
    this.#options = options;
    this.#waitMs = options.retryMs[0];
  }

  has(topic: Topic): boolean {
    return this.#subscribers.has(topic);
  }

  add(subscriber: Subscriber): void {
    const { topic } = subscriber;
    this.#subscribers.set(topic, subscriber);
    subscriber.connect(
      () => this.#request(topic),
      () => this.#remove(topic),
    );
    if (this.#socket === null && this.#retryTimer === undefined) this.#open();
    else this.#request(topic);
    void this.#requireStreams(subscriber);
  }

  /** Connects now if it waits for its next attempt. */
  retryNow(): void {
    if (this.#retryTimer !== undefined) this.#open();
  }

  /** Ends all subscriptions and closes the socket. Idempotent. */
  close(error: SightlineError | null = null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const subscriber of [...this.#subscribers.values()]) subscriber.end(error === null ? null : { error });
    this.#options.onClosed(this);
    this.#options.onState({ name: 'closed', error });
  }

  #remove(topic: Topic): void {
    this.#subscribers.delete(topic);
    if (this.#subscribers.size === 0) this.close();
    else this.#request(topic);
  }

  #open(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#isOpen = false;
    this.#streams = null;
    this.#options.onState({ name: 'connecting' });
    const socket = new this.#options.WebSocket(this.#options.url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#restartSilenceTimer(socket);
    socket.addEventListener('open', () => {
      if (socket !== this.#socket) return;
      this.#isOpen = true;
      for (const topic of new Set<Topic>([...this.#subscribers.keys(), 'stats'])) this.#request(topic);
    });
    socket.addEventListener('message', ({ data }) => {
      if (socket === this.#socket) this.#receive(socket, data);
    });
    // Node.js 22 sends no `close` for a connection that was refused.
    socket.addEventListener('error', () => this.#lose(socket));
    socket.addEventListener('close', () => this.#lose(socket));
  }

  #receive(socket: SocketLike, data: unknown): void {
    this.#restartSilenceTimer(socket);
    let message: FeedMessage;
    try {
      message = readMessage(data);
    } catch (error) {
      const problem = `feed: expected a message of a gateway, received something else (${(error as Error).message})`;
      this.close(new SightlineError('PROTOCOL_INVALID', problem));
      return;
    }
    switch (message.type) {
      case 'hello':
        this.#greet(message);
        return;
      case 'error':
        // A subscription has settings that the gateway refuses.
        this.close(SightlineError.fromWire(message.error));
        return;
      case 'stats':
        this.#subscribers.get('stats')?.receive(message);
        return;
      case 'event':
        this.#subscribers.get('events')?.receive(message);
        return;
      case 'detections':
        this.#subscribers.get('detections')?.receive(message);
        return;
      case 'preview':
      case 'shadow':
        this.#subscribers.get('preview')?.receive(message);
    }
  }

  #greet(hello: HelloMessage): void {
    if (hello.protocol !== PROTOCOL) {
      const message = `feed: expected protocol ${PROTOCOL}, received ${hello.protocol} of Sightline ${hello.version}`;
      this.close(new SightlineError('PROTOCOL_INVALID', message, { protocol: hello.protocol }));
      return;
    }
    this.#waitMs = this.#options.retryMs[0];
    this.#streams = hello.streams;
    this.#options.onState({ name: 'open', hello });
    for (const subscriber of this.#subscribers.values()) void this.#requireStreams(subscriber);
  }

  /** Ends a subscription that names a stream which the gateway does not have: nothing would come. */
  async #requireStreams(subscriber: Subscriber): Promise<void> {
    if (this.#streams === null || subscriber.unseen.length === 0) return;
    let known = this.#streams;
    // Streams may have been added since.
    if (!subscriber.unseen.every((id) => known.includes(id))) {
      const found = await this.#options.findStreams();
      if (found === null) return;
      known = found;
    }
    const missing = subscriber.unseen.find((id) => !known.includes(id));
    subscriber.unseen = [];
    if (missing === undefined) return;
    const names = known.length === 0 ? 'none' : known.join(', ');
    const text = `streams: expected ids of streams of this gateway (${names}), received "${missing}"`;
    subscriber.end({ error: new SightlineError('STREAM_NOT_FOUND', text, { stream: missing }) });
  }

  /** Sends the current subscription of a topic, or ends it. */
  #request(topic: Topic): void {
    if (!this.#isOpen || this.#socket === null) return;
    const wanted = this.#subscribers.get(topic)?.request ?? null;
    if (wanted !== null) this.#send(wanted);
    // The report of the host alone, once a second, shows that the connection works.
    else if (topic === 'stats') this.#send({ type: 'subscribe', topics: ['stats'], streams: [NO_STREAM] });
    else this.#send({ type: 'unsubscribe', topics: [topic] });
  }

  #send(message: ClientMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #lose(socket: SocketLike): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#isOpen = false;
    clearTimeout(this.#silenceTimer);
    // Half of the delay is random, so that a hundred clients do not come back at the same instant.
    const waitMs = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, this.#options.retryMs[1]);
    this.#retryTimer = setTimeout(() => this.#open(), waitMs);
    this.#options.onState({ name: 'waiting', retryAtMs: Date.now() + waitMs });
    if (this.#streams === null) void this.#closeIfRefused();
  }

  async #closeIfRefused(): Promise<void> {
    const refusal = await this.#options.findRefusal();
    if (refusal !== null) this.close(refusal);
  }

  #restartSilenceTimer(socket: SocketLike): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      socket.close();
      // A dead connection never answers the closing handshake.
      this.#lose(socket);
    }, this.#options.silenceMs);
  }
}
