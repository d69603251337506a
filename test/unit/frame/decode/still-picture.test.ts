import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeStill } from '../../../../src/frame/decode/still-picture.ts';
import { testFfmpeg } from '../../../support/made-videos.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-still-'));
const canvas = { width: 16, height: 16, fit: { mode: 'letterbox', anchor: 'top-left', padValue: 114 } } as const;

describe('decodeStill', () => {
  it('fits an image like a video frame: scaled, with a border', async () => {
    // By default ffmpeg takes this name for a pattern of numbered files.
    const path = join(folder, 'red %03d.png');
    await sharp({ create: { width: 64, height: 32, channels: 3, background: '#f00' } }).toFile(path);
    const picture = new Uint8Array(16 * 16 * 3);
    await decodeStill(testFfmpeg, path, canvas, picture);
    const rows = Array.from({ length: 16 }, (_, y) => Array.from(picture.slice(y * 48, y * 48 + 48)));
    for (const row of rows.slice(8)) expect(new Set(row)).toEqual(new Set([114]));
    for (const row of rows.slice(0, 8)) {
      expect(Math.min(...row.filter((_, at) => at % 3 === 0))).toBeGreaterThan(245);
      expect(Math.max(...row.filter((_, at) => at % 3 !== 0))).toBeLessThan(10);
    }
  });

  it("throws ffmpeg's message for a file that is not an image", async () => {
    const picture = new Uint8Array(16 * 16 * 3);
    await expect(decodeStill(testFfmpeg, join(folder, 'none.png'), canvas, picture)).rejects.toThrow(/none\.png/);
  });
});
