import { SightlineError } from '../errors/sightline-error.ts';
import { f32Tensor, f32Values, type Graph, type GraphNode, i64Tensor, type Tensor } from './graph.ts';
import { GraphBuilder } from './graph-builder.ts';
import { FRAMES, type NetworkInput } from './network-input.ts';

/**
 * Puts the front before a network: afterwards its one input is `frames`, u8 [n, height, width, 3], RGB, and cast, colour
 * order, range and layout happen inside the graph.
 *
 * Where the picture goes straight into one convolution, the front costs no more than the cast from u8: colour order and
 * range go into the weights, and so does the layout (see `foldIntoConvolution`). Otherwise the planes are made by a
 * transpose of the u8 picture, a quarter of the bytes of f32.
 *
 * @param batch - a size, or the name of the free batch dimension.
 * Throws COMPILE_UNSUPPORTED where the network has other inputs than `input` names.
 */
export function addFront(graph: Graph, input: NetworkInput, batch: number | string): Graph {
  const known = [input.tensor, input.sizeTensor];
  const unknown = graph.inputs.filter(({ name }) => !known.includes(name));
  if (unknown.length > 0 || !graph.inputs.some(({ name }) => name === input.tensor)) {
    const names = graph.inputs.map(({ name }) => name).join(', ');
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `expected the network to have the input ${input.tensor}; it has ${names}`,
    );
  }
  const fronted = foldIntoConvolution(graph, input) ?? addPlanes(graph, input);
  const constants = new Map(fronted.constants);
  if (input.sizeTensor !== null) constants.set(input.sizeTensor, i64Tensor([1, 2], [input.width, input.height]));
  return {
    ...fronted,
    constants,
    inputs: [{ name: FRAMES, type: 'u8', dims: [batch, input.height, input.width, 3] }],
  };
}

/**
 * A row of interleaved pixels is a row of 3 x width numbers, and a convolution over three planes is a convolution over
 * that one plane whose kernel and column stride are three times as wide: the picture needs no transpose. Taps keep their
 * values, so results differ only by the order of summation.
 *
 * Only where the picture has one consumer, a plain convolution, and black stays 0 (padding is 0 in either range).
 */
function foldIntoConvolution(graph: Graph, input: NetworkInput): Graph | null {
  const consumers = graph.nodes.filter((node) => node.inputs.includes(input.tensor));
  const convolution = consumers[0];
  const weights = graph.constants.get(convolution?.inputs[1] ?? '');
  const isPlain =
    consumers.length === 1 && convolution?.op === 'Conv' && weights?.dims[1] === 3 && input.range[0] === 0;
  if (!isPlain || weights === undefined || convolution === undefined) return null;
  if (ints(convolution, 'dilations', [1, 1]).some((dilation) => dilation !== 1)) return null;
  if (convolution.attributes.has('auto_pad')) return null;

  const folded = interleaveWeights(weights, input, convolution.name);
  const [outChannels, , rows, columns] = weights.dims as [number, number, number, number];
  const builder = new GraphBuilder('front/');
  const shape = builder.constant('shape', i64Tensor([4], [-1, 1, input.height, input.width * 3]));
  const plane = builder.node('Reshape', 'interleaved', [FRAMES, shape]);
  const picture = builder.node('Cast', 'picture', [plane], { to: 1 });
  const weightsName = builder.constant('weights', f32Tensor([outChannels, 1, rows, columns * 3], folded));
  const [strideRows, strideColumns] = ints(convolution, 'strides', [1, 1]) as [number, number];
  const [top, left, bottom, right] = ints(convolution, 'pads', [0, 0, 0, 0]) as [number, number, number, number];
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

/** [out, 3, rows, columns] becomes [out, rows, columns, 3], in RGB, for numbers of 0 to 255. */
function interleaveWeights(weights: Tensor, input: NetworkInput, name: string): Float32Array {
  const values = f32Values(weights, name);
  const taps = weights.dims[2]! * weights.dims[3]!;
  const scale = input.range[1] / 255;
  const interleaved = new Float32Array(values.length);
  for (let at = 0; at < interleaved.length; at += 1) {
    const colour = at % 3;
    const tap = Math.floor(at / 3) % taps;
    const out = Math.floor(at / (3 * taps));
    const plane = input.colours === 'rgb' ? colour : 2 - colour;
    interleaved[at] = values[(out * 3 + plane) * taps + tap]! * scale;
  }
  return interleaved;
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

function ints(node: GraphNode, name: string, otherwise: readonly number[]): readonly number[] {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'ints' ? attribute.value : otherwise;
}
