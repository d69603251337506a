import { monoNowMs } from '../../core/clock.ts';
import type { PtsUs } from '../../core/units.ts';
import { decodeStill } from '../../decode/still-picture.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { SlotRing } from '../../flow/slot-ring.ts';
import { placeView, type View } from '../../geometry/views.ts';
import { hashInput, NO_HASH } from '../../preprocess/input-hash.ts';
import { preprocessImage, readImage, SharpPreprocessor } from '../../preprocess/sharp-preprocessor.ts';
import type { LaneStream } from '../../protocol/threads.ts';
import type { LanePort } from './lane-frames.ts';

type Images = Extract<LaneStream['input'], { kind: 'images' }>;

const UNSCALED = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 } as const;

/** Reads a list of image files as the frames of a file. sharp fits them into the input, or ffmpeg if configured. */
export class LaneImages {
  readonly #stream: LaneStream;
  readonly #images: Images;
  readonly #port: LanePort;
  readonly #ring: SlotRing;
  #isClosed = false;
  #wake: (() => void) | null = null;
  #loop: Promise<void> = Promise.resolve();

  constructor(stream: LaneStream, images: Images, port: LanePort) {
    this.#stream = stream;
    this.#images = images;
    this.#port = port;
    this.#ring = SlotRing.attach(stream.ring.buffer, stream.ring.shape);
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
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { ringId } = this.#stream.ring;
    const { paths } = this.#images;
    this.#port.post({ type: 'running', ringId });
    for (let frame = this.#stream.after?.frames ?? 0; frame < paths.length; frame++) {
      const path = paths[frame]!;
      const slot = await this.#slot();
      if (slot === null) return;
      const captured = monoNowMs();
      try {
        const size = await this.#fit(path, slot);
        const done = monoNowMs();
        this.#port.addPreprocessMs(done - captured);
        const hash = this.#stream.hashesInput ? hashInput(this.#ring.input(slot)) : NO_HASH;
        this.#ring.countCompleted();
        this.#ring.writeMeta(slot, {
          frame,
          ptsUs: 0 as PtsUs,
          ...size,
          captured,
          decoded: captured,
          preprocessed: done,
          change: 'changed',
          hashHigh: hash.high,
          hashLow: hash.low,
        });
        if (this.#ring.hand(slot)) this.#port.post({ type: 'frames', ringId });
      } catch (error) {
        this.#ring.abandon(slot);
        this.#port.post({ type: 'failed', ringId, error: failureOf(path, error as Error).toWire() });
        return;
      }
    }
    this.#port.post({ type: 'ended', ringId, frames: paths.length });
  }

  async #fit(path: string, slot: number): ReturnType<typeof preprocessImage> {
    const { spec, views, ffmpeg } = this.#stream;
    const { maxPixels } = ffmpeg.confinement;
    const input = this.#ring.input(slot);
    const fitted = await (views === undefined
      ? preprocessImage(path, spec, input, maxPixels)
      : this.#fitViews(path, slot, views));
    if (this.#images.resizeBy === 'sharp') return fitted;
    // Size and placement are the same; only the pixels are replaced by ffmpeg's.
    await decodeStill(ffmpeg, path, { ...spec.input, fit: spec.input.resize, views }, input);
    return fitted;
  }

  async #fitViews(path: string, slot: number, views: readonly View[]): ReturnType<typeof preprocessImage> {
    const { spec, ffmpeg } = this.#stream;
    const { pixels, ...size } = await readImage(path, ffmpeg.confinement.maxPixels);
    const placed = views.map((view) => placeView(view, size, 1, UNSCALED, spec.input));
    for (const [view, place] of placed.entries()) {
      this.#ring.writeView(slot, view, place);
      await new SharpPreprocessor(spec, size, place.crop).run(pixels, this.#ring.input(slot, view));
    }
    return { ...size, placement: placed[0]!.placement };
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

function failureOf(path: string, error: Error): SightlineError {
  if (error instanceof SightlineError) return error;
  return new SightlineError('SOURCE_UNREADABLE', `${path}: not an image that can be read (${error.message})`);
}
