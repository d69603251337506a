import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Precision } from '../../../../src/base/core/model.ts';
import { runCompiled } from '../../../../src/frame/runtime/model/run-compiled.ts';
import { compileModel } from '../../../../src/network/compile/compile-model.ts';
import type { CompileSource } from '../../../../src/network/compile/compile-source.ts';
import { runOnnxSource } from '../../../../src/network/compile/verify/verify-model.ts';
import { sharedDir } from '../../../support/shared.ts';
import { hasTensorflow } from '../../../support/tensorflow.ts';
import { type Distance, distanceOf } from './compare-layouts.ts';
import { LAYOUTS, pictures, source } from './layout-sources.ts';

/** Files with outputs that the network ranks. */
const RANKED = /^(yolov8_nms|yolov10|yolo26|rtdetr|detr_)/;

/** Files with operators whose result size depends on the data, or with integers instead of weights. */
const NOT_FOR_TENSORFLOW = /qdq|nms|ssd|seg/;

describe.skipIf(sharedDir === null)('files of other exporters (needs the shared models and pictures)', () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'sightline-layouts-'));

  async function compared(
    network: CompileSource,
    engine: 'onnx' | 'tensorflow',
    precision: Precision,
  ): Promise<Distance> {
    const { width, height } = network.input;
    const frames = await pictures(width, height);
    const expected = await runOnnxSource(network, frames);
    const model = await compileModel(network, { engine, precision, cacheDir });
    return distanceOf(expected, await runCompiled(model, frames), RANKED.test(network.spec.name));
  }

  it.each([...LAYOUTS.keys()])('%s returns the results of the published file on ONNX Runtime', async (name) => {
    const { largest, lost } = await compared(LAYOUTS.get(name)!, 'onnx', 'f32');
    // Files in half are computed in f32 here, while the runtime rounds to half between their layers.
    expect(largest).toBeLessThan(name.includes('f16') ? 5e-3 : 5e-5);
    // If boxes have equal scores, non-maximum suppression may keep a different one.
    expect(lost).toBeLessThan(name.includes('nms') ? 0.1 : 0.01);
  });

  const forTensorflow = [...LAYOUTS.keys()].filter((name) => !NOT_FOR_TENSORFLOW.test(name));

  it.skipIf(!hasTensorflow).each(forTensorflow)('%s returns the same results on TensorFlow', async (name) => {
    const { largest, lost } = await compared(LAYOUTS.get(name)!, 'tensorflow', 'f32');
    expect(largest).toBeLessThan(name.includes('f16') ? 5e-3 : 5e-5);
    expect(lost).toBeLessThan(0.02);
  });

  // Untrained networks amplify the rounding to half until they find different boxes, so the test compares the same half graph on
  // two engines.
  it.skipIf(!hasTensorflow).each(forTensorflow)(
    '%s in half returns the same on TensorFlow as on ONNX Runtime',
    async (name) => {
      const network = LAYOUTS.get(name)!;
      const frames = await pictures(network.input.width, network.input.height);
      const [expected, received] = await Promise.all(
        (['onnx', 'tensorflow'] as const).map(async (engine) =>
          runCompiled(await compileModel(network, { engine, precision: 'f16', cacheDir }), frames),
        ),
      );
      const { mean, lost } = distanceOf(expected!, received!, RANKED.test(network.spec.name), 0.03);
      expect(mean).toBeLessThan(5e-3);
      expect(lost).toBeLessThan(name.includes('rfdetr') ? 0.25 : 0.02);
    },
  );

  it.each([
    ['yolov8_nms.onnx 320x320', 'NonZero'],
    ['ssd_tf.onnx 300x300', 'NonMaxSuppression'],
  ])('%s is rejected for TensorFlow, with the operator: %s', async (name, operator) => {
    const options = { engine: 'tensorflow', precision: 'f32', cacheDir } as const;
    await expect(compileModel(LAYOUTS.get(name)!, options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringContaining(`operator ${operator} of node`),
    });
  });

  it('a quantised file stays bit-identical', async () => {
    const { largest } = await compared(LAYOUTS.get('yolov8_qdq.onnx 320x320')!, 'onnx', 'f32');
    expect(largest).toBe(0);
  });

  const engines = hasTensorflow ? (['onnx', 'tensorflow'] as const) : (['onnx'] as const);
  it.each(engines)('nanodet, which also lists its constants as inputs, on %s', async (engine) => {
    const strides = [8, 16, 32].flatMap((stride) => [`cls_pred_stride_${stride}`, `dis_pred_stride_${stride}`]);
    const outputs = Object.fromEntries(strides.map((name) => [name, name]));
    const input = { tensor: 'input.1', layout: 'nchw', range: [0, 255], width: 416, height: 416 } as const;
    const { largest } = await compared(source('nanodet_m_416.onnx', { ...input, outputs, batch: 1 }), engine, 'f32');
    expect(largest).toBeLessThan(5e-5);
  });

  it('a file for 320x320 is rejected at 416x416, one with free axes is not', async () => {
    const options = { engine: 'onnx', precision: 'f32', inputSize: { width: 416, height: 416 }, cacheDir } as const;
    await expect(compileModel(LAYOUTS.get('yolov8.onnx 320x320')!, options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringMatching(/416x416; the network is published for \[1, 3, 320, 320\]/),
    });
    const model = await compileModel(LAYOUTS.get('yolov8_dynamic.onnx 320x320')!, options);
    const [outputs] = await runCompiled(model, [new Uint8Array(416 * 416 * 3)]);
    expect(outputs!.get('output0')!.dims).toEqual([1, 7, 52 * 52 + 26 * 26 + 13 * 13]);
  });
});
