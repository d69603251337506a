import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Actor,
  abort,
  decide,
  hold,
  isAlone,
  missingEvidence,
  promote,
  resume,
  start,
  undo,
} from '../../../../../src/fleet/control/rollout/rollout-machine.ts';
import {
  type Gain,
  GUARD_VERDICTS,
  type GuardReport,
  ROLLOUT_STATES,
  type Rollout,
} from '../../../../../src/wire/protocol/rollout-records.ts';
import { guardReport, rolloutRecord, seen } from '../../../../support/rollout-doubles.ts';

/** Step 1 of the sample began at 1 000 ms, lasts 60 s and needs 100 frames. */
function actor(
  reports: readonly GuardReport[],
  more: { nowMs?: number; frames?: number; unready?: number; silent?: number; emptyMs?: number; gain?: Gain } = {},
): Actor {
  const { nowMs = 61_000, frames = 100, unready = 0, silent = 0, emptyMs, gain } = more;
  return { who: 'host-1', nowMs, evidence: { frames, unready, silent, emptyMs, gain, reports } };
}

const pass = guardReport('pass');
const hard = (verdict: GuardReport['verdict']): GuardReport => guardReport(verdict, { guard: 'errors', kind: 'hard' });

describe('a step', () => {
  it('ends when every statistical guard passes, its time is over and enough frames were seen', () => {
    const change = decide(rolloutRecord(), 1, actor([hard('pass'), pass]));
    expect(change?.rollout).toMatchObject({ step: 2, share: 50, state: 'running', stepStartedMs: 61_000 });
    expect(change?.decision).toMatchObject({
      kind: 'advanced',
      who: 'host-1',
      isAutomatic: true,
      share: 50,
      frames: 100,
    });
    expect(change?.decision.reports).toEqual([hard('pass'), pass]);
    expect(decide(rolloutRecord(), 1, actor([pass]))?.rollout.reason).toMatch(
      /^1 guard passes on 100 frames: agreement: .*it is pass on 1200 frames/,
    );
    expect(change?.rollout.reason).toMatch(/^2 guards pass on 100 frames: errors: .*; agreement: /);
  });

  it('goes on a millisecond before its time is over, whatever the guards say', () => {
    expect(decide(rolloutRecord(), 1, actor([pass], { nowMs: 60_999 }))).toBeNull();
  });

  it.each<[string, Actor]>([
    ['a hard guard is about to decide', actor([pass, hard('undecided')])],
    ['one frame is missing', actor([pass], { frames: 99 })],
    ['a guard is undecided', actor([pass, guardReport('undecided', { guard: 'p99' })])],
    ['a guard has no data', actor([pass, guardReport('no-data', { guard: 'p99' })])],
    ['no guard has reported', actor([])],
    ['only hard guards pass', actor([hard('pass')])],
    ['a stream of the next step has no baseline', actor([pass], { unready: 1 })],
  ])('holds, and neither passes nor fails, if %s', (_, given) => {
    const change = decide(rolloutRecord(), 1, given);
    expect(change?.rollout).toMatchObject({ step: 1, share: 10, state: 'holding', heldBy: null });
    expect(change?.decision.kind).toBe('held');
    const held = rolloutRecord({ state: 'holding' });
    expect(decide(held, 1, given), 'it is said once').toBeNull();
    expect(decide(held, 1, actor([pass]))?.rollout, 'and goes on by itself').toMatchObject({
      step: 2,
      state: 'running',
    });
  });

  it('ends in the promotion if it was the last', () => {
    const change = decide(rolloutRecord({ step: 3, share: 100 }), 12, actor([pass]));
    expect(change?.rollout).toMatchObject({ step: 3, share: 100, state: 'promoted', endedMs: 61_000 });
    expect(change?.decision.kind).toBe('promoted');
  });

  it('at 100 % ends in one more step, in which the candidate is alone', () => {
    const steps = [0, 50, 100, 100];
    const change = decide(rolloutRecord({ steps, step: 2, share: 100 }), 12, actor([pass]));
    expect(change?.rollout).toMatchObject({ step: 3, share: 100, state: 'running' });
    expect(isAlone(change!.rollout)).toBe(true);
    expect(isAlone(rolloutRecord({ steps, step: 2, share: 100 }))).toBe(false);
    expect(isAlone(rolloutRecord({ steps, step: 3, share: 100, state: 'promoted' }))).toBe(false);
  });

  it.each<[string, readonly GuardReport[], string | undefined]>([
    ['every stream is carried', [guardReport('pass', { guard: 'fullLoad' })], 'promoted'],
    ['nothing says so', [pass], 'held'],
    ['that is undecided', [guardReport('undecided', { guard: 'fullLoad' }), pass], 'held'],
    [
      'a guard that needs the control has none',
      [guardReport('pass', { guard: 'fullLoad' }), guardReport('no-data')],
      'promoted',
    ],
    [
      'frames that both infer leave a doubt',
      [guardReport('pass', { guard: 'fullLoad' }), guardReport('undecided', { frames: 1 })],
      'held',
    ],
    ['boxes of late frames fail', [guardReport('pass', { guard: 'fullLoad' }), guardReport('fail')], 'rolled-back'],
    ['a hard guard fails', [guardReport('pass', { guard: 'fullLoad' }), hard('fail')], 'rolled-back'],
    ['streams lose frames', [guardReport('fail', { guard: 'fullLoad' }), pass], 'rolled-back'],
  ])('alone with all streams is %s -> %s', (_, reports, kind) => {
    const alone = rolloutRecord({ steps: [0, 50, 100, 100], step: 3, share: 100 });
    expect(decide(alone, 12, actor(reports))?.decision.kind).toBe(kind);
  });

  it('writes the measured gain into the record with the promotion, also by a person', () => {
    const gain = { ratio: 2, low: 1.8, high: 2.2, controlMs: 20, candidateMs: 10 };
    const alone = rolloutRecord({ steps: [0, 50, 100, 100], step: 3, share: 100 });
    const carried = guardReport('pass', { guard: 'fullLoad' });
    expect(decide(alone, 12, actor([carried], { gain }))?.rollout.measured).toEqual(gain);
    expect(promote(alone, actor([], { gain }), seen(alone)).rollout.measured).toEqual(gain);
    expect(decide(alone, 12, actor([hard('fail')], { gain }))?.rollout.measured).toBeUndefined();
  });

  it.each([
    ['hard', hard('fail')],
    ['statistical', guardReport('fail')],
  ])('is rolled back by one %s guard at once, also while a person holds it', (_, failed) => {
    for (const state of [rolloutRecord(), rolloutRecord({ state: 'holding', heldBy: 'anna' })]) {
      const change = decide(state, 1, actor([pass, failed], { nowMs: 1001, frames: 1 }));
      expect(change?.rollout).toMatchObject({ state: 'rolled-back', share: 0, endedMs: 1001, heldBy: null });
      expect(change?.rollout.reason).toContain(`${failed.guard}: ${failed.reason} `);
    }
  });

  it('without any stream on the candidate needs no guard of live figures, but one that compares boxes', () => {
    const live = guardReport('no-data', { guard: 'p99' });
    expect(decide(rolloutRecord(), 0, actor([pass, live]))?.decision.kind).toBe('advanced');
    expect(decide(rolloutRecord(), 0, actor([guardReport('no-data'), live]))?.decision.kind).toBe('held');
    expect(decide(rolloutRecord(), 0, actor([guardReport('undecided'), live]))?.decision.kind).toBe('held');
  });

  it('at 0 % without shadow frames lasts until every stream has a baseline, at most a minute otherwise', () => {
    const first = rolloutRecord({ step: 0, share: 0, holdMs: 600_000 });
    const idle = { frames: 0, nowMs: 61_000 };
    expect(decide(first, 0, actor([], { ...idle, nowMs: 60_999 }))).toBeNull();
    expect(decide(first, 0, actor([], { ...idle, unready: 3 }))?.decision.kind).toBe('held');
    expect(decide(first, 0, actor([], idle))?.rollout).toMatchObject({ step: 1, share: 10 });
    const { evidence, ...rest } = actor([], idle);
    const change = decide(first, 0, { ...rest, evidence: { ...evidence, abandoned: 2 } });
    expect(change?.rollout.reason, 'and names what it went on without').toContain(
      '2 streams of the next step have published too little for a baseline and will be compared later.',
    );
  });

  it('at 0 % with shadow frames waits for them', () => {
    const first = rolloutRecord({ step: 0, share: 0, shadow: true });
    expect(missingEvidence(first, 0, { frames: 99, unready: 0, reports: [pass] })).toContain('99 of 100');
    expect(missingEvidence(first, 0, { frames: 100, unready: 0, reports: [pass] })).toBeNull();
  });
});

