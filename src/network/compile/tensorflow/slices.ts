import { intOf, intsOf } from '../attributes.ts';
import { type GraphNode, intValues } from '../graph.ts';
import { type Dim, isFree, sameDim } from './dims.ts';
import { axisOf, type Emission, type EmissionRule, identityOrder, plainValue, type Value } from './emission.ts';
import { padded } from './windows.ts';

/** Concat, in the memory order of its first computed part. */
export const emitConcat: EmissionRule = (emission, node) => {
  const parts = node.inputs.map((_, index) => emission.shapeOf(node, index));
  const first = parts.find(({ order }) => order !== undefined) ?? parts[0]!;
  const axis = axisOf(intOf(node, 'axis', 0), first.dims.length);
  const order = first.order ?? identityOrder(first.dims.length);
  const sum = parts.reduce<Dim | null>((total, { dims }) => {
    const size = dims[axis]!;
    return total === null || isFree(size) || isFree(total) ? null : total + size;
  }, 0);
  if (sum === null) throw emission.unsupported(node, 'it joins along the batch');
  const references = parts.map((_, index) => emission.arrangedInput(node, index, order));
  const axisReference = emission.integerScalar(`${node.name}/axis`, order.indexOf(axis));
  const reference = emission.node(node, 'ConcatV2', [...references, axisReference], {
    N: references.length,
    T: first.type,
    Tidx: 'i32',
  });
  const dims = first.dims.map((dim, index) => (index === axis ? sum : dim));
  return [{ reference, type: first.type, dims, order }];
};

/** One axis of a slice. */
interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** The axis has one element and is removed. */
  readonly isDropped: boolean;
}

export const emitSlice: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  // Before operator set 10 they are attributes.
  const isOld = node.attributes.has('starts');
  const [starts, ends] = isOld
    ? [intsOf(node, 'starts', []), intsOf(node, 'ends', [])]
    : [emission.integers(node, 1), emission.integers(node, 2)];
  const every = isOld ? intsOf(node, 'axes', identityOrder(starts.length)) : identityOrder(starts.length);
  const axes = node.inputs[3] ? emission.integers(node, 3) : every;
  const steps = node.inputs[4] ? emission.integers(node, 4) : starts.map(() => 1);
  const cuts = axes.map((given, index) => {
    const axis = axisOf(given, value.dims.length);
    const size = value.dims[axis]!;
    const step = steps[index]!;
    if (isFree(size) || step < 1) throw emission.unsupported(node, `axis ${axis} is the batch, or its step is ${step}`);
    const clamp = (place: number) => Math.min(Math.max(place < 0 ? place + size : place, 0), size);
    return { axis, start: clamp(starts[index]!), end: clamp(ends[index]!), step, isDropped: false };
  });
  return [cut(emission, node, value, cuts)];
};

/** Gather: with one constant index a slice, otherwise a gather in the memory order of the value. */
export const emitGather: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const axis = axisOf(intOf(node, 'axis', 0), value.dims.length);
  const known = emission.known(emission.inputName(node, 1));
  const index = known?.isScalar ? known.known[0]! : undefined;
  const size = value.dims[axis]!;
  if (typeof index === 'number' && !isFree(size)) {
    const start = axisOf(index, size);
    return [cut(emission, node, value, [{ axis, start, end: start + 1, step: 1, isDropped: true }])];
  }
  const indices = emission.plain(notBelowZero(emission, node, size));
  if (indices.dims.length !== 1) {
    const plain = emission.plain(value);
    const dims = [...value.dims.slice(0, axis), ...indices.dims, ...value.dims.slice(axis + 1)];
    return [plainValue(emission.gather(node, plain, indices, axis), value.type, dims)];
  }
  const reference = emission.gather(node, value, indices, value.order.indexOf(axis));
  return [{ ...value, reference, dims: value.dims.map((dim, other) => (other === axis ? indices.dims[0]! : dim)) }];
};

/** Resolves negative constant indices, which count from the end and which TensorFlow does not support. */
function notBelowZero(emission: Emission, node: GraphNode, size: Dim): Value {
  const tensor = emission.graph.constants.get(emission.inputName(node, 1));
  const numbers = tensor === undefined ? [] : intValues(tensor, node.name);
  if (tensor === undefined || isFree(size) || numbers.every((index) => index >= 0)) return emission.input(node, 1);
  const positive = numbers.map((index) => axisOf(index, size));
  return plainValue(emission.integerTable(`${node.name}/indices`, tensor.dims, positive), 'i32', tensor.dims);
}

