import { seededRandom } from '../../src/core/seeded-random.ts';
import type { InferPart } from '../../src/optimize/levers/search-space.ts';
import type { Configuration } from '../../src/optimize/result.ts';
import type {
  Comparison,
  Evaluator,
  InferTimes,
  Quality,
  Trial,
  TrialLength,
} from '../../src/optimize/search/evaluator.ts';
import { EXPECTED_SECONDS } from '../../src/optimize/search/search.ts';
import type { WorkKind } from '../../src/optimize/search/time-budget.ts';
import type { TableEntry, TableIndex } from './configuration-table.ts';

/** Standard errors on each side of a 95 % interval. */
const SIDES = 1.96;
/** A long run is four times as long as a short one, so its mean is half as noisy. */
const LONG_NOISE = 0.5;

/**
 * Measures by looking figures up in a table. Every call draws new noise around the tabulated rate, as large as repeated
 * runs showed; an interleaved comparison is four such runs. The clock moves by the expected duration of each call.
 */
export class TableEvaluator implements Evaluator {
  readonly clock: { nowSeconds(): number };
  /** Configurations that were run or judged, in order. */
  readonly path: string[] = [];
  readonly #index: TableIndex;
  readonly #mostP99Ms: number;
  readonly #normal: () => number;
  #seconds = 0;

  constructor(index: TableIndex, seed: number, mostP99Ms = Number.POSITIVE_INFINITY) {
    this.#index = index;
    this.#mostP99Ms = mostP99Ms;
    this.#normal = normalFrom(seededRandom(seed));
    this.clock = { nowSeconds: () => this.#seconds };
  }

  async probe(part: InferPart): Promise<InferTimes> {
    this.#spend('probe', `${part.model} ${part.engine} ${part.precision} ${part.inputSize}`);
    const { oneThreadMs, allThreadsMs } = this.#index.partOf(part)!;
    return { oneThreadMs: oneThreadMs / this.#noise(1), allThreadsMs: allThreadsMs / this.#noise(1) };
  }

  async trial(configuration: Configuration, length: TrialLength): Promise<Trial> {
    this.#spend(length, JSON.stringify(configuration));
    const { fps, p99Ms, cpuMs } = this.#entry(configuration);
    const { decode, preprocess, infer, main } = cpuMs;
    return {
      fps: fps * this.#noise(length === 'long' ? LONG_NOISE : 1),
      p99Ms,
      cpuMsPerFrame: { ...cpuMs, total: decode + preprocess + infer + main },
      relativeError: null,
      meetsTargets: p99Ms <= this.#mostP99Ms,
      measurements: [],
    };
  }

  async compare(a: Configuration, b: Configuration): Promise<Comparison> {
    this.#spend('compare', `${JSON.stringify(a)} ${JSON.stringify(b)}`);
    const [first, second] = [this.#entry(a).fps, this.#entry(b).fps];
    const rate = (fps: number): number => (fps * this.#noise(1) + fps * this.#noise(1)) / 2;
    const ratio = rate(second) / rate(first);
    const error = SIDES * this.#index.table.noiseRatio;
    return { ratio, interval: [ratio * Math.exp(-error), ratio * Math.exp(error)], measurements: [] };
  }

  async quality(configuration: Configuration): Promise<Quality> {
    this.#spend('quality', JSON.stringify(configuration));
    const { loss } = this.#entry(configuration);
    const allowed = this.#index.table.maxLoss;
    const verdict = loss <= allowed ? 'passed' : 'refused';
    const reason = `loses ${loss.toFixed(4)} AP, ${allowed} are allowed`;
    return {
      ...{ verdict, ap: this.#index.apOf(configuration), loss, upperBound: loss, allowed, reason },
      measurements: [],
    };
  }

  #entry(configuration: Configuration): TableEntry {
    const entry = this.#index.find(configuration);
    if (entry === null) throw new RangeError(`not in the table: ${JSON.stringify(configuration)}`);
    return entry;
  }

  #spend(kind: WorkKind, what: string): void {
    this.#seconds += EXPECTED_SECONDS[kind];
    this.path.push(`${kind} ${what}`);
  }

  #noise(scale: number): number {
    return Math.exp(this.#normal() * this.#index.table.noiseRatio * scale);
  }
}

/**
 * Random search with the same number of runs: the best of `runs` different configurations, each measured once. Whether
 * a configuration is allowed is known to it for nothing.
 */
export function randomSearch(index: TableIndex, runs: number, seed: number, mostP99Ms?: number): TableEntry | null {
  const random = seededRandom(seed);
  const normal = normalFrom(random);
  const left = [...index.entries];
  let best: { entry: TableEntry; fps: number } | null = null;
  for (let run = 0; run < runs && left.length > 0; run++) {
    const [entry] = left.splice(Math.floor(random() * left.length), 1);
    const fps = entry!.fps * Math.exp(normal() * index.table.noiseRatio);
    if (index.isAllowed(entry!, mostP99Ms) && (best === null || fps > best.fps)) best = { entry: entry!, fps };
  }
  return best?.entry ?? null;
}

/** Exhaustive search: every configuration measured once more, the fastest allowed one taken. */
export function exhaustiveSearch(index: TableIndex, seed: number, mostP99Ms?: number): TableEntry {
  return randomSearch(index, index.entries.length, seed, mostP99Ms)!;
}

/** Standard normal numbers, by Box and Muller. */
function normalFrom(random: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
