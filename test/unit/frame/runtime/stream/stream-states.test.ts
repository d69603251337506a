import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ErrorCode } from '../../../../../src/base/errors/error-codes.ts';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { STREAM_TRANSITIONS, StreamLife } from '../../../../../src/frame/runtime/stream/stream-states.ts';
import { STREAM_STATES, type StreamState } from '../../../../../src/wire/protocol/report.ts';

/** States that can be reached from a state, itself included. */
function reach(from: StreamState): Set<StreamState> {
  const seen = new Set<StreamState>([from]);
  for (const state of seen) for (const next of STREAM_TRANSITIONS[state]) seen.add(next);
  return seen;
}

describe('the newest error of a stream', () => {
  afterEach(() => vi.useRealTimers());

  const of = (code: ErrorCode, message = 'why'): SightlineError => new SightlineError(code, message);

  it('has the time since when it is the reason: the same one again does not change it, another one does', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1000 });
    const life = new StreamLife('cam', () => undefined);
    const seen = (): unknown[] => [life.lastError, life.lastErrorAtMs];
    expect(seen()).toEqual([null, null]);
    life.enter('running');
    life.enter('reconnecting', of('SOURCE_STALLED', 'no frame for 3000 ms'));
    expect(seen()).toEqual(['no frame for 3000 ms', 1000]);
    vi.setSystemTime(2000);
    life.noteError(of('SOURCE_UNAUTHORIZED', 'refuses the password'));
    expect(seen()).toEqual(['refuses the password', 2000]);
    vi.setSystemTime(3000);
    life.noteError(of('SOURCE_UNAUTHORIZED', 'refuses the password'));
    expect(seen()).toEqual(['refuses the password', 2000]);
  });

  it('is a new one after it ran in between, and none after it was forgotten', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1000 });
    const life = new StreamLife('cam', () => undefined);
    life.enter('reconnecting', of('SOURCE_UNREACHABLE'));
    life.enter('running');
    vi.setSystemTime(5000);
    life.enter('reconnecting', of('SOURCE_UNREACHABLE'));
    expect(life.lastErrorAtMs).toBe(5000);
    life.noteError(null);
    expect([life.lastError, life.lastErrorAtMs]).toEqual([null, null]);
  });
});

it('a pause that nobody ordered is reported as a start: its source is opened again', () => {
  const life = new StreamLife('gate', () => undefined);
  life.enter('running');
  life.enter('pausing', undefined, null);
  expect([life.state, life.reported]).toEqual(['pausing', 'starting']);
  life.enter('paused', undefined, null);
  expect([life.state, life.reported]).toEqual(['paused', 'starting']);
  life.enter('starting', undefined, 'settings changed');
  life.enter('pausing');
  expect(life.reported).toBe('pausing');
  life.enter('paused');
  expect(life.reported).toBe('paused');
});

describe('the state table of a stream', () => {
  it('reaches every state from `starting`', () => {
    expect([...reach('starting')].sort()).toEqual([...STREAM_STATES].sort());
  });

  it('can start a removal from every state but the last, in at most one step', () => {
    for (const state of STREAM_STATES) {
      const isOver = state === 'removing' || state === 'removed';
      expect(STREAM_TRANSITIONS[state].includes('removing'), state).toBe(!isOver);
    }
    expect(STREAM_TRANSITIONS.removing).toEqual(['removed']);
    expect(STREAM_TRANSITIONS.removed).toEqual([]);
  });

  it('can restart after a pause, an end and a failure, and only then', () => {
    const startable = STREAM_STATES.filter((state) => STREAM_TRANSITIONS[state].includes('starting'));
    expect(startable).toEqual(['paused', 'ended', 'failed'].sort((a, b) => order(a) - order(b)));
  });

  it('has no transition from a state to itself', () => {
    for (const state of STREAM_STATES) expect(STREAM_TRANSITIONS[state]).not.toContain(state);
  });
});

function order(state: string): number {
  return STREAM_STATES.indexOf(state as StreamState);
}
