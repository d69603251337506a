import sharp, { type Sharp } from 'sharp';
import type { Fit } from '../../base/geometry/placement.ts';
import type { Rect } from '../../base/geometry/views.ts';

interface PictureWithContent {
  /** Size of the picture that the pixels hold. */
  readonly width: number;
  readonly height: number;
  /** The part of it that shows the source. */
  readonly content: Fit;
}

export interface PreviewSize {
  /** Display aspect of the source. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly maxWidth: number;
  /** JPEG quality, 1 to 100. */
  readonly quality: number;
}

export interface PreviewPlan extends PictureWithContent, PreviewSize {}

/** A model input that shows a part of the source. */
export interface PreviewPart extends PictureWithContent {
  /** u8 `[height, width, 3]` RGB. */
  readonly pixels: Uint8Array;
  /** The part, in source pixels. */
  readonly bounds: Rect;
}

/** Colour of what no model input shows. */
const UNSEEN = '#101014';

/**
 * Encodes a small JPEG of the model's input without its borders, at the source's aspect. Copies the pixels first.
 *
 * @returns memory that can be transferred to another thread.
 */
export async function encodePreview(pixels: Uint8Array, plan: PreviewPlan): Promise<Uint8Array> {
  return encoded(contentOf(pixels, plan).resize(...previewSize(plan), { fit: 'fill', kernel: 'linear' }), plan);
}

/** Encodes a small JPEG of the whole source from model inputs that show parts of it, like `encodePreview`. */
export async function encodeParts(parts: readonly PreviewPart[], size: PreviewSize): Promise<Uint8Array> {
  const [width, height] = previewSize(size);
  const [zoomX, zoomY] = [width / size.sourceWidth, height / size.sourceHeight];
  const placed = await Promise.all(
    parts.map(async ({ pixels, bounds, ...picture }) => {
      const [left, partWidth] = wholePixels(bounds.x * zoomX, (bounds.x + bounds.width) * zoomX, width);
      const [top, partHeight] = wholePixels(bounds.y * zoomY, (bounds.y + bounds.height) * zoomY, height);
      const input = await contentOf(pixels, picture)
        .resize(partWidth, partHeight, { fit: 'fill', kernel: 'linear' })
        .raw()
        .toBuffer();
      return { input, raw: { width: partWidth, height: partHeight, channels: 3 as const }, left, top };
    }),
  );
  return encoded(sharp({ create: { width, height, channels: 3, background: UNSEEN } }).composite(placed), size);
}

function previewSize({ sourceWidth, sourceHeight, maxWidth }: PreviewSize): [width: number, height: number] {
  const width = Math.max(16, Math.min(maxWidth, sourceWidth));
  return [width, Math.max(16, Math.round((width * sourceHeight) / sourceWidth))];
}

function contentOf(pixels: Uint8Array, { width, height, content }: PictureWithContent): Sharp {
  return sharp(Buffer.from(pixels), { raw: { width, height, channels: 3 } }).extract({
    left: content.x,
    top: content.y,
    width: content.width,
    height: content.height,
  });
}

/** Whole pixels of a stretch, at least one. */
function wholePixels(from: number, to: number, size: number): [at: number, length: number] {
  const at = Math.min(size - 1, Math.round(from));
  return [at, Math.max(1, Math.min(size, Math.round(to)) - at)];
}

async function encoded(picture: Sharp, { quality }: PreviewSize): Promise<Uint8Array> {
  const { data } = await picture.jpeg({ quality, chromaSubsampling: '4:2:0' }).toUint8Array();
  return data;
}
