import type { Graph } from '../graph.ts';
import { castNode } from '../graph-builder.ts';
import { GraphIndex, renameValues } from '../graph-index.ts';
import { traceElements } from './trace-elements.ts';

/**
 * Rounds the outputs of a widened network to half if they were f16 in the published one, or cast from f16. Then scores tie as they
 * do in the published network, and suppression keeps the same boxes.
 *
 * @param published - the network before `widenHalf`.
 * @param widened - the network after it.
 */
export function roundHalfOutputs(published: Graph, widened: Graph): Graph {
  if (published === widened) return widened;
  const types = traceElements(published);
  const index = new GraphIndex(published);
  const isHalf = (name: string): boolean => {
    const producer = index.producer(name);
    return types.get(name) === 'f16' || (producer?.op === 'Cast' && types.get(producer.inputs[0]!) === 'f16');
  };
  const halves = new Set(widened.outputs.map(({ name }) => name).filter(isHalf));
  const rename = (name: string) => (halves.has(name) ? `${name}/full` : name);
  const renamed = renameValues(widened, rename);
  const rounding = [...halves].flatMap((name) => [
    castNode(rename(name), `${name}/rounded`, 'f16'),
    castNode(`${name}/rounded`, name, 'f32'),
  ]);
  return { ...renamed, nodes: [...renamed.nodes, ...rounding] };
}
