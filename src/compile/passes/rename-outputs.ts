import type { Graph } from '../graph.ts';
import { renameValues } from '../graph-index.ts';
import { invalid } from '../refusals.ts';

/**
 * Renames the outputs to the names that the family's decode function expects, and drops other outputs.
 *
 * @param outputs - wanted name -> published name.
 * @param batch - becomes the first dimension of every output.
 * Throws MODEL_INVALID if the network lacks an output.
 */
export function renameOutputs(graph: Graph, outputs: Readonly<Record<string, string>>, batch: 'free' | number): Graph {
  const wanted = new Map(Object.entries(outputs).map(([name, published]) => [published, name]));
  const missing = [...wanted.keys()].filter((name) => !graph.outputs.some((output) => output.name === name));
  if (missing.length > 0) {
    const names = graph.outputs.map(({ name }) => name).join(', ');
    throw invalid(`expected the network to have the output ${missing[0]}; it has ${names}`);
  }
  const taken = new Set(wanted.values());
  // Another value of the network may already have an output's new name.
  const rename = (name: string) => wanted.get(name) ?? (taken.has(name) ? `published/${name}/own` : name);
  return {
    ...renameValues(graph, rename),
    outputs: graph.outputs
      .filter(({ name }) => wanted.has(name))
      .map((output) => ({
        ...output,
        name: rename(output.name),
        dims: output.dims.map((size, axis) => (axis === 0 ? (batch === 'free' ? 'n' : batch) : size)),
      })),
  };
}
