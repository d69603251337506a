import { seededRandom } from '../../../base/core/seeded-random.ts';
import { configurationKey, type InferPart, isPartLever, LEVERS } from '../levers/levers.ts';
import { type SearchSpace, withLever } from '../levers/search-space.ts';
import type { Configuration, LeverId } from '../result.ts';
import type { InferTimeBook } from './infer-times.ts';
import type { Predictions } from './predictions.ts';

/** Levers that no probe measures, but whose best value follows from the formula of the cost model. */
const COUNTED: readonly LeverId[] = ['inferenceThreads', 'decodeThreads'];

/** Lists the configurations that a search may run next. */
export class Candidates {
  readonly #space: SearchSpace;
  readonly #times: InferTimeBook;
  readonly #predictions: Predictions;
  readonly #parts: readonly InferPart[];

  /** @param seed - of the order of equally promising ones. */
  constructor(space: SearchSpace, times: InferTimeBook, predictions: Predictions, seed: number) {
    this.#space = space;
    this.#times = times;
    this.#predictions = predictions;
    const random = seededRandom(seed);
    const lots = space.parts.map((part) => ({ part, lot: random() }));
    this.#parts = lots.sort((a, b) => b.lot - a.lot).map(({ part }) => part);
  }

  /**
   * Every network, size, format and resizer beside the other values of `here`, and `here` with one other value of each other lever.
   *
   * @param tuned - the best known values of levers that change no detections.
   */
  around(here: Configuration, tuned: Configuration): Configuration[] {
    const found = new Map<string, Configuration>();
    const add = (to: Configuration): void => {
      if (this.#space.isPossible(to)) found.set(configurationKey(to), to);
    };
    for (const lever of this.#space.levers)
      if (!isPartLever(lever))
        for (const value of this.#space.valuesOf(lever, here)) add(withLever(this.#space, here, lever, value));
    add(this.withTuned(here, tuned));
    for (const part of this.#parts)
      for (const resizeBy of this.#resizers(here)) {
        const model = this.#space.models.find(({ name }) => name === part.model)!;
        // Other sizes of a network are estimated from its published one, which comes first.
        if (part.inputSize !== model.inputSize && !this.#times.isModelKnown(part.model)) continue;
        const alike = { ...withLever(this.#space, here, 'model', part.model), ...part, resizeBy };
        add(alike);
        add(this.#counted(alike));
      }
    return [...found.values()];
  }

  #resizers({ resizeBy }: Configuration): readonly Configuration['resizeBy'][] {
    return this.#space.levers.includes('resizeBy') ? ['ffmpeg', 'sharp'] : [resizeBy];
  }

  /** `here` with the values of `tuned` for levers that change no detections. */
  withTuned(here: Configuration, tuned: Configuration): Configuration {
    return this.#space.levers
      .filter((lever) => !LEVERS[lever].affectsDetections)
      .reduce((at, lever) => withLever(this.#space, at, lever, tuned[lever]), here);
  }

  /** The same with the thread counts that are predicted to be the fastest. */
  #counted(start: Configuration): Configuration {
    let best = start;
    for (const lever of COUNTED)
      for (const value of this.#space.valuesOf(lever, best)) {
        const other = withLever(this.#space, best, lever, value);
        if (this.#predictions.gain(best, other) > 1) best = other;
      }
    return best;
  }
}
