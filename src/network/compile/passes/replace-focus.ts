import { intsOf } from '../attributes.ts';
import { f32Tensor, f32Values, type Graph, type GraphNode, intValues } from '../graph.ts';

/**
 * Replaces the focus layer of YOLOX by one convolution. The layer splits the picture into its four pixel phases (even and odd rows
 * and columns) and concatenates them to 12 channels for a convolution of stride 1. That equals a convolution of stride 2 over the
 * 3 channels with a kernel twice as large, and saves eight strided copies of the picture. The weights keep their values, so
 * results differ only by the order of summation.
 *
 * Returns a graph without such a layer unchanged.
 */
export function replaceFocus(graph: Graph, picture: string): Graph {
  const focus = findFocus(graph, picture);
  if (focus === null) return graph;
  const { convolution, phases, layer } = focus;
  const weightsName = convolution.inputs[1]!;
  const [outChannels, , rows, columns] = graph.constants.get(weightsName)!.dims as [number, number, number, number];
  const values = f32Values(graph.constants.get(weightsName)!, weightsName);
  const merged = new Float32Array(values.length);
  for (let out = 0; out < outChannels; out += 1) {
    for (let channel = 0; channel < 12; channel += 1) {
      const phase = phases[Math.floor(channel / 3)]!;
      for (let row = 0; row < rows; row += 1) {
        for (let column = 0; column < columns; column += 1) {
          const tall = 2 * row + phase.row;
          const wide = 2 * column + phase.column;
          const target = ((out * 3 + (channel % 3)) * 2 * rows + tall) * 2 * columns + wide;
          merged[target] = values[((out * 12 + channel) * rows + row) * columns + column]!;
        }
      }
    }
  }
  const doubled = (name: string, usual: readonly number[]) => {
    const value = intsOf(convolution, name, usual).map((number) => number * 2);
    return { kind: 'ints', value } as const;
  };
  const attributes = new Map(convolution.attributes)
    .set('kernel_shape', doubled('kernel_shape', [rows, columns]))
    .set('strides', doubled('strides', [1, 1]))
    .set('pads', doubled('pads', [0, 0, 0, 0]));
  const inputs = [picture, `${weightsName}/focus`, ...convolution.inputs.slice(2)];
  return {
    ...graph,
    nodes: graph.nodes
      .filter((node) => !layer.has(node))
      .map((node) => (node === convolution ? { ...node, inputs, attributes } : node)),
    constants: new Map(graph.constants).set(
      `${weightsName}/focus`,
      f32Tensor([outChannels, 3, 2 * rows, 2 * columns], merged),
    ),
  };
}

interface Phase {
  readonly row: number;
  readonly column: number;
}

interface Focus {
  readonly convolution: GraphNode;
  /** Pixel phase of each group of three input channels of the convolution. */
  readonly phases: readonly Phase[];
  /** The nodes to remove. */
  readonly layer: ReadonlySet<GraphNode>;
}

/** Looks for picture -> Slice (rows) -> Slice (columns), four times -> Concat -> Conv. */
function findFocus(graph: Graph, picture: string): Focus | null {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const concat = graph.nodes.find(
    ({ op, inputs }) =>
      op === 'Concat' && inputs.length === 4 && inputs.every((name) => producers.get(name)?.op === 'Slice'),
  );
  const convolution = graph.nodes.find((node) => concat !== undefined && node.inputs[0] === concat.outputs[0]);
  const weights = graph.constants.get(convolution?.inputs[1] ?? '');
  if (concat === undefined || convolution?.op !== 'Conv' || weights?.type !== 'f32' || weights.dims[1] !== 12)
    return null;
  const isDilated = intsOf(convolution, 'dilations', [1, 1]).some((dilation) => dilation !== 1);
  if (weights.dims.length !== 4 || isDilated || convolution.attributes.has('auto_pad')) return null;
  const layer = new Set<GraphNode>([concat]);
  const phases: Phase[] = [];
  for (const name of concat.inputs) {
    const columns = producers.get(name)!;
    const rows = producers.get(columns.inputs[0] ?? '');
    if (rows?.op !== 'Slice' || rows.inputs[0] !== picture) return null;
    const rowPhase = slicePhase(graph, rows, 2);
    const columnPhase = slicePhase(graph, columns, 3);
    if (rowPhase === null || columnPhase === null) return null;
    layer.add(columns).add(rows);
    phases.push({ row: rowPhase, column: columnPhase });
  }
  return { convolution, phases, layer };
}

/** Returns the start of a slice that takes every second index of one axis to its end; null for other slices. */
function slicePhase(graph: Graph, slice: GraphNode, axis: number): number | null {
  const [starts, , axes, steps] = slice.inputs.slice(1).map((name) => {
    const tensor = graph.constants.get(name);
    return tensor === undefined ? [] : intValues(tensor, name);
  });
  return axes?.[0] === axis && steps?.[0] === 2 && starts?.length === 1 ? starts[0]! : null;
}
