import { counted } from '../../../base/core/counted.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Graph } from '../graph.ts';
import { calibrate, type MeasuredRanges, measureBiasShifts } from './calibrate.ts';
import { equaliseLayers } from './equalise.ts';
import { insertQuantisers } from './insert-quantisers.ts';
import type { QuantisableLayer } from './layers.ts';
import { OutputGauge, type OutputLoss } from './output-gauge.ts';
import { layersFor, type QuantiseStyle } from './place-quantisers.ts';
import { raiseOperatorSet } from './raise-operator-set.ts';
import type { ValueRange } from './ranges.ts';
import { chooseRanges, type RankedLayer, rankLayers } from './rank-layers.ts';
import { type FloatTrial, searchFloatCount } from './search-float.ts';

/** Number of pictures on which layers are ranked: each needs a run for every layer and rule. */
const RANKING_FRAMES = 6;

export interface QuantiseTask {
  /** A compiled graph: takes `frames`. */
  readonly graph: Graph;
  readonly style: QuantiseStyle;
  /** Calibration pictures, u8 [height, width, 3] RGB at the size of the input. */
  readonly frames: readonly Uint8Array[];
  /** Layers that stay in float whatever they cost, by name. */
  readonly keepFloat: readonly string[];
  /** Largest loss that `measure` may return. */
  readonly maxLoss: number;
  /** Loss of the outputs for one picture against those of the float graph. Only ranks layers, so it has no unit. */
  readonly outputLoss: OutputLoss;
  /** Measures the loss of a quantised graph as it will be run; this loss must be within `maxLoss`. */
  readonly measure: (graph: Graph) => Promise<number>;
  readonly onProgress: (text: string) => void;
}

/** The precision of one layer, and the reason. */
interface LayerVerdict {
  readonly name: string;
  readonly kind: QuantisableLayer['kind'];
  readonly precision: 'int8' | 'float';
  readonly why: 'within the allowance' | 'among the most sensitive' | 'asked for' | 'reads the picture';
  /** Loss of the outputs with only this layer in INT8; null if it was not measured. */
  readonly sensitivity: number | null;
}

export interface QuantisedGraph {
  readonly graph: Graph;
  /** As `measure` returned it for this graph. */
  readonly loss: number;
  /** The most sensitive first. */
  readonly layers: readonly LayerVerdict[];
  readonly trials: readonly FloatTrial[];
  /** Pairs of layers whose channels were equalised. */
  readonly equalised: readonly (readonly [string, string])[];
  readonly isBiasCorrected: boolean;
}

/**
 * Quantises a graph after training: calibrates on pictures, ranks the layers by the loss that each causes alone, and leaves the
 * worst in float until the loss is within the allowance.
 *
 * Takes minutes: one or two short runs for each layer, and about log2(layers) measurements.
 *
 * Throws QUANTISE_REFUSED if no layer can be INT8 within the allowance, COMMAND_INVALID for an unknown name in `keepFloat`,
 * COMPILE_UNSUPPORTED for an operator set that cannot hold INT8.
 */
export async function quantiseGraph(task: QuantiseTask): Promise<QuantisedGraph> {
  const { style, frames, onProgress, maxLoss } = task;
  const plain = raiseOperatorSet(task.graph);
  const few = frames.slice(0, RANKING_FRAMES);
  const gauge = await OutputGauge.of(plain, few, task.outputLoss);
  const { graph, layers, kept, measured, equalised } = await prepare(task, plain, gauge);
  onProgress(`ranking ${layers.length} layers on ${few.length} pictures`);
  const ranked = await rankLayers(graph, layers, style, measured, gauge, onProgress);
  const ranges = chooseRanges(graph, ranked, measured);
  const shifts = await usefulShifts(task, graph, layers, ranges, gauge);
  const withFloat = (floatCount: number): Graph => {
    const chosen = ranked.slice(floatCount).map(({ layer }) => layer);
    return insertQuantisers(graph, { style, layers: chosen, ranges, biasShifts: shifts });
  };
  const { floatCount, trials } = await searchFloatCount(ranked.length, maxLoss, async (count) => {
    const loss = await task.measure(withFloat(count));
    onProgress(`${ranked.length - count} of ${ranked.length} layers in INT8: loss ${loss.toFixed(4)}`);
    return loss;
  });
  const loss = trials.find((trial) => trial.floatCount === floatCount)?.loss;
  if (loss === undefined || loss > maxLoss) throw refused(trials, ranked.length, maxLoss);
  const verdicts = [...ranked.map((entry, at) => verdictOf(entry, at < floatCount)), ...kept];
  return { graph: withFloat(floatCount), loss, layers: verdicts, trials, equalised, isBiasCorrected: shifts.size > 0 };
}

