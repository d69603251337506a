import type { Clock } from '../../../base/core/clock.ts';
import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import type { BusTopic } from '../../../wire/protocol/fleet.ts';
import { type Reading, readEvent, readFrame, readPreview, readStats } from '../../../wire/protocol/fleet-bus.ts';
import type { BusMessage, FleetBus, FleetSnapshot, FleetState } from '../control-plane.ts';
import { FenceWatch } from './fence-watch.ts';
import { HostWatch } from './host-watch.ts';
import { LeaseInquiry } from './lease-inquiry.ts';

/** Events that may wait for a lease record; further ones are refused. */
const MAX_HELD_EVENTS = 100;

export interface FleetInboxOptions {
  readonly bus: FleetBus;
  readonly state: Pick<FleetState, 'leases'>;
  readonly clock: Clock;
  readonly incidents?: Incidents | undefined;
}

interface HeldEvent {
  readonly message: BusMessage;
  readonly event: EventMessage;
  /** Number of the lease lookup that decides on it. */
  readonly lookup: number;
}

/**
 * Receives the hosts' messages for a gateway: events of all hosts, statistics while they are followed, results and pictures of the watched
 * streams. Messages from an older holder of a stream, with a fence that no lease record confirms, or with an invalid body
 * are refused and counted.
 */
export class FleetInbox {
  readonly hosts = new HostWatch();
  readonly fences = new FenceWatch();
  readonly frames: Listeners<PublishedFrame>;
  readonly events: Listeners<EventMessage>;
  readonly pictures: Listeners<PreviewPicture>;
  readonly #bus: FleetBus;
  readonly #clock: Clock;
  readonly #incidents: Incidents;
  readonly #inquiry: LeaseInquiry;
  readonly #detections: BusStreams;
  readonly #previews: BusStreams;
  readonly #unsubscribe: () => void;
  /** Null while statistics are not followed. */
  #unfollow: (() => void) | null = null;
  /** Streams of the newest snapshot: the only ones whose records are looked up. */
  #ordered: ReadonlySet<string> = new Set();
  #held: HeldEvent[] = [];
  #staleMessages = 0;
  #malformedMessages = 0;

