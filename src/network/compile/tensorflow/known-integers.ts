import { intOf } from '../attributes.ts';
import { ELEMENTS, type GraphNode, intValues } from '../graph.ts';
import { type Dim, divideDims, isFree, multiplyDims, sameDim } from './dims.ts';
import { axisOf, type Emission, type KnownIntegers } from './emission.ts';

type Rule = (emission: Emission, node: GraphNode, inputs: readonly KnownIntegers[]) => KnownIntegers | null;

/** Operators that exporters use to compute shapes. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Identity', (_emission, _node, [value]) => value!],
  ['Cast', (_emission, node, [value]) => (intOf(node, 'to', 0) === ELEMENTS.i64.onnx ? value! : null)],
  [
    'Squeeze',
    (_emission, _node, [value]) => (value!.known.length === 1 ? { known: value!.known, isScalar: true } : null),
  ],
  ['Unsqueeze', (_emission, _node, [value]) => (value!.isScalar ? { known: value!.known, isScalar: false } : null)],
  ['Concat', (_emission, _node, parts) => ({ known: parts.flatMap(({ known }) => known), isScalar: false })],
  ['Gather', gather],
  ['Range', range],
  ['ConstantOfShape', constantOfShape],
  ['Equal', (_emission, _node, inputs) => elementwise(inputs, (a, b) => (sameDim(a, b) ? 1 : 0))],
  ['Where', where],
  ['Slice', slice],
  ['Mul', (_emission, _node, inputs) => elementwise(inputs, multiplyDims)],
  ['Div', (_emission, _node, inputs) => elementwise(inputs, divideDims)],
  ['Add', (_emission, _node, inputs) => elementwise(inputs, (a, b) => add(a, b, 1))],
  ['Sub', (_emission, _node, inputs) => elementwise(inputs, (a, b) => add(a, b, -1))],
]);

/**
 * Computes at compile time what exporters compute at run time: `Shape`, and integers derived from shapes and constants. The batch
 * stays free: integers that depend on it are represented as multiples of it.
 *
 * @returns null for other nodes.
 */
export function foldIntegers(emission: Emission, node: GraphNode): KnownIntegers | null {
  if (node.op === 'Shape') return { known: emission.shapeOf(node, 0).dims, isScalar: false };
  const rule = RULES.get(node.op);
  if (rule === undefined || node.outputs.length !== 1) return null;
  const inputs = node.inputs.map((name) => emission.known(name));
  return inputs.every((input) => input !== undefined) ? rule(emission, node, inputs) : null;
}

function gather(
  _emission: Emission,
  _node: GraphNode,
  [values, indices]: readonly KnownIntegers[],
): KnownIntegers | null {
  const { length } = values!.known;
  const chosen = indices!.known.map((index) => (isFree(index) ? undefined : values!.known[axisOf(index, length)]));
  if (chosen.some((dim) => dim === undefined)) return null;
  return { known: chosen as Dim[], isScalar: indices!.isScalar };
}

/** More numbers than any shape or grid has; longer lists are not computed at compile time. */
const MAX_NUMBERS = 1_000_000;

function range(_emission: Emission, _node: GraphNode, inputs: readonly KnownIntegers[]): KnownIntegers | null {
  const [start, end, step] = inputs.map(({ known }) => known[0]);
  if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number' || step === 0) return null;
  const length = Math.max(Math.ceil((end - start) / step), 0);
  if (length > MAX_NUMBERS) return null;
  return { known: Array.from({ length }, (_, index) => start + index * step), isScalar: false };
}

/** Returns a list that repeats one number. */
function constantOfShape(
  _emission: Emission,
  node: GraphNode,
  [shape]: readonly KnownIntegers[],
): KnownIntegers | null {
  const value = node.attributes.get('value');
  const [length] = shape!.known;
  if (value?.kind !== 'tensor' || value.value.type !== 'i64' || shape!.known.length !== 1) return null;
  if (typeof length !== 'number' || length > MAX_NUMBERS) return null;
  return { known: new Array<Dim>(length).fill(intValues(value.value, node.name)[0]!), isScalar: false };
}

function where(
  _emission: Emission,
  _node: GraphNode,
  [condition, ifTrue, ifFalse]: readonly KnownIntegers[],
): KnownIntegers | null {
  const parts = [condition!, ifTrue!, ifFalse!];
  const length = Math.max(...parts.map(({ known }) => known.length));
  const at = ({ known }: KnownIntegers, index: number) => known[known.length === 1 ? 0 : index]!;
  const known = Array.from({ length }, (_, index) => at(at(condition!, index) === 1 ? ifTrue! : ifFalse!, index));
  return { known, isScalar: parts.every(({ isScalar }) => isScalar) };
}

function slice(emission: Emission, node: GraphNode, [values]: readonly KnownIntegers[]): KnownIntegers | null {
  const [start, end] = [emission.integers(node, 1)[0]!, emission.integers(node, 2)[0]!];
  const isPlain = node.inputs[4] === undefined || emission.integers(node, 4)[0] === 1;
  return isPlain ? { known: values!.known.slice(start, end), isScalar: false } : null;
}

function elementwise(
  inputs: readonly KnownIntegers[],
  operation: (a: Dim, b: Dim) => Dim | null,
): KnownIntegers | null {
  const [left, right] = inputs as [KnownIntegers, KnownIntegers];
  const { length } = left.known.length >= right.known.length ? left.known : right.known;
  const at = ({ known }: KnownIntegers, index: number) => known[known.length === 1 ? 0 : index]!;
  const known = Array.from({ length }, (_, index) => operation(at(left, index), at(right, index)));
  return known.includes(null) ? null : { known: known as Dim[], isScalar: left.isScalar && right.isScalar };
}

/** Adds two sizes; null if only one of them is a multiple of the batch, because then the sum is not. */
function add(a: Dim, b: Dim, sign: 1 | -1): Dim | null {
  if (isFree(a)) return isFree(b) ? { batches: a.batches + sign * b.batches } : null;
  return isFree(b) ? null : a + sign * b;
}
