import { describe, expect, it } from 'vitest';
import type { StepEvidence } from '../../../../../src/fleet/control/rollout/rollout-machine.ts';
import { waitingFor } from '../../../../../src/fleet/control/rollout/waiting-for.ts';
import type { Rollout } from '../../../../../src/wire/protocol/rollout-records.ts';
import { guardReport, rolloutRecord } from '../../../../support/rollout-doubles.ts';

/** Step 1 of the sample began at 1 000 ms, lasts 60 s and needs 100 frames. */
function sentence(
  evidence: Partial<StepEvidence>,
  more: { rollout?: Partial<Rollout>; nowMs?: number; members?: number; streams?: number } = {},
): string {
  const { members = 2, streams = 12 } = more;
  const known = { frames: 100, unready: 0, reports: [guardReport('pass')], ...evidence };
  return waitingFor(rolloutRecord(more.rollout), { members, streams }, known, more.nowMs ?? 61_000);
}

describe('what a roll-out waits for', () => {
  it('is one sentence with everything that is missing and the longest time', () => {
    const p99 = guardReport('undecided', { guard: 'p99', leftMs: 240_000 });
    const fps = guardReport('undecided', { guard: 'fps', leftMs: 30_000 });
    expect(sentence({ frames: 50, reports: [p99, fps] }, { nowMs: 31_000 })).toBe(
      'Waiting for the time of the step, frames (50 of 100) and the guards p99 and fps: about 4 min left.',
    );
  });

  it('names the baseline of the step at 0 %, and when it is complete', () => {
    const first = { step: 0, share: 0 };
    expect(sentence({ frames: 0, reports: [] }, { rollout: first, nowMs: 21_000 })).toBe(
      'Waiting for the time of the step: about 40 s left.',
    );
    expect(sentence({ frames: 0, reports: [], unready: 3, readyInMs: 90_000 }, { rollout: first })).toBe(
      'Waiting for a baseline of 3 streams: about 90 s left.',
    );
  });

  it('says that the time is unknown: without frames, or with a guard without data', () => {
    const unknown = 'how long that takes cannot be said yet.';
    const last = { step: 3, share: 100 };
    expect(sentence({ frames: 0 }, { rollout: last })).toBe(`Waiting for frames (0 of 100): ${unknown}`);
    const noData = guardReport('no-data', { guard: 'p99' });
    expect(sentence({ reports: [noData] })).toBe(`Waiting for the guard p99: ${unknown}`);
    expect(sentence({ reports: [] })).toBe(`Waiting for the guards: ${unknown}`);
  });

  it('names only the full load once the candidate is alone', () => {
    const alone = { steps: [0, 50, 100, 100], step: 3, share: 100 };
    const reports = [guardReport('no-data', { guard: 'p99' }), guardReport('undecided', { guard: 'fullLoad' })];
    expect(sentence({ reports }, { rollout: alone })).toMatch(/^Waiting for the guard fullLoad:/);
  });

  it('says when a step that nobody decides is rolled back', () => {
    // It has held for two hours; a fence counts microseconds.
    const holding = { state: 'holding', fence: 0 } as const;
    const reports = [guardReport('no-data', { guard: 'p99' })];
    expect(sentence({ reports }, { rollout: holding, nowMs: 2 * 3_600_000 })).toBe(
      'Waiting for the guard p99: how long that takes cannot be said; if nobody promotes it, it is rolled back in 22 h.',
    );
  });

  it('never says more than the time after which it is rolled back', () => {
    const bound = 'at most 22 h left; if nobody promotes it, it is rolled back then.';
    const holding = { state: 'holding', fence: 0 } as const;
    const nowMs = 2 * 3_600_000;
    const slow = guardReport('undecided', { guard: 'p99', leftMs: 67 * 3_600_000 });
    expect(sentence({ reports: [slow] }, { rollout: holding, nowMs })).toBe(`Waiting for the guard p99: ${bound}`);
    // 1 frame in two hours: 99 more take 198 h.
    expect(sentence({ frames: 1 }, { rollout: holding, nowMs })).toBe(`Waiting for frames (1 of 100): ${bound}`);
    expect(sentence({ reports: [slow] }), 'nor while it does not hold yet').toContain('at most 24 h left;');
  });

  it('waits for a baseline for ten minutes of the step at most', () => {
    const first = { step: 0, share: 0 };
    for (const readyInMs of [null, 67 * 3_600_000])
      expect(sentence({ frames: 0, reports: [], unready: 1, readyInMs }, { rollout: first })).toBe(
        'Waiting for a baseline of 1 stream: at most 9 min left.',
      );
  });

  it('says when a step whose streams are dead or removed is left', () => {
    const noData = [guardReport('no-data', { guard: 'p99', estimate: null })];
    const holding = { state: 'holding', fence: 61_000_000 } as const;
    expect(sentence({ frames: 0, reports: noData }, { rollout: holding })).toBe(
      'Waiting for frames (0 of 100) and the guard p99: if the cameras of this step send nothing, it is left out in 9 min; if they send frames and the candidate gives no result, it is rolled back.',
    );
    expect(sentence({ frames: 0, reports: noData }, { rollout: holding, members: 0 })).toBe(
      'Waiting for streams, none of those at 10 % is left: if none comes back, this step is left out in at most 10 min.',
    );
  });

  it('says when it is rolled back if no stream is left at all, however many frames there were', () => {
    for (const frames of [0, 50, 100])
      expect(sentence({ frames }, { rollout: { state: 'holding', fence: 61_000_000 }, members: 0, streams: 0 })).toBe(
        'Waiting for streams, none is known: if none comes, it is rolled back in 24 h.',
      );
  });

  it('estimates frames from the rate so far', () => {
    // 25 frames in 30 s: 75 more take 90 s.
    expect(sentence({ frames: 25 }, { nowMs: 31_000 })).toContain('about 90 s left');
  });

  it('names the person who holds it, and says when nothing is missing', () => {
    expect(sentence({}, { rollout: { state: 'holding', heldBy: 'anna' } })).toBe(
      'Held by anna: it continues when a person resumes or promotes it.',
    );
    expect(sentence({})).toBe('Waiting for nothing: the next step begins in a moment.');
  });

  it.each([
    [99_000, '99 s'],
    [100_000, '2 min'],
    [5_940_000, '99 min'],
    [6_000_001, '2 h'],
  ])('rounds %d ms up to %s', (leftMs, text) => {
    expect(sentence({ reports: [guardReport('undecided', { leftMs })] })).toContain(`about ${text} left`);
  });
});
