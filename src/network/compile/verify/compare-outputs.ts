import { isReader, type ModelFamily, type OutputTensor, type ReaderFamily } from '../../../base/core/model.ts';

/** Difference between a compiled model and its source for one output. */
export interface VerifyRow {
  readonly output: string;
  /** Largest absolute difference, in the unit of the output (pixels for boxes). */
  readonly maxAbs: number;
  /** Largest difference, relative to the largest number of the source in this output. */
  readonly maxRel: number;
  /** Mean absolute difference, in the unit of the output. */
  readonly meanAbs: number;
  readonly images: number;
}

/** Families with a row for each cell of a grid or each class, so that the order does not depend on scores. */
const BY_CELL: ReadonlySet<ModelFamily> = new Set([
  ...(['yolox', 'yolov5', 'yolov8', 'gfl', 'yolov5-seg', 'yolov8-seg', 'yolov8-pose', 'yolov8-obb'] as const),
  ...(['rtmpose', 'yunet', 'classifier'] as const),
]);

type Outputs = ReadonlyMap<string, OutputTensor>;

/** Ranked rows with lower scores are not compared: f32 rounding changes the end of a ranking. */
const LEAST_SCORE = 0.05;

/** Minimum size of a box for matching, in pixels. */
const NEAR_PX = 8;

/** Families with boxes as fractions of the input. Their minimum size is a fraction too. */
const SHARES: ReadonlySet<ModelFamily> = new Set(['detr', 'ssd']);
const SHARE = 80;

/**
 * Compares the outputs of two models on the same pictures.
 *
 * Families with a row for each cell are compared number by number. The others rank their boxes, and boxes with almost the same score
 * can swap places, so each box of the source is compared with the nearest one of the same class. If there is none nearby, the box
 * is lost, and its score counts as the difference.
 */
export function compareOutputs(
  family: ModelFamily | ReaderFamily,
  source: readonly Outputs[],
  compiled: readonly Outputs[],
): VerifyRow[] {
  const gauges = new Map<string, Gauge>();
  const gauge = (name: string) => {
    const known = gauges.get(name) ?? new Gauge();
    gauges.set(name, known);
    return known;
  };
  for (const [index, expected] of source.entries()) {
    const received = compiled[index]!;
    if (isReader(family) || BY_CELL.has(family)) {
      for (const [name, output] of expected) gauge(name).compareAll(output, received.get(name)!);
    } else {
      const [before, after] = [toRows(family, expected), toRows(family, received)];
      compareRanked(before, after, gauge('boxes'), gauge('scores'), SHARES.has(family) ? 1 / SHARE : NEAR_PX);
    }
  }
  return Array.from(gauges, ([output, { maxAbs, meanAbs, largest }]) => ({
    output,
    maxAbs,
    maxRel: maxAbs / Math.max(largest, Number.MIN_VALUE),
    meanAbs,
    images: source.length,
  }));
}

/** Collects the differences of one output, and the largest number of the source. */
class Gauge {
  maxAbs = 0;
  largest = 0;
  #sum = 0;
  #count = 0;

  get meanAbs(): number {
    return this.#sum / Math.max(this.#count, 1);
  }

  compare(expected: number, received: number): void {
    const distance = Math.abs(expected - received);
    // NaN counts as an infinite difference.
    const difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
    this.maxAbs = Math.max(this.maxAbs, difference);
    this.#sum += difference;
    this.#count += 1;
    this.largest = Math.max(this.largest, Math.abs(expected));
  }

  compareAll(expected: OutputTensor, received: OutputTensor): void {
    for (let i = 0; i < expected.data.length; i += 1) {
      this.compare(Number(expected.data[i]), Number(received.data[i] ?? Number.NaN));
    }
  }
}

/** x1, y1, x2, y2, score, class. */
type Row = readonly [number, number, number, number, number, number];

function toRows(family: ModelFamily, outputs: Outputs): Row[] {
  const detections = outputs.get('detections');
  if (detections !== undefined) {
    const rows = packedRows(detections);
    return family === 'detr' ? rows.map(cornersOf) : rows;
  }
  if (family === 'rtmdet' || family === 'rtmdet-ins') {
    const [dets, { data }] = [outputs.get('boxes')!, outputs.get('labels')!];
    const labelled = (_: unknown, i: number) => row(dets, i * 5, Number(dets.data[i * 5 + 4]), Number(data[i]));
    return Array.from({ length: data.length }, labelled);
  }
  const [boxes, scores] = ['boxes', 'scores'].map((name) => outputs.get(name));
  const predictions = outputs.get('predictions') ?? outputs.get('logits');
  if (predictions !== undefined) return headRows(boxes, predictions).map(cornersOf);
  const labels = outputs.get(family === 'ssd' ? 'classes' : 'labels')!;
  return Array.from({ length: scores!.data.length }, (_, i) =>
    row(boxes!, i * 4, Number(scores!.data[i]), Number(labels.data[i])),
  );
}

/** Reads packed rows of box, score, class. */
function packedRows(detections: OutputTensor): Row[] {
  const rows: Row[] = [];
  for (let at = 0; at + 6 <= detections.data.length; at += 6) {
    rows.push(row(detections, at, Number(detections.data[at + 4]), Number(detections.data[at + 5])));
  }
  return rows;
}

/** Reads the best class of each query, with the box from a separate output or before the scores. Applies the sigmoid to logits. */
function headRows(boxes: OutputTensor | undefined, { data, dims }: OutputTensor): Row[] {
  const width = dims[2]!;
  const first = boxes === undefined ? 4 : 0;
  return Array.from({ length: data.length / width }, (_, query) => {
    const scores = Array.from(data.slice(query * width + first, (query + 1) * width), Number);
    const best = scores.indexOf(Math.max(...scores));
    const score = boxes === undefined ? scores[best]! : 1 / (1 + Math.exp(-scores[best]!));
    return boxes === undefined ? row({ data, dims }, query * width, score, best) : row(boxes, query * 4, score, best);
  });
}

function row({ data }: OutputTensor, at: number, score: number, label: number): Row {
  const [a, b, c, d] = [0, 1, 2, 3].map((corner) => Number(data[at + corner])) as [number, number, number, number];
  return [a, b, c, d, score, label];
}

/** Converts centre and size to corners. */
function cornersOf([x, y, width, height, score, label]: Row): Row {
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2, score, label];
}

function compareRanked(
  expected: readonly Row[],
  received: readonly Row[],
  boxes: Gauge,
  scores: Gauge,
  near: number,
): void {
  for (const row of expected) {
    if (row[4] < LEAST_SCORE) continue;
    const nearest = received
      .filter((other) => other[5] === row[5] && distance(other, row) <= reach(row, near))
      .sort((a, b) => distance(a, row) - distance(b, row))[0];
    scores.compare(row[4], nearest?.[4] ?? 0);
    if (nearest !== undefined) for (const corner of [0, 1, 2, 3] as const) boxes.compare(row[corner], nearest[corner]);
  }
}

function distance(a: Row, b: Row): number {
  return Math.max(...[0, 1, 2, 3].map((corner) => Math.abs(a[corner]! - b[corner]!)));
}

/** Returns the maximum corner distance of boxes that count as the same object. */
function reach([x1, y1, x2, y2]: Row, near: number): number {
  return Math.max(Math.abs(x2 - x1), Math.abs(y2 - y1), near) / 2;
}
