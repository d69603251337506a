import type { Graph } from '../graph.ts';
import { emitCenternetHead, recogniseCenternetHead } from './centernet-head.ts';
import { Lowering, type SizePx } from './lowering.ts';
import { IMAGES, OPERATOR_RULES } from './operators.ts';
import type { TfGraph } from './read-tfjs.ts';

/** First operator set that supports everything emitted here and in the front. */
const OPSET = 17;

/**
 * Converts a TensorFlow.js CenterNet to a graph of ONNX operators with a free batch dimension.
 *
 * @param input - size to compile for; both sides must be multiples of the largest stride.
 * @param published - published input size.
 * @param output - name of the output [1, peaks, 6]; the emitted graph keeps the name.
 * @param ranking - see `emitCenternetHead`.
 * @returns a graph from `images`, f32 [n, 3, height, width], to `output`, f32 [n, peaks, 6].
 * Throws COMPILE_UNSUPPORTED naming the operator and the node.
 */
export function importTfjs(
  tfGraph: TfGraph,
  input: SizePx,
  published: SizePx,
  output: string,
  ranking: 'by-class' | 'by-cell',
): Graph {
  const lowering = new Lowering(tfGraph, input, published, OPERATOR_RULES);
  const head = recogniseCenternetHead(lowering, output);
  const detections = emitCenternetHead(lowering, head, ranking);
  const { builder } = lowering;
  const last = builder.nodes.at(-1)!;
  builder.nodes[builder.nodes.length - 1] = { ...last, outputs: [output] };
  return builder.finish({
    name: 'detector',
    opset: OPSET,
    inputs: [{ name: IMAGES, type: 'f32', dims: ['n', 3, input.height, input.width] }],
    outputs: [{ name: output, type: 'f32', dims: ['n', detections.shape[1]!, 6] }],
  });
}