describe('the last step beside others that are busy', () => {
  const alone = rolloutRecord({ steps: [0, 50, 100, 100], step: 3, share: 100 });
  const undecided = guardReport('undecided', { guard: 'fullLoad' });
  const needing = (report: GuardReport): Actor => {
    const asked = actor([report]);
    return { ...asked, evidence: { ...asked.evidence, needsControl: true } };
  };

  it('goes back to the turns if it cannot be judged without the control', () => {
    const change = decide(alone, 1, needing(undecided));
    expect(change?.rollout).toMatchObject({ step: 2, share: 100, state: 'running', stepStartedMs: 61_000 });
    expect(change?.rollout.reason).toMatch(/^Both versions take turns again\. Waiting for fullLoad/);
    expect(change?.decision).toMatchObject({ kind: 'resumed', isAutomatic: true });
  });

  it('does not where it passes or fails, where a person holds it, or where turns are taken', () => {
    expect(decide(alone, 1, needing(guardReport('pass', { guard: 'fullLoad' })))?.rollout.state).toBe('promoted');
    expect(decide(alone, 1, needing(guardReport('fail', { guard: 'fullLoad' })))?.rollout.state).toBe('rolled-back');
    expect(decide({ ...alone, heldBy: 'anna', state: 'holding' }, 1, needing(undecided))).toBeNull();
    const turns = rolloutRecord({ steps: [0, 50, 100, 100], step: 2, share: 100, state: 'holding' });
    expect(decide(turns, 1, needing(undecided))).toBeNull();
  });
});

