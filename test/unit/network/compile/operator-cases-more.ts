import { f32Tensor, i64Tensor } from '../../../../src/network/compile/graph.ts';
import type { AttributeInput } from '../../../../src/network/compile/graph-builder.ts';
import { noise, number } from './networks.ts';
import { type Build, ints, onPositive, plain } from './operator-cases.ts';

/** A comparison of the features with 0.1, or of integers with 1, as 0 and 1. */
function truth(op: string, isWhole = false): Build {
  return ({ builder, features }, name) => {
    const whole = isWhole ? builder.node('Cast', `${name}-whole`, [features], { to: 7 }) : features;
    const limit = isWhole
      ? builder.constant(`${name}-one`, i64Tensor([], [1]))
      : builder.constant(`${name}-tenth`, f32Tensor([6, 1, 1], noise(6, 2)));
    return builder.node('Cast', name, [builder.node(op, `${name}-truth`, [whole, limit])], { to: 1 });
  };
}

/** An operator on two booleans. */
function both(op: string): Build {
  return ({ builder, features, planes }, name) => {
    const positive = builder.node('Greater', `${name}-a`, [features, number(builder, `${name}-zero`, 0)]);
    const first = builder.node('Gather', `${name}-first`, [planes, ints(builder, `${name}-at`, 0)], { axis: 1 });
    const small = builder.node('Less', `${name}-b`, [first, number(builder, `${name}-one`, 0.5)]);
    return builder.node('Cast', name, [builder.node(op, `${name}-both`, [positive, small])], { to: 1 });
  };
}

function extreme(op: string, attributes: Record<string, AttributeInput>): Build {
  return ({ builder, features }, name) =>
    builder.node('Cast', name, [builder.node(op, `${name}-at`, [features], attributes)], { to: 1 });
}

function normalised(shape: readonly number[], axis: number): Build {
  return ({ builder, features }, name) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const inputs = ['scale', 'bias'].map((part, seed) =>
      builder.constant(`${name}-${part}`, f32Tensor(shape, noise(count, seed + 3))),
    );
    return builder.node('LayerNormalization', name, [features, ...inputs], { axis, epsilon: { float: 1e-3 } });
  };
}

function enlarged(attributes: Record<string, string>, rows: number, columns: number): Build {
  return ({ builder, features }, name) => {
    const shape = builder.node('Shape', `${name}-shape`, [features]);
    const range = [0, 2, 0].map((value, index) => ints(builder, `${name}-${index}`, value));
    const front = builder.node('Slice', `${name}-front`, [shape, ...range]);
    const sizes = builder.node('Concat', `${name}-sizes`, [front, ints(builder, `${name}-to`, rows, columns)], {
      axis: 0,
    });
    return builder.node('Resize', name, [features, '', '', sizes], attributes);
  };
}

