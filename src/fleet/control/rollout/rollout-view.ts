import { counted } from '../../../base/core/counted.ts';
import type { EventKind, EventMessage } from '../../../wire/protocol/feed.ts';
import type { Decision, DecisionKind, Rollout, RolloutReport } from '../../../wire/protocol/rollout-records.ts';
import { membersOf } from './membership.ts';
import { isActive, missingEvidence, type StepEvidence } from './rollout-machine.ts';
import { waitingFor } from './waiting-for.ts';

const KINDS: Readonly<Record<DecisionKind, EventKind>> = {
  started: 'rollout-started',
  advanced: 'rollout-advanced',
  held: 'rollout-held',
  resumed: 'rollout-resumed',
  promoted: 'rollout-promoted',
  'rolled-back': 'rollout-rolled-back',
  aborted: 'rollout-aborted',
  undone: 'rollout-undone',
};

/** Turns a decision into an event of the feed. @param streams - names of all streams of the pipeline. */
export function eventOf(decision: Decision, streams: readonly string[]): EventMessage {
  const { kind, rollout, pipeline, who, isAutomatic, from, to, state, step, share, reason, frames, timeMs } = decision;
  return {
    type: 'event',
    timeMs,
    kind: KINDS[kind],
    message: `${rollout} (${from} to ${to}) is ${state} at ${share} %, ${membersOf(streams, share).length} of ${counted(streams.length, 'stream')}: ${reason}`,
    details: { rollout, pipeline, who, isAutomatic, from, to, state, step, share, frames },
  };
}

/** Describes a roll-out for people. While it waits for evidence, the reason says what is missing now. */
export function reportOf(
  rollout: Rollout,
  evidence: StepEvidence,
  candidateStreams: readonly string[],
  streams: readonly string[],
  nowMs: number,
  detector?: string,
): RolloutReport {
  const { id, pipeline, state, step, steps, share, from, to, shadow, heldBy, startedBy, startedMs } = rollout;
  const { stepStartedMs, endedMs, holdMs, minFrames, fence } = rollout;
  const members = candidateStreams.length;
  const waits = state === 'holding' && heldBy === null;
  const missing = waits ? missingEvidence(rollout, members, evidence) : null;
  return {
    id,
    pipeline,
    state,
    step,
    steps,
    share,
    members,
    candidateStreams,
    from: from.label,
    to: to.label,
    ...(detector === undefined ? {} : { detector }),
    streams: streams.length,
    stepStreams: steps.map((each) => membersOf(streams, each).length),
    shadow,
    heldBy,
    startedBy,
    startedMs,
    stepStartedMs,
    endedMs,
    holdMs,
    minFrames,
    frames: evidence.frames,
    guards: evidence.reports,
    predicted: rollout.predicted ?? null,
    measured: rollout.measured ?? evidence.gain ?? null,
    reason: missing ?? rollout.reason,
    waitsFor: isActive(rollout) ? waitingFor(rollout, { members, streams: streams.length }, evidence, nowMs) : null,
    fence,
  };
}
