import { counted } from '../base/core/counted.ts';
import { isAloneAt } from '../fleet/control/rollout/rollout-machine.ts';
import type {
  Decision,
  GuardReport,
  Prediction,
  RolloutReport,
  VersionReport,
} from '../wire/protocol/rollout-records.ts';
import { table } from './cli-io.ts';

/** Describes a roll-out: its state, its steps, and what each guard found. */
export function rolloutText(report: RolloutReport): string {
  const { id, from, to, state, share, members, streams, steps, stepStreams, step } = report;
  const { frames, minFrames, reason, guards } = report;
  const lines = [
    `${id}: ${from} -> ${to}`,
    `state   ${state}${report.heldBy === null ? '' : ` (held by ${report.heldBy})`}`,
    `share   ${share} % (${members} of ${streams} streams)${report.shadow ? ', shadow frames as well' : ''}`,
    `steps   ${steps.map((_, i) => (i === step ? `[${stepText(steps, i)}]` : stepText(steps, i))).join(' ')} % (step ${step}): ${stepStreams.join(', ')} of ${counted(streams, 'stream')}`,
    `frames  ${frames} of at least ${minFrames} in this step`,
    ...gainLines(report),
    `reason  ${reason}`,
    ...(report.waitsFor === null ? [] : [`now     ${report.waitsFor}`]),
  ];
  return guards.length === 0 ? lines.join('\n') : `${lines.join('\n')}\n\n${guardTable(guards)}`;
}

/** The first of two steps at 0 % tries both on recordings; the second step of 100 % has no turns. */
function stepText(steps: readonly number[], at: number): string {
  if (at === 0 && steps[1] === 0) return 'recordings';
  return isAloneAt(steps, at) ? '100 alone' : String(steps[at]);
}

/** The gain that was predicted, and the one that live streams have. */
function gainLines({ predicted, measured }: Pick<RolloutReport, 'predicted' | 'measured'>): string[] {
  const times = ({ ratio, low, high }: Prediction): string =>
    `${figure(ratio)} times (${figure(low)} to ${figure(high)})`;
  const lines = predicted === null ? [] : [`gain    ${times(predicted)} predicted by optimize, frames per second`];
  if (measured === null) return lines;
  const { controlMs, candidateMs } = measured;
  const cost = `${figure(controlMs)} -> ${figure(candidateMs)} ms of CPU time for a frame`;
  return [...lines, `gain    ${times(measured)} measured on the live streams, ${cost}`];
}

export function historyText(decisions: readonly Decision[]): string {
  if (decisions.length === 0) return 'No decisions yet.';
  const rows = decisions.map(({ timeMs, rollout, kind, to, share, who, reason }) => [
    ...[new Date(timeMs).toISOString(), rollout, kind, to, `${share} %`, who, reason],
  ]);
  return table([['time', 'roll-out', 'decision', 'version', 'share', 'by', 'reason'], ...rows]);
}

export function versionsText(versions: readonly VersionReport[]): string {
  const rows = versions.map(({ label, hash, model, engine, precision, inputSize, scoreThreshold, role, createdMs }) => [
    ...[label, role, hash.slice(0, 12), model, engine, precision, inputSize ?? 'own', `${scoreThreshold ?? 'own'}`],
    new Date(createdMs).toISOString(),
  ]);
  return table([['version', 'role', 'hash', 'model', 'engine', 'precision', 'input', 'score', 'since'], ...rows]);
}

function guardTable(guards: readonly GuardReport[]): string {
  const rows = guards.map(({ guard, kind, verdict, estimate, low, high, margin, frames }) => [
    ...[
      guard,
      kind,
      verdict,
      figure(estimate),
      low === null || high === null ? '-' : `${figure(low)} to ${figure(high)}`,
    ],
    ...[figure(margin), String(frames)],
  ]);
  return table([['guard', 'kind', 'verdict', 'estimate', 'interval', 'margin', 'frames'], ...rows]);
}

function figure(value: number | null): string {
  return value === null ? '-' : String(Number(value.toPrecision(3)));
}
