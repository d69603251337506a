import type { Configuration, Step } from '../result.ts';
import { CostModel } from './cost-model.ts';
import type { Evaluator, Quality, Trial } from './evaluator.ts';
import { InferTimeBook, priorTimes } from './infer-times.ts';
import { EXPECTED_SECONDS, type SearchOptions, search } from './search.ts';
import type { WorkKind } from './time-budget.ts';

interface PlannedMeasurement {
  readonly kind: WorkKind;
  /** What is measured, in words. */
  readonly what: string;
  readonly seconds: number;
}

export interface SearchPlan {
  readonly measurements: readonly PlannedMeasurement[];
  /** The changes that would be tried, in order; their figures are predictions from typical costs. */
  readonly steps: readonly Pick<Step, 'lever' | 'from' | 'to' | 'predictedGain'>[];
  readonly seconds: number;
  /** Why nothing would be tried; null if something would. */
  readonly whyNone: string | null;
}

export interface PlanOptions extends Omit<SearchOptions, 'evaluator' | 'onStep'> {
  /** AP that may be lost. */
  readonly maxLoss: number;
}

/** Half of the width of a planned comparison's interval. */
const SURE_RATIO = 0.01;

/**
 * Returns what a search would try and how long that takes, without measuring: the same search, on typical costs instead
 * of measured ones and with the accuracy that the models state. What is measured later may take it another way.
 */
export async function planSearch(options: PlanOptions): Promise<SearchPlan> {
  const evaluator = new PlanningEvaluator(options);
  const { steps, seconds, ended } = await search({ ...options, evaluator });
  const tried = steps.filter(({ verdict }) => verdict !== 'ruled-out');
  const why =
    ended === 'budget'
      ? 'the time is too short; give a larger --budget'
      : steps.length > 0
        ? 'no change is expected to be faster and as good'
        : 'none of the chosen levers has another value here';
  return {
    measurements: evaluator.measurements,
    steps: tried.map(({ lever, from, to, predictedGain }) => ({ lever, from, to, predictedGain })),
    seconds,
    whyNone: tried.length > 0 ? null : why,
  };
}

/** Answers with typical figures, and lets its clock run by the expected durations. */
class PlanningEvaluator implements Evaluator {
  readonly measurements: PlannedMeasurement[] = [];
  readonly clock: { nowSeconds(): number };
  readonly #options: PlanOptions;
  readonly #costs: CostModel;
  #seconds = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
    const times = new InferTimeBook();
    for (const part of [options.baseline, ...options.space.parts]) times.add(part, priorTimes(part));
    this.#costs = new CostModel(options.machine, times);
    this.clock = { nowSeconds: () => this.#seconds };
  }

  async probe(part: Parameters<Evaluator['probe']>[0]): ReturnType<Evaluator['probe']> {
    this.#plan('probe', partText(part));
    return priorTimes(part);
  }

  async trial(configuration: Configuration): Promise<Trial> {
    this.#plan('trial', configurationText(configuration));
    return this.#trial(configuration);
  }

  async pair(a: Configuration, b: Configuration): ReturnType<Evaluator['pair']> {
    this.#plan('pair', `${configurationText(b)} beside ${configurationText(a)}`);
    const ratio = this.#costs.gain(a, b);
    return { before: this.#trial(a), after: this.#trial(b), ratios: [ratio, ratio], measurements: [] };
  }

  #trial(configuration: Configuration): Trial {
    const { decode, preprocess, infer, main } = this.#costs.costs(configuration);
    return {
      fps: this.#costs.fps(configuration),
      p99Ms: 0,
      cpuMsPerFrame: { decode, preprocess, infer, main, total: decode + preprocess + infer + main },
      meetsTargets: true,
      measurements: [],
    };
  }

  async compare(a: Configuration, b: Configuration): ReturnType<Evaluator['compare']> {
    this.#plan('compare', `${configurationText(a)} with ${configurationText(b)}`);
    const ratio = this.#costs.gain(a, b);
    return { ratio, interval: [ratio * (1 - SURE_RATIO), ratio * (1 + SURE_RATIO)], measurements: [] };
  }

  async screen(configuration: Configuration): Promise<Quality> {
    this.#plan('screen', configurationText(configuration));
    return this.#quality(configuration);
  }

  async checkHarmless(configuration: Configuration): Promise<Quality> {
    return this.screen(configuration);
  }

  async confirm(configuration: Configuration): Promise<Quality> {
    this.#plan('confirm', configurationText(configuration));
    return this.#quality(configuration);
  }

  #quality(configuration: Configuration): Quality {
    const { maxLoss: allowed, baseline } = this.#options;
    const own = this.#statedAp(configuration.model);
    const base = this.#statedAp(baseline.model);
    const loss = own === null || base === null ? 0 : base - own;
    const verdict = loss <= allowed ? 'passed' : 'refused';
    const chance = verdict === 'passed' ? 1 : 0;
    const decided = { verdict, ap: own, loss, upperBound: null, allowed, chance, differences: [] } as const;
    return { ...decided, reason: 'by stated figures', measurements: [] };
  }

  #statedAp(model: string): number | null {
    return this.#options.space.models.find(({ name }) => name === model)?.reportedAp ?? null;
  }

  #plan(kind: WorkKind, what: string): void {
    const seconds = (this.#options.expectedSeconds ?? EXPECTED_SECONDS)[kind];
    this.#seconds += seconds;
    this.measurements.push({ kind, what, seconds });
  }
}

function partText({ model, engine, precision, inputSize }: Parameters<Evaluator['probe']>[0]): string {
  return `${model} ${inputSize} on ${engine} in ${precision}`;
}

function configurationText(configuration: Configuration): string {
  const { inferenceThreads, maxBatch, resizeBy } = configuration;
  return `${partText(configuration)}, inference threads ${inferenceThreads}, batch ${maxBatch}, resized by ${resizeBy}`;
}
