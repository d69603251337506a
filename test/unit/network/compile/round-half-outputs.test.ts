import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { ELEMENTS, f32Tensor, type Graph } from '../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { floatToHalf, halfToFloat, toHalfTensor } from '../../../../src/network/compile/half.ts';
import { roundHalfOutputs, widenHalf } from '../../../../src/network/compile/passes/to-half.ts';
import { noise, runGraph } from './networks.ts';

const feed = new Tensor('float32', noise(64), [1, 64]);

/** Multiplies in half; the output is half, or the last node casts it to f32. */
function published(isCastBack: boolean): Graph {
  const builder = new GraphBuilder('');
  const factor = builder.constant('factor', toHalfTensor(f32Tensor([1], [1 / 3]), 'factor'));
  const half = builder.node('Cast', 'half', ['images'], { to: ELEMENTS.f16.onnx });
  const product = builder.node('Mul', isCastBack ? 'product' : 'out', [half, factor]);
  if (isCastBack) builder.node('Cast', 'out', [product], { to: ELEMENTS.f32.onnx });
  return builder.finish({
    name: 'half',
    opset: 17,
    inputs: [{ name: 'images', type: 'f32', dims: [1, 64] }],
    outputs: [{ name: 'out', type: isCastBack ? 'f32' : 'f16', dims: [1, 64] }],
  });
}

const isHalf = (value: number) => halfToFloat(floatToHalf(value)) === value;

describe('outputs of a network that was published in half', () => {
  it.each([false, true])(
    'are representable as halves, also after widening (cast back inside: %s)',
    async (isCastBack) => {
      const graph = published(isCastBack);
      const widened = widenHalf(graph);
      expect((await runGraph(widened, feed)).values.every(isHalf)).toBe(false);
      const rounded = roundHalfOutputs(graph, widened);
      expect(rounded.outputs).toEqual([{ name: 'out', type: 'f32', dims: [1, 64] }]);
      expect((await runGraph(rounded, feed)).values.every(isHalf)).toBe(true);
    },
  );

  it('stay unchanged if nothing was half', () => {
    const builder = new GraphBuilder('');
    builder.node('Relu', 'out', ['images']);
    const port = { type: 'f32', dims: [1, 64] } as const;
    const graph = builder.finish({
      name: 'full',
      opset: 17,
      inputs: [{ name: 'images', ...port }],
      outputs: [{ name: 'out', ...port }],
    });
    expect(roundHalfOutputs(graph, widenHalf(graph))).toBe(graph);
  });
});
