import { intOf, intsOf } from '../attributes.ts';
import type { Graph, GraphNode, Tensor } from '../graph.ts';
import { invalid } from '../refusals.ts';

/**
 * Checks the layers whose weights are rewritten by passes: weights, bias, groups and windows of a convolution must be consistent.
 * Other errors in a graph are reported by the engine that loads it.
 *
 * Throws MODEL_INVALID, naming the node.
 */
export function checkLayers(graph: Pick<Graph, 'nodes' | 'constants'>, where: string): void {
  for (const node of graph.nodes) {
    if (node.op !== 'Conv') continue;
    const problem = problemOf(
      node,
      graph.constants.get(node.inputs[1] ?? ''),
      graph.constants.get(node.inputs[2] ?? ''),
    );
    if (problem !== null) throw invalid(`${where}: convolution ${node.name}: ${problem}`);
  }
}

function problemOf(node: GraphNode, weights: Tensor | undefined, bias: Tensor | undefined): string | null {
  const group = intOf(node, 'group', 1);
  if (node.inputs.length < 2 || node.inputs.length > 3 || node.outputs.length !== 1)
    return `expected two or three inputs and one output, received ${node.inputs.length} and ${node.outputs.length}`;
  if (!Number.isSafeInteger(group) || group < 1) return `expected 1 group or more, received ${group}`;
  if (weights === undefined) return null;
  const { dims } = weights;
  if (dims.length < 3 || dims.includes(0)) return `expected weights [out, in, ...], received [${dims}]`;
  const [out, , ...kernel] = dims as [number, number, ...number[]];
  if (out % group !== 0) return `expected ${group} groups to share ${out} results evenly`;
  if (bias !== undefined && (bias.dims.length !== 1 || bias.dims[0] !== out))
    return `expected a bias of ${out} numbers, received [${bias.dims}]`;
  const stated = intsOf(node, 'kernel_shape', kernel);
  if (stated.length !== kernel.length || stated.some((size, axis) => size !== kernel[axis]))
    return `expected the kernel_shape [${kernel}] of its weights, received [${stated}]`;
  for (const [name, length, min] of WINDOWS) {
    const values = intsOf(node, name, new Array(length * kernel.length).fill(1));
    if (values.length !== length * kernel.length || values.some((value) => !Number.isSafeInteger(value) || value < min))
      return `expected ${length * kernel.length} ${name} of at least ${min}, received [${values}]`;
  }
  return null;
}

/** Attribute, numbers per axis, and their minimum. */
const WINDOWS = [
  ['strides', 1, 1],
  ['dilations', 1, 1],
  ['pads', 2, Number.MIN_SAFE_INTEGER],
] as const;
