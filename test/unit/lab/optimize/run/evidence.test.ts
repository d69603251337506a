import { appendFileSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClipBlock } from '../../../../../src/frame/decode/cut-blocks.ts';
import {
  fewerBlocks,
  fewerLabels,
  type Labels,
  labelsIn,
  requireDistinct,
  splitEvidence,
} from '../../../../../src/lab/optimize/run/evidence.ts';
import { labelledScene } from '../../../../support/gate-scenes.ts';

function blocksOf(number: number): ClipBlock[] {
  return Array.from({ length: number }, (_, i) => ({
    path: `${i}.mkv`,
    startUs: i * 10e6,
    durationUs: 10e6,
    frames: 100,
  }));
}

const pathsOf = (blocks: readonly ClipBlock[]): string[] => blocks.map(({ path }) => path);

describe('evidence', () => {
  it('is a quarter for the search and the rest for the verdict, without a common picture', () => {
    const { search, heldOut } = splitEvidence(labelsIn(labelledScene(100, 1), 'photos'), null, []);
    expect([search.labels!.paths.length, heldOut.labels!.paths.length]).toEqual([25, 75]);
    expect(new Set([...search.labels!.paths, ...heldOut.labels!.paths]).size).toBe(100);
    for (const { annotations, paths } of [search.labels!, heldOut.labels!])
      expect(annotations.images.map(({ fileName }) => join('photos', fileName))).toEqual(paths);
  });

  it('takes a second set for the verdict whole, and at most 200 pictures for the search', () => {
    const second = labelsIn(labelledScene(40, 2), 'others');
    const { search, heldOut } = splitEvidence(labelsIn(labelledScene(900, 1), 'photos'), second, []);
    expect(search.labels!.paths).toHaveLength(200);
    expect(heldOut.labels).toBe(second);
  });

  it('takes every fourth block for the search, not the quiet first one', () => {
    const { search, heldOut } = splitEvidence(null, null, blocksOf(12));
    expect(pathsOf(search.blocks)).toEqual(['1.mkv', '5.mkv', '9.mkv']);
    expect(heldOut.blocks).toHaveLength(9);
  });

  it('leaves nothing for the verdict where there is a single block', () => {
    expect(splitEvidence(null, null, blocksOf(1)).heldOut.blocks).toEqual([]);
    expect(splitEvidence(null, null, []).search.blocks).toEqual([]);
  });

  it('is cut evenly where the time is short', () => {
    expect(pathsOf(fewerBlocks(blocksOf(9), 3))).toEqual(['1.mkv', '4.mkv', '7.mkv']);
    expect(fewerBlocks(blocksOf(2), 3)).toHaveLength(2);
    expect(fewerLabels(labelsIn(labelledScene(100, 1), 'photos'), 40).paths).toHaveLength(40);
  });
});

describe('labelled pictures', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-evidence-'));
  const scene = labelledScene(3, 1);

  beforeAll(async () => {
    for (const [i, { fileName }] of scene.images.entries()) {
      const noise = { type: 'gaussian', mean: 60 * (i + 1), sigma: 30 } as const;
      await sharp({ create: { width: 64, height: 48, channels: 3, background: 'black', noise } })
        .jpeg()
        .toFile(join(folder, fileName));
    }
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const set = labelsIn(scene, folder);
  const named = (fileName: string): Labels =>
    labelsIn({ ...scene, path: 'second.json', images: [{ id: 1, fileName }], annotations: [] }, folder);

  it('may be in one set, once each', async () => {
    await expect(requireDistinct(set, null)).resolves.toBeUndefined();
    await expect(requireDistinct(null, null)).resolves.toBeUndefined();
  });

  it('are refused in both sets, under another name and with other bytes at the end', async () => {
    copyFileSync(join(folder, '1.jpg'), join(folder, 'renamed.jpg'));
    await expect(requireDistinct(set, named('renamed.jpg'))).rejects.toThrow(
      'second.json: images[0] (renamed.jpg): expected each picture once, received that of scene.json: images[1] (1.jpg) again',
    );
    appendFileSync(join(folder, 'renamed.jpg'), Buffer.from([0]));
    await expect(requireDistinct(set, named('renamed.jpg'))).rejects.toThrow('expected each picture once');
  });

  it('are refused twice in one set', async () => {
    const twice = labelsIn({ ...scene, images: [...scene.images, { id: 9, fileName: '0.jpg' }] }, folder);
    await expect(requireDistinct(twice, null)).rejects.toThrow(
      'scene.json: images[3] (0.jpg): expected each picture once',
    );
  });

  it('are refused if one is missing or no picture, with the place in the annotations', async () => {
    await expect(requireDistinct(set, named('none.jpg'))).rejects.toThrow(
      `second.json: images[0] (none.jpg): expected a picture at ${join(folder, 'none.jpg')}`,
    );
  });
});
