import { floatOf, intOf } from '../attributes.ts';
import type { GraphNode } from '../graph.ts';
import { broadcastDims, type Dim } from './dims.ts';
import { type Emission, type EmissionRule, identityOrder, plainValue, type Value } from './emission.ts';

/** A factor of a matrix product as it lies: `isTurned` where rows and columns are exchanged in memory. */
interface Factor {
  readonly value: Value;
  readonly isTurned: boolean;
}

/** MatMul of two matrices, of stacks of them, or of a stack and a vector. */
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
        T: { type },
        transpose_a: left.isTurned,
        transpose_b: other.isTurned,
      })
    : emission.node(node, 'BatchMatMulV2', references, { T: { type }, adj_x: left.isTurned, adj_y: other.isTurned });
  return [plainValue(reference, type, [...stack, dims.at(-2)!, columns])];
};

/** Gemm: a matrix product and a bias. */
export const emitGemm: EmissionRule = (emission, node) => {
  const left = emission.plain(emission.input(node, 0));
  const right = emission.plain(emission.input(node, 1));
  if (floatOf(node, 'alpha', 1) !== 1 || floatOf(node, 'beta', 1) !== 1 || intOf(node, 'transA', 0) !== 0) {
    throw emission.unsupported(node, 'it scales or turns its left side');
  }
  const { type } = left;
  const isTurned = intOf(node, 'transB', 0) === 1;
  let reference = emission.node(node, 'MatMul', [left.reference, right.reference], {
    T: { type },
    transpose_a: false,
    transpose_b: isTurned,
  });
  const dims: Dim[] = [left.dims[0]!, right.dims[isTurned ? 0 : 1]!];
  if (node.inputs[2]) {
    const bias = emission.input(node, 2);
    const op = bias.dims.length === 1 ? 'BiasAdd' : 'AddV2';
    reference = emission.node(node, op, [reference, bias.reference], { T: { type } }, '/biased');
  }
  return [plainValue(reference, type, dims)];
};

/** A factor may lie turned: the product reads it as it is. Any other order is put right first. */
function factorOf(emission: Emission, node: GraphNode, index: number): Factor {
  const value = emission.input(node, index);
  const rank = value.dims.length;
  const turned = identityOrder(rank);
  turned.push(...turned.splice(-2).reverse());
  const isTurned = rank >= 2 && turned.every((axis, place) => axis === value.order[place]);
  return isTurned ? { value, isTurned } : { value: emission.plain(value), isTurned: false };
}

function timesVector(emission: Emission, node: GraphNode, left: Value, vector: Value): Value {
  const rows = emission.plain(left);
  const column = emission.reshaped(vector, [vector.dims[0]!, 1], `${node.name}/column`);
  const isFlat = rows.dims.length === 2;
  const inputs = [rows.reference, column.reference];
  const reference = emission.node(
    node,
    isFlat ? 'MatMul' : 'BatchMatMulV2',
    inputs,
    { T: { type: rows.type } },
    '/rows',
  );
  const product = plainValue(reference, rows.type, [...rows.dims.slice(0, -1), 1]);
  return emission.reshaped(product, rows.dims.slice(0, -1), node.name);
}
