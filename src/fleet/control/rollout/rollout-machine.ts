import { counted } from '../../../base/core/counted.ts';
import type { SeenStep } from '../../../wire/protocol/rest.ts';
import type {
  DecisionKind,
  GuardReport,
  Rollout,
  RolloutFigures,
  RolloutState,
  Version,
} from '../../../wire/protocol/rollout-records.ts';
import { ABOUT_SPEED, type Guard } from './guards/guard.ts';
import { GUARDS } from './guards/guards.ts';
import { labelledText } from './other-detector.ts';
import { isRecordedStep, RECORDED, recordedSettingsOf } from './recorded-verdict.ts';
import { rolloutErrors } from './rollout-errors.ts';
import type { RolloutChange, RolloutDraft } from './rollout-store.ts';

/**
 * The rules of a roll-out, as functions of its record, the evidence and the time. They change nothing: each returns the next
 * record and the decision that led to it.
 *
 * The first step is at 0 %; if the candidate is tried on recordings first, the first two are.
 *
 * The last two steps are at 100 %: in the first one both versions take turns, in the second one the candidate is alone. If the machine is
 * too busy to judge it alone, it goes back to the turns.
 *
 *     running <-> holding        holding: evidence is missing, or a person holds it
 *        |           |
 *        +-----+-----+--> promoted       the last step passed, or a person promoted it
 *              +--------> rolled-back    a guard failed, or a person undid it
 *              +--------> aborted        a person stopped it
 *
 * promoted -> rolled-back is possible as well: `undo`, or a host that cannot load the version.
 */

/** Evidence of the current step. */
export type StepEvidence = Pick<RolloutFigures, 'frames' | 'unready' | 'reports' | 'gain'> &
  Partial<Pick<RolloutFigures, 'readyInMs' | 'abandoned' | 'silent' | 'leftMs'>> & {
    /** For how long the step has had no stream although others are known; absent or 0: it has some. */
    readonly emptyMs?: number | undefined;
    /** Others have taken so much more of the CPU than before, since the candidate is alone, that it must be compared again. */
    readonly needsControl?: boolean;
  };

/** Name of the report that says whether the candidate carries all streams alone. */
export const FULL_LOAD = 'fullLoad';

/** The step at 0 % only observes the control, unless boxes are compared; it need not be longer than this. */
const BASELINE_MS = 60_000;
/** A step that waits this long for evidence is rolled back: a candidate that cannot be judged is not promoted. */
const PATIENCE_MS = 24 * 3_600_000;

/** A step whose streams publish nothing for this long, or are gone, gives no evidence. */
export const SILENT_MS = 600_000;

export interface Actor {
  readonly who: string;
  /** Time of the control plane, milliseconds since 1970. */
  readonly nowMs: number;
  readonly evidence: StepEvidence;
}

/** The part of a record that the start of a roll-out settles. `steps`: percentages of streams, rising to 100. */
export type StartSettings = Pick<
  Rollout,
  | ('pipeline' | 'from' | 'to' | 'versions' | 'steps' | 'holdMs' | 'minFrames')
  | ('guards' | 'shadow' | 'shadowRatio' | 'predicted' | 'labelled' | 'recorded')
>;

export const NO_EVIDENCE: StepEvidence = { frames: 0, unready: 0, reports: [] };

export function isActive({ state }: { readonly state: RolloutState }): boolean {
  return state === 'running' || state === 'holding';
}

/**
 * Returns whether the candidate carries every stream alone: the last step, after it was compared on all of them. No stream takes
 * turns, and no frame is inferred twice.
 */
export function isAlone(rollout: Pick<Rollout, 'state' | 'steps' | 'step'>): boolean {
  return isActive(rollout) && isAloneAt(rollout.steps, rollout.step);
}

/** Returns whether a step is the second one at 100 %. */
export function isAloneAt(steps: readonly number[], step: number): boolean {
  return step === steps.length - 1 && steps[step] === 100 && steps[step - 1] === 100;
}

