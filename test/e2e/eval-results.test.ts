import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { CocoImage } from '../../src/network/evaluate/coco-dataset.ts';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { sharedDir } from '../support/shared.ts';

const { path: folder, remove } = temporaryFolder();
const annotations = join(folder, 'instances.json');
afterAll(remove);

describe('eval --coco', () => {
  it.skipIf(sharedDir === null)(
    'keeps the detections, and score gives them the same figures (needs the shared folder)',
    { timeout: 120_000 },
    async () => {
      const coco = join(sharedDir ?? '.', 'coco-val-100');
      const whole = JSON.parse(readFileSync(join(coco, 'instances.json'), 'utf8')) as {
        images: CocoImage[];
        annotations: { image_id: number }[];
      };
      const images = whole.images.slice(0, 4);
      const labelled = whole.annotations.filter(({ image_id }) => images.some(({ id }) => id === image_id));
      writeFileSync(annotations, JSON.stringify({ ...whole, images, annotations: labelled }));
      const results = join(folder, 'results.json');
      const evaluated = await cliHere(
        [
          ...['eval', annotations, '--images', join(coco, 'images'), '--model', 'yolox-nano'],
          ...['--engine', 'onnx', '--precision', 'f32', '--coco', results, '--json'],
        ],
        { SIGHTLINE_MODEL_PATH: join(sharedDir ?? '.', 'models') },
      );
      expect(evaluated.code, evaluated.stderr).toBe(0);
      const scored = await cliHere(['score', annotations, results, '--json']);
      const { models } = JSON.parse(evaluated.stdout) as { models: [{ figures: { AP: number } }] };
      expect(models[0].figures.AP).toBeGreaterThan(0.1);
      expect(JSON.parse(scored.stdout)).toEqual(models[0].figures);
    },
  );

  it.each([
    [['--coco', annotations], /--coco: .* is an input/],
    [['--coco', '-'], /expected the name of a file, received "-"/],
    [['--coco', '/dev/null'], /expected the name of a file/],
    [['--coco', join(folder, 'no', 'results.json')], /the folder .* does not exist/],
    [['--coco', join(folder, 'x.json'), '--model', 'yolox-nano', '--model', 'picodet-s'], /a single --model/],
  ])('is refused before anything runs: %j', async (flags, message) => {
    const { code, stderr } = await cliHere(['eval', annotations, '--images', folder, ...flags]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });

  it('refuses what the model does not find, before any picture is read', async () => {
    const own = join(folder, 'masks.json');
    writeFileSync(own, JSON.stringify({ images: [], annotations: [], categories: [{ id: 1, name: 'person' }] }));
    const flags = ['--model', 'yolox-nano', '--iou-type', 'segm'];
    const { code, stderr } = await cliHere(['eval', own, '--images', folder, ...flags]);
    const message = '--iou-type: expected bbox for yolox-nano, which finds boxes, received segm';
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('names the folder and a picture that is missing, before the detector is opened', async () => {
    const images = [1, 2, 3].map((id) => ({ id, file_name: `${id}.jpg` }));
    const own = join(folder, 'own.json');
    writeFileSync(own, JSON.stringify({ images, annotations: [], categories: [{ id: 1, name: 'person' }] }));
    writeFileSync(join(folder, '1.jpg'), '');
    const { code, stderr } = await cliHere(['eval', own, '--images', folder, '--model', 'no-such-model']);
    const message = `--images ${folder}: expected the 3 pictures of ${own}; 2 of them are not there, such as 2.jpg`;
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});
