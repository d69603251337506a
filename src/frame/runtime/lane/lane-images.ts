import { monoNowMs } from '../../../base/core/clock.ts';
import type { FramePicture, Picture, RawPicture } from '../../../base/core/picture.ts';
import type { PtsUs } from '../../../base/core/units.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { SlotRing } from '../../../base/flow/slot-ring.ts';
import { placedOn } from '../../../base/geometry/placement.ts';
import { placeView, type View, type ViewPlacement } from '../../../base/geometry/views.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';
import { decodeStill } from '../../decode/still-picture.ts';
import { hashInput, NO_HASH } from '../../preprocess/input-hash.ts';
import { PictureMask } from '../../preprocess/picture-mask.ts';
import {
  type PictureSize,
  preprocessImage,
  readImage,
  requirePixels,
  SharpPreprocessor,
} from '../../preprocess/sharp-preprocessor.ts';
import { CameraFollower } from './camera-follower.ts';
import type { LanePort } from './lane-frames.ts';

type Fitted = Awaited<ReturnType<typeof preprocessImage>> & { readonly placed?: readonly ViewPlacement[] };
type Images = Exclude<LaneStream['input'], { kind: 'video' }>;

/** What a warning says of an animation, or of a file with several pages. */
export const ONLY_FIRST = 'of which only the first is read';

const UNSCALED = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 } as const;

/**
 * Takes pictures as the frames of a file: a list of image files, or what the program hands over one by one. sharp fits them into the
 * input; image files of a list also ffmpeg, if configured.
 */
export class LaneImages {
  readonly #stream: LaneStream;
  readonly #images: Images;
  readonly #port: LanePort;
  readonly #ring: SlotRing;
  readonly #mask: PictureMask;
  readonly #pushed: FramePicture[] = [];
  /** For raw pictures of this size. */
  #preprocessor: { readonly size: PictureSize; readonly preprocessor: SharpPreprocessor } | null = null;
  readonly #camera: CameraFollower;
  #isClosed = false;
  #wakePushed: (() => void) | null = null;
  #wake: (() => void) | null = null;
  #loop: Promise<void> = Promise.resolve();

  constructor(stream: LaneStream, images: Images, port: LanePort) {
    this.#stream = stream;
    this.#images = images;
    this.#port = port;
    this.#ring = SlotRing.attach(stream.ring.buffer, stream.ring.shape);
    this.#mask = new PictureMask(stream.masks);
    this.#camera = new CameraFollower(stream.shift);
  }

  get policy(): LaneStream['policy'] {
    return this.#stream.policy;
  }