/** Returns the version that streams use when no roll-out runs; null before the first one, when the configuration names it. */
export function liveVersion(rollout: Rollout | null): Version | null {
  if (rollout === null) return null;
  return rollout.state === 'promoted' ? rollout.to : rollout.from;
}

/** @throws ROLLOUT_RUNNING */
export function start(previous: Rollout | null, settings: StartSettings, { who, nowMs }: Actor): RolloutChange {
  if (previous !== null && isActive(previous)) throw rolloutErrors.isRunning(previous.id, previous.state);
  const { from, to, steps } = settings;
  const share = steps[0]!;
  const judged = settings.labelled === undefined ? '' : ` It is ${labelledText(settings.labelled)}.`;
  const reason = `${who} rolls out ${to.label} in place of ${from.label}, ${shareText(settings)}.${judged}`;
  const rollout: RolloutDraft = {
    ...settings,
    id: `rollout-${numberOf(previous) + 1}`,
    step: 0,
    share,
    state: 'running',
    heldBy: null,
    startedBy: who,
    startedMs: nowMs,
    stepStartedMs: nowMs,
    endedMs: null,
    reason,
  };
  return { rollout, decision: decisionOf(rollout, 'started', { who, nowMs, evidence: NO_EVIDENCE }, false) };
}

/**
 * Decides by the guards.
 *
 * @param members - streams that use the candidate at this step. Without any, only guards that compare shadow frames can have
 *   data, so the others need none.
 * @returns null if nothing changes.
 */
export function decide(rollout: Rollout, members: number, actor: Actor): RolloutChange | null {
  if (!isActive(rollout)) return null;
  const { reports } = actor.evidence;
  const failed = reports.find(isFailed('hard')) ?? reports.find(isFailed('statistical'));
  if (failed !== undefined)
    return rollBack(rollout, `${failed.guard}: ${failed.reason}${adviceAfter(failed.guard)}`, actor);
  if (rollout.heldBy !== null) return null;
  if (actor.nowMs - rollout.stepStartedMs < stepMs(rollout)) return null;
  // It has a time limit of its own.
  if (isRecordedStep(rollout) && recordedOf(reports)?.verdict === 'no-data') return null;
  const missing = missingEvidence(rollout, members, actor.evidence);
  if (missing === null) return advance(rollout, passText(rollout, actor.evidence), actor, true);
  if (givesNoEvidence(rollout, members, actor.evidence))
    return advance(rollout, silentText(rollout, members), actor, true);
  if (isAlone(rollout) && actor.evidence.needsControl === true)
    return toStep(rollout, rollout.step - 1, `Both versions take turns again. ${missing}`, 'resumed', actor, true);
  if (rollout.state === 'holding')
    return patienceLeftMs(rollout, actor.nowMs) > 0
      ? null
      : rollBack(
          rollout,
          `Undecided for ${PATIENCE_MS / 3_600_000} hours. ${missing} Start it again when that can be seen, or promote it by hand.`,
          actor,
        );
  return change(rollout, { state: 'holding', reason: missing }, 'held', actor, true);
}

/** Time after which a roll-out that is not decided is rolled back, if no person holds it: it holds for a day after the time of its step. */
export function patienceLeftMs(rollout: Rollout, nowMs: number): number {
  const { state, fence, stepStartedMs } = rollout;
  if (state !== 'holding') return PATIENCE_MS + Math.max(0, stepMs(rollout) - (nowMs - stepStartedMs));
  // A fence is the time of the change, in microseconds.
  return PATIENCE_MS - Math.max(0, nowMs - fence / 1000);
}

