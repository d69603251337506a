import { intsOf } from './attributes.ts';
import { ELEMENTS, f32Tensor, f32Values, type Graph, type GraphNode, i64Tensor } from './graph.ts';
import { GraphBuilder } from './graph-builder.ts';
import { channelMaps, FRAMES, type NetworkInput, type PerChannel } from './network-input.ts';
import { permuteTensor } from './permute.ts';
import { unsupported } from './refusals.ts';

/** Layout of the picture at the first convolution: rows of interleaved pixels, or planes. */
export type PictureLayout = 'interleaved' | 'planes';

/**
 * Adds the front (preprocessing) to a network: afterwards its only input is `frames`, u8 [n, height, width, 3], RGB, and the cast,
 * the colour order, the range and the layout are handled in the graph.
 *
 * If the only consumer of the picture is a convolution, colour order, range and deviation are folded into its weights (see
 * `foldColours`). For ONNX Runtime so is the layout (`interleaved`, see `interleave`), and the front only costs the cast from u8,
 * and a subtraction if there is a mean. TensorFlow and OpenVINO read interleaved pixels directly; for them the transpose to planes
 * only renames the axes.
 *
 * @param batch - a size, or the name of the free batch dimension.
 * Throws COMPILE_UNSUPPORTED if the network's inputs are not those that `input` names.
 */
export function addFront(graph: Graph, input: NetworkInput, batch: number | string, layout: PictureLayout): Graph {
  const known = [input.tensor, input.sizeTensor];
  const unknown = graph.inputs.filter(({ name }) => !known.includes(name));
  if (unknown.length > 0 || !graph.inputs.some(({ name }) => name === input.tensor)) {
    const names = graph.inputs.map(({ name }) => name).join(', ');
    throw unsupported(`expected the network to have the input ${input.tensor}; it has ${names}`);
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
 * Folds colour order, range and deviation into the weights of the first convolution, so that it takes RGB levels from 0 to 255,
 * minus the mean. The mean cannot be folded into the bias, because the convolution's zero padding represents a pixel at the mean.
 *
 * Only if the picture has one consumer, a plain convolution.
 */
function foldColours(graph: Graph, input: NetworkInput): { graph: Graph; input: NetworkInput } {
  const convolution = firstConvolution(graph, input);
  if (convolution === null) return { graph, input };
  const name = convolution.inputs[1]!;
  const weights = graph.constants.get(name)!;
  const values = f32Values(weights, convolution.name);
  const taps = weights.dims[2]! * weights.dims[3]!;
  const { gains, offsets } = channelMaps(input);
  /** Returns the network's channel for an RGB channel. */
  const channelOf = (colour: number) => (input.colours === 'rgb' ? colour : 2 - colour) as 0 | 1 | 2;
  const folded = values.map((_, at) => {
    const colour = Math.floor(at / taps) % 3;
    const channel = channelOf(colour);
    return values[at + (channel - colour) * taps]! * gains[channel];
  });
  const level = (colour: number): number => -offsets[channelOf(colour)] / gains[channelOf(colour)] || 0;
  const mean: PerChannel = [level(0), level(1), level(2)];
  const foldedName = `${name}/rgb`;
  const inputs = convolution.inputs.map((other, index) => (index === 1 ? foldedName : other));
  return {
    graph: {
      ...graph,
      nodes: graph.nodes.map((node) => (node === convolution ? { ...node, inputs } : node)),
      constants: new Map(graph.constants).set(foldedName, f32Tensor(weights.dims, folded)),
    },
    input: { ...input, colours: 'rgb', range: [0, 255], mean, deviation: [1, 1, 1] },
  };
}

/**
 * Lets the first convolution read interleaved pixels. A row of interleaved pixels is a row of 3 x width numbers, and a convolution
 * over three planes equals a convolution over this one plane with a kernel and column stride three times as wide. So the picture
 * needs no transpose. The weights keep their values, so results differ only by the order of summation.
 *
 * Only after `foldColours` has folded the colours.
 */
function interleave(graph: Graph, input: NetworkInput): Graph | null {
  const convolution = firstConvolution(graph, input);
  if (convolution === null) return null;
  if (intsOf(convolution, 'dilations', [1, 1]).some((dilation) => dilation !== 1)) return null;
  if (convolution.attributes.has('auto_pad')) return null;

  const weights = graph.constants.get(convolution.inputs[1]!)!;
  const [outChannels, , rows, columns] = weights.dims as [number, number, number, number];
  const builder = new GraphBuilder('front/');
  const shape = builder.constant('shape', i64Tensor([4], [-1, 1, input.height, input.width * 3]));
  const plane = builder.node('Reshape', 'interleaved', [FRAMES, shape]);
  let picture = builder.node('Cast', 'picture', [plane], { to: ELEMENTS.f32.onnx });
  const { offsets } = channelMaps(input);
  if (offsets.some((offset) => offset !== 0)) {
    const row = Array.from({ length: input.width * 3 }, (_, at) => offsets[(at % 3) as 0 | 1 | 2]);
    picture = builder.node('Add', 'centred', [
      picture,
      builder.constant('offsets', f32Tensor([1, 1, 1, row.length], row)),
    ]);
  }
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

/** Returns the convolution over three planes that is the only consumer of the picture; null if there is none. */
function firstConvolution(graph: Graph, input: NetworkInput): GraphNode | null {
  const consumers = graph.nodes.filter((node) => node.inputs.includes(input.tensor));
  const convolution = consumers[0];
  const weights = graph.constants.get(convolution?.inputs[1] ?? '');
  if (consumers.length !== 1 || convolution?.op !== 'Conv') return null;
  return weights?.dims.length === 4 && weights.dims[1] === 3 && weights.type === 'f32' ? convolution : null;
}

/** Adds the general front, which works for every network: planes, colour order, cast, range, mean and deviation. */
function addPlanes(graph: Graph, input: NetworkInput): Graph {
  const builder = new GraphBuilder('front/');
  const colourAxis = input.layout === 'nchw' ? 1 : 3;
  let value = FRAMES;
  if (input.layout === 'nchw') value = builder.node('Transpose', 'planes', [value], { perm: [0, 3, 1, 2] });
  if (input.colours === 'bgr') {
    const order = builder.constant('bgr', i64Tensor([3], [2, 1, 0]));
    value = builder.node('Gather', 'colours', [value, order], { axis: colourAxis });
  }
  // A network with a u8 input casts it itself.
  const isBytes = graph.inputs.some(({ name, type }) => name === input.tensor && type === 'u8');
  if (!isBytes) value = builder.node('Cast', 'picture', [value], { to: ELEMENTS.f32.onnx });
  const { gains, offsets } = channelMaps(input);
  const dims = input.layout === 'nchw' ? [1, 3, 1, 1] : [1, 1, 1, 3];
  const perChannel = (values: PerChannel) =>
    new Set(values).size === 1 ? f32Tensor([], [values[0]]) : f32Tensor(dims, values);
  if (gains.some((gain) => gain !== 1)) {
    value = builder.node('Mul', 'scaled', [value, builder.constant('gains', perChannel(gains))]);
  }
  if (offsets.some((offset) => offset !== 0)) {
    value = builder.node('Add', 'shifted', [value, builder.constant('offsets', perChannel(offsets))]);
  }
  const rename = (name: string) => (name === input.tensor ? value : name);
  return {
    ...graph,
    nodes: [...builder.nodes, ...graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename) }))],
    constants: new Map([...graph.constants, ...builder.constants]),
  };
}
