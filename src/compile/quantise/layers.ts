import { GATE_INPUT } from '../../core/model.ts';
import { intOf } from '../attributes.ts';
import type { Graph, GraphNode, Tensor } from '../graph.ts';
import type { GraphIndex } from '../graph-index.ts';

/** A node with constant weights that can be computed in INT8. */
export interface QuantisableLayer {
  /** What reports and `--keep-float` call it. */
  readonly name: string;
  readonly node: GraphNode;
  /** The value that it reads. */
  readonly input: string;
  readonly weightsName: string;
  readonly weights: Tensor;
  /** Axis of the output channels in the weights. */
  readonly axis: 0 | 1;
  readonly kind: 'convolution' | 'depthwise' | 'product';
}

/**
 * Finds the layers of a graph that have constant f32 weights: convolutions over pictures, and matrix products with a constant.
 *
 * Layers behind the gate of a gated network (see `gateClasses`) are left out: they run on the few cells that pass.
 */
export function findLayers(graph: Graph): QuantisableLayer[] {
  const gated = behind(graph, GATE_INPUT);
  return graph.nodes.flatMap((node) => {
    const layer = gated.has(node) ? null : layerOf(graph, node);
    return layer === null ? [] : [layer];
  });
}

function layerOf(graph: Graph, node: GraphNode): QuantisableLayer | null {
  const [input, weightsName] = node.inputs;
  const weights = graph.constants.get(weightsName ?? '');
  if (input === undefined || weights?.type !== 'f32' || graph.constants.has(input)) return null;
  const bias = node.inputs[2];
  if (bias && graph.constants.get(bias)?.type !== 'f32') return null;
  const common = { name: nameOf(node), node, input, weightsName: weightsName!, weights };
  if (node.op === 'Conv' && weights.dims.length === 4) {
    const isDepthwise = weights.dims[1] === 1 && intOf(node, 'group', 1) > 1;
    return { ...common, axis: 0, kind: isDepthwise ? 'depthwise' : 'convolution' };
  }
  if (weights.dims.length !== 2 || bias) return null;
  if (node.op === 'MatMul') return { ...common, axis: 1, kind: 'product' };
  return null;
}

function nameOf(node: GraphNode): string {
  return node.name === '' ? node.outputs[0]! : node.name;
}

/** Nodes that an input of the graph has an influence on. */
function behind(graph: Graph, input: string): ReadonlySet<GraphNode> {
  const reached = new Set<string>([input]);
  const nodes = new Set<GraphNode>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => reached.has(name))) continue;
    nodes.add(node);
    for (const output of node.outputs) reached.add(output);
  }
  return nodes;
}

/** Activations that ONNX Runtime makes part of an INT8 convolution: saturation does their work. */
const FUSED: ReadonlySet<string> = new Set(['Relu', 'Clip']);

/** The value that leaves a layer: after the relu or clip that alone reads it, else its own output. */
export function endOf(index: GraphIndex, node: GraphNode): string {
  const output = node.outputs[0]!;
  const reader = index.soleConsumer(output);
  const isFused =
    reader !== undefined &&
    FUSED.has(reader.op) &&
    reader.inputs.slice(1).every((name) => index.constant(name) !== undefined || name === '');
  return isFused ? reader.outputs[0]! : output;
}
