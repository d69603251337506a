import { f32Tensor } from '../graph.ts';
import { broadcastDims } from './dims.ts';
import { alignOperands } from './elementwise.ts';
import { type EmissionRule, plainValue } from './emission.ts';

/** Rule for a comparison of two values, with a boolean result. */
export function comparison(op: string): EmissionRule {
  return (emission, node) => {
    const { type, references, ...rest } = alignOperands(emission, node, [0, 1]);
    return [{ ...rest, type: 'bool', reference: emission.node(node, op, references, { T: type }) }];
  };
}

/** Rule for And and Or of two booleans. */
export function logical(op: string): EmissionRule {
  return (emission, node) => {
    const { references, ...rest } = alignOperands(emission, node, [0, 1]);
    return [{ ...rest, reference: emission.node(node, op, references, {}) }];
  };
}

export const emitNot: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  return [{ ...value, reference: emission.node(node, 'LogicalNot', [value.reference], {}) }];
};

/** Where: selects from two values, element by element. */
export const emitWhere: EmissionRule = (emission, node) => {
  const { references, order, dims } = alignOperands(emission, node, [0, 1, 2]);
  const { type } = emission.shapeOf(node, 1);
  return [{ reference: emission.node(node, 'SelectV2', references, { T: type }), type, dims, order }];
};

/** Expand: broadcasts a value to a shape. */
export const emitExpand: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const dims = broadcastDims(value.dims, emission.knownInput(node, 1));
  const shape = emission.shapeReference(dims, `${node.name}/shape`);
  const attributes = { T: value.type, Tidx: 'i64' } as const;
  return [plainValue(emission.node(node, 'BroadcastTo', [value.reference, shape], attributes), value.type, dims)];
};

/** ConstantOfShape: fills a shape with one number. */
export const emitConstantOfShape: EmissionRule = (emission, node) => {
  const dims = emission.knownInput(node, 0);
  const value = node.attributes.get('value');
  const tensor = value?.kind === 'tensor' ? value.value : f32Tensor([], [0]);
  const shape = emission.shapeReference(dims, `${node.name}/shape`);
  const number = emission.builder.constant(`${node.name}/number`, { ...tensor, dims: [] });
  const attributes = { T: tensor.type, index_type: 'i64' } as const;
  return [plainValue(emission.node(node, 'Fill', [shape, number], attributes), tensor.type, dims)];
};
