import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeGfl } from '../../../../models/gfl/decode.ts';
import type { ComputePrecision } from '../../../../src/base/core/model.ts';
import { iouXywh } from '../../../../src/base/geometry/iou.ts';
import { compileSource, prepareModel } from '../../../../src/frame/runtime/model/prepare-model.ts';
import { runCompiled } from '../../../../src/frame/runtime/model/run-compiled.ts';
import type { VerifyRow } from '../../../../src/network/compile/verify/compare-outputs.ts';
import { verifyModel } from '../../../../src/network/compile/verify/verify-model.ts';
import { findWeights } from '../../../../src/network/store/find-weights.ts';
import { loadManifest } from '../../../../src/network/store/manifests.ts';
import { hasOpenvino, openvinoLibrary } from '../../../support/openvino.ts';
import { sharedDir } from '../../../support/shared.ts';
import { hasTensorflow } from '../../../support/tensorflow.ts';
import { pictures } from './layout-sources.ts';

/** [x, y, width, height] as shares of the picture, and the class. */
interface Box {
  readonly box: readonly [number, number, number, number];
  readonly class: number;
}

/** @param rows - x, y, width, height in pixels, score and class of each box. */
function boxesOf(rows: Float32Array, sizePx: number): Box[] {
  return Array.from({ length: rows.length / 6 }, (_, at) => {
    const [x, y, width, height, , id] = rows.subarray(at * 6, at * 6 + 6);
    return { box: [x! / sizePx, y! / sizePx, width! / sizePx, height! / sizePx], class: id! };
  });
}

function isSameBox(a: Box, b: Box): boolean {
  return a.class === b.class && iouXywh(...a.box, ...b.box) >= 0.5;
}

describe.skipIf(sharedDir === null)('published models (needs the shared models and pictures)', () => {
  const models = join(sharedDir ?? '', 'models');
  const store = {
    searchPath: [models],
    cacheDir: mkdtempSync(join(tmpdir(), 'sightline-models-')),
    onNotice: () => {},
    mayFetch: false,
  };

  async function compared(
    name: string,
    engine: 'onnx' | 'openvino' | 'tensorflow',
    precision: ComputePrecision,
  ): Promise<VerifyRow[]> {
    const model = await prepareModel(name, { ...store, engine, precision });
    expect(model.batch).toBe('free');
    const manifest = await loadManifest(name);
    const source = compileSource(manifest, await findWeights(manifest, store));
    const { width, height } = model.spec.input;
    const rows = await verifyModel(source, model, await pictures(width, height), (compiled, frames) =>
      runCompiled(compiled, frames, { engine, precision, openvinoLibrary }),
    );
    expect(rows.length).toBeGreaterThan(0);
    return rows;
  }

  const names = ['yolox-nano', 'yolox-nano-480x256', 'deimv2-femto'];

  it.each(names)('%s with batches of u8 frames returns the results of its file for single pictures', async (name) => {
    for (const row of await compared(name, 'onnx', 'f32')) expect(row.maxRel, row.output).toBeLessThan(5e-4);
  });

  it.skipIf(!hasTensorflow).each(names)('%s returns the same on TensorFlow', async (name) => {
    for (const row of await compared(name, 'tensorflow', 'f32')) expect(row.maxRel, row.output).toBeLessThan(5e-4);
  });

  it.skipIf(!hasOpenvino).each(names)('%s returns the same on OpenVINO', async (name) => {
    for (const row of await compared(name, 'openvino', 'f32')) expect(row.maxRel, row.output).toBeLessThan(5e-4);
  });

  it.each(['picodet-s', 'nanodet-m'])('%s at a smaller size finds what it finds at the published one', async (name) => {
    const found = async (size: number, scoreThreshold: number): Promise<Box[][]> => {
      const inputSize = { width: size, height: size };
      const model = await prepareModel(name, { ...store, engine: 'onnx', precision: 'f32', inputSize });
      const frames = await pictures(size, size);
      const options = { engine: 'onnx', precision: 'f32', openvinoLibrary } as const;
      const results = await runCompiled(model, frames, options);
      return results.map((outputs) => boxesOf(decodeGfl(outputs, 1, model.spec, scoreThreshold)[0]!, size));
    };
    const [published, smaller] = [await found(416, 0.6), await found(320, 0.3)];
    const all = published.flatMap((boxes, picture) => boxes.map((box) => ({ box, others: smaller[picture]! })));
    const again = all.filter(({ box, others }) => others.some((other) => isSameBox(box, other)));
    expect(all.length).toBeGreaterThan(5);
    expect(again.length / all.length).toBeGreaterThan(0.8);
  });

  // In half a box can change its rank, which makes the largest difference meaningless; so the test bounds the mean.
  const bounds = { predictions: 0.01, boxes: 1, scores: 0.01 };
  const engines = hasTensorflow ? (['onnx', 'tensorflow'] as const) : (['onnx'] as const);
  const halves = engines.flatMap((engine) => ['yolox-nano', 'deimv2-femto'].map((name) => [name, engine] as const));
  it.each(halves)('%s in half on %s has a small mean difference, but not zero', async (name, engine) => {
    for (const row of await compared(name, engine, 'f16')) {
      expect(row.meanAbs, row.output).toBeLessThan(bounds[row.output as keyof typeof bounds]);
      expect(row.meanAbs, row.output).toBeGreaterThan(1e-6);
    }
  });

  it('deimv2-femto cannot be compiled at another size, and the error has the reason', async () => {
    const inputSize = { width: 480, height: 256 };
    await expect(
      prepareModel('deimv2-femto', { ...store, engine: 'onnx', precision: 'f32', inputSize }),
    ).rejects.toMatchObject({ code: 'COMPILE_UNSUPPORTED', message: expect.stringContaining('480x256') });
  });

  it('an ONNX model cannot run on the wasm engine, and the error suggests an alternative', async () => {
    await expect(prepareModel('yolox-nano', { ...store, engine: 'wasm', precision: 'f32' })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('--model centernet'),
    });
  });
});
