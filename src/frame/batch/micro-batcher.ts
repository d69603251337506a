/**
 * The micro-batcher decides which frames of which streams go to the device next.
 *
 * It has a staleness budget, for a measured reason: on a GPU a batch of 8 costs little more than one frame, so waiting
 * a few milliseconds for more frames multiplies throughput; on a CPU core it costs eight times as much, so waiting only
 * ages the frames. `BatchSizer` finds the best size; this file chooses the frames.
 */

/** One frame as the batcher sees it, without pixels or device. */
export interface BatchItem {
  readonly capturedMs: number;
  /** When it entered its queue; set by the batcher. */
  queuedMs: number;
}

export interface BatchStreamOptions {
  /** Higher goes first. */
  readonly priority: number;
  /** False: it gets nothing while a stream of higher priority has frames, not even its part of `FLOOR_RATIO`. Default true. */
  readonly hasFloor?: boolean;
  /** True: of batches that would be of files only, one in `GUEST_EVERY` begins with its frames, whatever its priority. Default false. */
  readonly isGuest?: boolean;
  /** Share of the model inputs among streams of the same priority. */
  readonly weight: number;
  /** Model inputs of one frame; default 1. */
  readonly views?: number;
  /** Frames that may wait; null if the sender is throttled by other means (files). */
  readonly queueSize: number | null;
  /** A frame older than this when its batch closes is dropped; null for never. */
  readonly maxAgeMs: number | null;
}

/** In each case, `stale` holds the frames that were too old and were removed; the caller must release their slots. */
export type NextBatch<T> =
  | {
      readonly kind: 'batch';
      readonly stale: readonly T[];
      readonly items: readonly T[];
      /** Model inputs of all items. More than the target size only if a single frame has more. */
      readonly inputs: number;
      /** True if no further frame was taken because its inputs would have exceeded the target size. */
      readonly isFull: boolean;
    }
  /** A larger batch would be faster: call again when a frame arrives, at the latest at this time. */
  | { readonly kind: 'wait'; readonly stale: readonly T[]; readonly untilMs: number }
  | { readonly kind: 'empty'; readonly stale: readonly T[] };

interface StreamQueue<T> {
  options: BatchStreamOptions;
  readonly waiting: T[];
  /** When its newest frame arrived. */
  lastAddedMs: number;
  /** Virtual time of weighted fair queueing; rises by 1 / weight per model input taken. */
  virtual: number;
  /** Number of the last frame taken from it, among those of all streams. */
  lastTaken: number;
  /** Time between its last two frames. */
  everyMs: number;
  /** All its frames since the last one that was taken became too old while the device was busy. */
  isUnserved: boolean;
}

/** A choice of the next frame's stream. */
interface Choice<T> {
  readonly stream: StreamQueue<T>;
  /** A frame of lower priority waits, and has to go on waiting. */
  readonly isOverLower: boolean;
  /** A stream has a higher priority, whether or not its frames wait. */
  readonly isBelow: boolean;
}

/**
 * Share of the model inputs that goes to streams of lower priority whose frames wait, however much those of higher priority need: none
 * of them stands still. They get it in turn.
 */
export const FLOOR_RATIO = 0.1;
const OVER_LOWER = 1 / FLOOR_RATIO - 1;

/** A file fills each batch as long as it lasts: a guest that waits gets one in so many of its batches, and none of those of live streams. */
export const GUEST_EVERY = 20;

/** A stream without a frame for this long is idle: a partial batch does not wait for it. */
const IDLE_MS = 1000;

/** Turns that a stream may be behind its share before the device waits for it, and those that it does not lose although no frame waits. */
const BEHIND = 1.5;
const MOST_BEHIND = 3;
/** Its next frame is expected after the time between the last two, and a little; a rarer one is not waited for. */
const LATE_FACTOR = 1.1;
const LONGEST_EVERY_MS = 2000;

const NONE: readonly never[] = [];

