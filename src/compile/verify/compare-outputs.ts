import type { ModelFamily, OutputTensor } from '../../core/model.ts';

/** How far a compiled model is from its source on some pictures. */
export interface VerifyRow {
  readonly output: string;
  /** Largest difference of two numbers, in the unit of the output (pixels for boxes). */
  readonly maxAbs: number;
  /** The same as a share of the largest number that the source gave in this output. */
  readonly maxRel: number;
  /** Mean difference: what one number is off by as a rule, in the unit of the output. */
  readonly meanAbs: number;
  readonly images: number;
}

type Outputs = ReadonlyMap<string, OutputTensor>;

/** Ranked rows below this are not compared: the last places of a ranking change hands by the rounding of f32. */
const LEAST_SCORE = 0.05;

/** Boxes smaller than this are matched as if they had this size. */
const NEAR_PX = 8;

/**
 * Compares the outputs of two models on the same pictures.
 *
 * Outputs of YOLOX and of generalised focal loss heads are compared number by number. CenterNet and DEIMv2 rank their boxes, and two boxes of nearly the same
 * score may change places, so each box of the source is compared with the nearest one of the same class. One that has
 * none nearby was lost, and counts with its whole score.
 */
export function compareOutputs(
  family: ModelFamily,
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
    if (family === 'yolox' || family === 'gfl') {
      for (const [name, output] of expected) gauge(name).compareAll(output, received.get(name)!);
    } else {
      compareRanked(toRows(family, expected), toRows(family, received), gauge('boxes'), gauge('scores'));
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

/** Keeps the largest difference, and the largest number that the source gave. */
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
    // Not a number counts as infinitely far.
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
  const rows: Row[] = [];
  if (family === 'centernet') {
    const { data } = outputs.get('detections')!;
    for (let at = 0; at + 6 <= data.length; at += 6)
      rows.push(Array.from(data.slice(at, at + 6), Number) as unknown as Row);
    return rows;
  }
  const [boxes, scores, labels] = ['boxes', 'scores', 'labels'].map((name) => outputs.get(name)!.data);
  for (let i = 0; i < scores!.length; i += 1) {
    const box = Array.from(boxes!.slice(i * 4, i * 4 + 4), Number);
    rows.push([...box, Number(scores![i]), Number(labels![i])] as unknown as Row);
  }
  return rows;
}

function compareRanked(expected: readonly Row[], received: readonly Row[], boxes: Gauge, scores: Gauge): void {
  for (const row of expected) {
    if (row[4] < LEAST_SCORE) continue;
    const nearest = received
      .filter((other) => other[5] === row[5] && distancePx(other, row) <= reachPx(row))
      .sort((a, b) => distancePx(a, row) - distancePx(b, row))[0];
    scores.compare(row[4], nearest?.[4] ?? 0);
    if (nearest !== undefined) for (const corner of [0, 1, 2, 3] as const) boxes.compare(row[corner], nearest[corner]);
  }
}

function distancePx(a: Row, b: Row): number {
  return Math.max(...[0, 1, 2, 3].map((corner) => Math.abs(a[corner]! - b[corner]!)));
}

/** A box whose corners are further away than this is another object's. */
function reachPx([x1, y1, x2, y2]: Row): number {
  return Math.max(Math.abs(x2 - x1), Math.abs(y2 - y1), NEAR_PX) / 2;
}
