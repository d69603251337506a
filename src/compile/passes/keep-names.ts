import type { Graph } from '../graph.ts';
import { renameValues } from '../graph-index.ts';
import { FRAMES } from '../network-input.ts';

/** Names that the front and other passes add. A file that was compiled before contains such names. */
const RESERVED = new RegExp(`^(${FRAMES}|gate|cells|passing|classes)$|^(front|gated)/|/(half|cast)$`);

/**
 * Renames inner values of an imported network that would clash with names added by passes. Inputs and outputs keep their names,
 * because they are looked up by name.
 */
export function keepNames(graph: Graph): Graph {
  const kept = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const rename = (name: string): string => (RESERVED.test(name) && !kept.has(name) ? `published/${name}/own` : name);
  return renameValues(graph, rename);
}
