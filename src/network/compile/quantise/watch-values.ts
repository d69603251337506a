import { type Graph, type GraphNode, i64Tensor } from '../graph.ts';
import { removeUnused } from '../graph-index.ts';
import { runGraph } from './run-graph.ts';

/** Number of values that are read in one run: they are all in memory at once. */
const VALUES_AT_ONCE = 40;

const FLAT = 'watched/shape';

/**
 * Runs a graph on pictures and reads inner values.
 *
 * @param onValue - called with each value of each picture as a flat list, in the order of its axes; valid until it returns.
 */
export async function watchValues(
  graph: Graph,
  values: readonly string[],
  frames: readonly Uint8Array[],
  onValue: (value: string, numbers: Float32Array) => void,
): Promise<void> {
  for (let first = 0; first < values.length; first += VALUES_AT_ONCE) {
    const some = values.slice(first, first + VALUES_AT_ONCE);
    await runGraph(withOutputs(graph, some), frames, (outputs) => {
      for (const [at, value] of some.entries()) onValue(value, outputs.get(outputName(at))!.data as Float32Array);
    });
  }
}

function outputName(at: number): string {
  return `watched/${at}`;
}

/** Adds the values as outputs; flattened, because the graph does not tell how many axes a value has. */
function withOutputs(graph: Graph, values: readonly string[]): Graph {
  const flatten = values.map(
    (value, at): GraphNode => ({
      op: 'Reshape',
      name: outputName(at),
      domain: '',
      inputs: [value, FLAT],
      outputs: [outputName(at)],
      attributes: new Map(),
    }),
  );
  return removeUnused({
    ...graph,
    outputs: values.map((_, at) => ({ name: outputName(at), type: 'f32', dims: [`watched${at}`] })),
    nodes: [...graph.nodes, ...flatten],
    constants: new Map(graph.constants).set(FLAT, i64Tensor([1], [-1])),
  });
}