/** Split into parts of known sizes, in the memory order of the value. */
export const emitSplit: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const axis = axisOf(intOf(node, 'axis', 0), value.dims.length);
  const size = value.dims[axis]!;
  if (isFree(size)) throw emission.unsupported(node, 'it splits the batch');
  // If the parts are not equal, the last one is smaller.
  const part = Math.ceil(size / node.outputs.length);
  const equal = node.outputs.map((_, index) => Math.max(Math.min(part, size - part * index), 0));
  const sizes = node.inputs[1] ? emission.integers(node, 1) : intsOf(node, 'split', equal);
  const inputs = [
    value.reference,
    emission.integerVector(`${node.name}/sizes`, sizes),
    emission.integerScalar(`${node.name}/axis`, value.order.indexOf(axis)),
  ];
  const reference = emission.node(node, 'SplitV', inputs, { T: value.type, Tlen: 'i32', num_split: sizes.length });
  return sizes.map((part, index) => ({
    ...value,
    reference: index === 0 ? reference : `${reference}:${index}`,
    dims: value.dims.map((dim, other) => (other === axis ? part : dim)),
  }));
};

/** Pad with a constant. */
export const emitPad: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const pads = emission.integers(node, 1);
  const filling = node.inputs[2] ? emission.scalar(node, 2) : 0;
  const mode = node.attributes.get('mode');
  if ((mode !== undefined && mode.value !== 'constant') || filling === undefined || pads.some((size) => size < 0)) {
    throw emission.unsupported(node, 'it does not pad with one constant number');
  }
  const inMemory = value.order.flatMap((axis) => [pads[axis]!, pads[axis + rank]!]);
  const dims = value.dims.map((dim, axis) => {
    const added = pads[axis]! + pads[axis + rank]!;
    if (isFree(dim) && added > 0) throw emission.unsupported(node, 'it pads the batch');
    return isFree(dim) ? dim : dim + added;
  });
  return [{ ...padded(emission, node, value, inMemory, filling), dims }];
};

/** Tile; repeats that depend on the batch are computed at run time. */
export const emitTile: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const repeats = emission.knownInput(node, 1);
  const dims = value.dims.map((dim, axis) => {
    const repeat = repeats[axis]!;
    if (repeat === 1) return dim;
    if (isFree(dim)) throw emission.unsupported(node, `it repeats the batch`);
    return isFree(repeat) ? { batches: repeat.batches * dim } : repeat * dim;
  });
  if (dims.every((dim, axis) => sameDim(dim, value.dims[axis]!))) return [value];
  const multiples = emission.input(node, 1);
  const reference = emission.node(node, 'Tile', [value.reference, multiples.reference], {
    T: value.type,
    Tmultiples: multiples.type,
  });
  return [{ ...value, reference, dims }];
};

function cut(emission: Emission, node: GraphNode, value: Value, cuts: readonly Cut[]): Value {
  const begin: number[] = [];
  const end: number[] = [];
  const steps: number[] = [];
  let untouched = 0;
  let dropped = 0;
  const dims = [...value.dims];
  for (const [place, axis] of value.order.entries()) {
    const at = cuts.find((other) => other.axis === axis);
    begin.push(at?.start ?? 0);
    end.push(at?.end ?? 0);
    steps.push(at?.step ?? 1);
    if (at === undefined) untouched |= 1 << place;
    else dims[axis] = Math.max(Math.ceil((at.end - at.start) / at.step), 0);
    if (at?.isDropped) dropped |= 1 << place;
  }
  const inputs = [begin, end, steps].map((values, index) =>
    emission.integerVector(`${node.name}/${['begin', 'end', 'steps'][index]}`, values),
  );
  const reference = emission.node(node, 'StridedSlice', [value.reference, ...inputs], {
    T: value.type,
    Index: 'i32',
    begin_mask: untouched,
    end_mask: untouched,
    shrink_axis_mask: dropped,
  });
  const removed = cuts.filter(({ isDropped }) => isDropped).map(({ axis }) => axis);
  const left = value.order.filter((axis) => !removed.includes(axis));
  // The remaining axes are renumbered.
  const order = left.map((axis) => axis - removed.filter((other) => other < axis).length);
  return { reference, type: value.type, dims: dims.filter((_, axis) => !removed.includes(axis)), order };
}
