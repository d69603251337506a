import { createHash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import { DEFAULT_MAX_PIXELS } from '../../base/core/frame.ts';
import type { ModelSpec } from '../../base/core/model.ts';
import { MOST_BYTES, readGiven } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { composePlacements, type Fit, fitInto, type Placement, placementOf } from '../../base/geometry/placement.ts';
import type { Rect } from '../../base/geometry/views.ts';
import { Resampler } from './resampler.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Of an image file, upright as its EXIF data says. */
export interface ReadPicture extends PictureSize {
  /** Of a file with several pictures, such as an animation, of which this is the first: how many. */
  readonly pages?: number;
  /** What is wrong with the data, in libvips's words: what could not be read is grey. Null if it is whole. */
  readonly damage: string | null;
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
  readonly #crop: Rect | null;
  readonly #fit: Fit;
  readonly #resampler: Resampler | null;
  /** Maps picture pixels to pixels of the model's input. */
  readonly placement: Placement;

  /** @param crop - the part of the picture that is fitted into the input, in whole pixels; absent: all of it. */
  constructor(spec: ModelSpec, picture: PictureSize, crop: Rect | null = null) {
    this.#spec = spec;
    this.#picture = picture;
    this.#crop = crop;
    const shown = crop ?? picture;
    this.#fit = fitInto(shown, spec.input, spec.input.resize);
    this.#resampler = resamplerOf(spec, shown, this.#fit, picture.width);
    const onInput = placementOf(shown, this.#fit);
    this.placement =
      crop === null
        ? onInput
        : composePlacements({ scaleX: 1, scaleY: 1, offsetX: -crop.x, offsetY: -crop.y }, onInput);
  }

  /**
   * @param picture - u8 `[height, width, 3]` RGB, shared memory or not; not changed. Must not change until the promise
   *   settles.
   * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
   */
  async run(picture: Uint8Array, input: Uint8Array): Promise<void> {
    const crop = this.#crop;
    const { width, height } = this.#picture;
    if (this.#resampler !== null) {
      const shown = crop === null ? picture : picture.subarray((crop.y * width + crop.x) * 3);
      return resample(this.#resampler, shown, this.#fit, this.#spec, input);
    }
    let image = sharp(picture, { raw: { width, height, channels: 3 } });
    if (crop !== null) image = image.extract({ left: crop.x, top: crop.y, width: crop.width, height: crop.height });
    input.set(await resizeWithVips(image, this.#fit, this.#spec));
  }
}

/**
 * Reads an image file and fits it into the model's input.
 *
 * @param image - path or content of the file.
 * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
 * @param maxPixels - of the file.
 * @returns the size of the image after EXIF rotation, and its placement in the input.
 * @throws SOURCE_TOO_LARGE; SOURCE_UNREADABLE for another format; sharp's error if nothing can be read
 */
export async function preprocessImage(
  image: string | Uint8Array,
  spec: ModelSpec,
  input: Uint8Array,
  maxPixels = DEFAULT_MAX_PIXELS,
): Promise<ReadPicture & { placement: Placement }> {
  const { open, size } = await openImage(image, maxPixels);
  const fit = fitInto(size, spec.input, spec.input.resize);
  const resampler = resamplerOf(spec, size, fit);
  const { data, damage } = await readAll(open, (upright) =>
    resampler === null ? resizeWithVips(upright, fit, spec) : upright.raw().toBuffer(),
  );
  if (resampler === null) input.set(data);
  else resample(resampler, data, fit, spec, input);
  return { ...size, damage, placement: placementOf(size, fit) };
}

/** Reads an image file as u8 `[height, width, 3]` RGB. @throws as `preprocessImage` */
export async function readImage(
  image: string | Uint8Array,
  maxPixels: number,
): Promise<ReadPicture & { readonly pixels: Uint8Array }> {
  const { open, size } = await openImage(image, maxPixels);
  const { data, damage } = await readAll(open, (upright) => upright.raw().toBuffer());
  return { ...size, damage, pixels: data };
}

type OpenUpright = (failOn: 'none' | 'error') => Sharp;

/** Reads a damaged picture as far as it goes. */
async function readAll(
  open: OpenUpright,
  read: (upright: Sharp) => Promise<Buffer>,
): Promise<{ readonly data: Buffer; readonly damage: string | null }> {
  try {
    return { data: await read(open('error')), damage: null };
  } catch (error) {
    return { data: await read(open('none')), damage: (error as Error).message };
  }
}

/** @throws SOURCE_TOO_LARGE */
export function requirePixels({ width, height }: PictureSize, maxPixels: number, name: string): void {
  if (width * height <= maxPixels) return;
  throw new SightlineError(
    'SOURCE_TOO_LARGE',
    `${name}: the picture is ${width}x${height}, and decoder.maxPixels allows ${maxPixels} pixels`,
    { width, height },
  );
}

async function openImage(
  image: string | Uint8Array,
  maxPixels: number,
): Promise<{ open: OpenUpright; size: PictureSize & Pick<ReadPicture, 'pages'> }> {
  const name = typeof image === 'string' ? image : 'bytes';
  const bytes = typeof image === 'string' ? await readPicture(image) : requireRaster(image, name);
  // Reads the header only. Without the limit, so that the message can name the size.
  const { autoOrient, pages = 1 } = await sharp(bytes, { failOn: 'none', limitInputPixels: false })
    .autoOrient()
    .metadata();
  const { width, height } = autoOrient;
  requirePixels({ width, height }, maxPixels, name);
  const open: OpenUpright = (failOn) =>
    sharp(bytes, { failOn, limitInputPixels: maxPixels })
      .autoOrient()
      .toColourspace('srgb')
      .flatten({ background: '#000' });
  return { open, size: { width, height, ...(pages > 1 ? { pages } : {}) } };
}

/**
 * Reads an image file for sharp. Given the name, libvips would wait for a pipe, and read from a device until the memory is full.
 *
 * @throws SOURCE_UNREADABLE
 */
async function readPicture(path: string): Promise<Uint8Array> {
  return requireRaster(await readGiven(path, { code: 'SOURCE_UNREADABLE', mostBytes: MOST_BYTES.picture }), path);
}

/** How files begin that hold the pixels themselves: JPEG, PNG, GIF, TIFF of both byte orders and its large kind. */
const RASTER_STARTS = [
  ...['\xff\xd8\xff', '\x89PNG\r\n\x1a\n', 'GIF87a', 'GIF89a'],
  ...['II*\0', 'MM\0*', 'II+\0', 'MM\0+'],
];
const AVIF_KINDS = ['ftypavif', 'ftypavis', 'ftypmif1', 'ftypmsf1'];
const START_BYTES = 12;

/**
 * libvips would also draw SVG, whose nested references can take hours. Forbidding that in libvips itself would forbid it to the whole
 * process, where the program may draw its own.
 *
 * @throws SOURCE_UNREADABLE
 */
function requireRaster(bytes: Uint8Array, name: string): Uint8Array {
  const start = Buffer.from(bytes.subarray(0, START_BYTES)).toString('latin1');
  const isRaster =
    RASTER_STARTS.some((each) => start.startsWith(each)) ||
    (start.startsWith('RIFF') && start.endsWith('WEBP')) ||
    // The length of the first box of AVIF: text cannot begin like that.
    (start.startsWith('\0\0') && AVIF_KINDS.includes(start.slice(4)));
  if (isRaster) return bytes;
  throw new SightlineError(
    'SOURCE_UNREADABLE',
    `${name}: not an image that can be read (expected JPEG, PNG, WebP, GIF, TIFF or AVIF)`,
  );
}

/** Returns null if libvips does the resizing; it shifts an enlarged picture by half a pixel of the input. */
function resamplerOf(spec: ModelSpec, picture: PictureSize, fit: Fit, rowPixels = picture.width): Resampler | null {
  const { kernel = 'antialiased-linear' } = spec.input.resize;
  const isShrunk = fit.width <= picture.width && fit.height <= picture.height;
  if (kernel === 'vips-linear' || (kernel === 'antialiased-linear' && isShrunk)) return null;
  return new Resampler(picture, fit, kernel, rowPixels);
}

function resample(
  resampler: Resampler,
  picture: Uint8Array,
  fit: Fit,
  { input: size }: ModelSpec,
  input: Uint8Array,
): void {
  const { width, height, resize } = size;
  if (resize.mode === 'crop') {
    const whole = new Uint8Array(fit.width * fit.height * 3);
    resampler.run(picture, whole, 0, fit.width * 3);
    for (let y = 0; y < height; y += 1) {
      const from = ((y - fit.y) * fit.width - fit.x) * 3;
      input.set(whole.subarray(from, from + width * 3), y * width * 3);
    }
    return;
  }
  // The slot may still hold a picture of another shape.
  if (resize.mode === 'letterbox' && (fit.width < width || fit.height < height)) input.fill(resize.padValue);
  resampler.run(picture, input, (fit.y * width + fit.x) * 3, width * 3);
}

async function resizeWithVips(image: Sharp, fit: Fit, spec: ModelSpec): Promise<Buffer> {
  const { width, height, resize } = spec.input;
  let pipeline = image.resize(fit.width, fit.height, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
  if (resize.mode === 'crop') pipeline = pipeline.extract({ left: -fit.x, top: -fit.y, width, height });
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

/** Side to which a picture is scaled before it is compared with others. */
const COMPARED_PX = 32;

/**
 * Returns a hash that is equal for pictures of the same pixels, whatever their names and metadata are. One that was compressed again has
 * another.
 *
 * @throws SOURCE_UNREADABLE, or sharp's error, for a file that is no picture.
 */
export async function pixelHash(path: string): Promise<string> {
  const pixels = await sharp(await readPicture(path))
    .resize(COMPARED_PX, COMPARED_PX, { fit: 'fill' })
    .removeAlpha()
    .raw()
    .toBuffer();
  return createHash('sha256').update(pixels).digest('hex');
}
