import { type Clock, systemClock } from '../../../base/core/clock.ts';
import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import type { BusTopic } from '../../../wire/protocol/fleet.ts';
import type { PreviewBody, StatsBody, StreamFailure } from '../../../wire/protocol/fleet-bus.ts';
import type { RuntimePort } from '../../../wire/protocol/ports/runtime-port.ts';
import type { StreamsReply } from '../../../wire/protocol/rest.ts';
import { shortened } from '../../../wire/protocol/result-record.ts';
import type { FleetBus } from '../control-plane.ts';

const AUDIENCE_MS = 1_000;

/** What the publisher needs to know about its host's leases. */
export interface HeldLeases {
  /** Fence of the host's lease of a stream; null if it holds none. */
  fence(streamId: string): number | null;
  /** False from the moment that the lease may have expired, even if a renewal is in flight. */
  mayPublish(streamId: string): boolean;
  /** Every stream that the host must run, and why it cannot, if so. */
  streams(): readonly {
    readonly id: string;
    readonly fence: number | null;
    readonly failure: { readonly message: string } | null;
  }[];
}

export interface FleetPublisherOptions {
  readonly bus: FleetBus;
  readonly hostId: string;
  readonly port: Pick<RuntimePort, 'onReport' | 'onPublished' | 'onEvent' | 'onPreview' | 'watchPreviews'>;
  readonly leases: HeldLeases;
  readonly clock?: Clock;
  /** Counts exceptions in timers. */
  readonly incidents?: Incidents;
}

/**
 * Publishes the runtime's output for leased streams on the bus, each message with its fence. Events are always published; statistics,
 * and results and pictures of a stream, only while somebody subscribes to them, which is queried once a second. Nothing is
 * queued: what the bus cannot take is dropped, and the next message is newer.
 */
export class FleetPublisher {
  readonly #options: FleetPublisherOptions;
  readonly #clock: Clock;
  readonly #unsubscribe: readonly (() => void)[];
  /** Streams in this host's last report for which it holds a lease. */
  #streams: readonly string[] = [];
  #wanted: Readonly<Record<'detections' | 'preview', ReadonlySet<string>>> = NO_AUDIENCE;
  /** Somebody receives statistics. */
  #isFollowed = true;
  #withheldCount = 0;
  #isClosed = false;
  #stopTimer: () => void = () => {};

  constructor(options: FleetPublisherOptions) {
    const { port } = options;
    this.#options = options;
    const incidents = options.incidents ?? new Incidents();
    this.#clock = incidents.clock('the publisher', options.clock ?? systemClock);
    this.#unsubscribe = [
      port.onReport((report) => this.#publishStats(report)),
      port.onPublished((frame) => this.#publishFrame(frame)),
      port.onPreview((picture) => this.#publishPreview(picture)),
      port.onEvent((event) => this.#publishEvent(event)),
    ];
    this.#schedule();
  }

  /** Messages not published because the stream's lease may have expired. */
  get withheldCount(): number {
    return this.#withheldCount;
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#setAudience(NO_AUDIENCE);
  }

  #publishStats({ timeMs, streams, host }: StreamsReply): void {
    const held = streams.flatMap((stream) => {
      const fence = this.#fence(stream.id);
      return fence === null ? [] : [{ ...stream, fence }];
    });
    this.#streams = held.map(({ id }) => id);
    if (!this.#isFollowed) return;
    const body: StatsBody = { timeMs, streams: held, failures: this.#failures(), host };
    this.#publish('stats', null, null, body);
  }

  #publishFrame(frame: PublishedFrame): void {
    const { streamId } = frame;
    if (!this.#wanted.detections.has(streamId)) return;
    const fence = this.#fence(streamId);
    if (fence !== null) this.#publish('detections', streamId, fence, compact(frame));
  }

  #publishPreview({ frame, jpeg, ...which }: PreviewPicture): void {
    const { streamId } = frame;
    if (!this.#wanted.preview.has(streamId)) return;
    const fence = this.#fence(streamId);
    if (fence === null) return;
    const base64 = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength).toString('base64');
    const body: PreviewBody = { ...which, frame: compact(frame), jpeg: base64 };
    this.#publish('preview', streamId, fence, body);
  }

  #publishEvent(message: EventMessage): void {
    const event = { ...message, host: this.#options.hostId };
    if (event.stream === undefined) {
      this.#publish('events', null, null, event);
      return;
    }
    const fence = this.#fence(event.stream);
    if (fence !== null) this.#publish('events', event.stream, fence, event);
  }

  #failures(): readonly StreamFailure[] {
    return this.#options.leases
      .streams()
      .flatMap(({ id, fence, failure }) =>
        failure === null || fence === null ? [] : [{ id, fence, message: failure.message }],
      );
  }

  /** Returns null if nothing may be published for the stream. */
  #fence(streamId: string): number | null {
    const fence = this.#options.leases.fence(streamId);
    if (fence === null || this.#options.leases.mayPublish(streamId)) return fence;
    this.#withheldCount += 1;
    return null;
  }

  #publish(topic: BusTopic, stream: string | null, fence: number | null, body: unknown): void {
    this.#options.bus.publish({ topic, hostId: this.#options.hostId, stream, fence, body });
  }

  #schedule(): void {
    this.#stopTimer = this.#clock.setTimer(() => this.#queryAudience(), AUDIENCE_MS);
  }

  async #queryAudience(): Promise<void> {
    const { bus } = this.#options;
    const ask = (topic: BusTopic): Promise<ReadonlySet<string>> => bus.audience(topic, this.#streams);
    try {
      const [detections, preview, { size }] = await Promise.all([
        ask('detections'),
        ask('preview'),
        bus.audience('stats', ['']),
      ]);
      this.#isFollowed = size > 0;
      if (!this.#isClosed) this.#setAudience({ detections, preview });
    } catch {
      // Without a connection to the bus no message would arrive, so encoding would be wasted.
      if (!this.#isClosed) this.#setAudience(NO_AUDIENCE);
    } finally {
      if (!this.#isClosed) this.#schedule();
    }
  }

  #setAudience(wanted: Readonly<Record<'detections' | 'preview', ReadonlySet<string>>>): void {
    this.#wanted = wanted;
    this.#options.port.watchPreviews(wanted.preview);
  }
}

const NO_AUDIENCE = { detections: new Set<string>(), preview: new Set<string>() } as const;

/** Shortens the numbers of detections: f32 values would be printed with 17 digits. */
function compact(frame: PublishedFrame): PublishedFrame {
  return { ...frame, detections: frame.detections.map(shortened) };
}
