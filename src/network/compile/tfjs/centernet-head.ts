import { ELEMENTS, f32Tensor, i64Tensor } from '../graph.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import type { LoweredValue, Lowering } from './lowering.ts';
import type { TfNode } from './read-tfjs.ts';

const NHWC_ORDER = [0, 2, 3, 1];

/** Parameters of a CenterNet's tail, read from the published graph. */
export interface CenternetHead {
  /** Class heat map before the sigmoid, [N, h, w, classes]. */
  readonly logits: string;
  /** Distances from the centre to the left, top, right and bottom edge in input pixels, [N, h, w, 4]. */
  readonly edges: string;
  /** Input pixels per cell of the heat map. */
  readonly strideRatio: number;
  /** Number of reported peaks. */
  readonly peaks: number;
}

/**
 * Recognises the tail of a CenterNet: peaks of the heat map (equal to the maximum of their 3x3 neighbourhood), the best of all
 * classes by TopK, and the edge distances gathered at each peak. The published tail flattens the batch axis, so it cannot be
 * converted operator by operator.
 *
 * @param output - name of the output [1, peaks, 6]: x1, y1, x2, y2, score, class.
 * Throws COMPILE_UNSUPPORTED if the graph has a different tail.
 */
export function recogniseCenternetHead(lowering: Lowering, output: string): CenternetHead {
  const concat = seeThrough(lowering, output);
  const corners = (concat.input ?? []).slice(0, 4).map((reference) => lowering.node(reference));
  const isHead = concat.op === 'ConcatV2' && corners.map(({ op }) => op).join() === 'Sub,Sub,Add,Add';
  if (!isHead) throw lowering.unsupported(concat, 'expected the four corners, score and class of a CenterNet');
  const strides = corners.map((corner, index) => cornerStride(lowering, corner, index));
  if (new Set(strides).size !== 1) throw lowering.unsupported(concat, `the corners have unequal strides ${strides}`);

  const score = ancestor(lowering, concat.input![4]!, 'TopKV2');
  const masked = ancestor(lowering, score.input![0]!, 'Mul');
  const heat = (masked.input ?? [])
    .map((reference) => seeThrough(lowering, reference))
    .find(({ op }) => op === 'Sigmoid');
  const mask = (masked.input ?? []).map((reference) => lowering.node(reference)).find(({ op }) => op === 'Cast');
  if (heat === undefined || mask === undefined)
    throw lowering.unsupported(masked, 'expected a heat map times its peaks');
  requirePeakWindow(lowering, ancestor(lowering, mask.input![0]!, 'Equal'));

  const slice = corners[0]!
    .input!.map((reference) => lowering.node(reference))
    .find(({ op }) => op === 'StridedSlice')!;
  const gather = ancestor(lowering, slice.input![0]!, 'GatherV2');
  const rows = ancestor(lowering, gather.input![0]!, 'Reshape');
  return {
    logits: lowering.inputReference(heat, 0),
    edges: lowering.inputReference(rows, 0),
    strideRatio: strides[0]!,
    peaks: lowering.integers(score, 1)[0]!,
  };
}

/**
 * Emits the tail for any batch and any input shape.
 *
 * The sigmoid is monotonic, so peaks are found and ranked on the logits, and only the selected ones get a sigmoid: for 80 classes at
 * 128x128 that saves 1.3 million sigmoids.
 *
 * @param ranking - order in which the heat map is flattened. The memory order costs nothing: class by class if pictures are
 *   planes, cell by cell if they are interleaved.
 * @returns [N, peaks, 6] f32: x1, y1, x2, y2 in input pixels, score, class; best first.
 */
