import { SightlineError } from '../errors/sightline-error.ts';
import { fitInto, placementOf } from '../geometry/placement.ts';
import type { AnnotatePicture, AnnotateRequest, FromAnnotate, ToAnnotate } from '../protocol/annotate.ts';
import { OverlayPainter } from './drawing/draw-overlay.ts';
import { VideoEncoder } from './video-encoder.ts';
import { VideoTimeline } from './video-timeline.ts';

/**
 * What happens on the thread of one annotated video. Each picture is copied first, so that its slot is free after a
 * fraction of a millisecond (and a preview of the same slot stays clean), then drawn on and piped to the encoder, one
 * after the other.
 */
export class Annotator {
  readonly #request: AnnotateRequest;
  readonly #post: (message: FromAnnotate) => void;
  readonly #painter: OverlayPainter;
  readonly #timeline = new VideoTimeline();
  readonly #places: Uint8Array[];
  readonly #encoder: Promise<VideoEncoder>;
  #work: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(request: AnnotateRequest, post: (message: FromAnnotate) => void) {
    this.#request = request;
    this.#post = post;
    this.#painter = new OverlayPainter(request, request.overlay);
    this.#places = Array.from({ length: request.places }, () => new Uint8Array(request.width * request.height * 3));
    this.#encoder = VideoEncoder.open(request.file, request, {
      onChildStarted: (pid) => post({ type: 'child-started', pid }),
      onChildGone: (pid) => post({ type: 'child-gone', pid }),
      onFailed: (error) => this.#fail(error),
    });
    this.#encoder.catch((error: unknown) => this.#fail(error));
  }

  handle(message: ToAnnotate): void {
    if (message.type === 'picture') this.#take(message);
    else this.#work = this.#work.then(() => this.#finish(message.isComplete));
  }

  #take(picture: AnnotatePicture): void {
    const pixels = this.#places.pop();
    if (pixels === undefined) throw new RangeError(`more than ${this.#request.places} pictures at once`);
    pixels.set(picture.pixels);
    this.#post({ type: 'taken' });
    this.#work = this.#work.then(() => this.#write(picture, pixels));
  }

  async #write(picture: AnnotatePicture, pixels: Uint8Array): Promise<void> {
    try {
      if (this.#hasFailed) return;
      const encoder = await this.#encoder;
      this.#draw(picture, pixels);
      await encoder.write(pixels, this.#timeline.next(picture.ptsUs));
      this.#post({ type: 'written' });
    } catch (error) {
      this.#fail(error);
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
    try {
      const path = await (await this.#encoder).finish(isComplete);
      this.#post({ type: 'finished', path });
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#encoder.then(
      (encoder) => encoder.abort(),
      () => undefined,
    );
    this.#post({ type: 'failed', error: SightlineError.from(error, 'SINK_FAILED').toWire() });
  }
}
