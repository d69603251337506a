import { SightlineError } from '../../errors/sightline-error.ts';
import type { Graph, GraphNode } from '../graph.ts';

/**
 * Puts the nodes of a graph into running order: each after those whose results it reads. Nodes that are in order keep it.
 *
 * Throws MODEL_INVALID where two nodes make the same value, a value is made by nothing, or nodes wait for each other.
 */
export function orderNodes(graph: Graph, where: string): GraphNode[] {
  const makers = findMakers(graph, where);
  const ordered: GraphNode[] = [];
  const state = new Map<GraphNode, 'open' | 'done'>();
  for (const first of graph.nodes) {
    // A stack in place of recursion: a chain of nodes may be as long as the file allows.
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
      const maker = makers.get(input);
      if (maker === undefined && input !== '')
        throw invalid(where, `node ${top.node.name} reads ${input}, which nothing makes`);
      if (maker === undefined || maker === null || state.get(maker) === 'done') continue;
      if (state.get(maker) === 'open')
        throw invalid(where, `nodes ${top.node.name} and ${maker.name} wait for each other's results`);
      open(maker);
    }
  }
  const missing = graph.outputs.find(({ name }) => !makers.has(name));
  if (missing !== undefined) throw invalid(where, `the output ${missing.name} is made by no node`);
  return ordered;
}

/** Who makes each value; null for inputs and constants. */
function findMakers(graph: Graph, where: string): Map<string, GraphNode | null> {
  const makers = new Map<string, GraphNode | null>();
  const add = (name: string, node: GraphNode | null): void => {
    if (name === '' && node !== null) return;
    if (makers.has(name)) throw invalid(where, `the value ${JSON.stringify(name)} is made twice`);
    makers.set(name, node);
  };
  for (const { name } of graph.inputs) add(name, null);
  for (const name of graph.constants.keys()) add(name, null);
  for (const node of graph.nodes) for (const output of node.outputs) add(output, node);
  return makers;
}

function invalid(where: string, what: string): SightlineError {
  return new SightlineError('MODEL_INVALID', `${where}: ${what}`);
}
