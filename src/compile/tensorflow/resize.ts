import { intOf, textOf } from '../attributes.ts';
import type { GraphNode } from '../graph.ts';
import { cast } from './elementwise.ts';
import { type Emission, type EmissionRule, NHWC } from './emission.ts';

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
