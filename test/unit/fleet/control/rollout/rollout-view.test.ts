import { expect, it } from 'vitest';
import { reportOf } from '../../../../../src/fleet/control/rollout/rollout-view.ts';
import type { Gain, Rollout } from '../../../../../src/wire/protocol/rollout-records.ts';
import { CAMERAS, rolloutRecord } from '../../../../support/rollout-doubles.ts';

const GAIN: Gain = { ratio: 2, low: 1.8, high: 2.2, controlMs: 20, candidateMs: 10 };

function reported(record: Partial<Rollout>, gain?: Gain, detector?: string) {
  const evidence = { frames: 100, unready: 0, silent: 0, gain, reports: [] };
  return reportOf(rolloutRecord(record), evidence, CAMERAS.slice(0, 2), CAMERAS, 2000, detector);
}

it('a roll-out shows the gain that is measured now, and the one of its record once that is written', () => {
  expect(reported({}).measured).toBeNull();
  expect(reported({}, GAIN).measured).toEqual(GAIN);
  expect(reported({ measured: { ...GAIN, ratio: 3 } }, GAIN).measured).toMatchObject({ ratio: 3 });
});

it('a roll-out names the detector if it is another one', () => {
  expect(reported({}, undefined, 'other').detector).toBe('other');
  expect(Object.keys(reported({}))).not.toContain('detector');
});
