import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OnnxEngine } from '../../../../src/frame/infer/onnx-engine.ts';
import type { Graph } from '../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';

const SIDE = 8;

/** A network that returns its gate. */
function echo(): Graph {
  const builder = new GraphBuilder('');
  builder.node('Identity', 'said', ['gate']);
  builder.node('Cast', 'picture', ['frames'], { to: 1 });
  return builder.finish({
    name: 'echo',
    opset: 17,
    inputs: [
      { name: 'frames', type: 'u8', dims: ['n', SIDE, SIDE, 3] },
      { name: 'gate', type: 'f32', dims: [1] },
    ],
    outputs: [
      { name: 'said', type: 'f32', dims: [1] },
      { name: 'picture', type: 'f32', dims: ['n', SIDE, SIDE, 3] },
    ],
  });
}

let folder: string;
let engine: OnnxEngine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-gate-'));
  const path = join(folder, 'echo.onnx');
  writeFileSync(path, emitOnnx(echo()));
  const input = { width: SIDE, height: SIDE, resize: { mode: 'stretch' as const } };
  const spec = {
    name: 'echo',
    family: 'yolox' as const,
    input,
    classes: ['a'],
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 10,
    classesPerBox: 'best' as const,
  };
  engine = await OnnxEngine.load({
    engine: 'onnx',
    provider: 'cpu',
    model: { spec, format: 'onnx', path, precision: 'f32', batch: 'free', hash: '' },
    maxBatch: 1,
    batchSizes: [1],
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  });
});

afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

async function gateAt(scoreThreshold?: number): Promise<number> {
  engine.inputBuffer(1).fill(0);
  return Number((await engine.infer(1, scoreThreshold)).get('said')!.data[0]);
}

it.each([0.01, 0.3, 0.5, 0.99])(
  'a threshold of %d becomes the logit whose sigmoid it is, or slightly less',
  async (score) => {
    const gate = await gateAt(score);
    const passing = 1 / (1 + Math.exp(-gate));
    expect(passing).toBeLessThan(score);
    expect(passing).toBeGreaterThan(score - 0.001);
  },
);

it('without a threshold, or with 0, every cell passes', async () => {
  expect(await gateAt()).toBe(Number.NEGATIVE_INFINITY);
  expect(await gateAt(0)).toBe(Number.NEGATIVE_INFINITY);
});

it('with a threshold of 1 a cell with an objectness of 1 still passes', async () => {
  const gate = await gateAt(1);
  // In f32 the sigmoid is 1 from a logit of 16.6 on.
  expect(gate).toBeGreaterThan(15);
  expect(gate).toBeLessThan(16.6);
});
