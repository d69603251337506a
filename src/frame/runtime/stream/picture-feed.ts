import { monoNowMs } from '../../../base/core/clock.ts';
import type { DropReason, PublishedFrame } from '../../../base/core/frame.ts';
import type { FramePicture, Picture } from '../../../base/core/picture.ts';
import type { MonoMs, PtsUs } from '../../../base/core/units.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { TraceParent } from '../../../base/flow/trace-context.ts';

/** Most pictures that wait until the lane has room; `push` refuses more, so that a caller who never awaits is stopped. */
const MOST_WAITING = 1024;

/** Most pictures that a lane holds: enough for every batch, and few enough for memory. */
const MOST_SENT = 16;

/** How pictures reach the lane that serves the stream now. */
export interface PictureReceiver {
  /** Of its ring: most pictures that the lane and the ring hold at once. */
  readonly slots: number;
  push(next: FramePicture): void;
  /** Null if no picture may be dropped. */
  readonly shedding: PictureShedding | null;
}

/** How a live stream drops the oldest pictures that wait. */
export interface PictureShedding {
  /** Most pictures that wait until the lane has room. */
  readonly queueSize: number;
  /** Counts a picture that was dropped. @returns why it has no result. */
  shed(): SightlineError;
}

interface Pushed extends FramePicture {
  /** The trace in which the program pushed it. */
  readonly parent: TraceParent | undefined;
  readonly resolve: (result: PublishedFrame) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The source of a stream that the program itself feeds. A picture is kept until its result is there, so that one that was lost
 * with its lane is sent again: each gets exactly one answer.
 */
export class PictureFeed {
  readonly #waiting: Pushed[] = [];
  /** By frame number, oldest first. */
  readonly #sent = new Map<number, Pushed>();
  #receiver: PictureReceiver | null = null;
  /** Kept while no lane serves the stream. */
  #shedding: PictureShedding | null = null;
  #frames = 0;
  #beganMs: MonoMs | null = null;
  #lastPtsUs = -1;
  /** Why it takes no more pictures. */
  #end: SightlineError | null = null;
  #whenIdle: (() => void)[] = [];

  get hasEnded(): boolean {
    return this.#end !== null;
  }

