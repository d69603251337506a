import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { addFront } from '../../../../src/network/compile/front.ts';
import { f32Tensor, type Graph, i64Tensor } from '../../../../src/network/compile/graph.ts';
import type { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { toHalf } from '../../../../src/network/compile/passes/to-half.ts';
import { traceElements } from '../../../../src/network/compile/passes/trace-elements.ts';
import { convolution, network, noise, number, pictures, runGraph } from './networks.ts';

/** The type each node computes in, by name. */
function computed(graph: Graph): Record<string, string | undefined> {
  const elements = traceElements(graph);
  return Object.fromEntries(graph.nodes.map(({ name, inputs }) => [name, elements.get(inputs[0]!)]));
}

function casts(graph: Graph): string[] {
  return graph.nodes.filter(({ op }) => op === 'Cast').map(({ inputs, outputs }) => `${inputs} -> ${outputs}`);
}

async function expectClose(before: Graph, after: Graph): Promise<void> {
  const feed = pictures(3);
  const [expected, received] = [await runGraph(before, feed), await runGraph(after, feed)];
  expect(received.dims).toEqual(expected.dims);
  const largest = Math.max(...expected.values.map(Math.abs));
  const difference = Math.max(...expected.values.map((value, at) => Math.abs(value - received.values[at]!)));
  expect(largest).toBeGreaterThan(0.1);
  expect(difference / largest).toBeLessThan(5e-3);
  // Fails if the graph still computes in f32.
  expect(difference).toBeGreaterThan(0);
}

describe('a network in half', () => {
  const chain = network(3, (builder) => {
    const one = builder.node('Relu', 'relu', [convolution(builder, 'one', 'images', [4, 3, 3])]);
    const two = convolution(builder, 'two', one, [4, 4, 1]);
    const sum = builder.node('Add', 'sum', [one, two]);
    const last = convolution(builder, 'last', sum, [4, 4, 3]);
    const box = builder.node('Mul', 'box', [last, number(builder, 'stride', 32)]);
    return builder.node('Exp', 'tail', [builder.node('Mul', 'small', [box, number(builder, 'tiny', 0.001)])]);
  });

  it('has its layers and the nodes between them in half; the nodes after the last layer stay f32', () => {
    expect(computed(toHalf(chain))).toMatchObject({
      one: 'f16',
      relu: 'f16',
      two: 'f16',
      sum: 'f16',
      last: 'f16',
      box: 'f32',
      small: 'f32',
      tail: 'f32',
    });
  });

  it('has one cast at its beginning and one at its end', () => {
    expect(casts(toHalf(chain))).toEqual(['images -> images/half', 'last/half -> last']);
  });

  it('keeps the types of inputs and outputs, and is close to f32', async () => {
    const half = toHalf(chain);
    expect([half.inputs, half.outputs]).toEqual([chain.inputs, chain.outputs]);
    await expectClose(chain, half);
  });

  it('casts a picture directly from u8 to half', () => {
    const input = { tensor: 'images', sizeTensor: null, layout: 'nchw', width: 12, height: 16 } as const;
    const fronted = addFront(chain, { ...input, colours: 'rgb', range: [0, 255] }, 'n', 'planes');
    expect(casts(toHalf(fronted))[0]).toBe('front/planes -> front/picture/half');
    expect(computed(toHalf(fronted)).one).toBe('f16');
  });

  it('casts a value once for all its consumers', () => {
    const graph = network(3, (builder) => {
      const one = convolution(builder, 'one', 'images', [4, 3, 1]);
      const mean = builder.node('ReduceMean', 'mean', [one], { axes: [1] });
      const far = builder.node('Sub', 'far', [one, mean]);
      return builder.node('Mul', 'norm', [
        convolution(builder, 'two', far, [4, 4, 1]),
        convolution(builder, 'three', far, [4, 4, 1]),
      ]);
    });
    expect(casts(toHalf(graph))).toEqual([
      'images -> images/half',
      'one/half -> one',
      'far -> far/half',
      'two/half -> two',
      'three/half -> three',
    ]);
  });

  it('rounds weights shared by two layers once, and drops the f32 ones', () => {
    const graph = network(3, (builder) => {
      const weights = builder.constant('shared', f32Tensor([3, 3, 1, 1], noise(9)));
      const one = builder.node('Conv', 'one', ['images', weights], { kernel_shape: [1, 1] });
      return builder.node('Conv', 'two', [one, weights], { kernel_shape: [1, 1] });
    });
    expect([...toHalf(graph).constants].map(([name, { type }]) => [name, type])).toEqual([['shared/half', 'f16']]);
  });
});

describe('what stays in f32', () => {
  /** A node between two convolutions: whether it runs in half only depends on the node. */
  function between(build: (builder: GraphBuilder, value: string) => string): Graph {
    return network(3, (builder) => {
      const value = build(builder, convolution(builder, 'one', 'images', [4, 3, 1]));
      return convolution(builder, 'two', value, [4, 4, 1]);
    });
  }

  const kept: [string, Graph][] = [
    ['a softmax', between((builder, value) => builder.node('Softmax', 'kept', [value], { axis: 1 }))],
    ['an exponential', between((builder, value) => builder.node('Exp', 'kept', [value]))],
    [
      'a product with a number above the largest half',
      between((builder, value) => builder.node('Mul', 'kept', [value, number(builder, 'far', 1e30)])),
    ],
    [
      'the consumer of an f32 value',
      between((builder, value) => {
        const share = builder.node('Softmax', 'softmax', [value], { axis: 1 });
        return builder.node('Mul', 'kept', [value, share]);
      }),
    ],
    [
      'a product of two computed matrices',
      between((builder, value) => {
        const turned = builder.node('Transpose', 'turned', [value], { perm: [0, 1, 3, 2] });
        return builder.node('MatMul', 'kept', [value, builder.node('MatMul', 'inner', [turned, value])]);
      }),
    ],
    [
      'a product with a vector',
      network(3, (builder) => {
        const value = convolution(builder, 'one', 'images', [4, 3, 1]);
        const sum = builder.node('MatMul', 'kept', [value, builder.constant('v', f32Tensor([12], noise(12)))]);
        const shape = builder.constant('shape', i64Tensor([4], [0, 4, 16, 1]));
        return convolution(builder, 'two', builder.node('Reshape', 'back', [sum, shape]), [4, 4, 1]);
      }),
    ],
  ];
  it.each(kept)('%s', (_, graph) => {
    const half = computed(toHalf(graph));
    expect(half).toMatchObject({ one: 'f16', kept: 'f32', two: 'f16' });
  });

  it('the factors of a resize', async () => {
    const graph = between((builder, value) => {
      const factors = builder.constant('factors', f32Tensor([4], [1, 1, 2, 2]));
      return builder.node('Resize', 'resize', [value, '', factors], { mode: 'nearest' });
    });
    const half = toHalf(graph);
    expect(half.nodes.find(({ name }) => name === 'resize')!.inputs).toEqual(['one/half', '', 'factors']);
    await expectClose(graph, half);
  });

  it('a network without layers', async () => {
    const graph = network(3, (builder) => builder.node('Relu', 'relu', ['images']));
    expect(toHalf(graph)).toEqual(graph);
    const { values } = await runGraph(toHalf(graph), new Tensor('float32', noise(576), [1, 3, 16, 12]));
    expect(values[0]).toBe(Math.max(noise(576)[0]!, 0));
  });
});
