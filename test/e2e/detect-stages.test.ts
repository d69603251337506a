import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { modelPlaces } from '../support/model-places.ts';
import { parquetRows } from '../support/parquet-rows.ts';
import { sharedDir } from '../support/shared.ts';
import { writeClassifier, writeColourNetwork } from '../support/staged-host.ts';

interface Line {
  readonly detections: readonly { label: string; trackId?: number; attributes?: Record<string, { label: string }> }[];
}

describe.skipIf(sharedDir === null)('sightline detect --stages (needs ../shared)', () => {
  const temporary = temporaryFolder();
  const file = (name: string): string => join(temporary.path, name);
  const detect = (...args: string[]) =>
    cliHere(['detect', join(sharedDir!, 'videos/bikes.mp4'), '--model', 'yolox-nano', '--every', '5', ...args], {
      SIGHTLINE_MODEL_PATH: modelPlaces.modelPath.join(':'),
      SIGHTLINE_CACHE_DIR: modelPlaces.cacheDir,
    });
  const write = (name: string, stages: object[]): string => {
    const pipeline = { name: 'bikes', description: 'Bicycles.', stages, streams: [{ id: 'a', source: 'demo' }] };
    writeFileSync(file(name), JSON.stringify(pipeline));
    return file(name);
  };

  beforeAll(() => writeColourNetwork(temporary.path));
  afterAll(() => temporary.remove());

  it('writes what second stages say to lines, columns and Parquet', async () => {
    const model = { name: writeClassifier(temporary.path, 'colours', ['red', 'green', 'blue'], 'colours.onnx') };
    const stages = write('bikes.yaml', [{ name: 'colour', on: { labels: ['person', 'car'] }, model, per: 'frame' }]);
    const outs = ['r.jsonl', 'r.csv'].flatMap((name) => ['--out', file(name)]);
    const run = await detect('--stages', stages, ...outs, '--parquet', file('r.parquet'));
    expect([run.code, run.stderr]).toEqual([0, expect.anything()]);
    const lines = readFileSync(file('r.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const found = lines.flatMap(({ detections }) => detections);
    const labels = found.map(({ attributes }) => attributes?.colour?.label ?? '');
    expect(labels.filter((label) => ['red', 'green', 'blue'].includes(label)).length).toBeGreaterThan(20);
    // A bicycle is not looked at, and what is looked at has a track.
    expect(found.filter(({ label, attributes }) => label === 'bicycle' && attributes !== undefined)).toEqual([]);
    expect(found.filter(({ trackId, attributes }) => attributes !== undefined && trackId === undefined)).toEqual([]);
    const [header, ...rows] = readFileSync(file('r.csv'), 'utf8').trimEnd().split('\n');
    expect(header).toMatch(/,trackId,attributes\.colour$/);
    expect(rows.map((row) => row.split(',').at(-1))).toEqual(labels);
    const parquet = (await parquetRows(file('r.parquet'))) as { attributes: Line['detections'][0]['attributes'] }[];
    expect(parquet.map(({ attributes }) => attributes?.colour?.label ?? '')).toEqual(labels);
  });

  it('refuses a pipeline without second stages, and one whose stages do not fit the detector', async () => {
    const none = await detect('--stages', write('none.yaml', []), '--out', file('x.jsonl'));
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/expected a pipeline with stages/)]);
    const model = { name: writeClassifier(temporary.path, 'colours', ['red', 'green', 'blue'], 'colours.onnx') };
    const wrong = write('wrong.yaml', [{ name: 'colour', on: { labels: ['lorry'] }, model }]);
    const refused = await detect('--stages', wrong, '--out', file('x.jsonl'));
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/stages\[0\]\.on\.labels.*lorry/)]);
  });
});
