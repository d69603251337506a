import { MessageBudget, WireReader } from './wire-reader.ts';

/** The messages of an ONNX file that are of use here, none of them read yet. */
export interface OnnxParts {
  readonly opsets: readonly WireReader[];
  readonly metadata: readonly WireReader[];
  readonly functions: readonly WireReader[];
  readonly graphs: readonly WireReader[];
  readonly nodes: readonly WireReader[];
  readonly constants: readonly WireReader[];
  readonly sparseConstants: readonly WireReader[];
  readonly inputs: readonly WireReader[];
  readonly outputs: readonly WireReader[];
  /** For the messages inside of these. */
  readonly budget: MessageBudget;
}

type Lists = { [Part in Exclude<keyof OnnxParts, 'budget'>]: WireReader[] };
type Fields = Readonly<Record<number, keyof Lists>>;

const MODEL_FIELDS: Fields = { 7: 'graphs', 8: 'opsets', 14: 'metadata', 25: 'functions' };
const GRAPH_FIELDS: Fields = { 1: 'nodes', 5: 'constants', 11: 'inputs', 12: 'outputs', 15: 'sparseConstants' };

/**
 * Finds the messages of an ONNX file, without reading them.
 *
 * @param where - file name, for messages.
 * Throws MODEL_INVALID, with the position, if the bytes are no such file.
 */
export function onnxParts(bytes: Uint8Array, where: string): OnnxParts {
  const lists: Lists = {
    opsets: [],
    metadata: [],
    functions: [],
    graphs: [],
    nodes: [],
    constants: [],
    sparseConstants: [],
    inputs: [],
    outputs: [],
  };
  const budget = new MessageBudget(bytes.length, where);
  const collect = (reader: WireReader, fields: Fields): void => {
    while (reader.next()) {
      const part = fields[reader.field];
      if (part === undefined) {
        reader.skip();
        continue;
      }
      budget.take();
      lists[part].push(reader.message());
    }
  };
  collect(new WireReader(bytes, where), MODEL_FIELDS);
  for (const graph of lists.graphs) collect(graph.again(), GRAPH_FIELDS);
  return { ...lists, budget };
}
