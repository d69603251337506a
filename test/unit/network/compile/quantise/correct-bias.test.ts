import { describe, expect, it } from 'vitest';
import type { Graph } from '../../../../../src/network/compile/graph.ts';
import { f32Tensor } from '../../../../../src/network/compile/graph.ts';
import { calibrate, measureBiasShifts } from '../../../../../src/network/compile/quantise/calibrate.ts';
import { biasShiftOf, ChannelMeter } from '../../../../../src/network/compile/quantise/correct-bias.ts';
import { insertQuantisers } from '../../../../../src/network/compile/quantise/insert-quantisers.ts';
import { findLayers } from '../../../../../src/network/compile/quantise/layers.ts';
import { runGraph } from '../../../../../src/network/compile/quantise/run-graph.ts';
import { convolution, network } from '../networks.ts';
import { frameNetwork, frames } from './frame-networks.ts';

const OUT = 6;

function layered(): Graph {
  return frameNetwork((builder, planes) => {
    const first = builder.node('Relu', 'act', [convolution(builder, 'first', planes, [8, 3, 3])]);
    return convolution(builder, 'last', first, [OUT, 8, 1]);
  });
}

/** The mean of each channel of `out` over pictures. */
async function channelMeans(graph: Graph, pictures: readonly Uint8Array[]): Promise<number[]> {
  const means = new Array<number>(OUT).fill(0);
  await runGraph(graph, pictures, (outputs) => {
    const values = outputs.get('out')!.data as Float32Array;
    const cells = values.length / OUT;
    for (const [at, value] of values.entries()) means[Math.floor(at / cells)]! += value / cells / pictures.length;
  });
  return means;
}

describe('bias correction', () => {
  it.each(['whole', 'inputs'] as const)(
    'brings the mean of each output channel nearer to that of float (%s)',
    async (style) => {
      const graph = layered();
      const pictures = frames(12);
      const layers = findLayers(graph);
      // Narrow ranges cut much off, so that there is something to correct.
      const { mse } = await calibrate(graph, layers, style, pictures);
      const narrow = new Map(
        Array.from(mse, ([value, { low, high }]) => [
          value,
          value === 'act' ? { low: low * 0.7, high: high * 0.7 } : { low, high },
        ]),
      );
      const biasShifts = await measureBiasShifts(graph, layers, style, narrow, pictures);
      const error = async (shifts: ReadonlyMap<string, Float32Array>): Promise<number> => {
        const quantised = insertQuantisers(graph, { style, layers, ranges: narrow, biasShifts: shifts });
        const expected = await channelMeans(graph, pictures);
        const received = await channelMeans(quantised, pictures);
        return received.reduce((sum, mean, channel) => sum + Math.abs(mean - expected[channel]!), 0);
      };
      const without = await error(new Map());
      expect(without).toBeGreaterThan(0.01);
      expect(await error(biasShifts)).toBeLessThan(without / 3);
    },
  );

  it('is what the rounding of weights takes from the mean, by hand', () => {
    const graph = network(2, (builder) => convolution(builder, 'conv', 'images', [1, 2, 1]));
    const constants = new Map(graph.constants).set('conv/w', f32Tensor([1, 2, 1, 1], [1, 0.3]));
    const [layer] = findLayers({ ...graph, constants });
    // The scale is 1 / 127, so that 0.3 becomes 38 / 127; the input loses 0.5 of its second channel.
    const shift = biasShiftOf(layer!, { real: Float64Array.of(2, 3), quantised: Float64Array.of(2, 2.5) });
    expect(shift[0]).toBeCloseTo(1 * 2 + 0.3 * 3 - (1 * 2 + (38 / 127) * 2.5), 6);
  });

  it('of a depthwise layer takes the mean of its own channel', () => {
    const graph = network(2, (builder) => convolution(builder, 'conv', 'images', [2, 1, 1], { group: 2 }));
    const constants = new Map(graph.constants).set('conv/w', f32Tensor([2, 1, 1, 1], [1, 4]));
    const [layer] = findLayers({ ...graph, constants });
    const shift = biasShiftOf(layer!, { real: Float64Array.of(1, 10), quantised: Float64Array.of(0.75, 10.5) });
    expect(Array.from(shift)).toEqual([expect.closeTo(0.25, 5), expect.closeTo(-2, 5)]);
  });

  it('ChannelMeter averages each channel before and after 8 bits', () => {
    const meter = new ChannelMeter(2, { scale: 1, zero: 0 });
    meter.add(Float32Array.of(0.4, 1.2, 300, 200));
    meter.add(Float32Array.of(0.4, 1.2, 0, 0));
    const { real, quantised } = meter.means();
    expect(real[0]).toBeCloseTo(0.8, 6);
    expect(Array.from(quantised)).toEqual([0.5, (255 + 200) / 4]);
    expect(real[1]).toBe(125);
  });
});
