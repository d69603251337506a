import { intOf, intsOf } from '../attributes.ts';
import type { GraphNode, Tensor } from '../graph.ts';
import type { GraphIndex } from '../graph-index.ts';

/** Returns the weights [out, in, 1, 1] of a pointwise (1x1) convolution; null for anything else. */
export function pointwiseWeights(index: GraphIndex, node: GraphNode | undefined): Tensor | null {
  const weights = node?.op === 'Conv' ? index.constant(node.inputs[1]) : undefined;
  if (node === undefined || weights?.type !== 'f32' || node.attributes.has('auto_pad')) return null;
  const isSingle = weights.dims.length === 4 && weights.dims[2] === 1 && weights.dims[3] === 1;
  const isPlain = intOf(node, 'group', 1) === 1 && intsOf(node, 'strides', [1, 1]).every((step) => step === 1);
  return isSingle && isPlain && intsOf(node, 'pads', [0, 0, 0, 0]).every((pad) => pad === 0) ? weights : null;
}