  /** Resolves when no picture waits for its result. */
  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /**
   * @param picture - must not change until the promise settles.
   * @param ptsUs - media time in microseconds, above that of the picture before; null: the time since the first picture.
   * @param parent - the trace that it belongs to.
   * @param signal - takes back a picture that still waits; of another one, the result is ignored.
   * @throws CONFIG_INVALID for a wrong time or size, LIMIT_REACHED, SOURCE_UNREADABLE, SOURCE_TOO_LARGE, ENGINE_FAILED,
   *   STREAM_STATE if the stream has ended; the reason of the signal.
   */
  async push(
    picture: Picture,
    ptsUs: number | null,
    signal?: AbortSignal,
    parent?: TraceParent,
  ): Promise<PublishedFrame> {
    signal?.throwIfAborted();
    if (this.#end !== null) throw this.#end;
    requirePicture(picture);
    if (ptsUs !== null && (!Number.isSafeInteger(ptsUs) || ptsUs <= this.#lastPtsUs))
      throw new SightlineError(
        'CONFIG_INVALID',
        `ptsUs: expected whole microseconds above ${this.#lastPtsUs}, received ${ptsUs}`,
      );
    if (this.#shedding === null && this.#waiting.length >= MOST_WAITING)
      throw new SightlineError(
        'LIMIT_REACHED',
        `${MOST_WAITING} pictures wait already; await the results of earlier ones before you push more`,
      );
    const timeUs = ptsUs ?? this.#nextPtsUs();
    this.#lastPtsUs = timeUs;
    const frame = this.#frames;
    this.#frames += 1;
    const result = new Promise<PublishedFrame>((resolve, reject) => {
      this.#waiting.push({ picture, frame, ptsUs: timeUs as PtsUs, parent, resolve, reject });
    });
    const stop = (): void => this.#takeBack(frame, signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    this.#pump();
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** @param nextFrame - earlier frames have reached the main thread, and are not sent again. */
  connect(receiver: PictureReceiver, nextFrame: number): void {
    this.#receiver = receiver;
    this.#shedding = receiver.shedding;
    for (const { picture, frame, ptsUs } of this.#sent.values())
      if (frame >= nextFrame) receiver.push({ picture, frame, ptsUs });
    this.#pump();
  }

  /** Pictures wait from now on. */
  disconnect(): void {
    this.#receiver = null;
  }

  /** The trace in which a picture was pushed that has no result yet. */
  traceOf(frame: number): TraceParent | undefined {
    return this.#sent.get(frame)?.parent;
  }

  onPublished(result: PublishedFrame): void {
    this.#settle(result.frame, ({ resolve }) => resolve(result));
  }

  /** A picture gives no result. */
  onRefused(frame: number, error: SightlineError): void {
    this.#settle(frame, ({ reject }) => reject(error));
  }

  /** Refuses all pictures that have no result yet; a stream that is started again takes new ones. */
  fail(error: SightlineError): void {
    for (const { reject } of [...this.#sent.values(), ...this.#waiting.splice(0)]) reject(error);
    this.#sent.clear();
    this.#tellIdle();
  }

  /** Takes no more pictures. */
  end(error: SightlineError): void {
    this.#end ??= error;
    this.fail(error);
  }

  #pump(): void {
    const receiver = this.#receiver;
    while (receiver !== null && this.#waiting.length > 0 && this.#sent.size < Math.min(receiver.slots, MOST_SENT)) {
      const next = this.#waiting.shift()!;
      this.#sent.set(next.frame, next);
      receiver.push({ picture: next.picture, frame: next.frame, ptsUs: next.ptsUs });
    }
    const shedding = this.#shedding;
    while (shedding !== null && this.#waiting.length > shedding.queueSize)
      this.#waiting.shift()!.reject(shedding.shed());
  }

  #settle(frame: number, settle: (pushed: Pushed) => void): void {
    const pushed = this.#sent.get(frame);
    if (pushed === undefined) return;
    this.#sent.delete(frame);
    settle(pushed);
    this.#pump();
    this.#tellIdle();
  }

  #takeBack(frame: number, reason: unknown): void {
    const index = this.#waiting.findIndex((pushed) => pushed.frame === frame);
    if (index === -1) this.#sent.get(frame)?.reject(reason);
    else this.#waiting.splice(index, 1)[0]!.reject(reason);
    this.#tellIdle();
  }

  get #isIdle(): boolean {
    return this.#waiting.length + this.#sent.size === 0;
  }

  #tellIdle(): void {
    if (this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #nextPtsUs(): number {
    this.#beganMs ??= monoNowMs();
    return Math.max(this.#lastPtsUs + 1, Math.round((monoNowMs() - this.#beganMs) * 1000));
  }
}

/** Why a picture of a stream has no result. */
export function droppedPicture(id: string, reason: DropReason): SightlineError {
  const isLate = reason === 'queue-full' || reason === 'stale';
  const code = reason === 'stopped' ? 'STREAM_STATE' : isLate ? 'LIMIT_REACHED' : 'ENGINE_FAILED';
  return new SightlineError(code, `${id}: the picture was dropped (${reason})`, { reason });
}

function requirePicture(picture: Picture): void {
  if ((typeof picture === 'string' && picture !== '') || picture instanceof Uint8Array) return;
  if (typeof picture !== 'object' || picture === null || !('data' in picture))
    throw new SightlineError(
      'CONFIG_INVALID',
      `picture: expected a path, the bytes of an image file or { data, width, height }, received ${picture === '' ? 'an empty text' : typeof picture}`,
    );
  const { data, width, height } = picture;
  const isSize = [width, height].every((px) => Number.isSafeInteger(px) && px > 0);
  if (isSize && data instanceof Uint8Array && data.length === width * height * 3) return;
  const found = data instanceof Uint8Array ? `${data.length} bytes` : Object.prototype.toString.call(data).slice(8, -1);
  throw new SightlineError(
    'CONFIG_INVALID',
    `picture: expected a Uint8Array of width x height x 3 bytes of RGB, received ${found} for ${shown(width)}x${shown(height)}`,
  );
}

function shown(px: unknown): string {
  return typeof px === 'number' ? String(px) : `${JSON.stringify(px)} (${typeof px})`;
}
