import { SightlineError } from '../errors/sightline-error.ts';
import { intsOf } from './attributes.ts';
import { f32Tensor, f32Values, type Graph, type GraphNode, i64Tensor } from './graph.ts';
import { GraphBuilder } from './graph-builder.ts';
import { FRAMES, type NetworkInput } from './network-input.ts';
import { permuteTensor } from './permute.ts';

/** How the picture reaches the first convolution: as rows of interleaved pixels, or as planes. */
export type PictureLayout = 'interleaved' | 'planes';

/**
 * Puts the front before a network: afterwards its one input is `frames`, u8 [n, height, width, 3], RGB, and cast, colour
 * order, range and layout happen inside the graph.
 *
 * Where the picture goes straight into one convolution, colour order and range go into its weights (see `foldColours`). For
 * ONNX Runtime the layout does as well (`interleaved`, see `interleave`), and the front costs no more than the cast from u8.
 * TensorFlow and OpenVINO take the pixels as they lie; there the transpose to planes only names the axes.
 *
 * @param batch - a size, or the name of the free batch dimension.
 * Throws COMPILE_UNSUPPORTED where the network has other inputs than `input` names.
 */
export function addFront(graph: Graph, input: NetworkInput, batch: number | string, layout: PictureLayout): Graph {
  const known = [input.tensor, input.sizeTensor];
  const unknown = graph.inputs.filter(({ name }) => !known.includes(name));
  if (unknown.length > 0 || !graph.inputs.some(({ name }) => name === input.tensor)) {
    const names = graph.inputs.map(({ name }) => name).join(', ');
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `expected the network to have the input ${input.tensor}; it has ${names}`,
    );
  }
  const coloured = foldColours(graph, input);
  const interleaved = layout === 'interleaved' ? interleave(coloured.graph, coloured.input) : null;
  const fronted = interleaved ?? addPlanes(coloured.graph, coloured.input);
  const constants = new Map(fronted.constants);
  if (input.sizeTensor !== null) constants.set(input.sizeTensor, i64Tensor([1, 2], [input.width, input.height]));
  return {
    ...fronted,
    constants,
    inputs: [{ name: FRAMES, type: 'u8', dims: [batch, input.height, input.width, 3] }],
  };
}

/**
 * Puts colour order and range into the weights of the first convolution, so that it takes RGB from 0 to 255.
 *
 * Only where the picture has one consumer, a plain convolution, and black stays 0 (padding is 0 in either range).
 */
function foldColours(graph: Graph, input: NetworkInput): { graph: Graph; input: NetworkInput } {
  const convolution = firstConvolution(graph, input);
  if (convolution === null || input.range[0] !== 0) return { graph, input };
  const name = convolution.inputs[1]!;
  const weights = graph.constants.get(name)!;
  const values = f32Values(weights, convolution.name);
  const taps = weights.dims[2]! * weights.dims[3]!;
  const scale = input.range[1] / 255;
  const folded = values.map((_, at) => {
    const plane = Math.floor(at / taps) % 3;
    const source = input.colours === 'rgb' ? plane : 2 - plane;
    return values[at + (source - plane) * taps]! * scale;
  });
  const foldedName = `${name}/rgb`;
  const inputs = convolution.inputs.map((other, index) => (index === 1 ? foldedName : other));
  return {
    graph: {
      ...graph,
      nodes: graph.nodes.map((node) => (node === convolution ? { ...node, inputs } : node)),
      constants: new Map(graph.constants).set(foldedName, f32Tensor(weights.dims, folded)),
    },
    input: { ...input, colours: 'rgb', range: [0, 255] },
  };
}

/**
 * A row of interleaved pixels is a row of 3 x width numbers, and a convolution over three planes is a convolution over
 * that one plane whose kernel and column stride are three times as wide: the picture needs no transpose. Taps keep their
 * values, so results differ only by the order of summation.
 *
 * Only for a picture of RGB from 0 to 255 that goes into one plain convolution.
 */
