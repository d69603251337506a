import { intOf, textOf } from '../attributes.ts';
import { isFree } from './dims.ts';
import { cast } from './elementwise.ts';
import { axisOf, type EmissionRule, identityOrder, NHWC, plainValue } from './emission.ts';
import { axesOf } from './reshapes.ts';

/** ReduceMean, ReduceSum, ReduceMax, as the value lies. */
export function reduction(op: string): EmissionRule {
  return (emission, node) => {
    const value = emission.input(node, 0);
    const given = axesOf(emission, node).map((axis) => axisOf(axis, value.dims.length));
    const axes = given.length === 0 ? identityOrder(value.dims.length) : given;
    const keepsDims = intOf(node, 'keepdims', 1) === 1;
    const places = emission.integerVector(
      `${node.name}/axes`,
      axes.map((axis) => value.order.indexOf(axis)),
    );
    const reference = emission.node(node, op, [value.reference, places], {
      T: { type: value.type },
      Tidx: { type: 'i32' },
      keep_dims: keepsDims,
    });
    if (keepsDims)
      return [{ ...value, reference, dims: value.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) }];
    const order = value.order
      .filter((axis) => !axes.includes(axis))
      // The axes that are left are numbered anew.
      .map((axis) => axis - axes.filter((other) => other < axis).length);
    return [{ ...value, reference, dims: value.dims.filter((_, axis) => !axes.includes(axis)), order }];
  };
}

/** TopK of the last axis, largest first; indices are i64 as in ONNX. */
export const emitTopK: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const rank = value.dims.length;
  const [count] = emission.integers(node, 1);
  if (axisOf(intOf(node, 'axis', -1), rank) !== rank - 1 || intOf(node, 'largest', 1) !== 1) {
    throw emission.unsupported(node, 'it does not rank the largest of the last axis');
  }
  const k = emission.integerScalar(`${node.name}/k`, count!);
  const reference = emission.node(node, 'TopKV2', [value.reference, k], { T: { type: value.type }, sorted: true });
  const dims = [...value.dims.slice(0, -1), count!];
  const indices = plainValue(`${reference}:1`, 'i32', dims);
  return [plainValue(reference, value.type, dims), cast(emission, indices, 'i64', `${node.name}/indices`)];
};

/** Resize of pictures by a factor. */
export const emitResize: EmissionRule = (emission, node) => {
  const picture = emission.arranged(emission.input(node, 0), NHWC);
  const [, , height, width] = emission.sizes(node, picture) as [number, number, number, number];
  const factors = emission.floats(node, 2);
  const out = [height, width].map((size, axis) => Math.floor(size * factors[axis + 2]!));
  const isPlain = factors.length === 4 && factors[0] === 1 && factors[1] === 1;
  const mode = textOf(node, 'mode', 'nearest');
  const coordinates = textOf(node, 'coordinate_transformation_mode', 'half_pixel');
  const rounding = textOf(node, 'nearest_mode', 'round_prefer_floor');
  const isNearest = mode === 'nearest' && coordinates === 'asymmetric' && rounding === 'floor';
  const isLinear = mode === 'linear' && (coordinates === 'asymmetric' || coordinates === 'half_pixel');
  if (!isPlain || (!isNearest && !isLinear)) {
    throw emission.unsupported(node, `mode ${mode}, ${coordinates}, ${rounding}, factors [${factors}]`);
  }
  const size = emission.integerVector(`${node.name}/size`, out);
  const op = isNearest ? 'ResizeNearestNeighbor' : 'ResizeBilinear';
  const reference = emission.node(node, op, [picture.reference, size], {
    T: { type: picture.type },
    half_pixel_centers: coordinates === 'half_pixel',
  });
  const dims = [picture.dims[0]!, picture.dims[1]!, out[0]!, out[1]!];
  // The bilinear kernels give f32, whatever they are given.
  const type = isNearest ? picture.type : 'f32';
  return [cast(emission, { reference, type, dims, order: NHWC }, picture.type, `${node.name}/cast`)];
};

/** GatherND where each index names one row, as `batch_dims` leaves it. */
export const emitGatherNd: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const indices = emission.plain(emission.input(node, 1));
  const batchDims = intOf(node, 'batch_dims', 0);
  if (indices.dims.at(-1) !== 1) throw emission.unsupported(node, 'its indices name more than one axis');
  const dims = indices.dims.slice(0, -1);
  if (dims.filter(isFree).length > 1) throw emission.unsupported(node, 'two of its axes depend on the batch');
  const flat = emission.reshaped(indices, dims, `${node.name}/indices`);
  const axis = emission.integerScalar(`${node.name}/axis`, batchDims);
  const reference = emission.node(node, 'GatherV2', [value.reference, flat.reference, axis], {
    Tparams: { type: value.type },
    Tindices: { type: indices.type },
    Taxis: { type: 'i32' },
    batch_dims: batchDims,
  });
  return [plainValue(reference, value.type, [...dims, ...value.dims.slice(batchDims + 1)])];
};

/** GatherElements: with its axis last, every row is a gather of its own. */
export const emitGatherElements: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const axis = axisOf(intOf(node, 'axis', 0), rank);
  const order = [...identityOrder(rank).filter((other) => other !== axis), axis];
  const [rows, indices] = [emission.arranged(value, order), emission.arranged(emission.input(node, 1), order)];
  const place = emission.integerScalar(`${node.name}/axis`, rank - 1);
  const reference = emission.node(node, 'GatherV2', [rows.reference, indices.reference, place], {
    Tparams: { type: value.type },
    Tindices: { type: indices.type },
    Taxis: { type: 'i32' },
    batch_dims: rank - 1,
  });
  return [{ reference, type: value.type, dims: indices.dims, order }];
};
