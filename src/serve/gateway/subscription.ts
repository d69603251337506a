import type { Clock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import type { FeedFormat, SubscribeMessage, Topic } from '../../wire/protocol/feed.ts';
import type { StreamScope } from './access/stream-scope.ts';
import { ChangeFilter } from './change-filter.ts';

/** Tolerance for moved boxes if the client states none: detectors move the box of a thing at rest by a pixel or two. */
const MOVED_PX = 4;
/** Timers and decoders jitter: a picture may be this part of an interval early or late without delaying the next. */
const JITTER_RATIO = 0.2;

interface Wanted {
  readonly streams: 'all' | ReadonlySet<string>;
  readonly format: FeedFormat;
}

/** What one client wants: topics, streams, format and rates. A new `subscribe` of a topic replaces the earlier one. */
export class Subscription {
  readonly #clock: Clock;
  readonly #scope: StreamScope;
  readonly #wanted = new Map<Topic, Wanted>();
  /** Null: every frame. */
  #changes: ChangeFilter | null = null;
  /** Null: every picture that is made. */
  #pace: PreviewPace | null = null;

  /** @param scope - the only streams that the client may see. */
  constructor(clock: Clock, scope?: StreamScope) {
    this.#clock = clock;
    this.#scope = scope;
  }

  add({ topics, streams, format, detections, movedPx, previewFps }: SubscribeMessage): void {
    const scope = this.#scope;
    const seen = scope === undefined ? streams : [...scope].filter((id) => streams?.includes(id) !== false);
    const wanted: Wanted = { streams: seen === undefined ? 'all' : new Set(seen), format: format ?? 'json' };
    for (const topic of topics) this.#wanted.set(topic, wanted);
    if (topics.includes('detections'))
      this.#changes = detections === 'changes' ? new ChangeFilter(movedPx ?? MOVED_PX, this.#clock) : null;
    if (topics.includes('preview'))
      this.#pace = previewFps === undefined ? null : new PreviewPace(previewFps, this.#clock);
  }

  remove(topics: readonly Topic[]): void {
    for (const topic of topics) this.#wanted.delete(topic);
  }

  /** `stream` is undefined for messages about the host: every subscriber of the topic gets them who may see all streams. */
  wants(topic: Topic, stream: string | undefined): boolean {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) return false;
    if (stream === undefined) return this.#scope === undefined;
    return wanted.streams === 'all' || wanted.streams.has(stream);
  }

  streamsOf(topic: Topic): 'all' | ReadonlySet<string> | null {
    return this.#wanted.get(topic)?.streams ?? null;
  }

  formatOf(topic: Topic): FeedFormat {
    return this.#wanted.get(topic)?.format ?? 'json';
  }

  /** Returns whether this frame's detections are sent to the client. Call once for each frame of a wanted stream. */
  takeDetections(frame: PublishedFrame): boolean {
    return this.#changes?.tryTake(frame) ?? true;
  }

  /** Returns whether the client's rate allows a picture of the stream now, and if so, starts the next interval. */
  takePreview(streamId: string): boolean {
    return this.#pace?.tryTake(streamId) ?? true;
  }

  /** Forgets what was sent of all other streams: they no longer exist. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    this.#changes?.keepOnly(streamIds);
    this.#pace?.keepOnly(streamIds);
  }
}

/** Limits how many preview pictures of each stream a client gets per second. */
class PreviewPace {
  readonly #gapMs: number;
  readonly #clock: Clock;
  readonly #dueMs = new Map<string, number>();

  constructor(maxFps: number, clock: Clock) {
    this.#gapMs = 1000 / maxFps;
    this.#clock = clock;
  }

  /** Forgets all other streams. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#dueMs.keys()) if (!streamIds.has(id)) this.#dueMs.delete(id);
  }

  /** Returns whether a picture of the stream may be sent now, and if so, starts the next interval. */
  tryTake(streamId: string): boolean {
    const now = this.#clock.now();
    const due = this.#dueMs.get(streamId) ?? now;
    if (now < due - JITTER_RATIO * this.#gapMs) return false;
    this.#dueMs.set(streamId, Math.max(due, now - JITTER_RATIO * this.#gapMs) + this.#gapMs);
    return true;
  }
}
