import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../src/errors/sightline-error.ts';
import { judgeTargets, parseTargets } from '../../../src/measure/targets.ts';
import type { TrialResult } from '../../../src/measure/trial-result.ts';
import { QUIET, trialResult } from '../../support/trial-figures.ts';

function judgeOne(text: string, changes: Partial<TrialResult>) {
  return judgeTargets(parseTargets(text), trialResult(changes))[0]!;
}

/** Latencies of which this many are above 50 ms. */
function latencies(frames: number, misses: number): number[] {
  return Array.from({ length: frames }, (_, i) => (i < misses ? 51 : 20));
}

describe('parsing targets', () => {
  it('knows rates, percentiles, streams, drops and the CPU, with their units', () => {
    const parsed = parseTargets('fps>=30, p50<=20,p90<=0.03s,p95<=40ms,p99<=50ms,streams>=8,drops<=1%,cpu<=80%');
    expect(parsed.map(({ metric, limit }) => [metric, limit])).toEqual([
      ['fps', 30],
      ['p50', 20],
      ['p90', 30],
      ['p95', 40],
      ['p99', 50],
      ['streams', 8],
      ['drops', 0.01],
      ['cpu', 0.8],
    ]);
    expect(parsed.map(({ text }) => text)).toContain('p90<=30ms');
  });

  it.each([
    ['', 'expected one of fps, streams, p50'],
    ['fps>=30,', 'expected one of'],
    ['speed>=30', 'expected one of'],
    ['toString>=1', 'expected one of'],
    ['fps<=30', 'expected fps>='],
    ['p99>=50ms', 'expected p99<='],
    ['p99<=50fps', 'expected one of'],
    ['p99<=50%', 'expected the unit ms, received %'],
    ['fps>=30ms', 'expected no unit, received ms'],
    ['fps>=0', 'above 0'],
    ['fps>=-3', 'expected one of'],
    ['p99<=50ms,p99<=60ms', 'p99 again'],
  ])('%j is refused with the reason', (text, reason) => {
    expect(() => parseTargets(text)).toThrow(SightlineError);
    expect(() => parseTargets(text)).toThrow(reason);
  });
});

describe('judging targets', () => {
  // The numbers of frames are those of MLPerf's early stopping.
  it.each([
    [459, 0, 'met'],
    [458, 0, 'not enough frames'],
    [662, 1, 'met'],
    [661, 1, 'not enough frames'],
    [1307, 5, 'met'],
    [1306, 5, 'not enough frames'],
    [2000, 21, 'missed'],
  ])('p99 over %i frames with %i misses is %s', (frames, misses, state) => {
    const verdict = judgeOne('p99<=50ms', { latenciesMs: latencies(frames, misses) });
    expect(verdict.state).toBe(state);
    expect(verdict.reason).toContain(`${misses} of ${frames} frames`);
  });

  it('a p99 without any frame is never met', () => {
    expect(judgeOne('p99<=50ms', { latenciesMs: [] }).state).toBe('not enough frames');
    expect(judgeOne('p99<=50ms', { latenciesMs: null }).state).toBe('not enough frames');
  });

  it('fps is that of the slowest stream, not the mean', () => {
    expect(judgeOne('fps>=24', { streamFps: [40, 20], seconds: 20 })).toMatchObject({ state: 'missed', measured: 20 });
    expect(judgeOne('fps>=24', { streamFps: [40, 25], seconds: 20 }).state).toBe('met');
  });

  it('a camera of exactly the rate is not missed for the frame at the edge of the time', () => {
    // 30 frames/s for 10 s: 299 or 300 frames, depending on where the time begins.
    expect(judgeOne('fps>=30', { streamFps: [29.9], seconds: 10 }).state).toBe('met');
    expect(judgeOne('fps>=30', { streamFps: [29.8], seconds: 10 }).state).toBe('missed');
  });

  it('drops, CPU and streams are compared as they are', () => {
    expect(judgeOne('drops<=1%', { dropRatio: 0.011 }).state).toBe('missed');
    expect(judgeOne('drops<=1%', { dropRatio: 0.01 }).state).toBe('met');
    expect(judgeOne('cpu<=80%', { machine: { ...QUIET, ownRatio: 0.81 } }).state).toBe('missed');
    expect(judgeOne('cpu<=80%', { machine: { ...QUIET, ownRatio: null } }).state).toBe('not enough frames');
    expect(judgeOne('streams>=8', { streams: 7 })).toMatchObject({ state: 'missed', measured: 7 });
  });

  it('the gap is the distance to the limit as a share of it, positive on the good side', () => {
    expect(judgeOne('fps>=50', { streamFps: [40] }).gap).toBeCloseTo(-0.2, 12);
    expect(judgeOne('p50<=50ms', { latenciesMs: latencies(100, 0) }).gap).toBeCloseTo(0.6, 12);
  });
});