export function emitCenternetHead(
  lowering: Lowering,
  head: CenternetHead,
  ranking: 'by-class' | 'by-cell',
): LoweredValue {
  const { builder } = lowering;
  const logits = lowering.value(head.logits);
  const edges = lowering.value(head.edges);
  const [batch, height, width, classes] = logits.shape as [number, number, number, number];
  const integer = (name: string, value: number) => builder.constant(`head/${name}`, i64Tensor([], [value]));
  const columns = integer('columns', width);
  const lastAxis = lowering.constantValues('head/last-axis', [-1]);

  const map = emitPeaks(builder, logits.name);
  const peaks =
    ranking === 'by-class' ? map : builder.node('Transpose', 'head/cells-first', [map], { perm: NHWC_ORDER });
  const flat = builder.node('Reshape', 'head/flat', [peaks, lowering.constantValues('head/flat-shape', [0, -1])]);
  const count = lowering.constantValues('head/count', [head.peaks]);
  const [best, index] = builder.nodeWithOutputs('TopK', 'head/best', [flat, count], 2) as [string, string];
  const score = builder.node('Sigmoid', 'head/score', [best]);

  // An index is class * cells + cell, or cell * classes + class; a cell is row * columns + column.
  const inner = integer('inner', ranking === 'by-class' ? height * width : classes);
  const outerIndex = builder.node('Div', 'head/outer', [index, inner]);
  const innerIndex = builder.node('Mod', 'head/inner', [index, inner]);
  const [classId, cell] = ranking === 'by-class' ? [outerIndex, innerIndex] : [innerIndex, outerIndex];
  const row = builder.node('Div', 'head/row', [cell, columns]);
  const column = builder.node('Mod', 'head/column', [cell, columns]);

  const edgeRows = builder.node('Reshape', 'head/edge-rows', [
    edges.name,
    lowering.constantValues('head/edge-shape', [0, 4, -1]),
  ]);
  const edgeList = builder.node('Transpose', 'head/edge-list', [edgeRows], { perm: [0, 2, 1] });
  const at = builder.node('Unsqueeze', 'head/at', [cell, lastAxis]);
  const distances = builder.node('GatherND', 'head/distances', [edgeList, at], { batch_dims: 1 });
  const signs = builder.constant('head/signs', f32Tensor([4], [-1, -1, 1, 1]));
  const signed = builder.node('Mul', 'head/signed', [distances, signs]);

  const asColumn = (name: string, value: string, isFloat: boolean) => {
    const number = isFloat ? value : builder.node('Cast', `head/${name}-f32`, [value], { to: ELEMENTS.f32.onnx });
    return builder.node('Unsqueeze', `head/${name}-column`, [number, lastAxis]);
  };
  const x = asColumn('x', column, false);
  const y = asColumn('y', row, false);
  const centres = builder.node('Concat', 'head/centres', [x, y, x, y], { axis: 2 });
  const stride = builder.constant('head/stride', f32Tensor([], [head.strideRatio]));
  const scaled = builder.node('Mul', 'head/centres-px', [centres, stride]);
  const corners = builder.node('Add', 'head/corners', [scaled, signed]);
  const name = builder.node(
    'Concat',
    'head/detections',
    [corners, asColumn('score', score, true), asColumn('class', classId, false)],
    { axis: 2 },
  );
  return { name, shape: [batch, head.peaks, 6] };
}

/**
 * Keeps logits that equal the maximum of their neighbourhood, and moves all others far below: logit + 1e30 * (logit - maximum).
 * `Equal` and `Where` have the same effect but take 1.2 ms more at 128x128x80 on a CPU. Must stay plain arithmetic: a convolution
 * on a GPU with TF32 rounds its input, and then no logit equals its maximum.
 */
function emitPeaks(builder: GraphBuilder, logits: string): string {
  const maximum = builder.node('MaxPool', 'head/maximum', [logits], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const below = builder.node('Sub', 'head/below', [logits, maximum]);
  const far = builder.constant('head/far', f32Tensor([], [1e30]));
  const pushed = builder.node('Mul', 'head/pushed', [below, far]);
  return builder.node('Add', 'head/peaks', [logits, pushed]);
}

/** Returns the stride of a corner, which is `cell * stride -/+ edges[..., index]`. */
function cornerStride(lowering: Lowering, corner: TfNode, index: number): number {
  const parts = (corner.input ?? []).map((reference) => lowering.node(reference));
  const [scaled, slice] = parts;
  if (scaled?.op !== 'Mul' || slice?.op !== 'StridedSlice') throw lowering.unsupported(corner, 'expected a corner');
  if (lowering.integers(slice, 1).at(-1) !== index) throw lowering.unsupported(slice, `expected edge ${index}`);
  const factor = (scaled.input ?? []).findIndex((reference) => lowering.constant(reference) !== undefined);
  return lowering.floats(scaled, factor).values[0]!;
}

function requirePeakWindow(lowering: Lowering, equal: TfNode): void {
  const pool = (equal.input ?? []).map((reference) => lowering.node(reference)).find(({ op }) => op === 'MaxPool');
  const isThreeByThree =
    pool !== undefined &&
    lowering.spatialPair(pool, 'ksize').join() === '3,3' &&
    lowering.spatialPair(pool, 'strides').join() === '1,1' &&
    lowering.text(pool, 'padding') === 'SAME';
  if (!isThreeByThree) throw lowering.unsupported(equal, 'expected peaks within 3x3 neighbours');
}

/** Follows first inputs through reshapes and casts up to a node with this operator. */
function ancestor(lowering: Lowering, reference: string, op: string): TfNode {
  let node = lowering.node(reference);
  while (node.op !== op && ['Identity', 'Reshape', 'ExpandDims', 'Cast'].includes(node.op)) {
    node = lowering.node(lowering.inputReference(node, 0));
  }
  if (node.op !== op) throw lowering.unsupported(node, `expected ${op} in the tail of a CenterNet`);
  return node;
}

function seeThrough(lowering: Lowering, reference: string): TfNode {
  let node = lowering.node(reference);
  while (node.op === 'Identity') node = lowering.node(lowering.inputReference(node, 0));
  return node;
}
