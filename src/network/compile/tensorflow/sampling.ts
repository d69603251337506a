import { intOf, textOf } from '../attributes.ts';
import { f32Tensor, type GraphNode } from '../graph.ts';
import { type Dim, isFree } from './dims.ts';
import { cast } from './elementwise.ts';
import { type Emission, type EmissionRule, NHWC, plainValue, type Value } from './emission.ts';
import type { AttributeInput } from './graph-def-builder.ts';

/** Resize of pictures, by factors or to a given size. */
export const emitResize: EmissionRule = (emission, node) => {
  const picture = emission.arranged(emission.input(node, 0), NHWC);
  const [, , height, width] = emission.sizes(node, picture) as [number, number, number, number];
  const mode = textOf(node, 'mode', 'nearest');
  if (mode !== 'nearest' && mode !== 'linear') throw emission.unsupported(node, `mode ${mode}`);
  const [rows, columns] = sizeOf(emission, node, [height, width]);
  const coordinates = textOf(
    node,
    'coordinate_transformation_mode',
    emission.graph.opset < 11 ? 'asymmetric' : 'half_pixel',
  );
  const rounding = textOf(node, 'nearest_mode', emission.graph.opset < 11 ? 'floor' : 'round_prefer_floor');
  // With an integer factor both coordinate modes copy each pixel that many times.
  const isWhole = rows % height === 0 && columns % width === 0;
  const copies = coordinates === 'asymmetric' ? rounding === 'floor' : isWhole && rounding === 'round_prefer_floor';
  const isNearest = mode === 'nearest' && copies && CENTRES.has(coordinates);
  // PyTorch's mode only differs if a side becomes one pixel.
  const isHalfPixel = coordinates === 'half_pixel' || (coordinates === 'pytorch_half_pixel' && rows > 1 && columns > 1);
  const isCornered = coordinates === 'align_corners' && rows > 1 && columns > 1;
  const isLinear = mode === 'linear' && (coordinates === 'asymmetric' || isHalfPixel || isCornered);
  if ((!isNearest && !isLinear) || intOf(node, 'antialias', 0) !== 0)
    throw emission.unsupported(node, `mode ${mode}, ${coordinates}, ${rounding}, to ${columns}x${rows}`);
  const size = emission.integerVector(`${node.name}/size`, [rows, columns]);
  const op = isNearest ? 'ResizeNearestNeighbor' : 'ResizeBilinear';
  const reference = emission.node(node, op, [picture.reference, size], {
    T: picture.type,
    align_corners: isLinear && isCornered,
    half_pixel_centers: isLinear && isHalfPixel,
  });
  const dims = [picture.dims[0]!, picture.dims[1]!, rows, columns];
  // The bilinear kernels always return f32.
  const type = isNearest ? picture.type : 'f32';
  return [cast(emission, { reference, type, dims, order: NHWC }, picture.type, `${node.name}/cast`)];
};

/** Coordinate modes in which copying pixels by an integer factor keeps their positions. */
const CENTRES: ReadonlySet<string> = new Set(['asymmetric', 'half_pixel', 'pytorch_half_pixel']);

/** Returns rows and columns of the result. In operator set 10 there is no region of interest before the factors. */
function sizeOf(emission: Emission, node: GraphNode, [height, width]: readonly [number, number]): [number, number] {
  const axes = node.attributes.has('axes') || node.attributes.has('keep_aspect_ratio_policy');
  if (node.inputs[3]) {
    const sizes = emission.knownInput(node, 3);
    const [rows, columns] = sizes.slice(2);
    if (axes || sizes.length !== 4 || typeof rows !== 'number' || typeof columns !== 'number')
      throw emission.unsupported(node, 'its sizes are not those of rows and columns');
    return [rows, columns];
  }
  const factors = emission.floats(node, node.inputs.length === 2 ? 1 : 2);
  if (axes || factors.length !== 4 || factors[0] !== 1 || factors[1] !== 1)
    throw emission.unsupported(node, `its factors are [${factors}]`);
  return [Math.floor(height * factors[2]!), Math.floor(width * factors[3]!)];
}

/**
 * GridSample, bilinear, zeros outside, composed of TensorFlow operators: gathers the four pixels around each position and sums them
 * with their weights.
 *
 * Positions and weights are [n, points, 2 (x, y), 2 (near, far)] until rows and columns are combined to
 * [n, points, 2 (rows), 2 (columns)].
 */