export class MicroBatcher<T extends BatchItem> {
  readonly #streams = new Map<string, StreamQueue<T>>();
  /** Virtual time of each priority: the starting point of a stream that was idle. */
  readonly #virtualNow = new Map<number, number>();
  readonly #maxDelayMs: number;
  #taken = 0;
  /** Model inputs that were taken while frames of a lower priority waited, less `OVER_LOWER` for each that went to these. */
  #overLower = 0;
  /** Batches of files in a row while a guest waited. */
  #withoutGuest = 0;

  /** @param options.maxDelayMs - longest time a frame waits for others to join its batch. */
  constructor(options: { readonly maxDelayMs: number }) {
    this.#maxDelayMs = options.maxDelayMs;
  }

  /** Adds a stream, or changes the options of one without touching its frames. */
  setStream(id: string, options: BatchStreamOptions): void {
    const existing = this.#streams.get(id);
    if (existing === undefined) {
      this.#streams.set(id, {
        options,
        waiting: [],
        lastAddedMs: Number.NEGATIVE_INFINITY,
        virtual: 0,
        lastTaken: 0,
        everyMs: 0,
        isUnserved: false,
      });
      return;
    }
    // Virtual times of two priorities are not comparable; keeping the old one would starve the stream or its new
    // neighbours.
    if (existing.options.priority !== options.priority) existing.virtual = this.#virtualNow.get(options.priority) ?? 0;
    existing.options = options;
  }

  /** Removes a stream and returns its waiting frames, in order. */
  removeStream(id: string): T[] {
    const stream = this.#streams.get(id);
    if (stream === undefined) return [];
    this.#streams.delete(id);
    const { priority } = stream.options;
    const isLast = ![...this.#streams.values()].some(({ options }) => options.priority === priority);
    if (isLast) this.#virtualNow.delete(priority);
    return stream.waiting;
  }

  /** True if the stream's queue is full, so that the next frame displaces the oldest. */
  isFull(id: string): boolean {
    const { options, waiting } = this.#stream(id);
    return options.queueSize !== null && waiting.length >= options.queueSize;
  }

  /** Adds a frame. @returns the oldest frames of the stream, which it displaced: several if the queue became shorter. */
  add(id: string, item: T, nowMs: number): readonly T[] {
    const stream = this.#stream(id);
    const { queueSize, priority } = stream.options;
    if (stream.waiting.length === 0) {
      // An idle stream saves nothing up; one that got nothing keeps its place, up to a few turns.
      const kept = stream.isUnserved ? MOST_BEHIND * turnOf(stream) : 0;
      stream.virtual = Math.max(stream.virtual, (this.#virtualNow.get(priority) ?? 0) - kept);
    }
    const over = queueSize === null ? 0 : stream.waiting.length + 1 - queueSize;
    const displaced = over > 0 ? stream.waiting.splice(0, over) : NONE;
    item.queuedMs = nowMs;
    stream.waiting.push(item);
    stream.everyMs = nowMs - stream.lastAddedMs;
    stream.lastAddedMs = nowMs;
    return displaced;
  }

  /** Requeues a frame whose batch failed, before all others of its stream, since their results wait for it. */
  putBack(id: string, item: T, nowMs: number): void {
    item.queuedMs = nowMs;
    this.#stream(id).waiting.unshift(item);
  }

  depth(id: string): number {
    return this.#streams.get(id)?.waiting.length ?? 0;
  }

  /**
   * Closes the next batch for an idle device.
   *
   * @param targetSize - the best number of model inputs; a smaller batch is sent if no more frames are expected or `maxDelayMs` has
   * passed.
   * @param singleCallMs - time of a call with one frame; a longer wait would not pay, since the frame could be inferred
   * alone.
   */
  next(nowMs: number, targetSize: number, singleCallMs = Number.POSITIVE_INFINITY): NextBatch<T> {
    const stale = this.#takeStale(nowMs);
    const count = this.waitingInputs;
    if (count === 0) return { kind: 'empty', stale };
    if (count < targetSize && this.#areMoreExpected(nowMs)) {
      const untilMs = this.#closesMs(Math.min(this.#maxDelayMs, singleCallMs));
      if (nowMs < untilMs) return { kind: 'wait', stale, untilMs };
    }
    const rescueMs = this.#rescueMs(nowMs);
    if (rescueMs !== null) return { kind: 'wait', stale, untilMs: rescueMs };
    const items: T[] = [];
    let inputs = 0;
    let isFull = false;
    const isTurn = this.#isGuestTurn();
    while (!isFull) {
      const pick = (isTurn ? this.#pickGuest() : null) ?? this.#pick();
      if (pick === null) break;
      const { views = 1 } = pick.stream.options;
      isFull = items.length > 0 && inputs + views > targetSize;
      if (isFull) break;
      items.push(this.#take(pick));
      inputs += views;
    }
    return { kind: 'batch', stale, items, inputs, isFull };
  }

  /** Counts a batch that is about to be made. @returns whether it begins with guests. */
  #isGuestTurn(): boolean {
    if (!this.hasGuest) {
      this.#withoutGuest = 0;
      return false;
    }
    if (this.hasLive) return false;
    this.#withoutGuest = (this.#withoutGuest + 1) % GUEST_EVERY;
    return this.#withoutGuest === 0;
  }

  /** The guest that got nothing for longest; null if none waits. */
  #pickGuest(): Choice<T> | null {
    let longest: StreamQueue<T> | null = null;
    for (const stream of this.#streams.values()) {
      if (stream.options.isGuest !== true || stream.waiting.length === 0) continue;
      if (longest === null || stream.lastTaken < longest.lastTaken) longest = stream;
    }
    return longest === null ? null : { stream: longest, isOverLower: false, isBelow: false };
  }

  /** Whether a frame of a guest waits. */
  get hasGuest(): boolean {
    for (const { options, waiting } of this.#streams.values())
      if (options.isGuest === true && waiting.length > 0) return true;
    return false;
  }

  /** Whether a frame of a live stream waits. */
  get hasLive(): boolean {
    for (const { options, waiting } of this.#streams.values())
      if (options.queueSize !== null && options.isGuest !== true && waiting.length > 0) return true;
    return false;
  }

  #takeStale(nowMs: number): T[] {
    const stale: T[] = [];
    for (const stream of this.#streams.values()) {
      const { options, waiting } = stream;
      if (options.maxAgeMs === null) continue;
      while (waiting.length > 0 && nowMs - waiting[0]!.capturedMs > options.maxAgeMs) {
        const item = waiting.shift()!;
        stale.push(item);
        // One that came too late was not kept waiting.
        if (item.queuedMs - item.capturedMs < options.maxAgeMs) stream.isUnserved = true;
      }
    }
    return stale;
  }

  /**
   * Until when the device waits for the next frame of a stream that is far behind its share because its frames come at the wrong time: a
   * call that takes as long as some frames of a camera finds that camera's frame too old again and again, while others get everything.
   * null if there is none.
   */
  #rescueMs(nowMs: number): number | null {
    let best: StreamQueue<T> | null = null;
    for (const stream of this.#streams.values())
      if (stream.waiting.length > 0 && (best === null || isBefore(stream, best))) best = stream;
    if (best === null) return null;
    for (const stream of this.#streams.values()) {
      const { isUnserved, waiting, options, lastAddedMs, everyMs } = stream;
      if (!isUnserved || waiting.length > 0 || options.priority !== best.options.priority) continue;
      if (best.virtual - stream.virtual < BEHIND * turnOf(stream)) continue;
      const dueMs = lastAddedMs + LATE_FACTOR * Math.min(everyMs, LONGEST_EVERY_MS);
      if (nowMs < dueMs) return dueMs;
    }
    return null;
  }

  #stream(id: string): StreamQueue<T> {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new RangeError(`no stream "${id}" in the batcher`);
    return stream;
  }

  /** Model inputs of the frames of all streams that wait now. */
  get waitingInputs(): number {
    let count = 0;
    for (const { options, waiting } of this.#streams.values()) count += waiting.length * (options.views ?? 1);
    return count;
  }

  /** Whether a frame waits of a stream that has a floor: all others give way to it. */
  get hasUrgent(): boolean {
    for (const { options, waiting } of this.#streams.values())
      if (options.hasFloor !== false && waiting.length > 0) return true;
    return false;
  }

  /** When the next batch closes: once a frame has waited for `delayMs`, or has reached half the age at which it is dropped. */
  #closesMs(delayMs: number): number {
    let closesMs = Number.POSITIVE_INFINITY;
    for (const { options, waiting } of this.#streams.values()) {
      const oldest = waiting[0];
      if (oldest === undefined) continue;
      const ageMs = options.maxAgeMs ?? Number.POSITIVE_INFINITY;
      closesMs = Math.min(closesMs, oldest.queuedMs + delayMs, oldest.capturedMs + ageMs / 2);
    }
    return closesMs;
  }

  /**
   * False if every stream already has a frame waiting or is idle, because it is slow or its camera is away: then no other frame
   * is likely to arrive soon. Nothing waits for a stream without a floor.
   */
  #areMoreExpected(nowMs: number): boolean {
    for (const { options, waiting, lastAddedMs } of this.#streams.values())
      if (options.hasFloor !== false && waiting.length === 0 && nowMs - lastAddedMs < IDLE_MS) return true;
    return false;
  }

  #take({ stream, isOverLower, isBelow }: Choice<T>): T {
    const { priority, weight, views = 1 } = stream.options;
    if (isOverLower) this.#overLower += views;
    else if (isBelow) {
      const left = this.#overLower - OVER_LOWER * views;
      // Not below 0 for what it gets because nothing else waits: it would pay for that later.
      this.#overLower = this.#overLower >= OVER_LOWER ? left : Math.max(0, left);
    }
    this.#taken += 1;
    stream.lastTaken = this.#taken;
    stream.isUnserved = false;
    this.#virtualNow.set(priority, stream.virtual);
    stream.virtual += views / weight;
    return stream.waiting.shift()!;
  }

  /**
   * Highest priority first; among equals the stream that is furthest behind its fair share. Once lower priorities are due, see
   * `FLOOR_RATIO`, the one of their streams that has waited longest.
   */
  #pick(): Choice<T> | null {
    let best: StreamQueue<T> | null = null;
    let highest = Number.NEGATIVE_INFINITY;
    for (const stream of this.#streams.values()) {
      highest = Math.max(highest, stream.options.priority);
      if (stream.waiting.length > 0 && (best === null || isBefore(stream, best))) best = stream;
    }
    if (best === null) return null;
    // Below the highest, not below `best`: the rest of a batch may have no room for a stream in between.
    const due = this.#overLower >= OVER_LOWER ? this.#longestWaiting(highest) : null;
    const stream = due ?? best;
    const isOverLower = due === null && this.#longestWaiting(best.options.priority) !== null;
    return { stream, isOverLower, isBelow: stream.options.priority < highest };
  }

  /** The stream below a priority that got nothing for longest; null if no frame of such a stream waits. */
  #longestWaiting(priority: number): StreamQueue<T> | null {
    let longest: StreamQueue<T> | null = null;
    for (const stream of this.#streams.values()) {
      const { hasFloor = true, priority: own } = stream.options;
      if (own >= priority || !hasFloor || stream.waiting.length === 0) continue;
      if (longest === null || stream.lastTaken < longest.lastTaken) longest = stream;
    }
    return longest;
  }
}

/** By how much the virtual time of a stream rises for a frame. */
function turnOf<T>({ options: { views = 1, weight } }: StreamQueue<T>): number {
  return views / weight;
}

function isBefore<T>(a: StreamQueue<T>, b: StreamQueue<T>): boolean {
  if (a.options.priority !== b.options.priority) return a.options.priority > b.options.priority;
  return a.virtual < b.virtual;
}