/** Says what is missing before the step may end, in one sentence; null if nothing is. */
export function missingEvidence(rollout: Rollout, members: number, evidence: StepEvidence): string | null {
  const { frames, unready, reports } = evidence;
  if (isRecordedStep(rollout)) {
    const { verdict = 'no-data', reason = 'Nothing is known of the recordings yet.' } = recordedOf(reports) ?? {};
    const mayContinue = verdict === 'undecided' && recordedSettingsOf(rollout.guards).undecided === 'continue';
    return verdict === 'pass' || mayContinue ? null : `${reason} ${WAITING_ADVICE}`;
  }
  if (unready > 0)
    return `Waiting for a baseline: ${counted(unready, 'stream')} of the next step ${unready === 1 ? 'was' : 'were'} observed too briefly.`;
  if (observesOnly(rollout)) return null;
  if (frames < rollout.minFrames) return `Waiting for frames: ${frames} of ${rollout.minFrames} at ${rollout.share} %.`;
  const open = openGuards(rollout, members, reports);
  if (open.length > 0)
    return `Waiting for ${open.map(({ guard, verdict, reason }) => `${guard} (${verdict}: ${reason})`).join('; ')}. ${WAITING_ADVICE}`;
  const carriesAll = ({ guard, verdict }: GuardReport): boolean => guard === FULL_LOAD && verdict === 'pass';
  if (isAlone(rollout) && !reports.some(carriesAll))
    return 'Waiting for data: it is unknown whether the candidate carries all streams.';
  const hasPassed = reports.some(({ kind, verdict }) => kind === 'statistical' && verdict === 'pass');
  return hasPassed ? null : 'Waiting for data: no guard compares the candidate with the control yet.';
}

/**
 * Guards that have not passed. A hard guard has no evidence to wait for, but may be about to decide. Without any stream on the
 * candidate those without data do not count, nor once the candidate is alone: then only frames that both infer are compared.
 */
export function openGuards(rollout: Rollout, members: number, reports: readonly GuardReport[]): readonly GuardReport[] {
  const alone = isAlone(rollout);
  return reports.filter(({ guard, kind, verdict }) => {
    if (kind === 'hard') return verdict === 'undecided';
    if (verdict === 'pass') return false;
    return (members > 0 && !alone) || guard === FULL_LOAD || verdict !== 'no-data';
  });
}

/**
 * Returns whether all streams of a step are silent or gone, and nothing was seen against the candidate: then the next step, which has other
 * streams, is the first that can give evidence. A step at 100 % is never left out.
 */
function givesNoEvidence(rollout: Rollout, members: number, evidence: StepEvidence): boolean {
  const { silent = 0, emptyMs = 0, reports } = evidence;
  const isSilent = members > 0 ? silent >= members : lostItsStreams(rollout, members) && emptyMs >= SILENT_MS;
  return isSilent && canBeLeftOut(rollout, members, reports);
}

/** Returns whether a step has no stream left that could be judged; shadow frames are inferred on the others. */
export function lostItsStreams({ share, shadow }: Rollout, members: number): boolean {
  return members === 0 && share > 0 && !shadow;
}

/** Returns whether the next step has other streams, and nothing was seen against the candidate. */
export function canBeLeftOut(rollout: Rollout, members: number, reports: readonly GuardReport[]): boolean {
  const next = rollout.steps[rollout.step + 1] ?? 0;
  if (next <= rollout.share) return false;
  return openGuards(rollout, members, reports).every(
    ({ kind, estimate, margin }) => kind === 'statistical' && (estimate === null || Math.abs(estimate) <= margin),
  );
}

function silentText({ share }: Rollout, members: number): string {
  if (members === 0) return `No stream at ${share} % is left: there is nothing to compare before the next step.`;
  const streams = members === 1 ? 'The only stream' : `All ${members} streams`;
  return `${streams} at ${share} % published no frame for 10 minutes: there is nothing to compare before the next step.`;
}

function recordedOf(reports: readonly GuardReport[]): GuardReport | undefined {
  return reports.find(({ guard }) => guard === RECORDED);
}

/** Shortest time of the current step. */
export function stepMs(rollout: Rollout): number {
  if (isRecordedStep(rollout)) return 0;
  return observesOnly(rollout) ? Math.min(rollout.holdMs, BASELINE_MS) : rollout.holdMs;
}

/** Returns whether the candidate infers nothing in this step. */
export function observesOnly(rollout: Rollout): boolean {
  return rollout.share === 0 && (!rollout.shadow || isRecordedStep(rollout));
}

