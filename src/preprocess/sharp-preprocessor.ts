import sharp, { type Sharp } from 'sharp';
import type { ModelSpec } from '../core/model.ts';
import { type Fit, fitInto, type Placement, placementOf } from '../geometry/placement.ts';
import { Resampler } from './resampler.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/**
 * Fits pictures into a model's input. One instance per stream; call `configureSharp` on its thread first.
 *
 * Uses the kernel of the model's publisher. libvips shrinks with `antialiased-linear` fastest; `Resampler` does everything
 * else.
 */
export class SharpPreprocessor {
  readonly #spec: ModelSpec;
  readonly #picture: PictureSize;
  readonly #fit: Fit;
  readonly #resampler: Resampler | null;
  /** Maps picture pixels to pixels of the model's input. */
  readonly placement: Placement;

  constructor(spec: ModelSpec, picture: PictureSize) {
    this.#spec = spec;
    this.#picture = picture;
    this.#fit = fitInto(picture, spec.input, spec.input.resize);
    this.#resampler = resamplerOf(spec, picture, this.#fit);
    this.placement = placementOf(picture, this.#fit);
  }

  /**
   * @param picture - u8 `[height, width, 3]` RGB, shared memory or not; not changed. Must not change until the promise
   *   settles.
   * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
   */
  async run(picture: Uint8Array, input: Uint8Array): Promise<void> {
    if (this.#resampler !== null) return resample(this.#resampler, picture, this.#fit, this.#spec, input);
    const raw = { width: this.#picture.width, height: this.#picture.height, channels: 3 } as const;
    input.set(await resizeWithVips(sharp(picture, { raw }), this.#fit, this.#spec));
  }
}

/**
 * Reads an image file and fits it into the model's input.
 *
 * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
 * @returns the size of the image after EXIF rotation, and its placement in the input.
 */
export async function preprocessImage(
  path: string,
  spec: ModelSpec,
  input: Uint8Array,
): Promise<PictureSize & { placement: Placement }> {
  const image = sharp(path, { failOn: 'none' }).autoOrient();
  const { autoOrient } = await image.metadata();
  const fit = fitInto(autoOrient, spec.input, spec.input.resize);
  const upright = image.toColourspace('srgb').flatten({ background: '#000' });
  const resampler = resamplerOf(spec, autoOrient, fit);
  if (resampler === null) input.set(await resizeWithVips(upright, fit, spec));
  else resample(resampler, await upright.raw().toBuffer(), fit, spec, input);
  return { width: autoOrient.width, height: autoOrient.height, placement: placementOf(autoOrient, fit) };
}

/** Returns null if libvips does the resizing; it shifts an enlarged picture by half a pixel of the input. */
function resamplerOf(spec: ModelSpec, picture: PictureSize, fit: Fit): Resampler | null {
  const { kernel = 'antialiased-linear' } = spec.input.resize;
  const isShrunk = fit.width <= picture.width && fit.height <= picture.height;
  if (kernel === 'vips-linear' || (kernel === 'antialiased-linear' && isShrunk)) return null;
  return new Resampler(picture, fit, kernel);
}

function resample(
  resampler: Resampler,
  picture: Uint8Array,
  fit: Fit,
  { input: size }: ModelSpec,
  input: Uint8Array,
): void {
  const { width, height, resize } = size;
  // The slot may still hold a picture of another shape.
  if (resize.mode === 'letterbox' && (fit.width < width || fit.height < height)) input.fill(resize.padValue);
  resampler.run(picture, input, (fit.y * width + fit.x) * 3, width * 3);
}

async function resizeWithVips(image: Sharp, fit: Fit, spec: ModelSpec): Promise<Buffer> {
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

/** Limits libvips to one thread per picture (streams run in parallel) and disables its cache, since no picture repeats. */
export function configureSharp(): void {
  sharp.concurrency(1);
  sharp.cache(false);
}
