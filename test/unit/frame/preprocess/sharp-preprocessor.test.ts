import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { ModelSpec, ResizeRule } from '../../../../src/base/core/model.ts';
import { pixelHash, preprocessImage, SharpPreprocessor } from '../../../../src/frame/preprocess/sharp-preprocessor.ts';
import { makePipe } from '../../../support/made-pipe.ts';

const RED = [200, 30, 60] as const;
const GREEN = [20, 180, 90] as const;

function spec(width: number, height: number, resize: ResizeRule): ModelSpec {
  return {
    name: 'test',
    family: 'yolox',
    input: { width, height, resize },
    classes: [],
    nmsIou: null,
    scoreThreshold: 0.5,
    maxDetections: 10,
    classesPerBox: 'best',
  };
}

const STRETCH: ResizeRule = { mode: 'stretch' };
const TOP_LEFT: ResizeRule = { mode: 'letterbox', anchor: 'top-left', padValue: 114 };
const CENTER: ResizeRule = { mode: 'letterbox', anchor: 'center', padValue: 7 };

/** A picture whose left half is red and whose right half is green, in memory of the given kind. */
function halves(width: number, height: number, memory: Uint8Array = new Uint8Array(width * height * 3)): Uint8Array {
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) memory.set(x < width / 2 ? RED : GREEN, (y * width + x) * 3);
  return memory;
}

describe('an image file', () => {
  it.each([
    ['a pipe', (folder: string) => makePipe(join(folder, 'a.png')), /it is a pipe/],
    ['a device', () => '/dev/zero', /it is a device/],
  ])('that is %s is refused at once, and not given to libvips', async (_, make, why) => {
    const path = make(mkdtempSync(join(tmpdir(), 'sightline-picture-')));
    const refused = { code: 'SOURCE_UNREADABLE', message: expect.stringMatching(why) };
    await expect(preprocessImage(path, spec(8, 8, STRETCH), new Uint8Array(192))).rejects.toMatchObject(refused);
    await expect(pixelHash(path)).rejects.toMatchObject(refused);
  });
});

describe('the formats of image files', () => {
  const read = (image: string | Uint8Array) => preprocessImage(image, spec(8, 8, STRETCH), new Uint8Array(192));

  it.each(['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const)('%s is read', async (format) => {
    const raw = { width: 32, height: 16, channels: 3 } as const;
    const bytes = await sharp(halves(32, 16), { raw })[format]().toBuffer();
    expect(await read(bytes)).toMatchObject({ width: 32, height: 16, damage: null });
  });

  // Each level draws the one below ten times: libvips would not come to an end.
  const levels = Array.from({ length: 12 }, (_, i) => `<g id="l${i + 1}">${`<use href="#l${i}"/>`.repeat(10)}</g>`);
  const nested = `<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"><defs><rect id="l0" width="9" height="9"/>${levels.join('')}</defs><use href="#l12"/></svg>`;

  it.each([
    ['SVG', nested],
    ['SVG behind a comment that looks like AVIF', `<!--ftypavif-->${nested}`],
    ['SVG behind a declaration', `<?xml version="1.0"?>\n${nested}`],
    ['an empty file', ''],
    ['PDF', '%PDF-1.7'],
  ])('%s is refused before libvips sees it', async (_, text) => {
    const path = join(mkdtempSync(join(tmpdir(), 'sightline-picture-')), 'a.png');
    writeFileSync(path, text);
    const refused = { code: 'SOURCE_UNREADABLE', message: expect.stringContaining('expected JPEG, PNG, WebP') };
    await expect(read(Buffer.from(text))).rejects.toMatchObject(refused);
    await expect(read(path)).rejects.toMatchObject(refused);
    await expect(pixelHash(path)).rejects.toMatchObject(refused);
  });
});

