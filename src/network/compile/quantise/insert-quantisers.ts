import { f32Tensor, f32Values, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { removeUnused } from '../graph-index.ts';
import type { QuantisableLayer } from './layers.ts';
import { placeQuantisers, type QuantiseStyle } from './place-quantisers.ts';
import { quantiseWeights } from './quantise-weights.ts';
import { type Quantiser, quantiserOf, type ValueRange } from './ranges.ts';

export interface QuantisePlan {
  readonly style: QuantiseStyle;
  /** The layers to compute in INT8. */
  readonly layers: readonly QuantisableLayer[];
  /** The range of every value that `placeQuantisers` names. */
  readonly ranges: ReadonlyMap<string, ValueRange>;
  /** Correction that is added to the bias of a layer, by its name: one number for each output channel. */
  readonly biasShifts?: ReadonlyMap<string, Float32Array>;
}

/** A bias is an i32 multiple of input scale and weight scale; half of its range leaves room for the sum. */
const MOST_BIAS_STEPS = 2 ** 30;

/**
 * Writes quantisers and dequantisers around the layers of a plan: QuantizeLinear and DequantizeLinear, activations in u8 with one
 * scale for each tensor, weights in i8 with one scale for each output channel. All other nodes stay as they are.
 *
 * The graph needs operator set 13 or newer (see `raiseOperatorSet`).
 *
 * @throws RangeError if a value has no range.
 */
export function insertQuantisers(graph: Graph, plan: QuantisePlan): Graph {
  return removeUnused(new Writer(graph, plan).write());
}

/** Returns the range that a group of values shares: the union of their ranges; undefined if none is known. */
export function rangeOf(group: readonly string[], ranges: ReadonlyMap<string, ValueRange>): ValueRange | undefined {
  const known = group.flatMap((value) => ranges.get(value) ?? []);
  if (known.length === 0) return undefined;
  return { low: Math.min(...known.map(({ low }) => low)), high: Math.max(...known.map(({ high }) => high)) };
}

class Writer {
  readonly #graph: Graph;
  readonly #plan: QuantisePlan;
  readonly #placement: ReturnType<typeof placeQuantisers>;
  readonly #layers: ReadonlyMap<GraphNode, QuantisableLayer>;
  readonly #nodes: GraphNode[] = [];
  readonly #constants: Map<string, Tensor>;
  readonly #quantisers = new Map<string, Quantiser>();

  constructor(graph: Graph, plan: QuantisePlan) {
    this.#graph = graph;
    this.#plan = plan;
    this.#placement = placeQuantisers(graph, plan.layers, plan.style);
    this.#layers = new Map(plan.layers.map((layer) => [layer.node, layer]));
    this.#constants = new Map(graph.constants);
  }

  write(): Graph {
    const { values, pictures } = this.#placement;
    for (const { name } of this.#graph.inputs) if (values.has(name)) this.#writePair(name);
    for (const node of this.#graph.nodes) {
      const isReader = this.#placement.isReader(node);
      const inputs = node.inputs.map((name) =>
        isReader && (values.has(name) || (pictures.has(name) && this.#layers.has(node))) ? realName(name) : name,
      );
      const layer = this.#layers.get(node);
      this.#nodes.push({ ...node, inputs: layer === undefined ? inputs : this.#writeWeights(layer, inputs) });
      for (const output of node.outputs) {
        if (values.has(output)) this.#writePair(output);
        const bytes = pictures.get(output);
        if (bytes !== undefined) this.#writePicture(output, bytes);
      }
    }
    return { ...this.#graph, nodes: this.#nodes, constants: this.#constants };
  }

  #writePair(value: string): void {
    const range = rangeOf(this.#placement.groups.get(value) ?? [value], this.#plan.ranges);
    if (range === undefined) throw new RangeError(`${value}: no range was measured`);
    const params = this.#parameters(value, quantiserOf(range));
    this.#node('QuantizeLinear', byteName(value), [value, ...params]);
    this.#node('DequantizeLinear', realName(value), [byteName(value), ...params]);
  }

  /** A picture consists of bytes already, so its levels are exact: scale 1, zero point 0. */
  #writePicture(value: string, bytes: string): void {
    this.#node('DequantizeLinear', realName(value), [bytes, ...this.#parameters(value, { scale: 1, zero: 0 })]);
  }

  #parameters(value: string, quantiser: Quantiser): [string, string] {
    this.#quantisers.set(value, quantiser);
    const names: [string, string] = [`${value}/scale`, `${value}/zero`];
    this.#constants.set(names[0], f32Tensor([], [quantiser.scale]));
    this.#constants.set(names[1], { type: 'u8', dims: [], bytes: Uint8Array.of(quantiser.zero) });
    return names;
  }

  /** Converts the weights of a layer to INT8, and for ONNX Runtime its bias to i32. @returns the inputs of its node. */
  #writeWeights(layer: QuantisableLayer, inputs: readonly string[]): string[] {
    const { name, axis, weights, node } = layer;
    const channels = weights.dims[axis]!;
    const bias = this.#biasOf(layer);
    const isWhole = this.#plan.style === 'whole' && node.op === 'Conv';
    const inputScale = this.#inputScale(layer);
    const least = isWhole
      ? bias?.map((value) => Math.fround(Math.abs(value) / inputScale / MOST_BIAS_STEPS))
      : undefined;
    const { ints, scales } = quantiseWeights(weights, axis, least);
    const written = [inputs[0]!, this.#constantPair(`${name}/weights`, ints, scales, axis)];
    if (bias === null) return written;
    if (!isWhole) {
      this.#constants.set(`${name}/bias/real`, f32Tensor([channels], bias));
      return [...written, `${name}/bias/real`];
    }
    const biasScales = scales.map((scale) => Math.fround(scale * inputScale));
    const steps = Int32Array.from(bias, (value, channel) => Math.round(value / biasScales[channel]!));
    const tensor: Tensor = { type: 'i32', dims: [channels], bytes: new Uint8Array(steps.buffer) };
    return [...written, this.#constantPair(`${name}/bias`, tensor, biasScales, 0)];
  }

  #biasOf({ name, axis, weights, node }: QuantisableLayer): Float32Array<ArrayBuffer> | null {
    const shift = this.#plan.biasShifts?.get(name);
    const stated = this.#graph.constants.get(node.inputs[2] ?? '');
    // A matrix product has no bias.
    if (node.op !== 'Conv' || (shift === undefined && stated === undefined)) return null;
    const bias = stated === undefined ? new Float32Array(weights.dims[axis]!) : f32Values(stated, name);
    return bias.map((value, channel) => value + (shift?.[channel] ?? 0));
  }

  /** Returns the scale of a layer's input: of its own quantiser, else of the range that its group shares; 1 for the picture. */
  #inputScale({ input }: QuantisableLayer): number {
    const known = this.#quantisers.get(input);
    if (known !== undefined) return known.scale;
    const range = rangeOf(this.#placement.groups.get(input) ?? [input], this.#plan.ranges);
    return range === undefined ? 1 : quantiserOf(range).scale;
  }

  #constantPair(name: string, ints: Tensor, scales: Float32Array, axis: number): string {
    this.#constants.set(`${name}/ints`, ints);
    this.#constants.set(`${name}/scales`, f32Tensor([scales.length], scales));
    const zeros: Tensor = {
      type: ints.type,
      dims: [scales.length],
      bytes: new Uint8Array(scales.length * (ints.type === 'i32' ? 4 : 1)),
    };
    this.#constants.set(`${name}/zeros`, zeros);
    const attributes = new Map([['axis', { kind: 'int', value: axis } as const]]);
    this.#node('DequantizeLinear', `${name}/real`, [`${name}/ints`, `${name}/scales`, `${name}/zeros`], attributes);
    return `${name}/real`;
  }

  #node(op: string, output: string, inputs: readonly string[], attributes: GraphNode['attributes'] = new Map()): void {
    this.#nodes.push({ op, name: output, domain: '', inputs, outputs: [output], attributes });
  }
}

function byteName(value: string): string {
  return `${value}/int8`;
}

/** Name of a value that went through 8 bits. */
function realName(value: string): string {
  return `${value}/from-int8`;
}