function interleave(graph: Graph, input: NetworkInput): Graph | null {
  const convolution = firstConvolution(graph, input);
  if (convolution === null || input.colours !== 'rgb' || input.range[0] !== 0 || input.range[1] !== 255) return null;
  if (intsOf(convolution, 'dilations', [1, 1]).some((dilation) => dilation !== 1)) return null;
  if (convolution.attributes.has('auto_pad')) return null;

  const weights = graph.constants.get(convolution.inputs[1]!)!;
  const [outChannels, , rows, columns] = weights.dims as [number, number, number, number];
  const builder = new GraphBuilder('front/');
  const shape = builder.constant('shape', i64Tensor([4], [-1, 1, input.height, input.width * 3]));
  const plane = builder.node('Reshape', 'interleaved', [FRAMES, shape]);
  const picture = builder.node('Cast', 'picture', [plane], { to: 1 });
  const mixed = { ...permuteTensor(weights, [0, 2, 3, 1]), dims: [outChannels, 1, rows, columns * 3] };
  const weightsName = builder.constant('weights', mixed);
  const [strideRows, strideColumns] = intsOf(convolution, 'strides', [1, 1]) as [number, number];
  const [top, left, bottom, right] = intsOf(convolution, 'pads', [0, 0, 0, 0]) as [number, number, number, number];
  const attributes = new Map(convolution.attributes)
    .set('kernel_shape', { kind: 'ints', value: [rows, columns * 3] })
    .set('strides', { kind: 'ints', value: [strideRows, strideColumns * 3] })
    .set('pads', { kind: 'ints', value: [top, left * 3, bottom, right * 3] });
  const inputs = [picture, weightsName, ...convolution.inputs.slice(2)];
  const nodes = graph.nodes.map((node) => (node === convolution ? { ...node, inputs, attributes } : node));
  return {
    ...graph,
    nodes: [...builder.nodes, ...nodes],
    constants: new Map([...graph.constants, ...builder.constants]),
  };
}

/** The convolution over three planes that alone reads the picture; null where it is another network. */
function firstConvolution(graph: Graph, input: NetworkInput): GraphNode | null {
  const consumers = graph.nodes.filter((node) => node.inputs.includes(input.tensor));
  const convolution = consumers[0];
  const weights = graph.constants.get(convolution?.inputs[1] ?? '');
  if (consumers.length !== 1 || convolution?.op !== 'Conv') return null;
  return weights?.dims.length === 4 && weights.dims[1] === 3 && weights.type === 'f32' ? convolution : null;
}

/** The front that fits every network: planes, colour order, cast, range. */
function addPlanes(graph: Graph, input: NetworkInput): Graph {
  const builder = new GraphBuilder('front/');
  const colourAxis = input.layout === 'nchw' ? 1 : 3;
  let value = FRAMES;
  if (input.layout === 'nchw') value = builder.node('Transpose', 'planes', [value], { perm: [0, 3, 1, 2] });
  if (input.colours === 'bgr') {
    const order = builder.constant('bgr', i64Tensor([3], [2, 1, 0]));
    value = builder.node('Gather', 'colours', [value, order], { axis: colourAxis });
  }
  value = builder.node('Cast', 'picture', [value], { to: 1 });
  const [black, white] = input.range;
  if (white - black !== 255) {
    value = builder.node('Mul', 'scaled', [value, builder.constant('scale', f32Tensor([], [(white - black) / 255]))]);
  }
  if (black !== 0) value = builder.node('Add', 'shifted', [value, builder.constant('black', f32Tensor([], [black]))]);
  const rename = (name: string) => (name === input.tensor ? value : name);
  return {
    ...graph,
    nodes: [...builder.nodes, ...graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename) }))],
    constants: new Map([...graph.constants, ...builder.constants]),
  };
}
