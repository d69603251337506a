import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../../src/compile/compile-model.ts';
import type { CompileSource } from '../../../src/compile/compile-source.ts';
import { runOnnxSource } from '../../../src/compile/verify/run-onnx.ts';
import type { Precision } from '../../../src/core/model.ts';
import { runCompiled } from '../../../src/runtime/run-compiled.ts';
import { sharedDir } from '../../support/shared.ts';
import { hasTensorflow } from '../../support/tensorflow.ts';
import { type Distance, distanceOf } from './compare-layouts.ts';
import { LAYOUTS, pictures, source } from './layout-sources.ts';

/** Files whose outputs hold rows that the network ranks. */
const RANKED = /^(yolov8_nms|yolov10|yolo26|rtdetr|detr_)/;

/** Files with operators whose results have a size that only their numbers tell, or integers in place of weights. */
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

  it.each([...LAYOUTS.keys()])('%s gives on ONNX Runtime what the published file gives', async (name) => {
    const { largest, lost } = await compared(LAYOUTS.get(name)!, 'onnx', 'f32');
    // Files in half are computed in f32, and the runtime rounds to halves between their layers.
    expect(largest).toBeLessThan(name.includes('f16') ? 5e-3 : 5e-5);
    // Of boxes that are equally good, non-maximum suppression keeps another one.
    expect(lost).toBeLessThan(name.includes('nms') ? 0.1 : 0.01);
  });

  const forTensorflow = [...LAYOUTS.keys()].filter((name) => !NOT_FOR_TENSORFLOW.test(name));

  it.skipIf(!hasTensorflow).each(forTensorflow)('%s gives the same on TensorFlow', async (name) => {
    const { largest, lost } = await compared(LAYOUTS.get(name)!, 'tensorflow', 'f32');
    expect(largest).toBeLessThan(name.includes('f16') ? 5e-3 : 5e-5);
    expect(lost).toBeLessThan(0.02);
  });

  // Networks that were never trained magnify the rounding to halves until they find other boxes: what can be compared is one
  // half graph on two engines.
  it.skipIf(!hasTensorflow).each(forTensorflow)(
    '%s in half gives on TensorFlow what it gives on ONNX Runtime',
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
  ])('%s is refused for TensorFlow, with the operator: %s', async (name, operator) => {
    const options = { engine: 'tensorflow', precision: 'f32', cacheDir } as const;
    await expect(compileModel(LAYOUTS.get(name)!, options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringContaining(`operator ${operator} of node`),
    });
  });

  it('a quantised file stays the same to the bit', async () => {
    const { largest } = await compared(LAYOUTS.get('yolov8_qdq.onnx 320x320')!, 'onnx', 'f32');
    expect(largest).toBe(0);
  });

  const engines = hasTensorflow ? (['onnx', 'tensorflow'] as const) : (['onnx'] as const);
  it.each(engines)('nanodet, whose constants are listed as inputs too, on %s', async (engine) => {
    const strides = [8, 16, 32].flatMap((stride) => [`cls_pred_stride_${stride}`, `dis_pred_stride_${stride}`]);
    const outputs = Object.fromEntries(strides.map((name) => [name, name]));
    const input = { tensor: 'input.1', layout: 'nchw', range: [0, 255], width: 416, height: 416 } as const;
    const { largest } = await compared(source('nanodet_m_416.onnx', { ...input, outputs, batch: 1 }), engine, 'f32');
    expect(largest).toBeLessThan(5e-5);
  });

  it('a file for 320x320 is refused at 416x416, and one with free sides is not', async () => {
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
