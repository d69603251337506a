import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cliHere } from '../support/cli-here.ts';
import { sharedDir } from '../support/shared.ts';

describe.skipIf(sharedDir === null)('sightline score (needs the shared folder)', () => {
  const folder = join(sharedDir ?? '.', 'coco-val-100');
  const annotations = join(folder, 'instances.json');
  const resultFiles = sharedDir === null ? [] : readdirSync(join(folder, 'results'));

  it.each(resultFiles)('of %s equals pycocotools in all twelve figures', async (file) => {
    const expected = JSON.parse(readFileSync(join(folder, 'expected-pycocotools.json'), 'utf8')) as Record<
      string,
      Record<string, number>
    >;
    const { stdout, code } = await cliHere(['score', annotations, join(folder, 'results', file), '--json']);
    expect(code).toBe(0);
    const figures = JSON.parse(stdout) as Record<string, number>;
    const wanted = Object.entries(expected[basename(file, '.json')]!);
    expect(wanted).toHaveLength(12);
    for (const [name, value] of wanted) expect(figures[name], name).toBeCloseTo(value, 6);
  });
});
