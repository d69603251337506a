import { COLUMNS, ROWS } from './picture-sampler.ts';

/** Time that a new camera is only learned from. */
const LEARN_MS = 30_000;
/** How fast what is learned follows what is seen: day and night pass through it, what happens at once does not. */
const FOLLOW_MS = 600_000;
/** The same for the detail. It falls slower: a lens that loses its focus over an hour is noticed. */
const SHARPER_MS = 3_600_000;
const SOFTER_MS = 6 * 3_600_000;
/** Blurred is less than this share of the usual detail. */
const BLURRED_RATIO = 0.65;
/** Least mean step between cells, in levels, for which a scene is judged: with less contrast noise is most of it. */
const LEAST_STEP = 1;
/** Another scene has outlines that agree with the learned ones by less than this (correlation), or than this share of the usual. */
const OTHER_AGREEMENT = 0.5;
const OTHER_RATIO = 0.7;

export interface SceneVerdict {
  /** Null: there is too little contrast to tell. */
  readonly isOther: boolean | null;
  readonly isBlurred: boolean | null;
}

/** Learns the outlines and the detail of what a camera shows, and says when the pictures have others. */
export class LearnedScene {
  #outlines: Float32Array | null = null;
  #outlinesMs = 0;
  #usualAgreement = 1;
  #detail = 0;
  #detailMs = 0;

  /**
   * @param samples - mean samples of the newest pictures, from `PictureSampler`.
   * @param cells - their means by cell, row by row.
   * @param passedMs - time since the last call.
   */
  judge(samples: Float32Array, cells: Float32Array, passedMs: number): SceneVerdict {
    const { outlines, meanStep } = outlinesOf(cells);
    if (meanStep < LEAST_STEP) return { isOther: null, isBlurred: null };
    return { isOther: this.#isOther(outlines, passedMs), isBlurred: this.#isBlurred(samples, meanStep, passedMs) };
  }

  #isOther(outlines: Float32Array, passedMs: number): boolean | null {
    const known = this.#outlines;
    if (known === null) {
      this.#outlines = outlines;
      return null;
    }
    const agreement = correlation(known, outlines);
    this.#outlinesMs += passedMs;
    const isLearning = this.#outlinesMs < LEARN_MS;
    const isOther = agreement < Math.min(OTHER_AGREEMENT, OTHER_RATIO * this.#usualAgreement);
    if (isOther && !isLearning) return true;
    const share = 1 - Math.exp(-passedMs / (isLearning ? LEARN_MS / 3 : FOLLOW_MS));
    for (let i = 0; i < known.length; i++) known[i] = known[i]! + share * (outlines[i]! - known[i]!);
    this.#usualAgreement += share * (agreement - this.#usualAgreement);
    return isLearning ? null : false;
  }

  #isBlurred(samples: Float32Array, meanStep: number, passedMs: number): boolean | null {
    let sum = 0;
    for (let i = 0; i < samples.length; i += 2) sum += Math.abs(samples[i + 1]! - samples[i]!);
    // Fog takes the same share of the steps between pixels and between cells, a lens out of focus only of the former.
    const detail = (2 * sum) / samples.length / meanStep;
    if (this.#detailMs === 0) this.#detail = detail;
    this.#detailMs += passedMs;
    const isLearning = this.#detailMs < LEARN_MS;
    if (!isLearning && detail < BLURRED_RATIO * this.#detail) return true;
    const followMs = isLearning ? LEARN_MS / 3 : detail > this.#detail ? SHARPER_MS : SOFTER_MS;
    this.#detail += (1 - Math.exp(-passedMs / followMs)) * (detail - this.#detail);
    return isLearning ? null : false;
  }
}

/** The steps between neighbouring cells, whichever way: light that goes on and off changes them less than brightness. */
export function outlinesOf(cells: Float32Array): { outlines: Float32Array; meanStep: number } {
  const outlines = new Float32Array((COLUMNS - 1) * (ROWS - 1));
  let sum = 0;
  let at = 0;
  for (let row = 0; row + 1 < ROWS; row++)
    for (let column = 0; column + 1 < COLUMNS; column++) {
      const cell = row * COLUMNS + column;
      const step = Math.abs(cells[cell + 1]! - cells[cell]!) + Math.abs(cells[cell + COLUMNS]! - cells[cell]!);
      sum += step;
      // The root keeps a few strong outlines from being all that counts.
      outlines[at++] = Math.sqrt(step);
    }
  return { outlines, meanStep: sum / outlines.length };
}

/** Pearson's correlation; 0 if one has no variance. */
function correlation(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [a[i]! - meanA, b[i]! - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
