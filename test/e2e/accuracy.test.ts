import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli } from '../support/cli.ts';
import { sharedDir } from '../support/shared.ts';

/** AP of each model on these images, from the model cards. */
const CARDS = [
  ['yolox-nano', 0.3242],
  ['deimv2-femto', 0.3729],
  ['centernet', 0.3302],
] as const;

const TOLERANCE = 0.005;

describe.skipIf(sharedDir === null)('accuracy on COCO (needs the shared folder)', () => {
  const folder = join(sharedDir ?? '.', 'coco-val-100');
  const annotations = join(folder, 'instances.json');
  const env = { SIGHTLINE_MODEL_PATH: join(sharedDir ?? '.', 'models') };

  const resultFiles = sharedDir === null ? [] : readdirSync(join(folder, 'results'));

  it.each(resultFiles)('score of %s equals pycocotools in all twelve figures', async (file) => {
    const expected = JSON.parse(readFileSync(join(folder, 'expected-pycocotools.json'), 'utf8')) as Record<
      string,
      Record<string, number>
    >;
    const { stdout, code } = await cli(['score', annotations, join(folder, 'results', file), '--json']);
    expect(code).toBe(0);
    const figures = JSON.parse(stdout) as Record<string, number>;
    const wanted = Object.entries(expected[basename(file, '.json')]!);
    expect(wanted).toHaveLength(12);
    for (const [name, value] of wanted) expect(figures[name], name).toBeCloseTo(value, 6);
  });

  it.each(CARDS)('AP of %s as it is run here is that of its card', async (model, ap) => {
    const { stdout, stderr, code } = await cli(
      ['eval', annotations, '--images', join(folder, 'images'), '--model', model, '--json'],
      env,
    );
    expect(code, stderr).toBe(0);
    const { models } = JSON.parse(stdout) as { models: [{ figures: { AP: number } }] };
    expect(Math.abs(models[0].figures.AP - ap)).toBeLessThan(TOLERANCE);
  });
});
