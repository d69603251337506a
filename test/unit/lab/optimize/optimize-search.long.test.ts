import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  foundBy,
  proveSearch,
  RUN_SHARE,
  readTable,
  SEEDS,
  TABLE_PATH,
} from '../../../../bench/optimize-search.bench.ts';
import { TableIndex } from '../../../../bench/support/configuration-table.ts';
import { madeTable } from '../../../support/made-table.ts';

const LIMIT_MS = 300_000;

describe('the search on a table of every configuration', () => {
  const hasTable = existsSync(TABLE_PATH);
  if (!hasTable)
    console.warn(`skipped: ${TABLE_PATH} was not measured yet; node dist/bench/optimize-table.js writes it`);

  it.skipIf(!hasTable)(
    'finds 0.97 of the best with at most 10 % of the measured runs in 95 of 100 seeds, random search does not',
    async () => {
      const proof = await proveSearch(new TableIndex(readTable()));
      expect(proof.configurations).toBeGreaterThanOrEqual(300);
      expect(proof.mostRuns).toBeLessThanOrEqual(proof.configurations * RUN_SHARE);
      expect(foundBy(proof.ratios)).toBeGreaterThanOrEqual(95);
      expect(foundBy(proof.randomRatios)).toBeLessThan(foundBy(proof.ratios));
    },
    LIMIT_MS,
  );

  it(
    'finds 0.97 of the best in 90 of 100 seeds on pipelines that are simulated frame by frame, not by its own formula',
    async () => {
      const tables = [1, 2, 3, 4, 5];
      const ratios: number[] = [];
      for (const seed of tables) {
        const proof = await proveSearch(new TableIndex(madeTable(seed, 0.01)), SEEDS / tables.length);
        expect(proof.mostRuns).toBeLessThanOrEqual(proof.configurations * RUN_SHARE);
        ratios.push(...proof.ratios);
      }
      expect(ratios).toHaveLength(SEEDS);
      // A guard against regressions. The claim of 95 is made for the measured table above.
      expect(foundBy(ratios)).toBeGreaterThanOrEqual(90);
    },
    LIMIT_MS,
  );
});
