import { seededRandom } from '../../src/base/core/seeded-random.ts';
import type { InferPart } from '../../src/lab/optimize/levers/levers.ts';
import type { Configuration } from '../../src/lab/optimize/result.ts';
import type {
  Comparison,
  Evaluator,
  InferTimes,
  Pair,
  Quality,
  Trial,
} from '../../src/lab/optimize/search/evaluator.ts';
import { EXPECTED_SECONDS } from '../../src/lab/optimize/search/search.ts';
import type { WorkKind } from '../../src/lab/optimize/search/time-budget.ts';
import type { TableEntry, TableIndex } from './configuration-table.ts';

/** Standard errors on each side of a 95 % interval. */
const SIDES = 1.96;

/**
 * Measures by looking figures up in a table. Every call draws new noise around the tabulated rate, as large as repeated
 * runs showed; a pair is four such runs, two of each side, and so is a comparison. The clock moves by the expected duration of each call.
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
    return { oneThreadMs: oneThreadMs / this.#noise(), allThreadsMs: allThreadsMs / this.#noise() };
  }

  async trial(configuration: Configuration): Promise<Trial> {
    this.#spend('trial', JSON.stringify(configuration));
    return this.#trial(configuration);
  }

  async pair(a: Configuration, b: Configuration): Promise<Pair> {
    this.#spend('pair', `${JSON.stringify(a)} ${JSON.stringify(b)}`);
    const runs = [a, b, b, a].map((configuration) => this.#trial(configuration));
    const fps = runs.map((run) => run.fps);
    return {
      before: { ...runs[0]!, fps: (fps[0]! + fps[3]!) / 2 },
      after: { ...runs[1]!, fps: (fps[1]! + fps[2]!) / 2 },
      ratios: [fps[1]! / fps[0]!, fps[2]! / fps[3]!] as const,
      measurements: [],
    };
  }

  async compare(a: Configuration, b: Configuration): Promise<Comparison> {
    this.#spend('compare', `${JSON.stringify(a)} ${JSON.stringify(b)}`);
    const [first, second] = [this.#entry(a).fps, this.#entry(b).fps];
    const rate = (fps: number): number => (fps * this.#noise() + fps * this.#noise()) / 2;
    const ratio = rate(second) / rate(first);
    const error = SIDES * this.#index.table.noiseRatio;
    return { ratio, interval: [ratio * Math.exp(-error), ratio * Math.exp(error)], measurements: [] };
  }

  async screen(configuration: Configuration): Promise<Quality> {
    this.#spend('screen', JSON.stringify(configuration));
    return this.#quality(configuration);
  }

  async checkHarmless(configuration: Configuration): Promise<Quality> {
    this.#spend('screen', JSON.stringify(configuration), 'check');
    return this.#quality(configuration);
  }

  async confirm(configuration: Configuration): Promise<Quality> {
    this.#spend('confirm', JSON.stringify(configuration));
    return this.#quality(configuration);
  }

  #quality(configuration: Configuration): Quality {
    const { loss } = this.#entry(configuration);
    const allowed = this.#index.table.maxLoss;
    const isAllowed = loss <= allowed;
    return {
      verdict: isAllowed ? 'passed' : 'refused',
      chance: isAllowed ? 1 : 0,
      loss,
      upperBound: loss,
      allowed,
      reason: `loses ${loss.toFixed(4)} AP, ${allowed} are allowed`,
      ap: this.#index.apOf(configuration),
      differences: [],
      measurements: [],
    };
  }

  #trial(configuration: Configuration): Trial {
    const { fps, p99Ms, cpuMs } = this.#entry(configuration);
    const { decode, preprocess, infer, main } = cpuMs;
    return {
      fps: fps * this.#noise(),
      p99Ms,
      meetsTargets: p99Ms <= this.#mostP99Ms,
      measurements: [],
      cpuMsPerFrame: { ...cpuMs, total: decode + preprocess + infer + main },
    };
  }

  #entry(configuration: Configuration): TableEntry {
    const entry = this.#index.find(configuration);
    if (entry === null) throw new RangeError(`not in the table: ${JSON.stringify(configuration)}`);
    return entry;
  }

  #spend(kind: WorkKind, what: string, name: string = kind): void {
    this.#seconds += EXPECTED_SECONDS[kind];
    this.path.push(`${name} ${what}`);
  }

  #noise(): number {
    return Math.exp(this.#normal() * this.#index.table.noiseRatio);
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
