import type { Detection } from '../../core/detection.ts';
import { type Estimate, pairedDifference, ratioOfBlocks } from '../../measure/sequential.ts';
import type { ShadowObservation } from '../../protocol/rollout-records.ts';
import { BlockSeries, type BlockSeriesState } from './block-series.ts';
import type { ClassBlock } from './guards/guard-evidence.ts';

const COLUMNS = { frames: 0, unmatched: 1, allBoxes: 2, boxes: 3, candidateBoxes: 4, scores: 5, candidateScores: 6 };
const OPTIONS = { columns: 7, blockMs: 1000, maxRows: 256 };

/** Detections of both sides on the same frames, summed over all streams by blocks of time. */
export class ShadowHistory {
  #series: BlockSeries;

  constructor(state?: BlockSeriesState) {
    this.#series = new BlockSeries(OPTIONS, state);
  }

  add({ control, candidate }: ShadowObservation, classes: ReadonlyMap<string, ClassBlock>, nowMs: number): void {
    let unmatched = 0;
    for (const { missed, extra } of classes.values()) unmatched += missed + extra;
    const [boxes, candidateBoxes] = [control.length, candidate.length];
    const scores = [scoreSum(control), scoreSum(candidate)];
    this.#series.add(nowMs, [1, unmatched, boxes + candidateBoxes, boxes, candidateBoxes, ...scores]);
  }

  get frames(): number {
    return this.#series.sum(COLUMNS.frames);
  }

  /** Time that the evidence covers. */
  get spanMs(): number {
    return this.#series.spanMs;
  }

  /** Share of boxes without a counterpart: 1 - F1. Null if neither side has a box. */
  f1Loss(typical: number): Estimate | null {
    return ratioOfBlocks(this.#column('unmatched'), this.#column('allBoxes'), typical);
  }

  /** Relative difference of the number of boxes; null if the control has none. */
  boxes(typical: number): Estimate | null {
    const ratio = ratioOfBlocks(this.#column('candidateBoxes'), this.#column('boxes'), typical);
    return ratio === null ? null : { ...ratio, value: ratio.value - 1 };
  }

  /** Difference of the mean confidence; null if one side has no boxes. */
  confidence(typical: number): Estimate | null {
    return pairedDifference(
      { a: this.#column('candidateScores'), b: this.#column('candidateBoxes') },
      { a: this.#column('scores'), b: this.#column('boxes') },
      typical,
    );
  }

  reset(): void {
    this.#series = new BlockSeries(OPTIONS);
  }

  get state(): BlockSeriesState {
    return this.#series.state;
  }

  #column(name: keyof typeof COLUMNS): number[] {
    return this.#series.column(COLUMNS[name]);
  }
}

function scoreSum(detections: readonly Detection[]): number {
  return detections.reduce((sum, { score }) => sum + score, 0);
}
