import { f32Tensor, type Graph, i64Tensor } from '../../../../src/network/compile/graph.ts';
import type { AttributeInput } from '../../../../src/network/compile/graph-builder.ts';
import { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { convolution, noise, number } from './networks.ts';

/** Inputs of the cases: numbers from about -2 to 2. */
interface CaseInput {
  readonly builder: GraphBuilder;
  /** [n, 3, 16, 12], the picture of every network; stored as interleaved pixels. */
  readonly planes: string;
  /** [n, 6, 16, 12], the result of a convolution: all numbers are different. */
  readonly features: string;
  /** [n, 6, 192]. */
  readonly rows: string;
}

export const CASE_SIZE = { width: 12, height: 16 };

export type Build = (input: CaseInput, name: string) => string;

export function ints(builder: GraphBuilder, name: string, ...values: number[]): string {
  return builder.constant(name, i64Tensor([values.length], values));
}

/** One node of this operator on the features, with integer lists as further inputs. */
export function plain(op: string, attributes: Record<string, AttributeInput> = {}, ...lists: number[][]): Build {
  return ({ builder, features }, name) => {
    const inputs = lists.map((values, index) => ints(builder, `${name}-${index}`, ...values));
    return builder.node(op, name, [features, ...inputs], attributes);
  };
}

function conv(shape: readonly [number, number, number], attributes: Record<string, number | number[]>): Build {
  return ({ builder, features }, name) => convolution(builder, name, features, shape, attributes);
}

function clip(low: number | null, high: number | null): Build {
  return ({ builder, features }, name) => {
    const bounds = [low, high].map((bound, side) => (bound === null ? '' : number(builder, `${name}-${side}`, bound)));
    return builder.node('Clip', name, [features, ...bounds]);
  };
}

function resize(attributes: Record<string, string>): Build {
  return ({ builder, features }, name) => {
    const scales = builder.constant(`${name}-scales`, f32Tensor([4], [1, 1, 2, 3]));
    return builder.node('Resize', name, [features, '', scales], attributes);
  };
}

function withConstant(op: string, dims: readonly number[], isFirst = false): Build {
  return ({ builder, features }, name) => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = noise(count, 5).map((value) => value + 1.5);
    const constant = builder.constant(`${name}-constant`, f32Tensor(dims, values));
    return builder.node(op, name, isFirst ? [constant, features] : [features, constant]);
  };
}

/** 0.5 + sigmoid(features): valid for a logarithm or a root. */
function positive({ builder, features }: CaseInput, name: string): string {
  const share = builder.node('Sigmoid', `${name}-share`, [features]);
  return builder.node('Add', `${name}-positive`, [share, number(builder, `${name}-half`, 0.5)]);
}

export function onPositive(op: string): Build {
  return (input, name) => input.builder.node(op, name, [positive(input, name)]);
}

/** Integers from 0 to 30, then an operation with 7, then f32 again. */
function onIntegers(op: string): Build {
  return ({ builder, features }, name) => {
    const bounded = clip(0, 3)({ builder, features, planes: '', rows: '' }, `${name}-bounded`);
    const large = builder.node('Mul', `${name}-large`, [bounded, number(builder, `${name}-ten`, 10)]);
    const whole = builder.node('Cast', `${name}-whole`, [large], { to: 7 });
    const seven = builder.constant(`${name}-seven`, i64Tensor([], [7]));
    return builder.node('Cast', name, [builder.node(op, `${name}-op`, [whole, seven])], { to: 1 });
  };
}

