import { normalCdf } from '../../measure/distributions.ts';
import { chanceText } from '../gate/pass-chance.ts';
import { aspectOf, pixelsOf } from '../levers/input-shapes.ts';
import { type CandidateModel, hasSameSkips, qualityKey, skipsWork } from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import type { Quality } from './evaluator.ts';

/** Detectors keep about this power of their pixels: three quarters of the side cost a tenth of the AP. */
const AP_PER_PIXELS = 0.2;
/** On pictures of all shapes an input of another aspect keeps about this power of it: picodet-s at 480x256 loses a seventh. */
const AP_PER_ASPECT = 0.25;
/** Formats and kernels of one model and size differ by less than this. */
const FORMAT_TOLERANCE = 0.006;
/** What a model loses at another size, or on other pictures, is only roughly known. */
const TOLERANCE = 0.02;
/** The loss of another network on some pictures scatters by about this, divided by the root of their number. */
const PICTURE_DEVIATION = 0.13;
/** Standard errors that a verdict on the held-out part asks for, one of three. */
const VERDICT_ERRORS = 2.4;
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

  readonly #heldOutError: number;

  /** @param heldOutPictures - labelled ones; infinite if they decide everything. */
  constructor(models: readonly CandidateModel[], baselineModel: string, heldOutPictures = Number.POSITIVE_INFINITY) {
    this.#heldOutError = PICTURE_DEVIATION / Math.sqrt(heldOutPictures);
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
    const allowed = this.#allowed;
    const siblings = this.#siblings(configuration);
    const same = siblings.find(({ configuration: other }) => other.inputSize === inputSize);
    if (same !== undefined) {
      const { verdict, loss: lost, chance } = same.quality;
      // Close to the limit another format or kernel may be on its other side.
      if (verdict === 'passed' || Math.abs(lost - allowed) <= FORMAT_TOLERANCE) return null;
      const found = `lost ${points(lost)} in ${same.configuration.precision}, a chance of ${chanceText(chance)} to pass`;
      return `${model} at ${inputSize} ${found}; its formats hardly differ`;
    }
    const loss = this.#expectedLoss(configuration);
    return loss !== null && loss - TOLERANCE > allowed
      ? `${model} at ${inputSize} is expected to lose ${points(loss)}; ${points(allowed)} are allowed`
      : null;
  }

  /** The chance to pass on the held-out part: as judged, as that of another format of the same network, else by the loss that is expected. */
  chanceOf(configuration: Configuration): number {
    const judged = this.judged(configuration);
    if (judged !== null) return judged.verdict === 'passed' ? judged.chance : 0;
    if (this.likelyRefusal(configuration) !== null) return 0;
    const { inputSize } = configuration;
    const alike = this.#siblings(configuration).find(({ configuration: other }) => other.inputSize === inputSize);
    if (alike?.quality.verdict === 'passed') return alike.quality.chance;
    const loss = this.#expectedLoss(configuration);
    if (loss === null) return 1;
    // Hopeful by the tolerance, so that what is fast is looked at: a screening costs less than what it may find.
    const room = this.#allowed + TOLERANCE - loss - VERDICT_ERRORS * this.#heldOutError;
    return normalCdf(room / Math.hypot(TOLERANCE, this.#heldOutError));
  }

  /** The chance to pass if people settle in its favour what the search part has left to them. */
  settledChanceOf(configuration: Configuration): number {
    const judged = this.judged(configuration);
    return judged?.verdict === 'passed' && judged.differences.length > 0
      ? (judged.settledChance ?? judged.chance)
      : this.chanceOf(configuration);
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

  get #allowed(): number {
    return [...this.#judged.values()][0]?.quality.allowed ?? Number.POSITIVE_INFINITY;
  }

  /** Loss by the nearest size of the same network that was judged, or by its stated figure; null if there is neither. */
  #expectedLoss(configuration: Configuration): number | null {
    const { model, inputSize } = configuration;
    const known: Point[] = this.#siblings(configuration).map(({ configuration: other, quality: { loss } }) => ({
      loss,
      inputSize: other.inputSize,
      distance: distance(other.inputSize, inputSize),
    }));
    const [stated, published] = [this.#statedLoss(model), this.#models.get(model)?.inputSize ?? inputSize];
    if (stated !== null) {
      const far = distance(published, inputSize) + STATED_DISTANCE;
      known.push({ loss: stated, inputSize: published, distance: far });
    }
    const from = known.sort((a, b) => a.distance - b.distance)[0];
    if (from === undefined) return null;
    const [pixels, fromPixels] = [pixelsOf(inputSize), pixelsOf(from.inputSize)];
    // Above its published size a network gains nothing for sure, and an aspect nearer to the published one neither.
    const useful = Math.min(pixels, Math.max(fromPixels, pixelsOf(published)));
    const stretch = Math.max(0, stretchOf(inputSize, published) - stretchOf(from.inputSize, published));
    const kept = (useful / fromPixels) ** AP_PER_PIXELS * Math.exp(-AP_PER_ASPECT * stretch);
    return this.#baselineAp - (this.#baselineAp - from.loss) * kept;
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
  return Math.abs(Math.log(pixelsOf(a) / pixelsOf(b))) + stretchOf(a, b);
}

function stretchOf(a: string, b: string): number {
  return Math.abs(Math.log(aspectOf(a) / aspectOf(b)));
}

function points(loss: number): string {
  return `${loss.toFixed(3)} AP`;
}