export const emitGridSample: EmissionRule = (emission, node) => {
  const picture = emission.arranged(emission.input(node, 0), NHWC);
  const grid = emission.plain(emission.input(node, 1));
  const [batch, channels] = picture.dims as [Dim, number];
  const [, , height, width] = emission.sizes(node, picture) as [number, number, number, number];
  const [, rows, columns] = emission.sizes(node, grid) as [number, number, number, number];
  const mode = textOf(node, 'mode', 'bilinear');
  const outside = textOf(node, 'padding_mode', 'zeros');
  const isKnown = (mode === 'bilinear' || mode === 'linear') && outside === 'zeros' && picture.type === 'f32';
  if (!isKnown || intOf(node, 'align_corners', 0) !== 0 || isFree(channels)) {
    throw emission.unsupported(node, `mode ${mode}, ${outside} outside, ${picture.type}`);
  }
  const points = rows * columns;
  const emit = (op: string, name: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}) =>
    emission.node(node, op, inputs, { T: 'f32', ...attributes }, `/${name}`);
  const table = (name: string, dims: readonly number[], values: readonly number[]) =>
    emission.builder.constant(`${node.name}/${name}`, f32Tensor(dims, values));
  const axis = (name: string, value: number) => emission.integerScalar(`${node.name}/${name}`, value);
  const shaped = (reference: string, dims: readonly Dim[], name: string): Value =>
    emission.reshaped(plainValue(reference, 'f32', dims), dims, `${node.name}/${name}`);
  const expanded = (reference: string, at: number, name: string) =>
    emit('ExpandDims', name, [reference, axis(`${name}-axis`, at)], { Tdim: 'i32' });

  // Input: -1 is the left edge of the first pixel, 1 the right edge of the last. Result: integers are pixel centres.
  const list = shaped(grid.reference, [batch, points, 2], 'grid').reference;
  const scaled = emit('Mul', 'scaled', [list, table('half-size', [2], [width / 2, height / 2])]);
  const place = emit('AddV2', 'place', [scaled, table('centre', [2], [(width - 1) / 2, (height - 1) / 2])]);
  const floor = emit('Floor', 'floor', [place]);
  const share = emit('Sub', 'share', [place, floor]);
  const pixel = emit('AddV2', 'pixel', [expanded(floor, 3, 'floor-pair'), table('near-far', [2], [0, 1])]);
  const linear = emit('Sub', 'linear', [table('one-zero', [2], [1, 0]), expanded(share, 3, 'share-pair')]);
  const weight = emit('Abs', 'weight', [linear]);
  const notBefore = emit('Maximum', 'not-before', [pixel, table('first', [], [0])]);
  const inside = emit('Minimum', 'inside', [notBefore, table('last', [2, 1], [width - 1, height - 1])]);
  const isInside = emit('Equal', 'is-inside', [pixel, inside]);
  const one = emission.node(node, 'Cast', [isInside], { SrcT: 'bool', DstT: 'f32' }, '/one-inside');
  const counted = emit('Mul', 'counted', [weight, one]);

  const pairs = (reference: string, name: string) => {
    const both = emit('Unpack', name, [reference], { num: 2, axis: 2 });
    return { column: expanded(both, 2, `${name}-columns`), row: expanded(`${both}:1`, 3, `${name}-rows`) };
  };
  const at = pairs(inside, 'at');
  const rowStart = emit('Mul', 'row-start', [at.row, table('width', [], [width])]);
  const index = emit('AddV2', 'index', [rowStart, at.column]);
  const whole = emission.node(node, 'Cast', [index], { SrcT: 'f32', DstT: 'i32' }, '/whole');
  const indices = emission.reshaped(
    plainValue(whole, 'i32', []),
    [batch, points * 4],
    `${node.name}/indices`,
  ).reference;
  const pixels = shaped(picture.reference, [batch, height * width, channels], 'pixels').reference;
  const gathered = emission.node(
    node,
    'GatherV2',
    [pixels, indices, axis('gather-axis', 1)],
    { Tparams: 'f32', Tindices: 'i32', Taxis: 'i32', batch_dims: 1 },
    '/gathered',
  );
  const share4 = pairs(counted, 'counted-pair');
  const weights = emit('Mul', 'weights', [share4.row, share4.column]);
  const taps = shaped(gathered, [batch, points, 4, channels], 'taps').reference;
  const weighted = emit('Mul', 'weighted', [taps, shaped(weights, [batch, points, 4, 1], 'tap-weights').reference]);
  const sum = emit('Sum', 'sum', [weighted, axis('sum-axis', 2)], { Tidx: 'i32', keep_dims: false });
  const { reference } = shaped(sum, [batch, rows, columns, channels], 'sampled');
  return [{ reference, type: 'f32', dims: [batch, channels, rows, columns], order: NHWC }];
};
