import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BETTER_MODEL, BETTER_MODEL_TEXT } from '../../../src/cli/model-hint.ts';
import { listManifests } from '../../../src/network/store/manifests.ts';
import { packageRoot } from '../../../src/network/store/package-root.ts';

interface TimeRow {
  readonly model: string;
  readonly engine: string;
  readonly precision: string;
  readonly inputSize: string;
  readonly oneThreadMs: number;
}

it('the sentence about the better model states what was measured, rounded down', async () => {
  const table = JSON.parse(readFileSync(join(packageRoot(), 'bench/optimize-table.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const rows = Object.values(table).flatMap((value) => (Array.isArray(value) ? (value as Partial<TimeRow>[]) : []));
  const timeOf = (model: string, engine: string, precision: string): number => {
    const manifest = manifests.find(({ name }) => name === model)!;
    const inputSize = `${manifest.input.width}x${manifest.input.height}`;
    const row = rows.find(
      (each) =>
        each.model === model && each.engine === engine && each.precision === precision && each.inputSize === inputSize,
    );
    return row!.oneThreadMs!;
  };
  const manifests = await listManifests();
  const { instead, name, speedRatio, apPoints } = BETTER_MODEL;
  const ratio = (engine: string, precision: string): number =>
    timeOf(instead, engine, precision) / timeOf(name, engine, precision);
  const apOf = (model: string): number => manifests.find((each) => each.name === model)!.reported!.ap;
  const down = (value: number): number => Math.floor(10 * value) / 10;
  expect(speedRatio).toEqual({ onnx: down(ratio('onnx', 'f32')), openvino: down(ratio('openvino', 'bf16')) });
  expect(apPoints).toBe(down(100 * (apOf(name) - apOf(instead))));
  expect(BETTER_MODEL_TEXT).toBe(
    'picodet-s is 1.7 times as fast as centernet on onnx and 2.7 times on openvino in bf16, with 4.6 AP more',
  );
});

it.each(['README.md', 'docs/models.md'])('%s says the same, with the command', (page) => {
  const { command } = BETTER_MODEL;
  expect(readFileSync(page, 'utf8').replaceAll('`', '')).toContain(`${BETTER_MODEL_TEXT}: npx ${command}`);
});
