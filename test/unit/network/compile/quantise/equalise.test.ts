import { describe, expect, it } from 'vitest';
import { f32Tensor, f32Values, type Graph } from '../../../../../src/network/compile/graph.ts';
import { equaliseLayers } from '../../../../../src/network/compile/quantise/equalise.ts';
import { convolution, network, pictures, runGraph } from '../networks.ts';

const CHANNELS = 8;

/** Pointwise, depthwise, pointwise, with something between them. The channels of the first are of very different size. */
function chain(activation: 'Relu' | 'HardSwish' | 'Clip' | 'Sigmoid'): Graph {
  const graph = network(3, (builder) => {
    const act = (name: string, input: string): string => {
      if (activation !== 'Clip') return builder.node(activation, name, [input]);
      const bounds = [0, 6].map((bound) => builder.constant(`${name}/${bound}`, f32Tensor([], [bound])));
      return builder.node('Clip', name, [input, ...bounds]);
    };
    const first = act('a', convolution(builder, 'wide', 'images', [CHANNELS, 3, 1]));
    const second = act('b', convolution(builder, 'depth', first, [CHANNELS, 1, 3], { group: CHANNELS }));
    return convolution(builder, 'narrow', second, [4, CHANNELS, 1]);
  });
  const weights = graph.constants.get('wide/w')!;
  const uneven = f32Values(weights, 'w').map((value, at) => value * 4 ** (Math.floor(at / 3) - 4));
  return { ...graph, constants: new Map(graph.constants).set('wide/w', f32Tensor(weights.dims, uneven)) };
}

/** Largest weight of each output channel. */
function sizes(graph: Graph, name: string): number[] {
  const values = f32Values(graph.constants.get(name)!, name);
  const inner = values.length / CHANNELS;
  return Array.from({ length: CHANNELS }, (_, channel) =>
    Math.max(...values.slice(channel * inner, (channel + 1) * inner).map(Math.abs)),
  );
}

describe('equaliseLayers', () => {
  it('leaves the results as they are', async () => {
    const graph = chain('Relu');
    const even = equaliseLayers(graph);
    expect(even.pairs).toEqual([
      ['wide', 'depth'],
      ['depth', 'narrow'],
    ]);
    const feed = pictures(3);
    const { values: before } = await runGraph(graph, feed);
    const { values: after } = await runGraph(even.graph, feed);
    const spread = Math.max(...before.map(Math.abs));
    for (const [at, value] of before.entries()) expect(Math.abs(after[at]! - value)).toBeLessThan(spread * 1e-5);
  });

  it('brings the channels of a layer nearer to each other', () => {
    const graph = chain('Relu');
    const unevenness = (all: readonly number[]): number => Math.max(...all) / Math.min(...all);
    const even = equaliseLayers(graph).graph;
    expect(unevenness(sizes(even, 'wide/w'))).toBeLessThan(unevenness(sizes(graph, 'wide/w')) / 20);
  });

  it('does not change the graph that it was given', () => {
    const graph = chain('Relu');
    const before = sizes(graph, 'wide/w');
    equaliseLayers(graph);
    expect(sizes(graph, 'wide/w')).toEqual(before);
  });

  it.each(['HardSwish', 'Clip', 'Sigmoid'] as const)('leaves layers alone that %s stands between', (activation) => {
    expect(equaliseLayers(chain(activation)).pairs).toEqual([]);
  });
});
