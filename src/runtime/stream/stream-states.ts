import type { StreamState } from '../../protocol/report.ts';

/** Legal state transitions of a stream. */
export const STREAM_TRANSITIONS: Readonly<Record<StreamState, readonly StreamState[]>> = {
  starting: ['running', 'reconnecting', 'ended', 'failed', 'pausing', 'removing'],
  running: ['reconnecting', 'ended', 'failed', 'pausing', 'removing'],
  reconnecting: ['running', 'ended', 'failed', 'pausing', 'removing'],
  pausing: ['paused', 'removing'],
  paused: ['starting', 'removing'],
  ended: ['starting', 'removing'],
  failed: ['starting', 'removing'],
  removing: ['removed'],
  removed: [],
};