/** Rolls back without a guard: a host cannot run the candidate. */
export function rollBack(rollout: Rollout, reason: string, actor: Actor): RolloutChange {
  return change(rollout, ended(rollout, 'rolled-back', reason, actor), 'rolled-back', actor, true);
}

/**
 * Goes to the next step, whatever the guards say; `isFull` to the last one.
 *
 * @param seen - must be the current step: others, or the guards, may have moved it on meanwhile.
 * @throws ROLLOUT_STATE
 */
export function promote(rollout: Rollout, actor: Actor, seen: SeenStep | null, isFull = false): RolloutChange {
  requireActive(rollout, 'promote');
  if (seen?.rollout !== rollout.id || seen.step !== rollout.step)
    throw rolloutErrors.isStale(rollout, shareOf(rollout), seen);
  const reason = `${actor.who} promoted it at ${shareOf(rollout)}.`;
  if (!isFull) return advance(rollout, reason, actor, false);
  return change(rollout, ended(rollout, 'promoted', reason, actor), 'promoted', actor, false);
}

/** @throws ROLLOUT_STATE */
export function hold(rollout: Rollout, actor: Actor): RolloutChange {
  requireActive(rollout, 'hold');
  const reason = `${actor.who} holds it at ${rollout.share} %. Guards can still roll it back.`;
  return change(rollout, { state: 'holding', heldBy: actor.who, reason }, 'held', actor, false);
}

/** Ends a person's hold. @throws ROLLOUT_STATE */
export function resume(rollout: Rollout, actor: Actor): RolloutChange {
  if (!isActive(rollout) || rollout.heldBy === null)
    throw rolloutErrors.wrongState(rollout.id, 'resume', rollout.state, 'a roll-out that a person holds');
  const reason = `${actor.who} resumed it at ${rollout.share} %.`;
  return change(rollout, { state: 'running', heldBy: null, reason }, 'resumed', actor, false);
}

/** @throws ROLLOUT_STATE */
export function abort(rollout: Rollout, actor: Actor): RolloutChange {
  requireActive(rollout, 'abort');
  const reason = `${actor.who} aborted it at ${rollout.share} %; all streams use ${rollout.from.label}.`;
  return change(rollout, ended(rollout, 'aborted', reason, actor), 'aborted', actor, false);
}

/** Returns to the version before, also after the promotion. @throws ROLLOUT_STATE */
export function undo(rollout: Rollout, actor: Actor): RolloutChange {
  if (!isActive(rollout) && rollout.state !== 'promoted')
    throw rolloutErrors.wrongState(rollout.id, 'undo', rollout.state, 'a roll-out that runs or was promoted');
  const reason = `${actor.who} undid it at ${rollout.share} %; all streams use ${rollout.from.label}.`;
  return change(rollout, ended(rollout, 'rolled-back', reason, actor), 'undone', actor, false);
}

function advance(rollout: Rollout, reason: string, actor: Actor, isAutomatic: boolean): RolloutChange {
  if (rollout.step + 1 === rollout.steps.length)
    return change(rollout, ended(rollout, 'promoted', reason, actor), 'promoted', actor, isAutomatic);
  return toStep(rollout, rollout.step + 1, reason, 'advanced', actor, isAutomatic);
}

function toStep(
  rollout: Rollout,
  step: number,
  reason: string,
  kind: DecisionKind,
  actor: Actor,
  isAutomatic: boolean,
): RolloutChange {
  const share = rollout.steps[step]!;
  const next = { step, share, state: 'running', heldBy: null, stepStartedMs: actor.nowMs, reason } as const;
  return change(rollout, next, kind, actor, isAutomatic);
}

function ended(
  rollout: Rollout,
  state: 'promoted' | 'rolled-back' | 'aborted',
  reason: string,
  { nowMs, evidence: { gain } }: Actor,
): Partial<RolloutDraft> {
  const step = state === 'promoted' ? rollout.steps.length - 1 : rollout.step;
  const measured = state === 'promoted' && gain !== undefined ? { measured: gain } : {};
  return { state, step, share: state === 'promoted' ? 100 : 0, heldBy: null, endedMs: nowMs, reason, ...measured };
}

