import { intOf } from '../attributes.ts';
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
