import { describe, expect, it } from 'vitest';
import { freeBatch, renameOutputs } from '../../../../src/network/compile/build-graph.ts';
import { f32Tensor, type Graph, i64Tensor } from '../../../../src/network/compile/graph.ts';
import type { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { alignChannels } from '../../../../src/network/compile/passes/align-channels.ts';
import { delayEnlargements } from '../../../../src/network/compile/passes/delay-enlargements.ts';
import { foldScalars } from '../../../../src/network/compile/passes/fold-scalars.ts';
import { keepBlocked } from '../../../../src/network/compile/passes/keep-blocked.ts';
import { cascadePools, splitRelus } from '../../../../src/network/compile/passes/optimise.ts';
import { plainWeights } from '../../../../src/network/compile/passes/plain-weights.ts';
import { replaceFocus } from '../../../../src/network/compile/passes/replace-focus.ts';
import { resizeGrids } from '../../../../src/network/compile/passes/resize-grids.ts';
import { convolution, network, noise, number, pictures, runGraph } from './networks.ts';

/** Runs both graphs on the same pictures, without the runtime's optimisation: they must return the same numbers. */
async function expectSame(before: Graph, after: Graph, channels: number): Promise<void> {
  const [expected, received] = [await runGraph(before, pictures(channels)), await runGraph(after, pictures(channels))];
  expect(received.dims).toEqual(expected.dims);
  const largest = Math.max(...expected.values.map(Math.abs));
  expect(largest).toBeGreaterThan(0.1);
  const difference = Math.max(...expected.values.map((value, at) => Math.abs(value - received.values[at]!)));
  expect(difference / largest).toBeLessThan(1e-5);
}

function ops(graph: Graph): string[] {
  return graph.nodes.map(({ op }) => op);
}

/** Sizes of the weights of each convolution. */
function weightDims({ nodes, constants }: Graph): (readonly number[])[] {
  return nodes.filter(({ op }) => op === 'Conv').map(({ inputs }) => constants.get(inputs[1]!)!.dims);
}

function clip(builder: GraphBuilder, name: string, input: string, low: number, high: number): string {
  return builder.node('Clip', name, [
    input,
    number(builder, `${name}-low`, low),
    number(builder, `${name}-high`, high),
  ]);
}

describe('folding scalars into convolutions', () => {
  it('keeps results through products, sums, relus and clips', async () => {
    const graph = network(3, (builder) => {
      const first = builder.node('Mul', 'times', [
        convolution(builder, 'one', 'images', [4, 3, 3]),
        number(builder, 'k', -0.5),
      ]);
      const second = builder.node('Add', 'plus', [number(builder, 'b', 0.25), first]);
      const relu = builder.node('Relu', 'relu', [convolution(builder, 'three', second, [4, 4, 1])]);
      const scaled = builder.node('Mul', 'scaled', [number(builder, 's', 3), relu]);
      const clipped = clip(builder, 'clip', convolution(builder, 'seven', scaled, [4, 4, 1]), 0, 0.5);
      return builder.node('Mul', 'last', [clipped, number(builder, 'l', 2)]);
    });
    const folded = foldScalars(graph);
    expect(ops(folded)).toEqual(['Conv', 'Conv', 'Relu', 'Conv', 'Clip', 'Identity']);
    await expectSame(graph, folded, 3);
  });

  it('does not move a negative factor before a relu, or fold values with other consumers', async () => {
    const graph = network(3, (builder) => {
      const value = builder.node('Relu', 'relu', [convolution(builder, 'one', 'images', [4, 3, 1])]);
      const negative = builder.node('Mul', 'negative', [value, number(builder, 'k', -1)]);
      const shared = convolution(builder, 'two', negative, [4, 4, 1]);
      return builder.node('Add', 'sum', [shared, builder.node('Mul', 'half', [shared, number(builder, 'h', 0.5)])]);
    });
    expect(ops(foldScalars(graph))).toEqual(ops(graph));
  });
});

describe('staying in the blocked layout', () => {
  it('converts the gate of a hard-swish to a convolution, exactly', async () => {
    const graph = network(3, (builder) => {
      const value = convolution(builder, 'one', 'images', [4, 3, 3]);
      const shifted = builder.node('Add', 'shift', [value, number(builder, 'three', 3)]);
      const scaled = builder.node('Mul', 'scaled', [number(builder, 'sixth', 0.1666), value]);
      return builder.node('Mul', 'swish', [scaled, clip(builder, 'relu6', shifted, 0, 6)]);
    });
    const rewritten = keepBlocked(graph);
    expect(ops(rewritten)).toEqual(['Conv', 'Conv', 'Clip', 'Mul', 'Identity']);
    await expectSame(graph, rewritten, 3);
  });

  it('converts a scalar addition after an activation to a convolution', async () => {
    const graph = network(3, (builder) => {
      const value = builder.node('Relu', 'relu', [convolution(builder, 'one', 'images', [4, 3, 3])]);
      return convolution(
        builder,
        'three',
        builder.node('Add', 'shift', [value, number(builder, 'b', 0.75)]),
        [4, 4, 3],
      );
    });
    const rewritten = keepBlocked(graph);
    expect(ops(rewritten)).toEqual(['Conv', 'Relu', 'Conv', 'Conv', 'Identity']);
    await expectSame(graph, rewritten, 3);
  });

  it('pads six channels to eight through a depthwise layer', async () => {
    const graph = network(3, (builder) => {
      const odd = builder.node('Relu', 'relu', [convolution(builder, 'one', 'images', [6, 3, 1])]);
      return convolution(builder, 'five', convolution(builder, 'three', odd, [6, 1, 3], { group: 6 }), [8, 6, 1]);
    });
    const aligned = alignChannels(graph);
    expect(weightDims(aligned)).toEqual([
      [8, 3, 1, 1],
      [8, 1, 3, 3],
      [8, 8, 1, 1],
    ]);
    await expectSame(graph, aligned, 3);
  });

  it('pads convolutions that follow each other, whose weights get more inputs and more outputs', async () => {
    const graph = network(3, (builder) => {
      const six = builder.node('Relu', 'relu', [convolution(builder, 'one', 'images', [6, 3, 1])]);
      const five = convolution(builder, 'three', six, [5, 6, 3]);
      return convolution(builder, 'seven', five, [8, 5, 1]);
    });
    const aligned = alignChannels(graph);
    expect(weightDims(aligned)).toEqual([
      [8, 3, 1, 1],
      [8, 8, 3, 3],
      [8, 8, 1, 1],
    ]);
    await expectSame(graph, aligned, 3);
  });

  it('does not pad channels with other consumers', () => {
    const graph = network(3, (builder) => {
      const odd = convolution(builder, 'one', 'images', [6, 3, 1]);
      return builder.node('Add', 'sum', [odd, convolution(builder, 'five', odd, [6, 6, 1])]);
    });
    expect(alignChannels(graph).nodes).toEqual(graph.nodes);
  });

  it('moves a relu after a concatenation to before it', async () => {
    const graph = network(3, (builder) => {
      const parts = [
        convolution(builder, 'one', 'images', [4, 3, 1]),
        convolution(builder, 'three', 'images', [4, 3, 3]),
      ];
      return builder.node('Relu', 'relu', [builder.node('Concat', 'concat', parts, { axis: 1 })]);
    });
    const split = splitRelus(graph);
    expect(ops(split)).toEqual(['Conv', 'Conv', 'Relu', 'Relu', 'Concat', 'Identity']);
    await expectSame(graph, split, 3);
  });
});

describe('max-pools of one value', () => {
  const pool = (builder: GraphBuilder, name: string, input: string, side: number, attributes = {}) => {
    const pad = (side - 1) / 2;
    return builder.node('MaxPool', name, [input], {
      kernel_shape: [side, side],
      pads: [pad, pad, pad, pad],
      ...attributes,
    });
  };
  const kernels = (graph: Graph) =>
    graph.nodes
      .filter(({ op }) => op === 'MaxPool')
      .map(({ inputs, attributes }) => [inputs[0], attributes.get('kernel_shape')?.value]);

  it('become a chain with bit-identical results', async () => {
    const graph = network(3, (builder) => {
      const value = convolution(builder, 'one', 'images', [4, 3, 1]);
      // Not sorted by size, as is possible in a file.
      const pools = [9, 5, 13].map((side) => pool(builder, `pool-${side}`, value, side));
      return builder.node('Concat', 'concat', [value, ...pools], { axis: 1 });
    });
    const cascaded = cascadePools(graph);
    expect(kernels(cascaded)).toEqual([
      ['one', [5, 5]],
      ['pool-5', [5, 5]],
      ['pool-9', [5, 5]],
    ]);
    const [expected, received] = [await runGraph(graph, pictures(3)), await runGraph(cascaded, pictures(3))];
    expect(received).toEqual(expected);
  });

  it('stay separate if one of them makes the picture smaller', () => {
    const graph = network(3, (builder) =>
      builder.node('Concat', 'concat', [
        pool(builder, 'three', 'images', 3),
        pool(builder, 'seven', 'images', 7, { strides: [2, 2] }),
      ]),
    );
    expect(cascadePools(graph).nodes).toEqual(graph.nodes);
  });
});

describe('a 1x1 convolution over a concatenation with an enlarged part', () => {
  function enlarged(builder: GraphBuilder, name: string, input: string): string {
    const scales = builder.constant(`${name}-scales`, f32Tensor([4], [1, 1, 2, 2]));
    return builder.node('Resize', name, [input, '', scales], {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    });
  }

  /** An enlarged small part beside one of full size, with one consumer convolution per kernel. */
  function pyramid(kernels: readonly number[]): Graph {
    return network(3, (builder) => {
      const small = builder.node('Relu', 'relu', [
        convolution(builder, 'small', 'images', [4, 3, 3], { strides: [2, 2] }),
      ]);
      const parts = [enlarged(builder, 'enlarged', small), convolution(builder, 'full', 'images', [5, 3, 3])];
      const joined = builder.node('Concat', 'concat', parts, { axis: 1 });
      const readers = kernels.map((side, at) => convolution(builder, `reader-${at}`, joined, [6, 9, side]));
      return builder.node('Concat', 'last', readers, { axis: 1 });
    });
  }

  it('runs before the enlargement, with the same results', async () => {
    const graph = pyramid([1, 1]);
    const delayed = delayEnlargements(graph);
    const sum = ['Conv', 'Resize', 'Conv', 'Add'];
    expect(ops(delayed)).toEqual(['Conv', 'Relu', 'Conv', ...sum, ...sum, 'Concat', 'Identity']);
    await expectSame(graph, delayed, 3);
  });

  it('stays in place if another consumer needs the concatenation', () => {
    const graph = pyramid([1, 3]);
    expect(delayEnlargements(graph).nodes).toEqual(graph.nodes);
  });
});

describe('the focus layer of YOLOX', () => {
  /** The layer and a convolution of 3 x 3, whose padding is an attribute only if it is given. */
  const focused = (attributes: Record<string, number[]>): Graph =>
    network(3, (builder) => {
      const one = (name: string, value: number) => builder.constant(name, i64Tensor([1], [value]));
      const cut = (name: string, input: string, axis: number, start: number) => {
        const numbers = [
          one(`${name}-start`, start),
          one(`${name}-end`, 1e9),
          one(`${name}-axis`, axis),
          one(`${name}-step`, 2),
        ];
        return builder.node('Slice', name, [input, ...numbers]);
      };
      // Top-left, bottom-left, top-right, bottom-right, as in the published network.
      const phases = [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ] as const;
      const parts = phases.map(([row, column]) => {
        const name = `phase-${row}-${column}`;
        return cut(`${name}-columns`, cut(`${name}-rows`, 'images', 2, row), 3, column);
      });
      const weights = builder.constant('w', f32Tensor([5, 12, 3, 3], noise(5 * 12 * 9)));
      return builder.node('Conv', 'one', [builder.node('Concat', 'focus', parts, { axis: 1 }), weights], attributes);
    });

  it('becomes one convolution with the same results', async () => {
    const graph = focused({ kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] });
    const replaced = replaceFocus(graph, 'images');
    expect(ops(replaced)).toEqual(['Conv', 'Identity']);
    await expectSame(graph, replaced, 3);
  });

  it('may leave out attributes that have their default', async () => {
    const replaced = replaceFocus(focused({}), 'images');
    expect(ops(replaced)).toEqual(['Conv', 'Identity']);
    await expectSame(focused({}), replaced, 3);
  });

  it('stays before a dilated convolution, which sees other pixels', () => {
    const graph = focused({ dilations: [2, 2], pads: [2, 2, 2, 2] });
    expect(replaceFocus(graph, 'images')).toBe(graph);
  });

  it('is not required: other networks stay unchanged', () => {
    const graph = network(3, (builder) => convolution(builder, 'one', 'images', [4, 3, 3]));
    expect(replaceFocus(graph, 'images')).toBe(graph);
  });
});

