import { describe, expect, it } from 'vitest';
import { type RecordedEvidence, recordedReport } from '../../../../../src/fleet/control/rollout/recorded-verdict.ts';
import { abort, decide, promote } from '../../../../../src/fleet/control/rollout/rollout-machine.ts';
import { waitingFor } from '../../../../../src/fleet/control/rollout/waiting-for.ts';
import type { GuardReport, RecordedFinding } from '../../../../../src/wire/protocol/rollout-records.ts';
import { guardReport, rolloutRecord, seen } from '../../../../support/rollout-doubles.ts';

/** Events of a stream: of those before, so many are lost; the candidate has as many new ones as given. */
function judged(stream: string, before: number, lost: number, gained = 0): RecordedFinding {
  const after = before - lost + gained;
  return { stream, state: 'judged', reason: '', frames: 100, before, lost, after, gained };
}

const without = (stream: string, state: 'none' | 'failed', reason: string): RecordedFinding => ({
  ...judged(stream, 0, 0),
  frames: 0,
  state,
  reason,
});

function report(recorded: readonly RecordedFinding[], more: Partial<RecordedEvidence> = {}, guards: object = {}) {
  const found = new Map([['one', { recorded, isDone: true }]]);
  const streams = recorded.map(({ stream }) => stream);
  return recordedReport({ recorded: guards }, { found, hosts: ['one'], streams, elapsedMs: 1000, ...more });
}

describe('what recordings say of a candidate', () => {
  it('is decided by the exact interval: 36 events without a loss are enough for a tenth, 35 are not', () => {
    // 1 - 0.025^(1/36) = 0.0974, 1 - 0.025^(1/35) = 0.10003
    expect(report([judged('door', 36, 0)])).toMatchObject({ verdict: 'pass', estimate: 0, margin: 0.1, frames: 100 });
    expect(report([judged('door', 36, 0)]).high).toBeCloseTo(0.0974, 4);
    const few = report([judged('door', 35, 0)]);
    expect(few).toMatchObject({ verdict: 'undecided', guard: 'recorded' });
    expect(few.reason).toMatch(
      /^Not enough events to judge\. 36 without a loss would do\. Events on 1 recorded stream: /,
    );
    expect(report([judged('door', 0, 0)])).toMatchObject({ verdict: 'undecided', estimate: null });
  });

  it.each([
    // The lower bound of 20 of 20 is 0.025^(1/20) = 0.832; of 1 of 1 it is 0.025.
    ['all of 20 lost', [judged('door', 20, 20)], 'fail'],
    ['one of one lost', [judged('door', 1, 1)], 'undecided'],
    ['as many events that nobody had', [judged('door', 40, 0, 200)], 'fail'],
    ['a few new ones', [judged('door', 40, 0, 4)], 'pass'],
  ] as const)('%s: %s', (_, findings, verdict) => {
    expect(report(findings).verdict).toBe(verdict);
  });

  it('fails for a single stream that is blind, however many others see, and names it; not for chance on one of many', () => {
    const others = Array.from({ length: 9 }, (_, i) => judged(`camera-${i}`, 40, 0));
    const blind = report([...others, judged('gate', 8, 8)]);
    expect(blind.verdict).toBe('fail');
    expect(blind.streams).toEqual([expect.objectContaining({ stream: 'gate', verdict: 'fail', estimate: 1 })]);
    expect(blind.reason).toContain('gate: 8 of 8 lost');
    // One of one alone is below a level of 0.05 divided by 10.
    const chance = report([...others, judged('gate', 2, 1)]);
    expect(chance.verdict).toBe('pass');
    expect(chance.streams).toEqual([expect.objectContaining({ stream: 'gate', verdict: 'undecided' })]);
  });

  it('is unknown until every host and stream has answered, and counts what several hosts recorded of one', () => {
    const door = judged('door', 20, 0);
    const one = { recorded: [door], isDone: true };
    const half = new Map([['one', one]]);
    expect(report([door], { found: half, hosts: ['one', 'two'] }).verdict).toBe('no-data');
    expect(report([door], { streams: ['door', 'gate'] }).reason).toContain('1 of 2 streams done');
    const both = new Map([...half, ['two', { recorded: [door], isDone: true }]]);
    expect(report([door], { found: both, hosts: ['one', 'two'] })).toMatchObject({ verdict: 'pass', frames: 200 });
  });

  it('at its time limit says what was not judged, passes nothing, and still fails', () => {
    const late = { streams: ['door', 'gate'], elapsedMs: 60_000 };
    const limit = { limitMs: 60_000 };
    const passed = report([judged('door', 40, 0)], late, limit);
    expect(passed).toMatchObject({ verdict: 'undecided' });
    expect(passed.reason).toMatch(/The time of 1 min is over\. .*gate: not judged, since no host answered for it\./);
    expect(report([judged('door', 40, 30)], late, limit).verdict).toBe('fail');
  });

  it('says of streams without rules or recordings that they have none; one that could not be judged keeps it from passing', () => {
    const none = without('yard', 'none', 'it has no rules that recordings can show.');
    const passed = report([judged('door', 40, 0), none]);
    expect(passed.verdict).toBe('pass');
    expect(passed.reason).toContain('yard: it has no rules');
    const failed = report([judged('door', 40, 0), without('gate', 'failed', 'no weights [MODEL_WEIGHTS_MISSING]')]);
    expect(failed.verdict).toBe('undecided');
    expect(failed.reason).toContain('gate: no weights [MODEL_WEIGHTS_MISSING]');
  });
});

