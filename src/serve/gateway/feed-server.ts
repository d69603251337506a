import type { WebSocket } from 'ws';
import type { History } from '../../after/history/history.ts';
import type { Clock } from '../../base/core/clock.ts';
import type { PreviewPicture, PublishedFrame } from '../../base/core/frame.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import {
  type ClientMessage,
  type EventMessage,
  FEED_PROTOCOL,
  type ServerMessage,
  TOPICS,
  type Topic,
} from '../../wire/protocol/feed.ts';
import type { RolloutPort } from '../../wire/protocol/ports/rollout-port.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { StreamsReply } from '../../wire/protocol/rest.ts';
import type { ShadowObservation } from '../../wire/protocol/rollout-records.ts';
import { ANYONE, type Identity } from './access/token-table.ts';
import { FeedClient } from './feed-client.ts';
import { detectionsMessage, previewMessage, SharedMessage, StatsParts, shadowMessage } from './feed-encoding.ts';
import { noCounts, type TopicCounts } from './outbox.ts';
import { ShadowFrames } from './shadow-frames.ts';
import type { Subscription } from './subscription.ts';
import { WantedStreams } from './wanted-streams.ts';

/** Of the range for applications: the token that the client connected with does not count any more. */
const CLOSE_TOKEN_ENDED = 4401;
/** How long a client may take to answer the closing handshake. */
const CLOSE_TIMEOUT_MS = 500;
/** RFC 6455, 7.4.1: the server is going away. */
const CLOSE_GOING_AWAY = 1001;

export interface FeedOptions {
  readonly version: string;
  readonly maxBufferedBytes: number;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly incidents: Incidents;
  /** The first one is that of the pipeline's own detector. */
  readonly rollouts?: readonly RolloutPort[];
  /** Keeps what the feed sends. */
  readonly history?: Pick<History, 'add'>;
}

/** Somebody who watches a stream outside of the feed. */
export interface StreamWatch {
  readonly stream: string;
  /** Null where no token is asked for. */
  readonly identity: Identity | null;
  /** Absent: no pictures are needed. */
  readonly onPicture?: (picture: PreviewPicture) => void;
  /** The stream was removed, the token ended, or the gateway closes. */
  readonly onEnd: () => void;
}

/** Counts since the start, for the metrics. */
export interface FeedFigures {
  readonly clients: number;
  readonly sent: Readonly<TopicCounts>;
  readonly dropped: Readonly<TopicCounts>;
}

/** The `/ws` feed: sends each client the messages of the runtime that it subscribed to and can keep up with. */
export class FeedServer {
  readonly #port: RuntimePort;
  readonly #options: FeedOptions;
  readonly #clients = new Set<FeedClient>();
  readonly #closedClients = { sent: noCounts(), dropped: noCounts() };
  readonly #previews: WantedStreams;
  readonly #detections: WantedStreams;
  readonly #unsubscribe: (() => void)[];
  readonly #watches = new Set<StreamWatch>();
  readonly #shadows = new ShadowFrames((found) => this.#publishShadow(found));
  #stats: StatsParts;
  #seq = 0;
  #stopHeartbeat: () => void = () => {};
  #closed: Promise<void> | null = null;