/** Returns the colour at one pixel of a model's input. */
function at(input: Uint8Array, width: number, x: number, y: number): number[] {
  return Array.from(input.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
}

/** Returns a letter per pixel: red, green, grey border, or anything else (the seam). */
function sketch(input: Uint8Array, width: number, y: number, pad: number): string {
  const names = new Map([
    [String(RED), 'r'],
    [String(GREEN), 'g'],
    [String([pad, pad, pad]), '.'],
  ]);
  return Array.from({ length: width }, (_, x) => names.get(String(at(input, width, x, y))) ?? '?').join('');
}

describe('SharpPreprocessor', () => {
  it('stretches: each half of the picture is half of the input', async () => {
    const input = new Uint8Array(16 * 8 * 3);
    const preprocessor = new SharpPreprocessor(spec(16, 8, STRETCH), { width: 64, height: 64 });
    await preprocessor.run(halves(64, 64), input);
    for (let y = 0; y < 8; y++) expect(sketch(input, 16, y, 0)).toMatch(/^r{7}.{2}g{7}$/);
    expect(preprocessor.placement).toEqual({ scaleX: 0.25, scaleY: 0.125, offsetX: 0, offsetY: 0 });
  });

  it('letterboxes at the top left: the border is grey, on the right or below', async () => {
    const input = new Uint8Array(16 * 16 * 3);
    const wide = new SharpPreprocessor(spec(16, 16, TOP_LEFT), { width: 32, height: 16 });
    await wide.run(halves(32, 16), input);
    for (let y = 0; y < 16; y++) expect(sketch(input, 16, y, 114)).toMatch(y < 8 ? /^r{7}.{2}g{7}$/ : /^\.{16}$/);
    const high = new SharpPreprocessor(spec(16, 16, TOP_LEFT), { width: 16, height: 32 });
    await high.run(halves(16, 32), input);
    for (let y = 0; y < 16; y++) expect(sketch(input, 16, y, 114)).toMatch(/^r{3}.{2}g{3}\.{8}$/);
  });

  it('letterboxes in the middle: an odd remainder goes below', async () => {
    const input = new Uint8Array(8 * 8 * 3);
    const preprocessor = new SharpPreprocessor(spec(8, 8, CENTER), { width: 80, height: 50 });
    await preprocessor.run(halves(80, 50), input);
    const rows = Array.from({ length: 8 }, (_, y) => (sketch(input, 8, y, 7) === '........' ? '.' : '#')).join('');
    expect(rows).toBe('.#####..');
    expect(preprocessor.placement).toEqual({ scaleX: 0.1, scaleY: 0.1, offsetX: 0, offsetY: 1 });
  });

  it.each(['linear', 'cubic', 'area', 'antialiased-linear', 'vips-linear'] as const)(
    '%s overwrites the previous picture in the input completely',
    async (kernel) => {
      const input = new Uint8Array(16 * 16 * 3).fill(200);
      await new SharpPreprocessor(spec(16, 16, { ...CENTER, kernel }), { width: 32, height: 16 }).run(
        halves(32, 16),
        input,
      );
      for (let y = 0; y < 16; y++)
        expect(sketch(input, 16, y, 7)).toMatch(y < 4 || y > 11 ? /^\.{16}$/ : /^r{7}..g{7}$/);
    },
  );

  it('enlarges a picture of two pixels without blending at the edges', async () => {
    const input = new Uint8Array(16 * 16 * 3);
    await new SharpPreprocessor(spec(16, 16, STRETCH), { width: 2, height: 2 }).run(halves(2, 2), input);
    expect(at(input, 16, 0, 0)).toEqual([...RED]);
    expect(at(input, 16, 15, 15)).toEqual([...GREEN]);
  });

  it('reads shared memory and writes shared memory, with the same result', async () => {
    const preprocessor = new SharpPreprocessor(spec(16, 16, TOP_LEFT), { width: 32, height: 16 });
    const plain = new Uint8Array(16 * 16 * 3);
    await preprocessor.run(halves(32, 16), plain);
    const shared = new Uint8Array(new SharedArrayBuffer(plain.length + 64), 64);
    const picture = halves(32, 16, new Uint8Array(new SharedArrayBuffer(32 * 16 * 3 + 128), 128));
    await preprocessor.run(picture, shared);
    expect(Array.from(shared)).toEqual(Array.from(plain));
    expect(Array.from(picture)).toEqual(Array.from(halves(32, 16)));
  });

  it('runs several pictures at once, each into its own input', async () => {
    const preprocessor = new SharpPreprocessor(spec(4, 4, STRETCH), { width: 8, height: 8 });
    const inputs = Array.from({ length: 8 }, () => new Uint8Array(48));
    await Promise.all(inputs.map((input, i) => preprocessor.run(new Uint8Array(192).fill(i * 30), input)));
    inputs.forEach((input, i) => {
      expect(new Set(input)).toEqual(new Set([i * 30]));
    });
  });
});

describe('preprocessImage', () => {
  it('says how many pictures a file has of which it reads the first', async () => {
    const still = (r: number) => sharp({ create: { width: 8, height: 8, channels: 3, background: { r, g: 0, b: 0 } } });
    const frames = await Promise.all([10, 200, 250].map((r) => still(r).png().toBuffer()));
    const animation = await sharp(frames, { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer();
    const read = (bytes: Uint8Array) => preprocessImage(bytes, spec(8, 8, STRETCH), new Uint8Array(192));
    expect(await read(animation)).toMatchObject({ width: 8, height: 8, pages: 3, damage: null });
    expect(await read(frames[0]!)).not.toHaveProperty('pages');
  });

  const folder = mkdtempSync(join(tmpdir(), 'sightline-images-'));
  const raw = { width: 40, height: 20, channels: 3 } as const;

  async function saved(name: string, make: (image: ReturnType<typeof sharp>) => ReturnType<typeof sharp>) {
    const path = join(folder, name);
    await make(sharp(halves(40, 20), { raw })).toFile(path);
    return path;
  }

  async function read(path: string, resize: ResizeRule) {
    const input = new Uint8Array(16 * 16 * 3);
    return { input, ...(await preprocessImage(path, spec(16, 16, resize), input)) };
  }

  it('fits an image like a frame', async () => {
    const { input, width, height, placement } = await read(await saved('plain.png', (image) => image), TOP_LEFT);
    expect([width, height]).toEqual([40, 20]);
    expect(placement).toEqual({ scaleX: 0.4, scaleY: 0.4, offsetX: 0, offsetY: 0 });
    expect(sketch(input, 16, 3, 114)).toMatch(/^r{7}.{2}g{7}$/);
    expect(sketch(input, 16, 9, 114)).toBe('.'.repeat(16));
  });

  it('applies the EXIF rotation before it measures an image', async () => {
    const path = await saved('turned.jpg', (image) => image.jpeg({ quality: 100 }).withMetadata({ orientation: 6 }));
    const { input, width, height } = await read(path, STRETCH);
    expect([width, height]).toEqual([20, 40]);
    // Rotated by 90 degrees clockwise: the left side is now the top.
    const [top, bottom] = [at(input, 16, 8, 2), at(input, 16, 8, 13)];
    expect(top[0]).toBeGreaterThan(150);
    expect(bottom[1]).toBeGreaterThan(130);
  });

  it.each([
    ['grey', (image: ReturnType<typeof sharp>) => image.greyscale().png()],
    ['grey of 16 bits', (image: ReturnType<typeof sharp>) => image.toColourspace('grey16').png()],
    ['of 16 bits', (image: ReturnType<typeof sharp>) => image.toColourspace('rgb16').png()],
    ['with a palette', (image: ReturnType<typeof sharp>) => image.png({ palette: true })],
    ['with an opaque alpha', (image: ReturnType<typeof sharp>) => image.ensureAlpha(1).png()],
    ['in CMYK', (image: ReturnType<typeof sharp>) => image.toColourspace('cmyk').jpeg({ quality: 100 })],
  ])('an image %s fills all three channels of the whole input', async (name, make) => {
    const { input } = await read(await saved(`${name}.img`, make), STRETCH);
    const [left, right] = [at(input, 16, 2, 14), at(input, 16, 13, 14)];
    if (name.startsWith('grey')) {
      expect(new Set(left).size).toBe(1);
      expect(left[0]).not.toBe(0);
      expect(left[0]).not.toBe(right[0]);
    } else {
      expect(left[0]! - left[1]!).toBeGreaterThan(100);
      expect(right[1]! - right[0]!).toBeGreaterThan(80);
    }
  });

  it('renders transparency as black', async () => {
    const { input } = await read(await saved('clear.png', (image) => image.ensureAlpha(0).png()), STRETCH);
    expect(new Set(input)).toEqual(new Set([0]));
  });

  it('rejects a file that is not an image', async () => {
    await expect(read('test/unit/frame/preprocess/sharp-preprocessor.test.ts', STRETCH)).rejects.toThrow();
  });
});