interface Prepared {
  readonly graph: Graph;
  readonly layers: readonly QuantisableLayer[];
  /** Layers that stay in float without a trial. */
  readonly kept: readonly LayerVerdict[];
  readonly measured: MeasuredRanges;
  readonly equalised: QuantisedGraph['equalised'];
}

/** Calibrates the graph, and its equalised form if it has one. Returns the one that loses less with all layers in INT8. */
async function prepare(task: QuantiseTask, plain: Graph, gauge: OutputGauge): Promise<Prepared> {
  const { style, frames, onProgress } = task;
  const calibrated = async (graph: Graph, equalised: Prepared['equalised']): Promise<Prepared & { loss: number }> => {
    const { layers, kept } = splitLayers(graph, style, task.keepFloat);
    const measured = await calibrate(graph, layers, style, frames);
    const loss = await gauge.lossOf(insertQuantisers(graph, { style, layers, ranges: measured.mse }));
    return { graph, layers, kept, measured, equalised, loss };
  };
  onProgress(`calibrating on ${frames.length} pictures`);
  const asIs = await calibrated(plain, []);
  const { graph, pairs } = equaliseLayers(plain);
  if (pairs.length === 0) return asIs;
  onProgress(`equalising the channels of ${counted(pairs.length, 'pair')} of layers`);
  const even = await calibrated(graph, pairs);
  return even.loss < asIs.loss ? even : asIs;
}

function splitLayers(
  graph: Graph,
  style: QuantiseStyle,
  keepFloat: readonly string[],
): Pick<Prepared, 'layers' | 'kept'> {
  const { able, unable } = layersFor(graph, style);
  const names = new Set([...able, ...unable].map(({ name }) => name));
  const unknown = keepFloat.find((name) => !names.has(name));
  if (unknown !== undefined) {
    const shown = [...names].slice(0, 8).join(', ');
    throw new SightlineError(
      'COMMAND_INVALID',
      `--keep-float: no layer is called ${unknown}; the network has ${names.size}: ${shown}${names.size > 8 ? ', ...' : ''}`,
    );
  }
  const isAsked = ({ name }: QuantisableLayer): boolean => keepFloat.includes(name);
  const asked = able.filter(isAsked).map((layer) => keptVerdict(layer, 'asked for'));
  const kept = [...asked, ...unable.map((layer) => keptVerdict(layer, 'reads the picture'))];
  return { layers: able.filter((layer) => !isAsked(layer)), kept };
}

/** Returns the corrections of the biases; none if they do not lower the loss. */
async function usefulShifts(
  { style, frames }: QuantiseTask,
  graph: Graph,
  layers: readonly QuantisableLayer[],
  ranges: ReadonlyMap<string, ValueRange>,
  gauge: OutputGauge,
): Promise<ReadonlyMap<string, Float32Array>> {
  const biasShifts = await measureBiasShifts(graph, layers, style, ranges, frames.slice(0, 2 * RANKING_FRAMES));
  const without = await gauge.lossOf(insertQuantisers(graph, { style, layers, ranges }));
  const corrected = await gauge.lossOf(insertQuantisers(graph, { style, layers, ranges, biasShifts }));
  return corrected < without ? biasShifts : new Map();
}

function verdictOf({ layer, sensitivity }: RankedLayer, isFloat: boolean): LayerVerdict {
  const { name, kind } = layer;
  return isFloat
    ? { name, kind, precision: 'float', why: 'among the most sensitive', sensitivity }
    : { name, kind, precision: 'int8', why: 'within the allowance', sensitivity };
}

function keptVerdict({ name, kind }: QuantisableLayer, why: LayerVerdict['why']): LayerVerdict {
  return { name, kind, precision: 'float', why, sensitivity: null };
}

function refused(trials: readonly FloatTrial[], count: number, maxLoss: number): SightlineError {
  const seen = trials.map(({ floatCount, loss }) => `${count - floatCount} layers lose ${loss.toFixed(4)}`).join(', ');
  return new SightlineError(
    'QUANTISE_REFUSED',
    `no layer can be INT8 within the allowed loss of ${maxLoss}: ${count === 0 ? 'the network has none' : seen}`,
    { maxLoss },
  );
}