  constructor(port: RuntimePort, options: FeedOptions) {
    this.#port = port;
    this.#options = options;
    this.#stats = new StatsParts(this.#seq, this.#withRollout(port.report()));
    const known = (): string[] => port.report().streams.map(({ id }) => id);
    this.#previews = new WantedStreams(known, (ids) => port.watchPreviews(ids));
    this.#detections = new WantedStreams(known, (ids) => port.watchDetections?.(ids));
    this.#unsubscribe = [
      port.onReport((report) => this.#publishStats(report)),
      port.onPublished((frame) => this.#publishDetections(frame)),
      port.onPreview((picture) => this.#publishPreview(picture)),
      port.onEvent((event) => this.#publishEvent(event)),
    ];
    for (const rollouts of options.rollouts ?? [])
      this.#unsubscribe.push(
        rollouts.onRolloutEvent((event) => this.#publishEvent(event)),
        rollouts.onShadow((found) => {
          if (this.#previews.has(found.stream)) this.#shadows.addBoxes(found);
        }),
      );
    this.#scheduleHeartbeat();
  }

  get figures(): FeedFigures {
    const sent = { ...this.#closedClients.sent };
    const dropped = { ...this.#closedClients.dropped };
    for (const { outbox } of this.#clients) addCounts({ sent, dropped }, outbox);
    return { clients: this.#clients.size, sent, dropped };
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** Greets a client whose handshake is complete. The caller closes the socket if this throws. */
  connect(socket: WebSocket, identity: Identity = ANYONE): void {
    const { streams: scope } = identity;
    const ids = this.#port.report().streams.map((stream) => stream.id);
    const streams = scope === undefined ? ids : ids.filter((id) => scope.has(id));
    const { version, maxBufferedBytes, clock, incidents } = this.#options;
    const { name, role, expiresMs } = identity;
    const access = { name, role, expiresMs };
    const client = new FeedClient(socket, {
      identity,
      hello: { type: 'hello', protocol: FEED_PROTOCOL, version, topics: TOPICS, streams, access },
      capBytes: maxBufferedBytes,
      clock,
      incidents,
      onChange: (changed, change) => this.#handleChange(changed, change),
    });
    this.#clients.add(client);
    const onClose = (): void => {
      this.#clients.delete(client);
      addCounts(this.#closedClients, client.outbox);
      if (this.#closed === null) this.#updateWanted();
    };
    socket.on('close', incidents.guard('the feed', onClose));
  }

  /** Makes the pictures of a stream come, and says when it is over, until the function that is returned is called. */
  watchStream(watch: StreamWatch): () => void {
    this.#watches.add(watch);
    this.#updateWanted();
    return () => {
      if (this.#watches.delete(watch) && this.#closed === null) this.#updateWanted();
    };
  }

  /** Sends an event of the gateway itself. */
  announce(event: EventMessage): void {
    this.#publishEvent(event);
  }

  /**
   * Closes the connections whose token does not count any more.
   *
   * @param endOf - returns the reason, or null if the connection may go on.
   * @param onClosed - called for each that is closed.
   */
  closeEnded(
    endOf: (identity: Identity) => string | null,
    onClosed: (identity: Identity, reason: string) => void = () => {},
  ): void {
    for (const watch of this.#watches) {
      const reason = watch.identity === null ? null : endOf(watch.identity);
      if (reason === null) continue;
      watch.onEnd();
      onClosed(watch.identity!, reason);
    }
    for (const client of this.#clients) {
      const reason = endOf(client.identity);
      if (reason === null || client.isClosing) continue;
      client.close(CLOSE_TOKEN_ENDED, reason);
      onClosed(client.identity, reason);
      // A client that never answers the closing handshake must not keep a connection without a token.
      setTimeout(() => client.terminate(), CLOSE_TIMEOUT_MS).unref();
    }
  }

  /** Counts an oversized or malformed frame. ws closes the socket itself, and `close` follows. */
  countBrokenFrame(error: Error): void {
    this.#options.incidents.refuse('websocket', 'size', () => {
      return `a feed client broke the WebSocket protocol: ${error.message}`;
    });
  }

  /** Unsubscribes from the runtime, closes every client, and resolves when all sockets are closed. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #handleChange(client: FeedClient, { type, topics }: ClientMessage): void {
    // Without this a new page would stay empty for up to a second.
    if (type === 'subscribe' && topics.includes('stats')) this.#offerStats(client);
    if (topics.includes('preview') || topics.includes('detections')) this.#updateWanted();
  }

  #publishStats(report: StreamsReply): void {
    if (this.#clients.size > 0) void this.#port.look?.();
    this.#seq += 1;
    this.#stats = new StatsParts(this.#seq, this.#withRollout(report));
    const ids = new Set(report.streams.map(({ id }) => id));
    for (const client of this.#clients) {
      client.subscription.keepOnly(ids);
      this.#offerStats(client);
    }
    // A client that watches all streams also watches new ones.
    this.#updateWanted();
  }

  #offerStats(client: FeedClient): void {
    const { subscription, outbox, identity } = client;
    const stats = this.#stats.of(identity.streams);
    const streams = subscription.streamsOf('stats');
    if (streams === null) return;
    client.offer('stats', '', () => stats.encode(subscription.formatOf('stats'), streams, outbox.droppedTotal));
  }

  #publishPreview(picture: PreviewPicture): void {
    const { streamId } = picture.frame;
    if (!this.#previews.has(streamId)) return;
    for (const watch of this.#watches) if (watch.stream === streamId) watch.onPicture?.(picture);
    this.#publish(
      'preview',
      streamId,
      () => previewMessage(picture),
      (subscription) => subscription.takePreview(streamId),
    );
    const isOwn = picture.pictureUs === undefined && picture.hasResult !== false;
    if (isOwn) this.#shadows.addPicture(streamId, picture.frame.frame);
  }

  #publishDetections(frame: PublishedFrame): void {
    this.#publish(
      'detections',
      frame.streamId,
      () => detectionsMessage(frame),
      (subscription) => subscription.takeDetections(frame),
    );
  }

  #publishShadow(found: ShadowObservation): void {
    const { stream } = found;
    // A slot of its own, or it would replace the picture that it belongs to.
    this.#publish(
      'preview',
      stream,
      () => shadowMessage(found),
      () => true,
      `${stream} shadow`,
    );
  }

  #withRollout(report: StreamsReply): StreamsReply {
    const reports = (this.#options.rollouts ?? []).flatMap((port) => port.rollout() ?? []);
    // Of several detectors, the one that is rolled out now, or was at last.
    const rollout = reports.toSorted((a, b) => (b.endedMs ?? Infinity) - (a.endedMs ?? Infinity) || 0)[0];
    return rollout === undefined ? report : { ...report, rollout };
  }

  #publishEvent(event: EventMessage): void {
    if (event.kind === 'stream-removed' && event.stream !== undefined) {
      this.#shadows.forget(event.stream);
      for (const watch of this.#watches) if (watch.stream === event.stream) watch.onEnd();
    }
    this.#options.history?.add(event);
    this.#publish('events', event.stream, () => event);
  }

  /**
   * Offers a message to all subscribed clients. It is encoded once for each format, when the first client takes it.
   *
   * @param isDue - is asked for each subscribed client and may start its next interval.
   * @param slot - a slow client keeps the newest message of a topic for each slot.
   */
  #publish(
    topic: Topic,
    stream: string | undefined,
    make: () => ServerMessage<Uint8Array>,
    isDue: (subscription: Subscription) => boolean = () => true,
    slot = stream ?? '',
  ): void {
    const message = new SharedMessage(make);
    for (const client of this.#clients) {
      const { subscription } = client;
      if (!subscription.wants(topic, stream) || !isDue(subscription)) continue;
      client.offer(topic, slot, message.renderAs(subscription.formatOf(topic)));
    }
  }

  #updateWanted(): void {
    const requests = (topic: Topic): ReturnType<Subscription['streamsOf']>[] =>
      [...this.#clients].map(({ subscription }) => subscription.streamsOf(topic));
    const watched = [...this.#watches].flatMap(({ stream, onPicture }) => (onPicture === undefined ? [] : stream));
    this.#previews.update([...requests('preview'), new Set(watched)]);
    this.#detections.update(requests('detections'));
  }

  #scheduleHeartbeat(): void {
    this.#stopHeartbeat = this.#options.clock.setTimer(() => {
      this.#scheduleHeartbeat();
      for (const client of this.#clients) this.#options.incidents.run('the feed', () => client.checkAlive());
    }, this.#options.heartbeatMs);
  }

  async #close(): Promise<void> {
    this.#stopHeartbeat();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#previews.update([]);
    this.#detections.update([]);
    for (const watch of this.#watches) watch.onEnd();
    const clients = [...this.#clients];
    const allClosed = Promise.all(clients.map((client) => client.whenClosed()));
    for (const client of clients) client.close(CLOSE_GOING_AWAY, 'the gateway is shutting down');
    const timer = setTimeout(() => {
      for (const client of clients) client.terminate();
    }, CLOSE_TIMEOUT_MS);
    await allClosed;
    clearTimeout(timer);
  }
}

function addCounts(
  into: { readonly sent: TopicCounts; readonly dropped: TopicCounts },
  from: { readonly sent: Readonly<TopicCounts>; readonly dropped: Readonly<TopicCounts> },
): void {
  for (const topic of TOPICS) {
    into.sent[topic] += from.sent[topic];
    into.dropped[topic] += from.dropped[topic];
  }
}
