import type { Decision, GuardReport, RolloutReport, VersionReport } from '../protocol/rollout-records.ts';
import { table } from './table.ts';

/** Describes a roll-out: its state, its steps, and what each guard found. */
export function rolloutText(report: RolloutReport): string {
  const { id, from, to, state, share, members, streams, steps, step, frames, minFrames, reason, guards } = report;
  const lines = [
    `${id}: ${from} -> ${to}`,
    `state   ${state}${report.heldBy === null ? '' : ` (held by ${report.heldBy})`}`,
    `share   ${share} % (${members} of ${streams} streams)${report.shadow ? ', shadow frames as well' : ''}`,
    `steps   ${steps.map((percent, i) => (i === step ? `[${percent}]` : String(percent))).join(' ')} % (step ${step})`,
    `frames  ${frames} of at least ${minFrames} in this step`,
    `reason  ${reason}`,
    ...(report.waitsFor === null ? [] : [`now     ${report.waitsFor}`]),
  ];
  return guards.length === 0 ? lines.join('\n') : `${lines.join('\n')}\n\n${guardTable(guards)}`;
}

export function historyText(decisions: readonly Decision[]): string {
  if (decisions.length === 0) return 'No decisions yet.';
  const rows = decisions.map(({ timeMs, rollout, kind, to, share, who, reason }) => [
    ...[new Date(timeMs).toISOString(), rollout, kind, to, `${share} %`, who, reason],
  ]);
  return table([['time', 'roll-out', 'decision', 'version', 'share', 'by', 'reason'], ...rows]);
}

export function versionsText(versions: readonly VersionReport[]): string {
  const rows = versions.map(({ label, hash, model, engine, precision, inputSize, role, createdMs }) => [
    ...[label, role, hash.slice(0, 12), model, engine, precision, inputSize ?? 'own'],
    new Date(createdMs).toISOString(),
  ]);
  return table([['version', 'role', 'hash', 'model', 'engine', 'precision', 'input', 'since'], ...rows]);
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
