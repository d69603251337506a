import { type Clock, systemClock } from '../../core/clock.ts';
import type { PublishedFrame } from '../../core/frame.ts';
import { shortened } from '../../gateway/feed-encoding.ts';
import type { PreviewPicture, RuntimePort, RuntimeReport } from '../../gateway/runtime-port.ts';
import type { EventMessage } from '../../protocol/feed.ts';
import type { BusTopic } from '../../protocol/fleet.ts';
import type { PreviewBody, StatsBody, StreamFailure } from '../../protocol/fleet-bus.ts';
import { Incidents } from '../../telemetry/incidents.ts';
import type { FleetBus } from '../control-plane.ts';

const AUDIENCE_MS = 1_000;

/** What the publisher needs to know of the leases that its host holds. */
export interface HeldLeases {
  /** Fence of the lease that the host runs a stream under; null where it holds none. */
  fence(streamId: string): number | null;
  /** False from the moment that the lease may have run out, whatever is still on the way. */
  mayPublish(streamId: string): boolean;
  /** Every stream that the host is to run, with what keeps it from that. */
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
  /** Counts exceptions of timers. */
  readonly incidents?: Incidents;
}

/**
 * A host's voice in the fleet: puts what its runtime says of leased streams on the bus, each message with its fence.
 * Statistics and events always go; results and pictures only of streams that somebody listens to, asked once a second.
 * Nothing is queued: what the bus cannot take is gone, and the next message is newer.
 */
export class FleetPublisher {
  readonly #options: FleetPublisherOptions;
  readonly #clock: Clock;
  readonly #unsubscribe: readonly (() => void)[];
  /** Streams that this host holds, as its last report had them. */
  #streams: readonly string[] = [];
  #wanted: Readonly<Record<'detections' | 'preview', ReadonlySet<string>>> = NOBODY;
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

  /** Messages of streams whose lease may have run out. */
  get withheldCount(): number {
    return this.#withheldCount;
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listen(NOBODY);
  }

  #publishStats({ timeMs, streams, host }: RuntimeReport): void {
    const held = streams.flatMap((stream) => {
      const fence = this.#fence(stream.id);
      return fence === null ? [] : [{ ...stream, fence }];
    });
    this.#streams = held.map(({ id }) => id);
    const body: StatsBody = { timeMs, streams: held, failures: this.#failures(), host };
    this.#publish('stats', null, null, body);
  }

  #publishFrame(frame: PublishedFrame): void {
    const { streamId } = frame;
    if (!this.#wanted.detections.has(streamId)) return;
    const fence = this.#fence(streamId);
    if (fence !== null) this.#publish('detections', streamId, fence, compact(frame));
  }

  #publishPreview({ frame, jpeg }: PreviewPicture): void {
    const { streamId } = frame;
    if (!this.#wanted.preview.has(streamId)) return;
    const fence = this.#fence(streamId);
    if (fence === null) return;
    const base64 = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength).toString('base64');
    const body: PreviewBody = { frame: compact(frame), jpeg: base64 };
    this.#publish('preview', streamId, fence, body);
  }

  #publishEvent(told: EventMessage): void {
    const event = { ...told, host: this.#options.hostId };
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

  /** null where nothing may be said of the stream. */
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
    this.#stopTimer = this.#clock.setTimer(() => this.#askAudience(), AUDIENCE_MS);
  }

  async #askAudience(): Promise<void> {
    const { bus } = this.#options;
    const ask = (topic: BusTopic): Promise<ReadonlySet<string>> => bus.audience(topic, this.#streams);
    try {
      const [detections, preview] = await Promise.all([ask('detections'), ask('preview')]);
      if (!this.#isClosed) this.#listen({ detections, preview });
    } catch {
      // Who cannot be asked cannot be reached either: encoding for them would be work for nobody.
      if (!this.#isClosed) this.#listen(NOBODY);
    } finally {
      if (!this.#isClosed) this.#schedule();
    }
  }

  #listen(wanted: Readonly<Record<'detections' | 'preview', ReadonlySet<string>>>): void {
    this.#wanted = wanted;
    this.#options.port.watchPreviews(wanted.preview);
  }
}

const NOBODY = { detections: new Set<string>(), preview: new Set<string>() } as const;

/** As many digits as anybody can use: f32 figures print with 17. */
function compact(frame: PublishedFrame): PublishedFrame {
  return { ...frame, detections: frame.detections.map(shortened) };
}
