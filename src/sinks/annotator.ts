import { SightlineError } from '../errors/sightline-error.ts';
import { fitInto, placementOf } from '../geometry/placement.ts';
import type { AnnotatePicture, AnnotateRequest, FromAnnotate, ToAnnotate } from '../protocol/annotate.ts';
import { OverlayPainter } from './drawing/draw-overlay.ts';
import { recoverVideo } from './recover-video.ts';
import { VideoEncoder } from './video-encoder.ts';
import { VideoTimeline } from './video-timeline.ts';

/** An encoder that failed is replaced after this; doubled with each one that fails before it has settled. */
const REOPEN_MS = 1000;
const MOST_REOPEN_MS = 60_000;
/** An encoder that has lived for so long works. */
const SETTLED_MS = 5000;

/**
 * What happens on the thread of one annotated video. Each picture is copied first, so that its slot is free after a
 * fraction of a millisecond (and a preview of the same slot stays clean), then drawn on and piped to the encoder, one
 * after the other.
 */
export class Annotator {
  readonly #request: AnnotateRequest;
  readonly #post: (message: FromAnnotate) => void;
  readonly #painter: OverlayPainter;
  readonly #places: Uint8Array[];
  #timeline = new VideoTimeline();
  /** Null while there is none, after a failure. */
  #encoder: Promise<VideoEncoder> | null = null;
  #openedMs = 0;
  #failedEncoders = 0;
  #lastError: SightlineError | null = null;
  #reopening: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(request: AnnotateRequest, post: (message: FromAnnotate) => void) {
    this.#request = request;
    this.#post = post;
    this.#painter = new OverlayPainter(request, request.overlay);
    this.#places = Array.from({ length: request.places }, () => new Uint8Array(request.width * request.height * 3));
    this.#open((error) => this.#giveUp(error));
  }

  handle(message: ToAnnotate): void {
    if (message.type === 'picture') this.#take(message);
    else this.#work = this.#work.then(() => this.#finish(message.isComplete));
  }

  /** @param onRefused - what is to be done where the file cannot be opened at all. */
  #open(onRefused: (error: unknown) => void): void {
    this.#timeline = new VideoTimeline();
    this.#openedMs = performance.now();
    const encoder = VideoEncoder.open(this.#request.file, this.#request, {
      onChildStarted: (pid) => this.#post({ type: 'child-started', pid }),
      onChildGone: (pid) => this.#post({ type: 'child-gone', pid }),
      onFailed: (error) => this.#onEncoderFailed(encoder, error),
    });
    this.#encoder = encoder;
    encoder.catch((error: unknown) => {
      if (this.#encoder === encoder) onRefused(error);
    });
  }

  #take(picture: AnnotatePicture): void {
    const pixels = this.#places.pop();
    if (pixels === undefined) throw new RangeError(`more than ${this.#request.places} pictures at once`);
    pixels.set(picture.pixels);
    this.#post({ type: 'taken' });
    this.#work = this.#work.then(() => this.#write(picture, pixels));
  }

  async #write(picture: AnnotatePicture, pixels: Uint8Array): Promise<void> {
    const encoder = this.#encoder;
    try {
      if (this.#hasFailed) return;
      if (encoder === null) {
        this.#post({ type: 'lost' });
        return;
      }
      const opened = await encoder;
      this.#draw(picture, pixels);
      await opened.write(pixels, this.#timeline.next(picture.ptsUs));
      this.#post({ type: 'written' });
      if (this.#lastError !== null && performance.now() - this.#openedMs > SETTLED_MS) this.#resume();
    } catch (error) {
      this.#onEncoderFailed(encoder, error);
      if (!this.#hasFailed) this.#post({ type: 'lost' });
    } finally {
      this.#places.push(pixels);
    }
  }

  #draw({ detections, counts, sourceWidth, sourceHeight }: AnnotatePicture, pixels: Uint8Array): void {
    const { width, height, fit } = this.#request;
    const source = { width: sourceWidth, height: sourceHeight };
    const placement = placementOf(source, fitInto(source, { width, height }, fit));
    this.#painter.draw({ pixels, width, height }, { detections, counts, sourceWidth, sourceHeight, placement });
  }

  async #finish(isComplete: boolean): Promise<void> {
    clearTimeout(this.#reopening);
    if (this.#hasFailed) return;
    const encoder = this.#encoder;
    if (encoder === null) return this.#giveUp(this.#lastError);
    try {
      const path = await (await encoder).finish(isComplete);
      this.#post({ type: 'finished', path });
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Both its own report and the write that it breaks lead here; the first one counts. */
  #onEncoderFailed(encoder: Promise<VideoEncoder> | null, error: unknown): void {
    if (encoder === null || encoder !== this.#encoder) return;
    if (!this.#request.file.keepsEarlier) {
      this.#giveUp(error);
      return;
    }
    this.#dropEncoder();
    const isFirst = this.#lastError === null;
    this.#lastError = SightlineError.from(error, 'SINK_FAILED');
    if (isFirst) this.#post({ type: 'interrupted', error: this.#lastError.toWire() });
    const delayMs = Math.min(MOST_REOPEN_MS, REOPEN_MS * 2 ** this.#failedEncoders);
    this.#failedEncoders += 1;
    this.#reopening = setTimeout(() => {
      this.#work = this.#work.then(() => this.#reopen());
    }, delayMs);
  }

  /** What the failed one wrote is kept under a name of its own. */
  async #reopen(): Promise<void> {
    if (this.#hasFailed) return;
    const { id, path } = this.#request.file;
    await recoverVideo(id, path, (text) => this.#post({ type: 'notice', text }));
    this.#open((error) => this.#onEncoderFailed(this.#encoder, error));
  }

  #resume(): void {
    this.#lastError = null;
    this.#failedEncoders = 0;
    this.#post({ type: 'resumed' });
  }

  #dropEncoder(): void {
    this.#encoder?.then(
      (encoder) => encoder.abort(),
      () => undefined,
    );
    this.#encoder = null;
  }

  #giveUp(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#dropEncoder();
    this.#post({ type: 'failed', error: SightlineError.from(error, 'SINK_FAILED').toWire() });
  }
}
