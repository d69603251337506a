import sharp, { type Sharp } from 'sharp';
import type { ModelSpec } from '../core/model.ts';
import { type Fit, fitInto, type Placement, placementOf } from '../geometry/placement.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/**
 * Fits pictures into a model's input with sharp. One for each stream; its thread should have called `configureSharp`.
 * Bilinear, as the detectors were trained; libvips widens the kernel when it shrinks, so nothing aliases.
 */
export class SharpPreprocessor {
  readonly #spec: ModelSpec;
  readonly #picture: PictureSize;
  readonly #fit: Fit;
  /** From picture pixels to the model's input. */
  readonly placement: Placement;

  constructor(spec: ModelSpec, picture: PictureSize) {
    this.#spec = spec;
    this.#picture = picture;
    this.#fit = fitInto(picture, spec.input, spec.input.resize);
    this.placement = placementOf(picture, this.#fit);
  }

  /**
   * @param picture - u8 `[height, width, 3]` RGB, shared memory or not; read only, must stay until the promise settles.
   * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
   */
  async run(picture: Uint8Array, input: Uint8Array): Promise<void> {
    const raw = { width: this.#picture.width, height: this.#picture.height, channels: 3 } as const;
    input.set(await fitted(sharp(picture, { raw }), this.#fit, this.#spec));
  }
}

/**
 * Reads an image file and fits it into the model's input.
 *
 * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
 * @returns the upright size of the image and where it lies in the input.
 */
export async function preprocessImage(
  path: string,
  spec: ModelSpec,
  input: Uint8Array,
): Promise<PictureSize & { placement: Placement }> {
  const image = sharp(path, { failOn: 'none' }).autoOrient();
  const { autoOrient } = await image.metadata();
  const fit = fitInto(autoOrient, spec.input, spec.input.resize);
  input.set(await fitted(image.toColourspace('srgb').flatten({ background: '#000' }), fit, spec));
  return { width: autoOrient.width, height: autoOrient.height, placement: placementOf(autoOrient, fit) };
}

async function fitted(image: Sharp, fit: Fit, spec: ModelSpec): Promise<Buffer> {
  const { width, height, resize } = spec.input;
  let pipeline = image.resize(fit.width, fit.height, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
  if (resize.mode === 'letterbox' && (fit.width < width || fit.height < height)) {
    const grey = resize.padValue;
    pipeline = pipeline.extend({
      left: fit.x,
      top: fit.y,
      right: width - fit.width - fit.x,
      bottom: height - fit.height - fit.y,
      background: { r: grey, g: grey, b: grey },
    });
  }
  return pipeline.raw().toBuffer();
}

/** One libvips thread for each picture (streams are the parallelism) and no cache of pictures that never come again. */
export function configureSharp(): void {
  sharp.concurrency(1);
  sharp.cache(false);
}
