import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { search } from '../src/lab/optimize/search/search.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import { type ConfigurationTable, TableIndex } from './support/configuration-table.ts';
import { percent } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';
import { exhaustiveSearch, randomSearch, TableEvaluator } from './support/table-evaluator.ts';

/** Where the collector (bench/optimize-table.ts) writes and the search reads. */
export const TABLE_PATH = join(packageRoot(), 'bench', 'optimize-table.json');
export const SEEDS = 100;
/** Share of the table that a search may run. */
export const RUN_SHARE = 0.1;
/** Share of the best rate that counts as found. */
export const FOUND_RATIO = 0.97;
const FOUND_SEEDS = 95;

/** How the searches with all seeds ended on one table. */
export interface SearchProof {
  readonly configurations: number;
  readonly bestFps: number;
  /** Tabulated rate of what each seed chose to the best allowed rate; 0 if it chose what is not allowed. */
  readonly ratios: readonly number[];
  readonly mostRuns: number;
  readonly meanRuns: number;
  readonly randomRatios: readonly number[];
  readonly exhaustiveRatios: readonly number[];
}

/** Searches a table with each seed, beside random search with as many runs and exhaustive search. */
export async function proveSearch(index: TableIndex, seeds = SEEDS, mostP99Ms?: number): Promise<SearchProof> {
  const { cores, picturePx, baseline, noiseRatio } = index.table;
  const best = index.best(mostP99Ms);
  const ratios: number[] = [];
  const runs: number[] = [];
  const randomRatios: number[] = [];
  const exhaustiveRatios: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const result = await search({
      baseline,
      seed,
      noiseRatio,
      space: index.space(),
      machine: { cores, streams: 1, picturePx, isOnGpu: false, decodedRatio: { all: 1, reference: 1, key: 1 } },
      evaluator: new TableEvaluator(index, seed, mostP99Ms),
      budgetSeconds: Number.POSITIVE_INFINITY,
      mostRuns: Math.floor(index.entries.length * RUN_SHARE),
    });
    const chosen = index.find(result.best.configuration)!;
    ratios.push(index.isAllowed(chosen, mostP99Ms) ? chosen.fps / best.fps : 0);
    runs.push(result.runs);
    randomRatios.push((randomSearch(index, result.runs, seed, mostP99Ms)?.fps ?? 0) / best.fps);
    exhaustiveRatios.push(exhaustiveSearch(index, seed, mostP99Ms).fps / best.fps);
  }
  return {
    configurations: index.entries.length,
    bestFps: best.fps,
    ratios,
    randomRatios,
    exhaustiveRatios,
    mostRuns: Math.max(...runs),
    meanRuns: runs.reduce((sum, each) => sum + each, 0) / runs.length,
  };
}

/** Number of seeds that found at least `FOUND_RATIO` of the best. */
export function foundBy(ratios: readonly number[]): number {
  return ratios.filter((ratio) => ratio >= FOUND_RATIO).length;
}

/** @throws Error if the file does not exist. */
export function readTable(path = TABLE_PATH): ConfigurationTable {
  return JSON.parse(readFileSync(path, 'utf8')) as ConfigurationTable;
}

/** Measures the search itself, on a table of configurations that were all run once. */
export const optimizeSearch: Section = {
  id: 'optimize-search',
  title: 'The search of optimize on a table of every configuration',
  async run(): Promise<SectionResult> {
    if (!existsSync(TABLE_PATH))
      throw new Error(`${TABLE_PATH} does not exist; node dist/bench/optimize-table.js measures and writes it`);
    const table = readTable();
    const proof = await proveSearch(new TableIndex(table));
    const { configurations, bestFps, mostRuns, meanRuns } = proof;
    return {
      tables: [
        {
          caption: `${configurations} configurations, best ${bestFps.toFixed(1)} frames/s, ${SEEDS} seeds`,
          rows: [
            ['search', 'runs', 'share', 'worst', 'of 100 seeds the 5th', 'median', `at least ${FOUND_RATIO}`],
            rowOf('optimize', proof.ratios, meanRuns, configurations),
            rowOf('random', proof.randomRatios, meanRuns, configurations),
            rowOf('exhaustive', proof.exhaustiveRatios, configurations, configurations),
          ],
        },
      ],
      targets: [
        target(`seeds that find ${FOUND_RATIO} of the best`, foundBy(proof.ratios), FOUND_SEEDS, 'at least'),
        target('share of the runs', mostRuns / configurations, RUN_SHARE, 'at most'),
      ],
      notes: [
        'A run is a probe, a trial or a judgement of quality; an interleaved comparison counts as four. Random search gets as many runs and learns for nothing what is allowed.',
        `Each call draws new noise of ${percent(table.noiseRatio)} around the tabulated rate, as repeated runs of one configuration showed.`,
        `Table: ${Object.entries(table.machine)
          .map(([key, value]) => `${key} ${value}`)
          .join(', ')}`,
      ],
      data: proof,
    };
  },
};

function rowOf(name: string, ratios: readonly number[], runs: number, configurations: number): string[] {
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(3);
  return [name, runs.toFixed(0), percent(runs / configurations), at(0), at(0.05), at(0.5), String(foundBy(ratios))];
}

function target(what: string, measured: number, wanted: number, want: 'at least' | 'at most') {
  return { what, measured, target: wanted, want, unit: '' } as const;
}
