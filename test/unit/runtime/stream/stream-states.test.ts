import { describe, expect, it } from 'vitest';
import { STREAM_STATES, type StreamState } from '../../../../src/protocol/report.ts';
import { STREAM_TRANSITIONS } from '../../../../src/runtime/stream/stream-states.ts';

/** States that can be reached from a state, itself included. */
function reach(from: StreamState): Set<StreamState> {
  const seen = new Set<StreamState>([from]);
  for (const state of seen) for (const next of STREAM_TRANSITIONS[state]) seen.add(next);
  return seen;
}

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
