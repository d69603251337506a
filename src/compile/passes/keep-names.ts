import type { Graph } from '../graph.ts';
import { FRAMES } from '../network-input.ts';

/** What the front and other passes call what they add. A file that was compiled before has such names. */
const RESERVED = new RegExp(`^(${FRAMES}|gate|cells|passing|classes)$|^(front|gated)/|/(half|cast)$`);

/**
 * Renames inner values of an imported network whose names are used for what passes add. Inputs and outputs keep theirs: they
 * are looked up by them.
 */
export function keepNames(graph: Graph): Graph {
  const kept = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const rename = (name: string): string => (RESERVED.test(name) && !kept.has(name) ? `published/${name}/own` : name);
  return {
    ...graph,
    constants: new Map(Array.from(graph.constants, ([name, tensor]) => [rename(name), tensor])),
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
    })),
  };
}