  open(): void {
    this.#loop = this.#run().catch((fault: unknown) => {
      const error = SightlineError.from(fault, 'INTERNAL_ERROR').toWire();
      this.#port.post({ type: 'failed', ringId: this.#stream.ring.ringId, error });
    });
  }

  onSlotFree(): void {
    this.#wake?.();
  }

  set isWatched(_isWatched: boolean) {
    // Images have no live preview.
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    this.#wakePushed?.();
    await this.#loop;
  }

  /** Adds a picture behind those that wait; the main thread bounds their number. */
  push(next: FramePicture): void {
    this.#pushed.push(next);
    this.#wakePushed?.();
  }

  async #run(): Promise<void> {
    const { ringId } = this.#stream.ring;
    this.#port.post({ type: 'running', ringId });
    for await (const next of this.#pictures()) {
      const slot = await this.#slot();
      if (slot === null) return;
      try {
        await this.#makeFrame(next, slot);
      } catch (error) {
        this.#ring.abandon(slot);
        const failure = failureOf(next.picture, error as Error).toWire();
        if (this.#images.kind === 'images') return this.#port.post({ type: 'failed', ringId, error: failure });
        this.#port.post({ type: 'picture-refused', ringId, frame: next.frame, error: failure });
      }
    }
    if (this.#images.kind === 'images') this.#port.post({ type: 'ended', ringId, frames: this.#images.paths.length });
  }

  async *#pictures(): AsyncGenerator<FramePicture> {
    if (this.#images.kind === 'images') {
      const { paths } = this.#images;
      for (let frame = this.#stream.after?.frames ?? 0; frame < paths.length; frame++)
        yield { picture: paths[frame]!, frame, ptsUs: 0 as PtsUs };
      return;
    }
    while (!this.#isClosed) {
      const next = this.#pushed.shift();
      if (next !== undefined) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wakePushed = resolve;
        });
    }
  }

  async #makeFrame({ picture, frame, ptsUs }: FramePicture, slot: number): Promise<void> {
    const captured = monoNowMs();
    const { placement, width, height, damage, placed, pages } = await this.#fit(picture, slot);
    const whole = { placement, bounds: { x: 0, y: 0, width, height } };
    const input = this.#ring.input(slot);
    const { spec, findsShift } = this.#stream;
    const views = placed ?? [whole];
    if (findsShift)
      this.#camera.follow(input, { width, height }, () => {
        const { placement: scale, bounds } = views[0]!;
        return { rowPx: spec.input.width, area: placedOn(spec.input, bounds, scale), ...scale };
      });
    this.#mask.hide(input, { width, height }, spec.input, views);
    const done = monoNowMs();
    this.#port.addPreprocessMs(done - captured);
    if (damage !== null) {
      const message = `${nameOf(picture)}: the picture is cut off or damaged, and what is missing counts as grey (${damage})`;
      this.#port.post({ type: 'warning', ringId: this.#stream.ring.ringId, frame, message });
    }
    if (pages !== undefined) {
      const message = `${nameOf(picture)}: the file has ${pages} pictures, ${ONLY_FIRST}; as a GIF or a video, all are`;
      this.#port.post({ type: 'warning', ringId: this.#stream.ring.ringId, frame, message });
    }
    const hash = this.#stream.hashesInput ? hashInput(this.#ring.input(slot)) : NO_HASH;
    this.#ring.countCompleted();
    this.#ring.writeMeta(slot, {
      frame,
      ptsUs,
      width,
      height,
      placement,
      captured,
      wallMs: Number.NaN,
      decoded: captured,
      preprocessed: done,
      change: 'changed',
      hashHigh: hash.high,
      hashLow: hash.low,
      shift: this.#camera.shift,
    });
    if (this.#ring.hand(slot)) this.#port.post({ type: 'frames', ringId: this.#stream.ring.ringId });
  }

  async #fit(picture: Picture, slot: number): Promise<Fitted> {
    const { spec, views, ffmpeg } = this.#stream;
    const { maxPixels } = ffmpeg.confinement;
    const input = this.#ring.input(slot);
    if (typeof picture === 'object' && 'data' in picture) return this.#fitRaw(picture, slot);
    const fitted = await (views === undefined
      ? preprocessImage(picture, spec, input, maxPixels)
      : this.#fitViews(await readImage(picture, maxPixels), slot, views));
    if (this.#images.kind === 'pushed' || this.#images.resizeBy === 'sharp' || typeof picture !== 'string')
      return fitted;
    // Size and placement are the same; only the pixels are replaced by ffmpeg's.
    await decodeStill(ffmpeg, picture, { ...spec.input, fit: spec.input.resize, views }, input);
    return fitted;
  }

  async #fitRaw({ data, width, height }: RawPicture, slot: number): Promise<Fitted> {
    const { spec, views, ffmpeg } = this.#stream;
    requirePixels({ width, height }, ffmpeg.confinement.maxPixels, 'pixels');
    if (views !== undefined) return this.#fitViews({ pixels: data, width, height, damage: null }, slot, views);
    const last = this.#preprocessor;
    const preprocessor =
      last?.size.width === width && last.size.height === height
        ? last.preprocessor
        : new SharpPreprocessor(spec, { width, height });
    this.#preprocessor = { size: { width, height }, preprocessor };
    await preprocessor.run(data, this.#ring.input(slot));
    return { width, height, damage: null, placement: preprocessor.placement };
  }

  async #fitViews(
    { pixels, ...size }: Awaited<ReturnType<typeof readImage>>,
    slot: number,
    views: readonly View[],
  ): Promise<Fitted> {
    const { spec } = this.#stream;
    const placed = views.map((view) => placeView(view, size, 1, UNSCALED, spec.input));
    for (const [view, place] of placed.entries()) {
      this.#ring.writeView(slot, view, place);
      await new SharpPreprocessor(spec, size, place.crop).run(pixels, this.#ring.input(slot, view));
    }
    return { ...size, placement: placed[0]!.placement, placed };
  }

  async #slot(): Promise<number | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const slot = this.#ring.acquire();
      if (slot >= 0) return slot;
      const freed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#ring.setWaiting(true);
      const second = this.#ring.acquire();
      if (second >= 0) return second;
      await freed;
    }
  }
}

function failureOf(picture: Picture, error: Error): SightlineError {
  if (error instanceof SightlineError) return error;
  return new SightlineError(
    'SOURCE_UNREADABLE',
    `${nameOf(picture)}: not an image that can be read (${error.message})`,
  );
}

function nameOf(picture: Picture): string {
  return typeof picture === 'string' ? picture : 'data' in picture ? 'pixels' : 'bytes';
}
