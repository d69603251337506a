import { intOf } from '../attributes.ts';
import { isFree } from './dims.ts';
import { axisOf, type EmissionRule, plainValue } from './emission.ts';

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
