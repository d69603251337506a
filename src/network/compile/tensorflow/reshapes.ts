import { intOf, intsOf } from '../attributes.ts';
import type { GraphNode } from '../graph.ts';
import { type Dim, divideDims, isFree, productOf, sameDim, sizeOf } from './dims.ts';
import { axisOf, type Emission, type EmissionRule, identityOrder, plainValue, type Value } from './emission.ts';

/** Axes before and after a reshape that contain the same elements. */
interface Group {
  readonly before: number[];
  readonly after: number[];
}

export const emitReshape: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const wanted = emission.knownInput(node, 1);
  const dims: Dim[] = wanted.map((dim, axis) => (dim === 0 ? value.dims[axis]! : dim));
  const missing = dims.indexOf(-1);
  if (missing >= 0) {
    const [all, others] = [productOf(value.dims), productOf(dims.filter((_, axis) => axis !== missing))];
    const rest = all === null || others === null ? null : divideDims(all, others);
    if (rest === null)
      throw emission.unsupported(node, `[${describe(value.dims)}] cannot become [${describe(wanted)}]`);
    dims[missing] = rest;
  }
  return [reshape(emission, node, value, dims)];
};

export const emitFlatten: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const axis = axisOf(intOf(node, 'axis', 1), value.dims.length);
  const sides = [productOf(value.dims.slice(0, axis)), productOf(value.dims.slice(axis))];
  if (sides.some((side) => side === null)) throw emission.unsupported(node, 'both sides depend on the batch');
  return [reshape(emission, node, value, sides as Dim[])];
};

export const emitUnsqueeze: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const axes = axesOf(emission, node);
  const rank = value.dims.length + axes.length;
  const places = axes.map((axis) => axisOf(axis, rank));
  const rest = [...value.dims];
  const dims = Array.from({ length: rank }, (_, axis) => (places.includes(axis) ? 1 : rest.shift()!));
  return [reshape(emission, node, value, dims)];
};

export const emitSqueeze: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const axes =
    node.inputs.length > 1 || node.attributes.has('axes')
      ? axesOf(emission, node).map((axis) => axisOf(axis, rank))
      : identityOrder(rank).filter((axis) => value.dims[axis] === 1);
  const dims = value.dims.filter((_, axis) => !axes.includes(axis));
  return [reshape(emission, node, value, dims)];
};

/** Returns the axes from the second input (newer operator sets) or from the attribute. */
export function axesOf(emission: Emission, node: GraphNode): readonly number[] {
  return node.inputs.length > 1 ? emission.integers(node, 1) : intsOf(node, 'axes', []);
}

/** Renames axes; nothing is emitted. */
export const emitTranspose: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const permutation = intsOf(node, 'perm', identityOrder(value.dims.length).reverse());
  return [
    {
      ...value,
      dims: permutation.map((axis) => value.dims[axis]!),
      order: value.order.map((axis) => permutation.indexOf(axis)),
    },
  ];
};

/**
 * Reshapes a value without moving data if every group of merged or split axes is adjacent in memory: [n, c, h, w] stored as
 * n, h, w, c becomes [n, c, h w] stored as n, h w, c. Otherwise the axes are first brought into ONNX order.
 */
function reshape(emission: Emission, node: GraphNode, value: Value, dims: readonly Dim[]): Value {
  const groups = groupAxes(value.dims, dims);
  const placed = groups === null ? null : inMemoryOrder(value, groups);
  if (placed === null) return changeShape(emission, node, emission.plain(value), dims, identityOrder(dims.length));
  const order = placed.flatMap(({ after }) => after);
  return changeShape(emission, node, value, dims, order);
}

function changeShape(
  emission: Emission,
  node: GraphNode,
  value: Value,
  dims: readonly Dim[],
  order: readonly number[],
): Value {
  const before = value.order.map((axis) => value.dims[axis]!);
  const after = order.map((axis) => dims[axis]!);
  const isSame = before.length === after.length && before.every((dim, axis) => sameDim(dim, after[axis]!));
  if (isSame) return { ...value, dims, order };
  if (after.filter(isFree).length > 1) throw emission.unsupported(node, 'two of its axes depend on the batch');
  const { reference } = emission.reshaped(plainValue(value.reference, value.type, before), after, node.name);
  return { reference, type: value.type, dims, order };
}

/** Sorts groups by memory order; null if the axes of a group are not adjacent and in order, ignoring axes of size 1. */
function inMemoryOrder(value: Value, groups: readonly Group[]): Group[] | null {
  const isLong = (axis: number) => value.dims[axis] !== 1;
  const long = value.order.filter(isLong);
  const placed = groups.map((group) => {
    const axes = group.before.filter(isLong);
    const start = axes.length === 0 ? -1 : long.indexOf(axes[0]!);
    return { group, start, isTogether: axes.every((axis, index) => long[start + index] === axis) };
  });
  if (placed.some(({ isTogether }) => !isTogether)) return null;
  return placed.sort((a, b) => a.start - b.start).map(({ group }) => group);
}

/** Splits two shapes into the shortest groups of axes with the same number of elements; null if that is impossible. */
function groupAxes(before: readonly Dim[], after: readonly Dim[]): Group[] | null {
  const groups: Group[] = [];
  let [left, right] = [0, 0];
  while (left < before.length && right < after.length) {
    const group: Group = { before: [left++], after: [right++] };
    for (;;) {
      const held = productOf(group.before.map((axis) => before[axis]!));
      const wanted = productOf(group.after.map((axis) => after[axis]!));
      if (held === null || wanted === null) return null;
      if (sameDim(held, wanted)) break;
      const needsMore = isFree(held) === isFree(wanted) ? weight(held) < weight(wanted) : isFree(wanted);
      if (needsMore && left < before.length) group.before.push(left++);
      else if (!needsMore && right < after.length) group.after.push(right++);
      else return null;
    }
    groups.push(group);
  }
  const last = groups.at(-1);
  // The remaining axes have size 1.
  for (; left < before.length && last !== undefined; left += 1) last.before.push(left);
  for (; right < after.length && last !== undefined; right += 1) last.after.push(right);
  return last === undefined ? null : groups;
}

function weight(dim: Dim): number {
  return isFree(dim) ? dim.batches : dim;
}

function describe(dims: readonly Dim[]): string {
  return dims.map((dim) => (isFree(dim) ? 'n' : sizeOf(dim))).join(', ');
}