  constructor({ bus, state, clock, incidents = new Incidents() }: FleetInboxOptions) {
    this.#clock = clock;
    this.#incidents = incidents;
    this.frames = new Listeners('results', incidents);
    this.events = new Listeners('events', incidents);
    this.pictures = new Listeners('pictures', incidents);
    this.#inquiry = new LeaseInquiry({
      read: (streamIds) => state.leases(streamIds),
      onAnswer: (leases, lookup) => {
        for (const [id, lease] of leases) if (this.#ordered.has(id)) this.fences.confirm(id, lease);
        this.#judgeHeld(lookup);
      },
      clock,
      incidents,
    });
    this.#detections = new BusStreams(bus, 'detections', (message) => this.#takeFrame(message));
    this.#previews = new BusStreams(bus, 'preview', (message) => this.#takePreview(message));
    this.#bus = bus;
    this.#unsubscribe = bus.subscribe('events', null, (message) => this.#takeEvent(message));
  }

  /** Begins or ends to receive the statistics of all hosts, which they publish only while somebody does. */
  follow(isOn: boolean): void {
    if (isOn === (this.#unfollow !== null)) return;
    this.#unfollow?.();
    this.#unfollow = isOn ? this.#bus.subscribe('stats', null, (message) => this.#takeStats(message)) : null;
  }

  get isFollowing(): boolean {
    return this.#unfollow !== null;
  }

  get staleMessages(): number {
    return this.#staleMessages;
  }

  get malformedMessages(): number {
    return this.#malformedMessages;
  }

  /** Takes a snapshot of the control plane: the live hosts and the newest lease of each stream. */
  update(snapshot: FleetSnapshot): void {
    this.hosts.update(snapshot, this.#clock.now(), this.isFollowing);
    this.#ordered = new Set(snapshot.orders.map(({ id }) => id));
    this.fences.update(snapshot.leases, this.#clock.now());
    this.fences.keepOnly(this.#ordered);
    this.#judgeHeld(null);
  }

  watchDetections(streamIds: ReadonlySet<string>): void {
    this.#detections.setStreams(streamIds);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.#previews.setStreams(streamIds);
  }

  close(): void {
    this.follow(false);
    this.#unsubscribe();
    this.#inquiry.close();
    this.#detections.setStreams(new Set());
    this.#previews.setStreams(new Set());
  }

  /** Keeps streams with an unconfirmed fence in the report: they are shown as soon as a lease record confirms it. */
  #takeStats({ hostId, body }: BusMessage): void {
    const stats = this.#checked('bus-stats', readStats(body));
    if (stats === null) return;
    const streams = stats.streams.filter(({ id, fence = null }) => {
      const verdict = this.fences.judge(id, hostId, fence);
      if (verdict !== 'current') this.#refuse('bus-stats', verdict, id, hostId, fence);
      return verdict === 'current' || verdict === 'newer';
    });
    const isKept = this.hosts.takeStats(hostId, { ...stats, streams }, this.#clock.now());
    if (!isKept) this.#incidents.refuse('bus-stats', 'envelope', () => `host ${hostId} has no card in the fleet`);
  }

  #takeFrame(message: BusMessage): void {
    const frame = this.#checked('bus-detections', readFrame(message.body));
    if (frame !== null && this.#isCurrent('bus-detections', message, frame.streamId)) this.frames.emit(frame);
  }

  #takePreview(message: BusMessage): void {
    const preview = this.#checked('bus-preview', readPreview(message.body));
    if (preview === null || !this.#isCurrent('bus-preview', message, preview.frame.streamId)) return;
    this.pictures.emit({ ...preview, jpeg: Buffer.from(preview.jpeg, 'base64') });
  }

  /** A new holder's first events arrive before its lease record is read, so they wait for it: events are few and matter. */
  #takeEvent(message: BusMessage): void {
    const event = this.#checked('bus-events', readEvent(message.body));
    if (event === null) return;
    const { stream, hostId, fence } = message;
    // Without a stream in the envelope the event is about a host or from the planner, which may name a stream without a lease.
    if (stream === null) {
      this.events.emit(event);
      return;
    }
    const isHeldBack =
      stream === event.stream &&
      this.#ordered.has(stream) &&
      this.#held.length < MAX_HELD_EVENTS &&
      this.fences.judge(stream, hostId, fence) === 'newer';
    if (isHeldBack) {
      this.#held.push({ message, event, lookup: this.#inquiry.ask(stream) });
    } else if (this.#isCurrent('bus-events', message, event.stream ?? '')) this.events.emit(event);
  }

  /** Decides on waiting events after lease records were read. @param lookup - its number; null for a snapshot. */
  #judgeHeld(lookup: number | null): void {
    const held = this.#held;
    this.#held = [];
    for (const each of held) {
      const { message, event } = each;
      const { stream, hostId, fence } = message;
      const isOpen = stream !== null && this.fences.judge(stream, hostId, fence) === 'newer';
      if (isOpen && (lookup === null || lookup < each.lookup)) this.#held.push(each);
      else if (this.#isCurrent('bus-events', message, event.stream ?? '', false)) this.events.emit(event);
    }
  }

  /** Checks the fence of the envelope, which counts only if the envelope and the body name the same stream. */
  #isCurrent(
    channel: 'bus-detections' | 'bus-preview' | 'bus-events',
    { stream, hostId, fence }: BusMessage,
    streamId: string,
    mayAsk = true,
  ): boolean {
    const own = stream === streamId ? fence : null;
    const verdict = this.fences.judge(streamId, hostId, own);
    if (verdict === 'current') return true;
    this.#refuse(channel, verdict, streamId, hostId, own, mayAsk);
    return false;
  }

  #refuse(
    channel: 'bus-stats' | 'bus-detections' | 'bus-preview' | 'bus-events',
    verdict: 'stale' | 'newer' | 'foreign',
    streamId: string,
    hostId: string,
    fence: number | null,
    mayAsk = true,
  ): void {
    if (verdict === 'stale') this.#staleMessages += 1;
    if (verdict === 'newer' && mayAsk && this.#ordered.has(streamId)) this.#inquiry.ask(streamId);
    const why = {
      stale: 'an older lease than the newest',
      newer: 'a lease that no record confirms',
      foreign: 'the lease of another host',
    }[verdict];
    this.#incidents.refuse(
      channel,
      verdict === 'stale' ? 'stale' : 'fence',
      () => `host ${hostId}, stream ${streamId}, fence ${fence}: ${why}`,
    );
  }

  #checked<T>(channel: 'bus-stats' | 'bus-detections' | 'bus-preview' | 'bus-events', reading: Reading<T>): T | null {
    if ('body' in reading) return reading.body;
    this.#malformedMessages += 1;
    this.#incidents.refuse(channel, 'schema', () => reading.complaint);
    return null;
  }
}

/** Keeps subscriptions to one topic for a changing set of streams. */
class BusStreams {
  readonly #bus: FleetBus;
  readonly #topic: BusTopic;
  readonly #listener: (message: BusMessage) => void;
  readonly #open = new Map<string, () => void>();

  constructor(bus: FleetBus, topic: BusTopic, listener: (message: BusMessage) => void) {
    this.#bus = bus;
    this.#topic = topic;
    this.#listener = listener;
  }

  /** Subscribes to these streams and unsubscribes from all others. */
  setStreams(streamIds: ReadonlySet<string>): void {
    for (const [id, unsubscribe] of this.#open) {
      if (streamIds.has(id)) continue;
      unsubscribe();
      this.#open.delete(id);
    }
    for (const id of streamIds) {
      if (!this.#open.has(id)) this.#open.set(id, this.#bus.subscribe(this.#topic, id, this.#listener));
    }
  }
}
