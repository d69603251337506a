import { floatOf, intOf, textOf } from '../attributes.ts';
import type { GraphNode } from '../graph.ts';
import { broadcastDims, type Dim } from './dims.ts';
import { type Emission, type EmissionRule, identityOrder, plainValue, type Value } from './emission.ts';

/** A factor of a matrix product; `isTransposed` if rows and columns are swapped in memory. */
interface Factor {
  readonly value: Value;
  readonly isTransposed: boolean;
}

/** MatMul of two matrices, of batches of them, or of a batch and a vector. */
export const emitMatMul: EmissionRule = (emission, node) => {
  const left = factorOf(emission, node, 0);
  const right = emission.input(node, 1);
  if (right.dims.length === 1) return [timesVector(emission, node, left.value, right)];
  const other = factorOf(emission, node, 1);
  const { type, dims } = left.value;
  if (dims.length < 2) throw emission.unsupported(node, 'its left side is a vector');
  const columns = right.dims.at(-1)!;
  const stack = broadcastDims(dims.slice(0, -2), right.dims.slice(0, -2));
  const isFlat = dims.length === 2 && right.dims.length === 2;
  const references = [left.value.reference, other.value.reference];
  const reference = isFlat
    ? emission.node(node, 'MatMul', references, {
        T: type,
        transpose_a: left.isTransposed,
        transpose_b: other.isTransposed,
      })
    : emission.node(node, 'BatchMatMulV2', references, {
        T: type,
        adj_x: left.isTransposed,
        adj_y: other.isTransposed,
      });
  return [plainValue(reference, type, [...stack, dims.at(-2)!, columns])];
};

/** Gemm: a matrix product plus a bias. */
export const emitGemm: EmissionRule = (emission, node) => {
  const left = emission.plain(emission.input(node, 0));
  const right = emission.plain(emission.input(node, 1));
  if (floatOf(node, 'alpha', 1) !== 1 || floatOf(node, 'beta', 1) !== 1 || intOf(node, 'transA', 0) !== 0) {
    throw emission.unsupported(node, 'it scales its result or transposes its left side');
  }
  const { type } = left;
  const isTransposed = intOf(node, 'transB', 0) === 1;
  let reference = emission.node(node, 'MatMul', [left.reference, right.reference], {
    T: type,
    transpose_a: false,
    transpose_b: isTransposed,
  });
  const dims: Dim[] = [left.dims[0]!, right.dims[isTransposed ? 0 : 1]!];
  if (node.inputs[2]) {
    const bias = emission.input(node, 2);
    const op = bias.dims.length === 1 ? 'BiasAdd' : 'AddV2';
    reference = emission.node(node, op, [reference, bias.reference], { T: type }, '/biased');
  }
  return [plainValue(reference, type, dims)];
};

/** Prepares a factor: the product can read it transposed; any other order is rearranged first. */
function factorOf(emission: Emission, node: GraphNode, index: number): Factor {
  const value = emission.input(node, index);
  const rank = value.dims.length;
  const transposed = identityOrder(rank);
  transposed.push(...transposed.splice(-2).reverse());
  const isTransposed = rank >= 2 && transposed.every((axis, place) => axis === value.order[place]);
  return isTransposed ? { value, isTransposed } : { value: emission.plain(value), isTransposed: false };
}

function timesVector(emission: Emission, node: GraphNode, left: Value, vector: Value): Value {
  const rows = emission.plain(left);
  const column = emission.reshaped(vector, [vector.dims[0]!, 1], `${node.name}/column`);
  const isFlat = rows.dims.length === 2;
  const inputs = [rows.reference, column.reference];
  const reference = emission.node(node, isFlat ? 'MatMul' : 'BatchMatMulV2', inputs, { T: rows.type }, '/rows');
  const product = plainValue(reference, rows.type, [...rows.dims.slice(0, -1), 1]);
  return emission.reshaped(product, rows.dims.slice(0, -1), node.name);
}

/** Einsum; TensorFlow uses the same equations. */
export const emitEinsum: EmissionRule = (emission, node) => {
  const equation = textOf(node, 'equation', '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (right === undefined || equation.includes('.') || terms.length !== node.inputs.length || terms.length > 2)
    throw emission.unsupported(node, `its equation is ${JSON.stringify(equation)}`);
  const values = node.inputs.map((_, index) => emission.plain(emission.input(node, index)));
  const sizes = new Map<string, Dim>();
  for (const [index, letters] of terms.entries())
    for (const [axis, letter] of Array.from(letters).entries()) sizes.set(letter, values[index]!.dims[axis]!);
  const { type } = values[0]!;
  const inputs = values.map(({ reference }) => reference);
  const reference = emission.node(node, 'Einsum', inputs, { N: inputs.length, T: type, equation });
  const dims = Array.from(right, (letter) => sizes.get(letter)!);
  return [plainValue(reference, type, dims)];
};
