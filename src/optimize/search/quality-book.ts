import { aspectOf, pixelsOf } from '../levers/input-shapes.ts';
import type { CandidateModel } from '../levers/lever-options.ts';
import { hasSameSkips, qualityKey, skipsWork } from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import type { Quality } from './evaluator.ts';

/** Detectors keep about this power of their pixels: three quarters of the side cost a tenth of the AP. */
const AP_PER_PIXELS = 0.2;
/** Formats and kernels of one model and size differ by less than this. */
const FORMAT_TOLERANCE = 0.006;
/** What a model loses at another size, or on other pictures, is only roughly known. */
const TOLERANCE = 0.02;
/** A stated figure counts if no judgement is nearer by this; see `distance`. */
const STATED_DISTANCE = 0.1;

/** What is known of a network at one input size. */
interface Point {
  readonly loss: number;
  readonly inputSize: string;
  /** From the size that is asked for. */
  readonly distance: number;
}

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
    if (this.judged(configuration) !== null) return null;
    const { model, inputSize } = configuration;
    const pixels = pixelsOf(inputSize);
    const allowed = [...this.#judged.values()][0]?.quality.allowed ?? Number.POSITIVE_INFINITY;
    const siblings = this.#siblings(configuration);
    const same = siblings.find(({ configuration: other }) => other.inputSize === inputSize);
    if (same !== undefined) {
      const { verdict, loss: lost, chance } = same.quality;
      // Close to the limit another format or kernel may be on its other side.
      if (verdict === 'passed' || Math.abs(lost - allowed) <= FORMAT_TOLERANCE) return null;
      const found = `lost ${points(lost)} in ${same.configuration.precision}, a chance of ${Math.round(chance * 100)} % to pass`;
      return `${model} at ${inputSize} ${found}; its formats hardly differ`;
    }
    const known: Point[] = siblings.map(({ configuration: other, quality: { loss } }) => ({
      ...{ loss, inputSize: other.inputSize, distance: distance(other.inputSize, inputSize) },
    }));
    const [stated, published] = [this.#statedLoss(model), this.#models.get(model)?.inputSize ?? inputSize];
    if (stated !== null) {
      const far = distance(published, inputSize) + STATED_DISTANCE;
      known.push({ loss: stated, inputSize: published, distance: far });
    }
    const from = known.sort((a, b) => a.distance - b.distance)[0];
    if (from === undefined) return null;
    const fromPixels = pixelsOf(from.inputSize);
    // Above its published size a network gains nothing for sure.
    const useful = Math.min(pixels, Math.max(fromPixels, pixelsOf(published)));
    const kept = (this.#baselineAp - from.loss) * (useful / fromPixels) ** AP_PER_PIXELS;
    const loss = this.#baselineAp - kept;
    return loss - TOLERANCE > allowed
      ? `${model} at ${inputSize} is expected to lose ${points(loss)}; ${points(allowed)} are allowed`
      : null;
  }

  /** The chance to pass on the held-out part: as judged, as that of another format of the same network, or 1 where nothing is known against it. */
  chanceOf(configuration: Configuration): number {
    const judged = this.judged(configuration);
    if (judged !== null) return judged.verdict === 'passed' ? judged.chance : 0;
    if (this.likelyRefusal(configuration) !== null) return 0;
    const { inputSize } = configuration;
    const alike = this.#siblings(configuration).find(({ configuration: other }) => other.inputSize === inputSize);
    if (alike?.quality.verdict === 'passed') return alike.quality.chance;
    return 1;
  }

  /** Judgements of the same network that say something about a configuration. */
  #siblings(configuration: Configuration): { readonly configuration: Configuration; readonly quality: Quality }[] {
    // INT8 loses more than the float formats do: what it loses says nothing about them. The same holds for skipping.
    return [...this.#judged.values()].filter(
      ({ configuration: other }) =>
        other.model === configuration.model &&
        (!skipsWork(other) || hasSameSkips(other, configuration)) &&
        (configuration.precision === 'int8' || other.precision !== 'int8'),
    );
  }

  /** Loss by the figures that both models state; null if one states none. */
  #statedLoss(model: string): number | null {
    const own = this.#models.get(model)?.reportedAp ?? null;
    const base = this.#models.get(this.#baselineModel)?.reportedAp ?? null;
    return own === null || base === null ? null : base - own;
  }
}

/** How far two input sizes are apart: networks mind another aspect as much as another number of pixels. */
function distance(a: string, b: string): number {
  return Math.abs(Math.log(pixelsOf(a) / pixelsOf(b))) + Math.abs(Math.log(aspectOf(a) / aspectOf(b)));
}

function points(loss: number): string {
  return `${loss.toFixed(3)} AP`;
}
