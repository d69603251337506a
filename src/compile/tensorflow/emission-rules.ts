import { binary, emitCast, emitClip, emitLeakyRelu, emitPow, emitSoftmax, unary } from './elementwise.ts';
import type { EmissionRule } from './emission.ts';
import { emitGridSample } from './grid-sample.ts';
import { emitGemm, emitMatMul } from './matrices.ts';
import { emitGatherElements, emitGatherNd, emitResize, emitTopK, reduction } from './reductions.ts';
import { emitFlatten, emitReshape, emitSqueeze, emitTranspose, emitUnsqueeze } from './reshapes.ts';
import { emitConcat, emitGather, emitPad, emitSlice, emitSplit, emitTile } from './slices.ts';
import { emitAveragePool, emitConvolution, emitGlobalAveragePool, emitMaxPool } from './windows.ts';

/** Every ONNX operator that can be written for TensorFlow. */
export const EMISSION_RULES: ReadonlyMap<string, EmissionRule> = new Map<string, EmissionRule>([
  ['Conv', emitConvolution],
  ['MaxPool', emitMaxPool],
  ['AveragePool', emitAveragePool],
  ['GlobalAveragePool', emitGlobalAveragePool],
  ['Resize', emitResize],
  ['GridSample', emitGridSample],
  ['Relu', unary('Relu')],
  ['Sigmoid', unary('Sigmoid')],
  ['Tanh', unary('Tanh')],
  ['Exp', unary('Exp')],
  ['Log', unary('Log')],
  ['Sqrt', unary('Sqrt')],
  ['Identity', (emission, node) => [emission.input(node, 0)]],
  ['LeakyRelu', emitLeakyRelu],
  ['Clip', emitClip],
  ['Cast', emitCast],
  ['Softmax', emitSoftmax],
  ['Add', binary('AddV2')],
  ['Sub', binary('Sub')],
  ['Mul', binary('Mul')],
  ['Div', binary('RealDiv', 'TruncateDiv')],
  ['Mod', binary('FloorMod')],
  ['Min', binary('Minimum')],
  ['Max', binary('Maximum')],
  ['Pow', emitPow],
  ['ReduceMean', reduction('Mean')],
  ['ReduceSum', reduction('Sum')],
  ['ReduceMax', reduction('Max')],
  ['MatMul', emitMatMul],
  ['Gemm', emitGemm],
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
  ['TopK', emitTopK],
  ['GatherElements', emitGatherElements],
  ['GatherND', emitGatherNd],
]);
