import { intOf } from '../attributes.ts';
import { isFree } from './dims.ts';
import { cast } from './elementwise.ts';
import { axisOf, type EmissionRule, identityOrder, plainValue } from './emission.ts';
import { axesOf } from './reshapes.ts';

/** Rule for ReduceMean, ReduceSum and ReduceMax; keeps the memory order. */
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
      T: value.type,
      Tidx: 'i32',
      keep_dims: keepsDims,
    });
    if (keepsDims)
      return [{ ...value, reference, dims: value.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) }];
    const order = value.order
      .filter((axis) => !axes.includes(axis))
      // The remaining axes are renumbered.
      .map((axis) => axis - axes.filter((other) => other < axis).length);
    return [{ ...value, reference, dims: value.dims.filter((_, axis) => !axes.includes(axis)), order }];
  };
}

/** TopK of the last axis, largest first. Indices are i64 as in ONNX. */
export const emitTopK: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const rank = value.dims.length;
  const [count] = emission.integers(node, 1);
  if (axisOf(intOf(node, 'axis', -1), rank) !== rank - 1 || intOf(node, 'largest', 1) !== 1) {
    throw emission.unsupported(node, 'it does not rank the largest of the last axis');
  }
  const k = emission.integerScalar(`${node.name}/k`, count!);
  const reference = emission.node(node, 'TopKV2', [value.reference, k], { T: value.type, sorted: true });
  const dims = [...value.dims.slice(0, -1), count!];
  const indices = plainValue(`${reference}:1`, 'i32', dims);
  return [plainValue(reference, value.type, dims), cast(emission, indices, 'i64', `${node.name}/indices`)];
};

/** GatherElements: with the axis last, each row is gathered separately. */
export const emitGatherElements: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const axis = axisOf(intOf(node, 'axis', 0), rank);
  const order = [...identityOrder(rank).filter((other) => other !== axis), axis];
  const [rows, indices] = [emission.arranged(value, order), emission.arranged(emission.input(node, 1), order)];
  const reference = emission.gather(node, rows, indices, rank - 1, { batch_dims: rank - 1 });
  return [{ reference, type: value.type, dims: indices.dims, order }];
};

/** GatherND whose indices select one axis after `batch_dims`, or any number of axes without `batch_dims`. */
export const emitGatherNd: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const indices = emission.plain(emission.input(node, 1));
  const batchDims = intOf(node, 'batch_dims', 0);
  const named = indices.dims.at(-1);
  if (named !== 1 && batchDims === 0 && typeof named === 'number') {
    const reference = emission.node(node, 'GatherNd', [value.reference, indices.reference], {
      Tparams: value.type,
      Tindices: indices.type,
    });
    return [plainValue(reference, value.type, [...indices.dims.slice(0, -1), ...value.dims.slice(named)])];
  }
  if (named !== 1) throw emission.unsupported(node, 'its indices name more than one axis');
  const dims = indices.dims.slice(0, -1);
  if (dims.filter(isFree).length > 1) throw emission.unsupported(node, 'two of its axes depend on the batch');
  const flat = emission.reshaped(indices, dims, `${node.name}/indices`);
  const reference = emission.gather(node, value, flat, batchDims, { batch_dims: batchDims });
  return [plainValue(reference, value.type, [...dims, ...value.dims.slice(batchDims + 1)])];
};

/** ScatterND that overwrites (no reduction). */
export const emitScatterNd: EmissionRule = (emission, node) => {
  const reduction = node.attributes.get('reduction');
  if (reduction !== undefined && reduction.value !== 'none')
    throw emission.unsupported(node, `its reduction is ${reduction.value}`);
  const [value, indices, updates] = [0, 1, 2].map((index) => emission.plain(emission.input(node, index)));
  const inputs = [value!.reference, indices!.reference, updates!.reference];
  const reference = emission.node(node, 'TensorScatterUpdate', inputs, { T: value!.type, Tindices: indices!.type });
  return [{ ...value!, reference }];
};

/** Rule for ArgMax and ArgMin that return the first of equal elements. */
export function extreme(op: string): EmissionRule {
  return (emission, node) => {
    const value = emission.plain(emission.input(node, 0));
    const axis = axisOf(intOf(node, 'axis', 0), value.dims.length);
    if (intOf(node, 'select_last_index', 0) !== 0)
      throw emission.unsupported(node, 'it selects the last of equal elements');
    const place = emission.integerScalar(`${node.name}/axis`, axis);
    const types = { T: value.type, Tidx: 'i32', output_type: 'i64' };
    const left = value.dims.filter((_, other) => other !== axis);
    const found = plainValue(emission.node(node, op, [value.reference, place], types), 'i64', left);
    if (intOf(node, 'keepdims', 1) === 0) return [found];
    const dims = value.dims.map((dim, other) => (other === axis ? 1 : dim));
    return [emission.reshaped(found, dims, `${node.name}/kept`)];
  };
}