/** The cases by name. The first axis of every result is the batch. */
export const OPERATOR_CASES: Readonly<Record<string, Build>> = {
  'conv, no padding': conv([5, 6, 2], { pads: [0, 0, 0, 0] }),
  'conv, stride 2, padding on both sides': conv([5, 6, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  'conv, stride 2, padding at the end': conv([5, 6, 3], { strides: [2, 2], pads: [0, 0, 1, 1] }),
  'conv, dilated': conv([5, 6, 3], { dilations: [2, 2], pads: [2, 2, 2, 2] }),
  'conv, unequal strides': conv([5, 6, 3], { strides: [1, 2], pads: [1, 1, 1, 1] }),
  'conv, depthwise': conv([6, 1, 3], { group: 6 }),
  'conv, depthwise, stride 2': conv([6, 1, 3], { group: 6, strides: [2, 2], pads: [1, 1, 1, 1] }),
  'conv, depthwise, two results a channel': conv([12, 1, 5], { group: 6, pads: [2, 2, 2, 2] }),
  'max pool': plain('MaxPool', { kernel_shape: [5, 5], pads: [2, 2, 2, 2] }),
  'max pool, stride 2, padding on both sides': plain('MaxPool', {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  }),
  'average pool, padding counted': plain('AveragePool', {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    count_include_pad: 1,
  }),
  'average pool, padding not counted': plain('AveragePool', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  'global average pool': plain('GlobalAveragePool'),
  'resize, nearest': resize({ mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  'resize, linear': resize({ mode: 'linear', coordinate_transformation_mode: 'asymmetric' }),
  'resize, linear, half pixels': resize({ mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
  'grid sample, partly outside': ({ builder, planes, features }, name) => {
    const places = convolution(builder, `${name}-conv`, planes, [2, 3, 1]);
    const grid = builder.node('Transpose', `${name}-grid`, [places], { perm: [0, 2, 3, 1] });
    return builder.node('GridSample', name, [features, grid], { align_corners: 0 });
  },
  relu: plain('Relu'),
  sigmoid: plain('Sigmoid'),
  tanh: plain('Tanh'),
  exp: plain('Exp'),
  log: onPositive('Log'),
  sqrt: onPositive('Sqrt'),
  identity: plain('Identity'),
  'leaky relu': plain('LeakyRelu', { alpha: { float: 0.3 } }),
  'clip as relu6': clip(0, 6),
  'clip from 0': clip(0, 0.5),
  'clip between': clip(-0.3, 0.4),
  'clip below': clip(null, 0.4),
  'softmax of channels': plain('Softmax', { axis: 1 }),
  'softmax of columns': plain('Softmax', { axis: -1 }),
  'add for each channel': withConstant('Add', [6, 1, 1]),
  'add for each column': withConstant('Add', [12]),
  'number minus features': withConstant('Sub', [], true),
  'div by a picture': withConstant('Div', [1, 6, 16, 12]),
  min: withConstant('Min', []),
  max: withConstant('Max', [6, 1, 1]),
  'mul by a gate': ({ builder, features }, name) =>
    builder.node('Mul', name, [builder.node('GlobalAveragePool', `${name}-gate`, [features]), features]),
  'add of fewer axes': ({ builder, features }, name) => {
    const table = builder.constant(`${name}-table`, f32Tensor([16, 12], noise(192)));
    return builder.node('Add', name, [features, builder.node('Relu', `${name}-relu`, [table])]);
  },
  'pow 1.5': (input, name) =>
    input.builder.node('Pow', name, [positive(input, name), number(input.builder, `${name}-power`, 1.5)]),
  'pow 2': ({ builder, features }, name) => builder.node('Pow', name, [features, number(builder, `${name}-two`, 2)]),
  'whole division': onIntegers('Div'),
  'whole remainder': onIntegers('Mod'),
  'mean of rows and columns': plain('ReduceMean', { axes: [2, 3], keepdims: 0 }),
  'sum of channels': plain('ReduceSum', { keepdims: 0 }, [1]),
  'largest of columns': plain('ReduceMax', { axes: [-1], keepdims: 1 }),
  'stack times matrix': ({ builder, rows }, name) =>
    builder.node('MatMul', name, [rows, builder.constant(`${name}-w`, f32Tensor([192, 5], noise(960)))]),
  'stack times turned stack': ({ builder, rows }, name) =>
    builder.node('MatMul', name, [rows, builder.node('Transpose', `${name}-turned`, [rows], { perm: [0, 2, 1] })]),
  'stack times vector': ({ builder, rows }, name) =>
    builder.node('MatMul', name, [rows, builder.constant(`${name}-v`, f32Tensor([192], noise(192)))]),
  'matrix times matrix': ({ builder, features }, name) => {
    const flat = builder.node('Flatten', `${name}-flat`, [features], { axis: 1 });
    return builder.node('MatMul', name, [flat, builder.constant(`${name}-w`, f32Tensor([1152, 4], noise(4608)))]);
  },
  gemm: ({ builder, features }, name) => {
    const flat = builder.node('Flatten', `${name}-flat`, [features]);
    const weights = builder.constant(`${name}-w`, f32Tensor([4, 1152], noise(4608)));
    const bias = builder.constant(`${name}-b`, f32Tensor([4], noise(4)));
    return builder.node('Gemm', name, [flat, weights, bias], { transB: 1 });
  },
  'reshape that joins rows and columns': plain('Reshape', {}, [0, 6, -1]),
  'reshape that splits channels': plain('Reshape', {}, [0, 2, 3, 16, 12]),
  'reshape across channels': plain('Reshape', {}, [0, 4, -1]),
  'reshape to a shape that is computed': ({ builder, features, rows }, name) => {
    const shape = builder.node('Shape', `${name}-shape`, [features]);
    const at = builder.node('Gather', `${name}-batch`, [shape, builder.constant(`${name}-zero`, i64Tensor([], [0]))]);
    const two = builder.constant(`${name}-two`, i64Tensor([], [2]));
    const many = builder.node('Mul', `${name}-many`, [at, two]);
    const axis = ints(builder, `${name}-axis`, 0);
    const parts = [
      builder.node('Unsqueeze', `${name}-first`, [many, axis]),
      builder.node('Slice', `${name}-rest`, [
        shape,
        ints(builder, `${name}-from`, 2),
        ints(builder, `${name}-to`, 9),
        axis,
      ]),
      ints(builder, `${name}-open`, -1),
    ];
    const wanted = builder.node('Concat', `${name}-wanted`, parts, { axis: 0 });
    const split = builder.node('Reshape', `${name}-split`, [rows, wanted]);
    return builder.node('Reshape', name, [split, ints(builder, `${name}-back`, -1, 24, 48)]);
  },
  squeeze: ({ builder, features }, name) =>
    builder.node('Squeeze', name, [
      builder.node('GlobalAveragePool', `${name}-mean`, [features]),
      ints(builder, `${name}-axes`, 2, -1),
    ]),
  unsqueeze: plain('Unsqueeze', {}, [1, -1]),
  transpose: plain('Transpose', { perm: [0, 3, 1, 2] }),
  concat: ({ builder, features, planes }, name) =>
    builder.node('Concat', name, [planes, features, builder.node('Relu', `${name}-relu`, [planes])], { axis: 1 }),
  'split by sizes': ({ builder, features }, name) =>
    builder.nodeWithOutputs('Split', name, [features, ints(builder, `${name}-sizes`, 1, 2, 3)], 3, { axis: 1 })[2]!,
  'split in equal parts': ({ builder, features }, name) =>
    builder.nodeWithOutputs('Split', name, [features], 2, { axis: -1 })[1]!,
  slice: plain('Slice', {}, [1, 14, -9], [-1, 99, 11], [1, 2, 3], [2, 1, 3]),
  'gather one': ({ builder, features }, name) =>
    builder.node('Gather', name, [features, builder.constant(`${name}-at`, i64Tensor([], [-2]))], { axis: 1 }),
  'gather some': plain('Gather', { axis: 1 }, [5, 0, 0, 3]),
  pad: ({ builder, features }, name) =>
    builder.node('Pad', name, [
      features,
      ints(builder, `${name}-pads`, 0, 1, 0, 2, 0, 0, 3, 0),
      number(builder, `${name}-k`, 0.5),
    ]),
  tile: plain('Tile', {}, [1, 2, 1, 3]),
  'tile for each picture': ({ builder, features }, name) => {
    const shape = builder.node('Shape', `${name}-shape`, [features]);
    const range = [0, 1, 0].map((value, index) => ints(builder, `${name}-${index}`, value));
    const batch = builder.node('Slice', `${name}-batch`, [shape, ...range]);
    const repeats = builder.node('Concat', `${name}-repeats`, [batch, ints(builder, `${name}-ones`, 1, 1)], {
      axis: 0,
    });
    const table = builder.constant(`${name}-table`, f32Tensor([1, 4, 2], noise(8)));
    return builder.node('Tile', name, [table, repeats]);
  },
  'top k, numbers': ({ builder, rows }, name) =>
    builder.nodeWithOutputs('TopK', name, [rows, ints(builder, `${name}-k`, 7)], 2)[0]!,
  'top k, places': ({ builder, rows }, name) =>
    builder.nodeWithOutputs('TopK', name, [rows, ints(builder, `${name}-k`, 7)], 2)[1]!,
  'gather elements': ({ builder, rows }, name) => {
    const [, places] = builder.nodeWithOutputs('TopK', `${name}-top`, [rows, ints(builder, `${name}-k`, 5)], 2);
    const turned = builder.node('Transpose', `${name}-turned`, [rows], { perm: [0, 2, 1] });
    const at = builder.node('Transpose', `${name}-at`, [places!], { perm: [0, 2, 1] });
    return builder.node('GatherElements', name, [turned, at], { axis: 1 });
  },
  'gather nd': ({ builder, rows }, name) => {
    const means = builder.node('ReduceMean', `${name}-means`, [rows], { axes: [1], keepdims: 0 });
    const [, places] = builder.nodeWithOutputs('TopK', `${name}-top`, [means, ints(builder, `${name}-k`, 5)], 2);
    const turned = builder.node('Transpose', `${name}-turned`, [rows], { perm: [0, 2, 1] });
    const at = builder.node('Unsqueeze', `${name}-at`, [places!, ints(builder, `${name}-last`, -1)]);
    return builder.node('GatherND', name, [turned, at], { batch_dims: 1 });
  },
};

/** A subset of the cases. */
export function pick(...names: readonly string[]): Record<string, Build> {
  return Object.fromEntries(names.map((name) => [name, OPERATOR_CASES[name]!]));
}

/** One graph with the input `frames` u8 [n, 16, 12, 3] and an output for each case. */
export function operatorGraph(cases: Readonly<Record<string, Build>> = OPERATOR_CASES, opset = 17): Graph {
  const builder = new GraphBuilder('');
  const wide = builder.node('Cast', 'wide', ['frames'], { to: 1 });
  const centred = builder.node('Sub', 'centred', [wide, number(builder, 'middle', 127.5)]);
  const pixels = builder.node('Mul', 'pixels', [centred, number(builder, 'scale', 1 / 64)]);
  const planes = builder.node('Transpose', 'planes', [pixels], { perm: [0, 3, 1, 2] });
  const features = convolution(builder, 'features', planes, [6, 3, 3]);
  const rows = builder.node('Reshape', 'rows', [features, ints(builder, 'rows-shape', 0, 6, -1)]);
  const outputs = Object.entries(cases).map(([name, build]) => {
    const value = build({ builder, planes, features, rows }, name.replace(/\W+/g, '-'));
    const type = name === 'top k, places' ? 'i64' : 'f32';
    return { name: value, type, dims: ['n'] } as const;
  });
  const { width, height } = CASE_SIZE;
  const frames = { name: 'frames', type: 'u8', dims: ['n', height, width, 3] } as const;
  return builder.finish({ name: `operators-${opset}-${outputs.length}`, opset, inputs: [frames], outputs });
}
