import { type Graph, i64Tensor, type Tensor } from '../graph.ts';
import { reshapeTargets } from '../graph-index.ts';

/**
 * Frees the batch dimension of a network that was exported for one picture: reshapes to a batch of 1 keep the batch of their input
 * instead. Only for networks where nothing else depends on the batch (convolutions, pools, element-wise operators,
 * concatenations along other axes), as in the YOLOX family.
 */
export function freeBatch(graph: Graph): Graph {
  const constants = new Map<string, Tensor>(graph.constants);
  for (const [name, dims] of reshapeTargets(graph)) {
    // In a reshape 0 means "same as the input".
    if (dims[0] === 1 && dims.length > 1) constants.set(name, i64Tensor([dims.length], [0, ...dims.slice(1)]));
  }
  return { ...graph, constants };
}