describe('a step that gives no evidence', () => {
  const noData = guardReport('no-data', { estimate: null, low: null, high: null });
  const silent = { frames: 0, silent: 2 };

  it('ends if all of its streams are silent: the next one has others', () => {
    const change = decide(rolloutRecord(), 2, actor([noData], silent));
    expect(change?.rollout).toMatchObject({ step: 2, share: 50, state: 'running' });
    expect(change?.rollout.reason).toBe(
      'All 2 streams at 10 % published no frame for 10 minutes: there is nothing to compare before the next step.',
    );
    const holding = rolloutRecord({ state: 'holding' });
    expect(decide(holding, 2, actor([noData], silent))?.rollout, 'also if it holds already').toMatchObject({ step: 2 });
  });

  it('ends 10 minutes after its last stream was removed', () => {
    const gone = { frames: 0, emptyMs: 600_000 };
    const change = decide(rolloutRecord({ state: 'holding' }), 0, actor([noData], gone));
    expect(change?.rollout).toMatchObject({ step: 2, share: 50, state: 'running' });
    expect(change?.rollout.reason).toBe('No stream at 10 % is left: there is nothing to compare before the next step.');
    const kind = (rollout: Rollout, reports: GuardReport[], emptyMs: number) =>
      decide(rollout, 0, actor(reports, { frames: 0, emptyMs }))?.decision.kind;
    const against = guardReport('undecided', { estimate: 0.09, margin: 0.03 });
    expect(kind(rolloutRecord(), [noData], 599_999), 'it may come back').toBe('held');
    expect(kind(rolloutRecord(), [against], 600_000), 'something speaks against it').toBe('held');
    expect(kind(rolloutRecord({ shadow: true }), [noData], 600_000), 'others are compared').toBe('held');
  });

  it.each<[string, GuardReport[], number]>([
    ['one stream still publishes', [noData], 1],
    ['what was seen speaks against the candidate', [guardReport('undecided', { estimate: 0.09, margin: 0.03 })], 2],
    ['it may be missing its target', [hard('undecided')], 2],
  ])('holds if %s', (_, reports, count) => {
    expect(decide(rolloutRecord(), 2, actor(reports, { frames: 0, silent: count }))?.decision.kind).toBe('held');
  });

  it('is never promoted for that: the last one holds', () => {
    const last = rolloutRecord({ step: 3, share: 100 });
    expect(decide(last, 2, actor([noData], silent))?.decision.kind).toBe('held');
    const sameShare = rolloutRecord({ steps: [0, 10, 10, 100] });
    expect(decide(sameShare, 2, actor([noData], silent))?.decision.kind, 'nor for a step without others').toBe('held');
  });

  it('ends the roll-out after 24 hours of waiting, but not while a person holds it', () => {
    const heldMs = 1_700_000_000_000;
    const nowMs = heldMs + 24 * 3_600_000;
    const held = rolloutRecord({ state: 'holding', fence: heldMs * 1000 });
    expect(decide(held, 2, actor([noData], { nowMs: nowMs - 1 }))).toBeNull();
    const change = decide(held, 2, actor([noData], { nowMs }));
    expect(change?.rollout).toMatchObject({ state: 'rolled-back', share: 0 });
    expect(change?.rollout.reason).toMatch(/^Undecided for 24 hours\. Waiting for agreement/);
    expect(decide({ ...held, heldBy: 'anna' }, 2, actor([noData], { nowMs }))).toBeNull();
  });
});

