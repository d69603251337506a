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
import { type Distance, distanceOf } from './compare-layouts.ts';
import { LAYOUTS, pictures, source } from './layout-sources.ts';

/** Files whose one output holds rows that the network ranks. */
const RANKED = /^(yolov8_nms|yolov10|yolo26|rtdetr)/;

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
    const rowWidth = RANKED.test(network.spec.name) ? expected[0]!.get('output0')!.dims.at(-1)! : null;
    return distanceOf(expected, await runCompiled(model, frames), rowWidth);
  }

  it.each([...LAYOUTS.keys()])('%s gives on ONNX Runtime what the published file gives', async (name) => {
    const { largest, lost } = await compared(LAYOUTS.get(name)!, 'onnx', 'f32');
    // Files in half are computed in f32, and the runtime rounds to halves between their layers.
    expect(largest).toBeLessThan(name.includes('f16') ? 5e-3 : 5e-5);
    // Of boxes that are equally good, non-maximum suppression keeps another one.
    expect(lost).toBeLessThan(name.includes('nms') ? 0.1 : 0.01);
  });

  it('a quantised file stays the same to the bit', async () => {
    const { largest } = await compared(LAYOUTS.get('yolov8_qdq.onnx 320x320')!, 'onnx', 'f32');
    expect(largest).toBe(0);
  });

  it('nanodet, whose constants are listed as inputs too', async () => {
    const strides = [8, 16, 32].flatMap((stride) => [`cls_pred_stride_${stride}`, `dis_pred_stride_${stride}`]);
    const outputs = Object.fromEntries(strides.map((name) => [name, name]));
    const input = { tensor: 'input.1', layout: 'nchw', range: [0, 255], width: 416, height: 416 } as const;
    const { largest } = await compared(source('nanodet_m_416.onnx', { ...input, outputs, batch: 1 }), 'onnx', 'f32');
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