/** Operators of transformers, end-to-end heads and older exporters. */
export const MORE_CASES: Readonly<Record<string, Build>> = {
  'resize to sizes, nearest from centres': enlarged({ mode: 'nearest' }, 32, 36),
  'resize to sizes, linear as in PyTorch': enlarged(
    { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    24,
    20,
  ),
  'resize to sizes, linear from corner to corner': enlarged(
    { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
    20,
    30,
  ),
  neg: plain('Neg'),
  abs: plain('Abs'),
  floor: plain('Floor'),
  ceil: plain('Ceil'),
  round: plain('Round'),
  sin: plain('Sin'),
  cos: plain('Cos'),
  erf: plain('Erf'),
  softplus: plain('Softplus'),
  reciprocal: onPositive('Reciprocal'),
  'hard sigmoid': plain('HardSigmoid', { alpha: { float: 0.3 }, beta: { float: 0.4 } }),
  'hard swish': plain('HardSwish'),
  'less than': truth('Less'),
  'at most': truth('LessOrEqual'),
  'greater than': truth('Greater'),
  'at least': truth('GreaterOrEqual'),
  'equal to, whole numbers': truth('Equal', true),
  and: both('And'),
  or: both('Or'),
  'either or': both('Xor'),
  not: ({ builder, features }, name) => {
    const positive = builder.node('Greater', `${name}-a`, [features, number(builder, `${name}-zero`, 0)]);
    return builder.node('Cast', name, [builder.node('Not', `${name}-not`, [positive])], { to: 1 });
  },
  'choice of channels': ({ builder, features, planes }, name) => {
    const mean = builder.node('ReduceMean', `${name}-mean`, [planes], { axes: [1], keepdims: 1 });
    const positive = builder.node('Greater', `${name}-a`, [mean, number(builder, `${name}-zero`, 0)]);
    return builder.node('Where', name, [positive, features, number(builder, `${name}-k`, -7)]);
  },
  'remainder with the sign of the number': ({ builder, features }, name) =>
    builder.node('Mod', name, [features, number(builder, `${name}-k`, 0.3)], { fmod: 1 }),
  'smallest of channels': plain('ReduceMin', { axes: [1], keepdims: 0 }),
  'place of the largest': extreme('ArgMax', { axis: 1 }),
  'place of the smallest, axis dropped': extreme('ArgMin', { axis: -1, keepdims: 0 }),
  'layer norm of columns': normalised([12], -1),
  'layer norm of rows and columns': normalised([16, 12], 2),
  'batch norm': ({ builder, features }, name) => {
    const parts = ['scale', 'bias', 'mean'].map((part, seed) =>
      builder.constant(`${name}-${part}`, f32Tensor([6], noise(6, seed + 2))),
    );
    const variance = builder.constant(
      `${name}-variance`,
      f32Tensor(
        [6],
        noise(6, 9).map((value) => value + 1.5),
      ),
    );
    return builder.node('BatchNormalization', name, [features, ...parts, variance]);
  },
  einsum: ({ builder, features, rows }, name) => {
    const table = builder.constant(`${name}-table`, f32Tensor([6, 5], noise(30)));
    const mixed = builder.node('Einsum', `${name}-mixed`, [features, table], { equation: 'nchw, cd -> nhwd' });
    const flat = builder.node('Reshape', `${name}-flat`, [mixed, ints(builder, `${name}-shape`, 0, 192, 5)]);
    return builder.node('Einsum', name, [rows, flat], { equation: 'nik,nkj->nij' });
  },
  'expand of channels': ({ builder, planes }, name) => {
    const mean = builder.node('ReduceMean', `${name}-mean`, [planes], { axes: [1], keepdims: 1 });
    return builder.node('Expand', name, [mean, ints(builder, `${name}-shape`, 1, 4, 1, 1)]);
  },
  'expand to a shape that is computed': ({ builder, features }, name) => {
    const table = builder.constant(`${name}-table`, f32Tensor([1, 1, 16, 1], noise(16)));
    const shape = builder.node('Shape', `${name}-shape`, [features]);
    // As exporters handle -1: if the target size is -1, use 1.
    const ones = builder.node('ConstantOfShape', `${name}-ones`, [ints(builder, `${name}-four`, 4)]);
    builder.nodes.push({
      ...builder.nodes.pop()!,
      attributes: new Map([['value', { kind: 'tensor', value: i64Tensor([1], [1]) }]]),
    });
    const wanted = ints(builder, `${name}-wanted`, -1, 6, -1, 12);
    const isOpen = builder.node('Equal', `${name}-open`, [wanted, ints(builder, `${name}-minus`, -1)]);
    const chosen = builder.node('Where', `${name}-chosen`, [isOpen, ones, wanted]);
    const expanded = builder.node('Expand', `${name}-expanded`, [table, chosen]);
    const zeros = builder.node('ConstantOfShape', `${name}-zeros`, [shape]);
    return builder.node('Add', name, [expanded, zeros]);
  },
  'a grid of columns': ({ builder, features }, name) => {
    const shape = builder.node('Shape', `${name}-shape`, [features]);
    const scalar = (part: string, value: number) => builder.constant(`${name}-${part}`, i64Tensor([], [value]));
    const width = builder.node('Gather', `${name}-width`, [shape, scalar('three', 3)]);
    const range = builder.node('Range', `${name}-range`, [scalar('zero', 0), width, scalar('one', 1)]);
    return builder.node('Add', name, [features, builder.node('Cast', `${name}-columns`, [range], { to: 1 })]);
  },
  'gather with a table of places, from the end too': ({ builder, features }, name) =>
    builder.node('Gather', name, [features, builder.constant(`${name}-at`, i64Tensor([2, 2], [0, -1, 5, -6]))], {
      axis: 1,
    }),
  'gather nd by two axes': ({ builder, rows }, name) => {
    const turned = builder.node('Transpose', `${name}-turned`, [rows], { perm: [1, 2, 0] });
    const places = builder.constant(`${name}-at`, i64Tensor([3, 2], [0, 5, 5, 191, 2, 0]));
    return builder.node('Transpose', name, [builder.node('GatherND', `${name}-picked`, [turned, places])], {
      perm: [1, 0],
    });
  },
  'scatter nd': ({ builder, rows }, name) => {
    const means = builder.node('ReduceMean', `${name}-means`, [rows], { axes: [0], keepdims: 0 });
    const table = builder.constant(`${name}-table`, f32Tensor([4, 192], noise(768)));
    const places = builder.constant(`${name}-at`, i64Tensor([2, 1], [3, 1]));
    const two = builder.node('Slice', `${name}-two`, [
      means,
      ints(builder, `${name}-from`, 0),
      ints(builder, `${name}-to`, 2),
    ]);
    const written = builder.node('ScatterND', `${name}-written`, [table, places, two]);
    const turned = builder.node('Transpose', `${name}-turned`, [written], { perm: [1, 0] });
    return builder.node('MatMul', name, [rows, turned]);
  },
};

/** Operators of newer operator sets. */
export const NEWER_CASES: Readonly<Record<string, Build>> = {
  gelu: plain('Gelu'),
  'gelu by tanh': plain('Gelu', { approximate: 'tanh' }),
  'mean with axes as an input': plain('ReduceMean', { keepdims: 0 }, [2, 3]),
  'split in parts that are not equal': ({ builder, features }, name) =>
    builder.nodeWithOutputs('Split', name, [features], 3, { axis: 2, num_outputs: 3 })[2]!,
};