it('after freeing the batch, a reshape for one picture accepts two', async () => {
  const graph = network(3, (builder) =>
    builder.node('Reshape', 'flat', ['images', builder.constant('shape', i64Tensor([3], [1, 3, -1]))]),
  );
  const { dims, values } = await runGraph(freeBatch(graph), pictures(3));
  expect(dims).toEqual([2, 3, 192]);
  expect(values).toEqual(pictures(3).data);
});

describe('the grids of a network for another input size', () => {
  /** Shuffles the channels of a grid of half the size of the picture, as ShuffleNet does, and scales them. */
  function shuffled(height: number, width: number): Graph {
    return network(3, (builder) => {
      const shape = (name: string, dims: number[]) => builder.constant(name, i64Tensor([dims.length], dims));
      const scale = builder.node('Reshape', 'scale', [
        builder.constant('scales', f32Tensor([4], [1, 2, 3, 4])),
        shape('per-channel', [1, 4, 1, 1]),
      ]);
      const grid = convolution(builder, 'half', 'images', [4, 3, 3], { strides: [2, 2] });
      const groups = builder.node('Reshape', 'groups', [grid, shape('5d', [0, 2, 2, height, width])]);
      const swapped = builder.node('Transpose', 'swapped', [groups], { perm: [0, 2, 1, 3, 4] });
      const back = builder.node('Reshape', 'back', [swapped, shape('4d', [0, 4, height, width])]);
      return builder.node('Mul', 'scaled', [back, scale]);
    });
  }

  it('replace those of the published size', async () => {
    const resized = resizeGrids(shuffled(16, 12), { width: 24, height: 32 }, { width: 12, height: 16 });
    await expectSame(shuffled(8, 6), resized, 3);
  });

  it('replace the numbers of cells of the outputs', () => {
    const output = { name: 'scores', type: 'f32', dims: [1, 52 * 52, 80] } as const;
    const [resized] = resizeGrids(
      { ...shuffled(16, 12), outputs: [output] },
      { width: 416, height: 416 },
      { width: 320, height: 192 },
    ).outputs;
    expect(resized!.dims).toEqual([1, 40 * 24, 80]);
  });
});

