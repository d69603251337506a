import sharp from 'sharp';
import type { Fit } from '../geometry/placement.ts';

export interface PreviewPlan {
  /** Size of the picture that the pixels hold. */
  readonly width: number;
  readonly height: number;
  /** The part of it that shows the source. */
  readonly content: Fit;
  /** Display aspect of the source. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly maxWidth: number;
  /** JPEG quality, 1 to 100. */
  readonly quality: number;
}

/** Encodes a small JPEG of the model's input without its borders, at the source's aspect. Copies the pixels first. */
export async function encodePreview(pixels: Uint8Array, plan: PreviewPlan): Promise<Buffer> {
  const { content } = plan;
  const width = Math.max(16, Math.min(plan.maxWidth, plan.sourceWidth));
  const height = Math.max(16, Math.round((width * plan.sourceHeight) / plan.sourceWidth));
  return sharp(Buffer.from(pixels), { raw: { width: plan.width, height: plan.height, channels: 3 } })
    .extract({ left: content.x, top: content.y, width: content.width, height: content.height })
    .resize(width, height, { fit: 'fill', kernel: 'linear' })
    .jpeg({ quality: plan.quality, chromaSubsampling: '4:2:0' })
    .toBuffer();
}
