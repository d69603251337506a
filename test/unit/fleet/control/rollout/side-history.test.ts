import { describe, expect, it } from 'vitest';
import { SideHistory, tailColumn } from '../../../../../src/fleet/control/rollout/side-history.ts';
import type { SideObservation } from '../../../../../src/wire/protocol/rollout-records.ts';
import { sideObservation } from '../../../../support/rollout-doubles.ts';

/** A second of a stream in which each frame takes 20 ms; others take little of the CPU. */
function second(side: SideObservation['side'], more: Partial<SideObservation> = {}): SideObservation {
  const frames = more.frames ?? 25;
  const latenciesMs = new Array<number>(frames).fill(20);
  return { ...sideObservation({ stream: 'gate', side, frames, seconds: 1, boxes: frames, latenciesMs }), ...more };
}

/** @param secondsOf - the control in each second, from the first on. */
function historyOf(...secondsOf: readonly Partial<SideObservation>[]): SideHistory {
  const history = new SideHistory(1.1);
  for (const [i, more] of secondsOf.entries()) history.add(second('control', more), 1000 * i);
  return history;
}

const times = (count: number, more: Partial<SideObservation> = {}): Partial<SideObservation>[] =>
  new Array<Partial<SideObservation>>(count).fill(more);

describe('both sides of a stream', () => {
  it('are compared where the control had a turn within a minute', () => {
    const history = historyOf(...times(30));
    history.add(second('candidate'), 88_999);
    expect(history.candidateFrames).toBe(25);
    history.add(second('candidate'), 89_000);
    expect(history.candidateFrames).toBe(25);
  });

  it('are kept apart while others are busy, and weigh the same then', () => {
    const history = historyOf(...times(30));
    expect(history.aligned().disturbed).toBeNull();
    for (const side of ['candidate', 'control'] as const) history.add(second(side, { othersRatio: 0.5 }), 31_000);
    expect(history.aligned()).toMatchObject({
      disturbed: { isBalanced: true },
      calm: { candidate: { isEmpty: true } },
    });
  });

  it('have no latency above the tail where all are as long as it', () => {
    const history = historyOf(...times(30));
    for (const side of ['candidate', 'control'] as const) history.add(second(side), 31_000);
    const { candidate, control } = history.aligned().calm;
    expect([candidate, control].map((series) => series.column(tailColumn(1)))).toEqual([[0], [0]]);
  });

  it('lack a baseline only where the candidate has run', () => {
    const history = new SideHistory(1.1);
    history.add(second('control'), 0);
    expect(history.lacksBaseline).toBe(false);
    history.add(second('candidate'), 1000);
    expect(history.lacksBaseline).toBe(true);
    for (let i = 2; i < 30; i += 1) history.add(second('control'), 1000 * i);
    expect(history.lacksBaseline).toBe(false);
  });
});

describe('a stream', () => {
  it('is silent by what was watched: while the control was down nobody saw its frames', () => {
    const before = historyOf(...times(30));
    const restored = new SideHistory(1.1, before.state);
    const nightMs = 8 * 3_600_000;
    expect(restored.silent(['gate'], nightMs)).toEqual([]);
    expect(restored.silent(['gate'], nightMs + 599_999)).toEqual([]);
    expect(restored.silent(['gate'], nightMs + 600_000)).toEqual(['gate']);
    expect(before.silent(['gate'], nightMs)).toEqual(['gate']);
  });

  it('is waited for after the control was down, though its last frame is old', () => {
    const restored = new SideHistory(1.1, historyOf(...times(30)).state);
    const nightMs = 8 * 3_600_000;
    expect(restored.withoutBaseline(['gate'], nightMs)).toEqual(['gate']);
    restored.add(second('control'), nightMs);
    expect(restored.withoutBaseline(['gate'], nightMs + 30_000)).toEqual(['gate']);
    expect(restored.abandoned(['gate'], nightMs + 30_000)).toEqual([]);
  });
});

describe('a baseline', () => {
  it.each([
    ['500 frames, however soon', times(20), true],
    ['499 frames within a minute', [...times(19), { frames: 24 }], false],
    ['50 frames in a minute', [...times(10, { frames: 5 }), ...times(51, { frames: 0 })], true],
    ['50 frames in less', [...times(10, { frames: 5 }), ...times(50, { frames: 0 })], false],
    ['49 frames in a minute', [...times(7, { frames: 7 }), ...times(54, { frames: 0 })], false],
  ])('needs %s: %#', (_, seconds, isEnough) => {
    const history = historyOf(...seconds);
    const nowMs = 1000 * seconds.length;
    expect(history.withoutBaseline(['gate'], nowMs)).toEqual(isEnough ? [] : ['gate']);
  });

  it('is made from the last five minutes where others are always busy and frames are few', () => {
    const slow = { frames: 1, latenciesMs: [100], othersRatio: 0.5 };
    const history = historyOf(...times(200, slow), ...times(350, { ...slow, latenciesMs: [20] }));
    history.reset();
    expect(history.percentilesOf('gate')).toEqual({ p50: 20, p99: 20 });
  });
});
