import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/** Channel of the first class score, after the box (centre x, centre y, width, height). There is no objectness. */
const FIRST_CLASS = 4;

/** Reused for every picture on this thread. */
const boxRows = new RowList(256);
let bestScores = new Float32Array(0);
let bestClasses = new Uint16Array(0);

/**
 * YOLOv8, v9, 11 and 12: `predictions` f32 [n, 4 + classes, cells], with centre x, centre y, width, height in input pixels and
 * class scores after the sigmoid. Also accepts exports with the last two axes swapped, recognised by the number of classes.
 */
export const decodeYolov8: Decode = (outputs, batchSize, spec, scoreThreshold) =>
  decodeCells(outputs, batchSize, spec, scoreThreshold, boxRows, 0);

/**
 * As `decodeYolov8`, for networks with more channels behind the class scores. Reads one plane after the other, in memory order.
 *
 * @param rows - gets the boxes, and behind each its `extra` channels.
 */
export function decodeCells(
  outputs: Parameters<Decode>[0],
  batchSize: number,
  { name, classes, classesPerBox }: Parameters<Decode>[2],
  scoreThreshold: number,
  rows: RowList,
  extra: number,
): Float32Array[] {
  const { data, dims } = findOutput(outputs, 'predictions', (shape) => shape.length === 3);
  const channels = FIRST_CLASS + classes.length + extra;
  const isPlanar = dims[1] === channels;
  if (!isPlanar && dims[2] !== channels) {
    throw new RangeError(`${name}: expected ${channels} channels for ${classes.length} classes, received [${dims}]`);
  }
  const cells = isPlanar ? dims[2]! : dims[1]!;
  // Offset between two channels of a cell, and between two cells of a channel.
  const [channelStep, cellStep] = isPlanar ? [cells, 1] : [1, channels];
  const values = data as Float32Array;
  const addCell = (at: number, score: number, classId: number): void => {
    const width = values[at + 2 * channelStep]!;
    const height = values[at + 3 * channelStep]!;
    rows.add(values[at]! - width / 2, values[at + channelStep]! - height / 2, width, height, score, classId);
    if (extra > 0) rows.extend(values, at + (channels - extra) * channelStep, channelStep);
  };
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    const first = image * channels * cells;
    const firstScore = first + FIRST_CLASS * channelStep;
    if (classesPerBox === 'all') {
      for (let classId = 0; classId < classes.length; classId += 1) {
        let at = firstScore + classId * channelStep;
        for (let cell = 0; cell < cells; cell += 1, at += cellStep) {
          if (values[at]! >= scoreThreshold) addCell(first + cell * cellStep, values[at]!, classId);
        }
      }
    } else {
      findBest(values, firstScore, classes.length, cells, channelStep, cellStep);
      for (let cell = 0; cell < cells; cell += 1) {
        if (!(bestScores[cell]! >= scoreThreshold)) continue;
        addCell(first + cell * cellStep, bestScores[cell]!, bestClasses[cell]!);
      }
    }
    images.push(rows.take());
  }
  return images;
}

/** Fills `bestScores` and `bestClasses` with the best class of each cell; the first one if scores are equal. */
function findBest(
  values: Float32Array,
  firstScore: number,
  classCount: number,
  cells: number,
  channelStep: number,
  cellStep: number,
): void {
  if (bestScores.length < cells) {
    bestScores = new Float32Array(cells);
    bestClasses = new Uint16Array(cells);
  }
  bestScores.fill(Number.NEGATIVE_INFINITY);
  for (let classId = 0; classId < classCount; classId += 1) {
    let at = firstScore + classId * channelStep;
    for (let cell = 0; cell < cells; cell += 1, at += cellStep) {
      if (!(values[at]! > bestScores[cell]!)) continue;
      bestScores[cell] = values[at]!;
      bestClasses[cell] = classId;
    }
  }
}
