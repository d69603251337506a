import {
  type CandidateModel,
  configurationKey,
  type InferPart,
  isPartLever,
  LEVER_IDS,
  PLAIN,
  partKey,
} from '../../src/lab/optimize/levers/levers.ts';
import type { SearchSpace } from '../../src/lab/optimize/levers/search-space.ts';
import type { Configuration, LeverId } from '../../src/lab/optimize/result.ts';
import type { InferTimes } from '../../src/lab/optimize/search/evaluator.ts';

/** One model in one format at one size: its time alone, and its accuracy for each way to make its input. */
export interface TablePart extends InferPart, InferTimes {
  readonly apByFfmpeg: number;
  readonly apBySharp: number;
}

/** Levers whose every combination was run for every part. */
const RUN_LEVERS = ['inferenceThreads', 'maxBatch', 'resizeBy', 'decodeThreads'] as const;
type RunLevers = Pick<Configuration, (typeof RUN_LEVERS)[number]>;
/** Levers that a table does not vary. */
type FixedLevers = Omit<Configuration, keyof InferPart | keyof RunLevers>;

/** Plain values of the levers that a table does not vary, with others. */
export function fixedValues(others: Partial<FixedLevers> = {}): FixedLevers {
  const varied: readonly LeverId[] = [...LEVER_IDS.filter(isPartLever), ...RUN_LEVERS];
  const fixed = Object.fromEntries(Object.entries(PLAIN).filter(([lever]) => !varied.includes(lever as LeverId)));
  return { ...(fixed as FixedLevers), ...others };
}

/**
 * A run: index of its part, values of `RUN_LEVERS`, frames per second, p99 in milliseconds, CPU milliseconds a frame of
 * decoding, preprocessing, inference and the main thread.
 */
export type TableRow = readonly [
  part: number,
  inferenceThreads: number,
  maxBatch: number,
  resizeBy: Configuration['resizeBy'],
  decodeThreads: number,
  fps: number,
  p99Ms: number,
  decodeMs: number,
  preprocessMs: number,
  inferMs: number,
  mainMs: number,
];

/** Every configuration of a small space, measured once. */
export interface ConfigurationTable {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly secondsPerRun: number;
  /** Standard deviation of the rate of a run, relative to it, from repeated runs of one configuration. */
  readonly noiseRatio: number;
  readonly cores: number;
  readonly picturePx: number;
  /** Values of the levers that the table does not vary. */
  readonly fixed: FixedLevers;
  readonly baseline: Configuration;
  /** AP points that may be lost. */
  readonly maxLoss: number;
  readonly models: readonly CandidateModel[];
  readonly parts: readonly TablePart[];
  readonly rows: readonly TableRow[];
}

export interface TableEntry {
  readonly configuration: Configuration;
  readonly part: TablePart;
  readonly fps: number;
  readonly p99Ms: number;
  readonly cpuMs: {
    readonly decode: number;
    readonly preprocess: number;
    readonly infer: number;
    readonly main: number;
  };
  /** AP lost against the baseline. */
  readonly loss: number;
}

/** Looks up the runs of a table. */
export class TableIndex {
  readonly table: ConfigurationTable;
  readonly entries: readonly TableEntry[];
  readonly #byKey: ReadonlyMap<string, TableEntry>;
  readonly #parts: ReadonlyMap<string, TablePart>;

  /** @param measured - before a lever was added, it has no value of it: then the plain one. */
  constructor(measured: ConfigurationTable) {
    const { fixed, baseline } = measured;
    const table = { ...measured, fixed: fixedValues(fixed), baseline: { ...PLAIN, ...baseline } };
    this.table = table;
    this.#parts = new Map(table.parts.map((part) => [partKey(part), part]));
    const baselineAp = this.apOf(table.baseline);
    this.entries = table.rows.map((row) => this.#entryOf(row, baselineAp));
    this.#byKey = new Map(this.entries.map((entry) => [configurationKey(entry.configuration), entry]));
  }

  find(configuration: Configuration): TableEntry | null {
    return this.#byKey.get(configurationKey(configuration)) ?? null;
  }

  partOf(part: InferPart): TablePart | null {
    return this.#parts.get(partKey(part)) ?? null;
  }

  apOf(configuration: Configuration): number {
    const part = this.partOf(configuration)!;
    return configuration.resizeBy === 'ffmpeg' ? part.apByFfmpeg : part.apBySharp;
  }

  isAllowed({ loss, p99Ms }: TableEntry, mostP99Ms = Number.POSITIVE_INFINITY): boolean {
    return loss <= this.table.maxLoss && p99Ms <= mostP99Ms;
  }

  /** The fastest run within the allowance and the target. */
  best(mostP99Ms?: number): TableEntry {
    return this.entries
      .filter((entry) => this.isAllowed(entry, mostP99Ms))
      .reduce((best, entry) => (entry.fps > best.fps ? entry : best));
  }

  /** The space of the table: exactly its runs. */
  space(): SearchSpace {
    const { models, parts } = this.table;
    const levers: readonly LeverId[] = [...LEVER_IDS.filter(isPartLever), ...RUN_LEVERS];
    const values = new Map(
      levers.map((lever) => [lever, [...new Set(this.entries.map(({ configuration }) => configuration[lever]))]]),
    );
    return {
      levers,
      models,
      parts,
      isPossible: (configuration) => this.find(configuration) !== null,
      valuesOf: <L extends LeverId>(lever: L, at: Configuration) =>
        ((values.get(lever) ?? []) as Configuration[L][]).filter(
          (value) => value !== at[lever] && this.find({ ...at, [lever]: value }) !== null,
        ),
    };
  }

  #entryOf(row: TableRow, baselineAp: number): TableEntry {
    const [at, inferenceThreads, maxBatch, resizeBy, decodeThreads, fps, p99Ms, decode, preprocess, infer, main] = row;
    const part = this.table.parts[at]!;
    const { model, engine, precision, inputSize } = part;
    const configuration: Configuration = {
      model,
      engine,
      precision,
      inputSize,
      ...this.table.fixed,
      inferenceThreads,
      maxBatch,
      resizeBy,
      decodeThreads,
    };
    const cpuMs = { decode, preprocess, infer, main };
    return { configuration, part, fps, p99Ms, cpuMs, loss: baselineAp - this.apOf(configuration) };
  }
}
