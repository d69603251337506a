import { FALSE_POSITIVE, type ImageMatches, TRUE_POSITIVE } from './coco-match.ts';
import { AREA_RANGES, IOU_THRESHOLDS, RECALL_POINTS } from './coco-rules.ts';
import { type CategoryMatches, rankAcrossImages } from './match-dataset.ts';

const AREAS = AREA_RANGES.length;
const THRESHOLDS = IOU_THRESHOLDS.length;
const ALL = 0;

/** Average precision of one resample, overwritten by the next. NaN if it holds no object. */
interface ResampledFigures {
  /** `byArea`, then `byCategory`. */
  readonly all: Float64Array;
  /** `[area]`: all, small, medium, large. */
  readonly byArea: Float64Array;
  /** `[category]`, in the order of the matches. */
  readonly byCategory: Float64Array;
  /** `[IoU threshold]`, of objects of any size. */
  readonly byThreshold: Float64Array;
}

/** One category, prepared so that a resample looks only at detections that match something. */
interface PreparedCategory {
  /** `[detection]`, by rank: place of its image. */
  readonly places: Int32Array;
  /** `[area][detection]`: 1 if it is a false positive at the strictest threshold. */
  readonly isWrong: Uint8Array;
  /** `[area * threshold + 1]`: where the differences of a threshold begin. */
  readonly starts: Int32Array;
  /**
   * By threshold, then by rank: the ranks of detections that are found, or are false positives at only one of this threshold and the
   * strictest. Few are.
   */
  readonly ranks: Int32Array;
  readonly isFound: Uint8Array;
  /** 1 if it is a false positive at this threshold only, -1 if at the strictest only, else 0. */
  readonly wrongHere: Int8Array;
  /** Images with objects: their places, and `[area][image]` how many. */
  readonly objectPlaces: Int32Array;
  readonly objects: Int32Array;
}

/**
 * Average precision over resamples of a data set's images. Detections are matched and ranked once; a resample only counts.
 *
 * A resample's figures equal those of a data set in which each image is repeated as often as it was drawn, next to its first copy.
 * With equal scores inside an image and a category all copies of the first detection come first.
 *
 * A resample of 100 images with 10,000 detections takes about half a millisecond and allocates nothing.
 */
export class ResampledPrecision {
  readonly #categories: readonly PreparedCategory[];
  readonly #figures: ResampledFigures;
  /** `[objects]` -> `[recall point]`: number of objects that are found before the point is reached. */
  readonly #needed: Int32Array[] = [];
  #wrong = new Int32Array(0);
  #precisions = new Float64Array(0);

  constructor(matches: readonly CategoryMatches[]) {
    this.#categories = matches.map(prepare);
    const all = new Float64Array(AREAS + matches.length);
    const parts = { byArea: all.subarray(0, AREAS), byCategory: all.subarray(AREAS) };
    this.#figures = { all, ...parts, byThreshold: new Float64Array(THRESHOLDS) };
    const most = this.#categories.reduce((length, { places }) => Math.max(length, places.length), 0);
    this.#wrong = new Int32Array(most);
  }

  /** @param counts - `[image]`: how often each was drawn. */
  figuresOf(counts: Int32Array): ResampledFigures {
    const { byArea, byCategory, byThreshold } = this.#figures;
    const values = [0, 0, 0, 0];
    byArea.fill(0);
    byThreshold.fill(0);
    byCategory.fill(Number.NaN);
    for (const [c, category] of this.#categories.entries()) {
      for (let area = 0; area < AREAS; area++) {
        const objects = objectCount(category, area, counts);
        if (objects === 0) continue;
        this.#countWrong(category, area, counts);
        let sum = 0;
        for (let t = 0; t < THRESHOLDS; t++) {
          const mean = this.#meanPrecision(category, area * THRESHOLDS + t, counts, objects);
          byArea[area] = byArea[area]! + mean;
          if (area === ALL) byThreshold[t] = byThreshold[t]! + mean;
          sum += mean;
        }
        values[area] = values[area]! + THRESHOLDS;
        if (area === ALL) byCategory[c] = sum / THRESHOLDS;
      }
    }
    for (let area = 0; area < AREAS; area++) byArea[area] = byArea[area]! / values[area]!;
    for (let t = 0; t < THRESHOLDS; t++) byThreshold[t] = (byThreshold[t]! * THRESHOLDS) / values[ALL]!;
    return this.#figures;
  }

