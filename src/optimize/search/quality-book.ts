import { pixelsOf } from '../levers/input-shapes.ts';
import type { CandidateModel } from '../levers/search-space.ts';
import type { Configuration } from '../result.ts';
import type { Quality } from './evaluator.ts';

/** Detectors keep about this power of their pixels: three quarters of the side cost a tenth of the AP. */
const AP_PER_PIXELS = 0.2;
/** Formats and kernels of one model and size differ by less than this. */
const FORMAT_TOLERANCE = 0.006;
/** What a model loses at another size is only roughly known. */
const SIZE_TOLERANCE = 0.02;
/** Stated figures come from other pictures. */
const STATED_TOLERANCE = 0.02;
/** A candidate passes only if the upper bound of its loss does; this share of the usual interval is expected at least. */
const LEAST_HALF_WIDTH_RATIO = 0.75;

/** Judged qualities, and what is likely for what was not judged. */
export class QualityBook {
  readonly #models: ReadonlyMap<string, CandidateModel>;
  readonly #judged = new Map<string, { configuration: Configuration; quality: Quality }>();
  readonly #baselineModel: string;
  /** AP of the baseline; 1 without labels, where the loss is a share of agreement. */
  #baselineAp = 1;

  constructor(models: readonly CandidateModel[], baselineModel: string) {
    this.#models = new Map(models.map((model) => [model.name, model]));
    this.#baselineModel = baselineModel;
  }

  add(configuration: Configuration, quality: Quality): void {
    if (this.#judged.size === 0) this.#baselineAp = quality.ap ?? 1;
    this.#judged.set(qualityKey(configuration), { configuration, quality });
  }

  judged(configuration: Configuration): Quality | null {
    return this.#judged.get(qualityKey(configuration))?.quality ?? null;
  }

  /**
   * Returns why a configuration will probably be refused; null if it may pass, or was judged. Such a configuration is
   * not run; this never lets one in.
   */
  likelyRefusal(configuration: Configuration): string | null {
    if (this.judged(configuration) !== null || configuration.skipUnchanged || configuration.trackBetween > 1)
      return null;
    const { model, inputSize, precision } = configuration;
    const pixels = pixelsOf(inputSize);
    const allowed = [...this.#judged.values()][0]?.quality.allowed ?? Number.POSITIVE_INFINITY;
    // INT8 loses more than the float formats do: what it loses says nothing about them.
    const siblings = [...this.#judged.values()].filter(
      ({ configuration: other }) =>
        other.model === model &&
        !other.skipUnchanged &&
        other.trackBetween === 1 &&
        (precision === 'int8' || other.precision !== 'int8'),
    );
    const same = siblings.find(({ configuration: other }) => other.inputSize === inputSize);
    if (same !== undefined) {
      const { loss: lost, upperBound } = same.quality;
      const bound = upperBound ?? lost;
      if (bound - FORMAT_TOLERANCE <= allowed) return null;
      const upTo = lost > allowed ? `lost ${points(lost)}` : `may lose up to ${points(bound)}`;
      return `${model} at ${inputSize} ${upTo} in ${same.configuration.precision}; ${points(allowed)} are allowed`;
    }
    const nearest = siblings.sort((a, b) => distance(a.configuration, pixels) - distance(b.configuration, pixels))[0];
    const stated = this.#statedLoss(model);
    const from =
      nearest === undefined
        ? { loss: stated, pixels: this.#publishedPixels(model) ?? pixels, tolerance: STATED_TOLERANCE }
        : {
            loss: nearest.quality.loss,
            pixels: pixelsOf(nearest.configuration.inputSize),
            tolerance: SIZE_TOLERANCE,
          };
    if (from.loss === null) return null;
    // Above its published size a network gains nothing for sure.
    const useful = Math.min(pixels, Math.max(from.pixels, this.#publishedPixels(model) ?? 0));
    const kept = (this.#baselineAp - from.loss) * (useful / from.pixels) ** AP_PER_PIXELS;
    const loss = this.#baselineAp - kept;
    const isSmaller = pixels < from.pixels;
    const tolerance = isSmaller ? SIZE_TOLERANCE : from.tolerance;
    return loss + this.#leastUncertainty() - tolerance > allowed
      ? `${model} at ${inputSize} is expected to lose ${points(loss)}; ${points(allowed)} are allowed`
      : null;
  }

  /**
   * How far the upper bound of a loss lies above it at least, from judgements of other networks than the baseline's: with few
   * pictures a network must be better than the baseline to pass. 0 until one was judged.
   */
  #leastUncertainty(): number {
    const halves = [...this.#judged.values()]
      .filter(({ configuration }) => configuration.model !== this.#baselineModel)
      .flatMap(({ quality: { upperBound, loss } }) => (upperBound === null ? [] : [upperBound - loss]));
    return halves.length === 0 ? 0 : LEAST_HALF_WIDTH_RATIO * Math.min(...halves);
  }

  /** Loss by the figures that both models state; null if one states none. */
  #statedLoss(model: string): number | null {
    const own = this.#models.get(model)?.reportedAp ?? null;
    const base = this.#models.get(this.#baselineModel)?.reportedAp ?? null;
    return own === null || base === null ? null : base - own;
  }

  #publishedPixels(model: string): number | null {
    const size = this.#models.get(model)?.inputSize;
    return size === undefined ? null : pixelsOf(size);
  }
}

/** Text that is equal for configurations that detect the same. */
export function qualityKey(configuration: Configuration): string {
  const { model, engine, precision, inputSize, resizeBy, hwaccel, skipUnchanged, trackBetween } = configuration;
  return [model, engine, precision, inputSize, resizeBy, hwaccel, skipUnchanged, trackBetween].join(' ');
}

function distance({ inputSize }: Configuration, pixels: number): number {
  return Math.abs(Math.log(pixelsOf(inputSize) / pixels));
}

function points(loss: number): string {
  return `${loss.toFixed(3)} AP`;
}