describe('a roll-out that tries its candidate on recordings first', () => {
  const span = { recorded: { fromMs: 0, toMs: 1000 }, steps: [0, 0, 10, 100, 100], step: 0, share: 0 };
  const record = (more: object = {}) => rolloutRecord({ ...span, ...more });
  const actor = (verdict: GuardReport['verdict'], nowMs = 2000) => ({
    who: 'host-1',
    nowMs,
    evidence: { frames: 0, unready: 3, reports: [guardReport(verdict, { guard: 'recorded' })] },
  });

  it('goes on to the baseline when they pass, however short it was and whatever has no baseline yet', () => {
    const change = decide(record(), 0, actor('pass', 1001))!;
    expect(change.rollout).toMatchObject({ step: 1, share: 0, state: 'running' });
    expect(change.decision).toMatchObject({ kind: 'advanced', reason: 'it is pass on 1200 frames' });
  });

  it('is refused when they fail, with the reason and what to do', () => {
    const change = decide(record(), 0, actor('fail'))!;
    expect(change.rollout).toMatchObject({ state: 'rolled-back', step: 0, share: 0 });
    expect(change.rollout.reason).toMatch(/^recorded: it is fail .*sightline events --recorded/);
  });

  it('neither holds nor ends while they run, and says so', () => {
    expect(decide(record(), 0, actor('no-data', 3_600_000))).toBeNull();
    expect(waitingFor(record(), { members: 0, streams: 2 }, actor('no-data').evidence, 1000)).toBe(
      'Waiting for the events on what is recorded: at most 4 h left.',
    );
  });

  it('is undecided if there are too few events: a person decides, or it continues if told to', () => {
    const held = decide(record(), 0, actor('undecided'))!;
    expect(held.rollout).toMatchObject({ state: 'holding', step: 0 });
    expect(held.rollout.reason).toContain('"rollout promote" goes on without that');
    expect(decide(record({ state: 'holding' }), 0, actor('undecided')), 'it is said once').toBeNull();
    const promoted = promote(record({ state: 'holding' }), actor('undecided'), seen(record()));
    expect(promoted.rollout).toMatchObject({ step: 1, share: 0, state: 'running' });
    const told = record({ guards: { recorded: { undecided: 'continue' } } });
    const change = decide(told, 0, actor('undecided'))!;
    expect(change.rollout).toMatchObject({ step: 1, share: 0, state: 'running' });
    expect(change.rollout.reason).toContain('continues all the same');
  });

  it('is judged by them in its first step alone, and aborted as ever', () => {
    expect(decide(record({ step: 1 }), 0, actor('no-data'))).toBeNull();
    expect(decide(record({ step: 1, stepStartedMs: 0 }), 0, actor('no-data', 60_000))?.decision.kind).toBe('held');
    expect(abort(record(), actor('no-data')).rollout.state).toBe('aborted');
  });
});