describe('no sequence of reports', () => {
  const report = fc.record({
    verdict: fc.constantFrom(...GUARD_VERDICTS),
    kind: fc.constantFrom('hard' as const, 'statistical' as const),
  });

  it('promotes a candidate with a guard that did not pass, or without data', () => {
    fc.assert(
      fc.property(fc.array(report, { maxLength: 6 }), fc.nat(200), fc.nat(200_000), (list, frames, nowMs) => {
        const reports = list.map(({ verdict, kind }, i) => guardReport(verdict, { guard: `g${i}`, kind }));
        const change = decide(rolloutRecord({ step: 3, share: 100 }), 12, actor(reports, { frames, nowMs }));
        const statistical = reports.filter(({ kind }) => kind === 'statistical');
        const isProven =
          statistical.length > 0 &&
          statistical.every(({ verdict }) => verdict === 'pass') &&
          reports.every(({ verdict }) => verdict !== 'fail') &&
          reports.every(({ kind, verdict }) => kind === 'statistical' || verdict !== 'undecided') &&
          frames >= 100 &&
          nowMs >= 61_000;
        expect(change?.rollout.state === 'promoted').toBe(isProven);
        expect(change?.rollout.state === 'rolled-back').toBe(reports.some(({ verdict }) => verdict === 'fail'));
      }),
    );
  });
});

