import { counted } from '../../../base/core/counted.ts';
import type { Rollout } from '../../../wire/protocol/rollout-records.ts';
import { isRecordedStep, recordedSettingsOf } from './recorded-verdict.ts';
import {
  canBeLeftOut,
  lostItsStreams,
  observesOnly,
  openGuards,
  patienceLeftMs,
  SILENT_MS,
  type StepEvidence,
  stepMs,
} from './rollout-machine.ts';
import { MOST_WAIT_MS } from './side-history.ts';

const STEP_TIME = 'the time of the step';

/** Something that a step waits for. */
interface Wait {
  readonly what: string;
  /** null: unknown. */
  readonly leftMs: number | null;
  /** It ends after this at the latest. */
  readonly mostMs?: number;
}

/** Streams that a roll-out knows, and those of them that use the candidate. */
interface Streams {
  readonly members: number;
  readonly streams: number;
}

/** Says in one sentence what a step waits for and how long that will take, if everything goes on as it does. */
export function waitingFor(
  rollout: Rollout,
  { members, streams }: Streams,
  evidence: StepEvidence,
  nowMs: number,
): string {
  const { heldBy, share, stepStartedMs } = rollout;
  if (heldBy !== null) return `Held by ${heldBy}: it continues when a person resumes or promotes it.`;
  const patienceMs = Math.max(0, patienceLeftMs(rollout, nowMs));
  if (streams === 0) return `Waiting for streams, none is known: if none comes, ${rollbackText(patienceMs)}.`;
  const canLeaveOut = canBeLeftOut(rollout, members, evidence.reports);
  const stepLeftMs = stepMs(rollout) - (nowMs - stepStartedMs);
  if (lostItsStreams(rollout, members) && canLeaveOut) {
    const left = durationText(Math.max(SILENT_MS, stepLeftMs));
    return `Waiting for streams, none of those at ${share} % is left: if none comes back, this step is left out in at most ${left}.`;
  }
  const waits = waitsOf(rollout, members, evidence, nowMs);
  if (waits.length === 0) return 'Waiting for nothing: the next step begins in a moment.';
  const what = `Waiting for ${listText(waits.map((wait) => wait.what))}`;
  // Without a frame since the step began, its streams may be silent.
  const silentLeftMs = SILENT_MS - (nowMs - stepStartedMs);
  if (members > 0 && evidence.frames === 0 && !observesOnly(rollout) && canLeaveOut && silentLeftMs > 0)
    return `${what}: if the cameras of this step send nothing, it is left out in ${durationText(Math.max(silentLeftMs, stepLeftMs))}; if they send frames and the candidate gives no result, it is rolled back.`;
  return `${what}: ${leftText(rollout, waits, patienceMs, evidence.leftMs)}.`;
}

/** Time until a step is decided, if everything goes on as it does; null if it is unknown. Noise of the evidence makes it jump. */
export function leftMsOf(rollout: Rollout, members: number, evidence: StepEvidence, nowMs: number): number | null {
  return longestOf(waitsOf(rollout, members, evidence, nowMs));
}

function longestOf(waits: readonly Wait[]): number | null {
  const bounded = waits.map(({ leftMs, mostMs = Number.POSITIVE_INFINITY }) => Math.min(leftMs ?? mostMs, mostMs));
  const longestMs = Math.max(...bounded);
  return Number.isFinite(longestMs) ? longestMs : null;
}

/** @param steadyMs - as `leftMsOf`, kept from jumping; absent: not kept. */
function leftText(rollout: Rollout, waits: readonly Wait[], patienceMs: number, steadyMs?: number | null): string {
  const rawMs = longestOf(waits);
  // The time of the step is known; only what hangs on evidence jumps.
  const isKnown = rawMs === null || waits.every(({ what }) => what === STEP_TIME);
  const longestMs = isKnown || steadyMs === undefined ? rawMs : steadyMs;
  if (longestMs === null)
    return rollout.state === 'holding'
      ? `how long that takes cannot be said; if nobody promotes it, ${rollbackText(patienceMs)}`
      : 'how long that takes cannot be said yet';
  if (longestMs > patienceMs)
    return `at most ${durationText(patienceMs)} left; if nobody promotes it, it is rolled back then`;
  const isBound = waits.some(({ leftMs, mostMs }) => mostMs === longestMs && leftMs !== longestMs);
  return `${isBound ? 'at most' : 'about'} ${durationText(longestMs)} left`;
}

function rollbackText(leftMs: number): string {
  return `it is rolled back in ${durationText(leftMs)}`;
}

function waitsOf(rollout: Rollout, members: number, evidence: StepEvidence, nowMs: number): Wait[] {
  const { minFrames, stepStartedMs } = rollout;
  const { frames, unready, readyInMs = null, reports } = evidence;
  const waits: Wait[] = [];
  const elapsedMs = nowMs - stepStartedMs;
  if (isRecordedStep(rollout)) {
    if (rollout.state === 'holding') return [{ what: 'a person, since the recordings do not decide', leftMs: null }];
    const mostMs = recordedSettingsOf(rollout.guards).limitMs - elapsedMs;
    return [{ what: 'the events on what is recorded', leftMs: null, mostMs: Math.max(0, mostMs) }];
  }
  const holdMs = stepMs(rollout) - elapsedMs;
  if (holdMs > 0) waits.push({ what: STEP_TIME, leftMs: holdMs });
  if (unready > 0)
    waits.push({
      what: `a baseline of ${counted(unready, 'stream')}`,
      leftMs: readyInMs,
      mostMs: Math.max(0, MOST_WAIT_MS - elapsedMs),
    });
  if (observesOnly(rollout)) return waits;
  if (frames < minFrames) {
    const leftMs = frames === 0 ? null : (elapsedMs * (minFrames - frames)) / frames;
    waits.push({ what: `frames (${frames} of ${minFrames})`, leftMs });
  }
  const open = openGuards(rollout, members, reports);
  if (open.length > 0 || reports.length === 0) {
    const names = listText(open.map(({ guard }) => guard));
    const left = open.map(({ leftMs }) => leftMs ?? null);
    const what = open.length === 0 ? 'the guards' : `the ${open.length === 1 ? 'guard' : 'guards'} ${names}`;
    const isKnown = open.length > 0 && !left.includes(null);
    waits.push({ what, leftMs: isKnown ? Math.max(...left.map((ms) => ms ?? 0)) : null });
  }
  return waits;
}

function listText(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
