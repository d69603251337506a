import { DETECTION_COLUMNS } from '../../base/core/detection.ts';
import type { ModelSpec, OutputTensor } from '../../base/core/model.ts';
import { selectDetections } from '../../base/geometry/nms.ts';
import { type Placement, rowsToSource } from '../../base/geometry/placement.ts';
import { iouOriented } from '../../base/geometry/rotated-iou.ts';
import { rowColumns } from '../../base/geometry/task-rows.ts';
import { type MaskCut, maskRuns } from './make-mask.ts';

type Shown = Parameters<typeof rowsToSource>[2];

/** What the masks of one model input are made of. */
export interface MaskInput {
  /** f32 `[n, coefficients, height, width]`. */
  readonly prototypes: OutputTensor;
  /** Which of the pictures of the batch. */
  readonly image: number;
  /** Size of the source picture. */
  readonly picture: { readonly width: number; readonly height: number };
  /** False if nobody reads masks: the rows then have no runs. */
  readonly isWanted: boolean;
}

/** @param rows - `[n, 6 + 3 * points]` f32, in model pixels. @returns the same columns, in source pixels; points are not clipped. */
export function finishKeypoints(rows: Float32Array, spec: ModelSpec, placement: Placement, shown: Shown): Float32Array {
  const columns = rowColumns(spec);
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections, columns);
  const kept = selected.subarray(0, rowsToSource(selected, placement, shown, columns) * columns);
  for (let row = 0; row < kept.length; row += columns) {
    for (let at = row + DETECTION_COLUMNS; at < row + columns; at += 3) {
      kept[at] = (kept[at]! - placement.offsetX) / placement.scaleX;
      kept[at + 1] = (kept[at + 1]! - placement.offsetY) / placement.scaleY;
    }
  }
  return kept;
}

const DEGREES = 180 / Math.PI;

/**
 * @param rows - `[n, 7]` f32, in model pixels, the angle in radians.
 * @returns `[n, 7]` f32 in source pixels, the angle in degrees. A box is not clipped, and left out if its centre is not shown.
 */
export function finishOriented(
  rows: Float32Array,
  spec: ModelSpec,
  { scaleX, scaleY, offsetX, offsetY }: Placement,
  { x: minX = 0, y: minY = 0, width: shownWidth, height: shownHeight }: Shown,
): Float32Array {
  const columns = rowColumns(spec);
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections, columns, iouOriented);
  let kept = 0;
  for (let at = 0; at < selected.length; at += columns) {
    const [x, y, width, height, score, classId, angle] = selected.subarray(at, at + columns) as unknown as number[];
    const centreX = (x! + width! / 2 - offsetX) / scaleX;
    const centreY = (y! + height! / 2 - offsetY) / scaleY;
    if (!(centreX >= minX && centreX <= minX + shownWidth && centreY >= minY && centreY <= minY + shownHeight))
      continue;
    const [cos, sin] = [Math.cos(angle!), Math.sin(angle!)];
    // Where the two axes have other scales, sides and angle are those of the turned sides.
    const wide = width! * Math.hypot(cos / scaleX, sin / scaleY);
    const high = height! * Math.hypot(sin / scaleX, cos / scaleY);
    const degrees = Math.atan2(sin / scaleY, cos / scaleX) * DEGREES;
    // Half a turn gives the same rectangle.
    const turned = degrees - 180 * Math.floor((degrees + 90) / 180);
    selected.set([centreX - wide / 2, centreY - high / 2, wide, high, score!, classId!, turned], kept * columns);
    kept += 1;
  }
  return selected.subarray(0, kept * columns);
}

/**
 * @param rows - `[n, 6 + coefficients]` f32, in model pixels.
 * @returns rows of `MASK_COLUMNS` and as many runs as they say.
 */
export function finishMasks(
  rows: Float32Array,
  spec: ModelSpec,
  placement: Placement,
  shown: Shown,
  { prototypes, image, picture, isWanted }: MaskInput,
): Float32Array {
  const [, count, height, width] = prototypes.dims as [number, number, number, number];
  const columns = DETECTION_COLUMNS + count;
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections, columns);
  const end = rowsToSource(selected, placement, shown, columns) * columns;
  const planes = (prototypes.data as Float32Array).subarray(image * count * height * width);
  const level = spec.family === 'rtmdet-ins' ? 0.5 : 0;
  const cut: MaskCut = { planes, width, height, ...shownCells(spec, placement, shown, width, height), picture, level };
  const packed: number[] = [];
  for (let at = 0; at < end; at += columns) {
    const box = selected.subarray(at, at + DETECTION_COLUMNS);
    const runs = isWanted ? maskRuns(selected.subarray(at + DETECTION_COLUMNS, at + columns), box, cut) : [];
    packed.push(...box, picture.width, picture.height, runs.length);
    for (const run of runs) packed.push(run);
  }
  return Float32Array.from(packed);
}

/** Rounds the border of the letterbox to whole cells as its exporters do: half a cell belongs to the picture at its end. */
const ROUNDING = 0.4;

/** Returns which cells of the prototypes show the picture, and where it is in source pixels. */
function shownCells(
  { input }: ModelSpec,
  { scaleX, scaleY, offsetX, offsetY }: Placement,
  { x = 0, y = 0, width: shownWidth, height: shownHeight }: Shown,
  width: number,
  height: number,
): Pick<MaskCut, 'shown' | 'cells'> {
  const cell = (px: number, cells: number, size: number): number =>
    Math.min(cells, Math.max(0, Math.floor((px * cells) / size + ROUNDING)));
  const left = cell(x * scaleX + offsetX, width, input.width);
  const top = cell(y * scaleY + offsetY, height, input.height);
  const right = Math.max(left + 1, cell((x + shownWidth) * scaleX + offsetX, width, input.width));
  const bottom = Math.max(top + 1, cell((y + shownHeight) * scaleY + offsetY, height, input.height));
  return {
    shown: { x, y, width: shownWidth, height: shownHeight },
    cells: { x: left, y: top, width: right - left, height: bottom - top },
  };
}
