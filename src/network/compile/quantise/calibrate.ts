import type { Graph } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import { biasShiftOf, ChannelMeter, inputChannelCount } from './correct-bias.ts';
import { RangeHistogram } from './histogram.ts';
import { rangeOf } from './insert-quantisers.ts';
import type { QuantisableLayer } from './layers.ts';
import { placeQuantisers, type QuantiseStyle } from './place-quantisers.ts';
import { mseRange, percentileRange, quantiserOf, type RangeRule, type ValueRange } from './ranges.ts';
import { watchValues } from './watch-values.ts';

/** The range of each value, by rule. */
export type MeasuredRanges = Readonly<Record<RangeRule, ReadonlyMap<string, ValueRange>>>;

/** Runs a graph on pictures and finds the range of every value that would be quantised if all layers were. */
export async function calibrate(
  graph: Graph,
  layers: readonly QuantisableLayer[],
  style: QuantiseStyle,
  frames: readonly Uint8Array[],
): Promise<MeasuredRanges> {
  const { groups } = placeQuantisers(graph, layers, style);
  const histograms = new Map(Array.from(groups.keys(), (value) => [value, new RangeHistogram()]));
  await watchValues(graph, [...histograms.keys()], frames, (value, numbers) => histograms.get(value)!.add(numbers));
  const index = new GraphIndex(graph);
  const measured = { percentile: new Map<string, ValueRange>(), mse: new Map<string, ValueRange>() };
  for (const [value, histogram] of histograms) {
    measured.percentile.set(value, percentileRange(histogram));
    measured.mse.set(value, mseRange(histogram, isBeforeSilu(index, value) ? silu : undefined));
  }
  return measured;
}

/** Returns whether the only consumers of a value x compute x * sigmoid(x). */
function isBeforeSilu(index: GraphIndex, value: string): boolean {
  const readers = index.consumers(value);
  const sigmoid = readers.find(({ op }) => op === 'Sigmoid');
  const product = readers.find(({ op }) => op === 'Mul');
  return readers.length === 2 && sigmoid !== undefined && product?.inputs.includes(sigmoid.outputs[0]!) === true;
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** Measures the correction of the bias of each convolution (see `biasShiftOf`), by the name of the layer. */
export async function measureBiasShifts(
  graph: Graph,
  layers: readonly QuantisableLayer[],
  style: QuantiseStyle,
  ranges: ReadonlyMap<string, ValueRange>,
  frames: readonly Uint8Array[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const { groups } = placeQuantisers(graph, layers, style);
  const meters = new Map<string, ChannelMeter>();
  const convolutions = layers.filter(({ kind }) => kind !== 'product');
  for (const layer of convolutions) {
    const range = rangeOf(groups.get(layer.input) ?? [layer.input], ranges);
    // The levels of the picture are exact.
    const quantiser = range === undefined ? { scale: 1, zero: 0 } : quantiserOf(range);
    meters.set(layer.input, new ChannelMeter(inputChannelCount(layer), quantiser));
  }
  await watchValues(graph, [...meters.keys()], frames, (value, numbers) => meters.get(value)!.add(numbers));
  return new Map(convolutions.map((layer) => [layer.name, biasShiftOf(layer, meters.get(layer.input)!.means())]));
}
