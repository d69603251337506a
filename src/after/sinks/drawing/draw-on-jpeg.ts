import sharp from 'sharp';
import type { FrameResult } from '../../../base/core/frame.ts';
import type { OverlayCounts, OverlayPlan } from '../../../wire/protocol/annotate.ts';
import { OverlayPainter } from './draw-overlay.ts';

const QUALITY = 85;

/** Returns a picture with what was found in it drawn on. @param jpeg - the whole picture of the frame, in any size. */
export async function drawOnJpeg(
  jpeg: Uint8Array,
  { detections, width: sourceWidth, height: sourceHeight }: Pick<FrameResult, 'detections' | 'width' | 'height'>,
  plan: OverlayPlan,
  counts: OverlayCounts,
): Promise<Buffer> {
  const { data, info } = await sharp(jpeg).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const placement = { scaleX: width / sourceWidth, scaleY: height / sourceHeight, offsetX: 0, offsetY: 0 };
  const canvas = { pixels: data, width, height };
  new OverlayPainter(info, plan).draw(canvas, { detections, counts, sourceWidth, sourceHeight, placement });
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: QUALITY })
    .toBuffer();
}