describe('a person', () => {
  const anna = { ...actor([]), who: 'anna' };

  it('promotes step by step, or at once', () => {
    const [now, last] = [rolloutRecord(), rolloutRecord({ step: 3, share: 100 })];
    expect(promote(now, anna, seen(now)).rollout).toMatchObject({ step: 2, share: 50, state: 'running' });
    expect(promote(last, anna, seen(last)).rollout).toMatchObject({ state: 'promoted' });
    expect(promote(now, anna, seen(now), true).rollout).toMatchObject({ step: 3, share: 100, state: 'promoted' });
    expect(promote(now, anna, seen(now)).decision).toMatchObject({ who: 'anna', isAutomatic: false });
  });

  it.each([
    ['an earlier step', { rollout: 'rollout-1', step: 0 }],
    ['the same step of an earlier roll-out', { rollout: 'rollout-0', step: 1 }],
    ['no step', null],
  ])('cannot promote who saw %s', (_, stale) => {
    for (const isFull of [false, true])
      expect(() => promote(rolloutRecord(), anna, stale, isFull)).toThrow(
        expect.objectContaining({ code: 'ROLLOUT_STATE', message: expect.stringContaining('it is at step 1 (10 %)') }),
      );
  });

  it('tells the two steps at 100 % apart', () => {
    const steps = { steps: [0, 50, 100, 100], share: 100 };
    const compared = rolloutRecord({ ...steps, step: 2 });
    const alone = rolloutRecord({ ...steps, step: 3 });
    expect(promote(compared, anna, seen(compared)).rollout).toMatchObject({ step: 3, state: 'running' });
    expect(() => promote(alone, anna, seen(compared))).toThrow('it is at step 3 (100 %, alone)');
    expect(() => promote(compared, anna, seen(alone))).toThrow('it is at step 2 (100 %)');
    expect(promote(alone, anna, seen(alone)).decision.reason).toBe('anna promoted it at 100 %, alone.');
  });

  it('holds: no guard moves it on until the hold ends', () => {
    const held = { ...hold(rolloutRecord(), anna).rollout, fence: 8 };
    expect(held).toMatchObject({ state: 'holding', heldBy: 'anna', share: 10 });
    expect(decide(held, 1, actor([pass]))).toBeNull();
    const resumed = { ...resume(held, anna).rollout, fence: 9 };
    expect(resumed).toMatchObject({ state: 'running', heldBy: null, stepStartedMs: 1000 });
    expect(decide(resumed, 1, actor([pass]))?.rollout.step).toBe(2);
    expect(promote(held, anna, seen(held)).rollout).toMatchObject({ heldBy: null, state: 'running', step: 2 });
  });

  it('aborts or undoes it: no stream uses the candidate', () => {
    expect(abort(rolloutRecord(), anna).rollout).toMatchObject({ state: 'aborted', share: 0 });
    expect(undo(rolloutRecord(), anna).rollout).toMatchObject({ state: 'rolled-back', share: 0 });
    expect(undo(rolloutRecord({ state: 'promoted', share: 100 }), anna).rollout).toMatchObject({
      state: 'rolled-back',
    });
  });

  it.each(ROLLOUT_STATES)('names the state that is required, if it is %s', (state) => {
    const record = rolloutRecord({ state });
    const isActive = state === 'running' || state === 'holding';
    const refused = expect.objectContaining({ code: 'ROLLOUT_STATE' });
    const promoteSeen = (now: Rollout, by: Actor): unknown => promote(now, by, seen(now));
    for (const act of [promoteSeen, hold, abort]) if (!isActive) expect(() => act(record, anna)).toThrow(refused);
    if (state === 'rolled-back' || state === 'aborted') expect(() => undo(record, anna)).toThrow(refused);
    expect(() => resume(record, anna)).toThrow(refused);
    const { id: _, fence: __, ...settings } = rolloutRecord();
    if (isActive)
      expect(() => start(record, settings, anna)).toThrow(expect.objectContaining({ code: 'ROLLOUT_RUNNING' }));
    else {
      const started = start(record, { ...settings, steps: [0, 25, 100] }, anna).rollout;
      expect(started).toMatchObject({ id: 'rollout-2', step: 0, share: 0 });
      expect(started.reason, 'the first share with streams').toContain('first to 25 %');
    }
    if (!isActive) expect(decide(record, 1, actor([guardReport('fail')]))).toBeNull();
  });
});
