import type { Rollout } from '../../protocol/rollout-records.ts';
import { observesOnly, openGuards, patienceLeftMs, type StepEvidence, stepMs } from './rollout-machine.ts';

/** Something that a step waits for. */
interface Wait {
  readonly what: string;
  /** null: nobody can tell. */
  readonly leftMs: number | null;
}

/** Says in one sentence what a step waits for and how long that will take, if everything goes on as it does. */
export function waitingFor(rollout: Rollout, members: number, evidence: StepEvidence, nowMs: number): string {
  const { heldBy } = rollout;
  if (heldBy !== null) return `Held by ${heldBy}: it goes on when somebody releases or promotes it.`;
  const waits = waitsOf(rollout, members, evidence, nowMs);
  if (waits.length === 0) return 'Waiting for nothing: the next step begins in a moment.';
  const known = waits.flatMap(({ leftMs }) => (leftMs === null ? [] : [leftMs]));
  const left =
    known.length < waits.length ? unknownText(rollout, nowMs) : `about ${durationText(Math.max(...known))} left`;
  return `Waiting for ${listText(waits.map(({ what }) => what))}: ${left}.`;
}

/** What happens if nobody can tell how long it takes. */
function unknownText(rollout: Rollout, nowMs: number): string {
  if (rollout.state !== 'holding') return 'how long that takes cannot be said yet';
  const left = durationText(Math.max(0, patienceLeftMs(rollout, nowMs)));
  return `how long that takes cannot be said; if nobody promotes it, it is rolled back in ${left}`;
}

function waitsOf(rollout: Rollout, members: number, evidence: StepEvidence, nowMs: number): Wait[] {
  const { minFrames, stepStartedMs } = rollout;
  const { frames, unready, readyInMs = null, reports } = evidence;
  const waits: Wait[] = [];
  const elapsedMs = nowMs - stepStartedMs;
  const holdMs = stepMs(rollout) - elapsedMs;
  if (holdMs > 0) waits.push({ what: 'the time of the step', leftMs: holdMs });
  if (unready > 0)
    waits.push({ what: `a baseline of ${unready} ${unready === 1 ? 'stream' : 'streams'}`, leftMs: readyInMs });
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
