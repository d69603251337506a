import { describe, expect, it } from 'vitest';
import {
  type Configuration,
  changedLevers,
  configurationKey,
  isSkipLever,
  LEVER_IDS,
  leverOf,
  PLAIN,
  skipsWork,
  untuned,
  valueText,
} from '../../../../../src/lab/optimize/levers/levers.ts';

const MACHINE = { isOnGpu: true, decodedRatio: { all: 1, reference: 0.5, key: 0.02 } };
const STAGED: Configuration = {
  ...PLAIN,
  stages: [{ name: 'colour', model: 'm.yaml', per: 'track', again: undefined }],
};

describe('the table of levers', () => {
  it('has a plain value of each, which changes no cost and skips nothing', () => {
    for (const lever of LEVER_IDS)
      expect(Object.values(leverOf(lever).cost?.(PLAIN, MACHINE) ?? {}).every((factor) => factor === 1)).toBe(true);
    expect(skipsWork(PLAIN)).toBe(false);
    expect(LEVER_IDS.filter(isSkipLever)).toEqual(['decode', 'skipUnchanged', 'trackBetween']);
  });

  it('compares values as data: what was written and read again is equal', () => {
    for (const configuration of [PLAIN, STAGED]) {
      const again = JSON.parse(JSON.stringify(configuration)) as Configuration;
      expect(configurationKey(again)).toBe(configurationKey(configuration));
      expect(changedLevers(again, configuration)).toEqual([]);
    }
    expect(changedLevers(PLAIN, STAGED)).toEqual(['stages']);
    expect(valueText('stages', STAGED)).toBe('colour m.yaml track');
  });

  it('reads a configuration that was written before a lever was added', () => {
    const { trackBetween: _, ...older } = PLAIN;
    expect(valueText('trackBetween', older)).toBe('');
  });
});

describe('an untuned configuration', () => {
  const baseline: Configuration = { ...PLAIN, maxBatch: 8, inferenceThreads: 2 };

  it('is the baseline where that detects the same', () => {
    expect(untuned({ ...baseline, maxBatch: 4, lanes: 3 }, baseline)).toBe(baseline);
  });

  it('of another network infers one frame at a time, on the threads of the baseline', () => {
    const tuned: Configuration = { ...baseline, model: 'other', maxBatch: 4, lanes: 3, inferenceThreads: 1 };
    expect(untuned(tuned, baseline)).toEqual({ ...baseline, model: 'other', maxBatch: 1 });
  });
});
