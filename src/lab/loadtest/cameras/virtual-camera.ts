import { seededRandom } from '../../../base/core/seeded-random.ts';
import type { CameraSpec } from './camera-plan.ts';
import type { CodedFrame } from './flv-reader.ts';

/** Ticks of media time, as in MPEG-TS and RTP. */
const TICKS_PER_MS = 90;
/** Media times of frames that are sent at once differ by this. */
const MIN_STEP_MS = 1;

/** A connection that receives a camera's frames. */
export interface CameraReader {
  /**
   * @param pts - media time in ticks of 90 kHz.
   * @returns false if the reader does not take it now: the frame is lost for it. Must not wait.
   */
  take(frame: CodedFrame, pts: number): boolean;
  /** Ends the connection, since the camera leaves. */
  end(): void;
}

/** Makes the coded picture of one moment. */
export interface PictureSource {
  /** @param onFrame - receives the picture, at once or a little later, in order. */
  next(index: number, onFrame: (frame: CodedFrame) => void): void;
  close(): void;
}

/** Counts since the camera was added. Frames that were not made because it was frozen or away count nowhere. */
export interface CameraCounts {
  readonly id: string;
  /** Frames that were made while a reader was connected and had seen a key frame: each is sent or lost. */
  readonly offered: number;
  readonly sent: number;
  /** Not taken by the reader, with those up to the next key frame. */
  readonly lost: number;
  /** Made while no reader was connected, or none that had seen a key frame. */
  readonly unread: number;
  readonly readers: number;
}

export interface CameraClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls back after a delay; the return value cancels. */
  after(delayMs: number, run: () => void): () => void;
}

interface Waiting {
  readonly frame: CodedFrame;
  readonly sendMs: number;
}

/**
 * A camera with a clock of its own. It is an open loop: frame k is due at start + k / fps, whatever readers do. A frame
 * that a reader does not take is lost for that reader and counted; the reader goes on with the next key frame, as with a
 * real camera.
 *
 * A frame's media time is the time when it was sent. So a latency that counts from the camera's clock includes neither its jitter
 * nor its bursts.
 */
export class VirtualCamera {
  readonly spec: CameraSpec;
  readonly #source: PictureSource;
  readonly #clock: CameraClock;
  readonly #random: () => number;
  readonly #startMs: number;
  readonly #readers = new Map<CameraReader, { needsKey: boolean; hasStarted: boolean }>();
  readonly #waiting: Waiting[] = [];
  #cancel: () => void = () => undefined;
  #index = 0;
  #eventIndex = 0;
  #isAway = false;
  #isFrozen = false;
  #lastSendMs = 0;
  #mediaMs = 0;
  readonly #counts = { offered: 0, sent: 0, lost: 0, unread: 0 };
  /** The longest that a frame was sent after its time since the last call of `takeLateMs`. */
  #lateMs = 0;

  constructor(spec: CameraSpec, source: PictureSource, clock: CameraClock) {
    this.spec = spec;
    this.#source = source;
    this.#clock = clock;
    this.#random = seededRandom(spec.seed);
    this.#startMs = clock.now();
    this.#schedule();
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  get counts(): CameraCounts {
    return { id: this.spec.id, ...this.#counts, readers: this.#readers.size };
  }

  addReader(reader: CameraReader): void {
    this.#readers.set(reader, { needsKey: true, hasStarted: false });
  }

  removeReader(reader: CameraReader): void {
    this.#readers.delete(reader);
  }

  takeLateMs(): number {
    const late = this.#lateMs;
    this.#lateMs = 0;
    return late;
  }

  close(): void {
    this.#cancel();
    this.#source.close();
    this.#endReaders();
  }

  #endReaders(): void {
    for (const reader of [...this.#readers.keys()]) reader.end();
    this.#readers.clear();
  }

  #dueMs(index: number): number {
    return this.#startMs + (index * 1000) / this.spec.fps;
  }

  #schedule(): void {
    const { events } = this.spec;
    const event = events[this.#eventIndex];
    const nextMs = Math.min(
      this.#dueMs(this.#index),
      this.#waiting[0]?.sendMs ?? Number.POSITIVE_INFINITY,
      event === undefined ? Number.POSITIVE_INFINITY : this.#startMs + event.atS * 1000,
    );
    this.#cancel = this.#clock.after(Math.max(0, nextMs - this.#clock.now()), () => this.#wake());
  }

  #wake(): void {
    const now = this.#clock.now();
    for (let event = this.spec.events[this.#eventIndex]; event !== undefined; ) {
      if (this.#startMs + event.atS * 1000 > now) break;
      this.#apply(event.kind);
      event = this.spec.events[++this.#eventIndex];
    }
    while (this.#dueMs(this.#index) <= now) this.#make(this.#index++);
    this.#sendDue(now);
    this.#schedule();
  }

  #apply(kind: CameraSpec['events'][number]['kind']): void {
    if (kind === 'leave' || kind === 'return') this.#isAway = kind === 'leave';
    else this.#isFrozen = kind === 'freeze';
    if (kind !== 'leave') return;
    this.#waiting.length = 0;
    this.#endReaders();
  }

  #make(index: number): void {
    if (this.#isAway || this.#isFrozen) return;
    const dueMs = this.#dueMs(index);
    const sendMs = this.#sendTime(dueMs);
    this.#source.next(index, (frame) => {
      this.#waiting.push({ frame, sendMs });
      // A picture that is ready after its wake-up is sent at once.
      this.#sendDue(this.#clock.now());
    });
  }

  #sendTime(dueMs: number): number {
    const { jitterMs, burst } = this.spec;
    let sendMs = dueMs + (jitterMs > 0 ? this.#random() * jitterMs : 0);
    if (burst !== null) {
      const intoMs = (dueMs - this.#startMs) % (burst.everyS * 1000);
      const holdFromMs = (burst.everyS - burst.holdS) * 1000;
      if (intoMs >= holdFromMs) sendMs = dueMs - intoMs + burst.everyS * 1000;
    }
    this.#lastSendMs = Math.max(this.#lastSendMs, sendMs);
    return this.#lastSendMs;
  }

  #sendDue(now: number): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.sendMs <= now) {
      const { frame, sendMs } = this.#waiting.shift()!;
      this.#lateMs = Math.max(this.#lateMs, now - sendMs);
      this.#mediaMs = Math.max(this.#mediaMs + MIN_STEP_MS, now - this.#startMs);
      this.#send(frame, Math.round(this.#mediaMs * TICKS_PER_MS));
    }
  }

  #send(frame: CodedFrame, pts: number): void {
    const counts = this.#counts;
    let isOffered = false;
    for (const [reader, state] of this.#readers) {
      const isMissed = state.needsKey && !frame.isKey;
      if (isMissed && !state.hasStarted) continue;
      isOffered = true;
      counts.offered += 1;
      state.hasStarted = true;
      state.needsKey = isMissed || !reader.take(frame, pts);
      counts[state.needsKey ? 'lost' : 'sent'] += 1;
    }
    if (!isOffered) counts.unread += 1;
  }
}
