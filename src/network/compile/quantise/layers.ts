import { GATE_INPUT } from '../../../base/core/model.ts';
import { intOf } from '../attributes.ts';
import type { Graph, GraphNode, Tensor } from '../graph.ts';
import type { GraphIndex } from '../graph-index.ts';

/** A node with constant weights that can be computed in INT8. */
export interface QuantisableLayer {
  /** Its name in reports and in `--keep-float`. */
  readonly name: string;
  readonly node: GraphNode;
  /** Name of the value that it reads. */
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
 * Layers after the gate of a gated network (see `gateClasses`) are left out: they only run on the few cells that pass.
 */
export function findLayers(graph: Graph): QuantisableLayer[] {
  const gated = dependentOn(graph, GATE_INPUT);
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

/** Returns the nodes that depend on an input of the graph. */
function dependentOn(graph: Graph, input: string): ReadonlySet<GraphNode> {
  const reached = new Set<string>([input]);
  const nodes = new Set<GraphNode>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => reached.has(name))) continue;
    nodes.add(node);
    for (const output of node.outputs) reached.add(output);
  }
  return nodes;
}

/** Activations that ONNX Runtime fuses into an INT8 convolution, whose saturation has the same effect. */
const FUSED: ReadonlySet<string> = new Set(['Relu', 'Clip']);

/** Returns the output of a layer: that of its relu or clip, if this is its only consumer, else its own. */
export function endOf(index: GraphIndex, node: GraphNode): string {
  const output = node.outputs[0]!;
  const reader = index.soleConsumer(output);
  const isFused =
    reader !== undefined &&
    FUSED.has(reader.op) &&
    reader.inputs.slice(1).every((name) => index.constant(name) !== undefined || name === '');
  return isFused ? reader.outputs[0]! : output;
}
