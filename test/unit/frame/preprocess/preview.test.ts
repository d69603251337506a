import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { encodePreview } from '../../../../src/frame/preprocess/preview.ts';

/** A model input of 64x64 whose rows 16 to 47 are white and whose border is black. */
function letterboxed(memory: Uint8Array = new Uint8Array(64 * 64 * 3)): Uint8Array {
  return memory.fill(255, 16 * 64 * 3, 48 * 64 * 3);
}

const PLAN = {
  width: 64,
  height: 64,
  content: { width: 64, height: 32, x: 0, y: 16 },
  sourceWidth: 640,
  sourceHeight: 320,
  maxWidth: 100,
  quality: 72,
};

describe('encodePreview', () => {
  it("shows the picture without the model's border, at the aspect of the source", async () => {
    const jpeg = await encodePreview(letterboxed(), PLAN);
    const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
    expect([info.format, info.width, info.height]).toEqual(['raw', 100, 50]);
    expect(Math.min(...data)).toBeGreaterThan(245);
  });

  it('undoes a stretch', async () => {
    const plan = {
      ...PLAN,
      content: { width: 64, height: 64, x: 0, y: 0 },
      sourceWidth: 320,
      sourceHeight: 640,
      maxWidth: 90,
      quality: 72,
    };
    const { width, height } = await sharp(await encodePreview(letterboxed(), plan)).metadata();
    expect([width, height]).toEqual([90, 180]);
  });

  it('is at most as large as the source, and never below 16 pixels', async () => {
    const small = await sharp(
      await encodePreview(letterboxed(), { ...PLAN, sourceWidth: 32, sourceHeight: 16 }),
    ).metadata();
    expect([small.width, small.height]).toEqual([32, 16]);
    const tiny = await sharp(
      await encodePreview(letterboxed(), { ...PLAN, sourceWidth: 2, sourceHeight: 2 }),
    ).metadata();
    expect([tiny.width, tiny.height]).toEqual([16, 16]);
  });

  it('has copied its pixels when it returns, so that the slot can be reused', async () => {
    const pixels = letterboxed(new Uint8Array(new SharedArrayBuffer(64 * 64 * 3)));
    const promise = encodePreview(pixels, PLAN);
    pixels.fill(0);
    const { data } = await sharp(await promise)
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(Math.min(...data)).toBeGreaterThan(245);
  });

  it.each([1, 25, 50, 72, 90, 100])('has JPEG quality %i', async (quality) => {
    const jpeg = Buffer.from(await encodePreview(letterboxed(), { ...PLAN, quality }));
    // The first divisor of libjpeg's luminance table is 16 at quality 50, scaled by 50/q below and by 2 - q/50 above.
    const scale = quality < 50 ? 50 / quality : 2 - quality / 50;
    const divisor = Math.min(255, Math.max(1, Math.floor(16 * scale + 0.5)));
    const table = jpeg.indexOf(Buffer.from([0xff, 0xdb]));
    expect(jpeg[table + 5]).toBe(divisor);
  });
});
