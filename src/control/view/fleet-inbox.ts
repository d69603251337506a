import type { Clock } from '../../core/clock.ts';
import type { PublishedFrame } from '../../core/frame.ts';
import { Listeners } from '../../flow/listeners.ts';
import type { PreviewPicture } from '../../gateway/runtime-port.ts';
import type { EventMessage } from '../../protocol/feed.ts';
import { readEvent, readFrame, readPreview, readStats } from '../../protocol/fleet-bus.ts';
import type { BusMessage, FleetBus, FleetSnapshot } from '../control-plane.ts';
import { BusStreams } from './bus-streams.ts';
import { FenceWatch } from './fence-watch.ts';
import { HostWatch } from './host-watch.ts';

/**
 * What a gateway hears from the hosts: statistics and events of all, results and pictures of the streams that somebody
 * wants. What an older holder of a stream says, and what has not the expected shape, is dropped and counted.
 */
export class FleetInbox {
  readonly hosts = new HostWatch();
  readonly fences = new FenceWatch();
  readonly frames = new Listeners<PublishedFrame>();
  readonly events = new Listeners<EventMessage>();
  readonly pictures = new Listeners<PreviewPicture>();
  readonly #clock: Clock;
  readonly #detections: BusStreams;
  readonly #previews: BusStreams;
  readonly #unsubscribe: readonly (() => void)[];
  #malformedMessages = 0;

  constructor(bus: FleetBus, clock: Clock) {
    this.#clock = clock;
    this.#detections = new BusStreams(bus, 'detections', (message) => this.#takeFrame(message));
    this.#previews = new BusStreams(bus, 'preview', (message) => this.#takePreview(message));
    this.#unsubscribe = [
      bus.subscribe('stats', null, (message) => this.#takeStats(message)),
      bus.subscribe('events', null, (message) => this.#takeEvent(message)),
    ];
  }

  get staleMessages(): number {
    return this.fences.staleCount;
  }

  get malformedMessages(): number {
    return this.#malformedMessages;
  }

  /** Takes what the control plane knows: who is there, and the newest lease of each stream. */
  see(snapshot: FleetSnapshot): void {
    this.hosts.see(snapshot, this.#clock.now());
    this.fences.keepOnly(new Set(snapshot.orders.map(({ id }) => id)));
    for (const [streamId, { fence }] of snapshot.leases) this.fences.raise(streamId, fence);
  }

  watchDetections(streamIds: ReadonlySet<string>): void {
    this.#detections.want(streamIds);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.#previews.want(streamIds);
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#detections.want(new Set());
    this.#previews.want(new Set());
  }

  #takeStats({ hostId, body }: BusMessage): void {
    const stats = this.#checked(readStats(body));
    if (stats === null) return;
    const streams = stats.streams.filter(({ id, fence }) => this.fences.admits(id, fence ?? null));
    this.hosts.hear(hostId, { ...stats, streams }, this.#clock.now());
  }

  #takeFrame(message: BusMessage): void {
    const frame = this.#checked(readFrame(message.body));
    if (frame !== null && this.#isNewest(message, frame.streamId)) this.frames.emit(frame);
  }

  #takePreview(message: BusMessage): void {
    const preview = this.#checked(readPreview(message.body));
    if (preview === null || !this.#isNewest(message, preview.frame.streamId)) return;
    this.pictures.emit({ frame: preview.frame, jpeg: Buffer.from(preview.jpeg, 'base64') });
  }

  #takeEvent(message: BusMessage): void {
    const event = this.#checked(readEvent(message.body));
    if (event === null) return;
    // Without a stream on the envelope it is a host's own or the planner's, which may name a stream that nobody holds.
    if (message.stream !== null && !this.#isNewest(message, event.stream ?? '')) return;
    this.events.emit(event);
  }

  /** The fence of the envelope counts for the stream that the body is of, and for no other. */
  #isNewest({ stream, fence }: BusMessage, streamId: string): boolean {
    return this.fences.admits(streamId, stream === streamId ? fence : null);
  }

  #checked<T>(body: T | null): T | null {
    if (body === null) this.#malformedMessages += 1;
    return body;
  }
}
