import { SightlineError } from '../../base/errors/sightline-error.ts';
import { fitInto, placementOf } from '../../base/geometry/placement.ts';
import type { AnnotatePicture, AnnotateRequest, FromAnnotate, ToAnnotate } from '../../wire/protocol/annotate.ts';
import { OverlayPainter } from './drawing/draw-overlay.ts';
import { recoverVideo } from './recover-video.ts';
import { VideoEncoder } from './video-encoder.ts';
import { VideoTimeline } from './video-timeline.ts';

/** Delay before a failed encoder is replaced; doubled each time one fails within `SETTLED_MS`. */
const REOPEN_MS = 1000;
const MAX_REOPEN_MS = 60_000;
/** An encoder that has run for this long counts as working. */
const SETTLED_MS = 5000;

/**
 * Draws and encodes one annotated video, on its own thread. Each picture is copied first, so that its slot is free after a
 * fraction of a millisecond and a preview made from the same slot has no drawings. Then pictures are drawn on and piped to
 * the encoder, one after the other.
 */
export class Annotator {
  readonly #request: AnnotateRequest;
  readonly #post: (message: FromAnnotate) => void;
  readonly #painter: OverlayPainter;
  readonly #buffers: Uint8Array[];
  #timeline = new VideoTimeline();
  /** Null after a failure, until it is replaced. */
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
    this.#buffers = Array.from({ length: request.places }, () => new Uint8Array(request.width * request.height * 3));
    this.#open((error) => this.#fail(error));
  }

  handle(message: ToAnnotate): void {
    if (message.type === 'picture') this.#take(message);
    else this.#work = this.#work.then(() => this.#finish(message.isComplete));
  }

  /** @param onRefused - called if the file cannot be opened. */
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
    const pixels = this.#buffers.pop();
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
      this.#buffers.push(pixels);
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
    if (encoder === null) return this.#fail(this.#lastError);
    try {
      const path = await (await encoder).finish(isComplete);
      this.#post({ type: 'finished', path });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A failure arrives twice, from the encoder and from the failed write; the second call has no effect. */
  #onEncoderFailed(encoder: Promise<VideoEncoder> | null, error: unknown): void {
    if (encoder === null || encoder !== this.#encoder) return;
    if (!this.#request.file.keepsEarlier) {
      this.#fail(error);
      return;
    }
    this.#dropEncoder();
    const isFirst = this.#lastError === null;
    this.#lastError = SightlineError.from(error, 'SINK_FAILED');
    if (isFirst) this.#post({ type: 'interrupted', error: this.#lastError.toWire() });
    const delayMs = Math.min(MAX_REOPEN_MS, REOPEN_MS * 2 ** this.#failedEncoders);
    this.#failedEncoders += 1;
    this.#reopening = setTimeout(() => {
      this.#work = this.#work.then(() => this.#reopen());
    }, delayMs);
  }

  /** Opens a new file; the one of the failed encoder is kept under another name. */
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

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#dropEncoder();
    this.#post({ type: 'failed', error: SightlineError.from(error, 'SINK_FAILED').toWire() });
  }
}