function change(
  before: Rollout,
  what: Partial<RolloutDraft>,
  kind: DecisionKind,
  actor: Actor,
  isAutomatic: boolean,
): RolloutChange {
  const { fence: _, ...rest } = before;
  const rollout = { ...rest, ...what };
  return { rollout, decision: decisionOf(rollout, kind, actor, isAutomatic) };
}

function decisionOf(
  { id, pipeline, from, to, state, step, share, reason }: RolloutDraft,
  kind: DecisionKind,
  { who, nowMs, evidence }: Actor,
  isAutomatic: boolean,
): RolloutChange['decision'] {
  const what = { rollout: id, pipeline, kind, from: from.label, to: to.label, state, step, share, reason };
  return { timeMs: nowMs, who, isAutomatic, ...what, frames: evidence.frames, reports: evidence.reports };
}

function shareText({ steps, shadow, recorded }: StartSettings): string {
  const first = steps.find((share) => share > 0);
  const tried = recorded === undefined ? '' : 'a trial on the recordings and ';
  return `first to ${first} %, after ${tried}${shadow ? 'a comparison of boxes' : 'a look at the control'}`;
}

function isFailed(kind: GuardReport['kind']): (report: GuardReport) => boolean {
  return (report) => report.kind === kind && report.verdict === 'fail';
}

function passText(rollout: Rollout, { frames, abandoned = 0, reports }: StepEvidence): string {
  if (isRecordedStep(rollout)) {
    const { verdict, reason } = recordedOf(reports)!;
    return verdict === 'pass' ? reason : `${reason} It continues all the same, as recorded.undecided says.`;
  }
  if (frames === 0)
    return `The control was observed long enough to compare the candidate with it.${abandonedText(abandoned)}`;
  const passed = reports.filter(({ verdict }) => verdict === 'pass');
  return `${counted(passed.length, 'guard')} ${passed.length === 1 ? 'passes' : 'pass'} on ${frames} frames: ${passed.map(({ guard, reason }) => `${guard}: ${reason}`).join('; ')}`;
}

function abandonedText(streams: number): string {
  if (streams === 0) return '';
  const who = `${counted(streams, 'stream')} of the next step ${streams === 1 ? 'has' : 'have'}`;
  return ` ${who} published too little for a baseline and will be compared later.`;
}

/** Tells the two steps at 100 % apart. */
function shareOf({ steps, step, share }: Rollout): string {
  return isAloneAt(steps, step) ? `${share} %, alone` : `${share} %`;
}

function requireActive(rollout: Rollout, verb: string): void {
  if (!isActive(rollout)) throw rolloutErrors.wrongState(rollout.id, verb, rollout.state, 'a roll-out that runs');
}

function numberOf(rollout: Rollout | null): number {
  return Number(/^rollout-(\d+)$/.exec(rollout?.id ?? '')?.[1] ?? 0);
}

const ABOUT_FAULTS = "The host's log says why inferences failed; mend the candidate and start it again.";

/** As `Guard.advice`, of the others. */
const ADVICE: Readonly<Record<string, string>> = {
  slow: ABOUT_SPEED,
  target: ABOUT_SPEED,
  [FULL_LOAD]: ABOUT_SPEED,
  errors: ABOUT_FAULTS,
  crashes: ABOUT_FAULTS,
  results:
    "The host's log says why if inferences failed; if none did, it is too slow here: try a smaller input size, another precision or fewer streams.",
  recorded:
    'Look at the events with "sightline events --recorded"; if the candidate is right, start it with larger shares under recorded in --guards FILE.',
};

/** Returns the advice as a sentence after another one; '' for a guard that has none. */
export function adviceAfter(guard: string): string {
  const advice = ADVICE[guard] ?? (GUARDS as Readonly<Record<string, Guard>>)[guard]?.advice;
  return advice === undefined ? '' : ` ${advice}`;
}

/** What a person can do about a roll-out that waits. */
const WAITING_ADVICE = '"rollout promote" goes on without that, "rollout abort" ends it.';