  /** Sums up false positives at the strictest threshold, down to each rank. */
  #countWrong({ places, isWrong }: PreparedCategory, area: number, counts: Int32Array): void {
    const wrong = this.#wrong;
    const row = area * places.length;
    let sum = 0;
    for (let rank = 0; rank < places.length; rank++) {
      if (isWrong[row + rank] === 1) sum += counts[places[rank]!]!;
      wrong[rank] = sum;
    }
  }

  /**
   * Mean over the recall points of the best precision at that recall or a higher one. Precision falls with every false positive and
   * recall rises only with true positives, so the curve is determined by the precision at each object found.
   */
  #meanPrecision(category: PreparedCategory, row: number, counts: Int32Array, objects: number): number {
    const found = this.#fillPrecisions(category, row, counts, objects);
    const precisions = this.#precisions;
    for (let c = found - 2; c >= 0; c--) precisions[c] = Math.max(precisions[c]!, precisions[c + 1]!);
    const needed = this.#neededFor(objects);
    let sum = 0;
    for (let point = 0; point < needed.length && needed[point]! < found; point++) sum += precisions[needed[point]!]!;
    return sum / RECALL_POINTS.length;
  }

  /** Writes the precision at each object found. @returns their number. */
  #fillPrecisions(category: PreparedCategory, row: number, counts: Int32Array, objects: number): number {
    const { places, starts, ranks, isFound, wrongHere } = category;
    if (this.#precisions.length < objects) this.#precisions = new Float64Array(objects * 2);
    const precisions = this.#precisions;
    let found = 0;
    let correction = 0;
    for (let i = starts[row]!; i < starts[row + 1]!; i++) {
      const rank = ranks[i]!;
      const count = counts[places[rank]!]!;
      correction += wrongHere[i]! * count;
      if (isFound[i] === 0) continue;
      const wrong = this.#wrong[rank]! + correction;
      for (let copy = 0; copy < count; copy++) {
        precisions[found] = (found + 1) / (found + 1 + wrong + Number.EPSILON);
        found += 1;
      }
    }
    return found;
  }

  #neededFor(objects: number): Int32Array {
    let needed = this.#needed[objects];
    if (needed === undefined) {
      let c = 0;
      needed = Int32Array.from(RECALL_POINTS, (recall) => {
        while ((c + 1) / objects < recall) c += 1;
        return c;
      });
      this.#needed[objects] = needed;
    }
    return needed;
  }
}

function objectCount({ objectPlaces, objects }: PreparedCategory, area: number, counts: Int32Array): number {
  const row = area * objectPlaces.length;
  let sum = 0;
  for (let i = 0; i < objectPlaces.length; i++) sum += objects[row + i]! * counts[objectPlaces[i]!]!;
  return sum;
}

function prepare({ images, places }: CategoryMatches): PreparedCategory {
  const ranking = rankAcrossImages(images);
  const length = ranking.image.length;
  const isWrong = new Uint8Array(AREAS * length);
  const starts = new Int32Array(AREAS * THRESHOLDS + 1);
  const ranks: number[] = [];
  const isFound: number[] = [];
  const wrongHere: number[] = [];
  for (let area = 0; area < AREAS; area++) {
    const strictest = area * THRESHOLDS + THRESHOLDS - 1;
    for (let rank = 0; rank < length; rank++) {
      isWrong[area * length + rank] = outcomeAt(images, ranking, strictest, rank) === FALSE_POSITIVE ? 1 : 0;
    }
    for (let t = 0; t < THRESHOLDS; t++) {
      const row = area * THRESHOLDS + t;
      for (let rank = 0; rank < length; rank++) {
        const outcome = outcomeAt(images, ranking, row, rank);
        const difference = Number(outcome === FALSE_POSITIVE) - isWrong[area * length + rank]!;
        if (outcome !== TRUE_POSITIVE && difference === 0) continue;
        ranks.push(rank);
        isFound.push(Number(outcome === TRUE_POSITIVE));
        wrongHere.push(difference);
      }
      starts[row + 1] = ranks.length;
    }
  }
  const withObjects = images.flatMap((image, i) => (image.objects[ALL]! > 0 ? [i] : []));
  return {
    places: ranking.image.map((image) => places[image]!),
    isWrong,
    starts,
    ranks: Int32Array.from(ranks),
    isFound: Uint8Array.from(isFound),
    wrongHere: Int8Array.from(wrongHere),
    objectPlaces: Int32Array.from(withObjects, (i) => places[i]!),
    objects: Int32Array.from(
      Array.from({ length: AREAS }, (_, area) => withObjects.map((i) => images[i]!.objects[area]!)).flat(),
    ),
  };
}

function outcomeAt(
  images: readonly ImageMatches[],
  ranking: ReturnType<typeof rankAcrossImages>,
  row: number,
  rank: number,
): number {
  const { outcomes, scores } = images[ranking.image[rank]!]!;
  return outcomes[row * scores.length + ranking.detection[rank]!]!;
}
