import { describe, expect, it } from 'vitest';
import { StreamWatch } from '../../../../../src/fleet/control/rollout/stream-watch.ts';
import { type Behaviour, GuardRig } from '../../../../support/guard-rig.ts';

const ALPHA = 0.01;
const STEP_MS = 1000;

/** A stream of which the candidate behaves so in each second, after a minute without a fault. */
function watched(...seconds: readonly Behaviour[]): { readonly watch: StreamWatch; readonly nowMs: number } {
  const rig = new GuardRig();
  const watch = new StreamWatch(0.05, 5000);
  let nowMs = 0;
  for (const behaviour of [...new Array<Behaviour>(60).fill({}), ...seconds]) {
    nowMs += STEP_MS;
    watch.add(rig.side('gate', 'candidate', behaviour), nowMs);
  }
  return { watch, nowMs };
}

const FAILING = { frames: 0, failed: 25 };

describe('inferences of a stream that nearly all fail', () => {
  it.each([
    ['many in two seconds', [FAILING, FAILING]],
    ['seven in three seconds', [2, 2, 3].map((failed) => ({ frames: 0, failed }))],
    ['fewer than half of each second', [1, 2, 3, 4].map(() => ({ frames: 13, failed: 4 }))],
    ['three seconds with a good one among them', [FAILING, FAILING, {}, FAILING]],
  ] as const)('are not taken for it if they are %s', (_, seconds) => {
    expect(watched(...seconds).watch.failing(ALPHA / 1e6)).toBeNull();
  });

  it.each([
    ['at full rate', [FAILING, FAILING, FAILING]],
    ['at a low rate', [3, 3, 2].map((failed) => ({ frames: 0, failed }))],
    ['with seconds between them in which nothing arrived', [FAILING, { frames: 0 }, FAILING, FAILING]],
  ] as const)('are found after three seconds in a row, with their own share: %s', (_, seconds) => {
    expect(watched(...seconds).watch.failing(ALPHA / 1e6)).toMatchObject({
      stream: 'gate',
      verdict: 'fail',
      estimate: 1,
      reason: '100 % of the inferences of stream "gate" fail; the limit is 5 %.',
    });
  });

  it('are found by what is saved and read again', () => {
    const { watch } = watched(FAILING, FAILING);
    const again = new StreamWatch(0.05, 5000, JSON.parse(JSON.stringify(watch.state)));
    again.add(new GuardRig().side('gate', 'candidate', FAILING), 63 * STEP_MS);
    expect(again.failing(ALPHA / 1e6)).toMatchObject({ estimate: 1 });
  });
});

describe('a stream without results', () => {
  it.each([
    ['14 s, with many frames', 14, 5, false],
    ['15 s, with four frames in all', 15, 0, false],
    ['15 s, with many frames', 15, 5, true],
  ])('for %s is silent: %#', (_, seconds, dropped, isSilent) => {
    const none = Array.from({ length: seconds }, (_unused, i) => ({
      frames: 0,
      dropped: dropped > 0 ? dropped : i < 4 ? 1 : 0,
    }));
    const { watch, nowMs } = watched(...none);
    expect(watch.silent(nowMs) !== null).toBe(isSilent);
  });
});
