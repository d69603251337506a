import { basename } from 'node:path';
import { readModel } from '../../../base/disk/given-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { type Graph, intValues } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import { ExternalData } from '../onnx/external-data.ts';
import { importOnnx } from '../onnx/import-onnx.ts';

/** Limit of nodes between an output and the division: real graphs have three to five. */
const MAX_NODES = 64;

/**
 * Finds the number of classes of a network that ranks all pairs of box and class and computes the class as `index % classes`, or
 * `index - index / classes * classes`. The shapes of such outputs do not contain the number.
 *
 * @param output - the output that holds the class.
 * @returns null if the graph has no such division.
 */
export function rankedClassCount(graph: Graph, output: string): number | null {
  const index = new GraphIndex(graph);
  const seen = new Set<string>([output]);
  // Iterating over a set also visits the elements added during the iteration.
  for (const value of seen) {
    const node = index.producer(value);
    if (node === undefined || node.op === 'TopK' || seen.size > MAX_NODES) continue;
    if (node.op === 'Mod' || node.op === 'Div') {
      const divisor = index.constant(node.inputs[1]);
      const [classes] = divisor?.type === 'i64' && divisor.bytes.length === 8 ? intValues(divisor, node.name) : [];
      if (classes !== undefined && classes > 0) return classes;
    }
    for (const input of node.inputs) seen.add(input);
  }
  return null;
}

/** Does the same for a file; also null if the compiler cannot read it, which is reported when it is compiled. */
export async function rankedClassCountOfFile(path: string, output: string): Promise<number | null> {
  try {
    return rankedClassCount(importOnnx(await readModel(path), basename(path), new ExternalData(path)), output);
  } catch (error) {
    if (error instanceof SightlineError) return null;
    throw error;
  }
}
