import { describe, expect, it } from 'vitest';
import { f32Tensor, f32Values, type Graph } from '../../../../../src/network/compile/graph.ts';
import { OutputGauge, relativeLoss } from '../../../../../src/network/compile/quantise/output-gauge.ts';
import { type QuantiseTask, quantiseGraph } from '../../../../../src/network/compile/quantise/quantise-graph.ts';
import { convolution } from '../networks.ts';
import { frameNetwork, frames } from './frame-networks.ts';

/**
 * Three layers, of which `spread` cannot be INT8: it reads one channel of some thousands, which it ignores, and others of some
 * tenths, which one scale for all of them rounds away.
 */
function withSensitiveLayer(): Graph {
  const graph = frameNetwork((builder, planes) => {
    const first = builder.node('Sigmoid', 'act', [convolution(builder, 'first', planes, [4, 3, 1])]);
    const sizes = builder.constant('sizes', f32Tensor([1, 4, 1, 1], [5000, 0.2, 0.2, 0.2]));
    const spread = builder.node('Sigmoid', 'act2', [
      convolution(builder, 'spread', builder.node('Mul', 'stretched', [first, sizes]), [4, 4, 1]),
    ]);
    return convolution(builder, 'last', spread, [4, 4, 1]);
  });
  const weights = graph.constants.get('spread/w')!;
  const deaf = f32Values(weights, 'w').map((value, at) => (at % 4 === 0 ? 0 : value * 40));
  return { ...graph, constants: new Map(graph.constants).set('spread/w', f32Tensor(weights.dims, deaf)) };
}

const pictures = frames(10);

async function taskOf(graph: Graph, more: Partial<QuantiseTask> = {}): Promise<QuantiseTask> {
  const gauge = await OutputGauge.of(graph, frames(6, 50), relativeLoss);
  return {
    graph,
    style: 'inputs',
    frames: pictures,
    keepFloat: [],
    maxLoss: 0.02,
    outputLoss: relativeLoss,
    measure: (candidate) => gauge.lossOf(candidate),
    onProgress: () => undefined,
    ...more,
  };
}

describe('quantiseGraph', () => {
  it.each(['inputs', 'whole'] as const)(
    'keeps the layer that loses most in float, and no other (%s)',
    async (style) => {
      const { layers, loss, trials, graph } = await quantiseGraph(await taskOf(withSensitiveLayer(), { style }));
      expect(layers.filter(({ precision }) => precision === 'float')).toEqual([
        expect.objectContaining({ name: 'spread', why: 'among the most sensitive' }),
      ]);
      expect(trials[0]).toEqual({ floatCount: 0, loss: expect.any(Number) });
      expect(trials[0]!.loss).toBeGreaterThan(0.02);
      expect(loss).toBeLessThanOrEqual(0.02);
      expect(loss).toBeGreaterThan(0);
      const dequantised = graph.nodes.find(({ name }) => name === 'spread')!.inputs;
      expect(dequantised).not.toContain('spread/weights/real');
    },
  );

  it('puts all layers into INT8 where the allowance is wide', async () => {
    const { layers, trials } = await quantiseGraph(await taskOf(withSensitiveLayer(), { maxLoss: 0.99 }));
    expect(layers.map(({ precision }) => precision)).toEqual(['int8', 'int8', 'int8']);
    expect(trials).toHaveLength(1);
  });

  it('refuses what was quantised for other pictures: with ranges of black ones nothing is left of bright ones', async () => {
    const graph = frameNetwork((builder, planes) => convolution(builder, 'only', planes, [4, 3, 1]));
    const black = Array.from({ length: 4 }, () => new Uint8Array(pictures[0]!.length));
    const task = await taskOf(graph, { frames: black });
    await expect(quantiseGraph(task)).rejects.toMatchObject({
      code: 'QUANTISE_REFUSED',
      message: expect.stringContaining('allowed loss of 0.02'),
    });
    const { loss } = await quantiseGraph(await taskOf(graph));
    expect(loss).toBeLessThan(0.02);
  });

  it('keeps in float what it is asked to', async () => {
    const task = await taskOf(withSensitiveLayer(), { keepFloat: ['spread', 'last'] });
    const { layers } = await quantiseGraph(task);
    expect(layers.map(({ name, precision, why }) => [name, precision, why])).toEqual([
      ['first', 'int8', 'within the allowance'],
      ['spread', 'float', 'asked for'],
      ['last', 'float', 'asked for'],
    ]);
  });

  it('names the layers there are for one that is not', async () => {
    const task = await taskOf(withSensitiveLayer(), { keepFloat: ['spraed'] });
    await expect(quantiseGraph(task)).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
      message: '--keep-float: no layer is called spraed; the network has 3: first, spread, last',
    });
  });

  it('refuses a network without layers', async () => {
    const task = await taskOf(frameNetwork((builder, planes) => builder.node('Relu', 'act', [planes])));
    await expect(quantiseGraph(task)).rejects.toMatchObject({ code: 'QUANTISE_REFUSED' });
  });
});
