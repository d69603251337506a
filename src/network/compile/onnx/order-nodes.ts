import type { Graph, GraphNode } from '../graph.ts';
import { invalid } from '../refusals.ts';

/**
 * Sorts the nodes of a graph topologically. Nodes that are in order already keep it.
 *
 * Throws MODEL_INVALID if two nodes produce the same value, no node produces a value, or there is a cycle.
 */
export function orderNodes(graph: Graph, where: string): GraphNode[] {
  const producers = findProducers(graph, where);
  const ordered: GraphNode[] = [];
  const state = new Map<GraphNode, 'open' | 'done'>();
  for (const first of graph.nodes) {
    // A stack instead of recursion, because the file limits the length of a chain of nodes, not the call stack.
    const stack: { readonly node: GraphNode; next: number }[] = [];
    const open = (node: GraphNode): void => {
      state.set(node, 'open');
      stack.push({ node, next: 0 });
    };
    if (!state.has(first)) open(first);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const input = top.node.inputs[top.next];
      if (input === undefined) {
        state.set(top.node, 'done');
        ordered.push(top.node);
        stack.pop();
        continue;
      }
      top.next += 1;
      const producer = producers.get(input);
      if (producer === undefined && input !== '')
        throw invalid(where, `node ${top.node.name} reads ${input}, which no node produces`);
      if (producer === undefined || producer === null || state.get(producer) === 'done') continue;
      if (state.get(producer) === 'open')
        throw invalid(where, `nodes ${top.node.name} and ${producer.name} depend on each other`);
      open(producer);
    }
  }
  const missing = graph.outputs.find(({ name }) => !producers.has(name));
  if (missing !== undefined) throw invalid(where, `no node produces the output ${missing.name}`);
  return ordered;
}

/** Maps each value to its producer; null for inputs and constants. */
function findProducers(graph: Graph, where: string): Map<string, GraphNode | null> {
  const producers = new Map<string, GraphNode | null>();
  const add = (name: string, node: GraphNode | null): void => {
    if (name === '' && node !== null) return;
    if (producers.has(name)) throw invalid(where, `the value ${JSON.stringify(name)} is produced twice`);
    producers.set(name, node);
  };
  for (const { name } of graph.inputs) add(name, null);
  for (const name of graph.constants.keys()) add(name, null);
  for (const node of graph.nodes) for (const output of node.outputs) add(output, node);
  return producers;
}