describe('renaming outputs', () => {
  const graph = network(3, (builder) =>
    builder.node('Mul', 'double', ['images', builder.constant('two', f32Tensor([], [2]))]),
  );

  it('sets the name that the decode function expects, and the batch', async () => {
    const renamed = renameOutputs(graph, { predictions: 'out' }, 'free');
    expect(renamed.outputs).toEqual([{ name: 'predictions', type: 'f32', dims: ['n', 'c', 'h', 'w'] }]);
    expect((await runGraph(renamed, pictures(3))).values[0]).toBeCloseTo(2 * Number(pictures(3).data[0]), 6);
  });

  it('reports the missing output and the existing ones', () => {
    expect(() => renameOutputs(graph, { predictions: 'output' }, 'free')).toThrow(
      'expected the network to have the output output; it has out',
    );
  });
});

describe('weights that are stored as bytes', () => {
  /** Levels of weights [4, 3, 1, 1] with scales of all, or of each output channel. */
  function stored(builder: GraphBuilder, scales: readonly number[], type: 'u8' | 'i8'): string {
    const levels = Uint8Array.from({ length: 12 }, (_, i) => i * 21);
    const zero = { type, dims: scales.length === 1 ? [] : [4], bytes: Uint8Array.from(scales, (_, i) => 100 + i) };
    const inputs = [
      builder.constant('levels', { type, dims: [4, 3, 1, 1], bytes: levels }),
      builder.constant('scales', f32Tensor(scales.length === 1 ? [] : [4], scales)),
      builder.constant('zero', zero),
    ];
    return builder.node('DequantizeLinear', 'weights', inputs, scales.length === 1 ? {} : { axis: 0 });
  }

  it.each([
    ['u8', [0.02]],
    ['i8', [0.02]],
    ['u8', [0.01, 0.02, 0.03, 0.04]],
    ['i8', [0.01, 0.02, 0.03, 0.04]],
  ] as const)('become numbers, and sums for each channel biases (%s, scales %j)', async (type, scales) => {
    const graph = network(3, (builder) => {
      const conv = builder.node('Conv', 'conv', ['images', stored(builder, scales, type)]);
      const shape = builder.constant('shape', i64Tensor([4], [1, -1, 1, 1]));
      const bias = builder.node('Reshape', 'bias', [builder.constant('sums', f32Tensor([4], noise(4))), shape]);
      return builder.node('Add', 'add', [bias, conv]);
    });
    const plain = plainWeights(graph);
    expect(ops(plain)).toEqual(['Conv', 'Identity']);
    await expectSame(graph, plain, 3);
  });

  it('leaves a sum that is not one for each channel, and a bias that others read', async () => {
    const graph = network(3, (builder) => {
      const conv = builder.node('Conv', 'conv', ['images', stored(builder, [0.02], 'u8')]);
      const row = builder.node('Add', 'row', [conv, builder.constant('sums', f32Tensor([12], noise(12)))]);
      return builder.node('Mul', 'both', [conv, row]);
    });
    const plain = plainWeights(graph);
    expect(ops(plain)).toEqual(['Conv', 'Add', 'Mul', 'Identity']);
    await expectSame(graph, plain, 3);
  });

  it('leaves a network whose activations are quantised, which engines fuse', () => {
    const graph = network(3, (builder) => {
      const scale = number(builder, 'scale', 0.02);
      const bytes = builder.node('QuantizeLinear', 'bytes', ['images', scale]);
      const real = builder.node('DequantizeLinear', 'real', [bytes, scale]);
      return builder.node('Conv', 'conv', [real, stored(builder, [0.02], 'u8')]);
    });
    expect(plainWeights(graph)).toBe(graph);
  });
});
