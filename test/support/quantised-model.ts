import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompiledModel } from '../../src/base/core/model.ts';
import { f32Tensor } from '../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../src/network/compile/onnx/emit-onnx.ts';
import { tinyModel } from '../conformance/engine-cases.ts';

/** The mean colour of each picture, f32 `[n, 3]`, of pixels that went through u8 with a step of 1: the same as without. */
export function quantisedModel(): CompiledModel {
  const { width, height } = tinyModel().spec.input;
  const builder = new GraphBuilder('');
  const step = builder.constant('step', f32Tensor([], [1]));
  const zero = builder.constant('zero', { type: 'u8', dims: [], bytes: new Uint8Array(1) });
  const real = builder.node('Cast', 'real', ['frames'], { to: 1 });
  const whole = builder.node('QuantizeLinear', 'whole', [real, step, zero]);
  const again = builder.node('DequantizeLinear', 'again', [whole, step, zero]);
  builder.node('ReduceMean', 'mean', [again], { axes: [1, 2], keepdims: 0 });
  const graph = builder.finish({
    name: 'tiny',
    opset: 17,
    inputs: [{ name: 'frames', type: 'u8', dims: ['n', height, width, 3] }],
    outputs: [{ name: 'mean', type: 'f32', dims: ['n', 3] }],
  });
  const path = join(mkdtempSync(join(tmpdir(), 'sightline-quantised-')), 'tiny.onnx');
  writeFileSync(path, emitOnnx(graph));
  return { ...tinyModel(), path };
}
