import { emitGelu, emitHardSigmoid, emitHardSwish } from './activations.ts';
import { binary, emitCast, emitClip, emitLeakyRelu, emitMod, emitPow, emitSoftmax, unary } from './elementwise.ts';
import type { EmissionRule } from './emission.ts';
import { emitGridSample } from './grid-sample.ts';
import { comparison, emitConstantOfShape, emitExpand, emitNot, emitWhere, logical } from './logic.ts';
import { emitEinsum, emitGemm, emitMatMul } from './matrices.ts';
import { emitBatchNormalization, emitLayerNormalization } from './normalisations.ts';
import { emitGatherNd, emitScatterNd, extreme } from './places.ts';
import { emitGatherElements, emitTopK, reduction } from './reductions.ts';
import { emitFlatten, emitReshape, emitSqueeze, emitTranspose, emitUnsqueeze } from './reshapes.ts';
import { emitResize } from './resize.ts';
import { emitConcat, emitGather, emitPad, emitSlice, emitSplit, emitTile } from './slices.ts';
import { emitAveragePool, emitConvolution, emitGlobalAveragePool, emitMaxPool } from './windows.ts';

/** Operators with one input that are called the same in TensorFlow. */
const UNARY = [
  ...['Relu', 'Sigmoid', 'Tanh', 'Exp', 'Log', 'Sqrt', 'Neg', 'Abs'],
  ...['Floor', 'Ceil', 'Round', 'Sin', 'Cos', 'Erf', 'Softplus', 'Reciprocal'],
];

/** The emission rule of every ONNX operator that is supported for TensorFlow. */
export const EMISSION_RULES: ReadonlyMap<string, EmissionRule> = new Map<string, EmissionRule>([
  ['Conv', emitConvolution],
  ['MaxPool', emitMaxPool],
  ['AveragePool', emitAveragePool],
  ['GlobalAveragePool', emitGlobalAveragePool],
  ['Resize', emitResize],
  ['GridSample', emitGridSample],
  ...UNARY.map((op) => [op, unary(op)] as const),
  ['HardSigmoid', emitHardSigmoid],
  ['HardSwish', emitHardSwish],
  ['Gelu', emitGelu],
  ['Identity', (emission, node) => [emission.input(node, 0)]],
  ['LeakyRelu', emitLeakyRelu],
  ['Clip', emitClip],
  ['Cast', emitCast],
  ['Softmax', emitSoftmax],
  ['Add', binary('AddV2')],
  ['Sub', binary('Sub')],
  ['Mul', binary('Mul')],
  ['Div', binary('RealDiv', 'TruncateDiv')],
  ['Mod', emitMod],
  ['Min', binary('Minimum')],
  ['Max', binary('Maximum')],
  ['Pow', emitPow],
  ['Equal', comparison('Equal')],
  ['Greater', comparison('Greater')],
  ['GreaterOrEqual', comparison('GreaterEqual')],
  ['Less', comparison('Less')],
  ['LessOrEqual', comparison('LessEqual')],
  ['And', logical('LogicalAnd')],
  ['Or', logical('LogicalOr')],
  ['Xor', comparison('NotEqual')],
  ['Not', emitNot],
  ['Where', emitWhere],
  ['LayerNormalization', emitLayerNormalization],
  ['BatchNormalization', emitBatchNormalization],
  ['ReduceMean', reduction('Mean')],
  ['ReduceSum', reduction('Sum')],
  ['ReduceMax', reduction('Max')],
  ['ReduceMin', reduction('Min')],
  ['ArgMax', extreme('ArgMax')],
  ['ArgMin', extreme('ArgMin')],
  ['MatMul', emitMatMul],
  ['Gemm', emitGemm],
  ['Einsum', emitEinsum],
  ['Reshape', emitReshape],
  ['Flatten', emitFlatten],
  ['Squeeze', emitSqueeze],
  ['Unsqueeze', emitUnsqueeze],
  ['Transpose', emitTranspose],
  ['Concat', emitConcat],
  ['Split', emitSplit],
  ['Slice', emitSlice],
  ['Gather', emitGather],
  ['Pad', emitPad],
  ['Tile', emitTile],
  ['Expand', emitExpand],
  ['ConstantOfShape', emitConstantOfShape],
  ['TopK', emitTopK],
  ['GatherElements', emitGatherElements],
  ['GatherND', emitGatherNd],
  ['ScatterND', emitScatterNd],
]);
