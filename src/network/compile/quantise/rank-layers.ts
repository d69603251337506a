import type { Graph } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import type { MeasuredRanges } from './calibrate.ts';
import { insertQuantisers } from './insert-quantisers.ts';
import { endOf, type QuantisableLayer } from './layers.ts';
import type { OutputGauge } from './output-gauge.ts';
import type { QuantiseStyle } from './place-quantisers.ts';
import { RANGE_RULES, type RangeRule, type ValueRange } from './ranges.ts';

/** A layer, and the loss of the outputs with only this layer in INT8. */
export interface RankedLayer {
  readonly layer: QuantisableLayer;
  /** The loss with the better rule. */
  readonly sensitivity: number;
  readonly losses: Readonly<Record<RangeRule, number>>;
}

/** Progress is reported after this many layers. */
const REPORT_EVERY = 25;

/** Share of the layers, the most sensitive ones, for which the other rule is tried too. For the others it makes no difference. */
const TRIED_TWICE = 1 / 3;

/**
 * Measures the loss that each layer causes with only this layer in INT8: with ranges of least squared error, and for the most
 * sensitive layers with percentiles as well.
 *
 * @returns the most sensitive first.
 */
export async function rankLayers(
  graph: Graph,
  layers: readonly QuantisableLayer[],
  style: QuantiseStyle,
  measured: MeasuredRanges,
  gauge: OutputGauge,
  onProgress: (text: string) => void,
): Promise<RankedLayer[]> {
  const lossBy = (layer: QuantisableLayer, rule: RangeRule): Promise<number> =>
    gauge.lossOf(insertQuantisers(graph, { style, layers: [layer], ranges: measured[rule] }));
  const ranked: RankedLayer[] = [];
  for (const layer of layers) {
    const mse = await lossBy(layer, 'mse');
    ranked.push({ layer, losses: { mse, percentile: mse }, sensitivity: mse });
    if (ranked.length % REPORT_EVERY === 0) onProgress(`ranked ${ranked.length} of ${layers.length} layers`);
  }
  ranked.sort((a, b) => b.sensitivity - a.sensitivity);
  const most = Math.ceil(ranked.length * TRIED_TWICE);
  for (const [at, { layer, losses }] of ranked.slice(0, most).entries()) {
    const percentile = await lossBy(layer, 'percentile');
    ranked[at] = { layer, losses: { ...losses, percentile }, sensitivity: Math.min(losses.mse, percentile) };
  }
  return ranked.sort((a, b) => b.sensitivity - a.sensitivity);
}

/**
 * Chooses for each value the rule with which the layers that read or produce it lost less; for other values, the least squared
 * error.
 */
export function chooseRanges(
  graph: Graph,
  ranked: readonly RankedLayer[],
  measured: MeasuredRanges,
): ReadonlyMap<string, ValueRange> {
  const index = new GraphIndex(graph);
  const sums = new Map<string, Record<RangeRule, number>>();
  for (const { layer, losses } of ranked) {
    for (const value of [layer.input, endOf(index, layer.node)]) {
      const sum = sums.get(value) ?? { percentile: 0, mse: 0 };
      for (const rule of RANGE_RULES) sum[rule] += losses[rule];
      sums.set(value, sum);
    }
  }
  return new Map(
    Array.from(measured.mse, ([value, range]) => {
      const sum = sums.get(value);
      const isPercentile = sum !== undefined && sum.percentile < sum.mse;
      return [value, isPercentile ? measured.percentile.get(value)! : range];
    }),
  );
}
