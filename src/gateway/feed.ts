import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../core/clock.ts';
import { type ClientMessage, type EventMessage, FEED_PROTOCOL, TOPICS, type Topic } from '../protocol/feed.ts';
import type { Incidents } from '../telemetry/incidents.ts';
import { FeedClient } from './feed-client.ts';
import { detectionsMessage, encode, previewMessage, StatsParts } from './feed-encoding.ts';
import { noCounts, type TopicCounts } from './outbox.ts';
import { PreviewPace } from './preview-pace.ts';
import type { PreviewPicture, RuntimePort, RuntimeReport } from './runtime-port.ts';
import type { Subscription } from './subscription.ts';
import { WantedStreams } from './wanted-streams.ts';

/** The largest sensible message names a thousand streams. */
const MAX_CLIENT_MESSAGE_BYTES = 64 * 1024;
const RECENT_EVENTS = 200;
/** How long a client may take to answer the closing handshake. */
const CLOSE_PATIENCE_MS = 500;
/** RFC 6455, 7.4.1: the server goes away. */
const CLOSE_GOING_AWAY = 1001;

export interface FeedOptions {
  readonly version: string;
  readonly maxPreviewFps: number;
  readonly maxBufferedBytes: number;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly incidents: Incidents;
}

/** What the feed has done since it started, for the metrics. */
export interface FeedFigures {
  readonly clients: number;
  readonly sent: Readonly<TopicCounts>;
  readonly dropped: Readonly<TopicCounts>;
}

/** The `/ws` feed: takes what the runtime says and gives each client the part that it asked for and can take. */
export class Feed {
  readonly #port: RuntimePort;
  readonly #options: FeedOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_CLIENT_MESSAGE_BYTES,
  });
  readonly #clients = new Set<FeedClient>();
  readonly #gone = { sent: noCounts(), dropped: noCounts() };
  readonly #events: EventMessage[] = [];
  readonly #pace: PreviewPace;
  readonly #previews: WantedStreams;
  readonly #detections: WantedStreams;
  readonly #unsubscribe: readonly (() => void)[];
  #stats: StatsParts;
  #seq = 0;
  #stopHeartbeat: () => void = () => {};
  #closed: Promise<void> | null = null;

  constructor(port: RuntimePort, options: FeedOptions) {
    this.#port = port;
    this.#options = options;
    this.#stats = new StatsParts(this.#seq, port.report());
    this.#pace = new PreviewPace(options.maxPreviewFps, options.clock);
    const known = (): string[] => port.report().streams.map(({ id }) => id);
    this.#previews = new WantedStreams(known, (ids) => {
      this.#pace.keepOnly(ids);
      port.watchPreviews(ids);
    });
    this.#detections = new WantedStreams(known, (ids) => port.watchDetections?.(ids));
    const guard: Incidents['guard'] = (place, handler) => options.incidents.guard(place, handler);
    this.#unsubscribe = [
      port.onReport(guard('the feed', (report) => this.#tellStats(report))),
      port.onPublished(
        guard('the feed', (frame) => this.#tell('detections', frame.streamId, () => encode(detectionsMessage(frame)))),
      ),
      port.onPreview(guard('the feed', (picture) => this.#tellPreview(picture))),
      port.onEvent(guard('the feed', (event) => this.#logEvent(event))),
    ];
    this.#scheduleHeartbeat();
  }

  get figures(): FeedFigures {
    const sent = { ...this.#gone.sent };
    const dropped = { ...this.#gone.dropped };
    for (const { outbox } of this.#clients) addCounts({ sent, dropped }, outbox);
    return { clients: this.#clients.size, sent, dropped };
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** Newest last. */
  get recentEvents(): readonly EventMessage[] {
    return this.#events;
  }

  /** Completes the handshake of a request that the guard let pass. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#closed !== null) socket.destroy();
    else this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#welcome(webSocket));
  }

  /** Takes no more from the runtime, says good-bye, and resolves when every socket is gone. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #welcome(socket: WebSocket): void {
    const streams = this.#port.report().streams.map((stream) => stream.id);
    const { version, maxBufferedBytes, clock, incidents } = this.#options;
    const client = new FeedClient(socket, {
      hello: { type: 'hello', protocol: FEED_PROTOCOL, version, topics: TOPICS, streams },
      capBytes: maxBufferedBytes,
      clock,
      incidents,
      onChange: (changed, change) => this.#handleChange(changed, change),
    });
    this.#clients.add(client);
    const onClose = (): void => {
      this.#clients.delete(client);
      addCounts(this.#gone, client.outbox);
      if (this.#closed === null) this.#updateWanted();
    };
    socket.on('close', incidents.guard('the feed', onClose));
    // An oversized or malformed frame; ws closes the socket itself, and `close` follows.
    socket.on(
      'error',
      incidents.guard('the feed', (error: Error) => {
        incidents.refuse('websocket', 'size', () => `a feed client broke the WebSocket protocol: ${error.message}`);
      }),
    );
  }

  #handleChange(client: FeedClient, { type, topics }: ClientMessage): void {
    // A page that opens should not stay empty for a second.
    if (type === 'subscribe' && topics.includes('stats')) this.#offerStats(client);
    if (topics.includes('preview') || topics.includes('detections')) this.#updateWanted();
  }

  #tellStats(report: RuntimeReport): void {
    this.#seq += 1;
    this.#stats = new StatsParts(this.#seq, report);
    for (const client of this.#clients) this.#offerStats(client);
    // Streams come and go, and who watches all of them watches the new ones too.
    this.#updateWanted();
  }

  #offerStats(client: FeedClient): void {
    const stats = this.#stats;
    const streams = client.subscription.streamsOf('stats');
    if (streams !== null) client.offer('stats', '', () => stats.encode(streams, client.outbox.droppedTotal));
  }

  #tellPreview(picture: PreviewPicture): void {
    const { streamId } = picture.frame;
    if (!this.#previews.has(streamId) || !this.#pace.mayGo(streamId)) return;
    this.#tell('preview', streamId, () => encode(previewMessage(picture)));
  }

  #logEvent(event: EventMessage): void {
    this.#events.push(event);
    if (this.#events.length > RECENT_EVENTS) this.#events.shift();
    this.#tell('events', event.stream, () => encode(event));
  }

  /** Makes the bytes when the first client wants them, and once. */
  #tell(topic: Topic, stream: string | undefined, make: () => Buffer): void {
    let bytes: Buffer | null = null;
    const render = (): Buffer => {
      bytes ??= make();
      return bytes;
    };
    for (const client of this.#clients) {
      if (client.subscription.wants(topic, stream)) client.offer(topic, stream ?? '', render);
    }
  }

  #updateWanted(): void {
    const wishes = (topic: Topic): ReturnType<Subscription['streamsOf']>[] =>
      [...this.#clients].map(({ subscription }) => subscription.streamsOf(topic));
    this.#previews.update(wishes('preview'));
    this.#detections.update(wishes('detections'));
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
    const sockets = [...this.#server.clients];
    const allGone = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    for (const client of this.#clients) client.close(CLOSE_GOING_AWAY, 'the gateway stops');
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.terminate();
    }, CLOSE_PATIENCE_MS);
    await allGone;
    clearTimeout(timer);
    this.#server.close();
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
