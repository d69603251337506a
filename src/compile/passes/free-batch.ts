import type { Graph, Tensor } from '../graph.ts';
import { i64Tensor, intValues } from '../graph.ts';

/**
 * Frees the batch dimension of a network that was exported for one picture: reshapes to a batch of 1 keep the batch of their input
 * instead. Only for networks where nothing else depends on the batch (convolutions, pools, element-wise operators,
 * concatenations along other axes), as in the YOLOX family.
 */
export function freeBatch(graph: Graph): Graph {
  const constants = new Map<string, Tensor>(graph.constants);
  for (const node of graph.nodes) {
    const shapeName = node.op === 'Reshape' ? node.inputs[1] : undefined;
    const shape = shapeName === undefined ? undefined : graph.constants.get(shapeName);
    if (shapeName === undefined || shape === undefined) continue;
    const dims = intValues(shape, shapeName);
    // In a reshape 0 means "same as the input".
    if (dims[0] === 1 && dims.length > 1) constants.set(shapeName, i64Tensor([dims.length], [0, ...dims.slice(1)]));
  }
  return { ...graph, constants };
}
